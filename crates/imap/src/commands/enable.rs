//! ENABLE (RFC 5161, RFC 9051 §6.3.1).

use crate::connection::Connection;
use crate::reply::{Done, Tagged};
use crate::session::Session;

/// What is not known is passed over in silence, as RFC 5161 §3.1 wants.
pub fn run(connection: &mut Connection<'_>, session: &mut Session, names: &[String]) -> Done {
    session.account()?;
    let out = &mut connection.out;
    out.raw("* ENABLED");
    for name in names {
        let enabled = match name.as_str() {
            "IMAP4REV2" => Some((&mut session.enabled.rev2, "IMAP4rev2")),
            "UTF8=ACCEPT" => Some((&mut session.enabled.utf8, "UTF8=ACCEPT")),
            "QRESYNC" => {
                session.enabled.condstore = true; // RFC 7162 §3.2.3
                Some((&mut session.enabled.qresync, "QRESYNC"))
            }
            "UIDONLY" => Some((&mut session.enabled.uid_only, "UIDONLY")),
            "CONDSTORE" => Some((&mut session.enabled.condstore, "CONDSTORE")),
            _ => None,
        };
        if let Some((flag, name)) = enabled
            && !std::mem::replace(flag, true)
        {
            out.raw(" ").raw(name);
        }
    }
    out.line_end();
    Ok(Tagged::ok("Enabled"))
}
