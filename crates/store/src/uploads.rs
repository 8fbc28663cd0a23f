//! What clients upload to make messages of it a moment later: kept for some hours, seen by whoever uploaded
//! it and by nobody else, bounded for each account.

use jiff::{SignedDuration, Timestamp};

use crate::blob::{BlobRow, name_blob, release_blobs};
use crate::engine::{Repeat, Tx, params};
use crate::instant::micros;
use crate::{AccountId, Content, StagedBlob, Store, StoreError};

/// Names an upload for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(pub i64);

/// How long an upload is kept: RFC 8620 §6.1 wants an hour or more.
const KEPT: SignedDuration = SignedDuration::from_hours(12);
/// Uploads of an account: beyond, the oldest go.
const UPLOADS_MAX: i64 = 1_000;
/// Octets of them: beyond, the oldest go.
const OCTETS_MAX: i64 = 500_000_000;
/// Uploads that are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: i64 = 200;

/// Something uploaded.
pub struct Upload {
    /// As its uploader called it.
    pub media_type: String,
    /// Its octets.
    pub content: Content,
    /// To be named by a message: nothing has to be staged anew.
    pub blob: StagedBlob,
}

struct NewUpload {
    account: AccountId,
    blob: StagedBlob,
    media_type: String,
    now: i64,
}

impl Store {
    /// Keeps an upload. The oldest of the account make room for it (RFC 8620 §6).
    pub async fn keep_upload(
        &self,
        account: AccountId,
        blob: StagedBlob,
        media_type: &str,
        now: Timestamp,
    ) -> Result<UploadId, StoreError> {
        let media_type = media_type.to_owned();
        let new = NewUpload { account, blob, media_type, now: micros(now) };
        let engine = &self.inner.engine;
        engine.write(new, Repeat::Never, |tx, new| Box::pin(keep_in(tx, new))).await
    }

    /// An upload of that account.
    pub async fn upload(
        &self,
        account: AccountId,
        id: UploadId,
    ) -> Result<Option<Upload>, StoreError> {
        const SQL: &str = "SELECT b.id, b.size_octets, b.object, b.chunk_ends, b.hash, u.media_type \
            FROM uploads u JOIN blobs b ON b.id = u.blob WHERE u.id = ?2 AND u.account = ?1";
        let engine = &self.inner.engine;
        let found = engine.read((account, id), |tx, (account, id)| {
            let (account, id) = (account.0, id.0);
            Box::pin(async move {
                tx.row(SQL, params![account, id], |row| {
                    Ok((BlobRow::read(row)?, row.bytes(4)?.to_vec(), row.text(5)?))
                })
                .await
            })
        });
        let Some((row, hash, media_type)) = found.await? else { return Ok(None) };
        let content = row.content(self)?;
        let blob = StagedBlob::stored(&hash, content.size_octets)?;
        Ok(Some(Upload { media_type, content, blob }))
    }

    /// Forgets uploads that were kept for long enough. Part of the background work.
    pub async fn forget_uploads(&self, now: Timestamp) -> Result<u64, StoreError> {
        let before = micros(now.saturating_sub(KEPT).unwrap_or(Timestamp::MIN));
        let engine = &self.inner.engine;
        let mut forgotten = 0;
        loop {
            let some =
                engine.write((before, micros(now)), Repeat::Harmless, |tx, (before, now)| {
                    Box::pin(forget_in(tx, *before, *now))
                });
            match some.await? {
                0 => return Ok(forgotten),
                some => forgotten += some,
            }
        }
    }
}

async fn keep_in(tx: &Tx, new: &NewUpload) -> Result<UploadId, StoreError> {
    const LOCK: &str = "SELECT id FROM accounts WHERE id = ?1 /*postgres:FOR NO KEY UPDATE*/";
    const ALL: &str = "SELECT id, blob, size_octets FROM uploads WHERE account = ?1 ORDER BY uploaded_at DESC, id DESC";
    const INSERT: &str = "INSERT INTO uploads (account, blob, media_type, size_octets, uploaded_at) \
        VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id";
    let gone = || StoreError::Unavailable("the account was removed meanwhile".into());
    tx.row(LOCK, params![new.account.0], |row| row.int(0)).await?.ok_or_else(gone)?;
    let size = i64::try_from(new.blob.size_octets).unwrap_or(i64::MAX);
    let (mut count, mut octets) = (1, size);
    let mut old = Vec::new();
    tx.each(ALL, params![new.account.0], |row| {
        count += 1;
        octets = octets.saturating_add(row.int(2)?);
        if count > UPLOADS_MAX || octets > OCTETS_MAX {
            old.push((row.int(0)?, row.int(1)?));
        }
        Ok(true)
    })
    .await?;
    remove(tx, &old, new.now).await?;
    let blob = name_blob(tx, &new.blob, 1, new.now).await?;
    let values = params![new.account.0, blob, &new.media_type, size, new.now];
    let id = tx.row(INSERT, values, |row| row.int(0)).await?;
    id.map(UploadId).ok_or_else(|| StoreError::Unavailable("an insertion gave no id".into()))
}

async fn remove(tx: &Tx, uploads: &[(i64, i64)], now: i64) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM uploads WHERE id IN LIST(?1)";
    if uploads.is_empty() {
        return Ok(());
    }
    let (ids, blobs): (Vec<i64>, Vec<i64>) = uploads.iter().copied().unzip();
    tx.run(SQL, params![&ids]).await?;
    release_blobs(tx, &blobs, now).await
}

async fn forget_in(tx: &Tx, before: i64, now: i64) -> Result<u64, StoreError> {
    const SQL: &str = "DELETE FROM uploads WHERE id IN (SELECT id FROM uploads \
        WHERE uploaded_at < ?1 ORDER BY uploaded_at LIMIT ?2) RETURNING blob";
    let blobs = tx.rows(SQL, params![before, FORGOTTEN_AT_ONCE], |row| row.int(0)).await?;
    release_blobs(tx, &blobs, now).await?;
    Ok(blobs.len() as u64)
}

/// With the account.
pub(crate) async fn remove_all(tx: &Tx, account: AccountId, now: i64) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM uploads WHERE account = ?1 RETURNING blob";
    let blobs = tx.rows(SQL, params![account.0], |row| row.int(0)).await?;
    release_blobs(tx, &blobs, now).await
}
