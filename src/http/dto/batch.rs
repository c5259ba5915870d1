//! Batches.

use serde::Serialize;
use serde_json::Value;

use super::Time;
use crate::{
    actors::executions::Selected,
    model::{
        batch::{BatchAction, BatchStatus},
        ids::{BatchId, ExecutionId},
    },
    store::BatchRow,
};

/// Ids that a dry run shows.
const IDS_SHOWN: usize = 20;

/// A batch and how far it is. `errors` are the first failures: `{ execution_id, code, message }`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::http) struct BatchBody {
    id: BatchId,
    action: BatchAction,
    status: BatchStatus,
    total: u32,
    done: u32,
    succeeded: u32,
    failed: u32,
    #[schema(value_type = Vec<Object>)]
    errors: Value,
    created_at: Time,
    finished_at: Option<Time>,
}

/// What a batch would act on: how many executions, and the first of them. `has_more` says that there are more than one batch may
/// have.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::http) struct BatchSelectionBody {
    dry_run: bool,
    count: usize,
    has_more: bool,
    ids: Vec<ExecutionId>,
}

impl From<BatchRow> for BatchBody {
    fn from(row: BatchRow) -> Self {
        let BatchRow { id, action, status, total, created_at, progress, .. } = row;
        Self {
            id,
            action,
            status,
            total,
            done: progress.done,
            succeeded: progress.succeeded,
            failed: progress.failed,
            errors: serde_json::from_slice(&progress.errors).unwrap_or_else(|_| Value::Array(Vec::new())),
            created_at: Time(created_at),
            finished_at: progress.finished_at.map(Time),
        }
    }
}

impl From<Selected> for BatchSelectionBody {
    fn from(selected: Selected) -> Self {
        let Selected { mut ids, has_more } = selected;
        let count = ids.len();
        ids.truncate(IDS_SHOWN);
        Self { dry_run: true, count, has_more, ids }
    }
}
