//! One face over two databases, so that every operation of the store is written once.
//!
//! An operation is a plain `async fn(&Tx, &Input) -> Result<Output, Error>` and runs inside a
//! transaction. On PostgreSQL its futures wait for the server; on SQLite they are ready at once, and
//! the thread that owns the connection polls them to the end in one go. Operations may be run
//! again from the start (after a conflict, a lost connection, or a neighbour's failure in the same
//! group), so they change nothing but the database and the list of those to wake.
//!
//! | | SQLite | PostgreSQL |
//! |---|---|---|
//! | [`Engine::write`] | the writer thread takes all waiting requests into one commit | own transaction, retried |
//! | [`Engine::write_grouped`] | the same | a few group writers take waiting requests into one commit |
//! | [`Engine::read`] | a snapshot on a reader connection | repeatable read, read only |

pub(crate) mod dialect;
pub(crate) mod postgres;
pub(crate) mod sqlite;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use crate::{AccountId, StoreError};

/// An operation: see the module's words.
pub(crate) type Operation<I, T, E> = for<'t> fn(&'t Tx, &'t I) -> BoxFuture<'t, Result<T, E>>;

/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Param<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// For `IN LIST(?N)`.
    Ints(&'a [i64]),
    /// For `IN LIST(?N)`.
    Texts(&'a [String]),
}

/// The parameters of a statement, each turned into a [`Param`].
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::engine::Param::from($value)),*] };
}
pub(crate) use params;

impl From<i64> for Param<'_> {
    fn from(value: i64) -> Self {
        Param::Int(value)
    }
}
impl From<bool> for Param<'_> {
    fn from(value: bool) -> Self {
        Param::Int(i64::from(value))
    }
}
impl<'a> From<&'a str> for Param<'a> {
    fn from(value: &'a str) -> Self {
        Param::Text(value)
    }
}
impl<'a> From<&'a String> for Param<'a> {
    fn from(value: &'a String) -> Self {
        Param::Text(value)
    }
}
impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(value: &'a [u8]) -> Self {
        Param::Bytes(value)
    }
}
impl<'a> From<&'a Vec<u8>> for Param<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Param::Bytes(value)
    }
}
impl<'a, const N: usize> From<&'a [u8; N]> for Param<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Param::Bytes(value)
    }
}
impl<'a> From<&'a [i64]> for Param<'a> {
    fn from(value: &'a [i64]) -> Self {
        Param::Ints(value)
    }
}
impl<'a> From<&'a Vec<i64>> for Param<'a> {
    fn from(value: &'a Vec<i64>) -> Self {
        Param::Ints(value)
    }
}
impl<'a> From<&'a [String]> for Param<'a> {
    fn from(value: &'a [String]) -> Self {
        Param::Texts(value)
    }
}
impl<'a, T> From<Option<T>> for Param<'a>
where
    Param<'a>: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Param::Null, Param::from)
    }
}

/// A row of a result, valid while it is being looked at. Columns are counted from 0.
pub(crate) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
}

impl Row<'_> {
    pub(crate) fn int(&self, column: usize) -> Result<i64, StoreError> {
        match self {
            Row::Sqlite(row) => row.get(column).map_err(sqlite::store_error),
            Row::Postgres(row) => row.try_get(column).map_err(postgres::store_error),
        }
    }
    pub(crate) fn opt_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self {
            Row::Sqlite(row) => row.get(column).map_err(sqlite::store_error),
            Row::Postgres(row) => row.try_get(column).map_err(postgres::store_error),
        }
    }
    pub(crate) fn flag(&self, column: usize) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }
    pub(crate) fn text(&self, column: usize) -> Result<String, StoreError> {
        match self {
            Row::Sqlite(row) => row.get(column).map_err(sqlite::store_error),
            Row::Postgres(row) => row.try_get(column).map_err(postgres::store_error),
        }
    }
    pub(crate) fn opt_text(&self, column: usize) -> Result<Option<String>, StoreError> {
        match self {
            Row::Sqlite(row) => row.get(column).map_err(sqlite::store_error),
            Row::Postgres(row) => row.try_get(column).map_err(postgres::store_error),
        }
    }
    /// The octets where they lie: no copy is made.
    pub(crate) fn bytes(&self, column: usize) -> Result<&[u8], StoreError> {
        match self {
            Row::Sqlite(row) => row
                .get_ref(column)
                .map_err(sqlite::store_error)?
                .as_blob()
                .map_err(|e| StoreError::Damaged(format!("column {column}: {e}"))),
            Row::Postgres(row) => row.try_get(column).map_err(postgres::store_error),
        }
    }
    pub(crate) fn opt_bytes(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        match self {
            Row::Sqlite(row) => row
                .get_ref(column)
                .map_err(sqlite::store_error)?
                .as_blob_or_null()
                .map_err(|e| StoreError::Damaged(format!("column {column}: {e}"))),
            Row::Postgres(row) => row.try_get(column).map_err(postgres::store_error),
        }
    }
}

/// Who is to be woken when a transaction has committed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) accounts: Vec<AccountId>,
    pub(crate) queue: bool,
}

impl Touched {
    pub(crate) fn add(&mut self, other: Touched) {
        for account in other.accounts {
            if !self.accounts.contains(&account) {
                self.accounts.push(account);
            }
        }
        self.queue |= other.queue;
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.accounts.is_empty() && !self.queue
    }
}

/// A connection inside a transaction.
pub(crate) struct Tx {
    connection: Connection,
    touched: Mutex<Touched>,
}

enum Connection {
    Sqlite(sqlite::Guarded),
    Postgres(postgres::Client),
}

impl Tx {
    fn new(connection: Connection) -> Tx {
        Tx { connection, touched: Mutex::default() }
    }

    /// Every row of a query (or of `RETURNING`), turned by `read`.
    pub(crate) async fn rows<T: Send>(
        &self,
        sql: &'static str,
        params: &[Param<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> Result<Vec<T>, StoreError> {
        let mut out = Vec::new();
        self.each(sql, params, |row| {
            out.push(read(row)?);
            Ok(true)
        })
        .await?;
        Ok(out)
    }

    /// The first row, if there is one.
    pub(crate) async fn row<T: Send>(
        &self,
        sql: &'static str,
        params: &[Param<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> Result<Option<T>, StoreError> {
        let mut out = None;
        let mut read = Some(read);
        self.each(sql, params, |row| {
            if let Some(read) = read.take() {
                out = Some(read(row)?);
            }
            Ok(false)
        })
        .await?;
        Ok(out)
    }

    /// Shows rows one by one until `look` says false.
    pub(crate) async fn each(
        &self,
        sql: &'static str,
        params: &[Param<'_>],
        look: impl FnMut(&Row<'_>) -> Result<bool, StoreError> + Send,
    ) -> Result<(), StoreError> {
        match &self.connection {
            Connection::Sqlite(connection) => connection.each(sql, params, look),
            Connection::Postgres(client) => client.each(sql, params, look).await,
        }
    }

    /// Runs a statement; gives how many rows it changed.
    pub(crate) async fn run(
        &self,
        sql: &'static str,
        params: &[Param<'_>],
    ) -> Result<u64, StoreError> {
        match &self.connection {
            Connection::Sqlite(connection) => connection.run(sql, params),
            Connection::Postgres(client) => client.run(sql, params).await,
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.connection, Connection::Postgres(_))
    }

    /// Watchers of this account are woken after the commit.
    pub(crate) fn touch(&self, account: AccountId) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        if !touched.accounts.contains(&account) {
            touched.accounts.push(account);
        }
    }

    /// Those who wait for queue work are woken after the commit.
    pub(crate) fn touch_queue(&self) {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).queue = true;
    }

    fn take_touched(&self) -> Touched {
        std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request that waits to be part of a commit.
trait Request: Send {
    /// Runs the operation and keeps its outcome. True: it wants to be committed.
    fn attempt<'a>(&'a mut self, tx: &'a Tx) -> BoxFuture<'a, bool>;
    /// Answers with the outcome, or with `error` when the commit failed.
    fn answer(self: Box<Self>, error: Option<StoreError>);
    /// Accounts to be locked, in order, before the group begins.
    fn locks(&self) -> &[i64];
}

struct Waiting<I, T, E> {
    input: Arc<I>,
    operation: Operation<I, T, E>,
    outcome: Option<Result<T, E>>,
    reply: tokio::sync::oneshot::Sender<Result<T, E>>,
    locks: Vec<i64>,
}

impl<I, T, E> Request for Waiting<I, T, E>
where
    I: Send + Sync,
    T: Send,
    E: From<StoreError> + Send,
{
    fn attempt<'a>(&'a mut self, tx: &'a Tx) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            // Of an earlier attempt, which was undone.
            self.outcome = None;
            let outcome = (self.operation)(tx, &self.input).await;
            let keep = outcome.is_ok();
            self.outcome = Some(outcome);
            keep
        })
    }
    fn answer(self: Box<Self>, error: Option<StoreError>) {
        let outcome = match (error, self.outcome) {
            // An operation's own refusal stands whatever became of the commit.
            (_, Some(Err(refused))) => Err(refused),
            (Some(error), _) => Err(error.into()),
            (None, Some(outcome)) => outcome,
            (None, None) => Err(StoreError::Unavailable("the request was not run".into()).into()),
        };
        // A caller that went away needs no answer.
        let _ = self.reply.send(outcome);
    }
    fn locks(&self) -> &[i64] {
        &self.locks
    }
}

/// Either database.
pub(crate) enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

/// May a write be repeated when it is not known whether its commit arrived?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A second run changes nothing.
    Harmless,
    /// Say [`StoreError::Unavailable`] instead.
    Never,
}

impl Engine {
    /// Runs a read on one snapshot of the database.
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
        match self {
            Engine::Sqlite(sqlite) => sqlite.read(input, operation).await,
            Engine::Postgres(postgres) => postgres.read(input, operation).await,
        }
    }

    /// Like `read`, for a bounded handful of look-ups by key on the way of every message.
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
        match self {
            Engine::Sqlite(sqlite) => sqlite.read_brief(input, operation).await,
            Engine::Postgres(postgres) => postgres.read(input, operation).await,
        }
    }

    /// Runs a write; durable on return.
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
        match self {
            Engine::Sqlite(sqlite) => sqlite.write(input, operation).await,
            Engine::Postgres(postgres) => postgres.write(input, repeat, operation).await,
        }
    }

    /// Like `write` with [`Repeat::Harmless`], together with others that wait. `locks` are the
    /// accounts that it will write to.
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
        match self {
            Engine::Sqlite(sqlite) => sqlite.write(input, operation).await,
            Engine::Postgres(postgres) => postgres.write_grouped(input, locks, operation).await,
        }
    }

    /// Answers what waits, then lets go of the database.
    pub(crate) async fn close(&self) {
        match self {
            Engine::Sqlite(sqlite) => sqlite.close().await,
            Engine::Postgres(postgres) => postgres.close().await,
        }
    }
}
