//! Reading a blob by range.

use std::sync::{Arc, Mutex, PoisonError};

use super::Object;
use super::chunks::{CHUNK_OCTETS, decompress};
use super::rows::PLACES;
use crate::engine::{Row, Tx, params};
use crate::instant::count;
use crate::{Inner, Store, StoreError};

/// So many chunks are read in one go.
const READ_AT_ONCE: u64 = 8;

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
        self.content_with(store, None)
    }

    /// The same, of which the first chunk has been read.
    pub(crate) fn content_with(
        self,
        store: &Store,
        first: Option<FirstChunk>,
    ) -> Result<Content, StoreError> {
        Ok(Content {
            size_octets: count(self.size_octets)?,
            store: store.inner.clone(),
            blob: self.blob,
            object: self.object,
            recent: Mutex::new(first.map(|FirstChunk(octets)| (0, Arc::new(octets)))),
        })
    }
}

/// Where the first chunk of a blob is: its number times this; and how large a message may be whose
/// only chunk that is.
pub(crate) const FIRST_CHUNK: (i64, i64) = (PLACES, CHUNK_OCTETS as i64);

/// The first octets of a message.
pub(crate) struct FirstChunk(Vec<u8>);

impl FirstChunk {
    /// From the column `octets` of `blob_chunks`.
    pub(crate) fn read(stored: &[u8]) -> Result<FirstChunk, StoreError> {
        decompress(stored).map(FirstChunk)
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
