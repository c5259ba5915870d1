//! How an evaluation fails.

use super::{compile::Expression, value::Failure};
use crate::{
    model::error::{NodeError, codes},
    runtimes::{sandbox::error::GuestError, syntax::Position},
};

/// Why an evaluation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .place.as_ref().map(|place| format!("{{{{ {} }}}}: ", place.excerpt)).unwrap_or_default())]
pub struct ExpressionError {
    pub kind: ExpressionErrorKind,
    pub message: String,
    /// JSON pointer to the string, below the template's value.
    pub pointer: String,
    /// The expression that failed.
    pub place: Option<ExpressionPlace>,
}

/// Which expression of a string failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionPlace {
    /// Its beginning.
    pub excerpt: String,
    /// Where it stands in its string.
    pub position: Position,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpressionErrorKind {
    /// The expression itself failed: a JavaScript exception, a node without output.
    Exception,
    Timeout,
    Memory,
    OutputLimit,
    /// The sandbox: try again later.
    Unavailable,
}

impl ExpressionError {
    fn new(kind: ExpressionErrorKind, message: String) -> Self {
        Self { kind, message, pointer: String::new(), place: None }
    }

    pub(super) fn of(mut self, expression: &Expression) -> Self {
        self.place = Some(ExpressionPlace { excerpt: expression.excerpt.to_string(), position: expression.position });
        self
    }

    pub(super) fn below(mut self, segment: &str) -> Self {
        self.pointer.insert_str(0, segment);
        self
    }

    /// The failure of a node run over the item at `item_index`.
    pub fn into_node_error(self, item_index: usize) -> NodeError {
        let code = match self.kind {
            ExpressionErrorKind::Exception => codes::EXPRESSION,
            ExpressionErrorKind::Timeout => codes::SANDBOX_TIMEOUT,
            ExpressionErrorKind::Memory => codes::SANDBOX_MEMORY,
            ExpressionErrorKind::OutputLimit => codes::OUTPUT_LIMIT,
            ExpressionErrorKind::Unavailable => codes::OVERLOADED,
        };
        let position = self.place.as_ref().map(|place| place.position);
        let details = serde_json::json!({
            "item": item_index,
            "pointer": self.pointer,
            "line": position.map(|position| position.line),
            "column": position.map(|position| position.column),
        });
        let message = format!("item {item_index}: {self}");
        let error = match self.kind {
            ExpressionErrorKind::Unavailable => NodeError::transient(code, message),
            _ => NodeError::permanent(code, message),
        };
        error.with_details(details)
    }
}

impl From<Failure> for ExpressionError {
    fn from(failure: Failure) -> Self {
        let kind = match failure {
            Failure::Type(_) | Failure::Missing(_) => ExpressionErrorKind::Exception,
            Failure::TooMuchWork { .. } => ExpressionErrorKind::Memory,
            Failure::OutputTooLarge { .. } => ExpressionErrorKind::OutputLimit,
        };
        Self::new(kind, failure.to_string())
    }
}

impl From<GuestError> for ExpressionError {
    fn from(error: GuestError) -> Self {
        let kind = match &error {
            GuestError::Thrown(_)
            | GuestError::StackOverflow
            | GuestError::OutputMalformed(_)
            | GuestError::Scope(_)
            | GuestError::Exited
            | GuestError::Broken(_) => ExpressionErrorKind::Exception,
            GuestError::WallTime(_) | GuestError::CpuTime(_) => ExpressionErrorKind::Timeout,
            GuestError::Memory { .. } => ExpressionErrorKind::Memory,
            GuestError::OutputTooLarge { .. } => ExpressionErrorKind::OutputLimit,
            GuestError::NoInstance | GuestError::Trapped(_) => ExpressionErrorKind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}
