//! Languages, and what came of a piece of code.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    actors::code_runs::{
        CODE_RUN_LIMITS_MAX, CodeError, CodeErrorCode, CodeLimits, CodeOutput, LanguageInfo, Usage, stderr_of, stdout_of,
    },
    model::log::{LogLevel, LogLine},
};

/// The languages of this server, and what a run by `POST /runtimes/execute` may use.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct RuntimesBody {
    languages: Vec<LanguageInfo>,
    limits: LimitsBody,
}

/// Limits where the caller sets none, and the most that it may set.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CodeLimitRange)]
struct LimitsBody {
    default: CodeLimits,
    max: CodeLimits,
}

impl RuntimesBody {
    pub(in crate::http) fn new(languages: Vec<LanguageInfo>) -> Self {
        Self { languages, limits: LimitsBody { default: CodeLimits::default(), max: CODE_RUN_LIMITS_MAX } }
    }
}

/// What came of a run. **Shape**: `{ output, error, stdout, stderr, logs, logs_truncated, usage, duration_ms }`.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct CodeRunBody {
    /// What was returned; null for nothing, and where the code failed.
    output: Value,
    /// Why the code failed; null if it did not.
    error: Option<FailureBody>,
    /// The lines of the log up to `info`.
    stdout: String,
    /// The lines of the log from `warn` on.
    stderr: String,
    logs: Vec<LineBody>,
    /// Whether the rest was dropped because of `log_bytes`.
    logs_truncated: bool,
    /// Null where nothing ran.
    usage: Option<Usage>,
    duration_ms: f64,
}

/// A failure of code; lines and columns count from 1 in the code.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CodeFailure)]
struct FailureBody {
    #[schema(value_type = String, example = "exception")]
    code: CodeErrorCode,
    message: String,
    line: Option<u32>,
    column: Option<u32>,
    /// The calls that led there, innermost first, one a line.
    stack: Option<String>,
}

/// A line that code wrote.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CodeLogLine)]
struct LineBody {
    level: LogLevel,
    message: String,
}

impl From<Result<CodeOutput, CodeError>> for CodeRunBody {
    fn from(ran: Result<CodeOutput, CodeError>) -> Self {
        let (output, error, logs, logs_truncated, usage) = match ran {
            Ok(CodeOutput { output, logs, logs_truncated, usage }) => (output, None, logs, logs_truncated, Some(usage)),
            Err(CodeError { code, message, line, column, stack, logs, logs_truncated, usage }) => {
                (Value::Null, Some(FailureBody { code, message, line, column, stack }), logs, logs_truncated, usage)
            }
        };
        Self {
            output,
            error,
            stdout: stdout_of(&logs),
            stderr: stderr_of(&logs),
            logs: lines(logs),
            logs_truncated,
            usage,
            duration_ms: usage.map_or(0.0, |usage| usage.wall_ms),
        }
    }
}

fn lines(logs: Vec<LogLine>) -> Vec<LineBody> {
    logs.into_iter().map(|line| LineBody { level: line.level, message: line.text }).collect()
}
