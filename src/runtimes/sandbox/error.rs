//! Why a call into a guest gave no value, whatever the language.

use std::{fmt, time::Duration};

use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::state::{Exceeded, HostState, Limits};
use crate::runtimes::code::{CodeError, CodeErrorCode};

/// Why a call gave no value.
#[derive(Debug, thiserror::Error)]
pub(in crate::runtimes) enum GuestError {
    #[error("{0}")]
    Thrown(Thrown),
    #[error("the code ran for more than {} ms", .0.as_millis())]
    WallTime(Duration),
    #[error("the code used more than {} ms of CPU time", .0.as_millis())]
    CpuTime(Duration),
    #[error("the code needs more than {bytes_max} bytes of memory")]
    Memory { bytes_max: usize },
    #[error("the code calls itself too deeply")]
    StackOverflow,
    #[error("the output is larger than {bytes_max} bytes")]
    OutputTooLarge { bytes_max: usize },
    #[error("the output is nested too deeply, or is no JSON")]
    OutputMalformed(#[source] serde_json::Error),
    #[error("too many sandboxes are in use")]
    NoInstance,
    /// The scope cannot be made for a reason that the sentence says.
    #[error("{0}")]
    Scope(String),
    #[error("the code ended its interpreter")]
    Exited,
    /// It would do so again.
    #[error("the code broke its interpreter: {0}")]
    Broken(Trap),
    #[error("the sandbox failed")]
    Trapped(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What code threw. Lines and columns count from 1 in the user's code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::runtimes) struct Thrown {
    /// The error's class; empty if it has none.
    pub(in crate::runtimes) name: String,
    pub(in crate::runtimes) message: String,
    pub(in crate::runtimes) line: Option<u32>,
    pub(in crate::runtimes) column: Option<u32>,
    /// The calls in the user's code, innermost first, one a line.
    pub(in crate::runtimes) stack: Option<String>,
    /// Whether the code wanted what it was not granted.
    pub(in crate::runtimes) is_denied: bool,
}

impl fmt::Display for Thrown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.name {
            "" => formatter.write_str(&self.message),
            name => write!(formatter, "{name}: {}", self.message),
        }
    }
}

impl GuestError {
    /// What an instance that could not be made means.
    pub(in crate::runtimes) fn of_instantiation<T>(error: wasmtime::Error, state: &HostState<T>, limits: &Limits) -> Self {
        if state.memory.is_without_place() || error.is::<PoolConcurrencyLimitError>() {
            Self::NoInstance
        } else {
            Self::of_trap(error, state, limits)
        }
    }

    /// Says which limit a trap means.
    pub(in crate::runtimes) fn of_trap<T>(error: wasmtime::Error, state: &HostState<T>, limits: &Limits) -> Self {
        match (state.deadline.exceeded, error.downcast_ref::<Trap>()) {
            (Some(Exceeded::Wall), _) => Self::WallTime(limits.wall),
            (Some(Exceeded::Cpu), _) => Self::CpuTime(limits.cpu),
            (None, Some(Trap::StackOverflow)) => Self::StackOverflow,
            // No interpreter survives every allocation that fails.
            (None, _) if state.memory.is_refused => Self::Memory { bytes_max: limits.memory_bytes },
            (None, Some(trap)) => Self::Broken(*trap),
            (None, None) => Self::Trapped(error.into()),
        }
    }

    /// Whether the instance stopped in the middle of something.
    pub(in crate::runtimes) fn ends_instance(&self) -> bool {
        match self {
            Self::Thrown(_) | Self::OutputTooLarge { .. } | Self::OutputMalformed(_) | Self::Scope(_) => false,
            Self::WallTime(_)
            | Self::CpuTime(_)
            | Self::Memory { .. }
            | Self::StackOverflow
            | Self::NoInstance
            | Self::Exited
            | Self::Broken(_)
            | Self::Trapped(_) => true,
        }
    }
}

impl From<GuestError> for CodeError {
    fn from(error: GuestError) -> Self {
        let code = match &error {
            GuestError::Thrown(Thrown { is_denied: true, .. }) => CodeErrorCode::Denied,
            GuestError::Thrown(_)
            | GuestError::StackOverflow
            | GuestError::OutputMalformed(_)
            | GuestError::Scope(_)
            | GuestError::Exited
            | GuestError::Broken(_) => CodeErrorCode::Exception,
            GuestError::WallTime(_) | GuestError::CpuTime(_) => CodeErrorCode::Timeout,
            GuestError::Memory { .. } => CodeErrorCode::Memory,
            GuestError::OutputTooLarge { .. } => CodeErrorCode::OutputLimit,
            GuestError::NoInstance | GuestError::Trapped(_) => CodeErrorCode::Unavailable,
        };
        let message = error.to_string();
        match error {
            GuestError::Thrown(Thrown { line, column, stack, .. }) => Self { line, column, stack, ..Self::new(code, message) },
            _ => Self::new(code, message),
        }
    }
}
