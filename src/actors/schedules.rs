//! Schedules for those who look at them and write them: HTTP. A service over the store; it has no actor, since every operation is
//! one atomic step of the store, and the scheduler finds what has changed within a second.

mod backfill;
mod draft;
mod error;

use std::sync::Arc;

pub use self::{
    backfill::{Backfill, BackfillRequest, BackfilledTick, TickOutcome},
    draft::ScheduleDraft,
    error::ScheduleError,
};
use super::{monitor::EngineMetrics, scheduler::launch::Launcher, workflows::WorkflowsHandle};
use crate::{
    clock,
    model::{
        ids::{ExecutionId, ScheduleId, WorkflowId, WorkspaceId},
        limits::{NEXT_TICKS_MAX, SCHEDULES_MAX},
        schedule::Ticks,
    },
    nodes::{
        registry::Registry,
        schedule::{ScheduleSpec, cadence::Cadence},
    },
    store::{InsertSchedule, NewSchedule, PageRequest, ScheduleCursor, ScheduleRow, Store, StoreError, UpdateSchedule},
};

/// Tries of a change whose schedule is changed by others at the same time.
const TRIES_MAX: u32 = 5;

/// What the service works with.
pub struct SchedulesParts {
    pub store: Arc<dyn Store>,
    pub workflows: WorkflowsHandle,
    pub registry: Arc<Registry>,
    pub launcher: Launcher,
    pub metrics: Arc<EngineMetrics>,
    /// Tells the owner of an execution about it, if that is this process.
    pub nudge: Arc<dyn Fn(ExecutionId) + Send + Sync>,
}

/// Schedules. Cheap to clone.
#[derive(Clone)]
pub struct SchedulesHandle {
    parts: Arc<SchedulesParts>,
}

/// What became of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedSchedule {
    pub row: ScheduleRow,
    /// Whether an earlier request with the same key made it.
    pub replayed: bool,
}

impl SchedulesHandle {
    pub fn new(parts: SchedulesParts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// Schedules of a workspace, or of one of its workflows, newest first.
    ///
    /// Errors: `Store`.
    pub async fn list(
        &self,
        workspace: WorkspaceId,
        workflow: Option<WorkflowId>,
        page: &PageRequest<ScheduleCursor>,
    ) -> Result<Vec<ScheduleRow>, ScheduleError> {
        Ok(self.parts.store.list_schedules(workspace, workflow, page).await?)
    }

    /// One schedule.
    ///
    /// Errors: `NotFound`, `Store`.
    pub async fn get(&self, workspace: WorkspaceId, id: ScheduleId) -> Result<ScheduleRow, ScheduleError> {
        self.parts.store.find_schedule(workspace, id).await?.ok_or(ScheduleError::NotFound)
    }

    /// The next ticks, in Unix milliseconds, at most `count`: as if the schedule were not paused.
    ///
    /// Errors: `NotFound`, `Unreadable`, `Store`.
    pub async fn next(&self, workspace: WorkspaceId, id: ScheduleId, count: u32) -> Result<Vec<u64>, ScheduleError> {
        let row = self.get(workspace, id).await?;
        let (_, cadence) = read(&row)?;
        let mut ticks = Vec::new();
        let mut at = clock::now_ms();
        for _ in 0..count.min(NEXT_TICKS_MAX) {
            let Some(next) = cadence.next_after(at) else { break };
            ticks.push(next);
            at = next;
        }
        Ok(ticks)
    }

    /// Stores a schedule that stands alone. With a `key`, a repeated request answers with the schedule of the first one.
    ///
    /// Errors: `Workflow`, `Invalid`, `Start`, `Full`, `KeyMismatch`, `Store`.
    pub async fn create(
        &self,
        workspace: WorkspaceId,
        draft: ScheduleDraft,
        key: Option<&str>,
    ) -> Result<CreatedSchedule, ScheduleError> {
        let id = key.map_or_else(|| ScheduleId::from_uuid(clock::new_uuid()), |key| keyed_id(workspace, key));
        let now_ms = clock::now_ms();
        let (workflow, paused) = (draft.workflow, draft.paused);
        if key.is_some()
            && let Some(first) = self.parts.store.find_schedule(workspace, id).await?
        {
            return self.replay(first, &draft).await;
        }
        let content = self.content_of(workspace, id, &draft, now_ms).await?;
        let new = NewSchedule { id, workspace, workflow, content, paused_at: paused.then_some(now_ms), created_at: now_ms };
        match self.parts.store.insert_schedule(&new, SCHEDULES_MAX).await {
            Ok(InsertSchedule::Inserted(row)) => Ok(CreatedSchedule { row: *row, replayed: false }),
            Ok(InsertSchedule::Full) => Err(ScheduleError::Full),
            Ok(InsertSchedule::NoWorkflow) => Err(super::workflows::WorkflowError::NotFound.into()),
            // A request with the same key was faster.
            Err(StoreError::Conflict { .. }) if key.is_some() => self.replay(self.get(workspace, id).await?, &draft).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a schedule that stands alone, if its number is `expected_rev`; `None` changes whatever is there. It goes on from now.
    ///
    /// Errors: `NotFound`, `Published`, `Stale`, `OtherWorkflow`, `Workflow`, `Invalid`, `Start`, `Store`.
    pub async fn update(
        &self,
        workspace: WorkspaceId,
        id: ScheduleId,
        expected_rev: Option<u32>,
        draft: ScheduleDraft,
    ) -> Result<ScheduleRow, ScheduleError> {
        for _ in 0..TRIES_MAX {
            let row = self.get(workspace, id).await?;
            if row.version.is_some() {
                return Err(ScheduleError::Published { workflow: row.workflow });
            }
            if row.workflow != draft.workflow {
                return Err(ScheduleError::OtherWorkflow { workflow: row.workflow });
            }
            let now_ms = clock::now_ms();
            let content = self.content_of(workspace, id, &draft, now_ms).await?;
            let rev = expected_rev.unwrap_or(row.rev);
            match self.parts.store.update_schedule(workspace, id, rev, &content, now_ms).await? {
                UpdateSchedule::Stale { .. } if expected_rev.is_none() => {}
                outcome => return updated(outcome, row.workflow),
            }
        }
        Err(ScheduleError::Stale { rev: self.get(workspace, id).await?.rev })
    }

    /// Deletes a schedule that stands alone, if its number is `expected_rev` where one is given. Its executions stay.
    ///
    /// Errors: `NotFound`, `Published`, `Stale`, `Store`.
    pub async fn delete(&self, workspace: WorkspaceId, id: ScheduleId, expected_rev: Option<u32>) -> Result<(), ScheduleError> {
        let row = self.get(workspace, id).await?;
        if row.version.is_some() {
            return Err(ScheduleError::Published { workflow: row.workflow });
        }
        if expected_rev.is_some_and(|rev| rev != row.rev) {
            return Err(ScheduleError::Stale { rev: row.rev });
        }
        let deleted = self.parts.store.delete_schedule(workspace, id).await?;
        if deleted { Ok(()) } else { Err(ScheduleError::NotFound) }
    }

    /// Keeps a schedule from firing until it is resumed. Ticks that pass meanwhile are not made up for.
    ///
    /// Errors: `NotFound`, `Store`.
    pub async fn pause(&self, workspace: WorkspaceId, id: ScheduleId) -> Result<ScheduleRow, ScheduleError> {
        let paused = self.parts.store.pause_schedule(workspace, id, clock::now_ms()).await?;
        paused.ok_or(ScheduleError::NotFound)
    }

    /// Lets a paused schedule go on, with its next tick from now.
    ///
    /// Errors: `NotFound`, `Stale` if others change it all the time, `Unreadable`, `Store`.
    pub async fn resume(&self, workspace: WorkspaceId, id: ScheduleId) -> Result<ScheduleRow, ScheduleError> {
        for _ in 0..TRIES_MAX {
            let row = self.get(workspace, id).await?;
            if row.paused_at.is_none() {
                return Ok(row);
            }
            let (spec, cadence) = read(&row)?;
            let now_ms = clock::now_ms();
            let next = spec.rules(id, &cadence).first_after(now_ms);
            match self.parts.store.resume_schedule(workspace, id, row.rev, next, now_ms).await? {
                UpdateSchedule::Stale { .. } => {}
                outcome => return updated(outcome, row.workflow),
            }
        }
        Err(ScheduleError::Stale { rev: self.get(workspace, id).await?.rev })
    }
}

/// What a stored schedule says.
///
/// Errors: `Unreadable` if this release or this machine cannot read it.
pub fn read(row: &ScheduleRow) -> Result<(ScheduleSpec, Cadence), ScheduleError> {
    let unreadable = |cause: String| ScheduleError::Unreadable { schedule: row.id, cause };
    let spec: ScheduleSpec = serde_json::from_slice(&row.content.spec).map_err(|error| unreadable(error.to_string()))?;
    let cadence = spec.cadence().map_err(|problem| unreadable(problem.detail))?;
    Ok((spec, cadence))
}

fn updated(outcome: UpdateSchedule, workflow: WorkflowId) -> Result<ScheduleRow, ScheduleError> {
    match outcome {
        UpdateSchedule::Updated(row) => Ok(*row),
        UpdateSchedule::Stale { rev } => Err(ScheduleError::Stale { rev }),
        UpdateSchedule::Published => Err(ScheduleError::Published { workflow }),
        UpdateSchedule::NotFound => Err(ScheduleError::NotFound),
    }
}

/// The id of the schedule that is created under an idempotency key: the same for every repetition.
fn keyed_id(workspace: WorkspaceId, key: &str) -> ScheduleId {
    ScheduleId::from_uuid(uuid::Uuid::new_v5(&workspace.uuid(), format!("schedule:{key}").as_bytes()))
}
