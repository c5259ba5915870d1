//! The backend of clusters: any number of processes on one PostgreSQL (14 or newer). Every append is fenced by the row of its
//! shard, so safety rests on no clock; leases run by the database's clock.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{
    Connection as _, PgPool, Postgres, Transaction,
    pool::PoolConnectionMetadata,
    postgres::{PgConnectOptions, PgConnection, PgPoolOptions},
};

use self::{error::failed, partitions::Partitions};
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

super::delegate::implement_store!(PostgresStore, "postgres");

mod accounts;
mod api_keys;
mod audit;
mod batches;
mod claims;
mod credentials;
mod error;
mod executions;
mod hooks;
mod inbox;
mod invitations;
mod journal;
mod master_keys;
mod members;
mod partitions;
mod retention;
mod roles;
mod rows;
mod schedules;
mod sessions;
mod shards;
mod snapshots;
mod tags;
mod usage;
mod variables;
mod workflows;
mod workspaces;

/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that was idle for longer is tried before it is used: the server or something between may have cut it.
const IDLE_UNTRIED_MAX: Duration = Duration::from_secs(5);
/// What each connection asks of the server. A statement that outlives its limit is cut, and so is a transaction that waits for
/// us. The statements are short: compiling them costs more than it saves. Each has an index, so that reading a whole table is
/// never right, but plans are kept, and one that was made while a table was empty would do that.
const SESSION_OPTIONS: [(&str, &str); 5] = [
    ("application_name", "citadel"),
    ("statement_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("jit", "off"),
    ("enable_seqscan", "off"),
];

/// What keeps an append of a former owner out.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// The row of the shard is locked until the append's commit.
    RowLock,
    /// The epoch is compared, but nothing is locked: for the test that shows that the lock is needed.
    WithoutRowLock,
}

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    pool: PgPool,
    partitions: Partitions,
    append_sql: journal::AppendSql,
}

impl PostgresStore {
    /// Connects, brings the schema up to date if that is wanted, and makes the journal's next partitions.
    ///
    /// Errors: `SchemaTooNew`, `SchemaTooOld`; `Unavailable`.
    pub async fn open(connect: PgConnectOptions, connections_max: u32, migrate: MigrateMode) -> Result<Self> {
        Self::open_fenced(connect, connections_max, migrate, Fence::RowLock).await
    }

    /// As [`open`](Self::open), with a choice that only a test has.
    #[doc(hidden)]
    pub async fn open_fenced(
        connect: PgConnectOptions,
        connections_max: u32,
        migrate: MigrateMode,
        fence: Fence,
    ) -> Result<Self> {
        prepare_schema(&connect, migrate).await?;
        let pool = PgPoolOptions::new()
            .max_connections(connections_max.max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, metadata| Box::pin(try_idle(connection, metadata)));
        let pool = pool.connect_with(connect.options(SESSION_OPTIONS)).await.map_err(failed("connecting"))?;
        let store = Self { pool, partitions: Partitions::default(), append_sql: journal::AppendSql::new(fence) };
        store.partitions.ensure_ahead(&store.pool).await?;
        Ok(store)
    }

    /// The versions of the migrations that the database has.
    pub(super) async fn applied_migrations(connect: PgConnectOptions) -> Result<Vec<i64>> {
        let mut connection = PgConnection::connect_with(&connect).await.map_err(failed("connecting"))?;
        let applied = applied(&mut connection).await;
        connection.close().await.map_err(failed("disconnecting"))?;
        applied
    }

    /// What the server's clock says, in Unix milliseconds.
    pub(super) async fn clock_ms(connect: PgConnectOptions) -> Result<u64> {
        const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint LIMIT 1";
        let mut connection = PgConnection::connect_with(&connect).await.map_err(failed("connecting"))?;
        let clock_ms: std::result::Result<i64, _> = sqlx::query_scalar(CLOCK).fetch_one(&mut connection).await;
        let clock_ms = clock_ms.map_err(failed("asking for the time"))?;
        connection.close().await.map_err(failed("disconnecting"))?;
        Ok(u64::try_from(clock_ms).unwrap_or(0))
    }

    async fn begin(&self, doing: &'static str) -> Result<Transaction<'static, Postgres>> {
        self.pool.begin().await.map_err(failed(doing))
    }

    async fn close_pools(&self) {
        self.pool.close().await;
    }

    fn reader(&self) -> &PgPool {
        &self.pool
    }

    fn pools(&self) -> [(&'static str, &PgPool); 1] {
        [("all", &self.pool)]
    }
}

/// Trying every connection at every use would double the round trips of the journal.
async fn try_idle(connection: &mut PgConnection, metadata: PoolConnectionMetadata) -> sqlx::Result<bool> {
    if metadata.idle_for > IDLE_UNTRIED_MAX {
        connection.ping().await?;
    }
    Ok(true)
}

/// Works on a connection of its own, without the time limits of the pool's: a migration may take long.
async fn prepare_schema(connect: &PgConnectOptions, migrate: MigrateMode) -> Result<()> {
    if migrate == MigrateMode::Off {
        return Ok(());
    }
    let mut connection = PgConnection::connect_with(connect).await.map_err(failed("connecting"))?;
    let applied = applied(&mut connection).await?;
    if migrate == MigrateMode::Check {
        migrations::require_current(&applied)?;
    } else {
        migrations::status(&applied)?;
        migrations::migrator(Dialect::Postgres).run(&mut connection).await.map_err(migrations::migrate_error)?;
    }
    connection.close().await.map_err(failed("disconnecting"))
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<i64>> {
    const EXISTS: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL LIMIT 1";
    const VERSIONS: &str = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version LIMIT 10000";
    let doing = "reading the schema's version";
    let exists: bool = sqlx::query_scalar(EXISTS).fetch_one(&mut *connection).await.map_err(failed(doing))?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(VERSIONS).fetch_all(connection).await.map_err(failed(doing))
}
