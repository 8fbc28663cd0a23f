//! Every step by itself, where records may be changed.

use std::time::Duration;

use waxwing_dns::Resolve;
use waxwing_store::{SigningKeyState, StoredSigningKey};

use super::make::make;
use super::show::Shown;
use super::{Keys, KeysError, Via, has_passed, record_name};
use crate::clock::Clock;

/// How often keys are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// How long the DNS must have shown a key before it signs, or the record's TTL when that is longer: by
/// then the other name servers of the zone have it too.
const SHOWN_FOR: Duration = Duration::from_secs(3600);

impl<R: Resolve, C: Clock> Keys<R, C> {
    /// Tends the keys of our domains for ever.
    pub async fn run(&self) {
        loop {
            if let Err(error) = self.tend().await {
                tracing::warn!(%error, "signing keys were not looked after");
            }
            self.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Takes every step that is due now, in each domain whose records we may change.
    pub async fn tend(&self) -> Result<(), KeysError> {
        for domain in self.store.domains().await? {
            if let Some(via) = self.settings.via(&domain.name) {
                self.tend_one(&domain.name, via).await?;
            }
        }
        Ok(())
    }

    async fn tend_one(&self, domain: &str, via: &Via) -> Result<(), KeysError> {
        self.begin(domain).await?;
        let mut ready = true;
        let fresh = self.keys(domain, SigningKeyState::Published).await?;
        for key in &fresh {
            ready &= self.show(key, via).await?;
        }
        if ready && !fresh.is_empty() {
            let retired = self.switch(domain, &fresh).await?;
            let (signing, retired) = (selectors(&fresh), selectors(&retired));
            tracing::info!(domain, signing, retired, "new keys sign; the old ones are retired");
        }
        for key in self.keys(domain, SigningKeyState::Signing).await? {
            self.show(&key, via).await?;
        }
        for key in self.outlived(domain).await? {
            self.end(&key, via).await?;
        }
        Ok(())
    }

    /// Makes new keys when those that sign are due and none wait.
    async fn begin(&self, domain: &str) -> Result<(), KeysError> {
        let keys = self.store.signing_keys(Some(domain)).await?;
        let waiting = keys.iter().any(|key| key.state == SigningKeyState::Published);
        let now = self.clock.now();
        if !waiting
            && keys.iter().any(|key| self.settings.is_due(key, now))
            && make(&self.store, domain, SigningKeyState::Published, now).await?
        {
            tracing::info!(domain, "new keys were made; they sign once the DNS has shown them");
        }
        Ok(())
    }

    /// Sees to it that the DNS shows a key. True when it has for long enough.
    async fn show(&self, key: &StoredSigningKey, via: &Via) -> Result<bool, KeysError> {
        let now = self.clock.now();
        let (shown_at, trouble) = match self.look_up(key).await {
            Shown::Yes(ttl) => {
                let shown_at = key.shown_at.unwrap_or(now);
                self.note(key, Some(shown_at), "").await?;
                return Ok(has_passed(shown_at, SHOWN_FOR.max(ttl), now));
            }
            Shown::Nothing(_) => {
                let added = self.add(key, via).await;
                if added.is_ok() {
                    tracing::info!(name = record_name(key), "the record of a key was added");
                }
                (None, added.err())
            }
            // What we cannot see may be there: nothing is taken back, and nothing goes on.
            Shown::Unknown(why) => (key.shown_at, Some(format!("it cannot be looked up: {why}"))),
            Shown::Another => {
                let why = "the DNS shows another record there, which must be taken away by hand";
                (None, Some(why.to_owned()))
            }
        };
        let trouble = trouble.unwrap_or_default();
        if !trouble.is_empty() {
            let effect = match key.state {
                SigningKeyState::Published => "the keys before go on signing",
                _ => "signatures by it cannot be checked",
            };
            tracing::warn!(
                "the record {} is not in the DNS: {trouble}. Until it is, {effect}",
                record_name(key)
            );
        }
        self.note(key, shown_at, &trouble).await?;
        Ok(false)
    }

    /// Withdraws the record of a key that nobody needs, and forgets the key.
    async fn end(&self, key: &StoredSigningKey, via: &Via) -> Result<(), KeysError> {
        match self.withdraw(key, via).await {
            Ok(()) => {
                self.store.remove_signing_key(key.id).await?;
                tracing::info!(name = record_name(key), "an old key is gone, and its record");
            }
            Err(trouble) => {
                tracing::warn!(
                    "the record {} of a retired key was not withdrawn: {trouble}. It does no harm meanwhile",
                    record_name(key)
                );
                self.note(key, key.shown_at, &trouble).await?;
            }
        }
        Ok(())
    }

    async fn note(
        &self,
        key: &StoredSigningKey,
        shown_at: Option<jiff::Timestamp>,
        trouble: &str,
    ) -> Result<(), KeysError> {
        if key.shown_at != shown_at || key.trouble != trouble {
            self.store.note_signing_key(key.id, shown_at, trouble).await?;
        }
        Ok(())
    }
}

fn selectors(keys: &[StoredSigningKey]) -> String {
    keys.iter().map(|key| key.selector.as_str()).collect::<Vec<_>>().join(", ")
}
