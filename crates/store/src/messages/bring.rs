//! Bringing what readers ask for of many messages at once: their summaries as they are stored, and
//! their octets, which for most messages come along in the same read.

use waxwing_message::Summary;
use waxwing_message::summary::Overview;

use super::{Uid, numbers};
use crate::accept::decode_summary;
use crate::blob::{BlobRow, FIRST_CHUNK, FirstChunk};
use crate::engine::{Tx, params};
use crate::instant::count32;
use crate::{Content, MailboxId, Store, StoreError};

/// A summary in its stored form: read as far as is needed.
#[derive(Debug, Clone)]
pub struct StoredSummary(Vec<u8>);

impl StoredSummary {
    pub(crate) fn new(stored: Vec<u8>) -> StoredSummary {
        StoredSummary(stored)
    }

    /// What an envelope is made of, without a copy.
    pub fn overview(&self) -> Result<Overview<&[u8]>, StoreError> {
        Overview::of_stored(&self.0).ok_or_else(|| StoreError::Damaged("a stored summary".into()))
    }

    /// All of it.
    pub fn read(&self) -> Result<Summary, StoreError> {
        decode_summary(&self.0)
    }
}

/// What is to be brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bring {
    /// Summaries alone.
    Summaries,
    /// Contents alone.
    Contents,
    /// Both.
    Both,
}

/// What was brought of an entry.
pub struct Brought {
    /// Which.
    pub uid: Uid,
    /// Of its message, if it was asked for.
    pub summary: Option<StoredSummary>,
    /// If it was asked for. Reading the first 256 KiB of a message that is no larger, and is kept in
    /// the database, asks nothing of the store any more.
    pub content: Option<Content>,
}

impl Store {
    /// Summaries or contents for these UIDs, in the order of UID; expunged ones are absent. Callers ask
    /// in slices of some hundreds, and of some megabytes.
    pub async fn bring(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        what: Bring,
    ) -> Result<Vec<Brought>, StoreError> {
        let engine = &self.inner.engine;
        if what == Bring::Summaries {
            let stored = self.stored_summaries(mailbox, uids).await?.into_iter();
            return Ok(stored
                .map(|(uid, summary)| Brought { uid, summary: Some(summary), content: None })
                .collect());
        }
        let asked = (mailbox, numbers(uids), what == Bring::Both);
        let read = engine.read(asked, |tx, (mailbox, uids, summaries)| {
            Box::pin(contents_in(tx, *mailbox, uids, *summaries))
        });
        let brought = read.await?.into_iter().map(|(uid, summary, blob, first)| {
            let content = blob.content_with(self, first)?;
            Ok(Brought { uid, summary, content: Some(content) })
        });
        brought.collect()
    }

    /// Summaries alone, read whole.
    pub async fn summaries(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
    ) -> Result<Vec<(Uid, Summary)>, StoreError> {
        let stored = self.stored_summaries(mailbox, uids).await?;
        stored.into_iter().map(|(uid, summary)| Ok((uid, summary.read()?))).collect()
    }

    async fn stored_summaries(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
    ) -> Result<Vec<(Uid, StoredSummary)>, StoreError> {
        let engine = &self.inner.engine;
        let asked = (mailbox, numbers(uids));
        engine.read(asked, |tx, (mailbox, uids)| Box::pin(summaries_in(tx, *mailbox, uids))).await
    }
}

async fn summaries_in(
    tx: &Tx,
    mailbox: MailboxId,
    uids: &Vec<i64>,
) -> Result<Vec<(Uid, StoredSummary)>, StoreError> {
    const SQL: &str = "SELECT e.uid, m.summary FROM entries e JOIN messages m ON m.id = e.message \
        WHERE e.mailbox = ?1 AND e.uid IN LIST(?2) ORDER BY e.uid";
    tx.rows(SQL, params![mailbox.0, uids], |row| {
        Ok((Uid(count32(row.int(0)?)?), StoredSummary(row.bytes(1)?.to_vec())))
    })
    .await
}

async fn contents_in(
    tx: &Tx,
    mailbox: MailboxId,
    uids: &Vec<i64>,
    summaries: bool,
) -> Result<Vec<(Uid, Option<StoredSummary>, BlobRow, Option<FirstChunk>)>, StoreError> {
    const SQL: &str = "SELECT b.id, b.size_octets, b.object, b.chunk_ends, e.uid, \
        CASE WHEN CAST(?5 AS BIGINT) = 1 THEN m.summary END, c.octets FROM entries e JOIN messages m ON m.id = e.message JOIN blobs b ON b.id = m.blob \
        LEFT JOIN blob_chunks c ON c.place = b.id * ?3 AND b.size_octets <= ?4 \
        WHERE e.mailbox = ?1 AND e.uid IN LIST(?2) ORDER BY e.uid";
    let (places, most) = FIRST_CHUNK;
    tx.rows(SQL, params![mailbox.0, uids, places, most, summaries], |row| {
        let first = row.opt_bytes(6)?.map(FirstChunk::read).transpose()?;
        let summary = row.opt_bytes(5)?.map(|octets| StoredSummary(octets.to_vec()));
        Ok((Uid(count32(row.int(4)?)?), summary, BlobRow::read(row)?, first))
    })
    .await
}
