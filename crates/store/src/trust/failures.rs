//! Messages that failed under other domains' names, to be told to those domains soon: what is alike is
//! one row with a count, and no domain has more than a few.
//!
//! ```text
//! accept ─▶ row (domain, how it failed), counted ─ failures_due ─▶ report ─ failure_told ─▶ queue; row gone
//! ```

use jiff::Timestamp;

use crate::accept::{Prepared, Stop, accept_all};
use crate::engine::{Row, Tx, params};
use crate::instant::{count, micros, timestamp};
use crate::{AcceptError, Acceptance, Store, StoreError};

/// Ways to fail that are kept of one domain at a time; what fails in more ways is not told.
const WAYS_PER_DOMAIN: i64 = 20;

/// A message that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Whose policy.
    pub domain: String,
    /// In what way: messages alike are told together.
    pub way: [u8; 32],
    /// When.
    pub at: Timestamp,
    /// JSON.
    pub what: String,
}

/// Messages that failed in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAlike {
    /// Whose policy.
    pub domain: String,
    /// In what way.
    pub way: Vec<u8>,
    /// The first of them: JSON.
    pub what: String,
    /// How many.
    pub times: u64,
    /// When the first came.
    pub first_at: Timestamp,
}

impl Store {
    /// What failed first before then, oldest first.
    pub async fn failures_due(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<FailedAlike>, StoreError> {
        const SQL: &str = "SELECT domain, way, what, times, first_at FROM failures \
            WHERE first_at < ?1 ORDER BY first_at, domain, way LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let engine = &self.inner.engine;
        engine
            .read((micros(before), limit), |tx, (before, limit)| {
                Box::pin(async move { tx.rows(SQL, params![*before, *limit], failed_row).await })
            })
            .await
    }

    /// Takes responsibility for the reports made of this, which is gone with it: all or nothing,
    /// durable on return. False when another node was first; then nothing was done.
    pub async fn failure_told(
        &self,
        failed: FailedAlike,
        reports: Vec<Acceptance>,
    ) -> Result<bool, AcceptError> {
        self.accept_instead(failed, reports, |tx, (failed, reports)| {
            Box::pin(told_in(tx, failed, reports))
        })
        .await
    }
}

/// Notes what failed: counted with what is alike, else kept if the domain has room.
pub(crate) async fn note_failed(tx: &Tx, failed: &[Failed]) -> Result<(), StoreError> {
    const COUNT: &str = "UPDATE failures SET times = times + 1 WHERE domain = ?1 AND way = ?2";
    const KNOWN: &str = "SELECT COUNT(*) FROM failures WHERE domain = ?1";
    const ADD: &str = "INSERT INTO failures (domain, way, what, times, first_at) \
        VALUES (?1, ?2, ?3, 1, ?4)";
    for one in failed {
        let Failed { domain, way, at, what } = one;
        if tx.run(COUNT, params![domain, way]).await? > 0 {
            continue;
        }
        let known = tx.row(KNOWN, params![domain], |row| row.int(0)).await?.unwrap_or(0);
        if known < WAYS_PER_DOMAIN {
            tx.run(ADD, params![domain, way, what, micros(*at)]).await?;
        }
    }
    Ok(())
}

async fn told_in(tx: &Tx, failed: &FailedAlike, reports: &[Prepared]) -> Result<(), Stop> {
    const SQL: &str = "DELETE FROM failures WHERE domain = ?1 AND way = ?2 AND first_at = ?3";
    let values = params![&failed.domain, &failed.way, micros(failed.first_at)];
    if tx.run(SQL, values).await? == 0 {
        return Err(Stop::Already);
    }
    for report in reports {
        accept_all(tx, report).await?;
    }
    Ok(())
}

fn failed_row(row: &Row<'_>) -> Result<FailedAlike, StoreError> {
    Ok(FailedAlike {
        domain: row.text(0)?,
        way: row.bytes(1)?.to_vec(),
        what: row.text(2)?,
        times: count(row.int(3)?)?,
        first_at: timestamp(row.int(4)?)?,
    })
}
