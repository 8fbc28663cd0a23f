//! Other domains' policies about TLS to them, kept for as long as they say (RFC 8461 §3.2): a
//! policy that was seen once protects also when its file cannot be fetched.

use jiff::Timestamp;

use crate::engine::{Repeat, Row, params};
use crate::instant::{micros, timestamp};
use crate::{Store, StoreError};

/// A policy file as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStsPolicy {
    /// Whose.
    pub domain: String,
    /// The `id` of the record that named it.
    pub policy_id: String,
    /// The file.
    pub policy: String,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// Until when it holds.
    pub expires_at: Timestamp,
    /// When mail was last sent under it; a day or so may be missing.
    pub used_at: Timestamp,
}

impl Store {
    /// The policy of a domain, also one that has expired.
    pub async fn sts_policy(&self, domain: &str) -> Result<Option<StoredStsPolicy>, StoreError> {
        const SQL: &str = "SELECT domain, policy_id, policy, fetched_at, expires_at, used_at \
            FROM sts_policies WHERE domain = ?1";
        let engine = &self.inner.engine;
        engine
            .read_brief(domain.to_owned(), |tx, domain| {
                Box::pin(async move { tx.row(SQL, params![domain], policy_row).await })
            })
            .await
    }

    /// Keeps a policy in place of the one before.
    pub async fn keep_sts_policy(&self, policy: StoredStsPolicy) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO sts_policies (domain, policy_id, policy, fetched_at, \
            expires_at, used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (domain) DO UPDATE SET \
            policy_id = excluded.policy_id, policy = excluded.policy, \
            fetched_at = excluded.fetched_at, expires_at = excluded.expires_at, \
            used_at = CASE WHEN excluded.used_at > sts_policies.used_at \
            THEN excluded.used_at ELSE sts_policies.used_at END";
        let engine = &self.inner.engine;
        engine
            .write(policy, Repeat::Harmless, |tx, policy| {
                Box::pin(async move {
                    let (fetched_at, expires_at) =
                        (micros(policy.fetched_at), micros(policy.expires_at));
                    let values = params![
                        &policy.domain,
                        &policy.policy_id,
                        &policy.policy,
                        fetched_at,
                        expires_at,
                        micros(policy.used_at),
                    ];
                    tx.run(SQL, values).await.map(drop)
                })
            })
            .await
    }

    /// Notes that mail was sent under a policy.
    pub async fn note_sts_policy_used(
        &self,
        domain: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE sts_policies SET used_at = ?2 WHERE domain = ?1";
        let engine = &self.inner.engine;
        engine
            .write((domain.to_owned(), micros(at)), Repeat::Harmless, |tx, (domain, at)| {
                Box::pin(async move { tx.run(SQL, params![domain, *at]).await.map(drop) })
            })
            .await
    }

    /// Policies fetched before and used since these times, by domain, from the one after `after`.
    pub async fn sts_policies_to_renew(
        &self,
        fetched_before: Timestamp,
        used_since: Timestamp,
        after: &str,
        limit: usize,
    ) -> Result<Vec<StoredStsPolicy>, StoreError> {
        const SQL: &str = "SELECT domain, policy_id, policy, fetched_at, expires_at, used_at \
            FROM sts_policies WHERE domain > ?3 AND fetched_at < ?1 AND used_at >= ?2 \
            ORDER BY domain LIMIT ?4";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let asked = (micros(fetched_before), micros(used_since), after.to_owned(), limit);
        let engine = &self.inner.engine;
        engine
            .read(asked, |tx, (fetched_before, used_since, after, limit)| {
                Box::pin(async move {
                    let values = params![*fetched_before, *used_since, after, *limit];
                    tx.rows(SQL, values, policy_row).await
                })
            })
            .await
    }

    /// Forgets policies that expired before; gives how many.
    pub async fn forget_sts_policies(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM sts_policies WHERE expires_at < ?1";
        let engine = &self.inner.engine;
        engine
            .write(micros(before), Repeat::Harmless, |tx, before| {
                Box::pin(async move { tx.run(SQL, params![*before]).await })
            })
            .await
    }
}

fn policy_row(row: &Row<'_>) -> Result<StoredStsPolicy, StoreError> {
    Ok(StoredStsPolicy {
        domain: row.text(0)?,
        policy_id: row.text(1)?,
        policy: row.text(2)?,
        fetched_at: timestamp(row.int(3)?)?,
        expires_at: timestamp(row.int(4)?)?,
        used_at: timestamp(row.int(5)?)?,
    })
}
