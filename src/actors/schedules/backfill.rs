//! Fires ticks of the past on request: those that fell into a time when the schedule was not there yet, was paused, or was down.
//! A tick that has fired before, and whose execution is still stored, does not fire again.

use super::{ScheduleError, SchedulesHandle, read};
use crate::{
    clock,
    model::{
        execution::TriggerKind,
        ids::{ExecutionId, ScheduleId, WorkspaceId},
        limits::BACKFILL_TICKS_MAX,
        schedule::{Ticks, execution_of},
    },
};

/// Which ticks to fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfillRequest {
    /// Unix milliseconds: ticks at `from` or later and before `to`.
    pub from: u64,
    pub to: u64,
    /// The oldest so many, at most [`BACKFILL_TICKS_MAX`].
    pub max: u32,
    /// Whether only to say which ticks there are.
    pub is_dry_run: bool,
}

/// What a backfill did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    pub ticks: Vec<BackfilledTick>,
    /// The next tick before `to`, where there were more than `max`: to go on from.
    pub next_from: Option<u64>,
}

/// One tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfilledTick {
    pub scheduled_at: u64,
    pub execution: ExecutionId,
    pub outcome: TickOutcome,
}

/// What became of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickOutcome {
    /// It would fire.
    Planned,
    /// Its execution waits to begin.
    Started,
    /// It has fired before.
    Exists,
}

impl SchedulesHandle {
    /// Fires ticks of the past. Whether the schedule is paused, and what it says of overlaps, does not matter.
    ///
    /// Errors: `NotFound`, `Unreadable`; `Start`, `Store`: ticks before the failing one have fired, and a repetition goes on.
    pub async fn backfill(
        &self,
        workspace: WorkspaceId,
        id: ScheduleId,
        request: BackfillRequest,
    ) -> Result<Backfill, ScheduleError> {
        let row = self.get(workspace, id).await?;
        let (_, cadence) = read(&row)?;
        let max = usize::try_from(request.max.min(BACKFILL_TICKS_MAX)).unwrap_or(usize::MAX);
        let mut ticks = Vec::new();
        let mut next = first_from(&cadence, request.from);
        while let Some(scheduled_at) = next.filter(|at| *at < request.to) {
            if ticks.len() == max {
                return Ok(Backfill { ticks, next_from: Some(scheduled_at) });
            }
            let execution = execution_of(id, scheduled_at);
            let outcome = if request.is_dry_run {
                let stored = self.parts.store.find_execution(workspace, execution).await?;
                if stored.is_some() { TickOutcome::Exists } else { TickOutcome::Planned }
            } else {
                let creation = self.parts.launcher.creation(&row, scheduled_at, clock::now_ms()).await;
                let is_new = self.parts.store.create_queued(&creation.map_err(ScheduleError::Start)?, Some(id)).await?;
                if is_new {
                    self.parts.metrics.execution_started(TriggerKind::Schedule, clock::now_ms());
                    (self.parts.nudge)(execution);
                }
                if is_new { TickOutcome::Started } else { TickOutcome::Exists }
            };
            ticks.push(BackfilledTick { scheduled_at, execution, outcome });
            next = cadence.next_after(scheduled_at);
        }
        Ok(Backfill { ticks, next_from: None })
    }
}

/// The first tick at a time or after it.
fn first_from(cadence: &impl Ticks, from: u64) -> Option<u64> {
    match from.checked_sub(1) {
        Some(before) => cadence.next_after(before),
        // There are no ticks at the beginning of 1970.
        None => cadence.next_after(0),
    }
}
