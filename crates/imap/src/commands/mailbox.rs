//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4 to §6.3.8, RFC 6154 §3).
//!
//! In another's account a mailbox is made below one on which that is allowed (RFC 4314 §4); none is
//! made at its root, and none goes from one account to another.

use waxwing_store::{AccountId, ObjectId as _, Role};

use crate::access::{self, Act};
use crate::connection::Connection;
use crate::name::{self, DELIMITER, without_trailing_delimiter};
use crate::reply::{Done, Fail, Tagged};
use crate::session::{Session, State};

/// CREATE. `special_use`: `Some(None)` asks for one that is not supported.
pub async fn create(session: &Session, name: &[u8], special_use: Option<Option<Role>>) -> Done {
    let account = session.account()?;
    let role = match special_use {
        None => None,
        Some(Some(role)) => Some(role),
        Some(None) => return Err(Fail::no("USEATTR", "That special use is not possible")),
    };
    let name = name::from_wire(name, session.enabled)?;
    let (owner, own_name) = may_create(session, without_trailing_delimiter(&name)).await?;
    if let Some(role) = role {
        if owner != account {
            return Err(Fail::no("USEATTR", "A special use is for mailboxes of your own"));
        }
        let taken = session.store.mailboxes(account).await?;
        if taken.iter().any(|mailbox| mailbox.role == Some(role)) {
            return Err(Fail::no("USEATTR", "Another mailbox has that special use"));
        }
    }
    let mailbox = session.store.create_mailbox(owner, own_name, role).await?;
    // RFC 8474 §4.1
    let id = mailbox.id.text();
    Ok(Tagged::ok("Created").with(format!("MAILBOXID ({id})")))
}

/// Whether a mailbox of that name may be made, as far as it is a matter of rights: whose it will be,
/// and its name there.
///
/// Nothing is told of what exists: where there is no right, the answer is always the same.
async fn may_create<'n>(session: &Session, name: &'n str) -> Result<(AccountId, &'n str), Fail> {
    let account = session.account()?;
    let refused = || Fail::no("NOPERM", "You do not have the right to make a mailbox there");
    if access::is_kept(name) {
        return Err(Fail::no("CANNOT", "That name is kept for the mailboxes of other users"));
    }
    let owner = access::owner(session, name).await?;
    let (owner, own_name, _) = owner.ok_or_else(refused)?;
    // RFC 4314 §4: the nearest parent that exists decides.
    for (at, _) in own_name.rmatch_indices(DELIMITER) {
        let above = session.store.mailbox_as(account, owner, &own_name[..at]).await?;
        match above {
            Some((_, rights)) if access::allows(rights, Act::CreateBelow) => {
                return Ok((owner, own_name));
            }
            Some(_) => return Err(refused()),
            None => {}
        }
    }
    if owner == account { Ok((owner, own_name)) } else { Err(refused()) }
}

/// DELETE. When the mailbox is the selected one, the session leaves it.
pub async fn delete(connection: &mut Connection<'_>, session: &mut Session, name: &[u8]) -> Done {
    let place = access::open(session, name, Act::Delete).await?;
    session.store.delete_mailbox(place.mailbox.account, &place.own_name).await?;
    let is_selected = matches!(&session.state, State::Selected(_, selected)
        if place.mailbox.id == selected.mailbox);
    if is_selected {
        session.deselect();
        connection.out.raw("* OK [CLOSED] The selected mailbox is no more\r\n");
    }
    Ok(Tagged::ok("Deleted"))
}

/// RENAME.
pub async fn rename(session: &Session, from: &[u8], to: &[u8]) -> Done {
    let place = access::open(session, from, Act::Delete).await?;
    let to = name::from_wire(to, session.enabled)?;
    let (owner, own_name) = may_create(session, without_trailing_delimiter(&to)).await?;
    if owner != place.mailbox.account {
        return Err(Fail::no(
            "CANNOT",
            "A mailbox stays in its account: move its messages instead",
        ));
    }
    session.store.rename_mailbox(owner, &place.own_name, own_name).await?;
    Ok(Tagged::ok("Renamed"))
}

/// SUBSCRIBE and UNSUBSCRIBE: names need not exist, so that no right is asked for (RFC 4314 §4).
pub async fn subscribe(session: &Session, name: &[u8], subscribed: bool) -> Done {
    let account = session.account()?;
    let name = name::from_wire(name, session.enabled)?;
    let name = without_trailing_delimiter(&name);
    // As LIST has it: an owner's address may be written in any case.
    let known = access::find_named(session, name).await?.map(|place| place.mailbox.name);
    let name = known.as_deref().unwrap_or(name);
    session.store.set_subscribed(account, name, subscribed).await?;
    Ok(Tagged::ok(if subscribed { "Subscribed" } else { "Unsubscribed" }))
}
