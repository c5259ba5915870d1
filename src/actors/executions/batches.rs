//! Batches: finding the executions that one means, storing it, stopping it. The runner works it off.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ExecutionsHandle, Search};
use crate::{
    actors::batch_runner::BatchRunnerMsg,
    clock,
    model::{
        batch::BatchAction,
        execution::ExecutionStatus,
        ids::{BatchId, ExecutionId, WorkspaceId},
        reuse::{RetryFrom, RetryVersion},
    },
    store::{BatchRow, InsertBatch, NewBatch, PageRequest, StoreError},
};

/// Executions of one batch.
pub const BATCH_ITEMS_MAX: usize = 10_000;
/// Executions that a request may name one by one.
pub const BATCH_IDS_MAX: usize = 1_000;
/// Batches of one workspace that may run at once.
const BATCHES_OPEN_MAX: u32 = 20;
/// How long a batch is kept once it has ended, in milliseconds (a week).
const KEEP_MS: u64 = 7 * 24 * 3_600_000;
/// Pages of a search that a selection goes through: with those of a text search, a million executions.
const PAGES_MAX: usize = 100;
/// Rows of one such page.
const PAGE_ROWS: u32 = 500;

/// A batch to make.
#[derive(Debug, Clone)]
pub struct BatchRequest {
    pub workspace: WorkspaceId,
    pub action: BatchAction,
    pub targets: BatchTargets,
    pub from: RetryFrom,
    pub version: RetryVersion,
    /// Makes a repeated request answer with the first one's batch.
    pub key: Option<String>,
    /// SHA-256 of the request.
    pub request_hash: [u8; 32],
}

/// The executions that are meant.
#[derive(Debug, Clone)]
pub enum BatchTargets {
    Ids(Vec<ExecutionId>),
    /// Those of them that the action is good for.
    Matching(Search),
}

/// What a batch would act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// At most [`BATCH_ITEMS_MAX`].
    pub ids: Vec<ExecutionId>,
    /// Whether there are more.
    pub has_more: bool,
}

/// What a batch is about. **Shape** in the store: `{ ids, from, version }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchBody {
    pub ids: Vec<ExecutionId>,
    pub from: RetryFrom,
    pub version: RetryVersion,
}

/// What became of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedBatch {
    pub row: BatchRow,
    /// Whether an earlier request with the same key made it.
    pub replayed: bool,
}

/// Why there is no batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    #[error("there is no such batch")]
    NotFound,
    #[error("the batch has ended")]
    Ended,
    #[error("a batch has {BATCH_ITEMS_MAX} executions at most")]
    TooLarge,
    #[error("some of the executions do not exist")]
    UnknownIds(Vec<usize>),
    #[error("{BATCHES_OPEN_MAX} batches are running already")]
    TooMany,
    #[error("the idempotency key was used for another request")]
    KeyMismatch,
    #[error("the batch could not be stored or read")]
    Unavailable(#[from] StoreError),
}

impl ExecutionsHandle {
    /// Finds what a batch would act on.
    ///
    /// Errors: `UnknownIds` with their places; `Unavailable`.
    pub async fn select(&self, request: &BatchRequest) -> Result<Selected, BatchError> {
        match &request.targets {
            BatchTargets::Ids(ids) => self.select_ids(request.workspace, ids).await,
            BatchTargets::Matching(search) => self.select_matching(request, search.clone()).await,
        }
    }

    /// Stores a batch, which then is worked off, also after a restart.
    ///
    /// Errors: see [`BatchError`].
    pub async fn create_batch(&self, request: BatchRequest) -> Result<CreatedBatch, BatchError> {
        let id = request.key.as_ref().map_or_else(clock::new_uuid, |key| keyed_id(request.workspace, key));
        let id = BatchId::from_uuid(id);
        if request.key.is_some()
            && let Some(row) = self.engine.store.find_batch(request.workspace, id).await?
        {
            return replay(row, request.request_hash);
        }
        let selected = self.select(&request).await?;
        if selected.has_more {
            return Err(BatchError::TooLarge);
        }
        let total = u32::try_from(selected.ids.len()).expect("a batch is limited");
        let body = BatchBody { ids: selected.ids, from: request.from, version: request.version };
        let json = serde_json::to_vec(&body).expect("a batch is plain data");
        let now_ms = clock::now_ms();
        let new = NewBatch {
            id,
            workspace: request.workspace,
            action: request.action,
            total,
            request_hash: request.request_hash,
            created_at: now_ms,
            body: self.engine.codec.encode(json).await?,
        };
        let inserted = self.engine.store.insert_batch(&new, BATCHES_OPEN_MAX, now_ms.saturating_sub(KEEP_MS)).await?;
        if inserted == InsertBatch::TooMany {
            return Err(BatchError::TooMany);
        }
        let row = self.engine.store.find_batch(request.workspace, id).await?.ok_or(BatchError::NotFound)?;
        match inserted {
            InsertBatch::Inserted => {
                if let Some(runner) = self.engine.batch_runner.get() {
                    // A lost hint is made up for by the runner's next look.
                    let _ = runner.cast(BatchRunnerMsg::Look);
                }
                Ok(CreatedBatch { row, replayed: false })
            }
            InsertBatch::Exists => replay(row, request.request_hash),
            InsertBatch::TooMany => Err(BatchError::TooMany),
        }
    }

    /// Stops a batch before its next executions. What it has done stays done.
    ///
    /// Errors: `NotFound`, `Ended`, `Unavailable`.
    pub async fn cancel_batch(&self, workspace: WorkspaceId, id: BatchId) -> Result<BatchRow, BatchError> {
        let is_cancelled = self.engine.store.cancel_batch(workspace, id, clock::now_ms()).await?;
        let row = self.engine.store.find_batch(workspace, id).await?.ok_or(BatchError::NotFound)?;
        if is_cancelled { Ok(row) } else { Err(BatchError::Ended) }
    }

    async fn select_ids(&self, workspace: WorkspaceId, wanted: &[ExecutionId]) -> Result<Selected, BatchError> {
        let (mut ids, mut unknown) = (Vec::with_capacity(wanted.len()), Vec::new());
        let mut seen = std::collections::HashSet::new();
        for (place, id) in wanted.iter().enumerate().filter(|(_, id)| seen.insert(**id)) {
            match self.engine.store.find_execution(workspace, *id).await? {
                Some(_) => ids.push(*id),
                None => unknown.push(place),
            }
        }
        if unknown.is_empty() { Ok(Selected { ids, has_more: false }) } else { Err(BatchError::UnknownIds(unknown)) }
    }

    async fn select_matching(&self, request: &BatchRequest, mut search: Search) -> Result<Selected, BatchError> {
        let good = good_for(request.action, &request.from);
        let wanted = std::mem::take(&mut search.filter.statuses);
        search.filter.statuses = good.into_iter().filter(|status| wanted.is_empty() || wanted.contains(status)).collect();
        let mut ids = Vec::new();
        if search.filter.statuses.is_empty() {
            return Ok(Selected { ids, has_more: false });
        }
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let found = self.search(request.workspace, &search, &PageRequest { after, limit: PAGE_ROWS }).await?;
            ids.extend(found.rows.iter().map(|row| row.id));
            if ids.len() > BATCH_ITEMS_MAX {
                ids.truncate(BATCH_ITEMS_MAX);
                return Ok(Selected { ids, has_more: true });
            }
            after = found.next;
            if after.is_none() {
                return Ok(Selected { ids, has_more: false });
            }
        }
        Ok(Selected { ids, has_more: true })
    }
}

/// The statuses of executions that an action is good for.
fn good_for(action: BatchAction, from: &RetryFrom) -> Vec<ExecutionStatus> {
    let is_good = |status: &ExecutionStatus| match action {
        BatchAction::Cancel => !status.is_terminal(),
        BatchAction::Delete => status.is_terminal(),
        BatchAction::Retry => status.is_terminal() && (*from != RetryFrom::Failed || *status != ExecutionStatus::Succeeded),
    };
    ExecutionStatus::ALL.into_iter().filter(is_good).collect()
}

fn replay(row: BatchRow, request_hash: [u8; 32]) -> Result<CreatedBatch, BatchError> {
    if row.request_hash == request_hash { Ok(CreatedBatch { row, replayed: true }) } else { Err(BatchError::KeyMismatch) }
}

/// The id of the batch that is made under an idempotency key: the same for every repetition.
fn keyed_id(workspace: WorkspaceId, key: &str) -> Uuid {
    Uuid::new_v5(&workspace.uuid(), format!("batch:{key}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_on_those_that_the_action_is_good_for() {
        use ExecutionStatus as S;
        assert_eq!(good_for(BatchAction::Cancel, &RetryFrom::Failed), [S::Queued, S::Running, S::Waiting]);
        assert_eq!(good_for(BatchAction::Delete, &RetryFrom::Failed), [S::Succeeded, S::Failed, S::Cancelled]);
        assert_eq!(good_for(BatchAction::Retry, &RetryFrom::Failed), [S::Failed, S::Cancelled]);
        assert_eq!(good_for(BatchAction::Retry, &RetryFrom::Start), [S::Succeeded, S::Failed, S::Cancelled]);
    }
}
