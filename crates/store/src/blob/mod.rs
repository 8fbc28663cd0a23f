//! Content-addressed octets: BLAKE3, zstd, chunked when large; in the database or an object store.
//!
//! A blob is cut into chunks of 256 KiB, each compressed by itself (or left plain when that is no
//! longer), so that reading a range undoes only the chunks it touches. A stored chunk is one octet
//! (0 plain, 1 zstd) and what it says.
//!
//! | kind | when its octets are durable | named by |
//! |---|---|---|
//! | up to eight chunks, database | with the row that names it: one commit, one fsync | the accepting transaction |
//! | more chunks, database | written some at a time into a row that nobody names yet, then marked complete | as above |
//! | object store | put there before anything else | as above |
//!
//! So an orphan is possible, a dangling reference is not. A blob whose last reference went, or that
//! was staged and never named, is swept after [`GRACE`].

mod chunks;
mod content;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;

use crate::engine::Repeat;
use crate::instant::micros;
use crate::objects::{Objects, Upload};
use crate::{Spool, Store, StoreError};

use chunks::{CHUNK_OCTETS, Joined, compress};
pub use content::Content;
pub(crate) use content::{BlobRow, FIRST_CHUNK, FirstChunk};
use rows::{
    Begin, SomeChunks, begin_blob, is_known, named_objects, sweep_some, touch_blob, write_chunks,
};
pub(crate) use rows::{hold_blob, name_blob, release_blobs, rounds};

/// Blobs up to here are hashed and compressed where the caller stands: quicker than handing over.
const INLINE_OCTETS: usize = 64 * 1024;
/// Blobs up to here are packed in memory and written with the row that names them.
const TOGETHER_OCTETS: usize = 8 * CHUNK_OCTETS;
/// How long a blob that nobody names is kept.
const GRACE: Duration = Duration::from_secs(60 * 60);
/// How long an object that no row names is kept.
const GRACE_FOR_OBJECTS: Duration = Duration::from_secs(24 * 60 * 60);
/// So many chunks go into one transaction while a large blob is being staged.
const CHUNKS_AT_ONCE: usize = 4;

/// BLAKE3 of the uncompressed octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(pub [u8; 32]);

/// Octets hashed and compressed, ready to be named by a row. Cheap to clone. With an object store
/// they are already durable there; in the database they become so with the row.
#[derive(Clone)]
pub struct StagedBlob {
    /// What it is called.
    pub id: BlobId,
    /// Of the content, uncompressed.
    pub size_octets: u64,
    staged: Arc<Staged>,
}

/// Where the octets of a staged blob are.
enum Staged {
    /// Here: all chunks.
    Chunks(Vec<Vec<u8>>),
    /// In the database, in a row that is complete.
    Row,
    /// In the object store.
    Object(Object),
}

/// An object and where its chunks end: what a row keeps of it.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) name: String,
    /// Eight octets each, little-endian.
    pub(crate) chunk_ends: Vec<u8>,
}

impl StagedBlob {
    /// One that is stored already, and named by a row.
    pub(crate) fn stored(hash: &[u8], size_octets: u64) -> Result<StagedBlob, StoreError> {
        let hash = hash.try_into();
        let hash = hash.map_err(|_| StoreError::Damaged("a hash is not 32 octets".into()))?;
        Ok(StagedBlob { id: BlobId(hash), size_octets, staged: Arc::new(Staged::Row) })
    }
}

impl Store {
    /// Hashes and compresses off the async threads. `prefix` (a new header block, say) and the spool
    /// from octet `from` on are joined.
    pub async fn stage(
        &self,
        prefix: Vec<u8>,
        spool: &Spool,
        from: usize,
    ) -> Result<StagedBlob, StoreError> {
        let content =
            Joined { prefix, spool: spool.clone(), from: from.min(spool.as_bytes().len()) };
        if let Some(objects) = &self.inner.objects {
            return self.stage_object(objects, Arc::new(content)).await;
        }
        if content.len() <= INLINE_OCTETS {
            return Ok(content.stage_together());
        }
        let content = Arc::new(content);
        if content.len() <= TOGETHER_OCTETS {
            return off_thread(move || Ok(content.stage_together())).await;
        }
        self.stage_large(content).await
    }

    /// For small messages made here.
    pub async fn stage_bytes(&self, bytes: Vec<u8>) -> Result<StagedBlob, StoreError> {
        self.stage(bytes, &Spool::from_bytes(Vec::new()), 0).await
    }

    async fn stage_large(&self, content: Arc<Joined>) -> Result<StagedBlob, StoreError> {
        let hashed = content.clone();
        let id = off_thread(move || Ok(hashed.hash())).await?;
        let size_octets = content.len() as u64;
        let staged = || StagedBlob { id, size_octets, staged: Arc::new(Staged::Row) };
        let engine = &self.inner.engine;

        let now = micros(Timestamp::now());
        let begin = Begin { hash: id.0, size_octets: size_octets as i64, now };
        let (blob, complete) = engine
            .write(begin, Repeat::Harmless, |tx, begin| Box::pin(begin_blob(tx, begin)))
            .await?;
        if complete {
            return Ok(staged());
        }
        let chunks = content.len().div_ceil(CHUNK_OCTETS);
        for first in (0..chunks).step_by(CHUNKS_AT_ONCE) {
            let content = content.clone();
            let packed = off_thread(move || {
                let numbers = first..(first + CHUNKS_AT_ONCE).min(chunks);
                Ok(numbers.map(|number| compress(&content.chunk(number))).collect::<Vec<_>>())
            })
            .await?;
            let last = first + CHUNKS_AT_ONCE >= chunks;
            let some = SomeChunks { blob, first: first as i64, packed, last };
            engine
                .write(some, Repeat::Harmless, |tx, some| Box::pin(write_chunks(tx, some)))
                .await?;
        }
        Ok(staged())
    }

    /// Puts an object, unless the content is known already.
    async fn stage_object(
        &self,
        objects: &Objects,
        content: Arc<Joined>,
    ) -> Result<StagedBlob, StoreError> {
        let hashed = content.clone();
        let id = off_thread(move || Ok(hashed.hash())).await?;
        let size_octets = content.len() as u64;
        let engine = &self.inner.engine;
        let known = engine.read(id.0, |tx, hash| Box::pin(is_known(tx, hash))).await?;
        if known {
            // Counts as used from now on, so that it is not swept before it is named.
            let touch = (id.0, micros(Timestamp::now()));
            let touched = engine
                .write(touch, Repeat::Harmless, |tx, (hash, now)| {
                    Box::pin(touch_blob(tx, hash, *now))
                })
                .await?;
            if touched {
                return Ok(StagedBlob { id, size_octets, staged: Arc::new(Staged::Row) });
            }
        }
        let mut upload = objects.upload(&id).await?;
        let chunk_ends = match upload_chunks(&mut upload, &content).await {
            Ok(chunk_ends) => chunk_ends,
            Err(error) => {
                upload.abort().await;
                return Err(error);
            }
        };
        let object = Object { name: upload.finish().await?, chunk_ends };
        Ok(StagedBlob { id, size_octets, staged: Arc::new(Staged::Object(object)) })
    }

    /// Removes blobs that nobody names and that have been idle for the grace period; gives how
    /// many. Part of the background work.
    pub async fn sweep_blobs(&self, now: Timestamp) -> Result<u64, StoreError> {
        let idle_before = micros(now) - i64::try_from(GRACE.as_micros()).expect("an hour");
        let mut swept = 0;
        loop {
            let found = self
                .inner
                .engine
                .write(idle_before, Repeat::Harmless, |tx, before| {
                    Box::pin(sweep_some(tx, *before))
                })
                .await?;
            if found.is_empty() {
                return Ok(swept);
            }
            swept += found.len() as u64;
            // The row is gone, and names are never used twice: nobody can want the object now.
            for name in found.into_iter().flatten() {
                if let Some(objects) = &self.inner.objects {
                    objects.delete(&name).await?;
                }
            }
        }
    }

    /// Removes objects that no row names, left by a crash between object and row; gives how many.
    /// Part of the background work. A nothing for blobs in the database.
    pub async fn sweep_objects(&self, now: Timestamp) -> Result<u64, StoreError> {
        let Some(objects) = &self.inner.objects else { return Ok(0) };
        let before = now.checked_sub(GRACE_FOR_OBJECTS).unwrap_or(Timestamp::MIN);
        let mut swept = 0;
        let mut listing = objects.older_than(before);
        while let Some(names) = listing.next().await {
            let names = names?;
            let engine = &self.inner.engine;
            let named =
                engine.read(names.clone(), |tx, names| Box::pin(named_objects(tx, names))).await?;
            for name in names.iter().filter(|name| !named.contains(*name)) {
                objects.delete(name).await?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// Writes all chunks; gives where each ends.
async fn upload_chunks(
    upload: &mut Upload<'_>,
    content: &Arc<Joined>,
) -> Result<Vec<u8>, StoreError> {
    let (mut end, mut chunk_ends) = (0u64, Vec::new());
    for number in 0..content.len().div_ceil(CHUNK_OCTETS).max(1) {
        let cut = content.clone();
        let chunk = off_thread(move || Ok(compress(&cut.chunk(number)))).await?;
        end += chunk.len() as u64;
        chunk_ends.extend(end.to_le_bytes());
        upload.write(&chunk).await?;
    }
    Ok(chunk_ends)
}

/// Runs work that keeps a processor busy on a thread made for it.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(StoreError::Unavailable(format!("the work was cut short: {e}"))))
}
