//! Passwords: Argon2id for PLAIN and LOGIN, keys for SCRAM-SHA-256, and the same amount of work for
//! logins that do not exist.
//!
//! Argon2id runs with 19 MiB, two passes and one lane (OWASP Password Storage Cheat Sheet), on
//! blocking threads, two at a time: a flood of logins costs neither the memory nor the threads
//! that mail needs. Who would wait behind 64 others, or for more than five seconds, is told that
//! the store is busy.
//!
//! SCRAM's iterations are paid by the client at every login, telephones among them, and whoever
//! steals the database guesses at the weaker of the two. 65,536 is far above the floor of RFC 7677
//! §4 (4,096), takes a fraction of a second on anything in use, and is the most that clients on
//! Cyrus SASL (mbsync, many builds of mutt) agree to compute; both costs can be set. Salt and count are the
//! account's, not the password's: its app passwords share them ([`ScramBasis`]).
//!
//! A login that succeeded is remembered for some minutes (as a hash under a key of this process,
//! bound to the stored hash, so that a new password ends it): clients open many connections at
//! once. Failures are never remembered and always cost the full work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use waxwing_sasl::{ScramKeys, ScramPair, prepare_password};
use zeroize::Zeroizing;

use crate::engine::{Row, Tx, params};
use crate::{AccountError, AccountId, StoreError};

/// Verifications and derivations at one time.
const AT_ONCE: usize = 2;
/// Those that may wait for their turn beside, and how long.
const WAITING_MAX: usize = 64;
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Longer ones are refused.
const PASSWORD_OCTETS_MAX: usize = 1_024;
/// How many successes are remembered, and how long.
const REMEMBERED_MAX: usize = 1_024;
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

/// What a new password's hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    /// Argon2id: memory in KiB.
    pub memory_kib: u32,
    /// Argon2id: passes over it.
    pub passes: u32,
    /// SCRAM-SHA-256: PBKDF2 iterations; at least 4,096 (RFC 7677 §4).
    pub scram_iterations: u32,
}

impl Default for PasswordCost {
    fn default() -> Self {
        PasswordCost { memory_kib: 19 * 1024, passes: 2, scram_iterations: 65_536 }
    }
}

/// What all SCRAM keys of an account are made with, since a client is told it before it says which of the
/// account's passwords it has (RFC 5802 §5.1).
#[derive(Clone)]
pub(crate) struct ScramBasis {
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: u32,
}

/// What is kept instead of a password.
pub(crate) struct NewCredentials {
    /// PHC string.
    pub(crate) argon2: String,
    pub(crate) basis: ScramBasis,
    pub(crate) pair: ScramPair,
}

/// What was kept, and what goes with it.
pub(crate) struct Credentials {
    /// PHC string.
    pub(crate) argon2: String,
    pub(crate) basis: ScramBasis,
    pub(crate) pair: ScramPair,
    /// Counts the passwords that the account has had, and what else ended the sessions that stood on one.
    pub(crate) version: i64,
    /// The password alone is not enough.
    pub(crate) second_step: bool,
}

/// Does the work, in bounds.
pub(crate) struct Passwords {
    cost: PasswordCost,
    /// From the database: the same on all nodes and after a restart.
    secret: [u8; 32],
    /// Of this process.
    key: [u8; 32],
    permits: Arc<Semaphore>,
    /// For those that wait and those that work.
    places: Semaphore,
    wait_max: Duration,
    remembered: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Passwords {
    pub(crate) fn new(secret: [u8; 32], cost: PasswordCost) -> Passwords {
        Passwords {
            cost,
            secret,
            key: rand::random(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            places: Semaphore::new(AT_ONCE + WAITING_MAX),
            wait_max: WAIT_MAX,
            remembered: Mutex::default(),
        }
    }

    /// What to keep for a new password of an account with that basis.
    pub(crate) async fn derive(
        &self,
        password: &str,
        basis: ScramBasis,
    ) -> Result<NewCredentials, AccountError> {
        if password.is_empty() || password.len() > PASSWORD_OCTETS_MAX {
            return Err(AccountError::Invalid("a password has 1 to 1,024 octets".into()));
        }
        let password = Zeroizing::new(password.to_owned());
        let cost = self.cost;
        let derived = self.work(move || {
            let pair = ScramPair::derive(&password, &basis.salt, basis.iterations);
            Ok(NewCredentials { argon2: hash(cost, &prepare_password(&password))?, basis, pair })
        });
        Ok(derived.await?)
    }

    /// SCRAM keys alone, for a password that needs no Argon2id.
    pub(crate) async fn derive_pair(
        &self,
        password: Zeroizing<String>,
        basis: ScramBasis,
    ) -> Result<ScramPair, StoreError> {
        self.work(move || Ok(ScramPair::derive(&password, &basis.salt, basis.iterations))).await
    }

    /// Whether the password is the one that `stored` was made of. `None`: the login does not exist,
    /// which takes as long.
    pub(crate) async fn verify(
        &self,
        stored: Option<&str>,
        password: &str,
    ) -> Result<bool, StoreError> {
        if password.len() > PASSWORD_OCTETS_MAX {
            return Ok(false);
        }
        let prepared = prepare_password(password);
        let mark = stored.map(|stored| self.mark(stored, &prepared));
        if mark.is_some_and(|mark| self.remembers(&mark)) {
            return Ok(true);
        }
        let (stored, cost) = (stored.map(str::to_owned), self.cost);
        let right = self
            .work(move || match stored {
                Some(stored) => Ok(Argon2::default()
                    .verify_password(prepared.as_bytes(), stored.as_str())
                    .is_ok()),
                None => hash(cost, &prepared).map(|_| false),
            })
            .await?;
        if let Some(mark) = mark.filter(|_| right) {
            self.remember(mark);
        }
        Ok(right)
    }

    /// What an account of that name begins with, and what is said of one that does not exist: whoever asks
    /// again and again does not see it being made.
    pub(crate) fn basis(&self, login_key: &str) -> ScramBasis {
        let iterations = self.iterations();
        let ScramKeys { salt, .. } = ScramKeys::invented(login_key, &self.secret, iterations);
        ScramBasis { salt, iterations }
    }

    /// The count for new passwords (RFC 7677 §4).
    pub(crate) fn iterations(&self) -> u32 {
        self.cost.scram_iterations.max(4_096)
    }

    /// By which the same wrong guess is recognised again, in this process only.
    pub(crate) fn fingerprint(&self, key: &str, password: &str) -> u64 {
        let mark = self.mark(key, password);
        u64::from_le_bytes(mark[..8].try_into().expect("eight octets"))
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let busy = || StoreError::Unavailable("too many logins at one time".into());
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let permit = tokio::time::timeout(self.wait_max, self.permits.clone().acquire_owned());
        let permit = permit.await.map_err(|_| busy())?;
        let permit = permit.map_err(|_| StoreError::Unavailable("the store is closed".into()))?;
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        task.await.map_err(|e| StoreError::Unavailable(format!("the work was cut short: {e}")))?
    }

    fn mark(&self, stored: &str, password: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&(stored.len() as u64).to_le_bytes());
        hasher.update(stored.as_bytes());
        hasher.update(password.as_bytes());
        *hasher.finalize().as_bytes()
    }

    fn remembers(&self, mark: &[u8; 32]) -> bool {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(mark).is_some_and(|since| since.elapsed() < REMEMBERED_FOR)
    }

    fn remember(&self, mark: [u8; 32]) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, since| since.elapsed() < REMEMBERED_FOR);
        }
        if remembered.len() < REMEMBERED_MAX {
            remembered.insert(mark, Instant::now());
        }
    }
}

/// A PHC string with a new salt.
fn hash(cost: PasswordCost, password: &str) -> Result<String, StoreError> {
    let failed = |e: &dyn std::fmt::Display| StoreError::Unavailable(format!("Argon2id: {e}"));
    let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|e| failed(&e))?;
    let salt: [u8; 16] = rand::random();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|e| failed(&e))
}

// ── Rows ────────────────────────────────────────────────────────────────────────────────────────

/// What invented keys are made of.
pub(crate) async fn secret(tx: &Tx) -> Result<[u8; 32], StoreError> {
    const SQL: &str = "SELECT value FROM secrets WHERE name = ?1";
    let read = |row: &Row<'_>| Ok(row.bytes(0)?.try_into().ok());
    let found = tx.row(SQL, params!["invented-keys"], read).await?;
    found.flatten().ok_or_else(|| StoreError::Damaged("the secret is missing".into()))
}

pub(crate) async fn save(
    tx: &Tx,
    account: AccountId,
    new: &NewCredentials,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO credentials (account, argon2, scram_salt, scram_iterations, \
        scram_stored_key, scram_server_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
        ON CONFLICT (account) DO UPDATE SET argon2 = ?2, scram_salt = ?3, scram_iterations = ?4, \
        scram_stored_key = ?5, scram_server_key = ?6, version = credentials.version + 1";
    let values = params![
        account.0,
        &new.argon2,
        &new.basis.salt,
        i64::from(new.basis.iterations),
        &new.pair.stored_key,
        &new.pair.server_key,
    ];
    tx.run(SQL, values).await.map(drop)
}

/// Ends the sessions that stand on the password.
pub(crate) async fn next_version(tx: &Tx, account: AccountId) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE credentials SET version = version + 1 WHERE account = ?1";
    tx.run(SQL, params![account.0]).await.map(drop)
}

pub(crate) async fn load(tx: &Tx, account: AccountId) -> Result<Option<Credentials>, StoreError> {
    const SQL: &str = "SELECT argon2, scram_salt, scram_iterations, scram_stored_key, \
        scram_server_key, version, (SELECT COUNT(*) FROM totp t \
        WHERE t.account = credentials.account) FROM credentials WHERE account = ?1";
    tx.row(SQL, params![account.0], |row| {
        Ok(Credentials {
            argon2: row.text(0)?,
            basis: basis_of(row, 1)?,
            pair: pair_of(row, 3)?,
            version: row.int(5)?,
            second_step: row.int(6)? > 0,
        })
    })
    .await
}

/// Salt and count, from that column on.
fn basis_of(row: &Row<'_>, column: usize) -> Result<ScramBasis, StoreError> {
    let iterations = crate::instant::count32(row.int(column + 1)?)?;
    Ok(ScramBasis { salt: row.bytes(column)?.to_vec(), iterations })
}

/// Stored key and server key, from that column on.
pub(crate) fn pair_of(row: &Row<'_>, column: usize) -> Result<ScramPair, StoreError> {
    let key = |column| -> Result<[u8; 32], StoreError> {
        let octets = row.bytes(column)?;
        octets.try_into().map_err(|_| StoreError::Damaged("a SCRAM key is too short".into()))
    };
    Ok(ScramPair { stored_key: key(column)?, server_key: key(column + 1)? })
}

/// That of an account, and whether app passwords have keys of it; `None`: it has no password.
pub(crate) async fn basis_in(
    tx: &Tx,
    account: AccountId,
) -> Result<Option<(ScramBasis, bool)>, StoreError> {
    const SQL: &str = "SELECT scram_salt, scram_iterations, (SELECT COUNT(*) \
        FROM app_password_keys k JOIN app_passwords p ON p.id = k.app_password \
        WHERE p.account = c.account AND k.salt = c.scram_salt \
        AND k.iterations = c.scram_iterations) FROM credentials c WHERE c.account = ?1";
    tx.row(SQL, params![account.0], |row| Ok((basis_of(row, 0)?, row.int(2)? > 0))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_is_bounded_in_number_and_in_time() {
        let cost = PasswordCost { memory_kib: 64, passes: 1, scram_iterations: 4_096 };
        let passwords = Passwords { wait_max: Duration::ZERO, ..Passwords::new([0; 32], cost) };
        let busy = |outcome| matches!(outcome, Err(StoreError::Unavailable(_)));
        let working = passwords.permits.clone().try_acquire_many_owned(AT_ONCE as u32).unwrap();
        assert!(busy(passwords.verify(None, "x").await));
        drop(working);
        let all = passwords.places.try_acquire_many((AT_ONCE + WAITING_MAX) as u32).unwrap();
        assert!(busy(passwords.verify(None, "x").await));
        drop(all);
        assert!(!passwords.verify(None, "x").await.unwrap());
    }
}
