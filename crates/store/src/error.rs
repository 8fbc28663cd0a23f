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

/// Opening failed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the database URL {url:?} is not understood: {why}")]
    Url { url: String, why: String },
    #[error(
        "the database was made by a newer version (schema {found}, this program knows {known}): run that version or a newer one"
    )]
    TooNew { found: i64, known: i64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}
