//! Programs without a browser (RFC 8628): they show a short code, which their owner types in a browser
//! elsewhere, and ask with a long one until somebody has consented.
//!
//! | state | the program is told | leaves it by |
//! |---|---|---|
//! | waiting | to ask again; less often where it asks too often | an answer; ten minutes |
//! | answered yes | its tokens | being told |
//! | answered no | that it was denied | being told |
//! | too late | that it has expired | being forgotten, an hour later |
//!
//! Short codes can be guessed, so whoever types wrong ones waits as whoever guesses at passwords (RFC 8628
//! §5.1).

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::oauth::{self, ConsentError, OAuthClient, Pair, Tokens};
use super::visitor::{Pass, Scope, Visitor};
use super::{LoginError, still_stands};
use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{count32, micros};
use crate::{Store, StoreError};

/// How long a person has to type the code and to log in.
const DEVICE_SECS: u32 = 600;
/// Between two questions (RFC 8628 §3.2); each that comes too early adds five seconds (§3.5).
const PAUSE_SECS: u32 = 5;
const PAUSE_MORE_SECS: u32 = 5;
const PAUSE_SECS_MAX: u32 = 60;
/// That wait at one time.
const DEVICES_MAX: i64 = 10_000;
/// So long after its end a program is still told that it was too late.
const KEPT_MICROS: i64 = 3_600 * 1_000_000;

/// What a program is given to wait with.
pub struct DeviceCode {
    /// To ask with.
    pub code: Zeroizing<String>,
    /// How long somebody may take to answer.
    pub expires_in_secs: u32,
    /// Between two questions.
    pub pause_secs: u32,
}

/// A program that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingDevice {
    /// As it calls itself.
    pub client_name: String,
    /// What it asks for.
    pub scopes: Scope,
}

/// Why a program that asks is given no tokens.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Nobody has answered.
    #[error("nobody has answered yet")]
    Pending,
    /// The same, and it asks too often.
    #[error("nobody has answered yet, and it asks too often")]
    SlowDown,
    /// Nobody has answered in time.
    #[error("nobody has answered in time")]
    Expired,
    /// Its owner says no.
    #[error("access was denied")]
    Denied,
    /// No such code, or another program's; or the store could not do its work.
    #[error(transparent)]
    Consent(#[from] ConsentError),
}

impl From<StoreError> for DeviceError {
    fn from(error: StoreError) -> Self {
        DeviceError::Consent(error.into())
    }
}

impl Store {
    /// A program begins to wait. `user_code` is what its owner will type, as the caller spells it;
    /// [`ConsentError::TooMany`] also when another program waits with the same one.
    pub async fn begin_device(
        &self,
        client: &OAuthClient,
        scopes: Scope,
        user_code: &str,
    ) -> Result<DeviceCode, ConsentError> {
        let code = oauth::random();
        let digests = (self.token_digest(&code), self.user_digest(user_code));
        let asked = (digests, client.clone(), scopes, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (digests, client, scopes, now)| {
                Box::pin(begin_in(tx, digests, client, *scopes, *now))
            })
            .await?;
        Ok(DeviceCode { code, expires_in_secs: DEVICE_SECS, pause_secs: PAUSE_SECS })
    }

    /// What waits with that code; `None`: nothing, and it was a wrong guess.
    pub async fn waiting_device(
        &self,
        visitor: &Visitor,
        user_code: &str,
    ) -> Result<Option<WaitingDevice>, LoginError> {
        const SQL: &str = "SELECT client_name, scopes FROM oauth_devices \
            WHERE user_digest = ?1 AND expires_at > ?2 AND denied = 0 AND account IS NULL";
        let secret = self.inner.passwords.fingerprint("", user_code);
        let guess = self.begin_guess(visitor, "", Some(secret)).await?;
        let asked = (self.user_digest(user_code), micros(Timestamp::now()));
        let engine = &self.inner.engine;
        let found = engine
            .read_brief(asked, |tx, (digest, now)| {
                Box::pin(async move {
                    let read = |row: &Row<'_>| {
                        let scopes = Scope(row.int(1)?);
                        Ok(WaitingDevice { client_name: row.text(0)?, scopes })
                    };
                    tx.row(SQL, params![digest, *now], read).await
                })
            })
            .await;
        match found {
            Ok(None) => drop(guess), // it counts
            Ok(Some(_)) | Err(_) => guess.take_back(),
        }
        Ok(found?)
    }

    /// Its owner answers: consent of whoever was let in so, or no. `false`: nothing waits with that code any
    /// more; [`ConsentError::Invalid`]: what let them in has ended meanwhile.
    pub async fn answer_device(
        &self,
        user_code: &str,
        consents: Option<Pass>,
    ) -> Result<bool, ConsentError> {
        const ANSWER: &str = "UPDATE oauth_devices SET account = ?2, denied = ?3 \
            WHERE user_digest = ?1 AND expires_at > ?4 AND denied = 0 AND account IS NULL";
        let asked = (self.user_digest(user_code), consents, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (digest, consents, now)| {
                Box::pin(async move {
                    if let Some(pass) = consents
                        && !still_stands(tx, pass).await?
                    {
                        return Err(ConsentError::Invalid);
                    }
                    let account = consents.map(|pass| pass.account.0);
                    let values = params![digest, account, account.is_none(), *now];
                    Ok(tx.run(ANSWER, values).await? == 1)
                })
            })
            .await
    }

    /// The program asks.
    pub async fn poll_device(
        &self,
        code: &str,
        client: &str,
        now: Timestamp,
    ) -> Result<Tokens, DeviceError> {
        let (access, refresh) = (oauth::random(), oauth::random());
        let mut pair = self.pair(&access, &refresh);
        pair.now = micros(now);
        let asked = (self.token_digest(code), client.to_owned(), pair);
        let engine = &self.inner.engine;
        let polled = engine
            .write(asked, Repeat::Never, |tx, (digest, client, pair)| {
                Box::pin(poll_in(tx, digest, client, pair))
            })
            .await?;
        match polled {
            Polled::Unknown => Err(ConsentError::Invalid.into()),
            Polled::Pending => Err(DeviceError::Pending),
            Polled::SlowDown => Err(DeviceError::SlowDown),
            Polled::Expired => Err(DeviceError::Expired),
            Polled::Denied => Err(DeviceError::Denied),
            Polled::Given(scopes) => Ok(oauth::tokens(access, refresh, Some(scopes))?),
        }
    }

    fn user_digest(&self, user_code: &str) -> [u8; 32] {
        self.token_digest(&format!("user code {user_code}"))
    }
}

/// What a program is told; written down in each case, so none of them is an error of the transaction.
enum Polled {
    Unknown,
    Pending,
    SlowDown,
    Expired,
    Denied,
    Given(Scope),
}

async fn begin_in(
    tx: &Tx,
    (digest, user_digest): &([u8; 32], [u8; 32]),
    client: &OAuthClient,
    scopes: Scope,
    now: i64,
) -> Result<(), ConsentError> {
    const COUNT: &str = "SELECT COUNT(*) FROM oauth_devices";
    const ADD: &str = "INSERT INTO oauth_devices (digest, user_digest, client, client_name, scopes, \
        pause_secs, asked_at, expires_at, denied) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, 0) \
        ON CONFLICT (user_digest) DO NOTHING";
    let count = tx.row(COUNT, &[], |row| row.int(0)).await?.unwrap_or_default();
    if count >= DEVICES_MAX {
        forget_devices(tx, now).await?;
        let count = tx.row(COUNT, &[], |row| row.int(0)).await?.unwrap_or_default();
        if count >= DEVICES_MAX {
            return Err(ConsentError::TooMany);
        }
    }
    let values = params![
        digest,
        user_digest,
        &client.id,
        &client.name,
        scopes.0,
        i64::from(PAUSE_SECS),
        now + i64::from(DEVICE_SECS) * 1_000_000,
    ];
    match tx.run(ADD, values).await? {
        0 => Err(ConsentError::TooMany),
        _ => Ok(()),
    }
}

/// Those that nobody needs to be told of any more.
pub(super) async fn forget_devices(tx: &Tx, now: i64) -> Result<(), StoreError> {
    const OLD: &str = "DELETE FROM oauth_devices WHERE expires_at < ?1";
    tx.run(OLD, params![now - KEPT_MICROS]).await.map(drop)
}

struct Waiting {
    client_name: String,
    scopes: Scope,
    pause_secs: u32,
    asked_at: i64,
    expires_at: i64,
    denied: bool,
    account: Option<i64>,
}

async fn poll_in(
    tx: &Tx,
    digest: &[u8; 32],
    client: &String,
    pair: &Pair,
) -> Result<Polled, ConsentError> {
    const WAITING: &str = "SELECT client_name, scopes, pause_secs, asked_at, expires_at, denied, \
        account FROM oauth_devices WHERE digest = ?1 AND client = ?2 /*postgres: FOR UPDATE*/";
    const ASKED: &str = "UPDATE oauth_devices SET asked_at = ?2, pause_secs = ?3 WHERE digest = ?1";
    const TOLD: &str = "DELETE FROM oauth_devices WHERE digest = ?1";
    let read = |row: &Row<'_>| {
        Ok(Waiting {
            client_name: row.text(0)?,
            scopes: Scope(row.int(1)?),
            pause_secs: count32(row.int(2)?)?,
            asked_at: row.int(3)?,
            expires_at: row.int(4)?,
            denied: row.flag(5)?,
            account: row.opt_int(6)?,
        })
    };
    let Some(waiting) = tx.row(WAITING, params![digest, client], read).await? else {
        return Ok(Polled::Unknown);
    };
    if waiting.expires_at <= pair.now {
        return Ok(Polled::Expired);
    }
    if waiting.denied {
        tx.run(TOLD, params![digest]).await?;
        return Ok(Polled::Denied);
    }
    if let Some(account) = waiting.account {
        let Waiting { client_name, scopes, .. } = &waiting;
        oauth::consent_in(tx, account, client, client_name, *scopes, pair).await?;
        tx.run(TOLD, params![digest]).await?;
        return Ok(Polled::Given(*scopes));
    }
    let early = pair.now - waiting.asked_at < i64::from(waiting.pause_secs) * 1_000_000;
    let (pause_secs, told) = match early {
        // RFC 8628 §3.5: for this and all that follow.
        true => {
            let more = waiting.pause_secs.saturating_add(PAUSE_MORE_SECS);
            (more.min(PAUSE_SECS_MAX), Polled::SlowDown)
        }
        false => (waiting.pause_secs, Polled::Pending),
    };
    tx.run(ASKED, params![digest, pair.now, i64::from(pause_secs)]).await?;
    Ok(told)
}
