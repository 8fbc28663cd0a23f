//! Taking responsibility for a message: every mailbox entry, queue row and journey step of it in
//! one transaction.

use jiff::Timestamp;
use waxwing_message::journey::Event;
use waxwing_message::{Address, Envelope, JourneyId, Recipient, Summary};

use crate::{AccountId, Flags, MailboxId, Role, StagedBlob, Store, StoreError};

pub struct Acceptance {
    pub journey: JourneyId,
    pub now: Timestamp,
    /// Reverse-path and ESMTP parameters; its recipients are those given by the client.
    pub envelope: Envelope,
    /// The message's own Message-ID, for finding the journey by it.
    pub message_id: Option<String>,
    pub deposits: Vec<Deposit>,
    pub queue: Vec<NewQueueEntry>,
    /// What is queued. (Deposits carry their own: Return-Path differs.)
    pub queue_blob: Option<StagedBlob>,
    pub events: Vec<Event>,
}

pub struct Deposit {
    pub account: AccountId,
    pub mailbox: DepositTo,
    pub blob: StagedBlob,
    pub summary: Summary,
    pub received_at: Timestamp,
    pub flags: Flags,
    /// The envelope recipient that led here (the store adds Step::Deposited with the mailbox's name).
    pub recipient: Address,
}

pub enum DepositTo {
    /// The mailbox with that role, INBOX when there is none.
    Role(Role),
    /// This one by name if it exists (compared without case), else INBOX: plus addressing.
    NameOrInbox(String),
    Mailbox(MailboxId),
}

pub struct NewQueueEntry {
    pub recipient: Recipient,
    /// The domain whose mail exchangers take it.
    pub domain: String,
    pub next_attempt_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// Nothing was stored.
    #[error("the mailbox of {0} is full")]
    OverQuota(Address),
    /// The account was removed between RCPT and the end of data. Nothing was stored.
    #[error("{0} no longer exists")]
    Gone(Address),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// All or nothing, durable on return. Accepting one journey id twice does nothing the second
    /// time (so that a retry after a lost answer is harmless).
    pub async fn accept(&self, acceptance: Acceptance) -> Result<(), AcceptError> {
        todo!()
    }
}
