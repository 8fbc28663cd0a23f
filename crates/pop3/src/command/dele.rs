//! DELE (RFC 1939 §5): marks a message; QUIT removes it.

use crate::maildrop::Maildrop;
use crate::maildrops::Maildrops;
use crate::wire::command::MessageNumber;
use crate::wire::response;

pub(super) fn run<M: Maildrops>(
    number: MessageNumber,
    maildrop: &mut Maildrop<M>,
    out: &mut Vec<u8>,
) {
    match maildrop.message_mut(number) {
        Ok(message) => {
            message.deleted = true;
            response::ok(out, "marked: QUIT removes it");
        }
        Err(error) => response::err(out, error),
    }
}
