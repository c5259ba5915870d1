//! Rows as both databases give them, and what they mean. `sqlx`'s `FromRow` knows one database at a time, so each row type is
//! declared once here and read by both.

use std::collections::BTreeSet;

use bytes::Bytes;
use sqlx::{FromRow, Row as _, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    DueExecution, Encoding, ExecutionRow, HookRow, InboxKind, InboxRow, JournalRow, NewExecution, NewHook, Payload, Result,
    ShardLease, StateChange, StoreError, TokenKind, TokenRow, UserRow, VersionRow, VersionSummary, WorkflowRow,
};
use crate::model::{
    execution::{ExecutionStatus, TriggerKind},
    ids::{ExecutionId, InboxId, SHARD_COUNT, TokenId, UserId, WorkflowId, WorkspaceId},
};

/// A stored number that this release gives no meaning to.
#[derive(Debug, thiserror::Error)]
#[error("{column} holds {value}")]
struct UnknownValue {
    column: &'static str,
    value: i64,
}

/// Stored bytes of another length than the column's.
#[derive(Debug, thiserror::Error)]
#[error("{column} holds {length} bytes")]
struct UnknownLength {
    column: &'static str,
    length: usize,
}

/// Milliseconds as the databases keep them. Saturates after 292 million years.
pub(super) fn millis(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// A count or a number as the databases keep it.
/// Errors: `Conflict` above 2^31 - 1, which no limit of the engine reaches.
pub(super) fn number(value: u32) -> Result<i32> {
    i32::try_from(value).map_err(|_| StoreError::Conflict { constraint: "number_range".to_owned() })
}

/// Shards as the databases keep them: each once, in order, without those that do not exist.
pub(super) fn shards(shards: &[u16]) -> Vec<i16> {
    let existing: BTreeSet<u16> = shards.iter().copied().filter(|shard| *shard < SHARD_COUNT).collect();
    existing.into_iter().filter_map(|shard| i16::try_from(shard).ok()).collect()
}

/// The id that a page begins above: the nil one, which is no execution's, at the beginning.
pub(super) fn after(id: Option<ExecutionId>) -> Uuid {
    id.map_or(Uuid::nil(), ExecutionId::uuid)
}

/// A lease's length as the databases add it to their clocks. At most ten years, so that the sum is a time.
pub(super) fn lease(ms: u64) -> i64 {
    const LEASE_MS_MAX: u64 = 10 * 365 * 24 * 3_600_000;
    millis(ms.min(LEASE_MS_MAX))
}

/// The shard of an execution as the databases keep it.
pub(super) fn shard_of(execution: ExecutionId) -> i16 {
    i16::try_from(execution.shard()).expect("shards are below 256")
}

fn unknown(what: &'static str, column: &'static str, value: impl Into<i64>) -> StoreError {
    StoreError::Corrupt { what, source: Box::new(UnknownValue { column, value: value.into() }) }
}

/// What a stored status means.
pub(super) fn status(code: i16) -> Result<ExecutionStatus> {
    ExecutionStatus::from_code(code).ok_or_else(|| unknown("execution", "status", code))
}

fn time(what: &'static str, column: &'static str, value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| unknown(what, column, value))
}

fn optional_time(what: &'static str, column: &'static str, value: Option<i64>) -> Result<Option<u64>> {
    value.map(|value| time(what, column, value)).transpose()
}

fn count(what: &'static str, column: &'static str, value: i32) -> Result<u32> {
    u32::try_from(value).map_err(|_| unknown(what, column, value))
}

fn hash(what: &'static str, column: &'static str, bytes: &[u8]) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| StoreError::Corrupt { what, source: Box::new(UnknownLength { column, length: bytes.len() }) })
}

fn payload(what: &'static str, encoding: i16, body: Vec<u8>) -> Result<Payload> {
    let encoding = Encoding::from_code(encoding).ok_or_else(|| unknown(what, "encoding", encoding))?;
    Ok(Payload { encoding, bytes: Bytes::from(body) })
}

/// Declares a row by its columns. Takes the place of sqlx's derive, which is part of its macros feature.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident { $($column:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        pub(super) struct $name { $(pub(super) $column: $type),* }

        impl FromRow<'_, PgRow> for $name {
            fn from_row(row: &PgRow) -> sqlx::Result<Self> {
                Ok(Self { $($column: row.try_get(stringify!($column))?),* })
            }
        }

        impl FromRow<'_, SqliteRow> for $name {
            fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
                Ok(Self { $($column: row.try_get(stringify!($column))?),* })
            }
        }
    )*};
}

rows! {
    JournalColumns { seq: i32, event_count: i32, epoch: i64, at: i64, encoding: i16, body: Vec<u8> }
    ExecutionColumns {
        id: Uuid, workspace_id: Uuid, workflow_id: Uuid, parent_id: Option<Uuid>, retry_of: Option<Uuid>, created_at: i64,
        wake_at: Option<i64>, finished_at: Option<i64>, expires_at: Option<i64>, version: i32, status: i16, trigger_kind: i16,
        business_key: Option<String>, error_code: Option<String>,
    }
    DueColumns { id: Uuid, wake_at: i64 }
    InboxColumns {
        id: Uuid, execution_id: Uuid, at: i64, kind: i16, encoding: i16, name: String, dedupe_key: Option<String>, body: Vec<u8>,
    }
    /// What became of a message: its target's status, how many wait there, whether it is one of them, whether it was stored.
    PutColumns { status: i16, waiting: i64, duplicate: bool, stored: bool }
    KeyColumns { execution_id: Uuid, request_hash: Vec<u8> }
    LeaseColumns { shard: i16, epoch: i64 }
    WorkflowColumns {
        id: Uuid, workspace_id: Uuid, name: String, latest_version: i32, active_version: Option<i32>, created_at: i64,
        updated_at: i64,
    }
    VersionColumns { workflow_id: Uuid, version: i32, definition: Vec<u8>, created_at: i64 }
    VersionSummaryColumns { version: i32, created_at: i64 }
    HookColumns { workspace_id: Uuid, workflow_id: Uuid, version: i32, method: String, path: String, node: String }
    UserColumns { id: Uuid, workspace_id: Uuid, email: String, password_hash: String, created_at: i64 }
    TokenColumns {
        id: Uuid, workspace_id: Uuid, kind: i16, user_id: Option<Uuid>, hash: Vec<u8>, created_at: i64, expires_at: Option<i64>,
    }
}

/// Turns rows into what crosses the trait.
pub(super) fn all<C, R>(columns: Vec<C>) -> Result<Vec<R>>
where
    R: TryFrom<C, Error = StoreError>,
{
    columns.into_iter().map(R::try_from).collect()
}

impl TryFrom<JournalColumns> for JournalRow {
    type Error = StoreError;

    fn try_from(columns: JournalColumns) -> Result<Self> {
        let what = "journal row";
        Ok(Self {
            seq: count(what, "seq", columns.seq)?,
            count: count(what, "event_count", columns.event_count)?,
            epoch: columns.epoch,
            at: time(what, "at", columns.at)?,
            body: payload(what, columns.encoding, columns.body)?,
        })
    }
}

impl TryFrom<ExecutionColumns> for ExecutionRow {
    type Error = StoreError;

    fn try_from(columns: ExecutionColumns) -> Result<Self> {
        let what = "execution";
        let trigger =
            TriggerKind::from_code(columns.trigger_kind).ok_or_else(|| unknown(what, "trigger_kind", columns.trigger_kind))?;
        Ok(Self {
            id: ExecutionId::from_uuid(columns.id),
            new: NewExecution {
                workspace: WorkspaceId::from_uuid(columns.workspace_id),
                workflow: WorkflowId::from_uuid(columns.workflow_id),
                version: count(what, "version", columns.version)?,
                trigger,
                parent: columns.parent_id.map(ExecutionId::from_uuid),
                retry_of: columns.retry_of.map(ExecutionId::from_uuid),
                business_key: columns.business_key,
            },
            state: StateChange {
                status: status(columns.status)?,
                wake_at: optional_time(what, "wake_at", columns.wake_at)?,
                finished_at: optional_time(what, "finished_at", columns.finished_at)?,
                error_code: columns.error_code,
                expires_at: optional_time(what, "expires_at", columns.expires_at)?,
            },
            created_at: time(what, "created_at", columns.created_at)?,
        })
    }
}

impl TryFrom<DueColumns> for DueExecution {
    type Error = StoreError;

    fn try_from(columns: DueColumns) -> Result<Self> {
        Ok(Self { id: ExecutionId::from_uuid(columns.id), wake_at: time("execution", "wake_at", columns.wake_at)? })
    }
}

impl TryFrom<InboxColumns> for InboxRow {
    type Error = StoreError;

    fn try_from(columns: InboxColumns) -> Result<Self> {
        let what = "inbox row";
        Ok(Self {
            id: InboxId::from_uuid(columns.id),
            execution: ExecutionId::from_uuid(columns.execution_id),
            kind: InboxKind::from_code(columns.kind).ok_or_else(|| unknown(what, "kind", columns.kind))?,
            name: columns.name,
            dedupe_key: columns.dedupe_key,
            body: payload(what, columns.encoding, columns.body)?,
            at: time(what, "at", columns.at)?,
        })
    }
}

impl KeyColumns {
    /// The execution that a key made, and the hash of the request that did.
    pub(super) fn read(&self) -> Result<(ExecutionId, [u8; 32])> {
        let request_hash = hash("idempotency key", "request_hash", &self.request_hash)?;
        Ok((ExecutionId::from_uuid(self.execution_id), request_hash))
    }
}

impl TryFrom<LeaseColumns> for ShardLease {
    type Error = StoreError;

    fn try_from(columns: LeaseColumns) -> Result<Self> {
        let shard = u16::try_from(columns.shard).map_err(|_| unknown("shard", "shard", columns.shard))?;
        Ok(Self { shard, epoch: columns.epoch })
    }
}

impl TryFrom<WorkflowColumns> for WorkflowRow {
    type Error = StoreError;

    fn try_from(columns: WorkflowColumns) -> Result<Self> {
        let what = "workflow";
        Ok(Self {
            id: WorkflowId::from_uuid(columns.id),
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            name: columns.name,
            latest_version: count(what, "latest_version", columns.latest_version)?,
            active_version: columns.active_version.map(|version| count(what, "active_version", version)).transpose()?,
            created_at: time(what, "created_at", columns.created_at)?,
            updated_at: time(what, "updated_at", columns.updated_at)?,
        })
    }
}

impl TryFrom<VersionColumns> for VersionRow {
    type Error = StoreError;

    fn try_from(columns: VersionColumns) -> Result<Self> {
        let what = "workflow version";
        Ok(Self {
            workflow: WorkflowId::from_uuid(columns.workflow_id),
            version: count(what, "version", columns.version)?,
            definition: Bytes::from(columns.definition),
            created_at: time(what, "created_at", columns.created_at)?,
        })
    }
}

impl TryFrom<VersionSummaryColumns> for VersionSummary {
    type Error = StoreError;

    fn try_from(columns: VersionSummaryColumns) -> Result<Self> {
        let what = "workflow version";
        Ok(Self { version: count(what, "version", columns.version)?, created_at: time(what, "created_at", columns.created_at)? })
    }
}

impl TryFrom<HookColumns> for HookRow {
    type Error = StoreError;

    fn try_from(columns: HookColumns) -> Result<Self> {
        Ok(Self {
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            workflow: WorkflowId::from_uuid(columns.workflow_id),
            version: count("hook", "version", columns.version)?,
            hook: NewHook { path: columns.path, method: columns.method, node: columns.node },
        })
    }
}

impl TryFrom<UserColumns> for UserRow {
    type Error = StoreError;

    fn try_from(columns: UserColumns) -> Result<Self> {
        Ok(Self {
            id: UserId::from_uuid(columns.id),
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            email: columns.email,
            password_hash: columns.password_hash,
            created_at: time("user", "created_at", columns.created_at)?,
        })
    }
}

impl TryFrom<TokenColumns> for TokenRow {
    type Error = StoreError;

    fn try_from(columns: TokenColumns) -> Result<Self> {
        let what = "token";
        Ok(Self {
            id: TokenId::from_uuid(columns.id),
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            kind: TokenKind::from_code(columns.kind).ok_or_else(|| unknown(what, "kind", columns.kind))?,
            user: columns.user_id.map(UserId::from_uuid),
            hash: hash(what, "hash", &columns.hash)?,
            created_at: time(what, "created_at", columns.created_at)?,
            expires_at: optional_time(what, "expires_at", columns.expires_at)?,
        })
    }
}
