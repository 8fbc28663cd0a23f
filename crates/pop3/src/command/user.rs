//! USER (RFC 1939 §7): the first half of a log-in. Every name is welcome: which ones exist is told
//! to nobody.

use crate::maildrops::Maildrops;
use crate::session::{Session, State};
use crate::wire::response;

pub(super) fn run<M: Maildrops>(name: String, session: &mut Session<M>, out: &mut Vec<u8>) {
    if !session.clear_text_allowed() {
        // Refused here, before the client sends the password.
        response::err(out, "no passwords without TLS: use STLS first");
        return;
    }
    session.state = State::Authorization { user: Some(name) };
    response::ok(out, "now the password");
}
