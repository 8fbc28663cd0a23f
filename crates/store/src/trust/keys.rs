//! Keys that sign for our domains, and where each stands in its rotation.
//!
//! | state | in the DNS | signs | leaves it by |
//! |---|---|---|---|
//! | published | to be added | no | `set_signing_key_states`: signing |
//! | signing | yes | yes | retired, when its successor signs |
//! | retired | yes, for mail on its way | no | `remove_signing_key` |

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{micros, timestamp};
use crate::{AccountError, Store, StoreError};

/// Names a signing key for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SigningKeyId(pub i64);

/// RFC 6376 and RFC 8463.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// `rsa-sha256`.
    RsaSha256,
    /// `ed25519-sha256`.
    Ed25519Sha256,
}

/// See the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SigningKeyState {
    /// In the DNS, or to be put there; not used yet.
    Published,
    /// Signs what leaves.
    Signing,
    /// Signs no more.
    Retired,
}

/// A key pair of one of our domains.
#[derive(Clone)]
pub struct StoredSigningKey {
    /// For ever.
    pub id: SigningKeyId,
    /// Whose.
    pub domain: String,
    /// `s=`.
    pub selector: String,
    /// `a=`.
    pub algorithm: SigningAlgorithm,
    /// PKCS #8, DER.
    pub private_key: Zeroizing<Vec<u8>>,
    /// What the DNS is to say at `selector._domainkey.domain`.
    pub record: String,
    /// Where it stands.
    pub state: SigningKeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it came into its state.
    pub changed_at: Timestamp,
    /// Since when the DNS has shown its record, as far as anybody looked.
    pub shown_at: Option<Timestamp>,
    /// What kept its record from being added or withdrawn, for people; empty when nothing did.
    pub trouble: String,
}

/// A key pair to be kept.
pub struct NewSigningKey {
    /// One of our domains.
    pub domain: String,
    /// Unlike all others of the domain.
    pub selector: String,
    /// `a=`.
    pub algorithm: SigningAlgorithm,
    /// PKCS #8, DER.
    pub private_key: Zeroizing<Vec<u8>>,
    /// The TXT record.
    pub record: String,
    /// To begin with.
    pub state: SigningKeyState,
}

impl SigningAlgorithm {
    fn code(self) -> i64 {
        match self {
            SigningAlgorithm::RsaSha256 => 0,
            SigningAlgorithm::Ed25519Sha256 => 1,
        }
    }

    fn of(code: i64) -> Result<SigningAlgorithm, StoreError> {
        match code {
            0 => Ok(SigningAlgorithm::RsaSha256),
            1 => Ok(SigningAlgorithm::Ed25519Sha256),
            _ => Err(StoreError::Damaged(format!("{code} is no signing algorithm"))),
        }
    }
}

impl SigningKeyState {
    fn code(self) -> i64 {
        self as i64
    }

    fn of(code: i64) -> Result<SigningKeyState, StoreError> {
        match code {
            0 => Ok(SigningKeyState::Published),
            1 => Ok(SigningKeyState::Signing),
            2 => Ok(SigningKeyState::Retired),
            _ => Err(StoreError::Damaged(format!("{code} is no state of a signing key"))),
        }
    }
}

impl Store {
    /// Keeps new key pairs of one domain, all in one state. Refused when the domain is not ours, and
    /// when it has keys in that state or with such a selector already: then another node was first.
    pub async fn add_signing_keys(
        &self,
        new: Vec<NewSigningKey>,
        at: Timestamp,
    ) -> Result<Vec<SigningKeyId>, AccountError> {
        let engine = &self.inner.engine;
        engine
            .write((new, micros(at)), Repeat::Never, |tx, (new, now)| {
                Box::pin(add_in(tx, new, *now))
            })
            .await
    }

    /// The keys of one domain, or of all: by domain, then oldest first.
    pub async fn signing_keys(
        &self,
        domain: Option<&str>,
    ) -> Result<Vec<StoredSigningKey>, StoreError> {
        let domain = domain.map(str::to_owned);
        let engine = &self.inner.engine;
        engine.read_brief(domain, |tx, domain| Box::pin(keys_in(tx, domain.as_deref()))).await
    }

    /// Moves keys to new states together: the old ones retire in the moment in which the new sign.
    pub async fn set_signing_key_states(
        &self,
        states: Vec<(SigningKeyId, SigningKeyState)>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE signing_keys SET state = ?2, changed_at = ?3, trouble = '' \
            WHERE id = ?1";
        let now = micros(at);
        let engine = &self.inner.engine;
        engine
            .write((states, now), Repeat::Harmless, |tx, (states, now)| {
                Box::pin(async move {
                    for (id, state) in states {
                        tx.run(SQL, params![id.0, state.code(), *now]).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Notes since when the DNS has shown a key's record, or that it does not, and what is in the way.
    pub async fn note_signing_key(
        &self,
        id: SigningKeyId,
        shown_at: Option<Timestamp>,
        trouble: &str,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE signing_keys SET shown_at = ?2, trouble = ?3 WHERE id = ?1";
        let engine = &self.inner.engine;
        let noted = (id, shown_at.map(micros), trouble.to_owned());
        engine
            .write(noted, Repeat::Harmless, |tx, (id, shown_at, trouble)| {
                Box::pin(
                    async move { tx.run(SQL, params![id.0, *shown_at, trouble]).await.map(drop) },
                )
            })
            .await
    }

    /// Forgets a key for ever. False when it was gone already.
    pub async fn remove_signing_key(&self, id: SigningKeyId) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM signing_keys WHERE id = ?1";
        let engine = &self.inner.engine;
        engine
            .write(id, Repeat::Harmless, |tx, id| {
                Box::pin(async move { Ok(tx.run(SQL, params![id.0]).await? > 0) })
            })
            .await
    }
}

async fn add_in(
    tx: &Tx,
    new: &[NewSigningKey],
    now: i64,
) -> Result<Vec<SigningKeyId>, AccountError> {
    // The lock puts two nodes that make keys at once in a row.
    const DOMAIN: &str = "SELECT id FROM domains WHERE name = ?1 /*postgres:FOR NO KEY UPDATE*/";
    const THERE: &str =
        "SELECT selector FROM signing_keys WHERE domain = ?1 AND state = ?2 LIMIT 1";
    const ADD: &str = "INSERT INTO signing_keys (domain, selector, algorithm, private_key, record, \
        state, created_at, changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) \
        ON CONFLICT (domain, selector) DO NOTHING RETURNING id";
    let Some(first) = new.first() else { return Ok(Vec::new()) };
    let name = |selector: &str| format!("the selector {selector} of {}", first.domain);
    let domain = tx.row(DOMAIN, params![&first.domain], |row| row.int(0)).await?;
    let domain = domain.ok_or_else(|| AccountError::ForeignDomain(first.domain.clone()))?;
    let there = tx.row(THERE, params![domain, first.state.code()], |row| row.text(0)).await?;
    if let Some(selector) = there {
        return Err(AccountError::Exists(name(&selector)));
    }
    let mut ids = Vec::with_capacity(new.len());
    for key in new {
        let private_key: &[u8] = &key.private_key;
        let values = params![
            domain,
            &key.selector,
            key.algorithm.code(),
            private_key,
            &key.record,
            first.state.code(),
            now,
        ];
        let id = tx.row(ADD, values, |row| row.int(0)).await?;
        ids.push(SigningKeyId(id.ok_or_else(|| AccountError::Exists(name(&key.selector)))?));
    }
    Ok(ids)
}

async fn keys_in(tx: &Tx, domain: Option<&str>) -> Result<Vec<StoredSigningKey>, StoreError> {
    macro_rules! select {
        ($which:literal) => {
            concat!(
                "SELECT k.id, d.name, k.selector, k.algorithm, k.private_key, k.record, k.state, \
                 k.created_at, k.changed_at, k.shown_at, k.trouble FROM signing_keys k JOIN domains d ON d.id = k.domain ",
                $which,
                " ORDER BY d.name, k.id"
            )
        };
    }
    match domain {
        None => tx.rows(select!(""), &[], key_row).await,
        Some(name) => tx.rows(select!("WHERE d.name = ?1"), params![name], key_row).await,
    }
}

fn key_row(row: &Row<'_>) -> Result<StoredSigningKey, StoreError> {
    Ok(StoredSigningKey {
        id: SigningKeyId(row.int(0)?),
        domain: row.text(1)?,
        selector: row.text(2)?,
        algorithm: SigningAlgorithm::of(row.int(3)?)?,
        private_key: Zeroizing::new(row.bytes(4)?.to_vec()),
        record: row.text(5)?,
        state: SigningKeyState::of(row.int(6)?)?,
        created_at: timestamp(row.int(7)?)?,
        changed_at: timestamp(row.int(8)?)?,
        shown_at: row.opt_int(9)?.map(timestamp).transpose()?,
        trouble: row.text(10)?,
    })
}
