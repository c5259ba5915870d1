//! The embedded backend: one SQLite file, one process. WAL with `synchronous = FULL`, one connection that writes and a few that
//! read. An OS lock beside the file keeps a second process out; shards and epochs work as in a cluster, with one owner.

use std::{fs::File, path::Path, time::Duration};

use async_trait::async_trait;
use sqlx::{
    Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use self::error::failed;
use super::{
    AcceptInvitation, AccessRow, Activation, ApiKeyChange, ApiKeyCursor, ApiKeyRow, Append, AppendOutcome, AuditChain,
    AuditFilter, AuditOrder, AuditRow, BatchCursor, BatchProgress, BatchRow, ChangeMember, ClaimSetup, ConnectionPool,
    DeleteRole, DeleteVariable, DeleteWorkspace, DueExecution, ExclusiveOutcome, ExecutionCursor, ExecutionFilter, ExecutionRow,
    FireOutcome, FireSchedule, HookRow, IdempotencyKey, IdentityRow, InboxRow, InsertBatch, InsertInvitation, InsertMember,
    InsertRole, InsertSchedule, InsertVariable, InsertWorkspace, InvitationRow, Invitee, JoinedWorkspace, JournalRow,
    KeyedOutcome, MemberRow, MoveSchedule, NewBatch, NewRole, NewSchedule, NewVariable, NewVersion, NewWorkflow, OnTaken,
    PageRequest, PasswordStep, Payload, PeopleStore, Publication, PutInbox, Result, RoleChange, RoleGrant, RoleRow, RotateApiKey,
    RotateOutcome, RotateSession, ScheduleContent, ScheduleCursor, ScheduleRow, SessionRow, SetupState, SetupTokenRow,
    ShardLease, Snapshot, Store, TagCount, UpdateRole, UpdateSchedule, UpdateVariable, UpdateWorkflow, UserChange, UserRow,
    VariableChange, VariableRow, VersionRow, VersionSummary, WorkflowCursor, WorkflowFilter, WorkflowRow, WorkspaceRow,
    migrations::{self, Dialect},
    open::MigrateMode,
};
use super::{
    AdmitMasterKey, CredentialChange, CredentialRow, CredentialUser, DeleteCredential, Grant, InsertCredential,
    MASTER_KEY_ID_BYTES, MasterKeyRow, NewCredential, Reseal, UpdateCredential,
};
use crate::model::{
    audit::AuditRecord,
    ids::{
        BatchId, CredentialId, ExecutionId, InboxId, InvitationId, KeyId, NodeInstanceId, ScheduleId, SessionId, UserId,
        WorkflowId, WorkspaceId,
    },
    schedule::Tick,
};

super::delegate::implement_store!(SqliteStore, "sqlite");

mod accounts;
mod api_keys;
mod audit;
mod batches;
mod chunks;
mod claims;
mod credentials;
mod error;
mod executions;
mod hooks;
mod inbox;
mod invitations;
mod journal;
mod lock;
mod master_keys;
mod members;
mod retention;
mod roles;
mod schedules;
mod sessions;
mod shards;
mod snapshots;
mod tags;
mod usage;
mod variables;
mod workflows;
mod workspaces;

/// Connections that read while the one that writes is busy.
const READERS_MAX: u32 = 4;
/// How long a statement waits for the database file, and a caller for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Prepared statements per connection: each multi-row statement takes seven.
const STATEMENTS_MAX: usize = 200;
/// Page cache of a connection, in KiB (SQLite's sign for "not pages" is the minus).
const CACHE_KIB: &str = "-16000";

/// A store in one SQLite file.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    /// Holds the OS lock until the store is dropped.
    _lock: File,
}

impl SqliteStore {
    /// Opens the file, makes it if it is not there, and keeps every other process out of it.
    ///
    /// Errors: `Locked`; `SchemaTooNew`, `SchemaTooOld`; `Unavailable`.
    pub async fn open(path: &Path, migrate: MigrateMode) -> Result<Self> {
        let lock = lock::take(path).await?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .statement_cache_capacity(STATEMENTS_MAX)
            .pragma("cache_size", CACHE_KIB);
        let writer =
            SqlitePoolOptions::new().max_connections(1).acquire_timeout(BUSY_TIMEOUT).idle_timeout(None).max_lifetime(None);
        let writer = writer
            .connect_with(
                options
                    .clone()
                    .create_if_missing(true)
                    .auto_vacuum(SqliteAutoVacuum::Incremental)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full),
            )
            .await
            .map_err(failed("opening the database"))?;
        prepare_schema(&writer, migrate).await?;
        shards::void_leases(&writer).await?;
        let readers = SqlitePoolOptions::new().max_connections(READERS_MAX).acquire_timeout(BUSY_TIMEOUT);
        let readers = readers.connect_lazy_with(options.read_only(true));
        Ok(Self { writer, readers, _lock: lock })
    }

    /// Begins a transaction that may write. There is one connection for it, so writers queue here and never meet in SQLite.
    async fn begin(&self, doing: &'static str) -> Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(doing))
    }

    /// Closes both pools: the readers first, so that the writer's last checkpoint sees no one.
    async fn close_pools(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    fn pools(&self) -> [(&'static str, &SqlitePool); 2] {
        [("writer", &self.writer), ("readers", &self.readers)]
    }

    /// The versions of the migrations that a file has; none if there is no file. Takes no lock.
    pub(super) async fn applied_migrations(path: &Path) -> Result<Vec<i64>> {
        if !path.exists() {
            return Ok(Vec::new());
        }
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).read_only(true);
        let reader = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
        let reader = reader.map_err(failed("opening the database"))?;
        let applied = applied(&reader).await;
        reader.close().await;
        applied
    }
}

async fn prepare_schema(writer: &SqlitePool, migrate: MigrateMode) -> Result<()> {
    match migrate {
        MigrateMode::Auto => {
            migrations::status(&applied(writer).await?)?;
            migrations::migrator(Dialect::Sqlite).run(writer).await.map_err(migrations::migrate_error)
        }
        MigrateMode::Check => migrations::require_current(&applied(writer).await?),
        MigrateMode::Off => Ok(()),
    }
}

async fn applied(pool: &SqlitePool) -> Result<Vec<i64>> {
    const TABLES: &str = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations' LIMIT 1";
    const VERSIONS: &str = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version LIMIT 10000";
    let tables: i64 = sqlx::query_scalar(TABLES).fetch_one(pool).await.map_err(failed("reading the schema's version"))?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(VERSIONS).fetch_all(pool).await.map_err(failed("reading the schema's version"))
}
