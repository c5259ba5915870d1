//! The contract of a code run: what it gets, what it gives back, how it fails. The same for every language.
//!
//! A variable `input` holds the JSON input. The code is a function body that may `return` a value at top level; when it defines a
//! function `main`, that is called with `input` instead. In a code node there is also `items`, and JavaScript has the variables of
//! expressions (`$json`, `$input.all()`, `$node("id")`, ...).

mod input;
mod source;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) use self::source::Parsed;
pub use self::{
    input::CodeInput,
    source::{CODE_BYTES_MAX, Code, JAVASCRIPT, TYPESCRIPT},
};
use super::{
    grants::Grants,
    sandbox::{
        MEMORY_BYTES_MAX,
        state::{Limits, Used},
    },
};
use crate::model::{
    error::{NodeError, codes},
    log::{CodeUsage, LogLevel, LogLine},
};

/// Wall time of a run where the caller sets none, in milliseconds.
pub const CODE_WALL_MS_DEFAULT: u64 = 30_000;
/// CPU time of a run where the caller sets none, in milliseconds.
pub const CODE_CPU_MS_DEFAULT: u64 = 10_000;
/// Memory of a run where the caller sets none, in bytes.
pub const CODE_MEMORY_BYTES_DEFAULT: usize = 64 * 1024 * 1024;
/// Console output of a run where the caller sets none, in bytes.
pub const CODE_LOG_BYTES_DEFAULT: usize = 64 * 1024;

/// What the check of one source may use: no sound source comes near.
pub(super) const CHECK_LIMITS: CodeLimits = CodeLimits {
    wall_ms: 2_000,
    cpu_ms: 1_000,
    memory_bytes: CODE_MEMORY_BYTES_DEFAULT,
    output_bytes: CODE_LOG_BYTES_DEFAULT,
    log_bytes: CODE_LOG_BYTES_DEFAULT,
};

/// A piece of code to run once.
#[derive(Debug, Clone, Copy)]
pub struct CodeRequest<'a> {
    pub code: &'a Code,
    pub input: CodeInput<'a>,
    pub limits: CodeLimits,
    pub grants: &'a Grants,
}

/// What a run may use. A session of several runs has them once, for all its runs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CodeLimits {
    pub wall_ms: u64,
    pub cpu_ms: u64,
    /// At most [`MEMORY_BYTES_MAX`].
    pub memory_bytes: usize,
    /// Size of the output as JSON.
    pub output_bytes: usize,
    /// Console output beyond this is dropped.
    pub log_bytes: usize,
}

impl Default for CodeLimits {
    fn default() -> Self {
        Self {
            wall_ms: CODE_WALL_MS_DEFAULT,
            cpu_ms: CODE_CPU_MS_DEFAULT,
            memory_bytes: CODE_MEMORY_BYTES_DEFAULT.min(MEMORY_BYTES_MAX),
            output_bytes: crate::model::limits::OUTPUT_BYTES_MAX,
            log_bytes: CODE_LOG_BYTES_DEFAULT,
        }
    }
}

impl CodeLimits {
    /// The limits of the instance that a session makes.
    pub(super) fn of_instance(&self) -> Limits {
        Limits {
            wall: Duration::from_millis(self.wall_ms),
            cpu: Duration::from_millis(self.cpu_ms),
            memory_bytes: self.memory_bytes.min(MEMORY_BYTES_MAX),
            output_bytes: self.output_bytes,
            log_bytes: self.log_bytes,
        }
    }
}

/// What a run gave back. **Shape**: `{ output, logs, logs_truncated, usage }`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CodeOutput {
    /// What was returned; null for nothing.
    pub output: Value,
    /// Console output in its order.
    pub logs: Vec<LogLine>,
    /// Whether console output was dropped because of `log_bytes`.
    pub logs_truncated: bool,
    pub usage: Usage,
}

/// What code writes to standard output: the lines of `console.debug`, `console.log` and `console.info`, each ended by a newline.
pub fn stdout_of(logs: &[LogLine]) -> String {
    lines_of(logs, |level| matches!(level, LogLevel::Debug | LogLevel::Info))
}

/// What code writes to standard error: the lines of `console.warn` and `console.error`, each ended by a newline.
pub fn stderr_of(logs: &[LogLine]) -> String {
    lines_of(logs, |level| matches!(level, LogLevel::Warn | LogLevel::Error))
}

fn lines_of(logs: &[LogLine], is_wanted: impl Fn(LogLevel) -> bool) -> String {
    logs.iter().filter(|line| is_wanted(line.level)).flat_map(|line| [line.text.as_str(), "\n"]).collect()
}

/// The level at an index of the list in `prelude.js`; anything beyond it is an error.
pub(super) fn level_from_guest(index: u32) -> LogLevel {
    match index {
        0 => LogLevel::Debug,
        1 => LogLevel::Info,
        2 => LogLevel::Warn,
        _ => LogLevel::Error,
    }
}

/// What a run used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Milliseconds, with fractions.
    pub wall_ms: f64,
    /// Milliseconds, with fractions; the wall time of a run that was shorter than a tick of the sandbox's clock (10 ms).
    pub cpu_ms: f64,
    pub memory_peak_bytes: usize,
    /// Whether the run had to make its sandbox first.
    pub cold: bool,
}

impl From<Usage> for CodeUsage {
    fn from(usage: Usage) -> Self {
        let us = |ms: f64| u64::try_from(Duration::from_secs_f64(ms.max(0.0) / 1_000.0).as_micros()).unwrap_or(u64::MAX);
        Self {
            wall_us: us(usage.wall_ms),
            cpu_us: us(usage.cpu_ms),
            memory_peak_bytes: usage.memory_peak_bytes as u64,
            cold: usage.cold,
        }
    }
}

impl Usage {
    /// Together with what the same session has used `before`.
    pub(super) fn after(self, before: Option<Self>) -> Self {
        let Some(before) = before else { return self };
        Self {
            wall_ms: before.wall_ms + self.wall_ms,
            cpu_ms: before.cpu_ms + self.cpu_ms,
            memory_peak_bytes: before.memory_peak_bytes.max(self.memory_peak_bytes),
            cold: self.cold,
        }
    }

    pub(super) fn of(used: Used, cold: bool) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        Self { wall_ms: ms(used.wall), cpu_ms: ms(used.cpu), memory_peak_bytes: used.memory_bytes_peak, cold }
    }
}

/// Why a run failed. **Shape**: `{ code, message, line?, column?, stack?, logs?, logs_truncated?, usage? }`; lines and columns count from 1 in the user's code.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct CodeError {
    pub code: CodeErrorCode,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The calls that led there, innermost first, one a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Console output before the failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogLine>,
    /// Whether console output was dropped because of `log_bytes`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub logs_truncated: bool,
    /// What the run used, if it came so far as to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeErrorCode {
    Syntax,
    /// The code threw, or what it returned is no JSON.
    Exception,
    Timeout,
    Memory,
    OutputLimit,
    /// The code wanted what it was not granted.
    Denied,
    /// The sandbox itself: try again later. Or there is no such language here.
    Unavailable,
}

impl CodeError {
    /// A failure that has no place.
    pub fn new(code: CodeErrorCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message, line: None, column: None, stack: None, logs: Vec::new(), logs_truncated: false, usage: None }
    }

    /// The message behind its place, as far as there is one: `line 2, column 9: ...`.
    pub fn with_place(&self) -> String {
        let Self { line, column, message, .. } = self;
        match (line, column) {
            (Some(line), Some(column)) => format!("line {line}, column {column}: {message}"),
            (Some(line), None) => format!("line {line}: {message}"),
            (None, _) => message.clone(),
        }
    }

    /// The failure of a node run.
    pub fn into_node_error(self) -> NodeError {
        let code = match self.code {
            CodeErrorCode::Syntax => codes::CODE_SYNTAX,
            CodeErrorCode::Exception => codes::CODE_EXCEPTION,
            CodeErrorCode::Timeout => codes::SANDBOX_TIMEOUT,
            CodeErrorCode::Memory => codes::SANDBOX_MEMORY,
            CodeErrorCode::OutputLimit => codes::OUTPUT_LIMIT,
            CodeErrorCode::Denied => codes::CODE_DENIED,
            CodeErrorCode::Unavailable => return NodeError::transient(codes::OVERLOADED, self.message),
        };
        let details = serde_json::json!({ "line": self.line, "column": self.column, "stack": self.stack });
        NodeError::permanent(code, self.message).with_details(details)
    }
}
