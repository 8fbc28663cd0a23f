//! STARTTLS (RFC 9051 §6.2.1). The handshake is the caller's: see [`crate::Ended::StartTls`].

use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;

/// Whether it may begin.
pub fn run(session: &Session) -> Done {
    if session.tls.is_some() {
        return Err(Fail::bad("TLS is in use already"));
    }
    if session.is_logged_in() {
        return Err(Fail::bad("Too late: you are logged in"));
    }
    if !session.settings.starttls {
        return Err(Fail::bad("TLS is not available here"));
    }
    Ok(Tagged::ok("Begin TLS now"))
}
