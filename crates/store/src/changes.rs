//! Waking those who wait: changes of an account, work in the queue. In one process at once, across
//! nodes by LISTEN/NOTIFY, across processes on one SQLite file within about half a second.
//!
//! A waking says only "look": it may come without a change (another process wrote something), but
//! never is a change without a waking after its commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::engine::Touched;
use crate::{AccountId, Store};

/// Hears of changes in one account. Dropping it unsubscribes.
pub struct Watch {
    // Dropped before the registration looks whether anyone is left.
    bell: watch::Receiver<()>,
    _registration: Registration,
}

impl Watch {
    /// Waits until something changed since the last call (or since the watch was made). Safe to
    /// drop and call again: no change is missed.
    pub async fn changed(&mut self) {
        heard(&mut self.bell).await;
    }
}

/// No account has this number: its bell rings when what anyone may do somewhere is changed.
pub(crate) const ANYONE: AccountId = AccountId(0);

/// Hears that the queue has new or due work, or of changes in any account.
pub struct QueueWatch {
    bell: watch::Receiver<()>,
}

impl QueueWatch {
    /// Waits until something was queued, released or retried since the last call (or since the
    /// watch was made).
    pub async fn changed(&mut self) {
        heard(&mut self.bell).await;
    }

    /// Whether there was something, without waiting.
    pub(crate) fn has_changed(&mut self) -> bool {
        let changed = self.bell.has_changed().unwrap_or(false);
        self.bell.mark_unchanged();
        changed
    }
}

async fn heard(bell: &mut watch::Receiver<()>) {
    if bell.changed().await.is_err() {
        // The store is gone: nothing will change any more.
        std::future::pending::<()>().await;
    }
}

impl Store {
    /// Wakes at every change of the account from now on.
    pub fn watch(&self, account: AccountId) -> Watch {
        self.inner.hub.watch(account)
    }
    /// Wakes from now on when a right is given to anyone, or taken from them, in a mailbox of whichever
    /// account. What one account is given wakes that account.
    pub fn watch_anyone(&self) -> Watch {
        self.inner.hub.watch(ANYONE)
    }
    /// Wakes whenever the queue may have work from now on. Work that becomes due by the clock alone
    /// wakes nobody: see [`Store::next_due`].
    pub fn watch_queue(&self) -> QueueWatch {
        QueueWatch { bell: self.inner.hub.queue.subscribe() }
    }
    /// Wakes at every change of any account from now on.
    pub fn watch_all(&self) -> QueueWatch {
        self.inner.hub.watch_any()
    }
}

/// The bells of this process.
pub(crate) struct Hub {
    accounts: Mutex<HashMap<AccountId, watch::Sender<()>>>,
    queue: watch::Sender<()>,
    any: watch::Sender<()>,
}

impl Hub {
    pub(crate) fn new() -> Arc<Hub> {
        Arc::new(Hub {
            accounts: Mutex::default(),
            queue: watch::Sender::new(()),
            any: watch::Sender::new(()),
        })
    }

    fn watch(self: &Arc<Hub>, account: AccountId) -> Watch {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let bell = accounts.entry(account).or_default().subscribe();
        Watch { bell, _registration: Registration { hub: self.clone(), account } }
    }

    /// Wakes at changes of any account.
    pub(crate) fn watch_any(&self) -> QueueWatch {
        QueueWatch { bell: self.any.subscribe() }
    }

    pub(crate) fn wake(&self, touched: &Touched) {
        if !touched.accounts.is_empty() {
            self.any.send_replace(());
            let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            for bell in touched.accounts.iter().filter_map(|account| accounts.get(account)) {
                bell.send_replace(());
            }
        }
        if touched.queue {
            self.queue.send_replace(());
        }
    }

    /// When it is not known what changed.
    pub(crate) fn wake_all(&self) {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.values().for_each(|bell| bell.send_replace(()));
        self.queue.send_replace(());
        self.any.send_replace(());
    }
}

struct Registration {
    hub: Arc<Hub>,
    account: AccountId,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut accounts = self.hub.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.get(&self.account).is_some_and(|bell| bell.receiver_count() == 0) {
            accounts.remove(&self.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_change_between_two_looks_is_heard_once_and_dropping_unsubscribes() {
        let hub = Hub::new();
        let mut watch = hub.watch(AccountId(1));
        let other = hub.watch(AccountId(2));
        assert!(watch.changed().now_or_never().is_none());
        let touched = Touched { accounts: vec![AccountId(1)], queue: false };
        hub.wake(&touched);
        hub.wake(&touched);
        assert!(watch.changed().now_or_never().is_some());
        assert!(watch.changed().now_or_never().is_none());
        assert!(!other.bell.has_changed().unwrap());
        drop((watch, other));
        assert!(hub.accounts.lock().unwrap().is_empty());
    }
}
