//! How a node run or an execution fails: a stable code, a message that says what to do, and whether to try again.

use serde::{Deserialize, Serialize};

/// A failure of a node run. **Shape**: `{ code, message, retryable, details? }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct NodeError {
    /// Stable, `snake_case`: see [`codes`]. A `stop_error` node may set its own.
    pub code: String,
    /// A sentence for a person; never a secret, never a payload.
    pub message: String,
    /// Whether another attempt may help.
    pub retryable: bool,
    /// Earliest sensible time of the next attempt (from `Retry-After`), as a delay in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// More for a program: a status, a line and column, the index of the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

impl NodeError {
    /// A failure that another attempt would meet again.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retryable: false, retry_after_ms: None, details: None }
    }

    /// A failure that may pass.
    pub fn transient(code: &str, message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::permanent(code, message) }
    }

    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }
}

/// Every failure code that the engine and the built-in node types use.
pub mod codes {
    pub const TIMEOUT: &str = "timeout";
    pub const CANCELLED: &str = "cancelled";
    pub const PANICKED: &str = "panicked";
    pub const POISONED: &str = "poisoned";
    pub const INTERRUPTED: &str = "interrupted";
    pub const OVERLOADED: &str = "overloaded";
    pub const EXPRESSION: &str = "expression_failed";
    pub const INVALID_PARAMETER: &str = "invalid_parameter";
    pub const INVALID_INPUT: &str = "invalid_input";
    pub const STEP_LIMIT: &str = "step_limit";
    pub const ITEM_LIMIT: &str = "item_limit";
    pub const OUTPUT_LIMIT: &str = "output_limit";
    pub const LOOP_LIMIT: &str = "loop_limit";
    pub const NESTING_LIMIT: &str = "nesting_limit";
    pub const CHILDREN_LIMIT: &str = "children_limit";
    pub const CREDENTIAL: &str = "credential_failed";
    pub const EGRESS_DENIED: &str = "egress_denied";
    pub const CONNECTION_FAILED: &str = "connection_failed";
    pub const HTTP_STATUS: &str = "http_status";
    pub const TOO_MANY_REDIRECTS: &str = "too_many_redirects";
    pub const INVALID_RESPONSE: &str = "invalid_response";
    pub const RATE_LIMITED: &str = "rate_limited";
    pub const SANDBOX_MEMORY: &str = "sandbox_memory";
    pub const SANDBOX_TIMEOUT: &str = "sandbox_timeout";
    pub const CODE_SYNTAX: &str = "code_syntax";
    pub const CODE_EXCEPTION: &str = "code_exception";
    pub const CODE_DENIED: &str = "code_denied";
    pub const CODE_QUOTA: &str = "code_quota";
    pub const NOT_INSTALLED: &str = "not_installed";
    pub const SQL: &str = "sql_failed";
    pub const FILE_DENIED: &str = "file_denied";
    pub const FILE: &str = "file_failed";
    pub const CHILD_FAILED: &str = "child_failed";
    pub const STOPPED: &str = "stopped_by_workflow";
    pub const BLOB_MISSING: &str = "blob_missing";
    pub const INVALID_DEFINITION: &str = "invalid_definition";
}
