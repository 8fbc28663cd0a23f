//! Mailboxes: names, roles, counters, subscriptions.

use crate::{AccountId, ModSeq, Store, StoreError, Uid};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxId(pub i64);

/// RFC 6154 and RFC 8621 §10.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    Inbox,
    Drafts,
    Sent,
    Junk,
    Trash,
    Archive,
    All,
    Flagged,
    Important,
}

#[derive(Debug, Clone)]
pub struct Mailbox {
    pub id: MailboxId,
    pub account: AccountId,
    /// UTF-8 path, levels parted by `/`; the inbox is exactly `INBOX`.
    pub name: String,
    pub role: Option<Role>,
    pub uid_validity: u32,
    pub uid_next: Uid,
    pub subscribed: bool,
    /// Messages, those without \Seen, those with \Deleted, octets of all.
    pub total: u32,
    pub unseen: u32,
    pub deleted: u32,
    pub octets: u64,
    pub highest_modseq: ModSeq,
}

#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    #[error("a mailbox of that name exists")]
    Exists,
    #[error("no such mailbox")]
    NotFound,
    /// Empty level, control characters, too long (255 octets a level, 1,000 in all), too deep.
    #[error("that is not a possible mailbox name: {0}")]
    BadName(String),
    /// INBOX cannot be deleted.
    #[error("{0}")]
    Refused(String),
    #[error("too many mailboxes")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// In order of name, INBOX first.
    pub async fn mailboxes(&self, account: AccountId) -> Result<Vec<Mailbox>, StoreError> {
        todo!()
    }
    pub async fn mailbox(&self, id: MailboxId) -> Result<Option<Mailbox>, StoreError> {
        todo!()
    }
    /// `inbox` in any case is INBOX.
    pub async fn mailbox_by_name(
        &self,
        account: AccountId,
        name: &str,
    ) -> Result<Option<Mailbox>, StoreError> {
        todo!()
    }
    /// Missing parents are made too (RFC 9051 §6.3.4).
    pub async fn create_mailbox(
        &self,
        account: AccountId,
        name: &str,
        role: Option<Role>,
    ) -> Result<Mailbox, MailboxError> {
        todo!()
    }
    /// Children move along. Renaming INBOX moves its messages to a new mailbox (RFC 9051 §6.3.6).
    pub async fn rename_mailbox(
        &self,
        account: AccountId,
        from: &str,
        to: &str,
    ) -> Result<(), MailboxError> {
        todo!()
    }
    /// With its messages; children stay.
    pub async fn delete_mailbox(&self, account: AccountId, name: &str) -> Result<(), MailboxError> {
        todo!()
    }
    /// A subscription may name a mailbox that does not exist (RFC 9051 §6.3.7).
    pub async fn set_subscribed(
        &self,
        account: AccountId,
        name: &str,
        subscribed: bool,
    ) -> Result<(), MailboxError> {
        todo!()
    }
    /// Subscribed names, existing or not.
    pub async fn subscriptions(&self, account: AccountId) -> Result<Vec<String>, StoreError> {
        todo!()
    }
    /// Keywords ever used in the mailbox, for the FLAGS response.
    pub async fn mailbox_keywords(&self, id: MailboxId) -> Result<Vec<String>, StoreError> {
        todo!()
    }
}
