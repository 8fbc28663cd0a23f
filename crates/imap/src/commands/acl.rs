//! SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314 §3).
//!
//! Identifiers are addresses of accounts here, and `anyone`; with `-` before them, rights are denied.
//! There are no groups.

use waxwing_message::Address;
use waxwing_store::{Grant, GrantChange, GrantError, Grantee, Rights};

use crate::access::{self, Act, Place};
use crate::connection::Connection;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;
use crate::wire::out::Out;
use crate::wire::parse_acl::RightsChange;

/// SETACL.
pub async fn set(
    session: &Session,
    mailbox: &[u8],
    identifier: &[u8],
    change: RightsChange,
) -> Done {
    let change = match change {
        RightsChange::Set(rights) => GrantChange::Set(rights),
        RightsChange::Add(rights) => GrantChange::Add(rights),
        RightsChange::Take(rights) => GrantChange::Take(rights),
    };
    alter(session, mailbox, identifier, change).await?;
    Ok(Tagged::ok("Granted"))
}

/// DELETEACL.
pub async fn delete(session: &Session, mailbox: &[u8], identifier: &[u8]) -> Done {
    alter(session, mailbox, identifier, GrantChange::Forget).await?;
    Ok(Tagged::ok("Forgotten"))
}

async fn alter(
    session: &Session,
    mailbox: &[u8],
    identifier: &[u8],
    change: GrantChange,
) -> Result<(), Fail> {
    let place = access::open(session, mailbox, Act::Administer).await?;
    let (grantee, negative) = grantee(session, identifier).await?;
    let changed = session.store.change_grant(place.mailbox.id, grantee, negative, change).await;
    changed.map_err(|error| match error {
        GrantError::NotFound => Fail::no("NONEXISTENT", "The mailbox or the account is gone"),
        GrantError::TooMany => Fail::no("LIMIT", "That mailbox is shared with too many already"),
        GrantError::Store(error) => error.into(),
    })
}

/// GETACL. The owner stands first, also where nothing was said of the owner.
pub async fn get(connection: &mut Connection<'_>, session: &Session, mailbox: &[u8]) -> Done {
    let place = access::open(session, mailbox, Act::Administer).await?;
    let owner = owner_of(session, &place).await?;
    let grants = session.store.grants(place.mailbox.id).await?;
    let owners = |grant: &&Grant| grant.address.as_ref() == Some(&owner);
    let said = grants.iter().filter(owners).find(|grant| !grant.negative);
    let rights = said.map_or(Rights::ALL, |grant| grant.rights).with(Rights::OWNERS);
    let out = &mut connection.out;
    out.raw("* ACL ").mailbox(&place.mailbox.name);
    pair(out, &owner.to_string(), false, rights);
    for grant in grants.iter().filter(|grant| !owners(grant) || grant.negative) {
        let who = grant.address.as_ref().map_or("anyone".into(), ToString::to_string);
        pair(out, &who, grant.negative, grant.rights);
    }
    out.line_end();
    Ok(Tagged::ok("Those are the rights"))
}

fn pair(out: &mut Out, who: &str, negative: bool, rights: Rights) {
    let sign = if negative { "-" } else { "" };
    out.raw(" ").string(format!("{sign}{who}").as_bytes()).raw(" ").raw(letters(rights));
}

/// LISTRIGHTS: each right can be granted by itself; the owner cannot lose two of them.
pub async fn list(
    connection: &mut Connection<'_>,
    session: &Session,
    mailbox: &[u8],
    identifier: &[u8],
) -> Done {
    let place = access::open(session, mailbox, Act::Administer).await?;
    let (grantee, negative) = grantee(session, identifier).await?;
    let is_owner = grantee == Grantee::Account(place.mailbox.account);
    let always = if is_owner && !negative { Rights::OWNERS } else { Rights::NONE };
    let optional = if is_owner { Rights::ALL.without(Rights::OWNERS) } else { Rights::ALL };
    let out = &mut connection.out;
    out.raw("* LISTRIGHTS ").mailbox(&place.mailbox.name).raw(" ");
    // RFC 4314 §3.4: as the client wrote it.
    out.string(identifier).raw(" ").string(always.to_string().as_bytes());
    // RFC 4314 §2.1.1: `c` and `d` are tied to nothing, as those that they stand for.
    for letter in letters(optional).chars() {
        out.raw(" ").raw([letter as u8]);
    }
    out.line_end();
    Ok(Tagged::ok("Those can be granted"))
}

/// MYRIGHTS.
pub async fn mine(connection: &mut Connection<'_>, session: &Session, mailbox: &[u8]) -> Done {
    let place = access::open(session, mailbox, Act::MyRights).await?;
    write_mine(&mut connection.out, &place);
    Ok(Tagged::ok("Those are yours"))
}

/// `* MYRIGHTS name rights`.
pub fn write_mine(out: &mut Out, place: &Place) {
    out.raw("* MYRIGHTS ").mailbox(&place.mailbox.name).raw(" ");
    out.string(letters(place.rights).as_bytes()).line_end();
}

/// RFC 4314 §2.1.1: with the virtual rights, for clients of RFC 2086.
fn letters(rights: Rights) -> String {
    let mut letters = rights.to_string();
    if rights.has_any(Rights::CREATE.with(Rights::DELETE_MAILBOX)) {
        letters.push('c');
    }
    if rights.has_any(Rights::EXPUNGE.with(Rights::DELETE_MESSAGES)) {
        letters.push('d');
    }
    letters
}

async fn owner_of(session: &Session, place: &Place) -> Result<Address, Fail> {
    let owner = session.store.account(place.mailbox.account).await?;
    let owner = owner.ok_or_else(|| Fail::no("NONEXISTENT", "The mailbox is gone"))?;
    Ok(owner.address)
}

/// Whom an identifier means, and whether rights are denied to them (RFC 4314 §2).
async fn grantee(session: &Session, identifier: &[u8]) -> Result<(Grantee, bool), Fail> {
    let text = std::str::from_utf8(identifier).unwrap_or_default();
    let (text, negative) = text.strip_prefix('-').map_or((text, false), |text| (text, true));
    // RFC 4314 §3: prepared; what is nothing then is BAD.
    let text = waxwing_sasl::prepare_password(text);
    if text.is_empty() {
        return Err(Fail::bad("An identifier is an account's address, or anyone"));
    }
    if *text == "anyone" {
        return Ok((Grantee::Anyone, negative));
    }
    let none = || Fail::no("NONEXISTENT", "There is no account of that address: write it in full");
    let address = Address::parse(&text).map_err(|_| none())?;
    let account = session.store.account_by_address(&address).await?.ok_or_else(none)?;
    Ok((Grantee::Account(account.id), negative))
}
