//! Passwords for one program each: made here, shown once, told apart by their names.
//!
//! 25 letters of 32 hold 125 random bits: nobody finds one by guessing, so a fast keyed hash hides them
//! as well as Argon2id hides what people think of, and a login with one costs next to nothing. The key
//! is the store's own, bound to the account, so that a row is of no use in another. Beside it stand keys for
//! SCRAM, which the client makes from the letters as they were shown; those that were made before there were
//! such keys get them when they next log in by PLAIN.

use jiff::Timestamp;
use waxwing_message::Address;
use zeroize::Zeroizing;

use super::letters::{grouped, invent, plain};
use super::visitor::{Proof, Scope};
use super::{LoginError, NotHere};
use crate::accounts::login_key_of;
use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{micros, timestamp};
use crate::{Account, AccountError, AccountId, Store, StoreError};

/// Of five letters.
const GROUPS: usize = 5;
/// Per account.
pub(super) const APP_PASSWORDS_MAX: i64 = 100;
const NAME_OCTETS_MAX: usize = 100;
/// `last_used_at` is written again after so long.
const USED_AGAIN_MICROS: i64 = 3_600 * 1_000_000;

/// Names one for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AppPasswordId(pub i64);

/// One, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// For ever.
    pub id: AppPasswordId,
    /// As its owner calls it.
    pub name: String,
    /// What it opens.
    pub scopes: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last let somebody in, to the hour.
    pub last_used_at: Option<Timestamp>,
}

impl AppPassword {
    /// Whether it lets that account in at a door of that scope; pages take none.
    pub(super) fn opens(
        &self,
        account: &Account,
        scope: Option<Scope>,
    ) -> Result<Proof, LoginError> {
        match scope.is_some_and(|scope| self.scopes.has(scope)) {
            _ if account.disabled => Err(LoginError::Disabled),
            true => Ok(Proof::AppPassword(self.id, self.scopes)),
            false => Err(LoginError::NotHere(NotHere::AppPassword)),
        }
    }
}

/// One that was just made.
pub struct NewAppPassword {
    /// `xxxxx-xxxxx-xxxxx-xxxxx-xxxxx`, never to be seen again. With or without the hyphens, in upper or
    /// lower case; by SCRAM as it stands here, since the client makes its proof of what it was given.
    pub secret: Zeroizing<String>,
}

/// Why an operation on app passwords was refused.
#[derive(Debug, thiserror::Error)]
pub enum AppPasswordError {
    /// Another has that name.
    #[error(
        "there is an app password called {0:?} already: revoke it first, or choose another name"
    )]
    Exists(String),
    /// None has.
    #[error("there is no app password called {0:?}")]
    NotFound(String),
    /// Too many.
    #[error("an account has at most 100 app passwords: revoke one first")]
    TooMany,
    /// What was given cannot be.
    #[error("{0}")]
    Invalid(&'static str),
    /// No such account, or the store could not do its work.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<StoreError> for AppPasswordError {
    fn from(error: StoreError) -> Self {
        AppPasswordError::Account(error.into())
    }
}

impl Store {
    /// Makes one. The name is one line of at most 100 octets, unlike the account's other ones.
    pub async fn add_app_password(
        &self,
        address: &Address,
        name: &str,
        scopes: Scope,
    ) -> Result<NewAppPassword, AppPasswordError> {
        let name = name.trim();
        if name.is_empty() || name.len() > NAME_OCTETS_MAX || name.chars().any(char::is_control) {
            let why = "the name of an app password is one line of 1 to 100 octets";
            return Err(AppPasswordError::Invalid(why));
        }
        if scopes == Scope::NONE {
            return Err(AppPasswordError::Invalid("an app password opens at least one protocol"));
        }
        let account = self.account_by_address(address).await?;
        let account = account.ok_or_else(|| AccountError::NotFound(address.to_string()))?.id;
        let secret = invent(GROUPS);
        let letters = plain(&secret, GROUPS).expect("it was just made so");
        let digest = self.digest_of("app password", account, &letters);
        let asked = (account, name.to_owned(), digest, scopes, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        let id = engine
            .write(asked, Repeat::Never, |tx, (account, name, digest, scopes, now)| {
                Box::pin(add_in(tx, *account, name, digest, *scopes, *now))
            })
            .await?;
        if let Err(error) = self.keep_keys(account, id, secret.clone()).await {
            tracing::warn!(%error, "an app password has no SCRAM keys before it logs in by PLAIN");
        }
        Ok(NewAppPassword { secret })
    }

    /// In order of name.
    pub async fn app_passwords(&self, account: AccountId) -> Result<Vec<AppPassword>, StoreError> {
        const SQL: &str = "SELECT id, name, scopes, created_at, last_used_at FROM app_passwords \
            WHERE account = ?1 ORDER BY name";
        let engine = &self.inner.engine;
        engine
            .read(account.0, |tx, account| {
                Box::pin(async move { tx.rows(SQL, params![*account], app_row).await })
            })
            .await
    }

    /// It opens nothing from now on, and ends the sessions that it opened.
    pub async fn revoke_app_password(
        &self,
        address: &Address,
        name: &str,
    ) -> Result<(), AppPasswordError> {
        let asked = (login_key_of(address), name.trim().to_owned());
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Harmless, |tx, (key, name)| Box::pin(revoke_in(tx, key, name)))
            .await
    }

    /// The one of that account with that secret; notes that it was used.
    pub(super) async fn find_app_password(
        &self,
        account: AccountId,
        password: &str,
    ) -> Result<Option<AppPassword>, StoreError> {
        const SQL: &str = "SELECT p.id, p.name, p.scopes, p.created_at, p.last_used_at, \
            (SELECT COUNT(*) FROM app_password_keys k JOIN credentials c ON c.account = p.account \
            AND c.scram_salt = k.salt AND c.scram_iterations = k.iterations \
            WHERE k.app_password = p.id) FROM app_passwords p \
            WHERE p.account = ?1 AND p.digest = ?2";
        let Some(letters) = plain(password, GROUPS) else { return Ok(None) };
        let asked = (account, self.digest_of("app password", account, &letters));
        let engine = &self.inner.engine;
        let found = engine
            .read_brief(asked, |tx, (account, digest)| {
                Box::pin(async move {
                    let read = |row: &Row<'_>| Ok((app_row(row)?, row.int(5)? > 0));
                    tx.row(SQL, params![account.0, digest], read).await
                })
            })
            .await?;
        let Some((app, has_keys)) = found else { return Ok(None) };
        if !has_keys && let Err(error) = self.keep_keys(account, app.id, grouped(&letters)).await {
            tracing::warn!(%error, "an app password has no SCRAM keys yet");
        }
        self.note_used(&app).await?;
        Ok(Some(app))
    }

    /// That one lets somebody in, to the hour.
    pub(super) async fn note_used(&self, app: &AppPassword) -> Result<(), StoreError> {
        const USED: &str = "UPDATE app_passwords SET last_used_at = ?2 WHERE id = ?1";
        let now = micros(Timestamp::now());
        if app.last_used_at.is_some_and(|last| now - micros(last) <= USED_AGAIN_MICROS) {
            return Ok(());
        }
        let engine = &self.inner.engine;
        engine
            .write((app.id.0, now), Repeat::Harmless, |tx, (id, now)| {
                Box::pin(async move { tx.run(USED, params![*id, *now]).await.map(drop) })
            })
            .await
    }

    /// What is kept of a random secret of an account; `what` it is keeps one kind apart from another.
    pub(super) fn digest_of(&self, what: &str, account: AccountId, plain: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.inner.secret_key);
        hasher.update(what.as_bytes()).update(b"\0");
        hasher.update(&account.0.to_le_bytes()).update(plain.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

async fn add_in(
    tx: &Tx,
    account: AccountId,
    name: &String,
    digest: &[u8; 32],
    scopes: Scope,
    now: i64,
) -> Result<AppPasswordId, AppPasswordError> {
    // Locked, so that two at once do not count the same.
    const LOCK: &str = "SELECT id FROM accounts WHERE id = ?1 /*postgres: FOR NO KEY UPDATE*/";
    const COUNT: &str = "SELECT COUNT(*) FROM app_passwords WHERE account = ?1";
    const ADD: &str = "INSERT INTO app_passwords (account, name, digest, scopes, created_at) \
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (account, name) DO NOTHING RETURNING id";
    tx.row(LOCK, params![account.0], |row| row.int(0)).await?;
    let count = tx.row(COUNT, params![account.0], |row| row.int(0)).await?;
    if count.is_none_or(|count| count >= APP_PASSWORDS_MAX) {
        return Err(AppPasswordError::TooMany);
    }
    let values = params![account.0, name, digest, scopes.0, now];
    let id = tx.row(ADD, values, |row| Ok(AppPasswordId(row.int(0)?))).await?;
    id.ok_or_else(|| AppPasswordError::Exists(name.clone()))
}

async fn revoke_in(tx: &Tx, key: &str, name: &String) -> Result<(), AppPasswordError> {
    const REVOKE: &str = "DELETE FROM app_passwords WHERE account = ?1 AND name = ?2";
    let account = super::account_of_key(tx, key).await?;
    let account = account.ok_or_else(|| AccountError::NotFound(key.to_owned()))?;
    if tx.run(REVOKE, params![account.0, name]).await? == 0 {
        return Err(AppPasswordError::NotFound(name.clone()));
    }
    tx.touch(account);
    Ok(())
}

/// From the first column on.
pub(super) fn app_row(row: &Row<'_>) -> Result<AppPassword, StoreError> {
    Ok(AppPassword {
        id: AppPasswordId(row.int(0)?),
        name: row.text(1)?,
        scopes: Scope(row.int(2)?),
        created_at: timestamp(row.int(3)?)?,
        last_used_at: row.opt_int(4)?.map(timestamp).transpose()?,
    })
}
