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

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;

use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{count, micros};
use crate::objects::{Objects, Upload};
use crate::{Inner, Spool, Store, StoreError};

/// Octets of content in a chunk.
pub(crate) const CHUNK_OCTETS: usize = 256 * 1024;
/// Blobs up to here are hashed and compressed where the caller stands: quicker than handing over.
const INLINE_OCTETS: usize = 64 * 1024;
/// Blobs up to here are packed in memory and written with the row that names them.
const TOGETHER_OCTETS: usize = 8 * CHUNK_OCTETS;
/// How long a blob that nobody names is kept.
const GRACE: Duration = Duration::from_secs(60 * 60);
/// How long an object that no row names is kept.
const GRACE_FOR_OBJECTS: Duration = Duration::from_secs(24 * 60 * 60);
/// Speed matters more than the last tenth.
const ZSTD_LEVEL: i32 = 1;
/// So many chunks go into one transaction while a large blob is being staged.
const CHUNKS_AT_ONCE: usize = 4;
/// So many chunks are read in one go.
const READ_AT_ONCE: u64 = 8;
/// Place of a chunk: blob × this + number.
const PLACES: i64 = 65_536;

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

// ── Cutting and packing ─────────────────────────────────────────────────────────────────────────

struct Joined {
    prefix: Vec<u8>,
    spool: Spool,
    from: usize,
}

impl Joined {
    fn rest(&self) -> &[u8] {
        &self.spool.as_bytes()[self.from..]
    }

    fn len(&self) -> usize {
        self.prefix.len() + self.rest().len()
    }

    fn hash(&self) -> BlobId {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.prefix);
        hasher.update(self.rest());
        BlobId(*hasher.finalize().as_bytes())
    }

    /// The octets of one chunk, copied only where prefix and spool meet.
    fn chunk(&self, number: usize) -> std::borrow::Cow<'_, [u8]> {
        let (start, joint) = (number * CHUNK_OCTETS, self.prefix.len());
        let end = (start + CHUNK_OCTETS).min(self.len());
        if start >= joint {
            return self.rest()[start - joint..end - joint].into();
        }
        if end <= joint {
            return self.prefix[start..end].into();
        }
        let mut chunk = self.prefix[start..].to_vec();
        chunk.extend_from_slice(&self.rest()[..end - joint]);
        chunk.into()
    }

    fn stage_together(&self) -> StagedBlob {
        // An empty blob has one chunk too.
        let chunks = self.len().div_ceil(CHUNK_OCTETS).max(1);
        let packed = (0..chunks).map(|number| compress(&self.chunk(number))).collect();
        StagedBlob {
            id: self.hash(),
            size_octets: self.len() as u64,
            staged: Arc::new(Staged::Chunks(packed)),
        }
    }
}

thread_local! {
    // Making a context costs as much as packing a short message.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A chunk as it is stored.
fn compress(plain: &[u8]) -> Vec<u8> {
    let packed = COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        slot.as_mut()?.compress(plain).ok()
    });
    let (kind, octets) = match &packed {
        Some(packed) if packed.len() < plain.len() => (1, packed.as_slice()),
        _ => (0, plain),
    };
    let mut chunk = Vec::with_capacity(1 + octets.len());
    chunk.push(kind);
    chunk.extend_from_slice(octets);
    chunk
}

/// The content of a stored chunk: never more than a chunk can hold, whatever is stored.
fn decompress(chunk: &[u8]) -> Result<Vec<u8>, StoreError> {
    match chunk.split_first() {
        Some((0, plain)) => Ok(plain.to_vec()),
        Some((1, packed)) => DECOMPRESSOR
            .with_borrow_mut(|slot| {
                if slot.is_none() {
                    *slot = Some(zstd::bulk::Decompressor::new()?);
                }
                slot.as_mut().expect("made above").decompress(packed, CHUNK_OCTETS)
            })
            .map_err(|e| StoreError::Damaged(format!("a chunk cannot be unpacked: {e}"))),
        _ => Err(StoreError::Damaged("a chunk of no known kind".into())),
    }
}

// ── Rows ────────────────────────────────────────────────────────────────────────────────────────

/// Makes `refs` rows' worth of references to a staged blob; gives its number. The caller's
/// transaction then writes those rows.
pub(crate) async fn name_blob(
    tx: &Tx,
    blob: &StagedBlob,
    refs: i64,
    now: i64,
) -> Result<i64, StoreError> {
    const WITH_ROW: &str = "INSERT INTO blobs (hash, size_octets, refs, idle_since, complete) \
        VALUES (?1, ?2, ?3, ?4, 1) \
        ON CONFLICT (hash) DO UPDATE SET refs = blobs.refs + ?3, complete = 1 RETURNING id, refs";
    const WITH_OBJECT: &str = "INSERT INTO blobs (hash, size_octets, refs, idle_since, complete, \
        object, chunk_ends) VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6) \
        ON CONFLICT (hash) DO UPDATE SET refs = blobs.refs + ?3, complete = 1, \
        object = CASE blobs.complete WHEN 0 THEN ?5 ELSE blobs.object END, \
        chunk_ends = CASE blobs.complete WHEN 0 THEN ?6 ELSE blobs.chunk_ends END \
        RETURNING id";
    const KNOWN: &str = "UPDATE blobs SET refs = refs + ?2 WHERE hash = ?1 AND complete = 1 \
        RETURNING id";
    match &*blob.staged {
        Staged::Chunks(chunks) => {
            let values = params![&blob.id.0, blob.size_octets as i64, refs, now];
            let named = tx.row(WITH_ROW, values, |row| Ok((row.int(0)?, row.int(1)?))).await?;
            let (id, total) = named.ok_or_else(swept)?;
            // More than ours: someone else brought the octets.
            if total == refs {
                for (number, chunk) in (0..).zip(chunks) {
                    write_chunk(tx, id, number, chunk).await?;
                }
            }
            Ok(id)
        }
        Staged::Object(Object { name, chunk_ends }) => {
            let size = blob.size_octets as i64;
            let values = params![&blob.id.0, size, refs, now, name, chunk_ends];
            let id = tx.row(WITH_OBJECT, values, |row| row.int(0)).await?;
            id.ok_or_else(swept)
        }
        Staged::Row => {
            let id = tx.row(KNOWN, params![&blob.id.0, refs], |row| row.int(0)).await?;
            id.ok_or_else(swept)
        }
    }
}

fn swept() -> StoreError {
    StoreError::Unavailable("what was staged is gone: stage it again".into())
}

/// Takes away one reference for each number given; a number may stand there several times.
pub(crate) async fn release_blobs(tx: &Tx, blobs: &[i64], now: i64) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE blobs SET refs = refs - 1, idle_since = ?2 WHERE id IN LIST(?1)";
    for round in rounds(blobs) {
        tx.run(SQL, params![&round, now]).await?;
    }
    Ok(())
}

/// Parts a list with repetitions into ascending lists without.
pub(crate) fn rounds(numbers: &[i64]) -> Vec<Vec<i64>> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let mut rounds: Vec<Vec<i64>> = Vec::new();
    let mut depth = 0;
    for (index, number) in sorted.iter().enumerate() {
        depth = if index > 0 && sorted[index - 1] == *number { depth + 1 } else { 0 };
        if depth == rounds.len() {
            rounds.push(Vec::new());
        }
        rounds[depth].push(*number);
    }
    rounds
}

async fn write_chunk(tx: &Tx, blob: i64, number: i64, chunk: &[u8]) -> Result<(), StoreError> {
    const SQL: &str =
        "INSERT INTO blob_chunks (place, octets) VALUES (?1, ?2) ON CONFLICT (place) DO NOTHING";
    tx.run(SQL, params![blob * PLACES + number, chunk]).await.map(drop)
}

struct Begin {
    hash: [u8; 32],
    size_octets: i64,
    now: i64,
}

/// Makes the row of a large blob, or finds it; gives its number and whether all is there already.
async fn begin_blob(tx: &Tx, begin: &Begin) -> Result<(i64, bool), StoreError> {
    const SQL: &str = "INSERT INTO blobs (hash, size_octets, refs, idle_since, complete) \
        VALUES (?1, ?2, 0, ?3, 0) \
        ON CONFLICT (hash) DO UPDATE SET idle_since = ?3 RETURNING id, complete";
    if begin.size_octets / CHUNK_OCTETS as i64 >= PLACES {
        return Err(StoreError::NoSpace("a message can have 16 GiB".into()));
    }
    let values = params![&begin.hash, begin.size_octets, begin.now];
    let row = tx.row(SQL, values, |row| Ok((row.int(0)?, row.flag(1)?))).await?;
    row.ok_or_else(swept)
}

struct SomeChunks {
    blob: i64,
    first: i64,
    packed: Vec<Vec<u8>>,
    last: bool,
}

async fn write_chunks(tx: &Tx, some: &SomeChunks) -> Result<(), StoreError> {
    for (number, chunk) in (some.first..).zip(&some.packed) {
        write_chunk(tx, some.blob, number, chunk).await?;
    }
    if some.last {
        tx.run("UPDATE blobs SET complete = 1 WHERE id = ?1", params![some.blob]).await?;
    }
    Ok(())
}

async fn is_known(tx: &Tx, hash: &[u8; 32]) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT id FROM blobs WHERE hash = ?1 AND complete = 1";
    Ok(tx.row(SQL, params![hash], |row| row.int(0)).await?.is_some())
}

async fn touch_blob(tx: &Tx, hash: &[u8; 32], now: i64) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE blobs SET idle_since = ?2 WHERE hash = ?1 AND complete = 1";
    Ok(tx.run(SQL, params![hash, now]).await? == 1)
}

/// Those of the names that rows have.
async fn named_objects(tx: &Tx, names: &[String]) -> Result<HashSet<String>, StoreError> {
    const SQL: &str = "SELECT object FROM blobs WHERE object IN LIST(?1)";
    Ok(tx.rows(SQL, params![names], |row| row.text(0)).await?.into_iter().collect())
}

/// Removes some rows; gives, for each, the name of its object if it has one.
async fn sweep_some(tx: &Tx, idle_before: i64) -> Result<Vec<Option<String>>, StoreError> {
    const FIND: &str = "SELECT id FROM blobs WHERE refs = 0 AND idle_since < ?1 \
        ORDER BY idle_since LIMIT 20";
    const REMOVE: &str = "DELETE FROM blobs WHERE id = ?1 AND refs = 0 AND idle_since < ?2 \
        RETURNING object";
    const CHUNKS: &str = "DELETE FROM blob_chunks WHERE place BETWEEN ?1 AND ?2";
    let mut swept = Vec::new();
    for id in tx.rows(FIND, params![idle_before], |row| row.int(0)).await? {
        // Tested again: someone may have named it meanwhile.
        let removed = tx.row(REMOVE, params![id, idle_before], |row| row.opt_text(0)).await?;
        if let Some(object) = removed {
            tx.run(CHUNKS, params![id * PLACES, (id + 1) * PLACES - 1]).await?;
            swept.push(object);
        }
    }
    Ok(swept)
}

// ── Reading ─────────────────────────────────────────────────────────────────────────────────────

/// A message's octets, read by range; a large message is never whole in memory.
pub struct Content {
    /// Of the whole message.
    pub size_octets: u64,
    store: Arc<Inner>,
    blob: i64,
    object: Option<Object>,
    /// The chunk read last: clients ask for a large message in small pieces.
    recent: Mutex<Option<(u64, Arc<Vec<u8>>)>>,
}

/// What a query for content selects, from `blobs` called `b`.
pub(crate) struct BlobRow {
    blob: i64,
    size_octets: i64,
    object: Option<Object>,
}

impl BlobRow {
    /// Columns: `b.id, b.size_octets, b.object, b.chunk_ends`.
    pub(crate) fn read(row: &Row<'_>) -> Result<BlobRow, StoreError> {
        let object = match (row.opt_text(2)?, row.opt_bytes(3)?) {
            (Some(name), Some(chunk_ends)) => {
                Some(Object { name, chunk_ends: chunk_ends.to_vec() })
            }
            _ => None,
        };
        Ok(BlobRow { blob: row.int(0)?, size_octets: row.int(1)?, object })
    }

    pub(crate) fn content(self, store: &Store) -> Result<Content, StoreError> {
        Ok(Content {
            size_octets: count(self.size_octets)?,
            store: store.inner.clone(),
            blob: self.blob,
            object: self.object,
            recent: Mutex::default(),
        })
    }
}

impl Content {
    /// The octets of `offset..offset+len`, cut at the end of the message.
    pub async fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        const CHUNK: u64 = CHUNK_OCTETS as u64;
        let end = offset.saturating_add(len).min(self.size_octets);
        if offset >= end {
            return Ok(Vec::new());
        }
        // What the database says is not trusted with more than a little room.
        let mut out = Vec::with_capacity((end - offset).min(CHUNK * READ_AT_ONCE) as usize);
        let (mut number, last) = (offset / CHUNK, (end - 1) / CHUNK);
        while number <= last {
            for chunk in self.chunks(number, last).await? {
                let from = (offset.max(number * CHUNK) - number * CHUNK) as usize;
                let to = (end.min((number + 1) * CHUNK) - number * CHUNK) as usize;
                out.extend_from_slice(chunk.get(from..to).ok_or_else(|| {
                    StoreError::Damaged(format!("chunk {number} of blob {} is short", self.blob))
                })?);
                number += 1;
            }
        }
        Ok(out)
    }

    /// All of it: for small messages and tests.
    pub async fn read_all(&self) -> Result<Vec<u8>, StoreError> {
        self.read(0, self.size_octets).await
    }

    /// The content of one or more chunks from `first` on, not beyond `last`.
    async fn chunks(&self, first: u64, last: u64) -> Result<Vec<Arc<Vec<u8>>>, StoreError> {
        {
            let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, chunk)) = recent.as_ref().filter(|(at, _)| *at == first) {
                return Ok(vec![chunk.clone()]);
            }
        }
        let last = last.min(first + READ_AT_ONCE - 1);
        let chunks = match &self.object {
            None => {
                let places = (self.blob * PLACES + first as i64, self.blob * PLACES + last as i64);
                let read = self
                    .store
                    .engine
                    .read(places, |tx, (first, last)| Box::pin(read_chunks(tx, *first, *last)));
                read.await?
            }
            Some(object) => self.object_chunks(object, first, last).await?,
        };
        if chunks.len() as u64 != last - first + 1 {
            return Err(StoreError::Unavailable("the message was removed meanwhile".into()));
        }
        let chunks: Vec<_> = chunks.into_iter().map(Arc::new).collect();
        let newest = chunks.last().map(|chunk| (last, chunk.clone()));
        *self.recent.lock().unwrap_or_else(PoisonError::into_inner) = newest;
        Ok(chunks)
    }

    async fn object_chunks(
        &self,
        object: &Object,
        first: u64,
        last: u64,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let damaged = |what: &str| StoreError::Damaged(format!("object {}: {what}", object.name));
        let objects = self.store.objects.as_ref();
        let objects = objects.ok_or_else(|| damaged("no object store was configured"))?;
        let (ends, _) = object.chunk_ends.as_chunks::<8>();
        let ends: Vec<u64> = std::iter::once(0)
            .chain(ends.iter().map(|end| u64::from_le_bytes(*end)))
            .skip(first as usize)
            .take((last - first) as usize + 2)
            .collect();
        let (Some(from), Some(to)) = (ends.first(), ends.last()) else {
            return Err(damaged("it has too few chunks"));
        };
        if from >= to {
            return Err(damaged("its chunks are not in order"));
        }
        let octets = objects.get(&object.name, *from..*to).await?;
        let chunks = ends.windows(2).map(|pair| {
            let range = pair[0].checked_sub(*from).zip(pair[1].checked_sub(*from));
            let chunk = range.and_then(|(from, to)| octets.get(from as usize..to as usize));
            decompress(chunk.ok_or_else(|| damaged("its chunks do not fit it"))?)
        });
        chunks.collect()
    }
}

async fn read_chunks(tx: &Tx, first: i64, last: i64) -> Result<Vec<Vec<u8>>, StoreError> {
    const SQL: &str = "SELECT octets FROM blob_chunks WHERE place BETWEEN ?1 AND ?2 ORDER BY place";
    tx.rows(SQL, params![first, last], |row| decompress(row.bytes(0)?)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_back_and_noise_is_left_plain() {
        let text = b"so it goes, and so it goes, and so it goes".repeat(100);
        let packed = compress(&text);
        assert!(packed.len() < text.len() / 10);
        assert_eq!(decompress(&packed).unwrap(), text);
        let mut noise = [0u8; 64];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let kept = compress(&noise);
        assert_eq!((kept[0], kept.len()), (0, 65));
        assert_eq!(decompress(&kept).unwrap(), noise);
        assert!(decompress(&[]).is_err());
        assert!(decompress(&[1, 2, 3]).is_err());
        assert!(decompress(&[7]).is_err());
    }

    #[test]
    fn a_packed_bomb_is_refused() {
        let huge = zstd::bulk::compress(&vec![0; CHUNK_OCTETS * 40], 1).unwrap();
        assert!(decompress(&[&[1][..], &huge].concat()).is_err());
    }

    #[test]
    fn joined_content_is_cut_where_it_should_be() {
        let spool: Vec<u8> = (0..CHUNK_OCTETS * 2).map(|i| i as u8).collect();
        for prefix_len in [0, 1, 100, CHUNK_OCTETS, CHUNK_OCTETS + 5] {
            let prefix = vec![9; prefix_len];
            let whole = [&prefix[..], &spool[3..]].concat();
            let joined = Joined { prefix, spool: Spool::from_bytes(spool.clone()), from: 3 };
            let chunks = (0..joined.len().div_ceil(CHUNK_OCTETS)).map(|n| joined.chunk(n));
            assert_eq!(chunks.collect::<Vec<_>>().concat(), whole);
            assert_eq!(joined.hash().0, *blake3::hash(&whole).as_bytes());
        }
    }

    #[test]
    fn rounds_hold_every_number_as_often_as_given() {
        assert_eq!(rounds(&[5, 1, 5, 5, 2, 1]), [vec![1, 2, 5], vec![1, 5], vec![5]]);
        assert!(rounds(&[]).is_empty());
    }
}
