//! Observations that are to be reported to other domains, until they are.
//!
//! An observation is JSON in words of its own; what is alike on one day is one row with a count. It
//! leaves in the transaction that takes responsibility for the reports made of it
//! ([`Store::report_sent`]), so that nothing is reported twice or lost, however many nodes work on
//! it and whenever one of them dies.
//!
//! ```text
//! observe ─▶ row (kind, domain, day) ─ observations ─▶ report ─ report_sent ─▶ queue; row gone
//!                                                        └ nobody wants it ─ drop_observations
//! ```

use jiff::Timestamp;

use crate::accept::{Prepared, Stop, accept_all};
use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{count, micros};
use crate::{AcceptError, Acceptance, Store, StoreError};

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReportKind {
    /// DMARC aggregate (RFC 9990).
    Dmarc,
    /// SMTP TLS (RFC 8460).
    Tls,
    /// One message that failed DMARC (RFC 9991).
    Failure,
}

/// Something to be reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// In which report.
    pub kind: ReportKind,
    /// Whose policy it was about.
    pub domain: String,
    /// When: its day, in UTC, counts.
    pub at: Timestamp,
    /// JSON.
    pub what: String,
}

/// What was observed of one domain on one day, or as much of it as one report holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// In which report.
    pub kind: ReportKind,
    /// Whose policy it was about.
    pub domain: String,
    /// Since 1970, in UTC.
    pub day: i64,
    /// JSON and how often; what was seen last stands last.
    pub seen: Vec<(String, u64)>,
    /// The greatest digest among the rows.
    last: Vec<u8>,
}

impl ReportKind {
    pub(super) fn code(self) -> i64 {
        match self {
            ReportKind::Dmarc => 0,
            ReportKind::Tls => 1,
            ReportKind::Failure => 2,
        }
    }

    pub(super) fn of(code: i64) -> Result<ReportKind, StoreError> {
        match code {
            0 => Ok(ReportKind::Dmarc),
            1 => Ok(ReportKind::Tls),
            2 => Ok(ReportKind::Failure),
            _ => Err(StoreError::Damaged(format!("{code} is no kind of report"))),
        }
    }
}

/// Days since 1970, in UTC.
pub fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

impl Store {
    /// Counts observations.
    pub async fn observe(&self, observations: Vec<Observation>) -> Result<(), StoreError> {
        let engine = &self.inner.engine;
        engine
            .write(observations, Repeat::Never, |tx, observations| {
                Box::pin(observe(tx, observations))
            })
            .await
    }

    /// Domains that something of a finished day is to be reported to, with that day: days before
    /// `today`, oldest first.
    pub async fn domains_to_report_to(
        &self,
        kind: ReportKind,
        today: i64,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        const SQL: &str = "SELECT DISTINCT domain, day FROM observations \
            WHERE kind = ?1 AND day < ?2 ORDER BY day, domain";
        let engine = &self.inner.engine;
        engine
            .read((kind, today), |tx, (kind, today)| {
                let (kind, today) = (kind.code(), *today);
                Box::pin(async move {
                    let read = |row: &Row<'_>| Ok((row.text(0)?, row.int(1)?));
                    tx.rows(SQL, params![kind, today], read).await
                })
            })
            .await
    }

    /// What was observed of one domain on one day: at most `limit` rows. The rest makes another
    /// report once these are gone.
    pub async fn observations(
        &self,
        kind: ReportKind,
        domain: &str,
        day: i64,
        limit: usize,
    ) -> Result<Observed, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let engine = &self.inner.engine;
        engine
            .read((kind, domain.to_owned(), day, limit), |tx, (kind, domain, day, limit)| {
                Box::pin(observations_in(tx, *kind, domain, *day, *limit))
            })
            .await
    }

    /// Takes responsibility for the reports made of these observations, which are gone with it: all
    /// or nothing, durable on return. False when they are not as they were read (any more): another
    /// node was first, or more was observed meanwhile; then nothing was done.
    pub async fn report_sent(
        &self,
        observed: Observed,
        reports: Vec<Acceptance>,
    ) -> Result<bool, AcceptError> {
        self.accept_instead(observed, reports, |tx, (observed, reports)| {
            Box::pin(report_sent_in(tx, observed, reports))
        })
        .await
    }

    /// Forgets what was observed before a day and nobody wanted to hear; gives how many rows.
    pub async fn drop_observations(&self, before_day: i64) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM observations WHERE day < ?1";
        let engine = &self.inner.engine;
        engine
            .write(before_day, Repeat::Harmless, |tx, before| {
                let before = *before;
                Box::pin(async move { tx.run(SQL, params![before]).await })
            })
            .await
    }
}

pub(crate) async fn observe(tx: &Tx, observations: &[Observation]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO observations (kind, domain, day, digest, what, times, last_at) \
        VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6) \
        ON CONFLICT (kind, domain, day, digest) DO UPDATE SET \
        times = observations.times + 1, last_at = excluded.last_at";
    for observation in observations {
        let digest = blake3::hash(observation.what.as_bytes());
        let values = params![
            observation.kind.code(),
            &observation.domain,
            day_of(observation.at),
            digest.as_bytes(),
            &observation.what,
            micros(observation.at),
        ];
        tx.run(SQL, values).await?;
    }
    Ok(())
}

async fn observations_in(
    tx: &Tx,
    kind: ReportKind,
    domain: &str,
    day: i64,
    limit: i64,
) -> Result<Observed, StoreError> {
    const SQL: &str = "SELECT what, times, last_at, digest FROM observations \
        WHERE kind = ?1 AND domain = ?2 AND day = ?3 ORDER BY digest LIMIT ?4";
    let read = |row: &Row<'_>| {
        Ok((row.int(2)?, row.text(0)?, count(row.int(1)?)?, row.bytes(3)?.to_vec()))
    };
    let mut rows = tx.rows(SQL, params![kind.code(), domain, day, limit], read).await?;
    let last = rows.last().map(|row| row.3.clone()).unwrap_or_default();
    rows.sort_by_key(|row| row.0);
    let seen = rows.into_iter().map(|(_, what, times, _)| (what, times)).collect();
    Ok(Observed { kind, domain: domain.to_owned(), day, seen, last })
}

async fn report_sent_in(tx: &Tx, observed: &Observed, reports: &[Prepared]) -> Result<(), Stop> {
    const SQL: &str = "DELETE FROM observations \
        WHERE kind = ?1 AND domain = ?2 AND day = ?3 AND digest <= ?4 RETURNING times";
    let Observed { kind, domain, day, seen, last } = observed;
    let values = params![kind.code(), domain, *day, last];
    let gone = tx.rows(SQL, values, |row| count(row.int(0)?)).await?;
    let read: u64 = seen.iter().map(|(_, times)| times).sum();
    if gone.is_empty() || gone.len() != seen.len() || gone.iter().sum::<u64>() != read {
        return Err(Stop::Already);
    }
    for report in reports {
        accept_all(tx, report).await?;
    }
    Ok(())
}
