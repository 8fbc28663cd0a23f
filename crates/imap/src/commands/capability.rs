//! CAPABILITY (RFC 9051 §6.1.1): only what is whole is announced.

use waxwing_sasl::Mechanism;

use crate::connection::Connection;
use crate::limit;
use crate::reply::{Done, Tagged};
use crate::session::Session;
use crate::wire::out::Out;

/// In every state.
const ALWAYS: &str = "CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ENABLE ID SASL-IR";

/// After the login.
const LOGGED_IN: &str = " IDLE NAMESPACE CHILDREN UNSELECT UIDPLUS MOVE ESEARCH SEARCHRES WITHIN \
    LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE STATUS=SIZE CONDSTORE BINARY PREVIEW \
    UTF8=ACCEPT OBJECTID SAVEDATE QRESYNC MULTIAPPEND REPLACE PARTIAL \
    SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES INPROGRESS \
    QUOTA QUOTA=RES-STORAGE COMPRESS=DEFLATE ACL RIGHTS=kxte LIST-MYRIGHTS \
    METADATA CATENATE UIDONLY NOTIFY";

/// Writes `CAPABILITY …` as it stands in the response and in the response code.
pub fn write(out: &mut Out, session: &Session) {
    out.raw(ALWAYS);
    if session.is_logged_in() {
        out.raw(LOGGED_IN).raw(" APPENDLIMIT=").number(session.settings.max_message_octets);
        limit::announce(out, session.settings.message_limit);
        // RFC 9698 §3: what opens IMAP opens JMAP, with the same scope.
        if session.settings.jmap_session.is_some() {
            out.raw(" JMAPACCESS");
        }
        return;
    }
    if session.tls.is_none() {
        if session.settings.starttls {
            out.raw(" STARTTLS");
        }
        if !session.settings.plaintext_login {
            out.raw(" LOGINDISABLED"); // RFC 9051 §6.2.3
        }
    }
    for mechanism in offered(session) {
        out.raw(" AUTH=").raw(mechanism.name());
    }
}

/// The SASL mechanisms that may be used on this connection.
pub fn offered(session: &Session) -> Vec<Mechanism> {
    let binding = session.tls.as_ref().is_some_and(|tls| tls.channel_binding.is_some());
    let offered = match session.settings.tokens {
        true => Mechanism::offered_with_tokens,
        false => Mechanism::offered,
    };
    offered(session.tls.is_some(), session.settings.plaintext_login, binding)
}

/// As text, for the response code after a login (RFC 9051 §7.1 CAPABILITY).
pub fn text(session: &Session) -> String {
    let mut out = Out::default();
    write(&mut out, session);
    out.waiting().iter().copied().map(char::from).collect()
}

/// The command.
pub fn run(connection: &mut Connection<'_>, session: &Session) -> Done {
    connection.out.raw("* ");
    write(&mut connection.out, session);
    connection.out.line_end();
    Ok(Tagged::ok("That is all"))
}
