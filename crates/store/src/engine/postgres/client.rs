//! One connection, and statements on it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use deadpool_postgres::Object;
use futures_util::TryStreamExt as _;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::super::{Connection, Param, Row, Tx, dialect};
use crate::StoreError;

/// Whether running an operation again from the start may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    Conflict,
    Lost,
}

/// A connection out of the pool. One that is dropped before its transaction ended is closed.
pub(crate) struct Client {
    pub(super) object: Option<Object>,
    pub(super) failed: AtomicBool,
    pub(super) trouble: AtomicU8,
    pub(super) clean: AtomicBool,
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

    pub(super) async fn control(&self, sql: &str) -> Result<(), StoreError> {
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

    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn trouble(&self) -> Trouble {
        match self.trouble.load(Ordering::Relaxed) {
            0 => Trouble::None,
            1 => Trouble::Conflict,
            _ => Trouble::Lost,
        }
    }

    /// The transaction has ended: the connection may be used again.
    pub(super) fn clean(&self) {
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
    pub(super) fn client(&self) -> &Client {
        match &self.connection {
            Connection::Postgres(client) => client,
            Connection::Sqlite(_) => unreachable!("made in this file over PostgreSQL"),
        }
    }
}

/// A parameter in the binary form of the type that the statement has for it.
#[derive(Debug)]
pub(super) struct Bound<'a>(&'a Param<'a>);

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

/// An error with its causes: the outermost one alone says little.
pub(super) fn explain(error: &dyn std::error::Error) -> String {
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
