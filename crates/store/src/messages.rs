//! Messages in mailboxes: listing, flags, copy, move, expunge.
//!
//! A *message* is content that an account has (one row, one blob, one summary); an *entry* is its
//! place in a mailbox, with a UID and flags. A copy is another entry of the same message.

use std::sync::Arc;

use jiff::Timestamp;
use waxwing_message::{JourneyId, Summary};

use crate::{AccountId, MailboxError, MailboxId, StagedBlob, Store, StoreError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(pub u32);
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModSeq(pub u64);
/// The account's name for a content (RFC 8474 EMAILID).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub i64);

/// System flags as bits; keywords beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    pub system: SystemFlags,
    /// Sorted, each once, spelled as first used in the mailbox. Shared when equal.
    pub keywords: Option<Arc<[Arc<str>]>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SystemFlags(pub u8);

impl SystemFlags {
    pub const SEEN: SystemFlags = SystemFlags(1);
    pub const ANSWERED: SystemFlags = SystemFlags(2);
    pub const FLAGGED: SystemFlags = SystemFlags(4);
    pub const DELETED: SystemFlags = SystemFlags(8);
    pub const DRAFT: SystemFlags = SystemFlags(16);
    pub fn contains(self, other: SystemFlags) -> bool {
        self.0 & other.0 == other.0
    }
    pub fn with(self, other: SystemFlags) -> SystemFlags {
        SystemFlags(self.0 | other.0)
    }
    pub fn without(self, other: SystemFlags) -> SystemFlags {
        SystemFlags(self.0 & !other.0)
    }
}

/// A message's place in a mailbox, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub uid: Uid,
    pub message: MessageId,
    pub modseq: ModSeq,
    pub flags: Flags,
    pub size_octets: u64,
    /// IMAP's INTERNALDATE.
    pub received_at: Timestamp,
    /// When it came into this mailbox (RFC 8514).
    pub saved_at: Timestamp,
}

pub struct NewMessage {
    pub blob: StagedBlob,
    pub summary: Summary,
    pub received_at: Timestamp,
    pub flags: Flags,
    pub journey: Option<JourneyId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub uid_validity: u32,
    pub uid: Uid,
    pub modseq: ModSeq,
}

#[derive(Debug, Clone)]
pub enum FlagChange {
    Set(Flags),
    Add(Flags),
    Remove(Flags),
}

#[derive(Debug, Clone)]
pub struct FlagResults {
    /// The entries after the change, in order of UID; ones that were not altered keep their modseq.
    pub entries: Vec<Entry>,
    /// Refused because their modseq was above `unchanged_since` (RFC 7162 §3.1.3).
    pub modified: Vec<Uid>,
}

#[derive(Debug, Clone)]
pub struct Copied {
    pub uid_validity: u32,
    /// Source and new UID, in order of source UID.
    pub uids: Vec<(Uid, Uid)>,
    pub modseq: ModSeq,
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("no such mailbox")]
    NoMailbox,
    #[error("over quota")]
    OverQuota,
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
    pub highest_modseq: ModSeq,
    /// Tombstones older than `since` were dropped: `vanished` may be incomplete.
    pub incomplete: bool,
}

impl Store {
    /// All entries by UID, at one moment, with the modseq of that moment.
    pub async fn entries(&self, mailbox: MailboxId) -> Result<(Vec<Entry>, ModSeq), StoreError> {
        todo!()
    }
    pub async fn changes(
        &self,
        mailbox: MailboxId,
        since: ModSeq,
    ) -> Result<MailboxChanges, StoreError> {
        todo!()
    }
    /// Summaries for these UIDs, in the order of UID; expunged ones are absent. Callers ask in
    /// slices of some hundreds.
    pub async fn summaries(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
    ) -> Result<Vec<(Uid, Summary)>, StoreError> {
        todo!()
    }
    /// The content of an entry; `None` when it was expunged meanwhile.
    pub async fn content(
        &self,
        mailbox: MailboxId,
        uid: Uid,
    ) -> Result<Option<Content>, StoreError> {
        todo!()
    }
    /// Adds several messages in one transaction (RFC 3502).
    pub async fn append(
        &self,
        mailbox: MailboxId,
        messages: Vec<NewMessage>,
    ) -> Result<Vec<Appended>, AppendError> {
        todo!()
    }
    pub async fn store_flags(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        change: FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<FlagResults, StoreError> {
        todo!()
    }
    /// Within one account. All or nothing.
    pub async fn copy(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
    ) -> Result<Copied, AppendError> {
        todo!()
    }
    pub async fn move_entries(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
    ) -> Result<Copied, AppendError> {
        todo!()
    }
    /// Removes entries; content goes with its last entry. Gives those that were there.
    pub async fn expunge(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
    ) -> Result<(Vec<Uid>, ModSeq), StoreError> {
        todo!()
    }
    /// The journey that brought a message, if it came by one.
    pub async fn journey_of(
        &self,
        mailbox: MailboxId,
        uid: Uid,
    ) -> Result<Option<JourneyId>, StoreError> {
        todo!()
    }
}

/// A message's octets, read by range; a large message is never whole in memory.
pub struct Content {
    pub size_octets: u64,
}

impl Content {
    /// The octets of `offset..offset+len`, cut at the end of the message.
    pub async fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        todo!()
    }
    /// All of it: for small messages and tests.
    pub async fn read_all(&self) -> Result<Vec<u8>, StoreError> {
        todo!()
    }
}
