//! ID (RFC 2971): who is who, for the people who read logs.

use crate::connection::Connection;
use crate::reply::{Done, Tagged};

/// Logs what the client says, and says who we are (not which version: nobody needs that before a
/// login but those who look for old ones).
pub fn run(connection: &mut Connection<'_>, fields: &[(Vec<u8>, Option<Vec<u8>>)]) -> Done {
    let field = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        found.and_then(|(_, value)| value.as_deref()).map(|v| v.escape_ascii().to_string())
    };
    tracing::debug!(name = field("name"), version = field("version"), "IMAP client");
    connection.out.raw("* ID (\"name\" \"Waxwing\")\r\n");
    Ok(Tagged::ok("Pleased to meet you"))
}
