//! The exclusive-access lock of a maildrop (RFC 1939 §4): one POP3 session per account over all nodes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::engine::{Repeat, Tx, params};
use crate::instant::micros;
use crate::{AccountId, Inner, Store, StoreError};

/// How long a lock lasts that nobody renews.
const HELD_FOR: Duration = Duration::from_secs(60);
/// How often the holder renews it.
const RENEWED_EVERY: Duration = Duration::from_secs(20);

/// Held until released, dropped, or run out.
pub struct MaildropLock {
    store: Arc<Inner>,
    account: AccountId,
    holder: [u8; 16],
    renewal: tokio::task::JoinHandle<()>,
    released: bool,
}

impl Store {
    /// `None` when another session has it. Renewed by the store in the background while held; a
    /// node that dies frees it after a minute.
    pub async fn lock_maildrop(
        &self,
        account: AccountId,
    ) -> Result<Option<MaildropLock>, StoreError> {
        let holder: [u8; 16] = rand::random();
        if !hold(&self.inner, account, holder).await? {
            return Ok(None);
        }
        let store = self.inner.clone();
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWED_EVERY).await;
                match hold(&store, account, holder).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => tracing::warn!(%error, "could not renew the lock of a maildrop"),
                }
            }
        });
        let store = self.inner.clone();
        Ok(Some(MaildropLock { store, account, holder, renewal, released: false }))
    }
}

impl MaildropLock {
    /// Lets the next session in.
    pub async fn release(mut self) -> Result<(), StoreError> {
        self.released = true;
        self.renewal.abort();
        free(&self.store, self.account, self.holder).await
    }
}

impl Drop for MaildropLock {
    fn drop(&mut self) {
        self.renewal.abort();
        if self.released {
            return;
        }
        let (store, account, holder) = (self.store.clone(), self.account, self.holder);
        // Outside of a runtime the lock runs out by itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = free(&store, account, holder).await {
                    tracing::warn!(%error, "could not release the lock of a maildrop");
                }
            });
        }
    }
}

/// Takes or renews the lock: true when `holder` has it now.
async fn hold(store: &Inner, account: AccountId, holder: [u8; 16]) -> Result<bool, StoreError> {
    let now = Timestamp::now();
    let until = now.checked_add(HELD_FOR).unwrap_or(now);
    let asked = (account, holder, micros(now), micros(until));
    store
        .engine
        .write(asked, Repeat::Harmless, |tx, (account, holder, now, until)| {
            Box::pin(hold_in(tx, *account, holder, *now, *until))
        })
        .await
}

async fn hold_in(
    tx: &Tx,
    account: AccountId,
    holder: &[u8; 16],
    now: i64,
    until: i64,
) -> Result<bool, StoreError> {
    const SQL: &str = "INSERT INTO maildrop_locks (account, holder, held_until) \
        VALUES (?1, ?2, ?4) ON CONFLICT (account) DO UPDATE SET holder = ?2, held_until = ?4 \
        WHERE maildrop_locks.held_until < ?3 OR maildrop_locks.holder = ?2";
    Ok(tx.run(SQL, params![account.0, holder, now, until]).await? == 1)
}

async fn free(store: &Inner, account: AccountId, holder: [u8; 16]) -> Result<(), StoreError> {
    store
        .engine
        .write((account, holder), Repeat::Harmless, |tx, (account, holder)| {
            Box::pin(free_in(tx, *account, holder))
        })
        .await
}

async fn free_in(tx: &Tx, account: AccountId, holder: &[u8; 16]) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM maildrop_locks WHERE account = ?1 AND holder = ?2";
    tx.run(SQL, params![account.0, holder]).await.map(drop)
}
