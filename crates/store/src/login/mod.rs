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
//! | `guesses` | the same shared by nodes; those that are being looked at |
//! | `audit` | what is remembered of logins, for their owners |
//! | `app_passwords` | passwords for one program each |
//! | `scram` | proofs of either |
//! | `totp` | the second step at pages: codes of an authenticator, recovery codes |
//! | `oauth` | access tokens, and the consents that they rest on |
//! | `device` | programs that wait for a consent given elsewhere |
//!
//! The main password opens everything, unless a second step is on: then it opens pages, with a code.
//!
//! A [`Pass`] is what a session was let in with. It ends with the password, app password or account
//! that it rests on: [`Store::pass_ended`] says when.

mod app_passwords;
mod audit;
mod device;
mod guesses;
mod letters;
mod oauth;
mod scram;
mod throttle;
mod totp;
mod visitor;

use std::time::Duration;

use jiff::Timestamp;
use waxwing_message::Address;

use crate::accounts::{account_and_credentials_in, login_key, login_key_of};
use crate::engine::params;
use crate::passwords::Credentials;
use crate::{Account, AccountId, Store, StoreError};

pub use app_passwords::{AppPassword, AppPasswordError, AppPasswordId, NewAppPassword};
pub use audit::{LoginNote, Outcome};
pub use device::{DeviceCode, DeviceError, WaitingDevice};
pub use oauth::{Consent, ConsentError, ConsentId, NewCode, OAuthClient, Redeem, Tokens};
pub use scram::ScramAttempt;
pub use totp::{NewTotp, PageLogin, Ticket, TotpError, TotpState};
pub use visitor::{Admitted, Pass, Protocol, Scope, Visitor};

pub(crate) use audit::Audit;
use guesses::Guess;
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
    #[error("{}", .0.text())]
    NotHere(NotHere),
    /// Too many wrong guesses of late, from there or at that account; nothing was checked.
    #[error("too many wrong logins: wait {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    /// The store could not do its work: temporary.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a right secret opens nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotHere {
    /// An access token without this protocol in its scope.
    Token,
    /// An app password without it.
    AppPassword,
    /// The main password, where a code is wanted too.
    PasswordAlone,
}

impl NotHere {
    /// What to tell whoever knows the secret: one line of ASCII.
    pub fn text(self) -> &'static str {
        match self {
            NotHere::Token => "this access token is not for this protocol",
            NotHere::AppPassword => "this app password is not for this protocol",
            NotHere::PasswordAlone => {
                "this account logs in with a code as well, so its password opens no mail program: \
                 give the program an app password, or access by web page"
            }
        }
    }
}

/// How often a session looks, after each change in its account, whether it may stay.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// And how often without one, should a waking have been lost.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(5 * 60);

/// Somebody who wants to be let in, and is being looked at.
struct Attempt {
    visitor: Visitor,
    mechanism: &'static str,
    /// The name, folded.
    key: String,
    guess: Guess,
}

/// What somebody shows comes to.
enum Seen {
    /// There is no such login.
    Nobody,
    Somebody {
        account: Account,
        /// App password or OAuth client.
        client: Option<String>,
        verdict: Result<Proof, LoginError>,
    },
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
        let attempt = self.attempt(visitor, mechanism, login_key(login), Some(password)).await?;
        let seen = self.see_password(visitor.protocol.scope(), login, password).await;
        self.decide(attempt, seen)
    }

    async fn see_password(
        &self,
        scope: Option<Scope>,
        login: &str,
        password: &str,
    ) -> Result<Seen, StoreError> {
        let Some((account, credentials)) = self.find(login).await? else {
            self.inner.passwords.verify(None, password).await?;
            return Ok(Seen::Nobody);
        };
        // Pages want the person.
        let app = match scope {
            Some(_) => self.find_app_password(account.id, password).await?,
            None => None,
        };
        if let Some(app) = app {
            let verdict = app.opens(&account, scope);
            return Ok(Seen::Somebody { account, client: Some(app.name), verdict });
        }
        let verdict = match self.check_main(&account, &credentials, password).await? {
            Ok(_) if credentials.second_step => Err(LoginError::NotHere(NotHere::PasswordAlone)),
            checked => checked,
        };
        Ok(Seen::Somebody { account, client: None, verdict })
    }

    /// Whether it is the main password, and the account's owner may come in.
    async fn check_main(
        &self,
        account: &Account,
        credentials: &Credentials,
        password: &str,
    ) -> Result<Result<Proof, LoginError>, StoreError> {
        let right = self.inner.passwords.verify(Some(&credentials.argon2), password).await?;
        Ok(match right {
            false => Err(LoginError::Rejected),
            true if account.disabled => Err(LoginError::Disabled),
            true => Ok(Proof::Password { version: credentials.version }),
        })
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
        let attempt = self.attempt(visitor, mechanism, key, Some(token)).await?;
        let seen = self.see_token(visitor.protocol.scope(), login, token).await;
        self.decide(attempt, seen)
    }

    async fn see_token(
        &self,
        scope: Option<Scope>,
        login: Option<&str>,
        token: &str,
    ) -> Result<Seen, StoreError> {
        let found = self.find_access_token(token, Timestamp::now()).await?;
        let theirs = |account: &Account| {
            login.is_none_or(|login| login_key(login) == login_key_of(&account.address))
        };
        if let Some((account, consent)) = found.filter(|(account, _)| theirs(account)) {
            let verdict = match scope.is_some_and(|scope| consent.scopes.has(scope)) {
                _ if account.disabled => Err(LoginError::Disabled),
                true => Ok(Proof::Consent(consent.id, consent.scopes)),
                false => Err(LoginError::NotHere(NotHere::Token)),
            };
            return Ok(Seen::Somebody { account, client: Some(consent.client_name), verdict });
        }
        // The owner of a name may know of guesses at it.
        let named = match login {
            Some(login) => self.find(login).await?,
            None => None,
        };
        Ok(match named {
            Some((account, _)) => {
                Seen::Somebody { account, client: None, verdict: Err(LoginError::Rejected) }
            }
            None => Seen::Nobody,
        })
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
                        Proof::AppPassword(id, _) => (APP, id.0),
                        Proof::Consent(id, _) => (CONSENT, id.0),
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
                // Also before the first change: one may have come while the password was looked at.
                tokio::time::sleep(LOOK_AT_MOST_EVERY).await;
                match store.pass_holds(&pass).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    // Whatever the client wants will fail by itself.
                    Err(error) => tracing::warn!(%error, "whether a session may stay is not known"),
                }
                let _ = tokio::time::timeout(LOOK_AT_LEAST_EVERY, watch.changed()).await;
            }
        }
    }

    async fn find(&self, login: &str) -> Result<Option<(Account, Credentials)>, StoreError> {
        let Ok(address) = Address::parse(login) else { return Ok(None) };
        let engine = &self.inner.engine;
        engine.read(address, |tx, address| Box::pin(account_and_credentials_in(tx, address))).await
    }

    /// Begins to look at somebody, as soon as there may be another guess. `secret` is what they show,
    /// where the same one again is no new guess.
    async fn attempt(
        &self,
        visitor: &Visitor,
        mechanism: &'static str,
        key: String,
        secret: Option<&str>,
    ) -> Result<Attempt, LoginError> {
        let secret = secret.map(|secret| self.inner.passwords.fingerprint(&key, secret));
        let guess = self.begin_guess(visitor, &key, secret).await?;
        Ok(Attempt { visitor: *visitor, mechanism, key, guess })
    }

    /// Lets in or refuses, notes and logs it; what could not be looked at is no guess.
    fn decide(
        &self,
        attempt: Attempt,
        seen: Result<Seen, StoreError>,
    ) -> Result<Admitted, LoginError> {
        match seen {
            Ok(Seen::Somebody { account, client, verdict: Ok(proof) }) => {
                Ok(self.admit(attempt, account, client, proof))
            }
            Ok(Seen::Somebody { account, client, verdict: Err(why) }) => {
                Err(self.refuse(attempt, Some(&account), client, why))
            }
            Ok(Seen::Nobody) => Err(self.refuse(attempt, None, None, LoginError::Rejected)),
            Err(error) => {
                attempt.guess.take_back();
                Err(error.into())
            }
        }
    }

    fn admit(
        &self,
        attempt: Attempt,
        account: Account,
        client: Option<String>,
        proof: Proof,
    ) -> Admitted {
        let Visitor { protocol, address, tls } = attempt.visitor;
        let shown = client.as_deref().unwrap_or_default();
        tracing::info!(account = %account.address, protocol = protocol.name(), %address, tls,
            mechanism = attempt.mechanism, client = shown, "logged in");
        let key = login_key_of(&account.address);
        self.inner.guesses.succeeded(&attempt.visitor, &key, Timestamp::now());
        self.note(&attempt, &account, client, Outcome::Admitted);
        attempt.guess.take_back();
        let pass = Pass { account: account.id, proof };
        Admitted { account, pass }
    }

    /// Gives back why.
    fn refuse(
        &self,
        attempt: Attempt,
        account: Option<&Account>,
        client: Option<String>,
        why: LoginError,
    ) -> LoginError {
        let Visitor { protocol, address, tls } = attempt.visitor;
        // What was typed as a name may be a password: only names that exist are logged.
        let named = account.map(|account| account.address.to_string());
        tracing::info!(account = named.as_deref().unwrap_or("(none)"), protocol = protocol.name(),
            %address, tls, mechanism = attempt.mechanism, %why, "login refused");
        let outcome = match why {
            LoginError::Disabled => Outcome::Disabled,
            LoginError::NotHere(NotHere::PasswordAlone) => Outcome::PasswordAlone,
            LoginError::NotHere(_) => Outcome::NotHere,
            _ => Outcome::Wrong,
        };
        if let Some(account) = account {
            self.note(&attempt, account, client, outcome);
        }
        match outcome {
            Outcome::Wrong => drop(attempt.guess), // it counts
            // Who knows the secret guesses nothing.
            _ => attempt.guess.take_back(),
        }
        why
    }

    /// For the account's owner.
    fn note(&self, attempt: &Attempt, account: &Account, client: Option<String>, outcome: Outcome) {
        let (client, now) = (client.unwrap_or_default(), Timestamp::now());
        let Attempt { visitor, mechanism, .. } = attempt;
        self.inner.audit.note(account.id, visitor, mechanism, client, outcome, now);
    }
}

/// Whether somebody who has given the password (and a code, where one is wanted) is still let in, and stays so
/// until this transaction ends: a new password comes before it, or waits for it.
async fn still_stands(tx: &crate::engine::Tx, pass: &Pass) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT c.account FROM credentials c JOIN accounts a ON a.id = c.account \
        WHERE c.account = ?1 AND c.version = ?2 AND a.disabled = 0 /*postgres: FOR SHARE OF c*/";
    let Proof::Password { version } = pass.proof else { return Ok(false) };
    let found = tx.row(SQL, params![pass.account.0, version], |row| row.int(0)).await?;
    Ok(found.is_some())
}

/// The id of an account by its key, for what is only known by name.
pub(crate) async fn account_of_key(
    tx: &crate::engine::Tx,
    key: &str,
) -> Result<Option<AccountId>, StoreError> {
    const SQL: &str = "SELECT id FROM accounts WHERE address_key = ?1";
    tx.row(SQL, params![key], |row| Ok(AccountId(row.int(0)?))).await
}
