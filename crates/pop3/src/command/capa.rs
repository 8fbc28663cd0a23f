//! CAPA (RFC 2449 §5): what this server can do, on this connection.
//!
//! RFC 2449 §5 wants everything that the AUTHORIZATION state offers announced in both states, so
//! only TLS makes a difference: with it come passwords and -PLUS, and STLS goes.

use std::fmt::Write;

use super::auth;
use crate::maildrops::Maildrops;
use crate::session::{Session, State};
use crate::wire::response;

pub(super) fn run<M: Maildrops>(session: &Session<M>, out: &mut Vec<u8>) {
    response::ok(out, "capabilities follow");
    for tag in ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "LANG"] {
        response::line(out, tag);
    }
    response::line(out, "UTF8 USER"); // RFC 6856 §2.2: names and passwords may be UTF-8
    response::line(out, "EXPIRE NEVER"); // RFC 2449 §6.7: nothing goes but by DELE
    if session.clear_text_allowed() {
        response::line(out, "USER");
    }
    let mut mechanisms = "SASL".to_owned();
    for mechanism in auth::offered(session) {
        write!(mechanisms, " {}", mechanism.name()).expect("a String takes everything");
    }
    response::line(out, mechanisms);
    if session.tls.is_none() && session.settings.starttls_offered {
        response::line(out, "STLS");
    }
    // RFC 2449 §6.9: strangers need not know what they could attack.
    if matches!(session.state, State::Transaction(_)) {
        response::line(out, concat!("IMPLEMENTATION Waxwing-", env!("CARGO_PKG_VERSION")));
    }
    response::end(out);
}
