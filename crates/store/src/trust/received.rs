//! The reports of others about our domains, and the mail that brings them.
//!
//! ```text
//! mail comes in and looks like a report ─▶ report_mail (in the transaction of its acceptance)
//!     the program reads it ─ report_mail_read ─▶ reports, a step of its journey; report_mail gone
//! ```
//!
//! A message that ends the program while it is read is found here again, and given up after some
//! attempts.

use jiff::Timestamp;
use waxwing_message::journey::Event;

use super::ReportKind;
use crate::accept::json_lines;
use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{count, count32, micros, timestamp};
use crate::journeys::{append, journey_id};
use crate::{MessageId, Store, StoreError};

/// Names a report that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReportId(pub i64);

/// A report of others about one of our domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReport {
    /// What about.
    pub kind: ReportKind,
    /// Ours.
    pub domain: String,
    /// Who sent it, in their own words.
    pub organization: String,
    /// Its own id.
    pub name: String,
    /// What it covers.
    pub begins_at: Timestamp,
    /// What it covers.
    pub ends_at: Timestamp,
    /// When it came.
    pub received_at: Timestamp,
    /// Messages or sessions that went well.
    pub passed: u64,
    /// And those that did not.
    pub failed: u64,
    /// JSON; empty in listings.
    pub what: String,
}

/// A message that is to be read as a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportMail {
    /// Where it is.
    pub message: MessageId,
    /// Which attempt this is, counted from 1.
    pub attempt: u32,
}

impl Store {
    /// Keeps a report of others. False when it was known already.
    pub async fn keep_report(&self, report: StoredReport) -> Result<bool, StoreError> {
        let engine = &self.inner.engine;
        engine.write(report, Repeat::Harmless, |tx, report| Box::pin(keep_in(tx, report))).await
    }

    /// Reports of others about one of our domains, or all, latest first, without their JSON.
    pub async fn reports(
        &self,
        domain: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(ReportId, StoredReport)>, StoreError> {
        let asked = (domain.map(str::to_owned), i64::try_from(limit).unwrap_or(i64::MAX));
        let engine = &self.inner.engine;
        engine
            .read(asked, |tx, (domain, limit)| Box::pin(reports_in(tx, domain.as_deref(), *limit)))
            .await
    }

    /// One of them, whole.
    pub async fn report(&self, id: ReportId) -> Result<Option<StoredReport>, StoreError> {
        const SQL: &str = "SELECT id, kind, domain, organization, name, begins_at, ends_at, \
            received_at, passed, failed, what FROM reports WHERE id = ?1";
        let engine = &self.inner.engine;
        engine
            .read(id, |tx, id| {
                let id = id.0;
                Box::pin(async move {
                    let read = |row: &Row<'_>| {
                        Ok(StoredReport { what: row.text(10)?, ..report_row(row)?.1 })
                    };
                    tx.row(SQL, params![id], read).await
                })
            })
            .await
    }

    /// Forgets reports that came before; gives how many.
    pub async fn forget_reports(&self, received_before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM reports WHERE received_at < ?1";
        let engine = &self.inner.engine;
        engine
            .write(micros(received_before), Repeat::Harmless, |tx, before| {
                let before = *before;
                Box::pin(async move { tx.run(SQL, params![before]).await })
            })
            .await
    }

    /// The next message that is to be read as a report: the one with the fewest attempts, this one
    /// already counted.
    pub async fn begin_report_mail(&self) -> Result<Option<ReportMail>, StoreError> {
        const NEXT: &str = "SELECT message FROM report_mail ORDER BY attempts, message LIMIT 1";
        const BEGIN: &str = "UPDATE report_mail SET attempts = attempts + 1 \
            WHERE message = ?1 RETURNING attempts";
        let engine = &self.inner.engine;
        // Nearly always there is nothing: then nothing is written.
        let next = engine
            .read_brief((), |tx, ()| {
                Box::pin(async move { tx.row(NEXT, params![], |row| row.int(0)).await })
            })
            .await?;
        let Some(message) = next else { return Ok(None) };
        let attempt = engine
            .write(message, Repeat::Harmless, |tx, message| {
                let message = *message;
                Box::pin(async move {
                    tx.row(BEGIN, params![message], |row| count32(row.int(0)?)).await
                })
            })
            .await?;
        Ok(attempt.map(|attempt| ReportMail { message: MessageId(message), attempt }))
    }

    /// The message was read: keeps the report, if it is one about us, and adds steps to the
    /// message's journey. Nothing happens when another node was first.
    pub async fn report_mail_read(
        &self,
        message: MessageId,
        report: Option<StoredReport>,
        events: Vec<Event>,
    ) -> Result<(), StoreError> {
        let engine = &self.inner.engine;
        engine
            .write((message, report, json_lines(&events)), Repeat::Harmless, |tx, read| {
                Box::pin(read_in(tx, read.0, read.1.as_ref(), &read.2))
            })
            .await
    }
}

/// Notes that a message is to be read as a report.
pub(crate) async fn note_report_mail(tx: &Tx, message: i64) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO report_mail (message, attempts) VALUES (?1, 0)";
    tx.run(SQL, params![message]).await.map(drop)
}

async fn read_in(
    tx: &Tx,
    message: MessageId,
    report: Option<&StoredReport>,
    lines: &str,
) -> Result<(), StoreError> {
    const DONE: &str = "DELETE FROM report_mail WHERE message = ?1";
    const JOURNEY: &str = "SELECT journey FROM messages WHERE id = ?1";
    if tx.run(DONE, params![message.0]).await? == 0 {
        return Ok(());
    }
    if let Some(report) = report {
        keep_in(tx, report).await?;
    }
    let read = |row: &Row<'_>| row.opt_bytes(0)?.map(journey_id).transpose();
    match tx.row(JOURNEY, params![message.0], read).await?.flatten() {
        Some(journey) if !lines.is_empty() => append(tx, journey, lines, 0, 0).await,
        _ => Ok(()),
    }
}

async fn keep_in(tx: &Tx, report: &StoredReport) -> Result<bool, StoreError> {
    const SQL: &str = "INSERT INTO reports (kind, domain, organization, name, begins_at, ends_at, \
        received_at, passed, failed, what) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
        ON CONFLICT (kind, domain, organization, name) DO NOTHING";
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let values = params![
        report.kind.code(),
        &report.domain,
        &report.organization,
        &report.name,
        micros(report.begins_at),
        micros(report.ends_at),
        micros(report.received_at),
        number(report.passed),
        number(report.failed),
        &report.what,
    ];
    Ok(tx.run(SQL, values).await? > 0)
}

async fn reports_in(
    tx: &Tx,
    domain: Option<&str>,
    limit: i64,
) -> Result<Vec<(ReportId, StoredReport)>, StoreError> {
    const ALL: &str = "SELECT id, kind, domain, organization, name, begins_at, ends_at, \
        received_at, passed, failed FROM reports ORDER BY ends_at DESC, id DESC LIMIT ?1";
    const SOME: &str = "SELECT id, kind, domain, organization, name, begins_at, ends_at, \
        received_at, passed, failed FROM reports WHERE domain = ?2 \
        ORDER BY ends_at DESC, id DESC LIMIT ?1";
    match domain {
        None => tx.rows(ALL, params![limit], report_row).await,
        Some(domain) => tx.rows(SOME, params![limit, domain], report_row).await,
    }
}

/// Without its JSON.
fn report_row(row: &Row<'_>) -> Result<(ReportId, StoredReport), StoreError> {
    let report = StoredReport {
        kind: ReportKind::of(row.int(1)?)?,
        domain: row.text(2)?,
        organization: row.text(3)?,
        name: row.text(4)?,
        begins_at: timestamp(row.int(5)?)?,
        ends_at: timestamp(row.int(6)?)?,
        received_at: timestamp(row.int(7)?)?,
        passed: count(row.int(8)?)?,
        failed: count(row.int(9)?)?,
        what: String::new(),
    };
    Ok((ReportId(row.int(0)?), report))
}
