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

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use rusqlite::ffi;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Connection, Operation, Param, Request, Row, Tx, Waiting, dialect};
use crate::changes::Hub;
use crate::{OpenError, StoreError, schema};

/// How many requests share a commit at most: bounds how long the first of them waits.
const GROUP_MAX: usize = 256;
/// How long the writer waits for a group to fill at most.
const PATIENCE_MAX: Duration = Duration::from_millis(1);
/// How often other processes' commits are looked for.
const FOREIGN_POLL: Duration = Duration::from_millis(500);
/// How long a lock held by another process is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections that read at one time.
const READERS_MAX: usize = 6;
/// The log is copied back after about so many octets (an estimate: see [`Guarded::grown`]).
const CHECKPOINT_OCTETS: u64 = 8 << 20;
/// A log longer than this is begun anew as soon as it can be.
const LONG_LOG_PAGES: i64 = 4_096;
/// For a log longer than this readers are held up.
const HUGE_LOG_PAGES: i64 = 16_384;
/// The same in octets: the file stays at most so long once its log began anew.
const HUGE_LOG_OCTETS: u64 = 64 << 20;
/// How long readers are held up at most while older ones end.
const HOLD_UP_MAX: Duration = Duration::from_secs(1);
/// What a commit, a statement that writes and each row of it add to the log at least, or nearly.
const OCTETS_PER_COMMIT: u64 = 4_096;
const OCTETS_PER_STATEMENT: u64 = 256;
const OCTETS_PER_ROW: u64 = 128;

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
        let writer = Writer {
            tx: Tx::new(Connection::Sqlite(Guarded::new(writer))),
            hub,
            checkpoints: Some(checkpoints),
            checkpoint_asked: false,
            last_group: 1,
            last_commit: Duration::ZERO,
            data_version: 0,
            log: log_of(path),
        };
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

// ── Connections ─────────────────────────────────────────────────────────────────────────────────

fn connect(path: &Path) -> Result<rusqlite::Connection, StoreError> {
    // Mail is for its owner's eyes; the log and its index take the mode of the database.
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(mut file) => file.flush().map_err(|e| StoreError::from_io(&e))?,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(StoreError::Unavailable(format!("{}: {e}", path.display()))),
    }
    let connection = rusqlite::Connection::open(path).map_err(store_error)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(store_error)?;
    connection.set_prepared_statement_cache_capacity(192);
    connection
        .execute_batch(
            "PRAGMA page_size = 4096;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA journal_size_limit = 67108864;
             PRAGMA cache_size = -4000;
             PRAGMA temp_store = MEMORY;",
        )
        .map_err(store_error)?;
    Ok(connection)
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
        let connection = connect(&self.path)?;
        connection
            .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -2000;")
            .map_err(store_error)?;
        Ok(Tx::new(Connection::Sqlite(Guarded::new(connection))))
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

/// A connection that futures may hold on to. Nobody ever waits for the lock: a connection is used
/// by one thread at a time.
pub(crate) struct Guarded {
    connection: Mutex<rusqlite::Connection>,
    /// About how many octets the log has grown by: bound values, statements, rows, commits. The
    /// true number would need a hook in C; the file's length is looked at besides.
    grown: AtomicU64,
}

impl Guarded {
    fn new(connection: rusqlite::Connection) -> Guarded {
        Guarded { connection: Mutex::new(connection), grown: AtomicU64::new(0) }
    }

    fn grow(&self, octets: u64) {
        self.grown.fetch_add(octets, Ordering::Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, rusqlite::Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn each(
        &self,
        sql: &'static str,
        params: &[Param<'_>],
        mut look: impl FnMut(&Row<'_>) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(dialect::sqlite(sql)).map_err(store_error)?;
        self.bind(&mut statement, params)?;
        let writes = !statement.readonly();
        if writes {
            self.grow(OCTETS_PER_STATEMENT);
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(store_error)? {
            if writes {
                self.grow(OCTETS_PER_ROW);
            }
            if !look(&Row::Sqlite(row))? {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn run(&self, sql: &'static str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(dialect::sqlite(sql)).map_err(store_error)?;
        self.bind(&mut statement, params)?;
        let changed = statement.raw_execute().map_err(store_error)? as u64;
        if changed > 0 && !statement.readonly() {
            self.grow(OCTETS_PER_STATEMENT + changed * OCTETS_PER_ROW);
        }
        Ok(changed)
    }

    fn bind(
        &self,
        statement: &mut rusqlite::CachedStatement<'_>,
        params: &[Param<'_>],
    ) -> Result<(), StoreError> {
        for (index, param) in (1..).zip(params) {
            let bound = match param {
                Param::Null => statement.raw_bind_parameter(index, rusqlite::types::Null),
                Param::Int(value) => statement.raw_bind_parameter(index, value),
                Param::Text(value) => statement.raw_bind_parameter(index, value),
                Param::Bytes(value) => {
                    self.grow(value.len() as u64);
                    statement.raw_bind_parameter(index, value)
                }
                Param::Ints(values) => statement.raw_bind_parameter(index, json(values)),
                Param::Texts(values) => statement.raw_bind_parameter(index, json(values)),
            };
            bound.map_err(store_error)?;
        }
        Ok(())
    }

    /// Ends a transaction that only read.
    fn end(&self) -> Result<(), StoreError> {
        if self.lock().is_autocommit() { Ok(()) } else { self.run("COMMIT", &[]).map(drop) }
    }

    fn in_transaction(&self) -> bool {
        !self.lock().is_autocommit()
    }

    fn roll_back(&self) {
        if self.in_transaction()
            && let Err(error) = self.run("ROLLBACK", &[])
        {
            tracing::error!(%error, "could not roll back");
        }
    }
}

fn json<T: serde::Serialize>(values: &[T]) -> String {
    serde_json::to_string(values).expect("integers and strings always have a JSON form")
}

impl Tx {
    fn sqlite(&self) -> &Guarded {
        match &self.connection {
            Connection::Sqlite(guarded) => guarded,
            Connection::Postgres(_) => unreachable!("made in this file over SQLite"),
        }
    }
}

/// Sorts an error of SQLite's into ours.
pub(crate) fn store_error(error: rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match &error {
        rusqlite::Error::SqliteFailure(code, _) => match code.code {
            ffi::ErrorCode::DiskFull => StoreError::NoSpace(text),
            // The shared memory of the log could not be made larger: no room for it.
            _ if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => StoreError::NoSpace(text),
            ffi::ErrorCode::DatabaseCorrupt | ffi::ErrorCode::NotADatabase => {
                StoreError::Damaged(text)
            }
            _ => StoreError::Unavailable(text),
        },
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => StoreError::Damaged(text),
        _ => StoreError::Unavailable(text),
    }
}

// ── The writer ──────────────────────────────────────────────────────────────────────────────────

struct Writer {
    tx: Tx,
    hub: Arc<Hub>,
    checkpoints: Option<Sender<()>>,
    checkpoint_asked: bool,
    /// How many requests the last commit served.
    last_group: usize,
    last_commit: Duration,
    data_version: i64,
    /// The file of the log.
    log: PathBuf,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Message>) {
        self.data_version = self.read_data_version();
        let mut looked = Instant::now();
        let mut closing = false;
        while !closing {
            match inbox.recv_timeout(FOREIGN_POLL) {
                Ok(Message::Run(first)) => {
                    let mut group = vec![first];
                    closing = self.gather(inbox, &mut group);
                    let started = Instant::now();
                    self.commit(group);
                    self.last_commit = started.elapsed();
                    self.ask_for_checkpoint(CHECKPOINT_OCTETS);
                }
                Ok(Message::Checkpointed(pages)) => self.checkpointed(pages),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => closing = true,
                Err(RecvTimeoutError::Timeout) => self.ask_for_checkpoint(1),
            }
            if looked.elapsed() >= FOREIGN_POLL {
                self.look_for_foreign_commits();
                self.look_at_log();
                looked = Instant::now();
            }
        }
        // What was sent before the inbox was taken away is still answered.
        let rest = inbox.try_iter().filter_map(|message| match message {
            Message::Run(request) => Some(request),
            Message::Checkpointed(_) | Message::Close => None,
        });
        for request in rest.collect::<Vec<_>>() {
            self.commit(vec![request]);
        }
        self.checkpoints = None;
    }

    /// Takes what waits, up to a full group. True: it is time to close.
    ///
    /// Callers that were answered together come back together. So, when the last commit served
    /// several, they are given a moment (a quarter of a commit at most) to join those who waited
    /// meanwhile: one commit for all instead of two camps that take turns.
    fn gather(&mut self, inbox: &Receiver<Message>, group: &mut Vec<Box<dyn Request>>) -> bool {
        let started = Instant::now();
        let patience = (self.last_commit / 4).min(PATIENCE_MAX);
        let mut expected = None;
        while group.len() < GROUP_MAX {
            match inbox.try_recv() {
                Ok(Message::Run(request)) => group.push(request),
                Ok(Message::Checkpointed(pages)) => self.checkpointed(pages),
                Ok(Message::Close) => return true,
                Err(_) => {
                    let expected = *expected.get_or_insert(group.len() - 1 + self.last_group);
                    if group.len() >= expected || started.elapsed() >= patience {
                        break;
                    }
                    // Asleep rather than in `recv`: senders need not wake this thread each time.
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
        }
        self.last_group = group.len();
        false
    }

    /// One transaction for the group; if that is lost, one for each.
    fn commit(&mut self, group: Vec<Box<dyn Request>>) {
        let (group, error) = self.try_commit(group);
        match error {
            None => {}
            Some(error) if group.len() == 1 => {
                group.into_iter().for_each(|request| request.answer(Some(error.clone())));
            }
            Some(error) => {
                tracing::warn!(%error, requests = group.len(), "a group was lost; trying each alone");
                for request in group {
                    let (alone, error) = self.try_commit(vec![request]);
                    alone.into_iter().for_each(|request| request.answer(error.clone()));
                }
            }
        }
    }

    /// Commits and answers; or gives the requests back, unanswered, with what went wrong.
    fn try_commit(
        &mut self,
        mut group: Vec<Box<dyn Request>>,
    ) -> (Vec<Box<dyn Request>>, Option<StoreError>) {
        let sqlite = self.tx.sqlite();
        if let Err(error) = sqlite.run("BEGIN IMMEDIATE", &[]) {
            // Another process has had the lock for all of the timeout: alone it would be no better.
            group.into_iter().for_each(|request| request.answer(Some(error.clone())));
            return (Vec::new(), None);
        }
        let mut touched = super::Touched::default();
        for request in &mut group {
            match self.attempt(request.as_mut()) {
                Ok(true) => touched.add(self.tx.take_touched()),
                Ok(false) => drop(self.tx.take_touched()),
                Err(error) => {
                    drop(self.tx.take_touched());
                    sqlite.roll_back();
                    return (group, Some(error));
                }
            }
        }
        if let Err(error) = sqlite.run("COMMIT", &[]) {
            sqlite.roll_back();
            return (group, Some(error));
        }
        sqlite.grow(OCTETS_PER_COMMIT);
        self.hub.wake(&touched);
        group.into_iter().for_each(|request| request.answer(None));
        (Vec::new(), None)
    }

    /// One request within a savepoint. An error means that the whole transaction is gone.
    fn attempt(&self, request: &mut dyn Request) -> Result<bool, StoreError> {
        let sqlite = self.tx.sqlite();
        sqlite.run("SAVEPOINT request", &[])?;
        let attempt = catch_unwind(AssertUnwindSafe(|| request.attempt(&self.tx).now_or_never()));
        let keep = matches!(attempt, Ok(Some(true)));
        if !sqlite.in_transaction() {
            return Err(StoreError::NoSpace("the transaction was rolled back".into()));
        }
        if !keep {
            sqlite.run("ROLLBACK TO request", &[])?;
        }
        sqlite.run("RELEASE request", &[])?;
        Ok(keep)
    }

    // ── Beside the writing ──

    fn read_data_version(&self) -> i64 {
        let mut version = self.data_version;
        let read = self.tx.sqlite().each("PRAGMA data_version", &[], |row| {
            version = row.int(0)?;
            Ok(false)
        });
        if let Err(error) = read {
            tracing::warn!(%error, "cannot see whether other processes wrote");
        }
        version
    }

    /// On this connection the number changes only by commits of others.
    fn look_for_foreign_commits(&mut self) {
        let version = self.read_data_version();
        if version != self.data_version {
            self.data_version = version;
            self.hub.wake_all();
        }
    }

    fn ask_for_checkpoint(&mut self, octets: u64) {
        let waiting = self.tx.sqlite().grown.load(Ordering::Relaxed);
        if waiting >= octets && !self.checkpoint_asked {
            self.tx.sqlite().grown.store(0, Ordering::Relaxed);
            if let Some(checkpoints) = &self.checkpoints {
                self.checkpoint_asked = checkpoints.send(()).is_ok();
            }
        }
    }

    /// Whatever the estimate says: a file longer than this has a log as long.
    fn look_at_log(&mut self) {
        if std::fs::metadata(&self.log).is_ok_and(|file| file.len() > HUGE_LOG_OCTETS) {
            self.ask_for_checkpoint(0);
        }
    }

    fn checkpointed(&mut self, pages: i64) {
        self.checkpoint_asked = false;
        if pages > LONG_LOG_PAGES
            && let Err(error) = checkpoint(&self.tx.sqlite().lock())
        {
            tracing::warn!(%error, "the log could not be copied back");
        }
    }
}

/// Where the log of a database is.
fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn checkpoint_when_asked(
    connection: &rusqlite::Connection,
    readers: &Arc<Semaphore>,
    wanted: &Receiver<()>,
    done: &Sender<Message>,
) {
    while wanted.recv().is_ok() {
        let copied = checkpoint(connection).and_then(|pages| match pages {
            HUGE_LOG_PAGES.. if begin_anew(connection, readers, HOLD_UP_MAX)? => Ok(0),
            _ => Ok(pages),
        });
        let pages = copied.unwrap_or_else(|error| {
            tracing::warn!(%error, "the log could not be copied back");
            0
        });
        if done.send(Message::Checkpointed(pages)).is_err() {
            return;
        }
    }
}

/// Copies back what it can without waiting for anybody; gives the length of the log in pages.
fn checkpoint(connection: &rusqlite::Connection) -> Result<i64, StoreError> {
    connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
        .map_err(store_error)
}

/// Holds up new readers until the old ones are done, copies the rest and empties the log. False when
/// they took too long, or a reader or writer elsewhere did: then it is tried again next time.
fn begin_anew(
    connection: &rusqlite::Connection,
    readers: &Arc<Semaphore>,
    patience: Duration,
) -> Result<bool, StoreError> {
    let Some(_all) = hold_up(readers, patience) else { return Ok(false) };
    connection.busy_timeout(HOLD_UP_MAX).map_err(store_error)?;
    let busy = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        .map_err(store_error);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(store_error)?;
    Ok(busy? == 0)
}

/// All permits, from a thread that is no part of the runtime. While it waits nobody new gets one.
fn hold_up(readers: &Arc<Semaphore>, patience: Duration) -> Option<OwnedSemaphorePermit> {
    let started = Instant::now();
    let mut all = std::pin::pin!(readers.clone().acquire_many_owned(READERS_MAX as u32));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        match all.as_mut().poll(&mut context) {
            Poll::Ready(all) => return all.ok(),
            Poll::Pending if started.elapsed() >= patience => return None,
            Poll::Pending => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Repeat;

    fn length(path: &Path) -> u64 {
        std::fs::metadata(log_of(path)).map_or(0, |file| file.len())
    }

    #[test]
    fn a_log_begins_anew_when_the_readers_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.db");
        let (writer, checkpointer) = (connect(&path).unwrap(), connect(&path).unwrap());
        writer.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(99999))").unwrap();
        let permits = Arc::new(Semaphore::new(READERS_MAX));
        let permit = permits.clone().try_acquire_owned().unwrap();
        let reader = connect(&path).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        let count = || reader.query_row("SELECT COUNT(*) FROM t", [], |row| row.get::<_, i64>(0));
        assert_eq!(count().unwrap(), 1);
        // A reader that does not end is not waited for beyond patience, and nobody is locked out.
        assert!(!begin_anew(&checkpointer, &permits, Duration::ZERO).unwrap());
        assert_eq!(permits.available_permits(), READERS_MAX - 1);
        assert!(length(&path) > 99_999);
        // One that does is.
        let ended = std::thread::spawn(move || {
            reader.execute_batch("COMMIT").unwrap();
            drop(permit);
        });
        assert!(begin_anew(&checkpointer, &permits, Duration::from_secs(60)).unwrap());
        ended.join().unwrap();
        assert_eq!(length(&path), 0);
        assert_eq!(permits.available_permits(), READERS_MAX);
    }

    #[tokio::test]
    async fn writes_without_octets_do_not_let_the_log_grow_for_ever() {
        const SQL: &str = "INSERT INTO filler (x) WITH RECURSIVE c (i) AS \
            (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000) SELECT i FROM c";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.db");
        let sqlite = Sqlite::open(&path, Hub::new()).unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        other
            .execute_batch(
                "CREATE TABLE filler (id INTEGER PRIMARY KEY, x, y DEFAULT (randomblob(90)))",
            )
            .unwrap();
        drop(other);
        let engine = crate::engine::Engine::Sqlite(sqlite);
        let octets_each = 5_000 * 100;
        for _ in 0..100 {
            engine
                .write((), Repeat::Never, |tx, ()| Box::pin(async { tx.run(SQL, &[]).await }))
                .await
                .unwrap();
        }
        assert!(100 * octets_each > 45 << 20);
        assert!(length(&path) < 32 << 20, "{}", length(&path));
        engine.close().await;
    }
}
