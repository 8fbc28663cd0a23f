//! What an account knows of those who write to it: counts by identity. And the greylist.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::{Repeat, Tx, params};
use crate::instant::{count32, micros, timestamp};
use crate::{AccountId, Store, StoreError};

/// By what a sender is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderKind {
    /// The address in From.
    Address,
    /// Its domain.
    Domain,
    /// Its organizational domain.
    OrganizationalDomain,
    /// A domain that signed (`d=`).
    DkimDomain,
    /// The domain whose SPF record allowed the client.
    SpfDomain,
    /// The client's address.
    Ip,
    /// The network around it.
    Network,
}

/// One identity of a sender.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SenderIdentity {
    /// By what.
    pub kind: SenderKind,
    /// Folded: lower case, A-labels; addresses as text. At most 320 octets.
    pub name: String,
}

/// What one account knows of one identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SenderRecord {
    /// Messages that the reader judged to be wanted.
    pub ham: u32,
    /// Messages that the reader judged to be spam.
    pub spam: u32,
    /// Messages delivered.
    pub seen: u32,
    /// Messages that the account sent there.
    pub written: u32,
    /// When any of these last grew.
    pub last_at: Option<Timestamp>,
}

impl SenderKind {
    fn code(self) -> i64 {
        match self {
            SenderKind::Address => 0,
            SenderKind::Domain => 1,
            SenderKind::OrganizationalDomain => 2,
            SenderKind::DkimDomain => 3,
            SenderKind::SpfDomain => 4,
            SenderKind::Ip => 5,
            SenderKind::Network => 6,
        }
    }
}

impl Store {
    /// Addresses that an account has written to, the latest first.
    pub async fn written_to(
        &self,
        account: AccountId,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let engine = &self.inner.engine;
        engine
            .read((account, limit), |tx, (account, limit)| {
                Box::pin(written_to_in(tx, *account, *limit))
            })
            .await
    }

    /// Since when this origin has been asked to come again: `now`, when it comes for the first time.
    pub async fn greylisted_since(
        &self,
        origin: [u8; 32],
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        const ADD: &str = "INSERT INTO greylist (origin, first_at) VALUES (?1, ?2) \
            ON CONFLICT (origin) DO NOTHING";
        const READ: &str = "SELECT first_at FROM greylist WHERE origin = ?1";
        let asked = (origin, micros(now));
        let engine = &self.inner.engine;
        let first = engine
            .write(asked, Repeat::Harmless, |tx, (origin, now)| {
                Box::pin(async move {
                    tx.run(ADD, params![origin, *now]).await?;
                    tx.row(READ, params![origin], |row| timestamp(row.int(0)?)).await
                })
            })
            .await?;
        Ok(first.unwrap_or(now))
    }

    /// Forgets who was asked before that time; gives how many.
    pub async fn forget_greylisted(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM greylist WHERE first_at < ?1";
        let engine = &self.inner.engine;
        engine
            .write(micros(before), Repeat::Harmless, |tx, before| {
                Box::pin(async move { tx.run(SQL, params![*before]).await })
            })
            .await
    }
}

pub(super) async fn records_in(
    tx: &Tx,
    account: AccountId,
    identities: &[SenderIdentity],
) -> Result<Vec<SenderRecord>, StoreError> {
    const SQL: &str = "SELECT ham, spam, seen, written, last_at FROM senders \
        WHERE account = ?1 AND kind = ?2 AND name = ?3";
    let mut records = Vec::with_capacity(identities.len());
    for identity in identities {
        let values = params![account.0, identity.kind.code(), &identity.name];
        let record = tx
            .row(SQL, values, |row| {
                Ok(SenderRecord {
                    ham: count32(row.int(0)?)?,
                    spam: count32(row.int(1)?)?,
                    seen: count32(row.int(2)?)?,
                    written: count32(row.int(3)?)?,
                    last_at: Some(timestamp(row.int(4)?)?),
                })
            })
            .await?;
        records.push(record.unwrap_or_default());
    }
    Ok(records)
}

pub(super) async fn written_to_in(
    tx: &Tx,
    account: AccountId,
    limit: i64,
) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "SELECT name FROM senders WHERE account = ?1 AND kind = 0 \
        AND written > 0 ORDER BY last_at DESC LIMIT ?2";
    tx.rows(SQL, params![account.0, limit], |row| row.text(0)).await
}

/// What grows in a sender's row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Growth {
    pub(super) ham: i64,
    pub(super) spam: i64,
    pub(super) seen: i64,
    pub(super) written: i64,
}

/// Moves a sender's counts, never below zero.
pub(super) async fn grow(
    tx: &Tx,
    account: i64,
    kind: SenderKind,
    name: &str,
    by: Growth,
    now: i64,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO senders (account, kind, name, ham, spam, seen, written, last_at) \
        VALUES (?1, ?2, ?3, ?9, ?10, ?6, ?7, ?8) \
        ON CONFLICT (account, kind, name) DO UPDATE SET \
        ham = CASE WHEN senders.ham + ?4 > 0 THEN senders.ham + ?4 ELSE 0 END, \
        spam = CASE WHEN senders.spam + ?5 > 0 THEN senders.spam + ?5 ELSE 0 END, \
        seen = senders.seen + ?6, written = senders.written + ?7, last_at = ?8";
    let Growth { ham, spam, seen, written } = by;
    let (first_ham, first_spam) = (ham.max(0), spam.max(0));
    let code = kind.code();
    let values = params![account, code, name, ham, spam, seen, written, now, first_ham, first_spam];
    tx.run(SQL, values).await.map(drop)
}

/// A message from this address was delivered.
pub(crate) async fn note_seen(
    tx: &Tx,
    account: AccountId,
    address: &str,
    now: i64,
) -> Result<(), StoreError> {
    let by = Growth { seen: 1, ..Growth::default() };
    grow(tx, account.0, SenderKind::Address, address, by, now).await
}

/// The account wrote to these addresses.
pub(crate) async fn note_written(
    tx: &Tx,
    account: AccountId,
    addresses: &[String],
    now: i64,
) -> Result<(), StoreError> {
    let by = Growth { written: 1, ..Growth::default() };
    for address in addresses {
        grow(tx, account.0, SenderKind::Address, address, by, now).await?;
    }
    Ok(())
}
