//! What every backend's journal does alike: it looks at a batch before any of it is written, says whom the fence holds back,
//! and which day's partition a row is in. Pure; the writing is in each backend's own `journal.rs`.

use std::collections::HashSet;

use super::{
    Append, AppendOutcome, ExclusiveOutcome, KeyedOutcome, NOTIFY_ROWS_MAX, NewExecution, Result, StateChange, StoreError,
};
use crate::model::{
    execution::ExecutionStatus,
    ids::{ExecutionId, SHARD_COUNT},
};

/// Milliseconds of a day.
pub(super) const MS_PER_DAY: u64 = 24 * 3_600_000;

/// Constraints that hold in every backend, by the names that `StoreError::Conflict` carries.
pub(super) mod constraints {
    /// An execution is created once.
    pub(in crate::store) const EXECUTIONS_KEY: &str = "executions_key";
    /// Only an execution that is there and has not finished can be appended to.
    pub(in crate::store) const EXECUTIONS_LIVE: &str = "executions_live";
    /// A place in a journal is written once.
    pub(in crate::store) const JOURNAL_KEY: &str = "journal_key";
    /// A batch holds one request per execution.
    pub(in crate::store) const BATCH_EXECUTIONS: &str = "batch_executions";
    /// An append has a bounded number of messages.
    pub(in crate::store) const NOTIFY_ROWS: &str = "notify_rows";
    /// An exclusive creation creates an execution with a business key.
    pub(in crate::store) const EXECUTIONS_BUSINESS_KEY: &str = "executions_business_key";
    /// Epochs count from 0 up.
    pub(in crate::store) const EPOCH_RANGE: &str = "epoch_range";
}

/// The day of an execution's creation, in days since 1970-01-01: names the partition of its journal.
/// Saturates after 5.8 million years, one day early, so that the day has an end.
pub(super) fn day_of(created_at: u64) -> i32 {
    i32::try_from(created_at / MS_PER_DAY).unwrap_or(i32::MAX).min(i32::MAX - 1)
}

/// The state of an execution that is created without one.
static QUEUED: StateChange =
    StateChange { status: ExecutionStatus::Queued, wake_at: None, finished_at: None, error_code: None, expires_at: None };

/// The state that a creation gives its row.
pub(super) fn first_state(append: &Append) -> &StateChange {
    append.state.as_ref().unwrap_or(&QUEUED)
}

/// Refuses a batch that no backend could write in one statement.
/// Errors: `Conflict` if an execution is in it twice, an epoch is negative, or an append has too many messages.
pub(super) fn check_batch(batch: &[Append]) -> Result<()> {
    let mut seen: HashSet<ExecutionId> = HashSet::with_capacity(batch.len());
    for append in batch {
        if !seen.insert(append.execution) {
            return Err(conflict(constraints::BATCH_EXECUTIONS));
        }
        if append.epoch < 0 {
            return Err(conflict(constraints::EPOCH_RANGE));
        }
        if append.notify.len() > NOTIFY_ROWS_MAX {
            return Err(conflict(constraints::NOTIFY_ROWS));
        }
    }
    Ok(())
}

/// The execution that an exclusive creation makes, and its business key.
///
/// Errors: `Conflict` if it makes none, or one without a business key.
pub(super) fn exclusive(append: &Append) -> Result<(&NewExecution, &str)> {
    let new = append.create.as_ref().and_then(|new| Some((new, new.business_key.as_deref()?)));
    new.ok_or_else(|| conflict(constraints::EXECUTIONS_BUSINESS_KEY))
}

/// The refusal of a row that breaks `constraint`.
pub(super) fn conflict(constraint: &str) -> StoreError {
    StoreError::Conflict { constraint: constraint.to_owned() }
}

/// What a keyed creation says where an exclusive one said this; it never meets a taken business key.
pub(super) fn keyed(outcome: ExclusiveOutcome) -> KeyedOutcome {
    match outcome {
        ExclusiveOutcome::Created => KeyedOutcome::Created,
        ExclusiveOutcome::Exists { execution, request_hash } => KeyedOutcome::Exists { execution, request_hash },
        ExclusiveOutcome::Taken { .. } | ExclusiveOutcome::Fenced => KeyedOutcome::Fenced,
    }
}

/// The epoch of every shard, as read under the lock that fences the batch. A negative one fits no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Epochs(Vec<i64>);

impl Epochs {
    /// Takes the epochs in the order of the shards; `None` unless there is one for each.
    pub(super) fn new(epochs: Vec<i64>) -> Option<Self> {
        (epochs.len() == usize::from(SHARD_COUNT)).then_some(Self(epochs))
    }

    /// Whether the request comes from the owner of its shard.
    pub(super) fn admits(&self, append: &Append) -> bool {
        self.0[usize::from(append.execution.shard())] == append.epoch
    }

    /// What becomes of each request of a batch that breaks no constraint.
    pub(super) fn outcomes(&self, batch: &[Append]) -> Vec<AppendOutcome> {
        batch.iter().map(|append| if self.admits(append) { AppendOutcome::Committed } else { AppendOutcome::Fenced }).collect()
    }
}
