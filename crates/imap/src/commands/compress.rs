//! COMPRESS (RFC 4978): DEFLATE in both directions, from behind the tagged OK on, which the main loop
//! sees to.

use crate::connection::Connection;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;

/// The command.
pub fn run(connection: &Connection<'_>, session: &Session, deflate: bool) -> Done {
    session.account()?;
    if !deflate {
        return Err(Fail::bad("DEFLATE is the only one"));
    }
    if connection.is_compressed() {
        return Err(Fail::bad("COMPRESS is active already"));
    }
    Ok(Tagged::ok("From here on"))
}
