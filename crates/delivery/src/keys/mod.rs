//! Keys that sign for our domains: made, shown in the DNS, used, replaced, withdrawn.
//!
//! | where the keys of a domain stand | the next step | what keeps it back |
//! |---|---|---|
//! | all that sign have signed for long | new ones are made: *published* | no update server: an operator makes them |
//! | published, and the DNS does not show them | their records are added | the DNS cannot be asked; the server refuses |
//! | published, and shown | they sign, and those before are *retired* | not all are shown, or not yet for a TTL |
//! | signing, and the DNS shows no key | their records are added | the same |
//! | retired for longer than mail waits | their records are withdrawn, and they are gone | the server refuses |
//!
//! Where an update server is configured for a domain ([`Via`]), the server takes every step by itself
//! ([`Keys::tend`], once an hour). Else an operator does, by `waxwing domain rotate-keys`
//! ([`Keys::advance`]). No step takes a key out of use before its successor is seen: whatever fails,
//! mail goes on being signed by a key that the DNS shows. What failed is kept with the key, and
//! written to the log at every try.
//!
//! `make` makes keys; `tend` and `advance` take the steps; `show` looks at the DNS and changes it.

mod advance;
mod make;
mod show;
mod tend;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use waxwing_dns::{ChangeZone, Resolve};
use waxwing_store::{AccountError, SigningKeyState, Store, StoreError, StoredSigningKey};

use crate::clock::Clock;

pub use advance::Advanced;
pub use make::ensure;

/// How old keys are replaced: M3AAWG recommends twice a year.
pub const ROTATE_AFTER: Duration = Duration::from_secs(180 * 24 * 3600);
/// How long retired keys stay in the DNS, at least.
const KEPT_AFTER_RETIREMENT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longer than a message waits in the queue by this: others queue it too.
const AFTER_EXPIRY: Duration = Duration::from_secs(2 * 24 * 3600);

/// How keys of our domains are replaced.
#[derive(Clone, Default)]
pub struct KeySettings {
    /// Keys that have signed for so long are due.
    pub rotate_after: Option<Duration>,
    /// How long a message may wait in our queue.
    pub expire_after: Duration,
    /// The primary server of all domains that have none of their own here.
    pub via: Option<Via>,
    /// The primary servers of some domains.
    pub via_for: BTreeMap<String, Via>,
}

/// A primary server that lets us change a domain's records.
#[derive(Clone)]
pub struct Via {
    /// The server.
    pub server: Arc<dyn ChangeZone>,
    /// The zone; found by its SOA record when it is not set.
    pub zone: Option<String>,
}

impl KeySettings {
    /// Where the records of a domain are changed, if we may.
    pub fn via(&self, domain: &str) -> Option<&Via> {
        self.via_for.get(domain).or(self.via.as_ref())
    }

    /// Whether a key has signed for longer than it should.
    pub fn is_due(&self, key: &StoredSigningKey, now: Timestamp) -> bool {
        let after = self.rotate_after.unwrap_or(ROTATE_AFTER);
        key.state == SigningKeyState::Signing && has_passed(key.changed_at, after, now)
    }

    /// How long retired keys stay in the DNS.
    pub fn keep_retired(&self) -> Duration {
        KEPT_AFTER_RETIREMENT.max(self.expire_after.saturating_add(AFTER_EXPIRY))
    }
}

fn has_passed(since: Timestamp, span: Duration, now: Timestamp) -> bool {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    now.duration_since(since) >= span
}

/// Looks after the keys of our domains.
pub struct Keys<R, C> {
    /// Where they are.
    pub store: Store,
    /// How the world sees them.
    pub resolver: R,
    /// The time.
    pub clock: C,
    /// When and through whom they are replaced.
    pub settings: KeySettings,
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The store cannot work. Temporary.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store would not have it.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// No key could be made.
    #[error("a key could not be made: {0}")]
    Make(String),
}

/// The name of a key's record.
pub fn record_name(key: &StoredSigningKey) -> String {
    format!("{}._domainkey.{}", key.selector, key.domain)
}

impl<R: Resolve, C: Clock> Keys<R, C> {
    async fn keys(
        &self,
        domain: &str,
        state: SigningKeyState,
    ) -> Result<Vec<StoredSigningKey>, StoreError> {
        let mut keys = self.store.signing_keys(Some(domain)).await?;
        keys.retain(|key| key.state == state);
        Ok(keys)
    }

    /// Retired keys that no mail on its way can need any more.
    async fn outlived(&self, domain: &str) -> Result<Vec<StoredSigningKey>, StoreError> {
        let now = self.clock.now();
        let mut keys = self.keys(domain, SigningKeyState::Retired).await?;
        keys.retain(|key| has_passed(key.changed_at, self.settings.keep_retired(), now));
        Ok(keys)
    }

    /// The published ones sign from now on, and those that signed are retired, in one moment. Gives
    /// the retired ones.
    async fn switch(
        &self,
        domain: &str,
        fresh: &[StoredSigningKey],
    ) -> Result<Vec<StoredSigningKey>, StoreError> {
        let old = self.keys(domain, SigningKeyState::Signing).await?;
        let states = fresh.iter().map(|key| (key.id, SigningKeyState::Signing));
        let states = states.chain(old.iter().map(|key| (key.id, SigningKeyState::Retired)));
        self.store.set_signing_key_states(states.collect(), self.clock.now()).await?;
        Ok(old)
    }
}
