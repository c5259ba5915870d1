//! The rows of the engine: executions, journals, inboxes, keys and leases.

use uuid::Uuid;

use super::{count, hash, optional_time, payload, rows, status, time, unknown};
use crate::{
    model::{
        execution::TriggerKind,
        ids::{ExecutionId, InboxId, WorkflowId, WorkspaceId},
    },
    store::{
        DueExecution, ExecutionRow, InboxKind, InboxRow, JournalRow, NewExecution, Result, ShardLease, Snapshot, StateChange,
        StoreError,
    },
};

rows! {
    JournalColumns { seq: i32, event_count: i32, epoch: i64, at: i64, encoding: i16, body: Vec<u8> }
    SnapshotColumns { seq: i32, version: i32, encoding: i16, body: Vec<u8> }
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

impl TryFrom<SnapshotColumns> for Snapshot {
    type Error = StoreError;

    fn try_from(columns: SnapshotColumns) -> Result<Self> {
        let what = "snapshot";
        Ok(Self {
            seq: count(what, "seq", columns.seq)?,
            version: count(what, "version", columns.version)?,
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
    pub(in crate::store) fn read(&self) -> Result<(ExecutionId, [u8; 32])> {
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
