//! Rows and requests about schedules, and what activation publishes.

use bytes::Bytes;

use super::{Append, NewHook};
use crate::model::{
    ids::{ScheduleId, WorkflowId, WorkspaceId},
    schedule::Tick,
};

/// Everything that a workflow's version publishes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publication {
    pub version: u32,
    pub hooks: Vec<NewHook>,
    pub schedules: Vec<PublishedSchedule>,
    pub now_ms: u64,
}

/// A schedule to publish. One that is published already and says the same keeps its next tick, and whether it is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedSchedule {
    /// The same for every version of the workflow.
    pub id: ScheduleId,
    pub node: String,
    /// What it says, as JSON text.
    pub spec: Bytes,
    pub next: Option<Tick>,
}

/// A schedule to store that stands alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    pub id: ScheduleId,
    pub workspace: WorkspaceId,
    pub workflow: WorkflowId,
    pub content: ScheduleContent,
    pub paused_at: Option<u64>,
    pub created_at: u64,
}

/// What people write of a schedule that stands alone, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleContent {
    /// The trigger to start at; the workflow's first one where there is none.
    pub node: Option<String>,
    /// JSON text.
    pub spec: Bytes,
    /// What it gives to its executions, as JSON text.
    pub input: Option<Bytes>,
    pub next: Option<Tick>,
}

/// A schedule's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRow {
    pub id: ScheduleId,
    pub workspace: WorkspaceId,
    pub workflow: WorkflowId,
    /// The version that publishes it; `None` if it stands alone and starts whatever is active.
    pub version: Option<u32>,
    pub content: ScheduleContent,
    /// Grows with every change that is not a tick.
    pub rev: u32,
    pub paused_at: Option<u64>,
    /// The last tick that fired, and when it did.
    pub last_scheduled_at: Option<u64>,
    pub last_fired_at: Option<u64>,
    /// Ticks that fired, and ticks that were passed over.
    pub fired: u64,
    pub passed: u64,
    /// Why ticks were passed over since the last one that fired, if something was wrong.
    pub last_error: Option<String>,
    pub created_at: u64,
    pub updated_at: u64,
}

/// What became of a new schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InsertSchedule {
    Inserted(Box<ScheduleRow>),
    /// The workspace has as many as it may have.
    Full,
    NoWorkflow,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateSchedule {
    Updated(Box<ScheduleRow>),
    /// It has been changed since: its number is another one.
    Stale {
        rev: u32,
    },
    /// It belongs to a workflow's version, which is where it is changed.
    Published,
    NotFound,
}

/// Which state of a schedule a request is about: the tick that comes next, and the number of its last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleState {
    pub id: ScheduleId,
    pub rev: u32,
    pub scheduled_at: u64,
}

/// Puts another tick in the place of the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveSchedule {
    pub from: ScheduleState,
    pub next: Option<Tick>,
    /// Ticks that do not fire by this.
    pub passed: u32,
    /// What was wrong; `None` leaves what is stored.
    pub error: Option<String>,
}

/// Fires the next tick.
#[derive(Debug, Clone)]
pub struct FireSchedule {
    pub from: ScheduleState,
    pub next: Option<Tick>,
    /// The creation of the tick's execution, as for `create_queued`; its time is the time of the firing.
    pub append: Append,
}

/// What became of a firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FireOutcome {
    Fired,
    /// The tick's execution was there already; the schedule has moved on.
    Repeated,
    /// The schedule is in another state, paused, or gone: nothing was written.
    Moved,
}

/// The place of a row in the list of schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleCursor {
    pub created_at: u64,
    pub id: ScheduleId,
}
