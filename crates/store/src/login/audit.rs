//! What is remembered of logins, so that an account's owner sees who came and who tried.
//!
//! Alike logins of one day are one row with a count. They are counted in memory and written every few
//! seconds: clients open many connections at once, and guessers many more. Each account keeps
//! [`KEPT_DAYS`] days and [`KEPT_ROWS`] rows; logins with names that do not exist have no owner and are
//! only in the log.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::visitor::{Protocol, Visitor};
use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{count, micros, timestamp};
use crate::{AccountId, Store, StoreError};

/// Rows that wait to be written. Failures leave a quarter free for successes.
const PENDING_MAX: usize = 4_096;
/// Rows in one transaction.
const ROWS_PER_FLUSH: usize = 512;
const KEPT_DAYS: i64 = 90;
const KEPT_ROWS: i64 = 1_000;
const DAY_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// How a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Let in.
    Admitted,
    /// A wrong password or token.
    Wrong,
    /// The right one of a disabled account.
    Disabled,
    /// A right one that does not open this door.
    NotHere,
    /// The right password, where a code is wanted too, by a program: these need an app password.
    PasswordAlone,
    /// The right password at a page; the code is asked for.
    CodeAsked,
    /// The right password, and a wrong code.
    WrongCode,
}

impl Outcome {
    const ALL: [Outcome; 7] = [
        Outcome::Admitted,
        Outcome::Wrong,
        Outcome::Disabled,
        Outcome::NotHere,
        Outcome::PasswordAlone,
        Outcome::CodeAsked,
        Outcome::WrongCode,
    ];

    /// `admitted`, `wrong`, `disabled`, `not-here`, `password-alone`, `code-asked`, `wrong-code`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Admitted => "admitted",
            Outcome::Wrong => "wrong",
            Outcome::Disabled => "disabled",
            Outcome::NotHere => "not-here",
            Outcome::PasswordAlone => "password-alone",
            Outcome::CodeAsked => "code-asked",
            Outcome::WrongCode => "wrong-code",
        }
    }
}

/// All alike logins of an account in one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginNote {
    /// By which door.
    pub protocol: Protocol,
    /// From where; `None`: not known.
    pub address: Option<IpAddr>,
    /// Over TLS.
    pub tls: bool,
    /// A SASL name, or `login` for a protocol's own command and for pages; `totp` and `recovery-code` for a
    /// page's second step.
    pub mechanism: String,
    /// App password or OAuth client; `None`: the main password, or unknown.
    pub client: Option<String>,
    /// How they ended.
    pub outcome: Outcome,
    /// How many.
    pub count: u64,
    /// The last of them.
    pub last_at: Timestamp,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    account: AccountId,
    day: i64,
    visitor: (Protocol, IpAddr, bool),
    mechanism: &'static str,
    client: String,
    outcome: Outcome,
}

/// What waits to be written.
#[derive(Default)]
pub(crate) struct Audit {
    pending: Mutex<HashMap<Key, (i64, i64)>>,
}

impl Audit {
    pub(super) fn note(
        &self,
        account: AccountId,
        visitor: &Visitor,
        mechanism: &'static str,
        client: String,
        outcome: Outcome,
        now: Timestamp,
    ) {
        let now = micros(now);
        let visitor = (visitor.protocol, visitor.address, visitor.tls);
        let key = Key { account, day: now / DAY_MICROS, visitor, mechanism, client, outcome };
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let room = match outcome {
            Outcome::Admitted => PENDING_MAX,
            _ => PENDING_MAX / 4 * 3,
        };
        if pending.len() < room || pending.contains_key(&key) {
            let (count, last_at) = pending.entry(key).or_default();
            *count += 1;
            *last_at = now;
        }
    }

    fn take(&self) -> Vec<(Key, (i64, i64))> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<Key> = pending.keys().take(ROWS_PER_FLUSH).cloned().collect();
        keys.into_iter().filter_map(|key| pending.remove_entry(&key)).collect()
    }
}

impl Store {
    /// Writes what was noted of logins since, and shares wrong guesses with other nodes. Done every few
    /// seconds by [`Store::run_background`], and when the store is closed.
    pub async fn flush_logins(&self) -> Result<(), StoreError> {
        self.share_guesses(Timestamp::now()).await?;
        loop {
            let rows = self.inner.audit.take();
            let last = rows.len() < ROWS_PER_FLUSH;
            if !rows.is_empty() {
                let engine = &self.inner.engine;
                engine
                    .write(rows, Repeat::Never, |tx, rows| Box::pin(write_notes(tx, rows)))
                    .await?;
            }
            if last {
                return Ok(());
            }
        }
    }

    /// The logins of an account, the latest first; what the last few seconds brought may be missing.
    pub async fn logins(
        &self,
        account: AccountId,
        limit: u32,
    ) -> Result<Vec<LoginNote>, StoreError> {
        const SQL: &str = "SELECT protocol, address, tls, mechanism, client, outcome, count, \
            last_at FROM logins WHERE account = ?1 ORDER BY last_at DESC LIMIT ?2";
        let engine = &self.inner.engine;
        engine
            .read((account.0, i64::from(limit)), |tx, (account, limit)| {
                Box::pin(async move { tx.rows(SQL, params![*account, *limit], note_row).await })
            })
            .await
    }
}

fn note_row(row: &Row<'_>) -> Result<LoginNote, StoreError> {
    let damaged = || StoreError::Damaged("a login that was noted".into());
    let outcome = usize::try_from(row.int(5)?).ok().and_then(|n| Outcome::ALL.get(n).copied());
    let client = row.text(4)?;
    Ok(LoginNote {
        protocol: Protocol::of_number(row.int(0)?).ok_or_else(damaged)?,
        address: row.text(1)?.parse().ok(),
        tls: row.flag(2)?,
        mechanism: row.text(3)?,
        client: (!client.is_empty()).then_some(client),
        outcome: outcome.ok_or_else(damaged)?,
        count: count(row.int(6)?)?,
        last_at: timestamp(row.int(7)?)?,
    })
}

async fn write_notes(tx: &Tx, rows: &[(Key, (i64, i64))]) -> Result<(), StoreError> {
    // An account that was removed meanwhile has no rows any more.
    const ADD: &str = "INSERT INTO logins (account, day, protocol, address, tls, mechanism, client, \
        outcome, count, last_at) SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM accounts \
        WHERE id = ?1 ON CONFLICT (account, day, protocol, address, tls, mechanism, client, outcome) \
        DO UPDATE SET count = logins.count + excluded.count, last_at = excluded.last_at";
    let order = |key: &Key| (key.account, key.day, key.visitor, key.outcome as i64);
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_unstable_by_key(|(key, _)| order(key));
    let mut accounts = BTreeSet::new();
    for (key, (count, last_at)) in rows {
        let (protocol, address, tls) = key.visitor;
        let address = match address.is_unspecified() {
            true => String::new(),
            false => address.to_string(),
        };
        let values = params![
            key.account.0,
            key.day,
            protocol.number(),
            &address,
            tls,
            key.mechanism,
            &key.client,
            key.outcome as i64,
            *count,
            *last_at,
        ];
        tx.run(ADD, values).await?;
        accounts.insert((key.account.0, *last_at));
    }
    for (account, now) in accounts {
        forget(tx, account, now).await?;
    }
    Ok(())
}

/// What is too old, and what is too much.
async fn forget(tx: &Tx, account: i64, now: i64) -> Result<(), StoreError> {
    const OLD: &str = "DELETE FROM logins WHERE account = ?1 AND last_at < ?2";
    const OLDEST: &str =
        "SELECT last_at FROM logins WHERE account = ?1 ORDER BY last_at DESC LIMIT 1 OFFSET ?2";
    tx.run(OLD, params![account, now - KEPT_DAYS * DAY_MICROS]).await?;
    let oldest = tx.row(OLDEST, params![account, KEPT_ROWS - 1], |row| row.int(0)).await?;
    if let Some(oldest) = oldest {
        tx.run(OLD, params![account, oldest]).await?;
    }
    Ok(())
}
