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

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{AsyncMessage, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Connection, Operation, Param, Repeat, Request, Row, Touched, Tx, Waiting, dialect};
use crate::changes::Hub;
use crate::{AccountId, OpenError, StoreError, schema};

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
/// How often the connection that listens is asked whether it is alive.
const LIVENESS_EVERY: Duration = Duration::from_secs(30);
/// How long the server is asked what became of a commit whose answer was lost.
const DOUBT_MAX: Duration = Duration::from_secs(60);
/// The channel of NOTIFY.
const CHANNEL: &str = "waxwing_changes";
/// NOTIFY carries less than 8,000 octets: beyond so many accounts it says "all".
const NOTIFY_ACCOUNTS_MAX: usize = 300;

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

/// Splits off what says how to encrypt, and reads the rest.
///
/// `sslmode=disable` (also when nothing is said) speaks plainly; `require`, `verify-ca` and
/// `verify-full` all check the certificate and its name: encrypting to one does not know whom is not
/// offered. `sslrootcert=FILE` names an authority of one's own (PEM).
fn configure(url: &str) -> Result<(Config, Option<MakeRustlsConnect>), OpenError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let wrong = |why: String| OpenError::Url { url: without_password(base), why };
    let mut kept = Vec::new();
    let (mut encrypt, mut authority) = (false, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", "disable" | "allow" | "prefer")) => encrypt = false,
            Some(("sslmode", "require" | "verify-ca" | "verify-full")) => encrypt = true,
            Some(("sslmode", other)) => return Err(wrong(format!("sslmode={other}"))),
            Some(("sslrootcert", file)) => authority = Some(file.to_owned()),
            _ => kept.push(pair),
        }
    }
    let joined =
        if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
    let mut config = Config::from_str(&joined).map_err(|e| wrong(explain(&e)))?;
    config.application_name("waxwing");
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    // A server that is gone without a word is noticed within half a minute, in use or idle.
    config.tcp_user_timeout(Duration::from_secs(15));
    config.keepalives_idle(Duration::from_secs(15));
    config.keepalives_interval(Duration::from_secs(5));
    config.keepalives_retries(3);
    if !encrypt {
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
        return Ok((config, None));
    }
    config.ssl_mode(tokio_postgres::config::SslMode::Require);
    let mut roots = rustls::RootCertStore::empty();
    match authority {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            use rustls::pki_types::pem::PemObject as _;
            let certificates = rustls::pki_types::CertificateDer::pem_file_iter(&file)
                .and_then(|found| found.collect::<Result<Vec<_>, _>>())
                .map_err(|e| wrong(format!("sslrootcert={file}: {e}")))?;
            roots.add_parsable_certificates(certificates);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((config, Some(MakeRustlsConnect::new(tls))))
}

fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.split_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => url.to_owned(),
    }
}

/// An error with its causes: the outermost one alone says little.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Sorts an error of PostgreSQL's into ours.
pub(crate) fn store_error(error: tokio_postgres::Error) -> StoreError {
    let text = explain(&error);
    match error.code() {
        Some(&SqlState::DISK_FULL) => StoreError::NoSpace(text),
        Some(&SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED) => StoreError::Damaged(text),
        _ => StoreError::Unavailable(text),
    }
}

// ── One connection ──────────────────────────────────────────────────────────────────────────────

/// Whether running an operation again from the start may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    Conflict,
    Lost,
}

/// A connection out of the pool. One that is dropped before its transaction ended is closed.
pub(crate) struct Client {
    object: Option<Object>,
    failed: AtomicBool,
    trouble: AtomicU8,
    clean: AtomicBool,
}

impl Client {
    fn object(&self) -> &Object {
        self.object.as_ref().expect("taken out only by drop")
    }

    pub(crate) async fn each(
        &self,
        sql: &'static str,
        params: &[Param<'_>],
        mut look: impl FnMut(&Row<'_>) -> Result<bool, StoreError> + Send,
    ) -> Result<(), StoreError> {
        let rows = async {
            let statement = self.object().prepare_cached(dialect::postgres(sql)).await?;
            self.object().query_raw(&statement, params.iter().map(Bound)).await
        };
        let mut rows = pin!(rows.await.map_err(|e| self.note(e))?);
        let mut wanted = true;
        // Always to the end, so that the statement has run to its end too.
        while let Some(row) = rows.try_next().await.map_err(|e| self.note(e))? {
            wanted = wanted && look(&Row::Postgres(&row))?;
        }
        Ok(())
    }

    pub(crate) async fn run(
        &self,
        sql: &'static str,
        params: &[Param<'_>],
    ) -> Result<u64, StoreError> {
        let ran = async {
            let statement = self.object().prepare_cached(dialect::postgres(sql)).await?;
            self.object().execute_raw(&statement, params.iter().map(Bound)).await
        };
        ran.await.map_err(|e| self.note(e))
    }

    async fn control(&self, sql: &str) -> Result<(), StoreError> {
        self.object().batch_execute(sql).await.map_err(|e| self.note(e))
    }

    /// Remembers that a statement failed: the transaction cannot commit any more.
    fn note(&self, error: tokio_postgres::Error) -> StoreError {
        self.failed.store(true, Ordering::Relaxed);
        let trouble = match error.code() {
            Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED) => 1,
            Some(
                &SqlState::ADMIN_SHUTDOWN
                | &SqlState::CRASH_SHUTDOWN
                | &SqlState::CANNOT_CONNECT_NOW
                | &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            ) => 2,
            Some(code) if code.code().starts_with("08") => 2,
            None if error.is_closed() || self.object().is_closed() => 2,
            // No SQLSTATE: the error came from the connection, not from the server's answer.
            None if std::error::Error::source(&error)
                .is_some_and(|cause| cause.is::<std::io::Error>()) =>
            {
                2
            }
            _ => 0,
        };
        self.trouble.fetch_max(trouble, Ordering::Relaxed);
        store_error(error)
    }

    fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn trouble(&self) -> Trouble {
        match self.trouble.load(Ordering::Relaxed) {
            0 => Trouble::None,
            1 => Trouble::Conflict,
            _ => Trouble::Lost,
        }
    }

    /// The transaction has ended: the connection may be used again.
    fn clean(&self) {
        self.clean.store(true, Ordering::Relaxed);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(object) = self.object.take()
            && !self.clean.load(Ordering::Relaxed)
        {
            drop(Object::take(object));
        }
    }
}

impl Tx {
    fn client(&self) -> &Client {
        match &self.connection {
            Connection::Postgres(client) => client,
            Connection::Sqlite(_) => unreachable!("made in this file over PostgreSQL"),
        }
    }
}

/// A parameter in the binary form of the type that the statement has for it.
#[derive(Debug)]
struct Bound<'a>(&'a Param<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self.0 {
            Param::Null => Ok(IsNull::Yes),
            Param::Int(value) => value.to_sql_checked(ty, out),
            Param::Text(value) => value.to_sql_checked(ty, out),
            Param::Bytes(value) => value.to_sql_checked(ty, out),
            Param::Ints(values) => values.to_sql_checked(ty, out),
            Param::Texts(values) => values.to_sql_checked(ty, out),
        }
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    to_sql_checked!();
}

// ── Transactions ────────────────────────────────────────────────────────────────────────────────

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
            super::params![CHANNEL, &announcement(&self.node, touched)],
        )
        .await
        .map(drop)
    }

    async fn listen_once(&self) -> Result<(), StoreError> {
        match &self.tls {
            Some(tls) => {
                let (client, connection) =
                    self.config.connect(tls.clone()).await.map_err(store_error)?;
                self.hear(client, connection).await
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(store_error)?;
                self.hear(client, connection).await
            }
        }
    }

    async fn hear<S, T>(
        &self,
        client: tokio_postgres::Client,
        mut connection: tokio_postgres::Connection<S, T>,
    ) -> Result<(), StoreError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
        let listen = async {
            client.batch_execute(&format!("LISTEN {CHANNEL}")).await.map_err(store_error)?;
            // From here on everything is heard; before, something may have been missed.
            self.hub.wake_all();
            loop {
                tokio::time::sleep(LIVENESS_EVERY).await;
                let alive = client.batch_execute("SELECT 1");
                match tokio::time::timeout(CONNECTION_TIMEOUT, alive).await {
                    Ok(alive) => alive.map_err(store_error)?,
                    Err(_) => {
                        let silent = "the connection that listens is silent";
                        return Err(StoreError::Unavailable(silent.into()));
                    }
                }
            }
        };
        let hear = async {
            let mut messages = pin!(messages);
            while let Some(message) = messages.next().await {
                if let AsyncMessage::Notification(note) = message.map_err(store_error)? {
                    self.heard(note.payload());
                }
            }
            Ok(())
        };
        let (listen, hear) = (pin!(listen), pin!(hear));
        futures_util::future::select(listen, hear).await.factor_first().0
    }

    fn heard(&self, payload: &str) {
        match understood(payload) {
            Some((node, _)) if node == self.node => {}
            Some((_, Some(touched))) => self.hub.wake(&touched),
            Some((_, None)) | None => self.hub.wake_all(),
        }
    }
}

fn conflict() -> StoreError {
    StoreError::Unavailable("too many conflicts with other writers".into())
}

async fn lock_accounts(tx: &Tx, locks: &[i64]) -> Result<(), StoreError> {
    if !locks.is_empty() {
        tx.run(
            "SELECT id FROM accounts WHERE id IN LIST(?1) ORDER BY id /*postgres:FOR NO KEY UPDATE*/",
            super::params![locks],
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

/// `node;queue;accounts`: queue is `q` or empty; accounts parted by commas, or `*` for all.
fn announcement(node: &str, touched: &Touched) -> String {
    let accounts = if touched.accounts.len() > NOTIFY_ACCOUNTS_MAX {
        "*".to_owned()
    } else {
        let numbers: Vec<String> = touched.accounts.iter().map(|id| id.0.to_string()).collect();
        numbers.join(",")
    };
    format!("{node};{};{accounts}", if touched.queue { "q" } else { "" })
}

/// Reads an announcement: the node, and what was touched unless that is "all".
fn understood(payload: &str) -> Option<(&str, Option<Touched>)> {
    let mut parts = payload.split(';');
    let (node, queue, accounts) = (parts.next()?, parts.next()?, parts.next()?);
    if accounts == "*" {
        return Some((node, None));
    }
    let numbers = accounts.split(',').filter(|number| !number.is_empty());
    let accounts = numbers.map(|n| n.parse().map(AccountId)).collect::<Result<_, _>>().ok()?;
    Some((node, Some(Touched { accounts, queue: queue == "q" })))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_understood() {
        let touched = Touched { accounts: vec![AccountId(3), AccountId(40)], queue: true };
        let text = announcement("n1", &touched);
        assert_eq!(understood(&text), Some(("n1", Some(touched))));
        let many = Touched { accounts: (0..1_000).map(AccountId).collect(), queue: false };
        let text = announcement("n1", &many);
        assert!(text.len() < 8_000);
        assert_eq!(understood(&text), Some(("n1", None)));
        assert_eq!(understood("?"), None);
    }

    #[test]
    fn passwords_do_not_reach_error_texts() {
        let Err(error) = configure("postgres://wax:secret@db/mail?sslmode=maybe") else {
            panic!("accepted")
        };
        let text = error.to_string();
        assert!(text.contains("sslmode=maybe") && text.contains("wax@db"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
