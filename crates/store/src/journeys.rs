//! Journeys: what happened to each message, kept after the queue row has gone.

use jiff::Timestamp;
use uuid::Uuid;
use waxwing_message::journey::Event;
use waxwing_message::{Address, JourneyId, ReversePath};

use crate::accept::{indexed_message_id, json_lines};
use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{count, count32, micros, timestamp};
use crate::{Store, StoreError};

/// One message's way through this system.
#[derive(Debug, Clone)]
pub struct Journey {
    /// Names it for ever.
    pub id: JourneyId,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// The message's own Message-ID, without angle brackets.
    pub message_id: Option<String>,
    /// Of the message.
    pub size_octets: u64,
    /// Rows still in the queue.
    pub pending: u32,
    /// In order; empty in listings.
    pub events: Vec<Event>,
}

impl Store {
    /// With all its steps.
    pub async fn journey(&self, id: JourneyId) -> Result<Option<Journey>, StoreError> {
        self.inner.engine.read(id, |tx, id| Box::pin(journey_in(tx, *id))).await
    }

    /// By Message-ID without angle brackets (one Message-ID may have several journeys here), oldest
    /// first, with their steps. Of a longer one the first 998 octets count.
    pub async fn journeys_by_message_id(
        &self,
        message_id: &str,
    ) -> Result<Vec<Journey>, StoreError> {
        let engine = &self.inner.engine;
        let message_id = indexed_message_id(message_id).to_owned();
        engine.read(message_id, |tx, id| Box::pin(by_message_id(tx, id))).await
    }

    /// The latest, newest first, without their events.
    pub async fn recent_journeys(&self, limit: usize) -> Result<Vec<Journey>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.inner.engine.read(limit, |tx, limit| Box::pin(recent_in(tx, *limit))).await
    }

    /// Adds steps outside of a settlement. A journey that was forgotten stays so.
    pub async fn record(&self, id: JourneyId, events: Vec<Event>) -> Result<(), StoreError> {
        let lines = json_lines(&events);
        let engine = &self.inner.engine;
        engine
            .write((id, lines), Repeat::Never, |tx, (id, lines)| {
                Box::pin(append(tx, *id, lines, 0, 0))
            })
            .await
    }

    /// Forgets journeys that ended before; gives how many.
    pub async fn forget_journeys(&self, ended_before: Timestamp) -> Result<u64, StoreError> {
        let (before, mut after, mut forgotten) = (micros(ended_before), 0, 0);
        // In slices, so that mail in between does not wait.
        loop {
            let slice = self
                .inner
                .engine
                .write((before, after), Repeat::Harmless, |tx, (before, after)| {
                    Box::pin(forget_some(tx, *before, *after))
                })
                .await?;
            let Some((count, last)) = slice else { return Ok(forgotten) };
            forgotten += count;
            after = last;
        }
    }
}

/// A stored UUID.
pub(crate) fn journey_id(octets: &[u8]) -> Result<JourneyId, StoreError> {
    Uuid::from_slice(octets)
        .map(JourneyId)
        .map_err(|_| StoreError::Damaged("a journey's id is not a UUID".into()))
}

/// A stored reverse-path: '' is the null one.
pub(crate) fn reverse_path(text: &str) -> Result<ReversePath, StoreError> {
    if text.is_empty() {
        return Ok(ReversePath::Null);
    }
    Address::parse(text)
        .map(ReversePath::Address)
        .map_err(|e| StoreError::Damaged(format!("reverse-path {text:?}: {e}")))
}

/// Columns: uuid, started_at, reverse_path, message_id, size_octets, pending.
fn journey_row(row: &Row<'_>) -> Result<Journey, StoreError> {
    let message_id = row.opt_bytes(3)?.map(|octets| String::from_utf8_lossy(octets).into_owned());
    Ok(Journey {
        id: journey_id(row.bytes(0)?)?,
        started_at: timestamp(row.int(1)?)?,
        reverse_path: reverse_path(&row.text(2)?)?,
        message_id,
        size_octets: count(row.int(4)?)?,
        pending: count32(row.int(5)?)?,
        events: Vec::new(),
    })
}

/// With `events` as the seventh column. Steps that a newer version wrote and this one does not know
/// are passed over.
fn whole_row(row: &Row<'_>) -> Result<Journey, StoreError> {
    let mut journey = journey_row(row)?;
    let lines = row.text(6)?;
    journey.events = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Ok(journey)
}

async fn journey_in(tx: &Tx, id: JourneyId) -> Result<Option<Journey>, StoreError> {
    const SQL: &str = "SELECT uuid, started_at, reverse_path, message_id, size_octets, pending, \
        events FROM journeys WHERE uuid = ?1";
    tx.row(SQL, params![id.0.as_bytes()], whole_row).await
}

async fn by_message_id(tx: &Tx, message_id: &str) -> Result<Vec<Journey>, StoreError> {
    const SQL: &str = "SELECT uuid, started_at, reverse_path, message_id, size_octets, pending, \
        events FROM journeys WHERE message_id = ?1 ORDER BY id";
    tx.rows(SQL, params![message_id.as_bytes()], whole_row).await
}

async fn recent_in(tx: &Tx, limit: i64) -> Result<Vec<Journey>, StoreError> {
    const SQL: &str = "SELECT uuid, started_at, reverse_path, message_id, size_octets, pending \
        FROM journeys ORDER BY id DESC LIMIT ?1";
    tx.rows(SQL, params![limit], journey_row).await
}

/// Adds steps, and takes `ended` recipients off those that are pending.
pub(crate) async fn append(
    tx: &Tx,
    id: JourneyId,
    lines: &str,
    ended: i64,
    now: i64,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE journeys SET events = events || ?2, pending = pending - ?3, \
        ended_at = CASE WHEN ended_at IS NULL AND pending = ?3 THEN ?4 ELSE ended_at END \
        WHERE uuid = ?1";
    tx.run(SQL, params![id.0.as_bytes(), lines, ended, now]).await.map(drop)
}

/// Looks at some journeys after the row `after`: `None` when there are no more that old, else how
/// many went and the last row looked at.
async fn forget_some(tx: &Tx, before: i64, after: i64) -> Result<Option<(u64, i64)>, StoreError> {
    const LOOK: &str = "SELECT id, started_at FROM journeys WHERE id > ?1 ORDER BY id LIMIT 500";
    const FORGET: &str = "DELETE FROM journeys WHERE id > ?1 AND id <= ?2 AND ended_at < ?3";
    // Ids grow as time does, save for nodes whose clocks differ: those are caught by a later round.
    let rows = tx.rows(LOOK, params![after], |row| Ok((row.int(0)?, row.int(1)?))).await?;
    let old = rows.iter().take_while(|(_, started_at)| *started_at < before);
    let Some((last, _)) = old.last() else { return Ok(None) };
    let forgotten = tx.run(FORGET, params![after, *last, before]).await?;
    Ok(Some((forgotten, *last)))
}
