//! PostgreSQL: a pool of connections, retries, group writers, and LISTEN/NOTIFY between nodes.
//!
//! **Isolation.** Writes run at READ COMMITTED, and yet as if one after another:
//!
//! - what an account owns (its mailboxes, entries, messages, tombstones, counters) is written only
//!   by transactions whose first statement there updates the account's row. They queue on that row
//!   lock, and every statement after it sees all that the earlier ones committed;
//! - what is about names (domains, accounts, aliases) begins by locking the domain's row;
//! - queue rows and journeys are changed by single statements that test and change one row, so the
//!   test is made again on the newest version when another transaction got there first;
//! - the reference counts of blobs are only ever changed by adding to them.
//!
//! SERIALIZABLE would abort most deposits into a busy mailbox; here they only wait. Locks are taken
//! in the order queue row, domain, accounts by id, blobs, journey; what still meets head on
//! (40001, 40P01) is run again from the start after a random pause.
//!
//! **Lost connections.** Before COMMIT was sent nothing has happened, so the operation is run again.
//! When the answer to COMMIT is lost, only operations that do nothing the second time are: until the
//! server is there again and it is known, or a minute has passed.
//!
//! **Group writers** take all waiting requests into one transaction on one connection and run
//! them side by side, so that their statements travel in few round trips. If anything in the group
//! fails, the whole is rolled back and each request gets a transaction of its own.

mod client;
mod listen;
mod settings;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Connection, Operation, Repeat, Request, Touched, Tx, Waiting};
use crate::changes::Hub;
use crate::{OpenError, StoreError, schema};
pub(crate) use client::{Client, store_error};
use client::{Trouble, explain};
use listen::{CHANNEL, announcement};
use settings::configure;

/// Connections to the server at most, beside the one that listens.
const CONNECTIONS_MAX: usize = 12;
/// How long a free connection is waited for, and a new one.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Group writers of this process: while one waits for the disk, another gathers.
const GROUP_WRITERS: usize = 2;
/// How many requests share a commit at most.
const GROUP_MAX: usize = 64;
/// How often an operation is run before the conflict or the loss is reported.
const ATTEMPTS_MAX: u32 = 12;
/// How long the server is asked what became of a commit whose answer was lost.
const DOUBT_MAX: Duration = Duration::from_secs(60);

/// An open database.
#[derive(Clone)]
pub(crate) struct Postgres {
    shared: Arc<Shared>,
    groups: Arc<Mutex<Option<Groups>>>,
    writers: Arc<Mutex<Vec<tokio::task::JoinHandle<()>>>>,
}

/// Where requests for the group writers go.
type Groups = mpsc::UnboundedSender<Box<dyn Request>>;

struct Shared {
    pool: Pool,
    config: Config,
    tls: Option<MakeRustlsConnect>,
    hub: Arc<Hub>,
    /// Tells our own notifications from those of other nodes.
    node: String,
}

impl Postgres {
    /// Connects, brings the schema up to date and starts the group writers.
    pub(crate) async fn open(url: &str, hub: Arc<Hub>) -> Result<Postgres, OpenError> {
        let (config, tls) = configure(url)?;
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match &tls {
            Some(tls) => Manager::from_config(config.clone(), tls.clone(), settings),
            None => Manager::from_config(config.clone(), NoTls, settings),
        };
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .wait_timeout(Some(CONNECTION_TIMEOUT))
            .create_timeout(Some(CONNECTION_TIMEOUT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let mut first = pool.get().await.map_err(|e| StoreError::Unavailable(explain(&e)))?;
        schema::migrate_postgres(&mut first).await?;
        drop(first);

        let node = uuid::Uuid::from_bytes(rand::random()).simple().to_string();
        let shared = Arc::new(Shared { pool, config, tls, hub, node });
        let (groups, requests) = mpsc::unbounded_channel();
        let requests = Arc::new(tokio::sync::Mutex::new(requests));
        let writers = (0..GROUP_WRITERS)
            .map(|_| tokio::spawn(write_groups(shared.clone(), requests.clone())))
            .collect();
        Ok(Postgres {
            shared,
            groups: Arc::new(Mutex::new(Some(groups))),
            writers: Arc::new(Mutex::new(writers)),
        })
    }

    pub(crate) async fn read<I, T, E>(
        &self,
        input: I,
        operation: Operation<I, T, E>,
    ) -> Result<T, E>
    where
        I: Send + Sync,
        E: From<StoreError>,
    {
        let mut attempt = 0;
        loop {
            let tx = match self.shared.checkout().await {
                Ok(tx) => tx,
                // A connection that was cut while it was being made.
                Err(_) if attempt < ATTEMPTS_MAX => {
                    pause(&mut attempt).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let (begun, outcome) = futures_util::future::join(
                tx.client().control("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
                operation(&tx, &input),
            )
            .await;
            let trouble = tx.client().trouble();
            if trouble != Trouble::None && attempt < ATTEMPTS_MAX {
                drop(tx);
                pause(&mut attempt).await;
                continue;
            }
            begun?;
            // What was read is good even if the end of the transaction goes unheard.
            if !tx.client().failed() && tx.client().control("COMMIT").await.is_ok() {
                tx.client().clean();
            }
            return outcome;
        }
    }

    pub(crate) async fn write<I, T, E>(
        &self,
        input: I,
        repeat: Repeat,
        operation: Operation<I, T, E>,
    ) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        // A task of its own: a caller that goes away leaves no half-run transaction.
        let shared = self.shared.clone();
        let task = tokio::spawn(async move {
            let (reply, mut answer) = oneshot::channel();
            let input = Arc::new(input);
            let waiting = Waiting { input, operation, outcome: None, reply, locks: Vec::new() };
            let mut group: Vec<Box<dyn Request>> = vec![Box::new(waiting)];
            let error = shared.commit_with_retries(&mut group, repeat).await.err();
            group.into_iter().for_each(|request| request.answer(error.clone()));
            answer.try_recv().unwrap_or_else(|_| Err(lost().into()))
        });
        task.await.unwrap_or_else(|_| Err(lost().into()))
    }

    pub(crate) async fn write_grouped<I, T, E>(
        &self,
        input: I,
        locks: Vec<i64>,
        operation: Operation<I, T, E>,
    ) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let request = Waiting { input: Arc::new(input), operation, outcome: None, reply, locks };
        let sent = match &*self.groups.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(groups) => groups.send(Box::new(request)).is_ok(),
            None => false,
        };
        if !sent {
            return Err(lost().into());
        }
        answer.await.unwrap_or_else(|_| Err(lost().into()))
    }

    pub(crate) async fn close(&self) {
        drop(self.groups.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writers =
            std::mem::take(&mut *self.writers.lock().unwrap_or_else(PoisonError::into_inner));
        for writer in writers {
            let _ = writer.await;
        }
        self.shared.pool.close();
    }

    /// Wakes watchers for what other nodes commit, until dropped. Connects again when the
    /// connection is lost, and then wakes everybody, since something may have been missed.
    pub(crate) async fn listen(&self) {
        let mut attempt = 0;
        loop {
            match self.shared.listen_once().await {
                Ok(()) => attempt = 0,
                Err(error) => tracing::warn!(%error, "cannot hear of other nodes' changes"),
            }
            pause(&mut attempt).await;
        }
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

/// A random pause that grows with the number of attempts, up to about a second.
async fn pause(attempt: &mut u32) {
    *attempt += 1;
    let most = 4u64 << (*attempt).min(8);
    let millis = rand::random_range(1..=most);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Why a commit did not come about.
enum Failed {
    /// An operation refused: its own answer stands. (Or it swallowed an error, which is ours.)
    Refused,
    /// Nothing has happened, and it may go better next time.
    Again(StoreError),
    /// It is not known whether it happened.
    Unknown(StoreError),
    /// It will not go better.
    Broken(StoreError),
}

impl Failed {
    fn into_error(self) -> StoreError {
        match self {
            Failed::Again(error) | Failed::Unknown(error) | Failed::Broken(error) => error,
            Failed::Refused => StoreError::Unavailable("an operation was undone".into()),
        }
    }
}

impl Shared {
    async fn checkout(&self) -> Result<Tx, StoreError> {
        let object = self.pool.get().await.map_err(|e| StoreError::Unavailable(explain(&e)))?;
        Ok(Tx::new(Connection::Postgres(Client {
            object: Some(object),
            failed: AtomicBool::new(false),
            trouble: AtomicU8::new(0),
            clean: AtomicBool::new(false),
        })))
    }

    /// Commits the group as one. `Ok` also when a lone request refused: it holds its answer.
    async fn commit_with_retries(
        &self,
        group: &mut [Box<dyn Request>],
        repeat: Repeat,
    ) -> Result<(), StoreError> {
        match self.commit_or_doubt(group).await {
            Err(Failed::Unknown(_)) if repeat == Repeat::Harmless => self.resolve(group).await,
            outcome => outcome.map_err(Failed::into_error),
        }
    }

    /// The same, without asking further when it is not known what happened.
    async fn commit_or_doubt(&self, group: &mut [Box<dyn Request>]) -> Result<(), Failed> {
        let mut attempt = 0;
        loop {
            match self.commit(group).await {
                Ok(()) | Err(Failed::Refused) => return Ok(()),
                Err(Failed::Again(_)) if attempt < ATTEMPTS_MAX => pause(&mut attempt).await,
                Err(failed) => return Err(failed),
            }
        }
    }

    /// The answer to COMMIT was lost: asks again, for a while, until it is known. Whoever were told
    /// of a failure now would do again what was perhaps done.
    async fn resolve(&self, group: &mut [Box<dyn Request>]) -> Result<(), StoreError> {
        let until = tokio::time::Instant::now() + DOUBT_MAX;
        let mut attempt = 0;
        loop {
            match self.commit_or_doubt(group).await {
                Ok(()) => return Ok(()),
                Err(failed) if tokio::time::Instant::now() >= until => {
                    return Err(failed.into_error());
                }
                Err(_) => pause(&mut attempt).await,
            }
        }
    }

    async fn commit(&self, group: &mut [Box<dyn Request>]) -> Result<(), Failed> {
        // Nothing was begun: another try is harmless.
        let tx = self.checkout().await.map_err(Failed::Again)?;
        let client = tx.client();
        let mut locks: Vec<i64> =
            group.iter().flat_map(|request| request.locks()).copied().collect();
        locks.sort_unstable();
        locks.dedup();

        // Polled in this order, so that they travel in this order; none waits for the one before.
        let (begun, locked) = futures_util::future::join(
            client.control("BEGIN ISOLATION LEVEL READ COMMITTED"),
            lock_accounts(&tx, &locks),
        )
        .await;
        if let Err(error) = begun.and(locked) {
            return Err(match client.trouble() {
                Trouble::None => Failed::Broken(error),
                Trouble::Conflict | Trouble::Lost => Failed::Again(error),
            });
        }
        let kept = attempt_all(group, &tx).await;
        if client.trouble() != Trouble::None {
            return Err(Failed::Again(conflict()));
        }
        if !kept || client.failed() {
            if client.control("ROLLBACK").await.is_ok() {
                client.clean();
            }
            return Err(if kept {
                Failed::Broken(StoreError::Unavailable("a statement failed".into()))
            } else {
                Failed::Refused
            });
        }
        let touched = tx.take_touched();
        self.notify(&tx, &touched).await.map_err(Failed::Again)?;
        match client.control("COMMIT").await {
            Ok(()) => {
                client.clean();
                self.hub.wake(&touched);
                Ok(())
            }
            Err(error) => Err(match client.trouble() {
                Trouble::Conflict => Failed::Again(error),
                Trouble::Lost => {
                    // It may have happened: those who look for nothing lose little.
                    self.hub.wake(&touched);
                    Failed::Unknown(error)
                }
                Trouble::None => Failed::Broken(error),
            }),
        }
    }

    /// Tells other nodes, with the commit: PostgreSQL sends it then or never.
    async fn notify(&self, tx: &Tx, touched: &Touched) -> Result<(), StoreError> {
        if touched.is_empty() {
            return Ok(());
        }
        tx.run(
            "SELECT pg_notify(?1, ?2)",
            crate::engine::params![CHANNEL, &announcement(&self.node, touched)],
        )
        .await
        .map(drop)
    }
}

fn conflict() -> StoreError {
    StoreError::Unavailable("too many conflicts with other writers".into())
}

async fn lock_accounts(tx: &Tx, locks: &[i64]) -> Result<(), StoreError> {
    if !locks.is_empty() {
        tx.run(
            "SELECT id FROM accounts WHERE id IN LIST(?1) ORDER BY id /*postgres:FOR NO KEY UPDATE*/",
            crate::engine::params![locks],
        )
        .await?;
    }
    Ok(())
}

/// Runs all side by side. False when one of them must not be committed: it refused, or panicked.
async fn attempt_all(group: &mut [Box<dyn Request>], tx: &Tx) -> bool {
    let attempts =
        group.iter_mut().map(|request| AssertUnwindSafe(request.attempt(tx)).catch_unwind());
    futures_util::future::join_all(attempts).await.into_iter().all(|keep| matches!(keep, Ok(true)))
}

type Requests = Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Box<dyn Request>>>>;

async fn write_groups(shared: Arc<Shared>, requests: Requests) {
    loop {
        let mut group = Vec::new();
        {
            let mut requests = requests.lock().await;
            if requests.recv_many(&mut group, GROUP_MAX).await == 0 {
                return;
            }
        }
        // Requests that go down with a panic are answered by their going; the writer lives on.
        if AssertUnwindSafe(shared.commit_group(group)).catch_unwind().await.is_err() {
            tracing::error!("a group of requests panicked");
        }
    }
}

impl Shared {
    async fn commit_group(self: &Arc<Self>, mut group: Vec<Box<dyn Request>>) {
        let in_doubt = match self.commit(&mut group).await {
            Ok(()) => return group.into_iter().for_each(|request| request.answer(None)),
            Err(Failed::Unknown(_)) => true,
            Err(_) => false,
        };
        for request in group {
            let mut alone = vec![request];
            if !in_doubt {
                match self.commit_or_doubt(&mut alone).await {
                    Err(Failed::Unknown(_)) => {}
                    outcome => {
                        let error = outcome.map_err(Failed::into_error).err();
                        alone.into_iter().for_each(|request| request.answer(error.clone()));
                        continue;
                    }
                }
            }
            // The others do not wait until it is known.
            let shared = self.clone();
            tokio::spawn(async move {
                let error = shared.resolve(&mut alone).await.err();
                alone.into_iter().for_each(|request| request.answer(error.clone()));
            });
        }
    }
}
