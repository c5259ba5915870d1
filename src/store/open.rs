//! Opens the store that a URL names, and looks after its schema. `app` and `citadel db` call it.

use std::{
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::Arc,
};

use sqlx::postgres::PgConnectOptions;

pub use super::migrations::MigrationStatus;
use super::{Result, Store, StoreError, memory::MemoryStore, migrations, postgres::PostgresStore, sqlite::SqliteStore};

/// Connections to PostgreSQL where the configuration names no number.
pub const CONNECTIONS_DEFAULT: u32 = 10;

/// What opening a store does about its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrateMode {
    /// Brings it up to date.
    Auto,
    /// Refuses one that is not.
    Check,
    /// Trusts the caller.
    Off,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// `sqlite://PATH`, `sqlite::memory:` or `postgres://...`.
    pub url: String,
    pub migrate: MigrateMode,
    /// Most connections to PostgreSQL at a time; the others have a fixed number.
    pub connections_max: u32,
}

impl OpenOptions {
    /// Migrates by itself, with [`CONNECTIONS_DEFAULT`] connections.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), migrate: MigrateMode::Auto, connections_max: CONNECTIONS_DEFAULT }
    }
}

/// Opens a store.
///
/// Errors: `InvalidUrl`; `Locked`; `SchemaTooNew`, `SchemaTooOld`; `Unavailable`.
pub async fn open(options: &OpenOptions) -> Result<Arc<dyn Store>> {
    match Target::parse(&options.url)? {
        Target::Memory => Ok(Arc::new(MemoryStore::new())),
        Target::Sqlite(path) => Ok(Arc::new(SqliteStore::open(&path, options.migrate).await?)),
        Target::Postgres(connect) => Ok(Arc::new(PostgresStore::open(*connect, options.connections_max, options.migrate).await?)),
    }
}

/// Every migration that this binary knows, and whether the database has it. Changes nothing.
///
/// Errors: as [`open`], but never `Locked`.
pub async fn migration_status(url: &str) -> Result<Vec<MigrationStatus>> {
    let applied = match Target::parse(url)? {
        Target::Memory => return Ok(migrations::all_applied()),
        Target::Sqlite(path) => SqliteStore::applied_migrations(&path).await?,
        Target::Postgres(connect) => PostgresStore::applied_migrations(*connect).await?,
    };
    migrations::status(&applied)
}

/// Brings the schema up to date and answers the migrations that this took.
///
/// Errors: as [`open`].
pub async fn migrate(url: &str) -> Result<Vec<MigrationStatus>> {
    let before = migration_status(url).await?;
    open(&OpenOptions::new(url)).await?.close().await;
    let missing = before.into_iter().filter(|step| !step.applied);
    Ok(missing.map(|step| MigrationStatus { applied: true, ..step }).collect())
}

/// What the clock of the database's machine says, in Unix milliseconds; `None` for one that is embedded in this process.
///
/// Errors: `InvalidUrl`, `Unavailable`.
pub async fn database_clock_ms(url: &str) -> Result<Option<u64>> {
    match Target::parse(url)? {
        Target::Memory | Target::Sqlite(_) => Ok(None),
        Target::Postgres(connect) => PostgresStore::clock_ms(*connect).await.map(Some),
    }
}

/// Whether this is the URL of a store.
///
/// Errors: `InvalidUrl`.
pub fn check_url(url: &str) -> Result<()> {
    Target::parse(url).map(drop)
}

/// What a URL names.
#[derive(Debug)]
pub(super) enum Target {
    Memory,
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self> {
        let invalid = || StoreError::InvalidUrl { url: without_password(url) };
        if url == "sqlite::memory:" {
            return Ok(Self::Memory);
        }
        if let Some(path) = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
            if path.is_empty() || path.contains(['?', '#']) {
                return Err(invalid());
            }
            return Ok(Self::Sqlite(Path::new(path).to_owned()));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return PgConnectOptions::from_str(url).map(|options| Self::Postgres(Box::new(options))).map_err(|_| invalid());
        }
        Err(invalid())
    }
}

/// The URL for error messages: what stands before the last `@` may be a password.
pub(super) fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        (None, Some((_, rest))) => format!("***@{rest}"),
        (_, None) => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: &str) {
        let shown = match Target::parse(url) {
            Ok(Target::Memory) => "memory".to_owned(),
            Ok(Target::Sqlite(path)) => format!("sqlite {}", path.display()),
            Ok(Target::Postgres(options)) => format!("postgres {}:{}", options.get_host(), options.get_port()),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn tells_the_stores_apart() {
        check("sqlite::memory:", "memory");
        check("sqlite:///var/lib/citadel/citadel.db", "sqlite /var/lib/citadel/citadel.db");
        check("sqlite://data/citadel.db", "sqlite data/citadel.db");
        check("postgres://user:secret@db.example:6432/citadel", "postgres db.example:6432");
    }

    #[test]
    fn refuses_what_names_no_store_and_hides_passwords() {
        let hint = "is no store: use sqlite://PATH, sqlite::memory: or postgres://...";
        check("mysql://root:secret@localhost/x", &format!("`mysql://***@localhost/x` {hint}"));
        check("sqlite://", &format!("`sqlite://` {hint}"));
        check("sqlite://a.db?mode=ro", &format!("`sqlite://a.db?mode=ro` {hint}"));
        check("", &format!("`` {hint}"));
    }
}
