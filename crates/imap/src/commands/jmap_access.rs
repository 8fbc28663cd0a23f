//! GETJMAPACCESS (RFC 9698 §4).

use crate::connection::Connection;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;

/// The command.
pub fn run(connection: &mut Connection<'_>, session: &Session) -> Done {
    session.account()?;
    let Some(url) = &session.settings.jmap_session else {
        return Err(Fail::bad("There is no JMAP here"));
    };
    connection.out.raw("* JMAPACCESS ").string(url.as_bytes()).line_end();
    Ok(Tagged::ok("That is where"))
}
