//! Messages in mailboxes: listing, flags, copy, move, expunge.
//!
//! A *message* is content that an account has (one row, one blob, one summary); an *entry* is its
//! place in a mailbox, with a UID and flags. A copy is another entry of the same message.
//!
//! Every write here locks the account first (see `engine/postgres.rs`), takes one modseq, and keeps
//! the counters of mailbox and account equal to what a count over the entries would give.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use waxwing_message::{JourneyId, Summary};

use crate::accept::{decode_summary, encode_summary};
use crate::blob::{BlobRow, Content, name_blob, release_blobs, rounds};
use crate::engine::{Param, Repeat, Row, Tx, params};
use crate::instant::{count, count32, micros, timestamp};
use crate::keywords::{self, Keywords, Packed};
use crate::{AccountId, MailboxId, StagedBlob, Store, StoreError};

/// A message's number in its mailbox: given once, never again (RFC 9051 §2.3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(pub u32);
/// Numbers the changes of an account, upward from 1 (RFC 7162 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModSeq(pub u64);
/// The account's name for a content (RFC 8474 EMAILID).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub i64);

/// System flags as bits; keywords beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// Bits.
    pub system: SystemFlags,
    /// Sorted, each once, spelled as first used in the account. Shared when equal.
    pub keywords: Option<Arc<[Arc<str>]>>,
}

/// A set of system flags (RFC 9051 §2.3.2), one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SystemFlags(pub u8);

impl SystemFlags {
    /// `\Seen`.
    pub const SEEN: SystemFlags = SystemFlags(1);
    /// `\Answered`.
    pub const ANSWERED: SystemFlags = SystemFlags(2);
    /// `\Flagged`.
    pub const FLAGGED: SystemFlags = SystemFlags(4);
    /// `\Deleted`.
    pub const DELETED: SystemFlags = SystemFlags(8);
    /// `\Draft`.
    pub const DRAFT: SystemFlags = SystemFlags(16);
    /// All of `other` are in it.
    pub fn contains(self, other: SystemFlags) -> bool {
        self.0 & other.0 == other.0
    }
    /// With those of `other` too.
    pub fn with(self, other: SystemFlags) -> SystemFlags {
        SystemFlags(self.0 | other.0)
    }
    /// Without those of `other`.
    pub fn without(self, other: SystemFlags) -> SystemFlags {
        SystemFlags(self.0 & !other.0)
    }
}

/// A message's place in a mailbox, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// In this mailbox.
    pub uid: Uid,
    /// The content.
    pub message: MessageId,
    /// Of its last change.
    pub modseq: ModSeq,
    /// System flags and keywords.
    pub flags: Flags,
    /// Of the whole message.
    pub size_octets: u64,
    /// IMAP's INTERNALDATE.
    pub received_at: Timestamp,
    /// When it came into this mailbox (RFC 8514).
    pub saved_at: Timestamp,
}

/// A message to be added to a mailbox.
pub struct NewMessage {
    /// Its octets.
    pub blob: StagedBlob,
    /// Of those octets.
    pub summary: Summary,
    /// IMAP's INTERNALDATE.
    pub received_at: Timestamp,
    /// To begin with.
    pub flags: Flags,
    /// The journey that brought it, if any.
    pub journey: Option<JourneyId>,
}

/// Where an added message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Of the mailbox.
    pub uid_validity: u32,
    /// Of the new entry.
    pub uid: Uid,
    /// Of the addition.
    pub modseq: ModSeq,
}

/// What to do with flags.
#[derive(Debug, Clone)]
pub enum FlagChange {
    /// These and no others.
    Set(Flags),
    /// These too.
    Add(Flags),
    /// Not these.
    Remove(Flags),
}

/// What became of a flag change.
#[derive(Debug, Clone)]
pub struct FlagResults {
    /// The entries after the change, in order of UID; ones that were not altered keep their modseq.
    pub entries: Vec<Entry>,
    /// Refused because their modseq was above `unchanged_since` (RFC 7162 §3.1.3).
    pub modified: Vec<Uid>,
}

/// Where copies went.
#[derive(Debug, Clone)]
pub struct Copied {
    /// Of the target.
    pub uid_validity: u32,
    /// Source and new UID, in order of source UID.
    pub uids: Vec<(Uid, Uid)>,
    /// Of the copying.
    pub modseq: ModSeq,
}

/// Why nothing was added.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The target was deleted meanwhile, or belongs to another account.
    #[error("no such mailbox")]
    NoMailbox,
    /// Of the account.
    #[error("over quota")]
    OverQuota,
    /// Nothing was added, or the answer was lost.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What happened in a mailbox after a modseq.
#[derive(Debug, Clone)]
pub struct MailboxChanges {
    /// New and altered entries, by UID.
    pub changed: Vec<Entry>,
    /// Expunged since, by UID.
    pub vanished: Vec<Uid>,
    /// Of the moment at which this was true.
    pub highest_modseq: ModSeq,
    /// Tombstones older than `since` were dropped: `vanished` may be incomplete.
    pub incomplete: bool,
}

impl Store {
    /// All entries by UID, at one moment, with the modseq of that moment. A mailbox that does not
    /// exist has none.
    pub async fn entries(&self, mailbox: MailboxId) -> Result<(Vec<Entry>, ModSeq), StoreError> {
        let engine = &self.inner.engine;
        engine.read(mailbox, |tx, mailbox| Box::pin(entries_in(tx, *mailbox))).await
    }

    /// What happened in the mailbox after `since`.
    pub async fn changes(
        &self,
        mailbox: MailboxId,
        since: ModSeq,
    ) -> Result<MailboxChanges, StoreError> {
        let engine = &self.inner.engine;
        let asked = (mailbox, since);
        engine.read(asked, |tx, (mailbox, since)| Box::pin(changes_in(tx, *mailbox, *since))).await
    }

    /// Summaries for these UIDs, in the order of UID; expunged ones are absent. Callers ask in
    /// slices of some hundreds.
    pub async fn summaries(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
    ) -> Result<Vec<(Uid, Summary)>, StoreError> {
        let engine = &self.inner.engine;
        let asked = (mailbox, numbers(uids));
        let stored = engine
            .read(asked, |tx, (mailbox, uids)| Box::pin(summaries_in(tx, *mailbox, uids)))
            .await?;
        stored.into_iter().map(|(uid, octets)| Ok((uid, decode_summary(&octets)?))).collect()
    }

    /// The content of an entry; `None` when it was expunged meanwhile.
    pub async fn content(
        &self,
        mailbox: MailboxId,
        uid: Uid,
    ) -> Result<Option<Content>, StoreError> {
        const SQL: &str = "SELECT b.id, b.size_octets, b.object, b.chunk_ends FROM entries e \
            JOIN messages m ON m.id = e.message JOIN blobs b ON b.id = m.blob \
            WHERE e.mailbox = ?1 AND e.uid = ?2";
        let engine = &self.inner.engine;
        let found = engine
            .read((mailbox, uid), |tx, (mailbox, uid)| {
                let values = [Param::Int(mailbox.0), Param::Int(i64::from(uid.0))];
                Box::pin(async move { tx.row(SQL, &values, BlobRow::read).await })
            })
            .await?;
        found.map(|row: BlobRow| row.content(self)).transpose()
    }

    /// Adds several messages in one transaction (RFC 3502).
    pub async fn append(
        &self,
        mailbox: MailboxId,
        messages: Vec<NewMessage>,
    ) -> Result<Vec<Appended>, AppendError> {
        let summaries = messages.iter().map(|message| encode_summary(&message.summary)).collect();
        let append = Append { mailbox, messages, summaries, now: micros(Timestamp::now()) };
        let engine = &self.inner.engine;
        engine.write(append, Repeat::Never, |tx, append| Box::pin(append_in(tx, append))).await
    }

    /// Changes the flags of these entries. Nothing is written for entries that stay as they are.
    pub async fn store_flags(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        change: FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<FlagResults, StoreError> {
        let asked = StoreFlags { mailbox, uids: numbers(uids), change, unchanged_since };
        let engine = &self.inner.engine;
        engine.write(asked, Repeat::Never, |tx, asked| Box::pin(store_flags_in(tx, asked))).await
    }

    /// Within one account. All or nothing. UIDs that do not exist are passed over.
    pub async fn copy(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
    ) -> Result<Copied, AppendError> {
        self.transfer(from, uids, to, false).await
    }

    /// Like a copy, a new UID each, but the old entries go in the same transaction (RFC 6851).
    pub async fn move_entries(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
    ) -> Result<Copied, AppendError> {
        self.transfer(from, uids, to, true).await
    }

    async fn transfer(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        moved: bool,
    ) -> Result<Copied, AppendError> {
        let now = micros(Timestamp::now());
        let transfer = Transfer { from, uids: numbers(uids), to, moved, now };
        let engine = &self.inner.engine;
        engine.write(transfer, Repeat::Never, |tx, asked| Box::pin(transfer_in(tx, asked))).await
    }

    /// Removes entries; content goes with its last entry. Gives those that were there, by UID.
    pub async fn expunge(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
    ) -> Result<(Vec<Uid>, ModSeq), StoreError> {
        self.remove(mailbox, uids, Which::All).await
    }

    /// Like `expunge`, but removes only those that have `\Deleted` at that very moment: a flag that
    /// another session took away meanwhile saves its message (RFC 9051 §6.4.3, RFC 4315 §2.1).
    pub async fn expunge_if_deleted(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
    ) -> Result<(Vec<Uid>, ModSeq), StoreError> {
        self.remove(mailbox, uids, Which::Deleted).await
    }

    async fn remove(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        which: Which,
    ) -> Result<(Vec<Uid>, ModSeq), StoreError> {
        let asked = (mailbox, numbers(uids), which, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (mailbox, uids, which, now)| {
                Box::pin(expunge_in(tx, *mailbox, uids, *which, *now))
            })
            .await
    }

    /// Keeps the newest `keep` ranges of tombstones of each mailbox; gives how many went. Clients
    /// that ask for changes since before then are told that the answer is incomplete. Part of the
    /// background work.
    pub async fn forget_tombstones(&self, keep: usize) -> Result<u64, StoreError> {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let engine = &self.inner.engine;
        let long = engine.read(keep, |tx, keep| Box::pin(long_lists(tx, *keep))).await?;
        let mut forgotten = 0;
        for mailbox in long {
            forgotten += engine
                .write((mailbox, keep), Repeat::Harmless, |tx, (mailbox, keep)| {
                    Box::pin(forget_in(tx, *mailbox, *keep))
                })
                .await?;
        }
        Ok(forgotten)
    }

    /// The journey that brought a message, if it came by one.
    pub async fn journey_of(
        &self,
        mailbox: MailboxId,
        uid: Uid,
    ) -> Result<Option<JourneyId>, StoreError> {
        const SQL: &str = "SELECT m.journey FROM entries e JOIN messages m ON m.id = e.message \
            WHERE e.mailbox = ?1 AND e.uid = ?2";
        let engine = &self.inner.engine;
        let found = engine
            .read((mailbox, uid), |tx, (mailbox, uid)| {
                let values = [Param::Int(mailbox.0), Param::Int(i64::from(uid.0))];
                Box::pin(async move {
                    let read = |row: &Row<'_>| {
                        row.opt_bytes(0)?.map(crate::journeys::journey_id).transpose()
                    };
                    tx.row(SQL, &values, read).await
                })
            })
            .await?;
        Ok(found.flatten())
    }
}

/// Sorted, each once.
fn numbers(uids: &[Uid]) -> Vec<i64> {
    let mut numbers: Vec<i64> = uids.iter().map(|uid| i64::from(uid.0)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

// ── Reading ─────────────────────────────────────────────────────────────────────────────────────

/// Account and highest modseq.
async fn mailbox_state(tx: &Tx, mailbox: MailboxId) -> Result<Option<MailboxState>, StoreError> {
    const SQL: &str = "SELECT account, uid_validity, uid_next, highest_modseq, forgotten_modseq \
        FROM mailboxes WHERE id = ?1";
    tx.row(SQL, params![mailbox.0], |row| {
        Ok(MailboxState {
            account: AccountId(row.int(0)?),
            uid_validity: count32(row.int(1)?)?,
            uid_next: row.int(2)?,
            highest_modseq: row.int(3)?,
            forgotten_modseq: row.int(4)?,
        })
    })
    .await
}

struct MailboxState {
    account: AccountId,
    uid_validity: u32,
    uid_next: i64,
    highest_modseq: i64,
    forgotten_modseq: i64,
}

fn modseq(value: i64) -> Result<ModSeq, StoreError> {
    Ok(ModSeq(count(value)?))
}

/// Columns: uid, message, modseq, flags, keywords, size_octets, received_at, saved_at.
fn entry(row: &Row<'_>, keywords: &mut Keywords) -> Result<Entry, StoreError> {
    Ok(Entry {
        uid: Uid(count32(row.int(0)?)?),
        message: MessageId(row.int(1)?),
        modseq: modseq(row.int(2)?)?,
        flags: Flags { system: system(row.int(3)?)?, keywords: keywords.list(row.bytes(4)?) },
        size_octets: count(row.int(5)?)?,
        received_at: timestamp(row.int(6)?)?,
        saved_at: timestamp(row.int(7)?)?,
    })
}

fn system(value: i64) -> Result<SystemFlags, StoreError> {
    u8::try_from(value)
        .map(SystemFlags)
        .map_err(|_| StoreError::Damaged(format!("{value} is not a set of system flags")))
}

async fn entries_in(tx: &Tx, mailbox: MailboxId) -> Result<(Vec<Entry>, ModSeq), StoreError> {
    const SQL: &str = "SELECT uid, message, modseq, flags, keywords, size_octets, received_at, \
        saved_at FROM entries WHERE mailbox = ?1 ORDER BY uid";
    let Some(state) = mailbox_state(tx, mailbox).await? else {
        return Ok((Vec::new(), ModSeq(0)));
    };
    let mut names = Keywords::load(tx, state.account).await?;
    let entries = tx.rows(SQL, params![mailbox.0], |row| entry(row, &mut names)).await?;
    Ok((entries, modseq(state.highest_modseq)?))
}

async fn changes_in(
    tx: &Tx,
    mailbox: MailboxId,
    since: ModSeq,
) -> Result<MailboxChanges, StoreError> {
    const CHANGED: &str = "SELECT uid, message, modseq, flags, keywords, size_octets, received_at, \
        saved_at FROM entries WHERE mailbox = ?1 AND modseq > ?2 ORDER BY uid";
    const VANISHED: &str = "SELECT first_uid, last_uid FROM tombstones \
        WHERE mailbox = ?1 AND modseq > ?2";
    let Some(state) = mailbox_state(tx, mailbox).await? else {
        return Ok(MailboxChanges {
            changed: Vec::new(),
            vanished: Vec::new(),
            highest_modseq: ModSeq(0),
            incomplete: true,
        });
    };
    let since = i64::try_from(since.0).unwrap_or(i64::MAX);
    let mut names = Keywords::load(tx, state.account).await?;
    let changed = tx.rows(CHANGED, params![mailbox.0, since], |row| entry(row, &mut names)).await?;
    let mut vanished = Vec::new();
    tx.each(VANISHED, params![mailbox.0, since], |row| {
        let (first, last) = (count32(row.int(0)?)?, count32(row.int(1)?)?);
        vanished.extend((first..=last).map(Uid));
        Ok(true)
    })
    .await?;
    vanished.sort_unstable();
    Ok(MailboxChanges {
        changed,
        vanished,
        highest_modseq: modseq(state.highest_modseq)?,
        incomplete: since < state.forgotten_modseq,
    })
}

async fn summaries_in(
    tx: &Tx,
    mailbox: MailboxId,
    uids: &Vec<i64>,
) -> Result<Vec<(Uid, Vec<u8>)>, StoreError> {
    const SQL: &str = "SELECT e.uid, m.summary FROM entries e JOIN messages m ON m.id = e.message \
        WHERE e.mailbox = ?1 AND e.uid IN LIST(?2) ORDER BY e.uid";
    tx.rows(SQL, params![mailbox.0, uids], |row| {
        Ok((Uid(count32(row.int(0)?)?), row.bytes(1)?.to_vec()))
    })
    .await
}

// ── Pieces of writing, used by acceptance too ───────────────────────────────────────────────────

/// A row of `entries`.
pub(crate) struct NewEntry<'a> {
    pub(crate) mailbox: i64,
    pub(crate) uid: i64,
    pub(crate) message: i64,
    pub(crate) modseq: i64,
    pub(crate) flags: SystemFlags,
    pub(crate) keywords: &'a [u8],
    pub(crate) size_octets: i64,
    pub(crate) received_at: i64,
    pub(crate) saved_at: i64,
}

pub(crate) async fn insert_entry(tx: &Tx, new: &NewEntry<'_>) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO entries (mailbox, uid, message, modseq, flags, keywords, \
        size_octets, received_at, saved_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let values = params![
        new.mailbox,
        new.uid,
        new.message,
        new.modseq,
        i64::from(new.flags.0),
        new.keywords,
        new.size_octets,
        new.received_at,
        new.saved_at,
    ];
    tx.run(SQL, values).await.map(drop)
}

/// A message with one place.
pub(crate) async fn insert_message(
    tx: &Tx,
    account: AccountId,
    blob: i64,
    journey: Option<JourneyId>,
    summary: &[u8],
) -> Result<i64, StoreError> {
    const SQL: &str = "INSERT INTO messages (account, blob, places, indexed, journey, summary) \
        VALUES (?1, ?2, 1, 0, ?3, ?4) RETURNING id";
    let journey = journey.as_ref().map(|id| id.0.as_bytes().as_slice());
    let id = tx.row(SQL, params![account.0, blob, journey, summary], |row| row.int(0)).await?;
    id.ok_or_else(|| StoreError::Unavailable("an insertion gave no id".into()))
}

/// Notes keywords as ever used in the mailbox.
pub(crate) async fn add_mailbox_keywords(
    tx: &Tx,
    mailbox: i64,
    packed: &[u8],
) -> Result<(), StoreError> {
    const KNOWN: &str = "SELECT keywords FROM mailboxes WHERE id = ?1";
    const CHANGE: &str = "UPDATE mailboxes SET keywords = ?2 WHERE id = ?1";
    if packed.is_empty() {
        return Ok(());
    }
    let known = tx.row(KNOWN, params![mailbox], |row| Ok(row.bytes(0)?.to_vec())).await?;
    let known = known.unwrap_or_default();
    let all = keywords::union(&known, packed);
    if all != known {
        tx.run(CHANGE, params![mailbox, &all]).await?;
    }
    Ok(())
}

/// UIDs have 32 bits (RFC 9051 §9, `nz-number`).
pub(crate) fn check_uid(last: i64) -> Result<(), StoreError> {
    if last >= i64::from(u32::MAX) {
        return Err(StoreError::Unavailable("the mailbox has given out all its UIDs".into()));
    }
    Ok(())
}

/// How counters move.
#[derive(Debug, Default, Clone, Copy)]
struct Delta {
    total: i64,
    unseen: i64,
    deleted: i64,
    octets: i64,
}

impl Delta {
    fn add(&mut self, flags: SystemFlags, octets: i64) {
        self.total += 1;
        self.unseen += i64::from(!flags.contains(SystemFlags::SEEN));
        self.deleted += i64::from(flags.contains(SystemFlags::DELETED));
        self.octets += octets;
    }

    fn negated(self) -> Delta {
        Delta {
            total: -self.total,
            unseen: -self.unseen,
            deleted: -self.deleted,
            octets: -self.octets,
        }
    }
}

/// Locks the account of a mailbox and then reads the mailbox: `None` when it does not exist.
async fn lock_by_mailbox(tx: &Tx, mailbox: MailboxId) -> Result<Option<MailboxState>, StoreError> {
    const LOCK: &str = "SELECT a.id FROM accounts a JOIN mailboxes m ON m.account = a.id \
        WHERE m.id = ?1 /*postgres:FOR NO KEY UPDATE OF a*/";
    if tx.row(LOCK, params![mailbox.0], |row| row.int(0)).await?.is_none() {
        return Ok(None);
    }
    mailbox_state(tx, mailbox).await
}

/// Takes the next modseq of an account and moves its counters.
pub(crate) async fn next_modseq(
    tx: &Tx,
    account: AccountId,
    octets: i64,
    messages: i64,
) -> Result<i64, StoreError> {
    const SQL: &str = "UPDATE accounts SET modseq = modseq + 1, used_octets = used_octets + ?2, \
        message_count = message_count + ?3 WHERE id = ?1 RETURNING modseq";
    let next = tx.row(SQL, params![account.0, octets, messages], |row| row.int(0)).await?;
    tx.touch(account);
    next.ok_or_else(|| StoreError::Unavailable("the account was removed meanwhile".into()))
}

async fn over_quota(tx: &Tx, account: AccountId, octets: i64) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT used_octets, quota_octets FROM accounts WHERE id = ?1";
    let row = tx.row(SQL, params![account.0], |row| Ok((row.int(0)?, row.opt_int(1)?))).await?;
    Ok(row.is_some_and(|(used, quota)| quota.is_some_and(|quota| used + octets > quota)))
}

async fn move_counters(
    tx: &Tx,
    mailbox: MailboxId,
    delta: Delta,
    new_uids: i64,
    modseq: i64,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE mailboxes SET uid_next = uid_next + ?2, total = total + ?3, \
        unseen = unseen + ?4, deleted = deleted + ?5, octets = octets + ?6, highest_modseq = ?7 \
        WHERE id = ?1";
    let Delta { total, unseen, deleted, octets } = delta;
    let values = params![mailbox.0, new_uids, total, unseen, deleted, octets, modseq];
    tx.run(SQL, values).await.map(drop)
}

// ── Append ──────────────────────────────────────────────────────────────────────────────────────

struct Append {
    mailbox: MailboxId,
    messages: Vec<NewMessage>,
    summaries: Vec<Vec<u8>>,
    now: i64,
}

async fn append_in(tx: &Tx, append: &Append) -> Result<Vec<Appended>, AppendError> {
    let mailbox = append.mailbox;
    let state = lock_by_mailbox(tx, mailbox).await?.ok_or(AppendError::NoMailbox)?;
    let mut delta = Delta::default();
    for message in &append.messages {
        delta.add(message.flags.system, message.blob.size_octets as i64);
    }
    if over_quota(tx, state.account, delta.octets).await? {
        return Err(AppendError::OverQuota);
    }
    check_uid(state.uid_next + delta.total)?;
    let modseq_now = next_modseq(tx, state.account, delta.octets, delta.total).await?;
    move_counters(tx, mailbox, delta, delta.total, modseq_now).await?;

    let mut names = None;
    let mut used = Packed::new();
    let mut appended = Vec::with_capacity(append.messages.len());
    for ((uid, message), summary) in (state.uid_next..).zip(&append.messages).zip(&append.summaries)
    {
        let packed = if message.flags.keywords.is_none() {
            Packed::new()
        } else {
            if names.is_none() {
                names = Some(Keywords::load(tx, state.account).await?);
            }
            let names = names.as_mut().expect("loaded above");
            names.pack(tx, message.flags.keywords.as_ref()).await?
        };
        used = keywords::union(&used, &packed);
        let blob = name_blob(tx, &message.blob, 1, append.now).await?;
        let id = insert_message(tx, state.account, blob, message.journey, summary).await?;
        let entry = NewEntry {
            mailbox: mailbox.0,
            uid,
            message: id,
            modseq: modseq_now,
            flags: message.flags.system,
            keywords: &packed,
            size_octets: message.blob.size_octets as i64,
            received_at: micros(message.received_at),
            saved_at: append.now,
        };
        insert_entry(tx, &entry).await?;
        appended.push(Appended {
            uid_validity: state.uid_validity,
            uid: Uid(count32(uid)?),
            modseq: modseq(modseq_now)?,
        });
    }
    add_mailbox_keywords(tx, mailbox.0, &used).await?;
    Ok(appended)
}

// ── Flags ───────────────────────────────────────────────────────────────────────────────────────

struct StoreFlags {
    mailbox: MailboxId,
    uids: Vec<i64>,
    change: FlagChange,
    unchanged_since: Option<ModSeq>,
}

async fn store_flags_in(tx: &Tx, asked: &StoreFlags) -> Result<FlagResults, StoreError> {
    const FIND: &str = "SELECT uid, message, modseq, flags, keywords, size_octets, received_at, \
        saved_at FROM entries WHERE mailbox = ?1 AND uid IN LIST(?2) ORDER BY uid";
    const CHANGE: &str = "UPDATE entries SET flags = ?3, keywords = ?4, modseq = ?5 \
        WHERE mailbox = ?1 AND uid IN LIST(?2)";
    let mut results = FlagResults { entries: Vec::new(), modified: Vec::new() };
    let Some(state) = lock_by_mailbox(tx, asked.mailbox).await? else {
        return Ok(results);
    };
    let mut names = Keywords::load(tx, state.account).await?;
    let mut found = tx
        .rows(FIND, params![asked.mailbox.0, &asked.uids], |row| {
            Ok((entry(row, &mut names)?, row.bytes(4)?.to_vec()))
        })
        .await?;
    if let Some(limit) = asked.unchanged_since {
        let (newer, rest): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(entry, _)| entry.modseq > limit);
        results.modified = newer.into_iter().map(|(entry, _)| entry.uid).collect();
        found = rest;
    }
    let (FlagChange::Set(given) | FlagChange::Add(given) | FlagChange::Remove(given)) =
        &asked.change;
    let packed = if found.is_empty() {
        Packed::new()
    } else {
        names.pack(tx, given.keywords.as_ref()).await?
    };

    // Entries that become alike are written together.
    let mut groups: BTreeMap<(u8, Packed), Vec<i64>> = BTreeMap::new();
    let mut delta = Delta::default();
    for (entry, old) in &mut found {
        let (system, new) = match &asked.change {
            FlagChange::Set(_) => (given.system, packed.clone()),
            FlagChange::Add(_) => {
                (entry.flags.system.with(given.system), keywords::union(old, &packed))
            }
            FlagChange::Remove(_) => {
                (entry.flags.system.without(given.system), keywords::difference(old, &packed))
            }
        };
        if system == entry.flags.system && new == *old {
            continue;
        }
        for (flag, counter, sign) in [
            (SystemFlags::SEEN, &mut delta.unseen, -1),
            (SystemFlags::DELETED, &mut delta.deleted, 1),
        ] {
            let (was, is) = (entry.flags.system.contains(flag), system.contains(flag));
            *counter += sign * (i64::from(is) - i64::from(was));
        }
        entry.flags = Flags { system, keywords: names.list(&new) };
        entry.modseq = ModSeq(0); // Marked; the number comes below.
        groups.entry((system.0, new)).or_default().push(i64::from(entry.uid.0));
    }
    if !groups.is_empty() {
        let modseq_now = next_modseq(tx, state.account, 0, 0).await?;
        for ((system, keywords), uids) in &groups {
            let flags = i64::from(*system);
            let values = params![asked.mailbox.0, uids, flags, keywords, modseq_now];
            tx.run(CHANGE, values).await?;
        }
        move_counters(tx, asked.mailbox, delta, 0, modseq_now).await?;
        add_mailbox_keywords(tx, asked.mailbox.0, &packed).await?;
        let changed = found.iter_mut().filter(|(entry, _)| entry.modseq == ModSeq(0));
        let modseq_now = modseq(modseq_now)?;
        changed.for_each(|(entry, _)| entry.modseq = modseq_now);
    }
    results.entries = found.into_iter().map(|(entry, _)| entry).collect();
    Ok(results)
}

// ── Copy and move ───────────────────────────────────────────────────────────────────────────────

pub(crate) struct Transfer {
    pub(crate) from: MailboxId,
    pub(crate) uids: Vec<i64>,
    pub(crate) to: MailboxId,
    pub(crate) moved: bool,
    pub(crate) now: i64,
}

/// What was selected for a transfer or an expunge.
struct Selected {
    uids: Vec<i64>,
    messages: Vec<i64>,
    keywords: Packed,
    delta: Delta,
}

/// Which of the entries that were named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// Those with `\Deleted`.
    Deleted,
}

async fn select(
    tx: &Tx,
    mailbox: MailboxId,
    uids: &Vec<i64>,
    which: Which,
) -> Result<Selected, StoreError> {
    const SQL: &str = "SELECT uid, message, flags, keywords, size_octets FROM entries \
        WHERE mailbox = ?1 AND uid IN LIST(?2) ORDER BY uid";
    let mut selected = Selected {
        uids: Vec::new(),
        messages: Vec::new(),
        keywords: Packed::new(),
        delta: Delta::default(),
    };
    tx.each(SQL, params![mailbox.0, uids], |row| {
        let flags = system(row.int(2)?)?;
        if which == Which::Deleted && !flags.contains(SystemFlags::DELETED) {
            return Ok(true);
        }
        selected.uids.push(row.int(0)?);
        selected.messages.push(row.int(1)?);
        selected.delta.add(flags, row.int(4)?);
        let keywords = row.bytes(3)?;
        if !keywords.is_empty() {
            selected.keywords = keywords::union(&selected.keywords, keywords);
        }
        Ok(true)
    })
    .await?;
    Ok(selected)
}

pub(crate) async fn transfer_in(tx: &Tx, asked: &Transfer) -> Result<Copied, AppendError> {
    const COPY: &str = "INSERT INTO entries (mailbox, uid, message, modseq, flags, keywords, \
        size_octets, received_at, saved_at) \
        SELECT ?3, ?4 + ROW_NUMBER() OVER (ORDER BY uid), message, ?5, flags, keywords, \
        size_octets, received_at, ?6 FROM entries WHERE mailbox = ?1 AND uid IN LIST(?2)";
    const MORE_PLACES: &str = "UPDATE messages SET places = places + 1 WHERE id IN LIST(?1)";
    let Transfer { from, to, moved, now, .. } = *asked;
    let target = lock_by_mailbox(tx, to).await?.ok_or(AppendError::NoMailbox)?;
    let account = target.account;
    let same_account = mailbox_state(tx, from).await?.is_some_and(|from| from.account == account);
    if !same_account {
        return Err(AppendError::NoMailbox);
    }
    let selected = select(tx, from, &asked.uids, Which::All).await?;
    let found = selected.uids.len() as i64;
    if found == 0 {
        let modseq = modseq(target.highest_modseq)?;
        return Ok(Copied { uid_validity: target.uid_validity, uids: Vec::new(), modseq });
    }
    let added = if moved { Delta::default() } else { selected.delta };
    if over_quota(tx, account, added.octets).await? && !moved {
        return Err(AppendError::OverQuota);
    }
    check_uid(target.uid_next + found)?;
    let modseq_now = next_modseq(tx, account, added.octets, added.total).await?;
    let before = target.uid_next - 1;
    let values = params![from.0, &selected.uids, to.0, before, modseq_now, now];
    tx.run(COPY, values).await?;
    move_counters(tx, to, selected.delta, found, modseq_now).await?;
    add_mailbox_keywords(tx, to.0, &selected.keywords).await?;
    if moved {
        remove_entries(tx, from, &selected.uids, selected.delta, modseq_now).await?;
    } else {
        for round in rounds(&selected.messages) {
            tx.run(MORE_PLACES, params![&round]).await?;
        }
    }
    let pairs = selected.uids.iter().zip(target.uid_next..);
    let uids = pairs.map(|(old, new)| Ok((Uid(count32(*old)?), Uid(count32(new)?))));
    Ok(Copied {
        uid_validity: target.uid_validity,
        uids: uids.collect::<Result<_, StoreError>>()?,
        modseq: modseq(modseq_now)?,
    })
}

// ── Expunge ─────────────────────────────────────────────────────────────────────────────────────

async fn expunge_in(
    tx: &Tx,
    mailbox: MailboxId,
    uids: &Vec<i64>,
    which: Which,
    now: i64,
) -> Result<(Vec<Uid>, ModSeq), StoreError> {
    let Some(state) = lock_by_mailbox(tx, mailbox).await? else {
        return Ok((Vec::new(), ModSeq(0)));
    };
    let selected = select(tx, mailbox, uids, which).await?;
    if selected.uids.is_empty() {
        return Ok((Vec::new(), modseq(state.highest_modseq)?));
    }
    let Delta { octets, total, .. } = selected.delta;
    let modseq_now = next_modseq(tx, state.account, -octets, -total).await?;
    remove_entries(tx, mailbox, &selected.uids, selected.delta, modseq_now).await?;
    drop_places(tx, &selected.messages, now).await?;
    let gone = selected.uids.iter().map(|uid| count32(*uid).map(Uid));
    Ok((gone.collect::<Result<_, _>>()?, modseq(modseq_now)?))
}

/// Deletes entries that are known to exist, with tombstones and counters.
async fn remove_entries(
    tx: &Tx,
    mailbox: MailboxId,
    uids: &Vec<i64>,
    delta: Delta,
    modseq: i64,
) -> Result<(), StoreError> {
    const DELETE: &str = "DELETE FROM entries WHERE mailbox = ?1 AND uid IN LIST(?2)";
    const TOMBSTONE: &str = "INSERT INTO tombstones (mailbox, modseq, first_uid, last_uid) \
        VALUES (?1, ?2, ?3, ?4)";
    tx.run(DELETE, params![mailbox.0, uids]).await?;
    for run in uids.chunk_by(|a, b| a + 1 == *b) {
        let (first, last) = (run[0], run[run.len() - 1]);
        tx.run(TOMBSTONE, params![mailbox.0, modseq, first, last]).await?;
    }
    move_counters(tx, mailbox, delta.negated(), 0, modseq).await
}

/// Takes one place away for each number given (one may stand there several times). Messages without
/// a place go, with their words in the index and their hold on the blob.
pub(crate) async fn drop_places(tx: &Tx, messages: &[i64], now: i64) -> Result<(), StoreError> {
    const FEWER: &str = "UPDATE messages SET places = places - 1 WHERE id IN LIST(?1)";
    const GONE: &str = "DELETE FROM messages WHERE id IN LIST(?1) AND places = 0 \
        RETURNING id, blob, indexed";
    let rounds = rounds(messages);
    for round in &rounds {
        tx.run(FEWER, params![round]).await?;
    }
    let Some(all) = rounds.first() else { return Ok(()) };
    let gone =
        tx.rows(GONE, params![all], |row| Ok((row.int(0)?, row.int(1)?, row.flag(2)?))).await?;
    let blobs: Vec<i64> = gone.iter().map(|(_, blob, _)| *blob).collect();
    release_blobs(tx, &blobs, now).await?;
    let indexed = gone.iter().filter(|(_, _, indexed)| *indexed).map(|(id, ..)| *id).collect();
    crate::search::forget(tx, &indexed).await
}

// ── Tombstones ──────────────────────────────────────────────────────────────────────────────────

/// Mailboxes with more than `keep` ranges.
async fn long_lists(tx: &Tx, keep: i64) -> Result<Vec<MailboxId>, StoreError> {
    const SQL: &str = "SELECT mailbox FROM tombstones GROUP BY mailbox HAVING COUNT(*) > ?1";
    tx.rows(SQL, params![keep], |row| Ok(MailboxId(row.int(0)?))).await
}

async fn forget_in(tx: &Tx, mailbox: MailboxId, keep: i64) -> Result<u64, StoreError> {
    const NEWEST_TO_GO: &str = "SELECT modseq FROM tombstones WHERE mailbox = ?1 \
        ORDER BY modseq DESC LIMIT 1 OFFSET ?2";
    const FORGET: &str = "DELETE FROM tombstones WHERE mailbox = ?1 AND modseq <= ?2";
    const REMEMBER: &str = "UPDATE mailboxes SET forgotten_modseq = ?2 WHERE id = ?1";
    if lock_by_mailbox(tx, mailbox).await?.is_none() {
        return Ok(0);
    }
    let modseq = tx.row(NEWEST_TO_GO, params![mailbox.0, keep], |row| row.int(0)).await?;
    let Some(modseq) = modseq else { return Ok(0) };
    tx.run(REMEMBER, params![mailbox.0, modseq]).await?;
    tx.run(FORGET, params![mailbox.0, modseq]).await
}
