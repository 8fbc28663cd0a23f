//! Where everything that must last is kept: domains, accounts, aliases, mailboxes, messages,
//! changes, the queue, journeys, blobs and the search index.
//!
//! One relational schema on two engines: SQLite (bundled) for one machine, PostgreSQL for many.
//! One set of operations, written once over an async transaction face whose SQLite futures are
//! ready at once. The store knows no protocol: it speaks of messages and mailboxes, not of IMAP.
#![allow(missing_docs, dead_code, unused_variables, unused_imports, clippy::all)] // interface sketch

mod accept;
mod accounts;
mod blob;
mod changes;
mod error;
mod journeys;
mod mailboxes;
mod maildrop;
mod messages;
mod queue;
mod search;
mod spool;

pub use accept::*;
pub use accounts::*;
pub use blob::*;
pub use changes::*;
pub use error::*;
pub use journeys::*;
pub use mailboxes::*;
pub use maildrop::*;
pub use messages::*;
pub use queue::*;
pub use search::*;
pub use spool::*;

/// How to open a store.
#[derive(Debug, Clone)]
pub struct OpenSettings {
    /// `sqlite:/var/lib/waxwing/waxwing.db`, or `postgres://user@host/db` (also
    /// `postgres:///db?host=/socket/folder`).
    pub database_url: String,
    /// An `object_store` URL (`s3://bucket/prefix`, `file:///folder`) with its options, or `None`
    /// to keep blobs in the database.
    pub blobs: Option<(String, Vec<(String, String)>)>,
    /// Folder for spools of large messages being received or sent.
    pub spool_folder: std::path::PathBuf,
    /// Names this process among nodes, for leases; unique per process start.
    pub node: String,
}

/// A handle, cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: std::sync::Arc<Inner>,
}

struct Inner {}

impl Store {
    /// Opens, creating or migrating the schema as needed.
    pub async fn open(settings: OpenSettings) -> Result<Store, OpenError> {
        todo!()
    }

    /// Finishes what was accepted and closes.
    pub async fn close(self) {
        todo!()
    }

    /// Runs background work until `stop` says true: search indexing, blob sweeping, listening to
    /// other nodes.
    pub async fn run_background(&self, stop: tokio::sync::watch::Receiver<bool>) {
        todo!()
    }
}
