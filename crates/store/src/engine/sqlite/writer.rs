//! The writer thread: groups, commits, and the log kept short.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{BUSY_TIMEOUT, OCTETS_PER_COMMIT};
use super::{Message, READERS_MAX, store_error};
use crate::StoreError;
use crate::changes::Hub;
use crate::engine::{Request, Touched, Tx};

/// How many requests share a commit at most: bounds how long the first of them waits.
const GROUP_MAX: usize = 256;
/// How long the writer waits for a group to fill at most.
const PATIENCE_MAX: Duration = Duration::from_millis(1);
/// How often other processes' commits are looked for.
const FOREIGN_POLL: Duration = Duration::from_millis(500);
/// The log is copied back after about so many octets (an estimate: see `Guarded::grown`).
const CHECKPOINT_OCTETS: u64 = 8 << 20;
/// A log longer than this is begun anew as soon as it can be.
const LONG_LOG_PAGES: i64 = 4_096;
/// For a log longer than this readers are held up.
const HUGE_LOG_PAGES: i64 = 16_384;
/// The same in octets: the file stays at most so long once its log began anew.
const HUGE_LOG_OCTETS: u64 = 64 << 20;
/// How long readers are held up at most while older ones end.
const HOLD_UP_MAX: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    pub(super) tx: Tx,
    pub(super) hub: Arc<Hub>,
    pub(super) checkpoints: Option<Sender<()>>,
    pub(super) checkpoint_asked: bool,
    /// How many requests the last commit served.
    pub(super) last_group: usize,
    pub(super) last_commit: Duration,
    pub(super) data_version: i64,
    /// The file of the log.
    pub(super) log: PathBuf,
}

impl Writer {
    pub(super) fn new(tx: Tx, hub: Arc<Hub>, checkpoints: Sender<()>, log: PathBuf) -> Writer {
        Writer {
            tx,
            hub,
            checkpoints: Some(checkpoints),
            checkpoint_asked: false,
            last_group: 1,
            last_commit: Duration::ZERO,
            data_version: 0,
            log,
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Message>) {
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
        let mut touched = Touched::default();
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
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

pub(super) fn checkpoint_when_asked(
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
pub(super) fn checkpoint(connection: &rusqlite::Connection) -> Result<i64, StoreError> {
    connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
        .map_err(store_error)
}

/// Holds up new readers until the old ones are done, copies the rest and empties the log. False when
/// they took too long, or a reader or writer elsewhere did: then it is tried again next time.
pub(super) fn begin_anew(
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
pub(super) fn hold_up(
    readers: &Arc<Semaphore>,
    patience: Duration,
) -> Option<OwnedSemaphorePermit> {
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
    use super::super::Sqlite;
    use super::super::connection::connect;
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
