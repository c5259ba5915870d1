//! A turn of one schedule: works off what is due, tick by tick, each in a commit of its own. Another process may do the same; the
//! store lets one of them go on.

use std::sync::Arc;

use super::{SchedulerParts, launch::LaunchError};
use crate::{
    clock, failpoint,
    model::{
        execution::TriggerKind,
        ids::{ExecutionId, InboxId},
        limits::SCHEDULE_GRACE_MS,
        schedule::{Overlap, Rules, Step, Tick},
    },
    nodes::schedule::{ScheduleSpec, cadence::Cadence},
    store::{FireOutcome, FireSchedule, InboxKind, InboxRow, MoveSchedule, ScheduleRow, ScheduleState, StoreError},
};

/// Steps of one schedule before others have their turn.
pub(super) const STEPS_PER_TURN: usize = 20;
/// Executions of one schedule that a tick cancels (`overlap: cancel_old`).
const CANCELLED_MAX: u32 = 1_000;
/// Characters of what was wrong that a schedule shows.
const ERROR_CHARS_MAX: usize = 500;

/// How a turn ended.
pub enum Turn {
    /// Nothing more is due, or others are first: the schedule as it is now.
    Ended(Box<ScheduleRow>),
    /// Somebody else has changed it or fires it; the next look shows how it is.
    Lost,
    /// Something failed that may work another time.
    Failed { row: Box<ScheduleRow>, cause: String },
}

/// What a schedule says, read.
struct Reading {
    spec: ScheduleSpec,
    cadence: Cadence,
}

/// Works off what is due of one schedule.
pub(super) async fn work_off(parts: &SchedulerParts, mut row: ScheduleRow) -> Turn {
    let reading = match read(&row) {
        Ok(reading) => Arc::new(reading),
        Err(cause) => return Turn::Failed { row: Box::new(row), cause },
    };
    for _ in 0..STEPS_PER_TURN {
        let Some(tick) = row.content.next else { break };
        match step(parts, &reading, &row, tick).await {
            Ok(Done::Asleep) => break,
            Ok(Done::Moved { next }) => row.content.next = next,
            Ok(Done::Lost) => return Turn::Lost,
            Err(error) => return Turn::Failed { row: Box::new(row), cause: causes(&error) },
        }
    }
    Turn::Ended(Box::new(row))
}

/// What one step did.
enum Done {
    Asleep,
    Moved { next: Option<Tick> },
    Lost,
}

async fn step(parts: &SchedulerParts, reading: &Arc<Reading>, row: &ScheduleRow, tick: Tick) -> Result<Done, StoreError> {
    let now_ms = (parts.now_ms)();
    let rules = reading.spec.rules(row.id, &reading.cadence);
    // After the row was read: whatever an earlier tick started is seen.
    let live = match rules.overlap {
        Overlap::Allow => Vec::new(),
        _ if tick.due_at > now_ms => Vec::new(),
        Overlap::Skip | Overlap::Queue => parts.store.list_live_of_schedule(row.id, 1).await?,
        Overlap::CancelOld => parts.store.list_live_of_schedule(row.id, CANCELLED_MAX).await?,
    };
    match decide(reading, row, tick, now_ms, !live.is_empty()).await {
        Step::Sleep => Ok(Done::Asleep),
        Step::Pass { next, passed } => pass(parts, row, tick, next, passed, None).await,
        Step::Hold { tick: held } => pass(parts, row, tick, Some(held), 0, None).await,
        Step::Fire { next } => {
            if rules.overlap == Overlap::CancelOld {
                cancel(parts, &live).await?;
            }
            fire(parts, row, tick, next, now_ms).await
        }
    }
}

/// Decides. After a long time there may be much to search, which is done off the async threads.
async fn decide(reading: &Arc<Reading>, row: &ScheduleRow, tick: Tick, now_ms: u64, is_busy: bool) -> Step {
    if now_ms.saturating_sub(tick.scheduled_at) <= SCHEDULE_GRACE_MS {
        return reading.rules(row).decide(tick, now_ms, is_busy);
    }
    let (shared, id) = (Arc::clone(reading), row.id);
    let search = move || shared.spec.rules(id, &shared.cadence).decide(tick, now_ms, is_busy);
    match tokio::task::spawn_blocking(search).await {
        Ok(step) => step,
        // The runtime is stopping: nothing more is decided.
        Err(_) => Step::Sleep,
    }
}

async fn fire(
    parts: &SchedulerParts,
    row: &ScheduleRow,
    tick: Tick,
    next: Option<Tick>,
    now_ms: u64,
) -> Result<Done, StoreError> {
    let append = match parts.launcher.creation(row, tick.scheduled_at, now_ms).await {
        Ok(append) => append,
        Err(LaunchError::Store(error)) => return Err(error),
        Err(error) if error.is_lasting() => {
            tracing::warn!(schedule.id = %row.id, workflow.id = %row.workflow, error = %error, "tick passed over");
            return pass(parts, row, tick, next, 1, Some(causes(&error))).await;
        }
        Err(error) => return Err(StoreError::Unavailable { doing: "reading a workflow", source: error.into() }),
    };
    let execution = append.execution;
    failpoint!("scheduler.before_fire");
    match parts.store.fire_schedule(&FireSchedule { from: state(row, tick), next, append }).await? {
        FireOutcome::Fired => {
            failpoint!("scheduler.after_fire");
            parts.metrics.schedule_fired(now_ms.saturating_sub(tick.due_at), now_ms);
            parts.metrics.execution_started(TriggerKind::Schedule, now_ms);
            tracing::info!(schedule.id = %row.id, execution.id = %execution, scheduled_at = tick.scheduled_at, "tick fired");
            (parts.nudge)(execution);
            Ok(Done::Moved { next })
        }
        FireOutcome::Repeated => Ok(Done::Moved { next }),
        FireOutcome::Moved => Ok(Done::Lost),
    }
}

/// Puts `next` in the place of a tick that does not fire now.
async fn pass(
    parts: &SchedulerParts,
    row: &ScheduleRow,
    tick: Tick,
    next: Option<Tick>,
    passed: u32,
    error: Option<String>,
) -> Result<Done, StoreError> {
    if !parts.store.move_schedule(&MoveSchedule { from: state(row, tick), next, passed, error }).await? {
        return Ok(Done::Lost);
    }
    parts.metrics.schedule_missed(passed, (parts.now_ms)());
    if passed > 0 {
        tracing::info!(schedule.id = %row.id, ticks = passed, "ticks passed over");
    }
    Ok(Done::Moved { next })
}

/// Asks executions to end. Those that have ended meanwhile need nothing.
async fn cancel(parts: &SchedulerParts, executions: &[ExecutionId]) -> Result<(), StoreError> {
    for execution in executions {
        let reason = serde_json::to_vec("a later tick of its schedule fired").expect("a text can be written");
        let row = InboxRow {
            id: InboxId::from_uuid(clock::new_uuid()),
            execution: *execution,
            kind: InboxKind::Cancel,
            name: String::new(),
            dedupe_key: Some("cancel".to_owned()),
            body: parts.launcher.codec.encode(reason).await?,
            at: (parts.now_ms)(),
        };
        parts.store.put_inbox(&row).await?;
        (parts.nudge)(*execution);
    }
    Ok(())
}

impl Reading {
    fn rules(&self, row: &ScheduleRow) -> Rules<'_> {
        self.spec.rules(row.id, &self.cadence)
    }
}

/// Errors: a sentence, if this release or this machine cannot read it.
fn read(row: &ScheduleRow) -> Result<Reading, String> {
    let spec: ScheduleSpec = serde_json::from_slice(&row.content.spec).map_err(|error| error.to_string())?;
    let cadence = spec.cadence().map_err(|problem| problem.detail)?;
    Ok(Reading { spec, cadence })
}

fn state(row: &ScheduleRow, tick: Tick) -> ScheduleState {
    ScheduleState { id: row.id, rev: row.rev, scheduled_at: tick.scheduled_at }
}

/// An error with its causes, cut to what a row keeps.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.chars().take(ERROR_CHARS_MAX).collect()
}
