//! Connections to a database file, and statements on them.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::ffi;

use super::super::{Connection, Param, Row, Tx, dialect};
use crate::StoreError;

/// How long a lock held by another process is waited for.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(15);
/// What a commit, a statement that writes and each row of it add to the log at least, or nearly.
pub(super) const OCTETS_PER_COMMIT: u64 = 4_096;
pub(super) const OCTETS_PER_STATEMENT: u64 = 256;
pub(super) const OCTETS_PER_ROW: u64 = 128;

pub(super) fn connect(path: &Path) -> Result<rusqlite::Connection, StoreError> {
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
    // Plans do not look at what is bound. Otherwise a statement with a bound LIMIT is planned again for
    // each value, which takes ten times as long as running it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(store_error)?;
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

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> Result<rusqlite::Connection, StoreError> {
    let connection = connect(path)?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -2000;")
        .map_err(store_error)?;
    Ok(connection)
}

/// A connection that futures may hold on to. Nobody ever waits for the lock: a connection is used
/// by one thread at a time.
pub(crate) struct Guarded {
    connection: Mutex<rusqlite::Connection>,
    /// About how many octets the log has grown by: bound values, statements, rows, commits. The
    /// true number would need a hook in C; the file's length is looked at besides.
    pub(super) grown: AtomicU64,
}

impl Guarded {
    pub(super) fn new(connection: rusqlite::Connection) -> Guarded {
        Guarded { connection: Mutex::new(connection), grown: AtomicU64::new(0) }
    }

    pub(super) fn grow(&self, octets: u64) {
        self.grown.fetch_add(octets, Ordering::Relaxed);
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, rusqlite::Connection> {
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
    pub(super) fn end(&self) -> Result<(), StoreError> {
        if self.lock().is_autocommit() { Ok(()) } else { self.run("COMMIT", &[]).map(drop) }
    }

    pub(super) fn in_transaction(&self) -> bool {
        !self.lock().is_autocommit()
    }

    pub(super) fn roll_back(&self) {
        if self.in_transaction()
            && let Err(error) = self.run("ROLLBACK", &[])
        {
            tracing::error!(%error, "could not roll back");
        }
    }
}

pub(super) fn json<T: serde::Serialize>(values: &[T]) -> String {
    serde_json::to_string(values).expect("integers and strings always have a JSON form")
}

impl Tx {
    pub(super) fn sqlite(&self) -> &Guarded {
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
