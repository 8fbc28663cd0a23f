//! The one door through which everybody logs in, whatever the protocol.
//!
//! ```text
//! protocol ── Visitor, mechanism, name, secret ──▶ throttle ──▶ check ──▶ Admitted { account, pass }
//!                                                     │           │            │
//!                                                 TooMany     Rejected …       └─ ended(pass): revoked?
//!                                                     └───────────┴── counted, noted, logged
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `visitor` | who knocks: protocol, address, TLS; what they were let in with |
//! | `throttle` | who has to wait, as a pure function of guesses and time |
//! | `guesses` | the same shared by nodes |
//! | `audit` | what is remembered of logins, for their owners |
//! | `app_passwords` | passwords for one program each |
//! | `oauth` | access tokens, and the consents that they rest on |
//!
//! The main password opens everything. SCRAM proves the main password only: RFC 5802 has one salt for one name, so that a
//! server cannot offer several passwords to it. App passwords go by PLAIN and LOGIN.
//!
//! A [`Pass`] is what a session was let in with. It ends with the password, app password or account
//! that it rests on: [`Store::pass_ended`] says when.

mod app_passwords;
mod audit;
mod guesses;
mod oauth;
mod throttle;
mod visitor;

use std::time::Duration;

use jiff::Timestamp;
use waxwing_message::Address;
use waxwing_sasl::ScramKeys;

use crate::accounts::{account_and_credentials_in, login_key, login_key_of};
use crate::engine::params;
use crate::passwords::Credentials;
use crate::{Account, AccountId, Store, StoreError};

pub use app_passwords::{AppPassword, AppPasswordError, AppPasswordId, NewAppPassword};
pub use audit::{LoginNote, Outcome};
pub use oauth::{Consent, ConsentError, ConsentId, NewCode, OAuthClient, Redeem, Tokens};
pub use visitor::{Admitted, Pass, Protocol, Scope, Visitor};

pub(crate) use audit::Audit;
pub(crate) use guesses::Guesses;
use visitor::Proof;

/// Why someone was not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Wrong name or password: never say which.
    #[error("wrong address or password")]
    Rejected,
    /// Only said to those who know the password.
    #[error("this account is disabled")]
    Disabled,
    /// The secret is right, but does not open this door. Only said to those who know it.
    #[error("{0}")]
    NotHere(&'static str),
    /// Too many wrong guesses of late, from there or at that account; nothing was checked.
    #[error("too many wrong logins: wait {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    /// The store could not do its work: temporary.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often a session looks, after each change in its account, whether it may stay.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// And how often without one, should a waking have been lost.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(5 * 60);

const TOKEN_OUT_OF_SCOPE: &str = "this access token is not for this protocol";
const OUT_OF_SCOPE: &str = "this app password is not for this protocol";

/// A SCRAM exchange that has begun: whose, and from where. End it with [`Store::settle_scram`].
pub struct ScramAttempt {
    visitor: Visitor,
    key: String,
    found: Option<Box<(Account, i64)>>,
}

impl Store {
    /// Checks a name (the address, in any case) and a password: an app password or the main one.
    /// Argon2id runs off the async threads, and as long for unknown names.
    ///
    /// `mechanism` is noted: a SASL name, or `login` for a protocol's own command.
    pub async fn login(
        &self,
        visitor: &Visitor,
        mechanism: &'static str,
        login: &str,
        password: &str,
    ) -> Result<Admitted, LoginError> {
        let key = login_key(login);
        self.let_guess(visitor, &key).await?;
        let found = self.find(login).await?;
        let (account, version, client, checked) = match found {
            None => {
                self.inner.passwords.verify(None, password).await?;
                (None, 0, None, Err(LoginError::Rejected))
            }
            Some((account, credentials)) => {
                let (client, checked) =
                    self.check(visitor, &account, &credentials, password).await?;
                (Some(account), credentials.version, client, checked)
            }
        };
        let guess = Some(self.inner.passwords.fingerprint(&key, password));
        match (account, checked) {
            (Some(account), Ok(app)) => {
                let proof = match app {
                    Some(id) => Proof::AppPassword(id),
                    None => Proof::Password { version },
                };
                Ok(self.admit(visitor, mechanism, &key, account, client, proof))
            }
            (account, Err(error)) => {
                self.refuse(visitor, mechanism, &key, account.as_ref(), client, guess, &error);
                Err(error)
            }
            (None, Ok(_)) => Err(LoginError::Rejected),
        }
    }

    /// What a password of an account that exists comes to; the outer error is temporary.
    async fn check(
        &self,
        visitor: &Visitor,
        account: &Account,
        credentials: &Credentials,
        password: &str,
    ) -> Result<(Option<String>, Result<Option<AppPasswordId>, LoginError>), LoginError> {
        let app = match visitor.protocol.scope() {
            Some(_) => self.find_app_password(account.id, password).await?,
            None => None,
        };
        if let Some(app) = app {
            let allowed = visitor.protocol.scope().is_some_and(|scope| app.scopes.has(scope));
            let checked = if account.disabled {
                Err(LoginError::Disabled)
            } else if allowed {
                Ok(Some(app.id))
            } else {
                Err(LoginError::NotHere(OUT_OF_SCOPE))
            };
            return Ok((Some(app.name), checked));
        }
        let right = self.inner.passwords.verify(Some(&credentials.argon2), password).await?;
        Ok((
            None,
            match right {
                false => Err(LoginError::Rejected),
                true if account.disabled => Err(LoginError::Disabled),
                true => Ok(None),
            },
        ))
    }

    /// Checks an access token, and that it is that login's if one is named. The session may outlast the
    /// token, but not the consent that it rests on.
    pub async fn login_with_token(
        &self,
        visitor: &Visitor,
        mechanism: &'static str,
        login: Option<&str>,
        token: &str,
    ) -> Result<Admitted, LoginError> {
        let key = login.map(login_key).unwrap_or_default();
        self.let_guess(visitor, &key).await?;
        let found = self.find_access_token(token, Timestamp::now()).await?;
        let found =
            found.filter(|(account, _)| login.is_none() || login_key_of(&account.address) == key);
        let guess = Some(self.inner.passwords.fingerprint(&key, token));
        let Some((account, consent)) = found else {
            // The owner of a name may know of guesses at it.
            let named = match login {
                Some(login) => self.find(login).await?.map(|(account, _)| account),
                None => None,
            };
            let error = LoginError::Rejected;
            self.refuse(visitor, mechanism, &key, named.as_ref(), None, guess, &error);
            return Err(error);
        };
        let key = login_key_of(&account.address);
        let client = Some(consent.client_name);
        let allowed = visitor.protocol.scope().is_some_and(|scope| consent.scopes.has(scope));
        if account.disabled || !allowed {
            let error = match account.disabled {
                true => LoginError::Disabled,
                false => LoginError::NotHere(TOKEN_OUT_OF_SCOPE),
            };
            self.refuse(visitor, mechanism, &key, Some(&account), client, guess, &error);
            return Err(error);
        }
        Ok(self.admit(visitor, mechanism, &key, account, client, Proof::Consent(consent.id)))
    }

    /// Keys for SCRAM. Unknown and disabled logins get invented keys, the same each time, so that the
    /// exchange fails like a wrong password.
    pub async fn scram(
        &self,
        visitor: &Visitor,
        login: &str,
    ) -> Result<(ScramAttempt, ScramKeys), LoginError> {
        let key = login_key(login);
        self.let_guess(visitor, &key).await?;
        let found = self.find(login).await?;
        let (found, keys) = match found {
            Some((account, credentials)) if !account.disabled => {
                (Some(Box::new((account, credentials.version))), credentials.scram)
            }
            _ => (None, self.inner.passwords.invented(&key)),
        };
        Ok((ScramAttempt { visitor: *visitor, key, found }, keys))
    }

    /// How a SCRAM exchange ended; `None`: not let in. An exchange that the client gave up counts as
    /// a wrong guess.
    pub fn settle_scram(
        &self,
        attempt: ScramAttempt,
        mechanism: &'static str,
        right: bool,
    ) -> Option<Admitted> {
        let ScramAttempt { visitor, key, found } = attempt;
        match found.map(|found| *found) {
            Some((account, version)) if right => {
                let proof = Proof::Password { version };
                Some(self.admit(&visitor, mechanism, &key, account, None, proof))
            }
            found => {
                let account = found.as_ref().map(|(account, _)| account);
                let error = LoginError::Rejected;
                self.refuse(&visitor, mechanism, &key, account, None, None, &error);
                None
            }
        }
    }

    /// Whether what a session was let in with still opens the door.
    pub async fn pass_holds(&self, pass: &Pass) -> Result<bool, StoreError> {
        const PASSWORD: &str = "SELECT COUNT(*) FROM accounts a JOIN credentials c \
            ON c.account = a.id WHERE a.id = ?1 AND a.disabled = 0 AND c.version = ?2";
        const CONSENT: &str = "SELECT COUNT(*) FROM accounts a JOIN oauth_grants g \
            ON g.account = a.id WHERE a.id = ?1 AND a.disabled = 0 AND g.id = ?2";
        const APP: &str = "SELECT COUNT(*) FROM accounts a JOIN app_passwords p \
            ON p.account = a.id WHERE a.id = ?1 AND a.disabled = 0 AND p.id = ?2";
        let engine = &self.inner.engine;
        engine
            .read_brief(*pass, |tx, pass| {
                Box::pin(async move {
                    let (sql, id) = match pass.proof {
                        Proof::Password { version } => (PASSWORD, version),
                        Proof::AppPassword(id) => (APP, id.0),
                        Proof::Consent(id) => (CONSENT, id.0),
                    };
                    let count = tx.row(sql, params![pass.account.0, id], |row| row.int(0)).await?;
                    Ok(count == Some(1))
                })
            })
            .await
    }

    /// Waits until it does not: for ever, usually. A session waits for this beside its client.
    ///
    /// Within a process and across nodes it is woken by the change itself, at most once a second.
    pub fn pass_ended(&self, pass: Pass) -> impl Future<Output = ()> + Send + 'static {
        let (store, mut watch) = (self.clone(), self.watch(pass.account));
        async move {
            loop {
                let _ = tokio::time::timeout(LOOK_AT_LEAST_EVERY, watch.changed()).await;
                match store.pass_holds(&pass).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    // Whatever the client wants will fail by itself.
                    Err(error) => tracing::warn!(%error, "whether a session may stay is not known"),
                }
                tokio::time::sleep(LOOK_AT_MOST_EVERY).await;
            }
        }
    }

    async fn find(&self, login: &str) -> Result<Option<(Account, Credentials)>, StoreError> {
        let Ok(address) = Address::parse(login) else { return Ok(None) };
        let engine = &self.inner.engine;
        engine.read(address, |tx, address| Box::pin(account_and_credentials_in(tx, address))).await
    }

    fn admit(
        &self,
        visitor: &Visitor,
        mechanism: &'static str,
        key: &str,
        account: Account,
        client: Option<String>,
        proof: Proof,
    ) -> Admitted {
        let Visitor { protocol, address, tls } = *visitor;
        let client = client.unwrap_or_default();
        tracing::info!(account = %account.address, protocol = protocol.name(), %address, tls,
            mechanism, client, "logged in");
        let now = Timestamp::now();
        self.inner.guesses.succeeded(visitor, key, now);
        self.inner.audit.note(account.id, visitor, mechanism, client, Outcome::Admitted, now);
        let pass = Pass { account: account.id, proof };
        Admitted { account, pass }
    }

    #[expect(clippy::too_many_arguments, reason = "all that is known of one failure")]
    fn refuse(
        &self,
        visitor: &Visitor,
        mechanism: &'static str,
        key: &str,
        account: Option<&Account>,
        client: Option<String>,
        guess: Option<u64>,
        why: &LoginError,
    ) {
        let Visitor { protocol, address, tls } = *visitor;
        // What was typed as a name may be a password: only names that exist are logged.
        let named = account.map(|account| account.address.to_string());
        tracing::info!(account = named.as_deref().unwrap_or("(none)"), protocol = protocol.name(),
            %address, tls, mechanism, %why, "login refused");
        let now = Timestamp::now();
        let outcome = match why {
            LoginError::Rejected => Outcome::Wrong,
            LoginError::Disabled => Outcome::Disabled,
            LoginError::NotHere(_) => Outcome::NotHere,
            LoginError::TooMany(_) | LoginError::Store(_) => return,
        };
        // Who knows the secret guesses nothing.
        if outcome == Outcome::Wrong {
            self.inner.guesses.failed(visitor, key, guess, now);
        }
        if let Some(account) = account {
            let client = client.unwrap_or_default();
            self.inner.audit.note(account.id, visitor, mechanism, client, outcome, now);
        }
    }

    /// Whether there may be another guess.
    async fn let_guess(&self, visitor: &Visitor, key: &str) -> Result<(), LoginError> {
        let now = Timestamp::now();
        let guesses = &self.inner.guesses;
        let Some(wait) = guesses.wait(visitor, key, false, now) else { return Ok(()) };
        // Whoever logged in from there of late is judged by what comes from there alone.
        let known = guesses.knows(visitor, key) || self.was_here(visitor, key, now).await?;
        match if known { guesses.wait(visitor, key, true, now) } else { Some(wait) } {
            None => Ok(()),
            Some(wait) => {
                tracing::debug!(protocol = visitor.protocol.name(), address = %visitor.address,
                    "login not looked at: too many wrong ones");
                Err(LoginError::TooMany(wait))
            }
        }
    }
}

/// The id of an account by its key, for what is only known by name.
pub(crate) async fn account_of_key(
    tx: &crate::engine::Tx,
    key: &str,
) -> Result<Option<AccountId>, StoreError> {
    const SQL: &str = "SELECT id FROM accounts WHERE address_key = ?1";
    tx.row(SQL, params![key], |row| Ok(AccountId(row.int(0)?))).await
}
