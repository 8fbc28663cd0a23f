//! What is kept for OAuth 2 (RFC 6749): programs, consents, codes and tokens.
//!
//! ```text
//! "allow" ──▶ code (1 minute, once) ──▶ consent ──▶ access token (1 hour)
//!                                         ▲    └─▶ refresh token (90 days, once) ──▶ the next pair
//!                                         └──── ends with a code or refresh token that is used twice,
//!                                               a revoked token, its owner's word, or a new password
//! ```
//!
//! Codes and tokens are 256 random bits, kept as a keyed hash: a stolen database opens nothing. The
//! protocol around them (requests, redirects, PKCE) is not here, and what programs without a browser wait for
//! is in `device`.

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::device::forget_devices;
use super::still_stands;
use super::visitor::{Pass, Scope};
use crate::accounts::account_by_id_in;
use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{micros, timestamp};
use crate::{Account, AccountId, Store, StoreError};

const CODE_MICROS: i64 = 60 * 1_000_000;
/// How long an access token is good for.
const ACCESS_SECS: u32 = 3_600;
const REFRESH_MICROS: i64 = 90 * 24 * 3_600 * 1_000_000;
/// Programs in all; where there is no room, those go that nobody has given access within an hour.
const CLIENTS_MAX: i64 = 10_000;
const CLIENT_UNUSED_MICROS: i64 = 3_600 * 1_000_000;
/// Consents of one account.
const CONSENTS_MAX: i64 = 200;
/// `last_used_at` is written again after so long.
const USED_AGAIN_MICROS: i64 = 3_600 * 1_000_000;

const ACCESS: i64 = 1;
const REFRESH: i64 = 2;

/// Names a consent for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConsentId(pub i64);

/// A program that registered itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthClient {
    /// Random.
    pub id: String,
    /// As it calls itself: anybody can say anything.
    pub name: String,
    /// Where browsers may be sent back to.
    pub redirect_uris: Vec<String>,
}

/// An account's consent to one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// For ever.
    pub id: ConsentId,
    /// As the program called itself.
    pub client_name: String,
    /// What it opens.
    pub scopes: Scope,
    /// When consent was given.
    pub created_at: Timestamp,
    /// When it was last used, to the hour.
    pub last_used_at: Timestamp,
}

/// A code to be made.
pub struct NewCode {
    /// Who consents, and how they were let in.
    pub pass: Pass,
    /// To what.
    pub client: OAuthClient,
    /// Where the code is sent.
    pub redirect_uri: String,
    /// RFC 7636 §4.2, S256.
    pub challenge: String,
    /// Consent to this much.
    pub scopes: Scope,
}

/// What a program shows to be given tokens.
pub struct Redeem {
    /// The code.
    pub code: Zeroizing<String>,
    /// Its own id.
    pub client: String,
    /// The same as before (RFC 6749 §4.1.3).
    pub redirect_uri: String,
    /// The hash of its verifier (RFC 7636 §4.6).
    pub challenge: String,
}

/// What a program is given.
pub struct Tokens {
    /// Opens the doors that `scopes` names.
    pub access: Zeroizing<String>,
    /// How long it does.
    pub expires_in_secs: u32,
    /// Is exchanged for the next pair.
    pub refresh: Zeroizing<String>,
    /// What they open.
    pub scopes: Scope,
}

/// Why a program was given nothing.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// RFC 6749 §5.2 `invalid_grant`: wrong, expired, used before, or another program's.
    #[error("the code or token is not valid")]
    Invalid,
    /// Too many programs or consents.
    #[error("there are too many of them")]
    TooMany,
    /// The store could not do its work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A pair on its way into the database.
pub(super) struct Pair {
    access: [u8; 32],
    refresh: [u8; 32],
    pub(super) now: i64,
}

impl Store {
    /// A program makes itself known.
    pub async fn register_client(
        &self,
        name: String,
        redirect_uris: Vec<String>,
    ) -> Result<OAuthClient, ConsentError> {
        let client = OAuthClient { id: random()[..32].to_owned(), name, redirect_uris };
        let asked = (client.clone(), micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (client, now)| {
                Box::pin(register_in(tx, client, *now))
            })
            .await?;
        Ok(client)
    }

    /// By its id.
    pub async fn oauth_client(&self, id: &str) -> Result<Option<OAuthClient>, StoreError> {
        const SQL: &str = "SELECT id, name, redirect_uris FROM oauth_clients WHERE id = ?1";
        let engine = &self.inner.engine;
        engine
            .read_brief(id.to_owned(), |tx, id| {
                Box::pin(async move { tx.row(SQL, params![id], client_row).await })
            })
            .await
    }

    /// Somebody consents: the code is for the program alone, and good for a minute. An error: what let them
    /// in has ended meanwhile.
    pub async fn make_code(&self, new: NewCode) -> Result<Zeroizing<String>, ConsentError> {
        let code = random();
        let asked = (self.token_digest(&code), new, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (digest, new, now)| {
                Box::pin(make_code_in(tx, digest, new, *now))
            })
            .await?;
        Ok(code)
    }

    /// Exchanges a code for tokens. One that was used before ends what it was used for (RFC 6749
    /// §4.1.2).
    pub async fn redeem_code(&self, redeem: Redeem) -> Result<Tokens, ConsentError> {
        let digest = self.token_digest(&redeem.code);
        let (access, refresh) = (random(), random());
        let asked = (digest, redeem, self.pair(&access, &refresh));
        let engine = &self.inner.engine;
        let scopes = engine
            .write(asked, Repeat::Never, |tx, (digest, redeem, pair)| {
                Box::pin(redeem_in(tx, digest, redeem, pair))
            })
            .await?;
        tokens(access, refresh, scopes)
    }

    /// Exchanges a refresh token for the next pair. One that was used before was stolen, by this
    /// client or from it: the whole consent ends (RFC 9700 §4.14.2).
    pub async fn refresh_tokens(&self, token: &str, client: &str) -> Result<Tokens, ConsentError> {
        let (access, refresh) = (random(), random());
        let asked = (self.token_digest(token), client.to_owned(), self.pair(&access, &refresh));
        let engine = &self.inner.engine;
        let scopes = engine
            .write(asked, Repeat::Never, |tx, (digest, client, pair)| {
                Box::pin(refresh_in(tx, digest, client, pair))
            })
            .await?;
        tokens(access, refresh, scopes)
    }

    /// Ends the consent that a token rests on (RFC 7009 §2.1). An unknown one is no error; one of another
    /// program than the one that says who it is, is. Who has it and does not say is believed.
    pub async fn revoke_token(
        &self,
        token: &str,
        client: Option<&str>,
    ) -> Result<(), ConsentError> {
        const CONSENT: &str = "SELECT t.of_grant, g.client FROM oauth_tokens t \
            JOIN oauth_grants g ON g.id = t.of_grant WHERE t.digest = ?1";
        let asked = (self.token_digest(token), client.map(str::to_owned));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Harmless, |tx, (digest, client)| {
                Box::pin(async move {
                    let read = |row: &Row<'_>| Ok((row.int(0)?, row.text(1)?));
                    let found = tx.row(CONSENT, params![digest], read).await?;
                    let Some((consent, owner)) = found else { return Ok(()) };
                    if client.as_ref().is_some_and(|client| *client != owner) {
                        return Err(ConsentError::Invalid);
                    }
                    Ok(end_consent(tx, consent).await?)
                })
            })
            .await
    }

    /// The programs that an account has given access, the latest first.
    pub async fn consents(&self, account: AccountId) -> Result<Vec<Consent>, StoreError> {
        const SQL: &str = "SELECT id, client_name, scopes, created_at, last_used_at \
            FROM oauth_grants WHERE account = ?1 ORDER BY id DESC";
        let engine = &self.inner.engine;
        engine
            .read(account.0, |tx, account| {
                Box::pin(async move { tx.rows(SQL, params![*account], consent_row).await })
            })
            .await
    }

    /// Withdraws a consent; `false`: the account has none of that id.
    pub async fn revoke_consent(
        &self,
        account: AccountId,
        id: ConsentId,
    ) -> Result<bool, StoreError> {
        const OWN: &str = "SELECT COUNT(*) FROM oauth_grants WHERE id = ?1 AND account = ?2";
        let engine = &self.inner.engine;
        engine
            .write((id.0, account.0), Repeat::Harmless, |tx, (id, account)| {
                Box::pin(async move {
                    let own = tx.row(OWN, params![*id, *account], |row| row.int(0)).await?;
                    if own == Some(1) {
                        end_consent(tx, *id).await?;
                    }
                    Ok(own == Some(1))
                })
            })
            .await
    }

    /// Whose an access token is.
    pub(super) async fn find_access_token(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<(Account, Consent)>, StoreError> {
        const USED: &str = "UPDATE oauth_grants SET last_used_at = ?2 WHERE id = ?1";
        let asked = (self.token_digest(token), micros(now));
        let engine = &self.inner.engine;
        let found =
            engine.read(asked, |tx, (digest, now)| Box::pin(find_in(tx, digest, *now))).await?;
        if let Some((_, consent)) = &found
            && micros(now) - micros(consent.last_used_at) > USED_AGAIN_MICROS
        {
            engine
                .write((consent.id.0, micros(now)), Repeat::Harmless, |tx, (id, now)| {
                    Box::pin(async move { tx.run(USED, params![*id, *now]).await })
                })
                .await?;
        }
        Ok(found)
    }

    /// Forgets codes, tokens and consents that can be of no use any more.
    pub async fn forget_tokens(&self, now: Timestamp) -> Result<(), StoreError> {
        const CODES: &str = "DELETE FROM oauth_codes WHERE expires_at < ?1";
        const TOKENS: &str = "DELETE FROM oauth_tokens WHERE expires_at < ?1";
        const CONSENTS: &str = "DELETE FROM oauth_grants WHERE NOT EXISTS \
            (SELECT 1 FROM oauth_tokens t WHERE t.of_grant = oauth_grants.id)";
        let engine = &self.inner.engine;
        engine
            .write(micros(now), Repeat::Harmless, |tx, now| {
                Box::pin(async move {
                    // A used code is remembered for a while, so that its second use is noticed.
                    tx.run(CODES, params![*now - USED_AGAIN_MICROS]).await?;
                    tx.run(TOKENS, params![*now]).await?;
                    forget_devices(tx, *now).await?;
                    tx.run(CONSENTS, &[]).await.map(drop)
                })
            })
            .await
    }

    pub(super) fn token_digest(&self, token: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.inner.secret_key);
        hasher.update(b"oauth token\0").update(token.as_bytes());
        *hasher.finalize().as_bytes()
    }

    pub(super) fn pair(&self, access: &str, refresh: &str) -> Pair {
        let (access, refresh) = (self.token_digest(access), self.token_digest(refresh));
        Pair { access, refresh, now: micros(Timestamp::now()) }
    }
}

/// 256 random bits.
pub(super) fn random() -> Zeroizing<String> {
    let octets: [u8; 32] = rand::random();
    Zeroizing::new(blake3::Hash::from(octets).to_hex().to_string())
}

/// `None`: nothing may be given.
pub(super) fn tokens(
    access: Zeroizing<String>,
    refresh: Zeroizing<String>,
    scopes: Option<Scope>,
) -> Result<Tokens, ConsentError> {
    let scopes = scopes.ok_or(ConsentError::Invalid)?;
    Ok(Tokens { access, expires_in_secs: ACCESS_SECS, refresh, scopes })
}

async fn register_in(tx: &Tx, client: &OAuthClient, now: i64) -> Result<(), ConsentError> {
    const COUNT: &str = "SELECT COUNT(*) FROM oauth_clients";
    const UNUSED: &str = "DELETE FROM oauth_clients WHERE created_at < ?1 AND NOT EXISTS \
        (SELECT 1 FROM oauth_grants g WHERE g.client = oauth_clients.id)";
    const ADD: &str = "INSERT INTO oauth_clients (id, name, redirect_uris, created_at) \
        VALUES (?1, ?2, ?3, ?4)";
    let count = tx.row(COUNT, &[], |row| row.int(0)).await?.unwrap_or_default();
    if count >= CLIENTS_MAX && tx.run(UNUSED, params![now - CLIENT_UNUSED_MICROS]).await? == 0 {
        return Err(ConsentError::TooMany);
    }
    let uris = serde_json::Value::from(client.redirect_uris.clone()).to_string();
    tx.run(ADD, params![&client.id, &client.name, &uris, now]).await?;
    Ok(())
}

async fn make_code_in(
    tx: &Tx,
    digest: &[u8; 32],
    new: &NewCode,
    now: i64,
) -> Result<(), ConsentError> {
    const ADD: &str = "INSERT INTO oauth_codes (digest, account, client, client_name, \
        redirect_uri, challenge, scopes, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    if !still_stands(tx, &new.pass).await? {
        return Err(ConsentError::Invalid);
    }
    let values = params![
        digest,
        new.pass.account.0,
        &new.client.id,
        &new.client.name,
        &new.redirect_uri,
        &new.challenge,
        new.scopes.0,
        now + CODE_MICROS,
    ];
    tx.run(ADD, values).await?;
    Ok(())
}

struct Code {
    account: i64,
    client: String,
    client_name: String,
    redirect_uri: String,
    challenge: String,
    scopes: Scope,
    expires_at: i64,
    used_for: Option<i64>,
}

async fn redeem_in(
    tx: &Tx,
    digest: &[u8; 32],
    redeem: &Redeem,
    pair: &Pair,
) -> Result<Option<Scope>, ConsentError> {
    const CODE: &str = "SELECT account, client, client_name, redirect_uri, challenge, scopes, \
        expires_at, grant_made FROM oauth_codes WHERE digest = ?1 /*postgres: FOR UPDATE*/";
    const USED: &str = "UPDATE oauth_codes SET grant_made = ?2 WHERE digest = ?1";
    let read = |row: &Row<'_>| {
        Ok(Code {
            account: row.int(0)?,
            client: row.text(1)?,
            client_name: row.text(2)?,
            redirect_uri: row.text(3)?,
            challenge: row.text(4)?,
            scopes: Scope(row.int(5)?),
            expires_at: row.int(6)?,
            used_for: row.opt_int(7)?,
        })
    };
    let Some(code) = tx.row(CODE, params![digest], read).await? else { return Ok(None) };
    if let Some(consent) = code.used_for {
        end_consent(tx, consent).await?;
        return Ok(None);
    }
    let same = code.client == redeem.client
        && code.redirect_uri == redeem.redirect_uri
        && code.challenge == redeem.challenge;
    if !same || code.expires_at < pair.now {
        return Ok(None);
    }
    let Code { account, client, client_name, scopes, .. } = &code;
    let consent = consent_in(tx, *account, client, client_name, *scopes, pair).await?;
    tx.run(USED, params![digest, consent]).await?;
    Ok(Some(code.scopes))
}

/// A new consent with its first tokens.
pub(super) async fn consent_in(
    tx: &Tx,
    account: i64,
    client: &String,
    client_name: &String,
    scopes: Scope,
    pair: &Pair,
) -> Result<i64, ConsentError> {
    // Locked, so that two at once do not count the same.
    const ACCOUNT: &str =
        "SELECT disabled FROM accounts WHERE id = ?1 /*postgres: FOR NO KEY UPDATE*/";
    const CONSENTS: &str = "SELECT COUNT(*) FROM oauth_grants WHERE account = ?1";
    const CONSENT: &str = "INSERT INTO oauth_grants (account, client, client_name, scopes, \
        created_at, last_used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5) RETURNING id";
    if tx.row(ACCOUNT, params![account], |row| row.flag(0)).await? != Some(false) {
        return Err(ConsentError::Invalid);
    }
    let consents = tx.row(CONSENTS, params![account], |row| row.int(0)).await?;
    if consents.is_none_or(|consents| consents >= CONSENTS_MAX) {
        return Err(ConsentError::TooMany);
    }
    let values = params![account, client, client_name, scopes.0, pair.now];
    let consent = tx.row(CONSENT, values, |row| row.int(0)).await?;
    let consent = consent.ok_or(ConsentError::Invalid)?;
    keep(tx, consent, pair).await?;
    Ok(consent)
}

async fn refresh_in(
    tx: &Tx,
    digest: &[u8; 32],
    client: &String,
    pair: &Pair,
) -> Result<Option<Scope>, ConsentError> {
    const TOKEN: &str = "SELECT t.of_grant, t.spent, t.expires_at, g.scopes, a.disabled \
        FROM oauth_tokens t JOIN oauth_grants g ON g.id = t.of_grant \
        JOIN accounts a ON a.id = g.account \
        WHERE t.digest = ?1 AND t.kind = 2 AND g.client = ?2 /*postgres: FOR UPDATE OF t*/";
    const SPENT: &str = "UPDATE oauth_tokens SET spent = 1 WHERE digest = ?1";
    // What came before the next pair opens nothing more.
    const OLD: &str = "DELETE FROM oauth_tokens WHERE of_grant = ?1 AND kind = 1";
    let read = |row: &Row<'_>| {
        Ok((row.int(0)?, row.flag(1)?, row.int(2)?, Scope(row.int(3)?), row.flag(4)?))
    };
    let found = tx.row(TOKEN, params![digest, client], read).await?;
    let Some((consent, spent, expires_at, scopes, disabled)) = found else { return Ok(None) };
    if spent {
        end_consent(tx, consent).await?;
        return Ok(None);
    }
    if disabled || expires_at < pair.now {
        return Ok(None);
    }
    tx.run(SPENT, params![digest]).await?;
    tx.run(OLD, params![consent]).await?;
    keep(tx, consent, pair).await?;
    Ok(Some(scopes))
}

async fn keep(tx: &Tx, consent: i64, pair: &Pair) -> Result<(), StoreError> {
    const ADD: &str = "INSERT INTO oauth_tokens (digest, of_grant, kind, spent, expires_at) \
        VALUES (?1, ?2, ?3, 0, ?4)";
    let access_until = pair.now + i64::from(ACCESS_SECS) * 1_000_000;
    tx.run(ADD, params![&pair.access, consent, ACCESS, access_until]).await?;
    tx.run(ADD, params![&pair.refresh, consent, REFRESH, pair.now + REFRESH_MICROS]).await.map(drop)
}

/// With its tokens; sessions that rest on it are woken.
async fn end_consent(tx: &Tx, consent: i64) -> Result<(), StoreError> {
    const END: &str = "DELETE FROM oauth_grants WHERE id = ?1 RETURNING account";
    if let Some(account) = tx.row(END, params![consent], |row| row.int(0)).await? {
        tx.touch(AccountId(account));
    }
    Ok(())
}

async fn find_in(
    tx: &Tx,
    digest: &[u8; 32],
    now: i64,
) -> Result<Option<(Account, Consent)>, StoreError> {
    const SQL: &str = "SELECT g.id, g.client_name, g.scopes, g.created_at, g.last_used_at, \
        g.account FROM oauth_tokens t JOIN oauth_grants g ON g.id = t.of_grant \
        WHERE t.digest = ?1 AND t.kind = 1 AND t.expires_at > ?2";
    let read = |row: &Row<'_>| Ok((consent_row(row)?, AccountId(row.int(5)?)));
    let Some((consent, account)) = tx.row(SQL, params![digest, now], read).await? else {
        return Ok(None);
    };
    let account = account_by_id_in(tx, account).await?;
    Ok(account.map(|account| (account, consent)))
}

fn client_row(row: &Row<'_>) -> Result<OAuthClient, StoreError> {
    let redirect_uris = serde_json::from_str(&row.text(2)?);
    let redirect_uris = redirect_uris.map_err(|_| StoreError::Damaged("redirect URIs".into()))?;
    Ok(OAuthClient { id: row.text(0)?, name: row.text(1)?, redirect_uris })
}

fn consent_row(row: &Row<'_>) -> Result<Consent, StoreError> {
    Ok(Consent {
        id: ConsentId(row.int(0)?),
        client_name: row.text(1)?,
        scopes: Scope(row.int(2)?),
        created_at: timestamp(row.int(3)?)?,
        last_used_at: timestamp(row.int(4)?)?,
    })
}
