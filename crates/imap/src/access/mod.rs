//! Which mailbox a name means to this account, and what the account may do there: the one place
//! where it is decided whose mail is whose.
//!
//! | name | mailbox |
//! |---|---|
//! | `Work/2026` | the account's own |
//! | `Other Users/bob@example.org/Work` | bob's, if bob lets the account know of it |
//!
//! *Other Users* is what RFC 2342 §5 calls that namespace in its examples, so that clients that show
//! names as they are (Thunderbird, Apple Mail) show people a heading that says what it is; and an
//! address is a name that nobody gives a folder of their own. Only names that go on with an address
//! are others': an own mailbox of that name stays what it was.
//!
//! A mailbox on which the account has no `l` does not exist for it: every command answers as if it
//! were not there (RFC 4314 §6). Deviates: RFC 4314 §4 would let those who have only `i` or `r` use a
//! mailbox that they cannot list; here `l` comes before everything.
//!
//! Rights on another's mailbox are read anew for each command, and
//! while it is idle; on an own mailbox they are those of its selection (RFC 4314 §5.1.1).

mod table;

use waxwing_message::Address;
use waxwing_store::{AccountId, Mailbox, Rights};

pub use self::table::{Act, allows, alterable, is_read_only};
use crate::name::{self, DELIMITER};
use crate::reply::Fail;
use crate::session::Session;

/// Before the address of a mailbox's owner.
pub const OTHER_USERS: &str = "Other Users/";

/// A mailbox that exists for the account.
#[derive(Debug)]
pub struct Place {
    /// `name` is what this account calls it.
    pub mailbox: Mailbox,
    /// What its owner calls it.
    pub own_name: String,
    /// What the account may do there.
    pub rights: Rights,
}

impl Place {
    /// Refuses what the rights do not reach.
    pub fn need(&self, act: Act) -> Result<(), Fail> {
        need(self.rights, act)
    }

    /// It belongs to another.
    pub fn is_shared(&self, account: AccountId) -> bool {
        self.mailbox.account != account
    }
}

/// RFC 5530 NOPERM.
pub fn need(rights: Rights, act: Act) -> Result<(), Fail> {
    match allows(rights, act) {
        true => Ok(()),
        false => Err(Fail::no("NOPERM", "You do not have the right to do that in this mailbox")),
    }
}

/// A name as a place in somebody's account.
#[derive(Debug, PartialEq, Eq)]
pub enum Named<'n> {
    /// In the account's own.
    Own(&'n str),
    /// In another's: the owner, and the name there; empty for the owner's root.
    Others(Address, &'n str),
}

/// Parts a name. The address is what stands before the first delimiter behind its first `@`, so that
/// local parts may have a delimiter in them; addresses that cannot be told so are not reachable.
pub fn part(name: &str) -> Named<'_> {
    let others = name.strip_prefix(OTHER_USERS).and_then(|rest| {
        let at = rest.find('@')?;
        let end = rest[at..].find(DELIMITER).map_or(rest.len(), |end| at + end);
        let owner = Address::parse(&rest[..end]).ok()?;
        Some(Named::Others(owner, rest[end..].strip_prefix(DELIMITER).unwrap_or_default()))
    });
    others.unwrap_or(Named::Own(name))
}

/// A name that clients take for one of another's mailboxes, and that is not: no new mailbox gets it.
pub fn is_kept(name: &str) -> bool {
    let root = OTHER_USERS.strip_suffix(DELIMITER).unwrap_or(OTHER_USERS);
    matches!(part(name), Named::Own(_)) && (name == root || name.starts_with(OTHER_USERS))
}

/// What accounts call a mailbox of another. `None`: the owner's address cannot stand in a name.
pub fn name_of(owner: &Address, own_name: &str) -> Option<String> {
    let name = format!("{OTHER_USERS}{owner}{DELIMITER}{own_name}");
    let comes_back = part(&name) == Named::Others(owner.clone(), own_name);
    comes_back.then_some(name)
}

/// Whose account a name leads to, as far as there is one, with the name there and the owner's
/// address if that is another.
pub async fn owner<'n>(
    session: &Session,
    name: &'n str,
) -> Result<Option<(AccountId, &'n str, Option<Address>)>, Fail> {
    let account = session.account()?;
    match part(name) {
        Named::Own(name) => Ok(Some((account, name, None))),
        Named::Others(owner, name) => {
            let found = session.store.account_by_address(&owner).await?;
            // One's own mailboxes have one name, not two.
            let found = found.filter(|found| found.id != account);
            Ok(found.map(|found| (found.id, name, Some(found.address))))
        }
    }
}

/// The mailbox of a name, if it exists for the account.
pub async fn find(session: &Session, wire: &[u8]) -> Result<Option<Place>, Fail> {
    find_named(session, &name::from_wire(wire, session.enabled)?).await
}

/// The same for a name that has been read.
pub async fn find_named(session: &Session, name: &str) -> Result<Option<Place>, Fail> {
    let reader = session.account()?;
    let Some((account, own_name, other)) = owner(session, name).await? else { return Ok(None) };
    let found = session.store.mailbox_as(reader, account, own_name).await?;
    let Some((mut mailbox, rights)) = found.filter(|(_, rights)| allows(*rights, Act::List)) else {
        return Ok(None);
    };
    let own_name = mailbox.name.clone();
    if let Some(other) = other {
        let Some(name) = name_of(&other, &own_name) else { return Ok(None) };
        mailbox.name = name;
        mailbox.role = None;
    }
    Ok(Some(Place { mailbox, own_name, rights }))
}

/// The mailbox of a name, for a command that needs it to be there.
pub async fn open(session: &Session, wire: &[u8], act: Act) -> Result<Place, Fail> {
    let place = find(session, wire).await?;
    let place = place.ok_or_else(no_mailbox)?;
    place.need(act)?;
    Ok(place)
}

/// The answer where it is not.
pub fn no_mailbox() -> Fail {
    Fail::no("NONEXISTENT", "No such mailbox")
}

/// The target of APPEND, COPY and MOVE: one that is missing may be made (RFC 9051 §6.3.12, §6.4.7).
pub async fn target(session: &Session, wire: &[u8]) -> Result<Place, Fail> {
    let place = find(session, wire).await?;
    let place = place.ok_or_else(|| Fail::no("TRYCREATE", "No such mailbox"))?;
    place.need(Act::Insert)?;
    Ok(place)
}

/// Every mailbox that exists for the account, its own first, each by the name it has for it.
pub async fn all(session: &Session) -> Result<Vec<Place>, Fail> {
    let all = session.store.visible_mailboxes(session.account()?).await?;
    let mut places = Vec::with_capacity(all.len());
    for mut visible in all.into_iter().filter(|visible| allows(visible.rights, Act::List)) {
        let own_name = visible.mailbox.name.clone();
        if let Some(owner) = &visible.owner {
            let Some(name) = name_of(owner, &own_name) else { continue };
            visible.mailbox.name = name;
            // RFC 6154 §2: what is for Sent or Trash is the account's own.
            visible.mailbox.role = None;
        }
        places.push(Place { mailbox: visible.mailbox, own_name, rights: visible.rights });
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_have_owners() {
        let address = |text: &str| Address::parse(text).unwrap();
        let others = |owner: &str, name| Named::Others(address(owner), name);
        assert_eq!(part("INBOX"), Named::Own("INBOX"));
        assert_eq!(part("Other Users/mine"), Named::Own("Other Users/mine"));
        assert_eq!(part("Other Users/b@x.test/a/c"), others("b@x.test", "a/c"));
        assert_eq!(part("Other Users/b@x.test"), others("b@x.test", ""));
        assert_eq!(part("Other Users/b/c@x.test/a"), others("b/c@x.test", "a"));
        assert_eq!(part("other users/b@x.test/a"), Named::Own("other users/b@x.test/a"));
        assert!(is_kept("Other Users") && is_kept("Other Users/mine"));
        assert!(!is_kept("Other Users/b@x.test/a") && !is_kept("Others") && !is_kept("Other"));
        assert_eq!(name_of(&address("\"a@b/c\"@x.test"), "a"), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_found(local in "[a-z/+.]{1,9}", name in "[a-z@/ ]{1,9}") {
            if let Ok(owner) = Address::parse(&format!("{local}@x.test"))
                && let Some(shown) = name_of(&owner, &name)
            {
                prop_assert_eq!(part(&shown), Named::Others(owner, &name));
            }
            let _ = part(&name);
        }
    }
}
