//! One step at an operator's wish. Where records may be changed, they are changed at once too.

use waxwing_dns::Resolve;
use waxwing_store::{SigningKeyState, StoredSigningKey};

use super::make::make;
use super::{Keys, KeysError};
use crate::clock::Clock;

/// What a step did.
pub enum Advanced {
    /// New keys wait for their records, or sign at once when they are the first.
    Made(Vec<StoredSigningKey>),
    /// Nothing: the domain has had too many new keys today.
    TooMany,
    /// Nothing: records are not there yet, and why.
    NotShown(Vec<(StoredSigningKey, String)>),
    /// New keys sign.
    Switched {
        /// From now on.
        signing: Vec<StoredSigningKey>,
        /// No more.
        retired: Vec<StoredSigningKey>,
    },
    /// Old keys are gone, and whether their records are.
    Removed {
        /// The keys.
        keys: Vec<StoredSigningKey>,
        /// Whether their records were withdrawn too; else it is for the operator.
        withdrawn: bool,
    },
    /// Nothing: the records of old keys could not be withdrawn, and why.
    NotWithdrawn(Vec<(StoredSigningKey, String)>),
}

impl<R: Resolve, C: Clock> Keys<R, C> {
    /// Takes the next step. With `at_once` new keys sign without a look whether the DNS shows them.
    pub async fn advance(&self, domain: &str, at_once: bool) -> Result<Advanced, KeysError> {
        let fresh = self.keys(domain, SigningKeyState::Published).await?;
        if !fresh.is_empty() {
            let missing = if at_once { Vec::new() } else { self.missing(&fresh).await };
            if !missing.is_empty() {
                return Ok(Advanced::NotShown(missing));
            }
            let retired = self.switch(domain, &fresh).await?;
            return Ok(Advanced::Switched { signing: fresh, retired });
        }
        let old = self.outlived(domain).await?;
        if !old.is_empty() {
            return self.remove(domain, old).await;
        }
        let first = self.keys(domain, SigningKeyState::Signing).await?.is_empty();
        let state = if first { SigningKeyState::Signing } else { SigningKeyState::Published };
        if !make(&self.store, domain, state, self.clock.now()).await? {
            return Ok(Advanced::TooMany);
        }
        let made = self.keys(domain, state).await?;
        if let Some(via) = self.settings.via(domain) {
            for key in &made {
                let trouble = self.add(key, via).await.err().unwrap_or_default();
                self.store.note_signing_key(key.id, None, &trouble).await?;
            }
        }
        // With what was noted.
        Ok(Advanced::Made(self.keys(domain, state).await?))
    }

    /// Those that the DNS does not show, and what it says instead; what can be added is.
    async fn missing(&self, keys: &[StoredSigningKey]) -> Vec<(StoredSigningKey, String)> {
        let mut missing = Vec::new();
        for key in keys {
            let shown = self.look_up(key).await;
            let Some(mut why) = shown.problem() else { continue };
            if let (super::show::Shown::Nothing(_), Some(via)) =
                (&shown, self.settings.via(&key.domain))
            {
                why = match self.add(key, via).await {
                    Ok(()) => "the record was added, and is not seen yet".to_owned(),
                    Err(trouble) => trouble,
                };
            }
            missing.push((key.clone(), why));
        }
        missing
    }

    async fn remove(
        &self,
        domain: &str,
        old: Vec<StoredSigningKey>,
    ) -> Result<Advanced, KeysError> {
        let via = self.settings.via(domain);
        let (mut gone, mut left) = (Vec::new(), Vec::new());
        for key in old {
            match via {
                Some(via) => match self.withdraw(&key, via).await {
                    Ok(()) => gone.push(key),
                    Err(trouble) => left.push((key, trouble)),
                },
                None => gone.push(key),
            }
        }
        for key in &gone {
            self.store.remove_signing_key(key.id).await?;
        }
        Ok(match left.is_empty() {
            true => Advanced::Removed { keys: gone, withdrawn: via.is_some() },
            false => Advanced::NotWithdrawn(left),
        })
    }
}
