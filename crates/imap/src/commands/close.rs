//! CLOSE and UNSELECT (RFC 9051 §6.4.1, §6.4.2).

use super::expunge;
use crate::access::Act;
use crate::reply::{Done, Tagged};
use crate::session::Session;

/// CLOSE: expunges without a word, as far as the rights go (RFC 4314 §4), then UNSELECT.
pub async fn close(session: &mut Session) -> Done {
    if session.selected()?.need(Act::Expunge).is_ok() {
        expunge::expunge(session, None).await?;
    }
    session.deselect();
    Ok(Tagged::ok("Closed"))
}

/// UNSELECT.
pub fn unselect(session: &mut Session) -> Done {
    session.selected()?;
    session.deselect();
    Ok(Tagged::ok("Closed, nothing expunged"))
}
