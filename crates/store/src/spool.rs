//! A message being received: in memory while small, in an unlinked temporary file (mapped for
//! reading) when large, so that a 50 MB message is never on the heap.

use std::sync::Arc;

use crate::{Store, StoreError};

/// Being written.
pub struct SpoolWriter {}

/// Complete. Cheap to clone.
#[derive(Clone)]
pub struct Spool {}

impl Store {
    pub fn spool(&self) -> SpoolWriter {
        todo!()
    }
}

impl SpoolWriter {
    /// Fails with [`StoreError::NoSpace`] when the spool folder is full.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        todo!()
    }
    pub fn len(&self) -> u64 {
        todo!()
    }
    pub fn finish(self) -> Result<Spool, StoreError> {
        todo!()
    }
}

impl Spool {
    pub fn from_bytes(bytes: Vec<u8>) -> Spool {
        todo!()
    }
    pub fn as_bytes(&self) -> &[u8] {
        todo!()
    }
}
