//! SCRAM (RFC 5802): a password is proven, not shown.
//!
//! The client is told one salt and one count before it proves anything, so all passwords of an account
//! share them. Its proof is compared with
//!
//! | place | keys of |
//! |---|---|
//! | first | each app password |
//! | then | the main password |
//! | up to [`PAIRS`] | no password |
//!
//! always with so many, for names that do not exist too: how long that takes says neither whether there is
//! such an account nor how many app passwords it has.

use waxwing_message::Address;
use waxwing_sasl::{ScramKeys, ScramPair};
use zeroize::Zeroizing;

use super::app_passwords::{APP_PASSWORDS_MAX, app_row};
use super::visitor::{Pass, Proof, Scope, Visitor};
use super::{Admitted, AppPassword, AppPasswordId, Attempt, LoginError, NotHere, Seen};
use crate::accounts::{account_by_key, login_key, login_key_of};
use crate::engine::{Repeat, Tx, params};
use crate::passwords::{self, Credentials, ScramBasis};
use crate::{Account, AccountId, Store, StoreError};

/// Of all app passwords, and the main one.
const PAIRS: usize = APP_PASSWORDS_MAX as usize + 1;

/// A SCRAM exchange that has begun: whose, and from where. End it with [`Store::settle_scram`] or
/// [`Store::refuse_scram`]; dropped, it counts as a wrong guess.
pub struct ScramAttempt {
    attempt: Attempt,
    /// `None`: nobody is let in, whatever the proof is.
    found: Option<Box<Known>>,
}

/// Whose password it may be.
struct Known {
    account: Account,
    credentials: Credentials,
    /// In the order of the pairs.
    apps: Vec<AppPassword>,
}

impl Store {
    /// Keys for SCRAM, as many for everybody. Unknown and disabled logins get some that no password opens,
    /// with the same salt each time, so that the exchange fails like a wrong password.
    pub async fn scram(
        &self,
        visitor: &Visitor,
        mechanism: &'static str,
        login: &str,
    ) -> Result<(ScramAttempt, ScramKeys), LoginError> {
        let attempt = self.attempt(visitor, mechanism, login_key(login), None).await?;
        let (found, mut pairs) = match self.find_with_apps(login).await {
            Ok(found) => found,
            Err(error) => {
                attempt.guess.take_back();
                return Err(error.into());
            }
        };
        let basis = match &found {
            Some(known) => known.credentials.basis.clone(),
            None => self.inner.passwords.basis(&attempt.key),
        };
        let found = found.filter(|known| !known.account.disabled);
        match &found {
            Some(known) => pairs.push(known.credentials.pair.clone()),
            None => pairs.clear(),
        }
        pairs.resize(PAIRS, ScramPair::NONE);
        let ScramBasis { salt, iterations } = basis;
        let attempt = ScramAttempt { attempt, found: found.map(Box::new) };
        Ok((attempt, ScramKeys { salt, iterations, pairs }))
    }

    /// A SCRAM exchange in which the proof fits that pair of the keys: whether it lets them in. What has
    /// ended since the keys were given lets in nobody.
    pub async fn settle_scram(
        &self,
        attempt: ScramAttempt,
        pair: usize,
    ) -> Result<Admitted, LoginError> {
        let ScramAttempt { attempt, found } = attempt;
        let seen = match found {
            None => Ok(Seen::Nobody),
            Some(known) => self.see_proof(attempt.visitor.protocol.scope(), *known, pair).await,
        };
        self.decide(attempt, seen)
    }

    /// A SCRAM exchange that ended without a right proof: a wrong guess. One that the client gave up is too.
    pub fn refuse_scram(&self, attempt: ScramAttempt) {
        let ScramAttempt { attempt, found } = attempt;
        let account = found.map(|known| known.account);
        self.refuse(attempt, account.as_ref(), None, LoginError::Rejected);
    }

    async fn see_proof(
        &self,
        scope: Option<Scope>,
        known: Known,
        pair: usize,
    ) -> Result<Seen, StoreError> {
        let Known { account, credentials, apps } = known;
        let main = pair == apps.len();
        let app = apps.into_iter().nth(pair);
        let mut verdict = match &app {
            Some(app) => app.opens(&account, scope),
            None if !main => Err(LoginError::Rejected),
            None if credentials.second_step => Err(LoginError::NotHere(NotHere::PasswordAlone)),
            None => Ok(Proof::Password { version: credentials.version }),
        };
        if let Ok(proof) = verdict
            && !self.pass_holds(&Pass { account: account.id, proof }).await?
        {
            verdict = Err(LoginError::Rejected);
        }
        if let (Some(app), Ok(_)) = (&app, &verdict) {
            self.note_used(app).await?;
        }
        Ok(Seen::Somebody { account, client: app.map(|app| app.name), verdict })
    }

    async fn find_with_apps(
        &self,
        login: &str,
    ) -> Result<(Option<Known>, Vec<ScramPair>), StoreError> {
        let Ok(address) = Address::parse(login) else { return Ok((None, Vec::new())) };
        let engine = &self.inner.engine;
        let key = login_key_of(&address);
        engine.read(key, |tx, key| Box::pin(known_in(tx, key))).await
    }

    /// Keeps SCRAM keys of an app password, if the account has a password to share a salt with. `secret` is
    /// as it was shown.
    pub(super) async fn keep_keys(
        &self,
        account: AccountId,
        app: AppPasswordId,
        secret: Zeroizing<String>,
    ) -> Result<(), StoreError> {
        const KEEP: &str = "INSERT INTO app_password_keys \
            (app_password, salt, iterations, stored_key, server_key) \
            SELECT id, ?2, ?3, ?4, ?5 FROM app_passwords WHERE id = ?1 \
            ON CONFLICT (app_password) DO UPDATE \
            SET salt = ?2, iterations = ?3, stored_key = ?4, server_key = ?5";
        let engine = &self.inner.engine;
        let basis = engine
            .read_brief(account, |tx, account| Box::pin(passwords::basis_in(tx, *account)))
            .await?;
        let Some((basis, _)) = basis else { return Ok(()) };
        let pair = self.inner.passwords.derive_pair(secret, basis.clone()).await?;
        engine
            .write((app.0, basis, pair), Repeat::Harmless, |tx, (app, basis, pair)| {
                Box::pin(async move {
                    let iterations = i64::from(basis.iterations);
                    let ScramPair { stored_key, server_key } = pair;
                    let values = params![*app, &basis.salt, iterations, stored_key, server_key];
                    tx.run(KEEP, values).await.map(drop)
                })
            })
            .await
    }
}

/// As many questions for names that do not exist.
async fn known_in(tx: &Tx, key: &String) -> Result<(Option<Known>, Vec<ScramPair>), StoreError> {
    const APPS: &str = "SELECT p.id, p.name, p.scopes, p.created_at, p.last_used_at, \
        k.stored_key, k.server_key FROM app_passwords p \
        JOIN app_password_keys k ON k.app_password = p.id \
        JOIN credentials c ON c.account = p.account \
        AND c.scram_salt = k.salt AND c.scram_iterations = k.iterations \
        WHERE p.account = ?1 ORDER BY p.id LIMIT ?2";
    let account = account_by_key(tx, key).await?;
    let id = account.as_ref().map_or(AccountId(0), |account| account.id);
    let credentials = passwords::load(tx, id).await?;
    let read = |row: &crate::engine::Row<'_>| Ok((app_row(row)?, passwords::pair_of(row, 5)?));
    let apps = tx.rows(APPS, params![id.0, APP_PASSWORDS_MAX], read).await?;
    let (apps, pairs) = apps.into_iter().unzip();
    let known = account.zip(credentials);
    Ok((known.map(|(account, credentials)| Known { account, credentials, apps }), pairs))
}
