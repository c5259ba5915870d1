//! The schema's history, embedded in the binary: equal numbers and names for both databases. Forward only; a migration is never
//! edited once merged, which sqlx's checksums would notice. `open` and `citadel db` call it.

use sqlx::{
    SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{Result, StoreError};

/// One step of the schema in both dialects.
struct Step {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! step {
    ($version:literal, $name:literal) => {
        Step {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
        }
    };
}

const STEPS: &[Step] = &[
    step!(1, "0001_create_accounts"),
    step!(2, "0002_create_workflows"),
    step!(3, "0003_create_executions"),
    step!(4, "0004_create_schedules"),
    step!(5, "0005_create_snapshots"),
    step!(6, "0006_create_variables"),
    step!(7, "0007_create_batches"),
    step!(8, "0008_create_members"),
    step!(9, "0009_create_credentials"),
    step!(10, "0010_create_audit"),
];

/// Which SQL a migration is wanted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// A migration that this binary knows, and whether the database has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationStatus {
    pub version: i64,
    pub name: &'static str,
    pub applied: bool,
}

/// What runs the migrations of a dialect. It takes an advisory lock in PostgreSQL; SQLite has the file lock.
pub(super) fn migrator(dialect: Dialect) -> Migrator {
    let migrations = STEPS
        .iter()
        .map(|step| {
            let sql = match dialect {
                Dialect::Sqlite => step.sqlite,
                Dialect::Postgres => step.postgres,
            };
            Migration::new(step.version, step.name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    Migrator::with_migrations(migrations)
}

/// The newest version that this binary knows.
pub(super) fn known_version() -> i64 {
    STEPS.last().map_or(0, |step| step.version)
}

/// Every known migration, of a store that needs none.
pub(super) fn all_applied() -> Vec<MigrationStatus> {
    STEPS.iter().map(|step| MigrationStatus { version: step.version, name: step.name, applied: true }).collect()
}

/// Every known migration, given the versions that the database has.
///
/// Errors: `SchemaTooNew` if the database has one that this binary does not know.
pub(super) fn status(applied: &[i64]) -> Result<Vec<MigrationStatus>> {
    let known = known_version();
    if let Some(found) = applied.iter().copied().max().filter(|found| *found > known) {
        return Err(StoreError::SchemaTooNew { found, known });
    }
    let status =
        |step: &Step| MigrationStatus { version: step.version, name: step.name, applied: applied.contains(&step.version) };
    Ok(STEPS.iter().map(status).collect())
}

/// Refuses a database that lacks a migration.
///
/// Errors: `SchemaTooOld`; `SchemaTooNew` as in [`status`].
pub(super) fn require_current(applied: &[i64]) -> Result<()> {
    if status(applied)?.iter().all(|step| step.applied) {
        return Ok(());
    }
    Err(StoreError::SchemaTooOld { found: applied.iter().copied().max().unwrap_or(0), known: known_version() })
}

/// What a failed migration means for the caller.
pub(super) fn migrate_error(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(_) | MigrateError::ExecuteMigration(..) => {
            StoreError::Unavailable { doing: "migrating the schema", source: Box::new(error) }
        }
        MigrateError::VersionMissing(found) => StoreError::SchemaTooNew { found, known: known_version() },
        other => StoreError::Corrupt { what: "schema version", source: Box::new(other) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_its_migrations_upwards() {
        assert!(STEPS.windows(2).all(|pair| pair[0].version < pair[1].version));
        for step in STEPS {
            assert!(step.name.starts_with(&format!("{:04}_", step.version)), "{}", step.name);
        }
    }

    #[test]
    fn refuses_a_schema_from_the_future() {
        let newer = known_version() + 1;
        assert!(matches!(status(&[1, newer]), Err(StoreError::SchemaTooNew { found, .. }) if found == newer));
    }

    #[test]
    fn refuses_a_schema_that_lacks_a_migration() {
        assert!(matches!(require_current(&[1]), Err(StoreError::SchemaTooOld { found: 1, .. })));
        assert!(matches!(require_current(&[]), Err(StoreError::SchemaTooOld { found: 0, .. })));
        let all: Vec<i64> = STEPS.iter().map(|step| step.version).collect();
        require_current(&all).unwrap();
    }
}
