//! Who may do what in a mailbox: rights that its owner, or whom the owner lets, gives to others.
//!
//! A *grant* says of one mailbox what an account, or anyone, may do there; a negative one takes away
//! what others give. What somebody may do is worked out in one place, [`effective`]:
//!
//! | who | rights |
//! |---|---|
//! | the owner | all, or what a grant to the owner says; what `anyone` is given; less what is denied; and always `l` and `a` |
//! | another | what grants to that account and to anyone give, less what is denied to either |
//!
//! The rights have the letters of RFC 4314 §2.1. Grants name accounts by id, so that a new account
//! of an old address inherits nothing. A new mailbox begins with the grants of the one above it.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use waxwing_message::Address;

use crate::changes::ANYONE;
use crate::engine::{Repeat, Row, Tx, params};
use crate::mailboxes::{by_name, canonical, in_order, mailbox_row, note_changed, own_mailboxes};
use crate::messages::{modseq, next_modseq};
use crate::{AccountId, Mailbox, MailboxId, ModSeq, Store, StoreError};

/// Grants on one mailbox.
const GRANTS_MAX: i64 = 1_000;

/// A set of rights, one bit each, in the order in which they are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rights(u16);

impl Rights {
    /// None of them.
    pub const NONE: Rights = Rights(0);
    /// `l`: the mailbox is there.
    pub const LOOKUP: Rights = Rights(1);
    /// `r`: its messages can be read.
    pub const READ: Rights = Rights(1 << 1);
    /// `s`: `\Seen` can be altered.
    pub const SEEN: Rights = Rights(1 << 2);
    /// `w`: flags other than `\Seen` and `\Deleted` can be altered.
    pub const WRITE: Rights = Rights(1 << 3);
    /// `i`: messages can be added.
    pub const INSERT: Rights = Rights(1 << 4);
    /// `p`: mail can be sent to it. Kept for clients; mail has other ways here.
    pub const POST: Rights = Rights(1 << 5);
    /// `k`: mailboxes can be made below it.
    pub const CREATE: Rights = Rights(1 << 6);
    /// `x`: it can be deleted and renamed.
    pub const DELETE_MAILBOX: Rights = Rights(1 << 7);
    /// `t`: `\Deleted` can be altered.
    pub const DELETE_MESSAGES: Rights = Rights(1 << 8);
    /// `e`: messages can be expunged.
    pub const EXPUNGE: Rights = Rights(1 << 9);
    /// `a`: rights can be given and taken.
    pub const ADMINISTER: Rights = Rights(1 << 10);
    /// Every one.
    pub const ALL: Rights = Rights((1 << LETTERS.len()) - 1);
    /// What an owner cannot lose: whoever could would have nobody to ask.
    pub const OWNERS: Rights = Rights(Rights::LOOKUP.0 | Rights::ADMINISTER.0);

    /// All of `other` are in it.
    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }
    /// One of `other` is in it.
    pub const fn has_any(self, other: Rights) -> bool {
        self.0 & other.0 != 0
    }
    /// With those of `other` too.
    pub const fn with(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
    /// Without those of `other`.
    pub const fn without(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }
    /// There are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The letters by bit.
const LETTERS: [u8; 11] = *b"lrswipkxtea";

/// RFC 4314 §2.1, without the virtual rights `c` and `d`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = LETTERS.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1);
        letters
            .map(|(_, letter)| char::from(*letter))
            .try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

/// A letter that is no right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a right: rights are lrswipkxtea")]
pub struct NoSuchRight(pub char);

/// RFC 4314 §2.1.1: `c` stands for `k` and `x`, `d` for `e` and `t`.
impl FromStr for Rights {
    type Err = NoSuchRight;

    fn from_str(letters: &str) -> Result<Rights, NoSuchRight> {
        let one = |letter: char| match letter {
            'c' => Ok(Rights::CREATE.with(Rights::DELETE_MAILBOX)),
            'd' => Ok(Rights::EXPUNGE.with(Rights::DELETE_MESSAGES)),
            _ => {
                let bit = LETTERS.iter().position(|&known| char::from(known) == letter);
                bit.map(|bit| Rights(1 << bit)).ok_or(NoSuchRight(letter))
            }
        };
        letters.chars().try_fold(Rights::NONE, |all, letter| Ok(all.with(one(letter)?)))
    }
}

/// Whom a grant is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grantee {
    /// Every account of this server.
    Anyone,
    /// One of them.
    Account(AccountId),
}

/// What one of them may, or may not, do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whom it is for.
    pub grantee: Grantee,
    /// The account's; `None` for anyone.
    pub address: Option<Address>,
    /// These rights are denied.
    pub negative: bool,
    /// Which.
    pub rights: Rights,
}

/// How a grant is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantChange {
    /// These and no others.
    Set(Rights),
    /// These too.
    Add(Rights),
    /// Not these.
    Take(Rights),
    /// As if nothing had ever been said.
    Forget,
}

/// A mailbox as an account sees it.
#[derive(Debug, Clone)]
pub struct VisibleMailbox {
    /// With its name in its owner's account.
    pub mailbox: Mailbox,
    /// Its owner, if that is another.
    pub owner: Option<Address>,
    /// What the account may do there.
    pub rights: Rights,
}

/// An account as another sees it, or its owner.
#[derive(Debug, Clone)]
pub struct VisibleAccount {
    /// Its address.
    pub address: Address,
    /// Of its last change; for another than its owner, in those mailboxes.
    pub modseq: ModSeq,
    /// When it was last changed what others may do in it.
    pub shared_modseq: ModSeq,
    /// What went before is not known any more.
    pub forgotten_modseq: ModSeq,
    /// Those in which the reader has a right, by name, INBOX first.
    pub mailboxes: Vec<VisibleMailbox>,
}

/// Why a grant was not changed.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The mailbox, or the account, is not there.
    #[error("no such mailbox or account")]
    NotFound,
    /// More than a mailbox may have.
    #[error("too many grants on one mailbox")]
    TooMany,
    /// The store could not do its work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What somebody may do who `is_owner` or not. `grants` are those that concern them: whether each is
/// the owner's own entry, whether it is negative, and its rights.
fn effective(is_owner: bool, grants: impl IntoIterator<Item = (bool, bool, Rights)>) -> Rights {
    let (mut given, mut denied, mut own) = (Rights::NONE, Rights::NONE, None);
    for (personal, negative, rights) in grants {
        match (negative, is_owner && personal) {
            (true, _) => denied = denied.with(rights),
            (false, true) => own = Some(rights),
            (false, false) => given = given.with(rights),
        }
    }
    match is_owner {
        true => given.with(own.unwrap_or(Rights::ALL)).without(denied).with(Rights::OWNERS),
        false => given.without(denied),
    }
}

impl Store {
    /// The mailbox of that name in `owner`'s account, and what `reader` may do there.
    pub async fn mailbox_as(
        &self,
        reader: AccountId,
        owner: AccountId,
        name: &str,
    ) -> Result<Option<(Mailbox, Rights)>, StoreError> {
        let Ok(name) = canonical(name) else { return Ok(None) };
        let engine = &self.inner.engine;
        engine
            .read_brief((reader, owner, name), |tx, (reader, owner, name)| {
                Box::pin(async move {
                    let Some(mailbox) = by_name(tx, *owner, name).await? else { return Ok(None) };
                    let rights = rights_of_one(tx, mailbox.id, *owner, *reader).await?;
                    Ok(Some((mailbox, rights)))
                })
            })
            .await
    }

    /// What an account may do in a mailbox: nothing where there is none.
    pub async fn rights(
        &self,
        mailbox: MailboxId,
        account: AccountId,
    ) -> Result<Rights, StoreError> {
        let engine = &self.inner.engine;
        engine
            .read_brief((mailbox, account), |tx, (mailbox, account)| {
                Box::pin(rights_in(tx, *mailbox, *account))
            })
            .await
    }

    /// Every mailbox of an account, as [`Store::mailboxes`] has them, and those of others in which it
    /// has a right, by owner and name.
    pub async fn visible_mailboxes(
        &self,
        account: AccountId,
    ) -> Result<Vec<VisibleMailbox>, StoreError> {
        let engine = &self.inner.engine;
        engine.read(account, |tx, account| Box::pin(visible_in(tx, *account))).await
    }

    /// An account as `reader` sees it, at one moment: its own, or another's of which only mailboxes with a
    /// right are there. `None`: there is no such account.
    pub async fn visible_account(
        &self,
        reader: AccountId,
        account: AccountId,
    ) -> Result<Option<VisibleAccount>, StoreError> {
        let engine = &self.inner.engine;
        engine
            .read_brief((reader, account), |tx, (reader, account)| {
                Box::pin(visible_account_in(tx, *reader, *account))
            })
            .await
    }

    /// What has been granted on a mailbox: accounts by address, then anyone; of each, what is given
    /// before what is denied. The owner has a grant only where something was said.
    pub async fn grants(&self, mailbox: MailboxId) -> Result<Vec<Grant>, StoreError> {
        const SQL: &str = "SELECT g.grantee, a.address, g.negative, g.rights FROM grants g \
            LEFT JOIN accounts a ON a.id = g.grantee WHERE g.mailbox = ?1 \
            ORDER BY a.address_key IS NULL, a.address_key, g.negative";
        let engine = &self.inner.engine;
        engine
            .read(mailbox, |tx, mailbox| {
                let mailbox = mailbox.0;
                Box::pin(async move { tx.rows(SQL, params![mailbox], grant_row).await })
            })
            .await
    }

    /// Changes one grant. Sessions of the owner and of the grantee are woken; for anyone, those that wait
    /// by [`Store::watch_anyone`].
    pub async fn change_grant(
        &self,
        mailbox: MailboxId,
        grantee: Grantee,
        negative: bool,
        change: GrantChange,
    ) -> Result<(), GrantError> {
        let asked = (mailbox, grantee, negative, change);
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Harmless, |tx, (mailbox, grantee, negative, change)| {
                Box::pin(change_in(tx, *mailbox, *grantee, *negative, *change))
            })
            .await
    }
}

// ── Reading ─────────────────────────────────────────────────────────────────────────────────────

fn rights_of(code: i64) -> Result<Rights, StoreError> {
    let known = u16::try_from(code).ok().map(Rights).filter(|rights| Rights::ALL.contains(*rights));
    known.ok_or_else(|| StoreError::Damaged(format!("{code} is not a set of rights")))
}

fn grant_row(row: &Row<'_>) -> Result<Grant, StoreError> {
    let address = row.opt_text(1)?.map(|text| stored_address(&text)).transpose()?;
    let grantee = row.opt_int(0)?;
    Ok(Grant {
        grantee: grantee.map_or(Grantee::Anyone, |id| Grantee::Account(AccountId(id))),
        address,
        negative: row.flag(2)?,
        rights: rights_of(row.int(3)?)?,
    })
}

fn stored_address(text: &str) -> Result<Address, StoreError> {
    Address::parse(text).map_err(|e| StoreError::Damaged(format!("address {text:?}: {e}")))
}

async fn rights_in(tx: &Tx, mailbox: MailboxId, account: AccountId) -> Result<Rights, StoreError> {
    const OWNER: &str = "SELECT account FROM mailboxes WHERE id = ?1";
    match tx.row(OWNER, params![mailbox.0], |row| row.int(0)).await? {
        Some(owner) => rights_of_one(tx, mailbox, AccountId(owner), account).await,
        None => Ok(Rights::NONE),
    }
}

async fn rights_of_one(
    tx: &Tx,
    mailbox: MailboxId,
    owner: AccountId,
    account: AccountId,
) -> Result<Rights, StoreError> {
    const SQL: &str = "SELECT grantee, negative, rights FROM grants \
        WHERE mailbox = ?1 AND (grantee IS NULL OR grantee = ?2)";
    let grants = tx
        .rows(SQL, params![mailbox.0, account.0], |row| {
            Ok((row.opt_int(0)?.is_some(), row.flag(1)?, rights_of(row.int(2)?)?))
        })
        .await?;
    Ok(effective(owner == account, grants))
}

/// Grants that concern one account, by mailbox.
type Concerning = HashMap<MailboxId, Vec<(bool, bool, Rights)>>;

async fn visible_in(tx: &Tx, account: AccountId) -> Result<Vec<VisibleMailbox>, StoreError> {
    const GRANTS: &str = "SELECT mailbox, grantee, negative, rights FROM grants \
        WHERE grantee IS NULL OR grantee = ?1";
    const SHARED: &str = "SELECT m.id, m.account, m.name, m.role, m.uid_validity, m.uid_next, \
        m.total, m.unseen, m.deleted, m.octets, m.highest_modseq, s.account, m.sort_order, \
        m.created_modseq, m.changed_modseq, a.address FROM mailboxes m JOIN accounts a ON a.id = m.account \
        LEFT JOIN subscriptions s ON s.account = m.account AND s.name = m.name \
        WHERE m.account <> ?1 AND m.id IN (SELECT mailbox FROM grants \
        WHERE negative = 0 AND (grantee IS NULL OR grantee = ?1))";
    let mut grants = Concerning::new();
    tx.each(GRANTS, params![account.0], |row| {
        let grant = (row.opt_int(1)?.is_some(), row.flag(2)?, rights_of(row.int(3)?)?);
        grants.entry(MailboxId(row.int(0)?)).or_default().push(grant);
        Ok(true)
    })
    .await?;
    let mut rights = |id: MailboxId, own| effective(own, grants.remove(&id).unwrap_or_default());
    let own = own_mailboxes(tx, account).await?.into_iter().map(|mailbox| {
        let rights = rights(mailbox.id, true);
        VisibleMailbox { mailbox, owner: None, rights }
    });
    let mut all: Vec<VisibleMailbox> = own.collect();
    let shared = tx
        .rows(SHARED, params![account.0], |row| {
            Ok((mailbox_row(row)?, stored_address(&row.text(15)?)?))
        })
        .await?;
    let mut shared: Vec<VisibleMailbox> = shared
        .into_iter()
        .map(|(mailbox, owner)| {
            let rights = rights(mailbox.id, false);
            VisibleMailbox { mailbox, owner: Some(owner), rights }
        })
        .filter(|visible| !visible.rights.is_empty())
        .collect();
    let owner = |visible: &VisibleMailbox| visible.owner.as_ref().map(ToString::to_string);
    shared.sort_by_cached_key(|visible| (owner(visible), in_order(&visible.mailbox.name)));
    all.append(&mut shared);
    Ok(all)
}

pub(crate) async fn visible_account_in(
    tx: &Tx,
    reader: AccountId,
    account: AccountId,
) -> Result<Option<VisibleAccount>, StoreError> {
    const ACCOUNT: &str =
        "SELECT address, modseq, shared_modseq, forgotten_modseq FROM accounts WHERE id = ?1";
    const GRANTS: &str = "SELECT g.mailbox, g.grantee, g.negative, g.rights FROM grants g \
        JOIN mailboxes m ON m.id = g.mailbox \
        WHERE m.account = ?1 AND (g.grantee IS NULL OR g.grantee = ?2)";
    let found = tx
        .row(ACCOUNT, params![account.0], |row| {
            let moments = [modseq(row.int(1)?)?, modseq(row.int(2)?)?, modseq(row.int(3)?)?];
            Ok((stored_address(&row.text(0)?)?, moments))
        })
        .await?;
    let Some((address, [modseq, shared_modseq, forgotten_modseq])) = found else { return Ok(None) };
    let mut grants = Concerning::new();
    tx.each(GRANTS, params![account.0, reader.0], |row| {
        let grant = (row.opt_int(1)?.is_some(), row.flag(2)?, rights_of(row.int(3)?)?);
        grants.entry(MailboxId(row.int(0)?)).or_default().push(grant);
        Ok(true)
    })
    .await?;
    let owner = (reader != account).then_some(&address);
    let all = own_mailboxes(tx, account).await?.into_iter().map(|mailbox| {
        let concerning = grants.remove(&mailbox.id).unwrap_or_default();
        let rights = effective(owner.is_none(), concerning);
        VisibleMailbox { mailbox, owner: owner.cloned(), rights }
    });
    let mailboxes: Vec<_> = all.filter(|visible| !visible.rights.is_empty()).collect();
    // What happens where another may not look is not for them to know.
    let seen =
        mailboxes.iter().map(|one| one.mailbox.highest_modseq.max(one.mailbox.changed_modseq));
    let modseq = match owner {
        None => modseq,
        Some(_) => seen.max().unwrap_or(shared_modseq).max(shared_modseq),
    };
    Ok(Some(VisibleAccount { address, modseq, shared_modseq, forgotten_modseq, mailboxes }))
}

// ── Writing ─────────────────────────────────────────────────────────────────────────────────────

async fn change_in(
    tx: &Tx,
    mailbox: MailboxId,
    grantee: Grantee,
    negative: bool,
    change: GrantChange,
) -> Result<(), GrantError> {
    const OWNER: &str = "SELECT account FROM mailboxes WHERE id = ?1";
    const SHARED: &str = "UPDATE accounts SET shared_modseq = ?2 WHERE id = ?1";
    const ACCOUNT: &str = "SELECT id FROM accounts WHERE id = ?1";
    const COUNT: &str = "SELECT COUNT(*) FROM grants WHERE mailbox = ?1";
    const BEFORE: &str = "SELECT rights FROM grants \
        WHERE mailbox = ?1 AND COALESCE(grantee, 0) = ?2 AND negative = ?3";
    const REMOVE: &str = "DELETE FROM grants \
        WHERE mailbox = ?1 AND COALESCE(grantee, 0) = ?2 AND negative = ?3";
    const INSERT: &str = "INSERT INTO grants (mailbox, grantee, negative, rights) \
        VALUES (?1, NULLIF(CAST(?2 AS BIGINT), 0), ?3, ?4)";
    let owner = tx.row(OWNER, params![mailbox.0], |row| row.int(0)).await?;
    let owner = AccountId(owner.ok_or(GrantError::NotFound)?);
    let modseq = next_modseq(tx, owner, 0, 0).await?;
    note_changed(tx, mailbox, modseq).await?;
    tx.run(SHARED, params![owner.0, modseq]).await?;
    let number = match grantee {
        Grantee::Anyone => {
            tx.touch(ANYONE);
            0
        }
        Grantee::Account(account) => {
            let found = tx.row(ACCOUNT, params![account.0], |row| row.int(0)).await?;
            tx.touch(account);
            found.ok_or(GrantError::NotFound)?
        }
    };
    let is_owners = number == owner.0 && !negative;
    let before = tx.row(BEFORE, params![mailbox.0, number, negative], |row| row.int(0)).await?;
    let before = before.map(rights_of).transpose()?;
    // What the owner has where nothing was said.
    let known = before.unwrap_or(if is_owners { Rights::ALL } else { Rights::NONE });
    let after = match change {
        GrantChange::Set(rights) => Some(rights),
        GrantChange::Add(rights) => Some(known.with(rights)),
        GrantChange::Take(rights) => Some(known.without(rights)),
        GrantChange::Forget => None,
    };
    tx.run(REMOVE, params![mailbox.0, number, negative]).await?;
    // No rights at all are said of the owner only: of others that is what holds anyway.
    if let Some(after) = after.filter(|after| is_owners || !after.is_empty()) {
        let count = tx.row(COUNT, params![mailbox.0], |row| row.int(0)).await?;
        if count.is_some_and(|count| count >= GRANTS_MAX) {
            return Err(GrantError::TooMany);
        }
        let rights = i64::from(after.0);
        tx.run(INSERT, params![mailbox.0, number, negative, rights]).await?;
    }
    Ok(())
}

/// RFC 4314 §4, CREATE: a new mailbox begins with the grants of the one above it. Those who have them are
/// woken.
pub(crate) async fn inherit(
    tx: &Tx,
    account: AccountId,
    mailbox: MailboxId,
    name: &str,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO grants (mailbox, grantee, negative, rights) \
        SELECT ?1, g.grantee, g.negative, g.rights FROM grants g \
        JOIN mailboxes m ON m.id = g.mailbox WHERE m.account = ?2 AND m.name = ?3";
    const GRANTEES: &str = "SELECT DISTINCT grantee FROM grants WHERE mailbox = ?1";
    let Some((above, _)) = name.rsplit_once('/') else { return Ok(()) };
    tx.run(SQL, params![mailbox.0, account.0, above]).await?;
    let grantees = tx.rows(GRANTEES, params![mailbox.0], |row| row.opt_int(0)).await?;
    grantees.into_iter().for_each(|grantee| tx.touch(grantee.map_or(ANYONE, AccountId)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(letters: &str) -> Rights {
        letters.parse().unwrap()
    }

    #[test]
    fn letters_go_both_ways() {
        assert_eq!(Rights::ALL.to_string(), "lrswipkxtea");
        assert_eq!(rights("aetxkpiwsrl"), Rights::ALL);
        assert_eq!(rights("").to_string(), "");
        assert_eq!(rights("lrcd").to_string(), "lrkxte");
        assert_eq!("lrq".parse::<Rights>(), Err(NoSuchRight('q')));
        assert_eq!("L".parse::<Rights>(), Err(NoSuchRight('L')));
    }

    #[test]
    fn what_somebody_may_do() {
        let all = |grants: &[(bool, bool, &str)], is_owner| {
            let grants = grants.iter().map(|(own, negative, r)| (*own, *negative, rights(r)));
            effective(is_owner, grants).to_string()
        };
        assert_eq!(all(&[], false), "");
        assert_eq!(all(&[], true), "lrswipkxtea");
        // RFC 4314 §2: rights add up; what is denied is taken from the sum.
        assert_eq!(all(&[(true, false, "lr"), (false, false, "lsi")], false), "lrsi");
        assert_eq!(all(&[(true, true, "r"), (false, false, "lr")], false), "l");
        assert_eq!(all(&[(true, false, "lrw"), (false, true, "w")], false), "lr");
        // The owner keeps `l` and `a`.
        assert_eq!(all(&[(true, false, "r")], true), "lra");
        assert_eq!(all(&[(true, false, "")], true), "la");
        assert_eq!(all(&[(false, true, "lrswipkxtea")], true), "la");
        assert_eq!(all(&[(true, false, ""), (false, false, "r")], true), "lra");
    }
}
