//! The states of executions and node runs, and what started an execution.

use serde::{Deserialize, Serialize};

/// The state of an execution. The numbers are stored: terminal ones are 10 and above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    Queued,
    Running,
    Waiting,
    Succeeded,
    Failed,
    Cancelled,
}

impl ExecutionStatus {
    pub const ALL: [Self; 6] = [Self::Queued, Self::Running, Self::Waiting, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The number that the stores keep.
    pub const fn code(self) -> i16 {
        match self {
            Self::Queued => 0,
            Self::Running => 1,
            Self::Waiting => 2,
            Self::Succeeded => 10,
            Self::Failed => 11,
            Self::Cancelled => 12,
        }
    }

    /// The status of a stored number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// Whether nothing can happen any more.
    pub const fn is_terminal(self) -> bool {
        self.code() >= 10
    }

    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The state of one run of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeRunStatus {
    Pending,
    Queued,
    Running,
    Retrying,
    Waiting,
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
    Reused,
}

impl NodeRunStatus {
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Queued,
        Self::Running,
        Self::Retrying,
        Self::Waiting,
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
        Self::Cancelled,
        Self::Reused,
    ];
}

/// What a start does about a live execution of the same workflow and business key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Starts another one.
    #[default]
    Allow,
    /// Starts nothing, and says so.
    Reject,
    /// Starts nothing, and answers with that one.
    Return,
    /// Cancels it, and starts once it has ended.
    Cancel,
}

impl OnConflict {
    pub const ALL: [Self; 4] = [Self::Allow, Self::Reject, Self::Return, Self::Cancel];
}

/// What started an execution. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerKind {
    Manual,
    Webhook,
    Schedule,
    Workflow,
    Event,
    Retry,
    /// The failure of another execution, whose workflow names this one as its error workflow.
    Error,
}

impl TriggerKind {
    pub const ALL: [Self; 7] =
        [Self::Manual, Self::Webhook, Self::Schedule, Self::Workflow, Self::Event, Self::Retry, Self::Error];

    /// The number that the stores keep.
    pub const fn code(self) -> i16 {
        match self {
            Self::Manual => 0,
            Self::Webhook => 1,
            Self::Schedule => 2,
            Self::Workflow => 3,
            Self::Event => 4,
            Self::Retry => 5,
            Self::Error => 6,
        }
    }

    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Webhook => "webhook",
            Self::Schedule => "schedule",
            Self::Workflow => "workflow",
            Self::Event => "event",
            Self::Retry => "retry",
            Self::Error => "error",
        }
    }

    /// The trigger of a stored number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}
