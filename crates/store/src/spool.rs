//! A message being received: in memory while small, in an unlinked temporary file (mapped for
//! reading) when large, so that a 50 MB message is never on the heap.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{Store, StoreError};

/// What is kept in memory at most.
const MEMORY_OCTETS: usize = 1 << 20;

/// Being written.
pub struct SpoolWriter {
    folder: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
    octets: u64,
}

/// Complete. Cheap to clone.
#[derive(Clone)]
pub struct Spool {
    content: Arc<Kept>,
}

enum Kept {
    Memory(Vec<u8>),
    Mapped(memmap2::Mmap),
}

impl Store {
    /// An empty spool.
    pub fn spool(&self) -> SpoolWriter {
        SpoolWriter {
            folder: self.inner.spool_folder.clone(),
            memory: Vec::new(),
            file: None,
            octets: 0,
        }
    }
}

impl SpoolWriter {
    /// Fails with [`StoreError::NoSpace`] when the spool folder is full.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        if self.memory.len() + octets.len() > MEMORY_OCTETS {
            self.flush()?;
        }
        match &mut self.file {
            Some(file) if octets.len() > MEMORY_OCTETS => {
                file.write_all(octets).map_err(|e| StoreError::from_io(&e))?;
            }
            _ => self.memory.extend_from_slice(octets),
        }
        self.octets += octets.len() as u64;
        Ok(())
    }

    /// Octets written so far.
    pub fn len(&self) -> u64 {
        self.octets
    }

    /// Nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.octets == 0
    }

    /// The spool, ready to be read.
    pub fn finish(mut self) -> Result<Spool, StoreError> {
        if self.file.is_some() {
            self.flush()?;
        }
        let content = match self.file {
            None => Kept::Memory(self.memory),
            Some(file) => Kept::Mapped(map(&file)?),
        };
        Ok(Spool { content: Arc::new(content) })
    }

    /// Moves what is in memory to the file.
    fn flush(&mut self) -> Result<(), StoreError> {
        if self.file.is_none() {
            self.file = Some(unlinked_file(&self.folder)?);
        }
        if let Some(file) = &mut self.file {
            file.write_all(&self.memory).map_err(|e| StoreError::from_io(&e))?;
        }
        self.memory.clear();
        Ok(())
    }
}

/// A file that has no name any more: it goes with the process, however that ends.
fn unlinked_file(folder: &std::path::Path) -> Result<File, StoreError> {
    let name = format!("spool-{}", uuid::Uuid::from_bytes(rand::random()).simple());
    let path = folder.join(name);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
    let file = file.map_err(|e| StoreError::from_io(&e))?;
    std::fs::remove_file(&path).map_err(|e| StoreError::from_io(&e))?;
    Ok(file)
}

#[allow(unsafe_code)]
fn map(file: &File) -> Result<memmap2::Mmap, StoreError> {
    // SAFETY: the file is ours alone. It was made exclusively, has no name by which another process
    // could open it, and its only handle is dropped by the caller: nobody changes or shortens it
    // while it is mapped.
    unsafe { memmap2::Mmap::map(file) }.map_err(|e| StoreError::from_io(&e))
}

impl Spool {
    /// Octets that are in memory already.
    pub fn from_bytes(bytes: Vec<u8>) -> Spool {
        Spool { content: Arc::new(Kept::Memory(bytes)) }
    }

    /// All of it.
    pub fn as_bytes(&self) -> &[u8] {
        match &*self.content {
            Kept::Memory(bytes) => bytes,
            Kept::Mapped(map) => map,
        }
    }
}
