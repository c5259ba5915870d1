//! What a start claims for itself: an idempotency key, or to be the only live execution with its business key. Such a start is
//! stored, with its claims and in one commit, before it runs.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    CommandError, ExecutionsHandle,
    start::{Lineage, Prepared, StartError, StartRequest, Started},
};
use crate::{
    actors::execution_supervisor::nudge,
    model::{
        event::Recorded,
        execution::{ExecutionStatus, OnConflict},
        ids::ExecutionId,
    },
    store::{
        Append, ExclusiveOutcome, ExecutionFilter, IdempotencyKey, JournalRow, OnTaken, PageRequest, StateChange, StoreError,
    },
};

/// How long an idempotency key is remembered, in milliseconds (24 hours).
const KEY_TTL_MS: u64 = 24 * 3_600_000;
/// How long a start waits for the end of executions that it has cancelled, in milliseconds.
pub const CANCEL_MS_MAX: u64 = 20_000;
/// How long a store that cannot be reached is asked again for claims, in milliseconds, and the pause before.
const CLAIM_MS_MAX: u64 = 2_000;
const CLAIM_PAUSE_MS: u64 = 50;
/// Live executions with one business key that one try cancels.
const CANCELLED_AT_ONCE: u32 = 100;

/// Makes a repeated start answer with the first one's execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    pub scope: String,
    pub key: String,
    /// SHA-256 of the request.
    pub request_hash: [u8; 32],
}

/// What has to be stored by itself before anything runs, and what becomes of a start that is not the first.
#[derive(Default)]
pub(super) struct Claims {
    pub(super) idempotency: Option<Idempotency>,
    pub(super) on_taken: Option<OnTaken>,
}

/// What became of the claims of a start.
pub(super) enum Claimed {
    /// The creation is stored.
    Stored,
    /// The creation is stored, by a try whose answer was lost: somebody may have found it since.
    StoredUnheard,
    /// There is an execution already that answers this start.
    Joins(ExecutionId),
}

impl ExecutionsHandle {
    /// Starts an execution, unless a live one of its workflow has the same business key: then it does as `on_conflict` says. Of
    /// such starts that come at once, one is first, and the others see it; a start that allows others takes no notice of any.
    ///
    /// Errors: as [`Self::start`]; `KeyTaken` if the live one is not answered with, or does not end within [`CANCEL_MS_MAX`].
    pub async fn start_by_key(&self, request: StartRequest, on_conflict: OnConflict) -> Result<Started, StartError> {
        let on_taken = match on_conflict {
            OnConflict::Allow => None,
            OnConflict::Reject | OnConflict::Cancel => Some(OnTaken::Refuse),
            OnConflict::Return => Some(OnTaken::Adopt),
        };
        let lineage = || Lineage { on_taken, ..Lineage::default() };
        if on_conflict != OnConflict::Cancel {
            return self.start_as(self.draw_id()?, request, lineage()).await;
        }
        let deadline = Instant::now() + Duration::from_millis(CANCEL_MS_MAX);
        loop {
            match self.start_as(self.draw_id()?, request.clone(), lineage()).await {
                Err(StartError::KeyTaken { .. }) if Instant::now() < deadline => self.cancel_live(&request, deadline).await?,
                started => return started,
            }
        }
    }

    /// Cancels the live executions with the workflow and business key of a start, and waits for their end.
    async fn cancel_live(&self, request: &StartRequest, deadline: Instant) -> Result<(), StartError> {
        let filter = ExecutionFilter {
            workflow: Some(request.workflow.workflow),
            statuses: ExecutionStatus::ALL.into_iter().filter(|status| !status.is_terminal()).collect(),
            business_key: request.business_key.clone(),
            ..ExecutionFilter::default()
        };
        let page = PageRequest { after: None, limit: CANCELLED_AT_ONCE };
        let live = self.engine.store.list_executions(request.workspace, &filter, &page).await.map_err(StartError::Unavailable)?;
        for row in &live {
            let reason = "a newer execution has its business key".to_owned();
            match self.cancel(request.workspace, row.id, Some(reason)).await {
                Ok(()) | Err(CommandError::Finished | CommandError::NotFound) => {}
                Err(CommandError::Unavailable(error)) => return Err(StartError::Unavailable(error)),
                Err(_) => return Err(StartError::KeyTaken { execution: row.id }),
            }
        }
        for row in &live {
            let left = deadline.saturating_duration_since(Instant::now());
            // Its end is seen, or not, by the next try.
            let _ = self.wait(request.workspace, row.id, left).await;
        }
        Ok(())
    }

    /// The first append of an execution that is stored before it runs.
    pub(super) async fn creation(&self, prepared: &Prepared, status: ExecutionStatus, epoch: i64) -> Result<Append, StartError> {
        let at = prepared.created.at;
        let events: Vec<&Recorded> = std::iter::once(&prepared.created).chain(&prepared.reused).collect();
        let count = u32::try_from(events.len()).expect("what is taken over is limited");
        let json = serde_json::to_vec(&events).expect("an event can be written");
        let body = self.engine.codec.encode(json).await.map_err(StartError::Unavailable)?;
        let state = StateChange { status, wake_at: None, finished_at: None, error_code: None, expires_at: None };
        Ok(Append {
            execution: prepared.id,
            epoch,
            created_at: at,
            entry: JournalRow { seq: 0, count, epoch, at, body },
            create: Some(prepared.origin.new.clone()),
            state: Some(state),
            consumed: Vec::new(),
            notify: Vec::new(),
            snapshot: None,
        })
    }

    /// Stores the creation with its claims, in one commit.
    pub(super) async fn claim(
        &self,
        prepared: &Prepared,
        status: ExecutionStatus,
        claims: Claims,
    ) -> Result<Claimed, StartError> {
        let (at, new) = (prepared.created.at, &prepared.origin.new);
        let epoch = self.engine.ownership.epoch(prepared.id.shard()).ok_or(StartError::Unknown)?;
        let append = self.creation(prepared, status, epoch).await?;
        let key = claims.idempotency.map(|key| IdempotencyKey {
            workspace: new.workspace,
            scope: key.scope,
            key: key.key,
            request_hash: key.request_hash,
            now_ms: at,
            expires_at: at.saturating_add(KEY_TTL_MS),
        });
        let outcome = match self.create(&append, key.as_ref(), claims.on_taken).await {
            Ok(outcome) => outcome,
            Err(error) => {
                // It may be there all the same.
                nudge(&self.engine, prepared.id);
                return Err(StartError::Unavailable(error));
            }
        };
        let is_own = |execution: ExecutionId| execution == prepared.id;
        match outcome {
            ExclusiveOutcome::Exists { execution, .. } | ExclusiveOutcome::Taken { execution } if is_own(execution) => {
                self.engine.metrics.execution_started(new.trigger, at);
                Ok(Claimed::StoredUnheard)
            }
            ExclusiveOutcome::Created => {
                self.engine.metrics.execution_started(new.trigger, at);
                Ok(Claimed::Stored)
            }
            ExclusiveOutcome::Exists { request_hash, .. } if key.is_some_and(|key| key.request_hash != request_hash) => {
                Err(StartError::KeyMismatch)
            }
            ExclusiveOutcome::Exists { execution, .. } => Ok(Claimed::Joins(execution)),
            ExclusiveOutcome::Taken { execution } if claims.on_taken == Some(OnTaken::Adopt) => Ok(Claimed::Joins(execution)),
            ExclusiveOutcome::Taken { execution } => Err(StartError::KeyTaken { execution }),
            ExclusiveOutcome::Fenced => Err(StartError::Unknown),
        }
    }

    /// Stores a creation; asks again while the store cannot be reached. A try whose answer was lost shows as the execution that is
    /// there.
    async fn create(
        &self,
        append: &Append,
        key: Option<&IdempotencyKey>,
        on_taken: Option<OnTaken>,
    ) -> Result<ExclusiveOutcome, StoreError> {
        let deadline = Instant::now() + Duration::from_millis(CLAIM_MS_MAX);
        let mut is_unheard = false;
        loop {
            let store = &self.engine.store;
            let outcome = match (on_taken, key) {
                (Some(on_taken), key) => store.create_exclusive(append, key, on_taken).await,
                (None, Some(key)) => store.create_keyed(append, key).await.map(ExclusiveOutcome::from),
                (None, None) => unreachable!("a start without claims is stored by the lane"),
            };
            match outcome {
                Err(StoreError::Unavailable { doing, source }) if Instant::now() < deadline => {
                    tracing::warn!(doing, error = %source, "claims of a start not stored, trying again");
                    tokio::time::sleep(Duration::from_millis(CLAIM_PAUSE_MS)).await;
                    is_unheard = true;
                }
                // Its key is free again if it has ended since.
                Err(StoreError::Conflict { .. }) if is_unheard => {
                    return Ok(ExclusiveOutcome::Taken { execution: append.execution });
                }
                outcome => return outcome,
            }
        }
    }
}
