//! Waking those who wait: changes of an account, work in the queue. In one process at once, across
//! nodes by LISTEN/NOTIFY.

use crate::{AccountId, ModSeq, Store};

/// Hears of changes in one account. Dropping it unsubscribes.
pub struct Watch {}

impl Watch {
    /// Waits until something changed since the last call (or since the watch was made).
    pub async fn changed(&mut self) {
        todo!()
    }
}

/// Hears that the queue has new or due work.
pub struct QueueWatch {}

impl QueueWatch {
    pub async fn changed(&mut self) {
        todo!()
    }
}

impl Store {
    pub fn watch(&self, account: AccountId) -> Watch {
        todo!()
    }
    pub fn watch_queue(&self) -> QueueWatch {
        todo!()
    }
}
