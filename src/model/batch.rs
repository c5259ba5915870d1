//! One action on many executions.

use serde::{Deserialize, Serialize};

/// What is done to each execution of a batch. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchAction {
    Retry,
    Cancel,
    Delete,
}

impl BatchAction {
    pub const ALL: [Self; 3] = [Self::Retry, Self::Cancel, Self::Delete];

    /// The number that the stores keep.
    pub const fn code(self) -> i16 {
        match self {
            Self::Retry => 0,
            Self::Cancel => 1,
            Self::Delete => 2,
        }
    }

    /// The action of a stored number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.code() == code)
    }
}

/// How far a batch is. The numbers are stored: terminal ones are 10 and above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatus {
    Running,
    /// Every execution has been looked at, whether that went well or not.
    Finished,
    /// It was stopped; what was done stays done.
    Cancelled,
}

impl BatchStatus {
    pub const ALL: [Self; 3] = [Self::Running, Self::Finished, Self::Cancelled];

    /// The number that the stores keep.
    pub const fn code(self) -> i16 {
        match self {
            Self::Running => 0,
            Self::Finished => 10,
            Self::Cancelled => 11,
        }
    }

    /// The status of a stored number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}
