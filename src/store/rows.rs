//! The rows and requests that cross the `Store` trait. They are not DTOs: the HTTP layer has its own.

mod accounts;
mod api_keys;
mod audit;
mod credentials;
mod members;
mod schedules;
mod sessions;
mod usage;
mod variables;
mod workflows;
mod workspaces;

use bytes::Bytes;

pub use self::{
    accounts::*, api_keys::*, audit::*, credentials::*, members::*, schedules::*, sessions::*, usage::*, variables::*,
    workflows::*, workspaces::*,
};
use crate::model::{
    execution::{ExecutionStatus, TriggerKind},
    ids::{ExecutionId, InboxId, WorkflowId, WorkspaceId},
    limits::CHILDREN_AWAITED_MAX,
};

/// A stored document: JSON bytes, perhaps compressed, perhaps in the blob store. Made by `payload::PayloadCodec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    pub encoding: Encoding,
    /// The document, or for [`Encoding::Blob`] the 32 bytes of its hash.
    pub bytes: Bytes,
}

/// How a payload is kept. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Raw,
    Zstd,
    /// Zstandard, in the blob store.
    Blob,
}

impl Encoding {
    pub const fn code(self) -> i16 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
            Self::Blob => 2,
        }
    }

    pub fn from_code(code: i16) -> Option<Self> {
        [Self::Raw, Self::Zstd, Self::Blob].into_iter().find(|encoding| encoding.code() == code)
    }
}

/// Connections to a database that are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionPool {
    pub name: &'static str,
    pub in_use: u32,
    pub idle: u32,
    pub max: u32,
}

/// One request to the journal: what one execution commits at once.
#[derive(Debug, Clone)]
pub struct Append {
    pub execution: ExecutionId,
    /// The epoch under which the sender owns `execution.shard()`.
    pub epoch: i64,
    /// Unix milliseconds of the execution's creation: says which day's partition its journal is in, so it is the same in every
    /// append of an execution.
    pub created_at: u64,
    pub entry: JournalRow,
    /// Set by the first append only.
    pub create: Option<NewExecution>,
    /// What the state row becomes; `None` leaves it. With `create` it is the row's first state, `queued` if it is `None`.
    pub state: Option<StateChange>,
    /// Inbox rows that this append has used up.
    pub consumed: Vec<InboxId>,
    /// Messages to other executions, put in their inboxes in the same commit: a child tells its parent of its end, a parent
    /// takes its children along. At most [`NOTIFY_ROWS_MAX`].
    pub notify: Vec<InboxRow>,
    /// The execution's state after this entry, in place of its earlier snapshot; `None` leaves that.
    pub snapshot: Option<Snapshot>,
}

/// Messages of one append: one to the parent, and one to each child that an execution may wait for.
pub const NOTIFY_ROWS_MAX: usize = CHILDREN_AWAITED_MAX + 1;

/// One row of a journal: some events, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Number of the row's first event; the rows of an execution have no gaps and no overlaps.
    pub seq: u32,
    /// Number of events in the row, at least 1.
    pub count: u32,
    /// The epoch under which it was written. An append stores its own.
    pub epoch: i64,
    /// Unix milliseconds.
    pub at: u64,
    pub body: Payload,
}

/// The state of an execution at one place of its journal. A recovery begins with it; the journal stays complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Number of the first event that is not in it.
    pub seq: u32,
    /// The form of the document.
    pub version: u32,
    pub body: Payload,
}

/// What became of an [`Append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    Committed,
    /// The shard has another owner or epoch: nothing was written, and the sender owns the execution no more.
    Fenced,
}

/// The unchanging part of an execution's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExecution {
    pub workspace: WorkspaceId,
    pub workflow: WorkflowId,
    pub version: u32,
    pub trigger: TriggerKind,
    pub parent: Option<ExecutionId>,
    pub retry_of: Option<ExecutionId>,
    pub business_key: Option<String>,
}

/// The changing part of an execution's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    pub status: ExecutionStatus,
    /// When a waiting execution is due.
    pub wake_at: Option<u64>,
    pub finished_at: Option<u64>,
    pub error_code: Option<String>,
    /// When a finished execution may be deleted.
    pub expires_at: Option<u64>,
}

/// An execution's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionRow {
    pub id: ExecutionId,
    pub new: NewExecution,
    pub state: StateChange,
    pub created_at: u64,
}

/// The key that makes a repeated start answer with the first one's execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub workspace: WorkspaceId,
    /// What the key is for, so that two endpoints do not share keys.
    pub scope: String,
    pub key: String,
    /// SHA-256 of the request.
    pub request_hash: [u8; 32],
    pub now_ms: u64,
    /// From this time on the key is free again.
    pub expires_at: u64,
}

/// What became of a keyed creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyedOutcome {
    Created,
    /// The key is taken; nothing was written.
    Exists {
        execution: ExecutionId,
        request_hash: [u8; 32],
    },
    /// As [`AppendOutcome::Fenced`].
    Fenced,
}

/// What an exclusive creation does about a live execution of the same workflow and business key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTaken {
    /// Writes nothing.
    Refuse,
    /// Has the idempotency key, where there is one, lead to that execution from now on.
    Adopt,
}

/// What became of an exclusive creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExclusiveOutcome {
    Created,
    /// As [`KeyedOutcome::Exists`].
    Exists {
        execution: ExecutionId,
        request_hash: [u8; 32],
    },
    /// The newest of the live executions with the workflow and business key.
    Taken {
        execution: ExecutionId,
    },
    /// As [`AppendOutcome::Fenced`].
    Fenced,
}

impl From<KeyedOutcome> for ExclusiveOutcome {
    fn from(outcome: KeyedOutcome) -> Self {
        match outcome {
            KeyedOutcome::Created => Self::Created,
            KeyedOutcome::Exists { execution, request_hash } => Self::Exists { execution, request_hash },
            KeyedOutcome::Fenced => Self::Fenced,
        }
    }
}

/// Which executions a list shows. Every field narrows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutionFilter {
    pub workflow: Option<WorkflowId>,
    /// Any of these; every one where there is none.
    pub statuses: Vec<ExecutionStatus>,
    pub trigger: Option<TriggerKind>,
    /// Created at this time or later.
    pub created_from: Option<u64>,
    /// Created before this time.
    pub created_until: Option<u64>,
    pub error_code: Option<String>,
    pub retry_of: Option<ExecutionId>,
    pub business_key: Option<String>,
}

/// A page of a list: what comes after `after`, at most `limit` rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<C> {
    pub after: Option<C>,
    pub limit: u32,
}

/// The place of a row in the list of executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutionCursor {
    pub created_at: u64,
    pub id: ExecutionId,
}

/// The place of a row in the list of workflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowCursor {
    pub created_at: u64,
    pub id: WorkflowId,
}

/// A waiting execution and when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueExecution {
    pub id: ExecutionId,
    pub wake_at: u64,
}

/// A message that waits for an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRow {
    pub id: InboxId,
    pub execution: ExecutionId,
    pub kind: InboxKind,
    /// The signal's name; empty for a cancel request.
    pub name: String,
    /// A second row with the same execution, name and key is dropped.
    pub dedupe_key: Option<String>,
    pub body: Payload,
    pub at: u64,
}

/// What a message asks for. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboxKind {
    Signal,
    Cancel,
}

impl InboxKind {
    pub const fn code(self) -> i16 {
        match self {
            Self::Signal => 0,
            Self::Cancel => 1,
        }
    }

    pub fn from_code(code: i16) -> Option<Self> {
        [Self::Signal, Self::Cancel].into_iter().find(|kind| kind.code() == code)
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutInbox {
    Stored,
    /// There is one with the same `id`, or with the same name and `dedupe_key`, already.
    Duplicate,
    /// The execution does not exist.
    NoExecution,
    /// The execution has finished.
    Finished,
    /// Its inbox holds [`INBOX_ROWS_MAX`] rows.
    Full,
}

/// Messages that may wait for one execution.
pub const INBOX_ROWS_MAX: u32 = 1_000;

/// Live processes that an answer names: more than one store serves.
pub(super) const NODES_MAX: i64 = 1_000;

/// A shard that an owner holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShardLease {
    pub shard: u16,
    pub epoch: i64,
}
