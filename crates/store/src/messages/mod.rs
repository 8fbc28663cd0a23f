//! Messages in mailboxes: listing, flags, copy, move, expunge.
//!
//! A *message* is content that an account has (one row, one blob, one summary); an *entry* is its
//! place in a mailbox, with a UID and flags. A copy is another entry of the same message.
//!
//! Every write here locks the account first (see `engine/postgres/mod.rs`), takes one modseq, and keeps
//! the counters of mailbox and account equal to what a count over the entries would give.

mod bring;
mod expunge;
mod flags;
mod listing;
mod transfer;
mod whole;
mod writing;

use std::sync::Arc;

use jiff::Timestamp;
use waxwing_message::{JourneyId, Summary};

use crate::accept::encode_summary;
use crate::blob::{BlobRow, Content};
use crate::engine::{Param, Repeat, Row};
use crate::instant::micros;
use crate::{AccountId, Inner, MailboxId, StagedBlob, Store, StoreError};

pub use bring::{Bring, Brought, StoredSummary};
pub(crate) use expunge::drop_places;
use expunge::{expunge_in, forget_in, long_lists};
use flags::{StoreFlags, store_flags_in};
pub(crate) use listing::{changes_in, entry as entry_row, mailbox_state, modseq, system};
use listing::{deleted_octets_in, entries_after_in, entries_in, entries_of_in, outlines_in};
use transfer::Which;
pub(crate) use transfer::{Transfer, transfer_in};
pub use whole::{RearrangeError, Rearrangement};
pub(crate) use writing::{
    Append, NewEntry, add_mailbox_keywords, append_chosen, check_uid, insert_entry, insert_message,
    lock_by_mailbox, next_modseq,
};
use writing::{append_in, replace_in};

/// A message's number in its mailbox: given once, never again (RFC 9051 §2.3.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// Which flags somebody may alter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagMask {
    /// These.
    pub system: SystemFlags,
    /// All keywords, or none.
    pub keywords: bool,
}

impl FlagMask {
    /// Every one.
    pub const ALL: FlagMask = FlagMask { system: SystemFlags(31), keywords: true };

    /// There are none.
    pub fn is_empty(self) -> bool {
        self.system.0 == 0 && !self.keywords
    }
    /// Those of `flags` that are in it.
    pub fn of(self, flags: Flags) -> Flags {
        Flags {
            system: SystemFlags(flags.system.0 & self.system.0),
            keywords: flags.keywords.filter(|_| self.keywords),
        }
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

/// The least of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// Of the whole message.
    pub size_octets: u64,
    /// In this mailbox.
    pub uid: Uid,
    /// System flags.
    pub system: SystemFlags,
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
    /// Of those in the mask, these and no others; the rest stays.
    SetWithin(Flags, FlagMask),
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
    /// The source or the target was deleted meanwhile.
    #[error("no such mailbox")]
    NoMailbox,
    /// Of the target's account.
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

    /// The entries of these UIDs, in the order of UID; expunged ones are absent. Callers ask in
    /// slices of some hundreds.
    pub async fn entries_of(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
    ) -> Result<Vec<Entry>, StoreError> {
        let engine = &self.inner.engine;
        let asked = (mailbox, numbers(uids));
        engine.read(asked, |tx, (mailbox, uids)| Box::pin(entries_of_in(tx, *mailbox, uids))).await
    }

    /// All entries by UID, at one moment, as little of each as can be: 16 octets of memory a message.
    pub async fn outlines(&self, mailbox: MailboxId) -> Result<Vec<Outline>, StoreError> {
        let engine = &self.inner.engine;
        engine.read(mailbox, |tx, mailbox| Box::pin(outlines_in(tx, *mailbox))).await
    }

    /// At most `limit` entries whose UIDs come after that one, in the order of UID: a mailbox of any size,
    /// piece by piece. `Uid(0)` is before the first.
    pub async fn entries_after(
        &self,
        mailbox: MailboxId,
        after: Uid,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let engine = &self.inner.engine;
        let asked = (mailbox, after, limit);
        engine
            .read(asked, |tx, (mailbox, after, limit)| {
                Box::pin(entries_after_in(tx, *mailbox, *after, *limit))
            })
            .await
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

    /// Puts a message into `to` in the place of an entry of `from`, at once (RFC 8508); only what it
    /// is larger by counts against the quota, if both are in one account. `None`: there is no such
    /// entry, and nothing was done.
    pub async fn replace(
        &self,
        from: MailboxId,
        uid: Uid,
        to: MailboxId,
        message: NewMessage,
    ) -> Result<Option<Appended>, AppendError> {
        let summaries = vec![encode_summary(&message.summary)];
        let now = micros(Timestamp::now());
        let append = Append { mailbox: to, messages: vec![message], summaries, now };
        let engine = &self.inner.engine;
        let asked = (from, numbers(&[uid]), append);
        engine
            .write(asked, Repeat::Never, |tx, (from, uids, append)| {
                Box::pin(replace_in(tx, *from, uids, append))
            })
            .await
    }

    /// Octets of the messages with `\Deleted` in a mailbox (RFC 9208 §4.1.4).
    pub async fn deleted_octets(&self, mailbox: MailboxId) -> Result<u64, StoreError> {
        let engine = &self.inner.engine;
        engine.read(mailbox, |tx, mailbox| Box::pin(deleted_octets_in(tx, *mailbox))).await
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
        let Inner { engine, rolls, .. } = &*self.inner;
        let write =
            engine.write(asked, Repeat::Never, |tx, asked| Box::pin(store_flags_in(tx, asked)));
        let (results, moved) = write.await?;
        if let Some(moved) = moved {
            rolls.wrote(mailbox, moved, &results.entries, &[]);
        }
        Ok(results)
    }

    /// All or nothing. UIDs that do not exist are passed over. Where the target belongs to another
    /// account, that account gets messages of its own, on the same blobs.
    pub async fn copy(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
    ) -> Result<Copied, AppendError> {
        self.transfer(from, uids, to, false, FlagMask::ALL).await
    }

    /// Like a copy, a new UID each, but the old entries go in the same transaction (RFC 6851).
    pub async fn move_entries(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
    ) -> Result<Copied, AppendError> {
        self.transfer(from, uids, to, true, FlagMask::ALL).await
    }

    /// Either of them, with those flags of the messages that are in `kept`.
    pub async fn transfer(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        moved: bool,
        kept: FlagMask,
    ) -> Result<Copied, AppendError> {
        let now = micros(Timestamp::now());
        let transfer = Transfer { from, uids: numbers(uids), to, moved, kept, now };
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
        let Inner { engine, rolls, .. } = &*self.inner;
        let write = engine.write(asked, Repeat::Never, |tx, (mailbox, uids, which, now)| {
            Box::pin(expunge_in(tx, *mailbox, uids, *which, *now))
        });
        let (gone, (before, now)) = write.await?;
        if !gone.is_empty() {
            rolls.wrote(mailbox, (before, now), &[], &gone);
        }
        Ok((gone, now))
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

    /// The content of a message of an account, and the same to be named by another message; `None` when
    /// it is gone.
    pub async fn content_of(
        &self,
        account: AccountId,
        message: MessageId,
    ) -> Result<Option<(Content, StagedBlob)>, StoreError> {
        const SQL: &str = "SELECT b.id, b.size_octets, b.object, b.chunk_ends, b.hash FROM messages m \
            JOIN blobs b ON b.id = m.blob WHERE m.id = ?2 AND m.account = ?1";
        let engine = &self.inner.engine;
        let found = engine
            .read((account, message), |tx, (account, message)| {
                let values = [Param::Int(account.0), Param::Int(message.0)];
                Box::pin(async move {
                    let read = |row: &Row<'_>| Ok((BlobRow::read(row)?, row.bytes(4)?.to_vec()));
                    tx.row(SQL, &values, read).await
                })
            })
            .await?;
        let Some((row, hash)) = found else { return Ok(None) };
        let content = row.content(self)?;
        let blob = StagedBlob::stored(&hash, content.size_octets)?;
        Ok(Some((content, blob)))
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
