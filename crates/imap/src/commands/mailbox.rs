//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4 to §6.3.8, RFC 6154 §3).

use waxwing_store::Role;

use super::mailbox_name;
use crate::connection::Connection;
use crate::name::without_trailing_delimiter;
use crate::reply::{Done, Fail, Tagged};
use crate::session::{Session, State};
use crate::wire::object_id;

/// CREATE. `special_use`: `Some(None)` asks for one that is not supported.
pub async fn create(session: &Session, name: &[u8], special_use: Option<Option<Role>>) -> Done {
    let account = session.account()?;
    let role = match special_use {
        None => None,
        Some(Some(role)) => Some(role),
        Some(None) => return Err(Fail::no("USEATTR", "That special use is not possible")),
    };
    let name = mailbox_name(session, name)?;
    let name = without_trailing_delimiter(&name);
    if let Some(role) = role {
        let taken = session.store.mailboxes(account).await?;
        if taken.iter().any(|mailbox| mailbox.role == Some(role)) {
            return Err(Fail::no("USEATTR", "Another mailbox has that special use"));
        }
    }
    let mailbox = session.store.create_mailbox(account, name, role).await?;
    // RFC 8474 §4.1
    let id = object_id::of_mailbox(mailbox.id);
    Ok(Tagged::ok("Created").with(format!("MAILBOXID ({id})")))
}

/// DELETE. When the mailbox is the selected one, the session leaves it.
pub async fn delete(connection: &mut Connection<'_>, session: &mut Session, name: &[u8]) -> Done {
    let account = session.account()?;
    let name = mailbox_name(session, name)?;
    let mailbox = session.store.mailbox_by_name(account, &name).await?;
    session.store.delete_mailbox(account, &name).await?;
    let is_selected = matches!(&session.state, State::Selected(_, selected)
        if mailbox.is_some_and(|mailbox| mailbox.id == selected.mailbox));
    if is_selected {
        session.deselect();
        connection.out.raw("* OK [CLOSED] The selected mailbox is no more\r\n");
    }
    Ok(Tagged::ok("Deleted"))
}

/// RENAME.
pub async fn rename(session: &Session, from: &[u8], to: &[u8]) -> Done {
    let account = session.account()?;
    let (from, to) = (mailbox_name(session, from)?, mailbox_name(session, to)?);
    session.store.rename_mailbox(account, &from, without_trailing_delimiter(&to)).await?;
    Ok(Tagged::ok("Renamed"))
}

/// SUBSCRIBE and UNSUBSCRIBE.
pub async fn subscribe(session: &Session, name: &[u8], subscribed: bool) -> Done {
    let account = session.account()?;
    let name = mailbox_name(session, name)?;
    session.store.set_subscribed(account, without_trailing_delimiter(&name), subscribed).await?;
    Ok(Tagged::ok(if subscribed { "Subscribed" } else { "Unsubscribed" }))
}
