//! Why a store cannot do what it is asked.

/// Why a store operation failed, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row breaks a constraint; a repetition would break it again.
    #[error("a row conflicts with a stored one ({constraint})")]
    Conflict { constraint: String },
    /// The store cannot be reached or is overloaded; whether a write took effect is unknown.
    #[error("the store is unavailable while {doing}")]
    Unavailable {
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A stored row cannot be read: it was damaged, or written by a newer release.
    #[error("a stored {what} cannot be read")]
    Corrupt {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The schema is newer than this binary.
    #[error("the database's schema is at version {found}, this binary knows {known}: run the newer release")]
    SchemaTooNew { found: i64, known: i64 },
    /// The schema is older than this binary and migration is not allowed here.
    #[error("the database's schema is at version {found}, this binary needs {known}: run `citadel db migrate`")]
    SchemaTooOld { found: i64, known: i64 },
    /// Another process has the embedded database open.
    #[error("another process uses the database {path}")]
    Locked { path: String },
    /// The URL does not name a store.
    #[error("`{url}` is no store: use sqlite://PATH, sqlite::memory: or postgres://...")]
    InvalidUrl { url: String },
}
