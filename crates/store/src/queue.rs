//! Queue rows and their leases. One row per recipient that is not yet done; a row that ends is
//! deleted in the transaction that records its end in the journey.
//!
//! | state | meaning | leaves it by |
//! |---|---|---|
//! | waiting | next attempt at `next_attempt_at` | lease, hold, cancel |
//! | leased | a node is at it until `leased_until` | settle (→ waiting or gone), lease running out (→ waiting) |
//! | held | an operator stopped it | release (→ waiting), cancel |

use std::time::Duration;

use jiff::Timestamp;
use waxwing_message::journey::Event;
use waxwing_message::{Address, BodyKind, DsnReturn, JourneyId, Recipient, ReversePath};

use crate::{Acceptance, Content, Store, StoreError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueState {
    Waiting,
    Leased,
    Held,
}

#[derive(Debug, Clone)]
pub struct QueueEntry {
    pub id: QueueId,
    pub journey: JourneyId,
    pub state: QueueState,
    pub reverse_path: ReversePath,
    pub recipient: Recipient,
    pub domain: String,
    pub body: BodyKind,
    pub smtputf8: bool,
    pub require_tls: bool,
    pub dsn_return: Option<DsnReturn>,
    pub envelope_id: Option<String>,
    pub size_octets: u64,
    pub attempts: u32,
    pub created_at: Timestamp,
    pub next_attempt_at: Timestamp,
    pub expires_at: Timestamp,
    pub delay_warned: bool,
    /// Why the last attempt failed.
    pub last_reason: String,
}

/// Entries of one message for one domain, leased together.
pub struct Lease {
    pub entries: Vec<QueueEntry>,
    pub until: Timestamp,
    /// The node and attempt that hold it; settling with a lease that ran out changes nothing.
    pub token: [u8; 16],
}

/// How one entry goes on.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// Delivered, bounced or cancelled: the row goes.
    Ended,
    Retry {
        at: Timestamp,
        reason: String,
        delay_warned: bool,
    },
}

pub struct Settled {
    pub entries: Vec<(QueueId, Settlement)>,
    /// For the journey of the lease.
    pub events: Vec<Event>,
    /// Reports (bounces and so on) accepted in the same transaction.
    pub reports: Vec<Acceptance>,
}

#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// Another node has it now: nothing was changed.
    #[error("the lease ran out")]
    LeaseLost,
    #[error(transparent)]
    Accept(#[from] crate::AcceptError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum QueueActionError {
    #[error("no such queue entry")]
    NotFound,
    /// It is being delivered at this moment.
    #[error("that entry is being delivered right now")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Leases up to `limit` groups that are due, earliest first; `except` names domains whose
    /// limits are reached.
    pub async fn lease(
        &self,
        now: Timestamp,
        lease_for: Duration,
        limit: usize,
        except: &[String],
    ) -> Result<Vec<Lease>, StoreError> {
        todo!()
    }
    pub async fn renew(&self, lease: &mut Lease, until: Timestamp) -> Result<bool, StoreError> {
        todo!()
    }
    pub async fn settle(&self, lease: Lease, settled: Settled) -> Result<(), SettleError> {
        todo!()
    }
    /// The queued message's octets.
    pub async fn queue_content(&self, id: QueueId) -> Result<Option<Content>, StoreError> {
        todo!()
    }
    /// The earliest moment at which something is or becomes due.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        todo!()
    }
    /// In order of next attempt; `domain` and `limit` narrow it.
    pub async fn queue(
        &self,
        domain: Option<&str>,
        limit: usize,
    ) -> Result<Vec<QueueEntry>, StoreError> {
        todo!()
    }
    pub async fn queue_entry(&self, id: QueueId) -> Result<Option<QueueEntry>, StoreError> {
        todo!()
    }
    /// Each records Step::Operator in the journey.
    pub async fn hold(&self, id: QueueId, now: Timestamp) -> Result<(), QueueActionError> {
        todo!()
    }
    pub async fn release(&self, id: QueueId, now: Timestamp) -> Result<(), QueueActionError> {
        todo!()
    }
    pub async fn retry_now(&self, id: QueueId, now: Timestamp) -> Result<(), QueueActionError> {
        todo!()
    }
    pub async fn cancel(&self, id: QueueId, now: Timestamp) -> Result<(), QueueActionError> {
        todo!()
    }
}
