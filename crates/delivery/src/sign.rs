//! Vouching for what leaves: DKIM signatures and ARC seals with the keys of our domains.
//!
//! Keys are read from the store and kept ready for a minute, so that a rotation reaches every node
//! within that time; the key before stays in the DNS for much longer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use waxwing_mailauth::arc::{self, SealError};
use waxwing_mailauth::dkim::{BodyHasher, Canonicalization, Signer};
use waxwing_mailauth::key::{Algorithm, SigningKey};
use waxwing_mailauth::results::AuthenticationResults;
use waxwing_message::parse::field::header_end;
use waxwing_message::trace::Edited;
use waxwing_store::{SigningKeyState, Store, StoreError};

use crate::clock::Clock;

/// How long keys are used before they are looked for again.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Domains whose keys are kept ready.
const DOMAINS_MAX: usize = 1_000;

/// The keys of our domains, ready to sign.
#[derive(Default)]
pub struct Signers {
    known: Mutex<HashMap<String, Known>>,
}

/// The keys of one domain and since when they are known.
type Known = (Instant, Arc<[Signer]>);

impl Signers {
    /// The keys that sign for a domain, or for the domain of ours that it stands below; none when
    /// there is no such domain or it has no keys.
    pub async fn of<C: Clock>(
        &self,
        store: &Store,
        clock: &C,
        domain: &str,
    ) -> Result<Arc<[Signer]>, StoreError> {
        let mut name = domain;
        loop {
            let signers = self.exactly(store, clock, name).await?;
            match name.split_once('.') {
                Some((_, parent)) if signers.is_empty() && parent.contains('.') => name = parent,
                _ => return Ok(signers),
            }
        }
    }

    async fn exactly<C: Clock>(
        &self,
        store: &Store,
        clock: &C,
        domain: &str,
    ) -> Result<Arc<[Signer]>, StoreError> {
        let now = clock.instant();
        if let Some((at, signers)) =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).get(domain)
            && now.saturating_duration_since(*at) < KEPT_FOR
        {
            return Ok(signers.clone());
        }
        let keys = store.signing_keys(Some(domain)).await?;
        let signing = keys.iter().filter(|key| key.state == SigningKeyState::Signing);
        let signers: Arc<[Signer]> = signing
            .filter_map(|key| {
                let made = SigningKey::from_pkcs8_der(&key.private_key).map_err(|e| e.to_string());
                let made = made.and_then(|made| {
                    Signer::new(&key.domain, &key.selector, made).map_err(|e| e.to_string())
                });
                made.inspect_err(|why| {
                    tracing::error!(domain, selector = key.selector, why, "a key cannot sign");
                })
                .ok()
            })
            .collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= DOMAINS_MAX {
            known.clear();
        }
        known.insert(domain.to_owned(), (now, signers.clone()));
        Ok(signers)
    }
}

/// A message as it will leave: the new header, and the octets that follow it.
pub(crate) struct Leaving<'a> {
    header: Vec<u8>,
    body: &'a [u8],
}

impl<'a> Leaving<'a> {
    pub fn new(original: &'a [u8], edited: &Edited) -> Leaving<'a> {
        let rest = edited.rest.min(original.len());
        let end = header_end(original).max(rest);
        let header = [&edited.header[..], &original[rest..end]].concat();
        Leaving { header, body: &original[end..] }
    }

    fn body_hash(&self) -> [u8; 32] {
        let mut hasher = BodyHasher::new(Canonicalization::Relaxed, None);
        hasher.write(self.body);
        hasher.finish()
    }

    /// One DKIM-Signature for each key, to be put before the message.
    pub fn signatures(&self, signers: &[Signer], now: Timestamp) -> Vec<u8> {
        if signers.is_empty() {
            return Vec::new();
        }
        let body_hash = self.body_hash();
        signers.iter().flat_map(|signer| signer.sign(&self.header, &body_hash, now, None)).collect()
    }

    /// An ARC set (RFC 8617 §5.1), to be put before the message. With RSA, which every validator
    /// knows (RFC 8617 §4.1.2 has the algorithms of DKIM).
    pub fn seal(
        &self,
        signers: &[Signer],
        results: &AuthenticationResults,
        validation: &arc::Validation,
        now: Timestamp,
    ) -> Result<Vec<u8>, SealError> {
        let rsa = |signer: &&Signer| signer.key.algorithm() == Algorithm::RsaSha256;
        let Some(signer) = signers.iter().find(rsa).or(signers.first()) else {
            return Ok(Vec::new());
        };
        arc::seal(
            &signer.key,
            &signer.domain,
            &signer.selector,
            &self.header,
            &self.body_hash(),
            &results.to_payload(),
            validation,
            now,
        )
    }
}
