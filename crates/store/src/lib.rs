//! Where everything that must last is kept: domains, accounts, aliases, mailboxes, messages,
//! changes, the queue, journeys, blobs and the search index.
//!
//! One relational schema on two engines: SQLite (bundled) for one machine, PostgreSQL for many.
//! One set of operations, written once over an async transaction face whose SQLite futures are
//! ready at once. The store knows no protocol: it speaks of messages and mailboxes, not of IMAP.
//!
//! | file | what it holds |
//! |---|---|
//! | `schema/*.sql` | the tables, with comments: begin here |
//! | `engine/` | the two databases behind one face: transactions, group commit, retries |
//! | `accept` | taking responsibility for a message in one transaction |
//! | `accounts`, `passwords` | domains, accounts, aliases, logins |
//! | `mailboxes`, `messages`, `keywords` | what readers see |
//! | `blob`, `objects`, `spool` | octets: stored, outside the database, being received |
//! | `queue`, `journeys`, `maildrop` | the road; what happened on it; the POP3 lock |
//! | `search/` | words, index, answers |
//! | `changes` | who is woken |

mod accept;
mod accounts;
mod blob;
mod changes;
mod engine;
mod error;
mod instant;
mod journeys;
mod keywords;
mod mailboxes;
mod maildrop;
mod messages;
mod passwords;
mod queue;
mod schema;
mod search;
mod spool;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use accept::*;
pub use accounts::*;
pub use blob::*;
pub use changes::{QueueWatch, Watch};
pub use error::*;
pub use journeys::*;
pub use mailboxes::*;
pub use maildrop::*;
pub use messages::*;
pub use passwords::PasswordCost;
pub use queue::*;
pub use spool::*;

use engine::Engine;

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
    pub spool_folder: PathBuf,
    /// Names this process among nodes, for leases; unique per process start.
    pub node: String,
}

/// A handle, cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    hub: Arc<changes::Hub>,
    passwords: passwords::Passwords,
    spool_folder: PathBuf,
    node: String,
}

impl Store {
    /// Opens, creating or migrating the schema as needed.
    pub async fn open(settings: OpenSettings) -> Result<Store, OpenError> {
        Store::open_with(settings, PasswordCost::default()).await
    }

    /// Opens with another cost for new passwords (existing ones keep theirs).
    pub async fn open_with(settings: OpenSettings, cost: PasswordCost) -> Result<Store, OpenError> {
        let hub = changes::Hub::new();
        let url = settings.database_url.as_str();
        let engine = if let Some(path) = url.strip_prefix("sqlite:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            let hub = hub.clone();
            let opened =
                tokio::task::spawn_blocking(move || engine::sqlite::Sqlite::open(&path, hub));
            let opened = opened.await.map_err(|e| StoreError::Unavailable(e.to_string()))?;
            Engine::Sqlite(opened?)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Engine::Postgres(engine::postgres::Postgres::open(url, hub.clone()).await?)
        } else {
            return Err(OpenError::Url {
                url: url.to_owned(),
                why: "it begins with neither sqlite: nor postgres://".into(),
            });
        };
        let secret = engine.read((), |tx, ()| Box::pin(passwords::secret(tx))).await?;
        let passwords = passwords::Passwords::new(secret, cost);
        Ok(Store {
            inner: Arc::new(Inner {
                engine,
                hub,
                passwords,
                spool_folder: settings.spool_folder,
                node: settings.node,
            }),
        })
    }

    /// Finishes what was accepted and closes.
    pub async fn close(self) {
        self.inner.engine.close().await;
    }

    /// Runs background work until `stop` says true: search indexing, blob sweeping, listening to
    /// other nodes.
    pub async fn run_background(&self, mut stop: tokio::sync::watch::Receiver<bool>) {
        let listen = async {
            match &self.inner.engine {
                Engine::Postgres(postgres) => postgres.listen().await,
                Engine::Sqlite(_) => std::future::pending().await,
            }
        };
        let work = async { tokio::join!(listen, self.sweep_now_and_then()) };
        tokio::select! {
            _ = work => {}
            // An error means that nobody can stop us any more: then this is the end too.
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn sweep_now_and_then(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            if let Err(error) = self.sweep_blobs(jiff::Timestamp::now()).await {
                tracing::warn!(%error, "could not sweep blobs that nobody names");
            }
        }
    }
}
