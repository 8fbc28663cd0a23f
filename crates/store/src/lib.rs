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
//! | `accounts`, `passwords` | domains, accounts, aliases |
//! | `login/` | the one door: who is let in, who has to wait, what is remembered of it |
//! | `mailboxes`, `rearrange`, `messages`, `keywords` | what readers see |
//! | `census` | how much of it is still to be read |
//! | `roll/` | a mailbox's entries at one moment, packed and shared |
//! | `gist/` | what its messages are sorted, threaded and searched by |
//! | `happened` | where messages are; what happened in an account since a modseq |
//! | `threads` | which messages belong together |
//! | `object_id` | what all these are called outside |
//! | `sharing`, `metadata` | who may do what in whose mailbox; notes kept with mailboxes |
//! | `blob`, `objects`, `spool`, `uploads` | octets: stored, outside the database, being received, to be used soon |
//! | `imports` | moving in: each message once |
//! | `submissions` | as whom an account writes; what it sends later, and sent |
//! | `queue`, `journeys`, `maildrop` | the road; what happened on it; the POP3 lock |
//! | `rules`, `absences` | readers' Sieve scripts, and what these remember; what people who are away answer |
//! | `search/` | words, index, answers |
//! | `trust/` | signing keys; what is known of senders and words; reports; TLS policies |
//! | `changes` | who is woken |

mod absences;
mod accept;
mod accounts;
mod blob;
mod census;
mod changes;
mod engine;
mod error;
mod gist;
mod happened;
mod imports;
mod instant;
mod journeys;
mod keywords;
mod login;
mod mailboxes;
mod maildrop;
mod messages;
mod metadata;
mod object_id;
mod objects;
mod passwords;
mod queue;
mod rearrange;
mod roll;
mod rules;
mod schema;
mod search;
mod sharing;
mod spool;
mod submissions;
mod threads;
mod trust;
mod uploads;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

pub use absences::*;
pub use accept::*;
pub use accounts::*;
pub use blob::*;
pub use census::{Census, Tally};
pub use changes::{QueueWatch, Watch};
pub use error::*;
pub use gist::{Column, Finder, Gist, Having, Line};
pub use happened::*;
pub use imports::*;
pub use journeys::*;
pub use login::*;
pub use mailboxes::*;
pub use maildrop::*;
pub use messages::*;
pub use metadata::*;
pub use object_id::{ObjectId, positive};
pub use passwords::PasswordCost;
pub use queue::*;
pub use rearrange::*;
pub use roll::{Altered, KeywordSet, Roll, RollNews, Row, Tie, Ties};
pub use rules::*;
pub use search::Terms;
pub use sharing::*;
pub use spool::*;
pub use submissions::*;
pub use threads::ThreadId;
pub use trust::*;
pub use uploads::*;

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
    rolls: roll::Rolls,
    censuses: census::Censuses,
    objects: Option<objects::Objects>,
    passwords: passwords::Passwords,
    /// For digests of secrets that are random themselves; the same on all nodes.
    secret_key: [u8; 32],
    guesses: login::Guesses,
    audit: login::Audit,
    /// For reading the text of a large message: one at a time.
    large_text: tokio::sync::Semaphore,
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
        let objects =
            settings.blobs.as_ref().map(|(url, options)| objects::Objects::open(url, options));
        let mut objects = objects.transpose()?;
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
        if let Some(objects) = &mut objects {
            objects.belong_to(&secret);
        }
        let secret_key = blake3::derive_key("waxwing 2025-11 digests of random secrets", &secret);
        let guesses = login::Guesses::new(&secret);
        let passwords = passwords::Passwords::new(secret, cost);
        Ok(Store {
            inner: Arc::new(Inner {
                engine,
                hub,
                rolls: roll::Rolls::default(),
                censuses: census::Censuses::default(),
                objects,
                passwords,
                secret_key,
                guesses,
                audit: login::Audit::default(),
                large_text: tokio::sync::Semaphore::new(1),
                spool_folder: settings.spool_folder,
                node: settings.node,
            }),
        })
    }

    /// Finishes what was accepted and closes.
    pub async fn close(self) {
        if let Err(error) = self.flush_logins().await {
            tracing::warn!(%error, "the last logins were not noted");
        }
        self.inner.engine.close().await;
    }

    /// Runs background work until `stop` says true: search indexing, blob sweeping, listening to
    /// other nodes.
    pub async fn run_background(&self, mut stop: tokio::sync::watch::Receiver<bool>) {
        let listen = || async {
            match &self.inner.engine {
                Engine::Postgres(postgres) => postgres.listen().await,
                Engine::Sqlite(_) => std::future::pending().await,
            }
        };
        // Side by side, and none ends with another.
        let work = async {
            tokio::join!(
                for_ever("listening", listen),
                for_ever("sweeping", || self.sweep_now_and_then()),
                for_ever("indexing", || self.index_for_ever()),
                for_ever("threading", || self.thread_old_mail()),
                for_ever("noting logins", || self.note_logins()),
            )
        };
        tokio::select! {
            _ = work => {}
            // An error means that nobody can stop us any more: then this is the end too.
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Indexes what comes, in small bites. While anything changes, the rests between them are longer than the
    /// bites: mail goes first. Otherwise they are shorter, so that much mail at once is soon found.
    async fn index_for_ever(&self) {
        const BITE: usize = 16;
        let mut deposits = self.inner.hub.watch_any();
        loop {
            let started = std::time::Instant::now();
            let busy = deposits.has_changed();
            let indexed = match busy {
                true => self.index_gently(BITE).await,
                false => self.index_some(BITE).await,
            };
            let took = started.elapsed();
            match indexed {
                Ok(BITE..) => {
                    let rest = if busy { took * 3 } else { took / 2 };
                    tokio::time::sleep(rest.min(Duration::from_secs(5))).await;
                }
                Ok(_) => {
                    deposits.changed().await;
                    // What came brings more.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "could not index new messages");
                    tokio::time::sleep(Duration::from_secs(10)).await;
                }
            }
        }
    }

    /// Every few seconds.
    async fn note_logins(&self) {
        loop {
            tokio::time::sleep(NOTE_LOGINS_EVERY).await;
            if let Err(error) = self.flush_logins().await {
                tracing::warn!(%error, "logins were not noted");
            }
        }
    }

    /// Rolls and blobs every minute, objects and old tombstones once a day.
    async fn sweep_now_and_then(&self) {
        let mut minutes = 0u64;
        loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let now = jiff::Timestamp::now();
            self.inner.rolls.tidy();
            if let Err(error) = self.sweep_blobs(now).await {
                tracing::warn!(%error, "could not sweep blobs that nobody names");
            }
            minutes += 1;
            if minutes % (24 * 60) == 10
                && let Err(error) = self.sweep_objects(now).await
            {
                tracing::warn!(%error, "could not sweep objects that no row names");
            }
            if minutes % (24 * 60) == 20
                && let Err(error) = self.forget_tombstones(KEPT_TOMBSTONES).await
            {
                tracing::warn!(%error, "could not forget old tombstones");
            }
            if minutes % (24 * 60) == 25
                && let Err(error) = self.forget_departures().await
            {
                tracing::warn!(%error, "could not forget old departures");
            }
            if minutes % (24 * 60) == 35
                && let Err(error) = self.forget_thread_keys().await
            {
                tracing::warn!(%error, "could not forget the keys of threads that are gone");
            }
            if minutes % 60 == 50
                && let Err(error) = self.forget_uploads(now).await
            {
                tracing::warn!(%error, "could not forget old uploads");
            }
            if minutes % (24 * 60) == 45
                && let Err(error) = self.forget_submissions(now).await
            {
                tracing::warn!(%error, "could not forget old submissions");
            }
            if minutes % (24 * 60) == 30
                && let Err(error) = self.forget_seen(now).await
            {
                tracing::warn!(%error, "could not forget what rules need no more");
            }
            if minutes % 60 == 40
                && let Err(error) = self.forget_tokens(now).await
            {
                tracing::warn!(%error, "could not forget tokens that have expired");
            }
        }
    }
}

/// Begins work again after a panic: one bad row must not end what everybody needs.
async fn for_ever<F: Future<Output = ()>>(what: &str, work: impl Fn() -> F) {
    while AssertUnwindSafe(work()).catch_unwind().await.is_err() {
        tracing::error!("{what} panicked and begins again");
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

/// How late the other nodes hear of wrong guesses.
const NOTE_LOGINS_EVERY: Duration = Duration::from_secs(5);

/// Ranges of tombstones that are kept of a mailbox.
const KEPT_TOMBSTONES: usize = 20_000;
