//! Content-addressed octets: BLAKE3, zstd, chunked when large; in the database or an object store.

use crate::{Spool, Store, StoreError};

/// BLAKE3 of the uncompressed octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(pub [u8; 32]);

/// Octets hashed and compressed, ready to be named by a row. Cheap to clone. With an object store
/// they are already durable there; in the database they become so with the row.
#[derive(Clone)]
pub struct StagedBlob {
    pub id: BlobId,
    pub size_octets: u64,
}

impl Store {
    /// Hashes and compresses off the async threads. `parts` are joined: a new header block and the
    /// rest of a spool, say.
    pub async fn stage(
        &self,
        prefix: Vec<u8>,
        spool: &Spool,
        from: usize,
    ) -> Result<StagedBlob, StoreError> {
        todo!()
    }
    /// For small messages made here.
    pub async fn stage_bytes(&self, bytes: Vec<u8>) -> Result<StagedBlob, StoreError> {
        todo!()
    }
}
