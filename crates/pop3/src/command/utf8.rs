//! UTF8 (RFC 6856 §2.1): the client understands UTF-8 in headers.

use crate::maildrops::Maildrops;
use crate::session::Session;
use crate::wire::response;

pub(super) fn run<M: Maildrops>(session: &mut Session<M>, out: &mut Vec<u8>) {
    session.utf8_mode = true;
    response::ok(out, "UTF-8 mode");
}
