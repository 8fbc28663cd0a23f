//! Making the tables, and bringing older ones up to date.
//!
//! Migrations are numbered from 1 and never change once released; the first makes everything. All
//! that are missing run in one transaction under a lock, so that of two nodes that start at once
//! one does the work and the other finds it done. A database newer than this program is refused.

use crate::{OpenError, StoreError, engine};

/// One step of the schema, in the words of each engine.
struct Migration {
    sqlite: &'static str,
    postgres: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        sqlite: include_str!("schema/sqlite.sql"),
        postgres: include_str!("schema/postgres.sql"),
    },
    Migration {
        sqlite: include_str!("schema/sqlite-2.sql"),
        postgres: include_str!("schema/postgres-2.sql"),
    },
    Migration {
        sqlite: include_str!("schema/sqlite-3.sql"),
        postgres: include_str!("schema/postgres-3.sql"),
    },
    Migration {
        sqlite: include_str!("schema/sqlite-4.sql"),
        postgres: include_str!("schema/postgres-4.sql"),
    },
    Migration {
        sqlite: include_str!("schema/sqlite-5.sql"),
        postgres: include_str!("schema/postgres-5.sql"),
    },
    Migration {
        sqlite: include_str!("schema/sqlite-6.sql"),
        postgres: include_str!("schema/postgres-6.sql"),
    },
    Migration {
        sqlite: include_str!("schema/sqlite-7.sql"),
        postgres: include_str!("schema/postgres-7.sql"),
    },
];

/// The newest schema that this program knows.
const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Holds during migration on PostgreSQL. Any number, the same in all nodes.
const ADVISORY_LOCK: i64 = 0x7761_7877_696e_6701;

/// The migrations that `found` lacks.
fn missing(found: i64) -> Result<&'static [Migration], OpenError> {
    match usize::try_from(found) {
        Ok(applied) if applied <= MIGRATIONS.len() => Ok(&MIGRATIONS[applied..]),
        _ => Err(OpenError::TooNew { found, known: KNOWN }),
    }
}

/// What a new database begins with.
fn first_rows() -> (i64, [u8; 32]) {
    (jiff::Timestamp::now().as_second(), rand::random())
}

pub(crate) fn migrate_sqlite(connection: &rusqlite::Connection) -> Result<(), OpenError> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(engine::sqlite::store_error)?;
    let outcome = migrate_sqlite_locked(connection);
    let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
    connection.execute_batch(end).map_err(engine::sqlite::store_error)?;
    outcome
}

fn migrate_sqlite_locked(connection: &rusqlite::Connection) -> Result<(), OpenError> {
    let db = engine::sqlite::store_error;
    let exists: bool = connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'schema_version')",
            [],
            |row| row.get(0),
        )
        .map_err(db)?;
    let found = if exists {
        connection
            .query_row("SELECT version FROM schema_version", [], |row| row.get(0))
            .map_err(db)?
    } else {
        let tables: i64 = connection
            .query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0))
            .map_err(db)?;
        if tables > 0 {
            return Err(foreign());
        }
        0
    };
    let missing = missing(found)?;
    for migration in missing {
        connection.execute_batch(migration.sqlite).map_err(db)?;
    }
    if found == 0 {
        let (seconds, secret) = first_rows();
        connection
            .execute("INSERT INTO schema_version (only_row, version) VALUES (1, 0)", [])
            .map_err(db)?;
        connection
            .execute("INSERT INTO counters (name, value) VALUES ('uid_validity', ?1)", [seconds])
            .map_err(db)?;
        connection
            .execute("INSERT INTO secrets (name, value) VALUES ('invented-keys', ?1)", [&secret])
            .map_err(db)?;
    }
    if !missing.is_empty() {
        connection.execute("UPDATE schema_version SET version = ?1", [KNOWN]).map_err(db)?;
    }
    Ok(())
}

pub(crate) async fn migrate_postgres(client: &mut tokio_postgres::Client) -> Result<(), OpenError> {
    let db = engine::postgres::store_error;
    let transaction = client.transaction().await.map_err(db)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&ADVISORY_LOCK]).await.map_err(db)?;
    let exists: bool = transaction
        .query_one("SELECT to_regclass('schema_version') IS NOT NULL", &[])
        .await
        .map_err(db)?
        .get(0);
    let found = if exists {
        transaction.query_one("SELECT version FROM schema_version", &[]).await.map_err(db)?.get(0)
    } else {
        0
    };
    let missing = missing(found)?;
    for migration in missing {
        transaction.batch_execute(migration.postgres).await.map_err(db)?;
    }
    if found == 0 {
        let (seconds, secret) = first_rows();
        transaction
            .execute("INSERT INTO schema_version (only_row, version) VALUES (1, 0)", &[])
            .await
            .map_err(db)?;
        transaction
            .execute("INSERT INTO counters (name, value) VALUES ('uid_validity', $1)", &[&seconds])
            .await
            .map_err(db)?;
        transaction
            .execute(
                "INSERT INTO secrets (name, value) VALUES ('invented-keys', $1)",
                &[&secret.as_slice()],
            )
            .await
            .map_err(db)?;
    }
    if !missing.is_empty() {
        transaction
            .execute("UPDATE schema_version SET version = $1", &[&KNOWN])
            .await
            .map_err(db)?;
    }
    transaction.commit().await.map_err(db)?;
    Ok(())
}

/// A SQLite file of some other program is left alone.
fn foreign() -> OpenError {
    StoreError::Damaged("the file has tables, but not those of a mail store".into()).into()
}
