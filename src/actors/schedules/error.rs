//! Why an operation on a schedule fails.

use crate::{
    actors::{scheduler::launch::LaunchError, workflows::WorkflowError},
    model::{
        ids::{ScheduleId, WorkflowId},
        problem::{Problem, counted},
    },
    store::StoreError,
};

/// Why an operation on a schedule fails, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    #[error("there is no such schedule")]
    NotFound,
    /// What it says has problems, all of which are listed with pointers into the request.
    #[error("the schedule has {}", counted(.0.len(), "problem"))]
    Invalid(Vec<Problem>),
    /// It has been changed since.
    #[error("the schedule has been changed: its number is {rev}")]
    Stale { rev: u32 },
    /// It belongs to a version of its workflow.
    #[error("the schedule is published by {workflow}")]
    Published { workflow: WorkflowId },
    #[error("the schedule belongs to {workflow}")]
    OtherWorkflow { workflow: WorkflowId },
    #[error("the workspace has as many schedules as it may have")]
    Full,
    #[error("the idempotency key was used for another schedule")]
    KeyMismatch,
    /// Its workflow cannot start as the schedule wants it to.
    #[error("no execution can be started")]
    Start(#[source] LaunchError),
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// It was stored by a release, or on a machine, that knows something else.
    #[error("{schedule} cannot be read: {cause}")]
    Unreadable { schedule: ScheduleId, cause: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}
