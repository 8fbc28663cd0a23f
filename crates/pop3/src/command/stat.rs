//! STAT (RFC 1939 §5): how many messages, and their octets, without those marked as deleted.

use crate::maildrop::Maildrop;
use crate::maildrops::Maildrops;
use crate::wire::response;

pub(super) fn run<M: Maildrops>(maildrop: &Maildrop<M>, out: &mut Vec<u8>) {
    let (count, octets) = maildrop.count_and_octets();
    response::ok(out, format_args!("{count} {octets}"));
}
