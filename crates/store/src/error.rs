//! What can go wrong with the store itself. Operations have enums of their own that wrap this.

/// The store could not do its work. The type says whether trying again can help.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Temporary: connection lost, lock held, too many conflicts. SMTP 451 4.3.0.
    #[error("the database is not answering: {0}")]
    Unavailable(String),
    /// Temporary until someone frees space. SMTP 452 4.3.1.
    #[error("the disk that holds the mail is full: {0}")]
    NoSpace(String),
    /// Stored data is not what it should be: the operator must act.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    /// From a file operation.
    pub(crate) fn from_io(error: &std::io::Error) -> StoreError {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded => StoreError::NoSpace(error.to_string()),
            _ => StoreError::Unavailable(error.to_string()),
        }
    }
}

/// Opening failed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operator wrote something else than `sqlite:PATH` or `postgres://…`.
    #[error("the database URL {url:?} is not understood: {why}")]
    Url {
        /// As written, without its password.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// An older program meets a newer database: it must not touch it.
    #[error(
        "the database was made by a newer version (schema {found}, this program knows {known}): run that version or a newer one"
    )]
    TooNew {
        /// The database's schema.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// The database did not answer, is full or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
}
