//! SQLite: one writer thread with group commit, readers beside it, checkpoints out of the way.
//!
//! The writer owns the only connection that writes. While it waits for the disk, requests gather;
//! it then takes all of them into one transaction, each within a savepoint, so that one that is
//! refused leaves its neighbours alone. After the one commit all are answered and watchers woken.
//! When a whole group is lost (SQLite rolls back by itself when the disk is full), each of its
//! requests is tried again alone, so that a small one may still fit.
//!
//! The write-ahead log is copied back by a thread of its own (`PASSIVE`, which blocks nobody). When
//! that has done nearly all, the writer copies the rest itself, so that the log begins anew and does
//! not grow under a steady load. Readers that overlap without a gap would still keep it from
//! beginning anew: a log beyond 64 MiB makes new readers wait a moment, until the old ones are done
//! and the log is empty.
//!
//! Another process may write too (the command line beside the server). Its commits are noticed by
//! `PRAGMA data_version`, looked at twice a second, and wake every watcher.

mod connection;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, oneshot};

use super::{Connection, Operation, Request, Tx, Waiting};
use crate::changes::Hub;
use crate::{OpenError, StoreError, schema};
pub(crate) use connection::{Guarded, store_error};
use connection::{connect, reader};
use writer::{Writer, checkpoint_when_asked, log_of};

/// Connections that read at one time.
const READERS_MAX: usize = 6;

/// An open database file.
pub(crate) struct Sqlite {
    inbox: Mutex<Option<Sender<Message>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    readers: Arc<Readers>,
}

enum Message {
    Run(Box<dyn Request>),
    /// The other thread has copied back this many pages of the log.
    Checkpointed(i64),
    Close,
}

impl Sqlite {
    /// Opens or makes the file, brings its schema up to date and starts the threads.
    pub(crate) fn open(path: &Path, hub: Arc<Hub>) -> Result<Sqlite, OpenError> {
        let writer = connect(path)?;
        schema::migrate_sqlite(&writer)?;
        let checkpointer = connect(path)?;

        let (inbox, requests) = channel();
        let (checkpoints, wanted) = channel();
        let mut threads = Vec::new();
        let done = inbox.clone();
        let permits = Arc::new(Semaphore::new(READERS_MAX));
        let held_up = permits.clone();
        threads.push(spawn("store-checkpoint", move || {
            checkpoint_when_asked(&checkpointer, &held_up, &wanted, &done)
        })?);
        let tx = Tx::new(Connection::Sqlite(Guarded::new(writer)));
        let writer = Writer::new(tx, hub, checkpoints, log_of(path));
        threads.push(spawn("store-writer", move || writer.run(&requests))?);
        let readers = Readers { path: path.to_owned(), idle: Mutex::default(), permits };
        Ok(Sqlite {
            inbox: Mutex::new(Some(inbox)),
            threads: Mutex::new(threads),
            readers: Arc::new(readers),
        })
    }

    pub(crate) async fn write<I, T, E>(
        &self,
        input: I,
        operation: Operation<I, T, E>,
    ) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let request =
            Waiting { input: Arc::new(input), operation, outcome: None, reply, locks: Vec::new() };
        let sent = match &*self.inbox.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(inbox) => inbox.send(Message::Run(Box::new(request))).is_ok(),
            None => false,
        };
        if !sent {
            return Err(closed().into());
        }
        answer.await.unwrap_or_else(|_| Err(closed().into()))
    }

    pub(crate) async fn read<I, T, E>(
        &self,
        input: I,
        operation: Operation<I, T, E>,
    ) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let permit = self.readers.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| closed())?;
        let readers = self.readers.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            readers.read(&input, operation)
        });
        task.await.map_err(|e| StoreError::Unavailable(format!("a read was cut short: {e}")))?
    }

    /// On the caller's own thread: a few index look-ups in pages that are nearly always in memory
    /// take 20 µs, handing them to another thread and back takes as long again and wakes two threads.
    pub(crate) async fn read_brief<I, T, E>(
        &self,
        input: I,
        operation: Operation<I, T, E>,
    ) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let _permit = self.readers.permits.acquire().await.map_err(|_| closed())?;
        self.readers.read(&input, operation)
    }

    /// Answers what waits and ends the threads; the last connection to go folds the log in.
    pub(crate) async fn close(&self) {
        if let Some(inbox) = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = inbox.send(Message::Close);
        }
        self.readers.permits.close();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let readers = self.readers.clone();
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads.into_iter().rev() {
                let _ = thread.join();
            }
            readers.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        });
        let _ = joined.await;
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        if let Some(inbox) = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = inbox.send(Message::Close);
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map_err(|e| StoreError::Unavailable(format!("no thread: {e}")))
}

/// Futures over SQLite are ready when first polled.
fn now<T>(future: impl Future<Output = T>) -> Result<T, StoreError> {
    future
        .now_or_never()
        .ok_or_else(|| StoreError::Unavailable("an operation waited for something else".into()))
}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Tx>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    fn take(&self) -> Result<Tx, StoreError> {
        if let Some(tx) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(tx);
        }
        Ok(Tx::new(Connection::Sqlite(Guarded::new(reader(&self.path)?))))
    }

    /// One snapshot for one operation.
    fn read<I, T, E>(&self, input: &I, operation: Operation<I, T, E>) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        let tx = self.take()?;
        tx.sqlite().run("BEGIN", &[])?;
        let outcome = now(operation(&tx, input));
        tx.sqlite().end()?;
        self.put(tx);
        outcome?
    }

    fn put(&self, tx: Tx) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(tx);
    }
}
