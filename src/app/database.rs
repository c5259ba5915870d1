//! The database's schema, for the command line.

use anyhow::Context;

use crate::{
    config::Config,
    store::open::{self, MigrationStatus},
};

/// One migration that this release knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    pub version: i64,
    pub name: &'static str,
    pub applied: bool,
}

/// Every migration, and whether the database has it. Changes nothing.
///
/// Errors: the database cannot be reached.
pub async fn migrations(config: &Config) -> anyhow::Result<Vec<Migration>> {
    let all = open::migration_status(&config.store_url()).await.context("cannot read the database's schema")?;
    Ok(all.into_iter().map(Migration::from).collect())
}

/// Brings the schema up to date. Answers the migrations that were missing.
///
/// Errors: the database cannot be reached, or is used by another process.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<Migration>> {
    tokio::fs::create_dir_all(&config.data_dir).await.context("cannot create the data directory")?;
    let done = open::migrate(&config.store_url()).await.context("cannot migrate the database")?;
    Ok(done.into_iter().map(Migration::from).collect())
}

impl From<MigrationStatus> for Migration {
    fn from(status: MigrationStatus) -> Self {
        Self { version: status.version, name: status.name, applied: status.applied }
    }
}
