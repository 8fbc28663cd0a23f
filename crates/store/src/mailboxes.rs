//! Mailboxes: names, roles, counters, subscriptions.
//!
//! A name is a path of levels parted by `/`, in Unicode NFC (RFC 9051 §5.1, RFC 5198). The inbox is
//! exactly `INBOX`; as the first level it is recognised in any case.

use jiff::Timestamp;
use unicode_normalization::UnicodeNormalization as _;

use crate::engine::{Param, Repeat, Row, Tx, params};
use crate::happened::{note_departures, note_lost_mailbox};
use crate::instant::{count, count32, micros};
use crate::keywords::Keywords;
use crate::messages::{FlagMask, Transfer, drop_places, next_modseq, transfer_in};
use crate::sharing::inherit;
use crate::{AccountId, AppendError, ModSeq, Store, StoreError, Uid};

/// Octets in a level of a name.
const LEVEL_OCTETS_MAX: usize = 255;
/// Octets in a name.
const NAME_OCTETS_MAX: usize = 1_000;
/// Levels in a name.
const LEVELS_MAX: usize = 32;
/// Mailboxes in an account.
const MAILBOXES_MAX: usize = 10_000;

/// Names a mailbox for ever: a new one of the same name has another id (RFC 8474 MAILBOXID).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxId(pub i64);

/// What a mailbox is for: RFC 6154 and RFC 8621 §10.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Where mail arrives.
    Inbox,
    /// Unfinished messages.
    Drafts,
    /// What was sent.
    Sent,
    /// Unwanted mail.
    Junk,
    /// To be removed for good.
    Trash,
    /// Out of the way.
    Archive,
    /// Everything.
    All,
    /// What is flagged.
    Flagged,
    /// What is important.
    Important,
}

impl Role {
    const ALL: [Role; 9] = [
        Role::Inbox,
        Role::Drafts,
        Role::Sent,
        Role::Junk,
        Role::Trash,
        Role::Archive,
        Role::All,
        Role::Flagged,
        Role::Important,
    ];

    /// The special-use attribute that says so (RFC 6154 §2, RFC 8457 §3), such as `\\Sent`. INBOX needs
    /// none.
    pub fn special_use(self) -> Option<&'static str> {
        Some(match self {
            Role::Inbox => return None,
            Role::Drafts => "\\Drafts",
            Role::Sent => "\\Sent",
            Role::Junk => "\\Junk",
            Role::Trash => "\\Trash",
            Role::Archive => "\\Archive",
            Role::All => "\\All",
            Role::Flagged => "\\Flagged",
            Role::Important => "\\Important",
        })
    }

    /// The role that a special-use attribute says, in any case and with its backslash.
    pub fn of_special_use(attribute: &str) -> Option<Role> {
        let says = |role: &Role| {
            role.special_use().is_some_and(|said| said.eq_ignore_ascii_case(attribute))
        };
        Role::ALL.into_iter().find(says)
    }

    /// As stored: never renumber.
    pub(crate) fn code(self) -> i64 {
        match self {
            Role::Inbox => 1,
            Role::Drafts => 2,
            Role::Sent => 3,
            Role::Junk => 4,
            Role::Trash => 5,
            Role::Archive => 6,
            Role::All => 7,
            Role::Flagged => 8,
            Role::Important => 9,
        }
    }

    pub(crate) fn of_code(code: i64) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.code() == code)
    }
}

/// What a new account begins with.
const FIRST_MAILBOXES: [(&str, Role); 6] = [
    (INBOX, Role::Inbox),
    ("Drafts", Role::Drafts),
    ("Sent", Role::Sent),
    ("Junk", Role::Junk),
    ("Trash", Role::Trash),
    ("Archive", Role::Archive),
];

const INBOX: &str = "INBOX";
/// Names that an account can subscribe to: they need not exist, so nothing else bounds them.
const SUBSCRIPTIONS_MAX: i64 = 10_000;

/// A mailbox and its counters.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// For ever.
    pub id: MailboxId,
    /// Whose.
    pub account: AccountId,
    /// UTF-8 path, levels parted by `/`; the inbox is exactly `INBOX`.
    pub name: String,
    /// What it is for.
    pub role: Option<Role>,
    /// Changes when UIDs lose their meaning (RFC 9051 §2.3.1.1): never, while the id is the same.
    pub uid_validity: u32,
    /// The next message gets this one or a greater one.
    pub uid_next: Uid,
    /// In the list of subscriptions.
    pub subscribed: bool,
    /// Messages.
    pub total: u32,
    /// Those without \Seen.
    pub unseen: u32,
    /// Those with \Deleted.
    pub deleted: u32,
    /// Octets of all.
    pub octets: u64,
    /// Of the last change in it.
    pub highest_modseq: ModSeq,
    /// Where its owner wants it among others: those with lower numbers come before.
    pub sort_order: u32,
    /// When it was made; 0: before this was kept.
    pub created_modseq: ModSeq,
    /// Of the last change of the mailbox itself: name, role, order, subscription, grants.
    pub changed_modseq: ModSeq,
}

/// Why a mailbox operation was refused.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// There is one already.
    #[error("a mailbox of that name exists")]
    Exists,
    /// There is none.
    #[error("no such mailbox")]
    NotFound,
    /// Empty level, control characters, too long (255 octets a level, 1,000 in all), too deep.
    #[error("that is not a possible mailbox name: {0}")]
    BadName(String),
    /// INBOX cannot be deleted.
    #[error("{0}")]
    Refused(String),
    /// More than an account may have.
    #[error("too many mailboxes")]
    TooMany,
    /// The store could not do its work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// In order of name, INBOX first.
    pub async fn mailboxes(&self, account: AccountId) -> Result<Vec<Mailbox>, StoreError> {
        let engine = &self.inner.engine;
        engine.read(account, |tx, account| Box::pin(own_mailboxes(tx, *account))).await
    }

    /// By id.
    pub async fn mailbox(&self, id: MailboxId) -> Result<Option<Mailbox>, StoreError> {
        let engine = &self.inner.engine;
        engine
            .read(id, |tx, id| {
                let id = id.0;
                Box::pin(async move { tx.row(BY_ID, params![id], mailbox_row).await })
            })
            .await
    }

    /// `inbox` in any case is INBOX.
    pub async fn mailbox_by_name(
        &self,
        account: AccountId,
        name: &str,
    ) -> Result<Option<Mailbox>, StoreError> {
        let Ok(name) = canonical(name) else { return Ok(None) };
        let engine = &self.inner.engine;
        engine
            .read((account, name), |tx, (account, name)| Box::pin(by_name(tx, *account, name)))
            .await
    }

    /// Missing parents are made too (RFC 9051 §6.3.4).
    pub async fn create_mailbox(
        &self,
        account: AccountId,
        name: &str,
        role: Option<Role>,
    ) -> Result<Mailbox, MailboxError> {
        let asked = (account, canonical(name)?, role);
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (account, name, role)| {
                Box::pin(create_in(tx, *account, name, *role))
            })
            .await
    }

    /// Children and subscriptions move along. Renaming INBOX moves its messages to a new mailbox
    /// (RFC 9051 §6.3.6).
    pub async fn rename_mailbox(
        &self,
        account: AccountId,
        from: &str,
        to: &str,
    ) -> Result<(), MailboxError> {
        let asked = (account, canonical(from)?, canonical(to)?, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (account, from, to, now)| {
                Box::pin(rename_in(tx, *account, from, to, *now))
            })
            .await
    }

    /// With its messages; children stay.
    pub async fn delete_mailbox(&self, account: AccountId, name: &str) -> Result<(), MailboxError> {
        let asked = (account, canonical(name)?, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (account, name, now)| {
                Box::pin(delete_in(tx, *account, name, *now))
            })
            .await
    }

    /// A subscription may name a mailbox that does not exist (RFC 9051 §6.3.7).
    pub async fn set_subscribed(
        &self,
        account: AccountId,
        name: &str,
        subscribed: bool,
    ) -> Result<(), MailboxError> {
        let asked = (account, canonical(name)?, subscribed);
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Harmless, |tx, (account, name, subscribed)| {
                Box::pin(subscribe_in(tx, *account, name, *subscribed))
            })
            .await
    }

    /// Subscribed names, existing or not, in order.
    pub async fn subscriptions(&self, account: AccountId) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT name FROM subscriptions WHERE account = ?1 ORDER BY name";
        let engine = &self.inner.engine;
        engine
            .read(account, |tx, account| {
                let account = account.0;
                Box::pin(async move { tx.rows(SQL, params![account], |row| row.text(0)).await })
            })
            .await
    }

    /// Keywords ever used in the mailbox, for the FLAGS response.
    pub async fn mailbox_keywords(&self, id: MailboxId) -> Result<Vec<String>, StoreError> {
        let engine = &self.inner.engine;
        engine.read_brief(id, |tx, id| Box::pin(keywords_in(tx, *id))).await
    }
}

/// The canonical form of a name, or why it cannot be one.
pub(crate) fn canonical(name: &str) -> Result<String, MailboxError> {
    let bad = |why: &str| Err(MailboxError::BadName(why.to_owned()));
    if name.len() > NAME_OCTETS_MAX * 2 {
        return bad("it is too long");
    }
    let mut name: String = name.nfc().collect();
    if name.len() > NAME_OCTETS_MAX {
        return bad("it is too long");
    }
    if name.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return bad("it has a control character");
    }
    if name.split('/').any(str::is_empty) {
        return bad("a level of it is empty");
    }
    if name.split('/').any(|level| level.len() > LEVEL_OCTETS_MAX) {
        return bad("a level of it is too long");
    }
    if name.split('/').count() > LEVELS_MAX {
        return bad("it has too many levels");
    }
    let first = name.split('/').next().unwrap_or_default();
    if first.eq_ignore_ascii_case(INBOX) {
        name.replace_range(..INBOX.len(), INBOX);
    }
    Ok(name)
}

// ── Reading ─────────────────────────────────────────────────────────────────────────────────────

macro_rules! select_mailboxes {
    ($where:literal) => {
        concat!(
            "SELECT m.id, m.account, m.name, m.role, m.uid_validity, m.uid_next, m.total, m.unseen, \
             m.deleted, m.octets, m.highest_modseq, s.account, m.sort_order, m.created_modseq, \
             m.changed_modseq FROM mailboxes m \
             LEFT JOIN subscriptions s ON s.account = m.account AND s.name = m.name WHERE ",
            $where
        )
    };
}
const BY_ACCOUNT: &str = select_mailboxes!("m.account = ?1");
const BY_ID: &str = select_mailboxes!("m.id = ?1");
const BY_NAME: &str = select_mailboxes!("m.account = ?1 AND m.name = ?2");

pub(crate) fn mailbox_row(row: &Row<'_>) -> Result<Mailbox, StoreError> {
    let role = row.opt_int(3)?.map(|code| {
        Role::of_code(code).ok_or_else(|| StoreError::Damaged(format!("{code} is not a role")))
    });
    Ok(Mailbox {
        id: MailboxId(row.int(0)?),
        account: AccountId(row.int(1)?),
        name: row.text(2)?,
        role: role.transpose()?,
        uid_validity: count32(row.int(4)?)?,
        uid_next: Uid(count32(row.int(5)?)?),
        total: count32(row.int(6)?)?,
        unseen: count32(row.int(7)?)?,
        deleted: count32(row.int(8)?)?,
        octets: count(row.int(9)?)?,
        highest_modseq: ModSeq(count(row.int(10)?)?),
        subscribed: row.opt_int(11)?.is_some(),
        sort_order: count32(row.int(12)?)?,
        created_modseq: ModSeq(count(row.int(13)?)?),
        changed_modseq: ModSeq(count(row.int(14)?)?),
    })
}

/// INBOX first, then by name.
pub(crate) fn in_order(name: &str) -> (bool, String) {
    (name != INBOX, name.to_owned())
}

/// In order.
pub(crate) async fn own_mailboxes(tx: &Tx, account: AccountId) -> Result<Vec<Mailbox>, StoreError> {
    let mut all = tx.rows(BY_ACCOUNT, params![account.0], mailbox_row).await?;
    all.sort_by(|a: &Mailbox, b: &Mailbox| {
        (a.name != INBOX, &a.name).cmp(&(b.name != INBOX, &b.name))
    });
    Ok(all)
}

pub(crate) async fn mailbox_by_id(tx: &Tx, id: MailboxId) -> Result<Option<Mailbox>, StoreError> {
    tx.row(BY_ID, params![id.0], mailbox_row).await
}

pub(crate) async fn by_name(
    tx: &Tx,
    account: AccountId,
    name: &str,
) -> Result<Option<Mailbox>, StoreError> {
    tx.row(BY_NAME, params![account.0, name], mailbox_row).await
}

/// Id and name of every mailbox.
async fn names(tx: &Tx, account: AccountId) -> Result<Vec<(i64, String)>, StoreError> {
    const SQL: &str = "SELECT id, name FROM mailboxes WHERE account = ?1";
    tx.rows(SQL, params![account.0], |row| Ok((row.int(0)?, row.text(1)?))).await
}

/// The mailbox of that name in any case, the exact one first: for plus addressing. Never one with a
/// role: outsiders choose this name, and Sent, Drafts and Trash are what their owner put there.
pub(crate) async fn find_without_case(
    tx: &Tx,
    account: AccountId,
    name: &str,
) -> Result<Option<i64>, StoreError> {
    const SQL: &str = "SELECT id, name FROM mailboxes WHERE account = ?1 AND role IS NULL";
    let Ok(name) = canonical(name) else { return Ok(None) };
    let folded = name.to_lowercase();
    let mut found = tx.rows(SQL, params![account.0], |row| Ok((row.int(0)?, row.text(1)?))).await?;
    found.retain(|(_, other)| other.to_lowercase() == folded);
    found.sort_by_key(|(id, other)| (*other != name, *id));
    Ok(found.first().map(|(id, _)| *id))
}

/// A mailbox by its exact name; where there is none and `create` says so, a new one. `None` also when
/// there cannot be one of that name.
pub(crate) async fn find_or_make(
    tx: &Tx,
    account: AccountId,
    name: &str,
    create: bool,
) -> Result<Option<i64>, StoreError> {
    let Ok(name) = canonical(name) else { return Ok(None) };
    if let Some(found) = by_name(tx, account, &name).await? {
        return Ok(Some(found.id.0));
    }
    if !create {
        return Ok(None);
    }
    match create_in(tx, account, &name, None).await {
        Ok(made) => Ok(Some(made.id.0)),
        Err(MailboxError::Store(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

async fn keywords_in(tx: &Tx, id: MailboxId) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "SELECT account, keywords FROM mailboxes WHERE id = ?1";
    let found = tx
        .row(SQL, params![id.0], |row| Ok((AccountId(row.int(0)?), row.bytes(1)?.to_vec())))
        .await?;
    let Some((account, packed)) = found else { return Ok(Vec::new()) };
    let list = Keywords::load(tx, account).await?.list(&packed);
    Ok(list.iter().flat_map(|list| list.iter()).map(|name| name.to_string()).collect())
}

// ── Writing ─────────────────────────────────────────────────────────────────────────────────────

/// What a new account begins with. All are subscribed.
pub(crate) async fn create_first(tx: &Tx, account: AccountId) -> Result<(), StoreError> {
    let modseq = next_modseq(tx, account, 0, 0).await?;
    for (name, role) in FIRST_MAILBOXES {
        insert(tx, account, name, Some(role), modseq).await?;
        subscribe_rows(tx, account, name, true).await?;
    }
    Ok(())
}

async fn insert(
    tx: &Tx,
    account: AccountId,
    name: &str,
    role: Option<Role>,
    modseq: i64,
) -> Result<MailboxId, StoreError> {
    const VALIDITY: &str = "UPDATE counters SET value = value + 1 WHERE name = ?1 RETURNING value";
    const INSERT: &str = "INSERT INTO mailboxes (account, name, role, uid_validity, uid_next, \
        total, unseen, deleted, octets, highest_modseq, forgotten_modseq, keywords, created_modseq, \
        changed_modseq) VALUES (?1, ?2, ?3, ?4, 1, 0, 0, 0, 0, ?5, 0, ?6, ?5, ?5) RETURNING id";
    let none = || StoreError::Damaged("no counter for UIDVALIDITY".into());
    let validity = tx.row(VALIDITY, params!["uid_validity"], |row| row.int(0)).await?;
    let validity = count32(validity.ok_or_else(none)?)?;
    let role = role.map(Role::code);
    let values = params![account.0, name, role, i64::from(validity), modseq, &[0u8; 0]];
    let id = tx.row(INSERT, values, |row| row.int(0)).await?;
    note_below(tx, account, name, modseq).await?;
    id.map(MailboxId).ok_or_else(|| StoreError::Unavailable("an insertion gave no id".into()))
}

/// Mailboxes below that name are another's children by now, or nobody's.
async fn note_below(
    tx: &Tx,
    account: AccountId,
    name: &str,
    modseq: i64,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE mailboxes SET changed_modseq = ?3 \
        WHERE account = ?1 AND substr(name, 1, length(?2)) = ?2";
    tx.run(SQL, params![account.0, &format!("{name}/"), modseq]).await.map(drop)
}

/// The mailbox itself is another by now: its name, say.
pub(crate) async fn note_changed(
    tx: &Tx,
    mailbox: MailboxId,
    modseq: i64,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE mailboxes SET changed_modseq = ?2 WHERE id = ?1";
    tx.run(SQL, params![mailbox.0, modseq]).await.map(drop)
}

/// Makes a mailbox and those of its parents that are missing.
async fn create_in(
    tx: &Tx,
    account: AccountId,
    name: &str,
    role: Option<Role>,
) -> Result<Mailbox, MailboxError> {
    let modseq = lock(tx, account).await?;
    if by_name(tx, account, name).await?.is_some() {
        return Err(MailboxError::Exists);
    }
    if let Some(role) = role {
        const SQL: &str = "SELECT name FROM mailboxes WHERE account = ?1 AND role = ?2";
        let taken = tx.row(SQL, params![account.0, role.code()], |row| row.text(0)).await?;
        if let Some(taken) = taken {
            return Err(MailboxError::Refused(format!("{taken} has that role already")));
        }
    }
    make_parents(tx, account, name, modseq).await?;
    let id = insert(tx, account, name, role, modseq).await?;
    inherit(tx, account, id, name).await?;
    by_name(tx, account, name).await?.ok_or(MailboxError::NotFound)
}

/// Locks the account (and takes a modseq: what a listing shows changes).
async fn lock(tx: &Tx, account: AccountId) -> Result<i64, MailboxError> {
    Ok(next_modseq(tx, account, 0, 0).await?)
}

async fn make_parents(
    tx: &Tx,
    account: AccountId,
    name: &str,
    modseq: i64,
) -> Result<(), MailboxError> {
    let existing = names(tx, account).await?;
    let missing: Vec<&str> = name
        .match_indices('/')
        .map(|(at, _)| &name[..at])
        .filter(|parent| existing.iter().all(|(_, other)| other != parent))
        .collect();
    if existing.len() + missing.len() >= MAILBOXES_MAX {
        return Err(MailboxError::TooMany);
    }
    for parent in missing {
        let id = insert(tx, account, parent, None, modseq).await?;
        inherit(tx, account, id, parent).await?;
    }
    Ok(())
}

pub(crate) async fn rename_in(
    tx: &Tx,
    account: AccountId,
    from: &str,
    to: &str,
    now: i64,
) -> Result<(), MailboxError> {
    let modseq = lock(tx, account).await?;
    let source = by_name(tx, account, from).await?.ok_or(MailboxError::NotFound)?;
    if by_name(tx, account, to).await?.is_some() {
        return Err(MailboxError::Exists);
    }
    if from == INBOX {
        return empty_inbox(tx, &source, to, modseq, now).await;
    }
    let below = format!("{from}/");
    if to.starts_with(&below) {
        return Err(MailboxError::Refused("a mailbox cannot be moved below itself".into()));
    }
    make_parents(tx, account, to, modseq).await?;
    const RENAME: &str = "UPDATE mailboxes SET name = ?2 WHERE id = ?1";
    note_below(tx, account, to, modseq).await?;
    for (id, old) in names(tx, account).await? {
        let Some(rest) = old.strip_prefix(&below) else { continue };
        let new = canonical(&format!("{to}/{rest}"))?;
        if by_name(tx, account, &new).await?.is_some() {
            return Err(MailboxError::Exists);
        }
        tx.run(RENAME, params![id, &new]).await?;
        move_subscription(tx, account, &old, &new).await?;
    }
    tx.run(RENAME, params![source.id.0, to]).await?;
    note_changed(tx, source.id, modseq).await?;
    move_subscription(tx, account, from, to).await?;
    Ok(())
}

/// RFC 9051 §6.3.6: messages go to a new mailbox, INBOX stays, as do its children.
async fn empty_inbox(
    tx: &Tx,
    inbox: &Mailbox,
    to: &str,
    modseq: i64,
    now: i64,
) -> Result<(), MailboxError> {
    const UIDS: &str = "SELECT uid FROM entries WHERE mailbox = ?1 ORDER BY uid";
    make_parents(tx, inbox.account, to, modseq).await?;
    let target = insert(tx, inbox.account, to, None, modseq).await?;
    let uids = tx.rows(UIDS, params![inbox.id.0], |row| row.int(0)).await?;
    let kept = FlagMask::ALL;
    let transfer = Transfer { from: inbox.id, uids, to: target, moved: true, kept, now };
    match transfer_in(tx, &transfer).await {
        Ok(_) => Ok(()),
        Err(AppendError::Store(error)) => Err(error.into()),
        Err(AppendError::NoMailbox | AppendError::OverQuota) => Err(MailboxError::NotFound),
    }
}

async fn move_subscription(
    tx: &Tx,
    account: AccountId,
    from: &str,
    to: &str,
) -> Result<(), StoreError> {
    if subscribe_rows(tx, account, from, false).await? {
        subscribe_rows(tx, account, to, true).await?;
    }
    Ok(())
}

async fn delete_in(tx: &Tx, account: AccountId, name: &str, now: i64) -> Result<(), MailboxError> {
    if name == INBOX {
        return Err(MailboxError::Refused("INBOX cannot be deleted".into()));
    }
    lock(tx, account).await?;
    let mailbox = by_name(tx, account, name).await?.ok_or(MailboxError::NotFound)?;
    remove_rows(tx, account, mailbox.id, now).await?;
    Ok(())
}

/// Removes a mailbox and everything in it, and takes it off the account's counters.
pub(crate) async fn remove_rows(
    tx: &Tx,
    account: AccountId,
    id: MailboxId,
    now: i64,
) -> Result<(), StoreError> {
    const COUNTED: &str = "SELECT octets, total FROM mailboxes WHERE id = ?1";
    const ENTRIES: &str = "DELETE FROM entries WHERE mailbox = ?1 RETURNING message";
    const MAILBOX: &str = "DELETE FROM mailboxes WHERE id = ?1 RETURNING name";
    const SHARED: &str = "UPDATE accounts SET shared_modseq = ?3 WHERE id = ?1 \
        AND EXISTS (SELECT 1 FROM grants WHERE mailbox = ?2)";
    let counted = tx.row(COUNTED, params![id.0], |row| Ok((row.int(0)?, row.int(1)?))).await?;
    let (octets, total) = counted.unwrap_or_default();
    let modseq = next_modseq(tx, account, -octets, -total).await?;
    let messages = tx.rows(ENTRIES, params![id.0], |row| row.int(0)).await?;
    tx.run(SHARED, params![account.0, id.0, modseq]).await?;
    note_departures(tx, account, id, &messages, modseq).await?;
    drop_places(tx, &messages, now).await?;
    if let Some(name) = tx.row(MAILBOX, params![id.0], |row| row.text(0)).await? {
        note_lost_mailbox(tx, account, id, modseq).await?;
        note_below(tx, account, &name, modseq).await?;
    }
    Ok(())
}

async fn subscribe_in(
    tx: &Tx,
    account: AccountId,
    name: &str,
    subscribed: bool,
) -> Result<(), MailboxError> {
    const COUNT: &str = "SELECT COUNT(*) FROM subscriptions WHERE account = ?1 AND name <> ?2";
    let modseq = lock(tx, account).await?;
    if subscribed {
        let others = tx.row(COUNT, params![account.0, name], |row| row.int(0)).await?;
        if others.is_some_and(|others| others >= SUBSCRIPTIONS_MAX) {
            return Err(MailboxError::TooMany);
        }
    }
    if subscribe_rows(tx, account, name, subscribed).await?
        && let Some(mailbox) = by_name(tx, account, name).await?
    {
        note_changed(tx, mailbox.id, modseq).await?;
    }
    Ok(())
}

/// True when that changed something.
pub(crate) async fn subscribe_rows(
    tx: &Tx,
    account: AccountId,
    name: &str,
    subscribed: bool,
) -> Result<bool, StoreError> {
    const ADD: &str =
        "INSERT INTO subscriptions (account, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    const REMOVE: &str = "DELETE FROM subscriptions WHERE account = ?1 AND name = ?2";
    let values = [Param::Int(account.0), Param::Text(name)];
    let changed = tx.run(if subscribed { ADD } else { REMOVE }, &values).await?;
    Ok(changed == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_canonical() {
        assert_eq!(canonical("iNbOx").unwrap(), "INBOX");
        assert_eq!(canonical("inbox/a").unwrap(), "INBOX/a");
        assert_eq!(canonical("Inboxes").unwrap(), "Inboxes");
        assert_eq!(canonical("Cafe\u{301}").unwrap(), "Caf\u{e9}");
    }

    #[test]
    fn roles_are_told_by_their_attributes() {
        // RFC 6154 §2: attributes are names without regard to case.
        assert_eq!(Role::of_special_use("\\jUNK"), Some(Role::Junk));
        assert_eq!(Role::of_special_use("\\Important"), Some(Role::Important));
        for no in ["Junk", "\\Inbox", "\\HasChildren", ""] {
            assert_eq!(Role::of_special_use(no), None, "{no}");
        }
        assert!(Role::ALL.iter().all(|role| {
            role.special_use().is_none_or(|said| Role::of_special_use(said) == Some(*role))
        }));
    }

    #[test]
    fn impossible_names_are_refused() {
        let long_level = "x".repeat(256);
        let long = vec!["x".repeat(200); 6].join("/");
        let deep = ["x"; 33].join("/");
        for name in ["", "/a", "a/", "a//b", "a\nb", "a\u{0}", &long_level, &long, &deep] {
            assert!(matches!(canonical(name), Err(MailboxError::BadName(_))), "{name:?}");
        }
    }

    #[test]
    fn role_codes_come_back() {
        for role in Role::ALL {
            assert_eq!(Role::of_code(role.code()), Some(role));
        }
        assert_eq!(Role::of_code(0), None);
    }
}
