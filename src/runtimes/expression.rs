//! Templates: JSON values with `{{ expression }}` inside. STUB FOR PARALLEL WORK
use super::{javascript::GuestSession, scope::Scope};
use crate::model::{error::NodeError, problem::Problem};
use serde_json::Value;

/// A compiled parameter: any JSON value, strings of which may hold `{{ expressions }}`.
#[derive(Debug, Clone)]
pub struct Template {
    source: Value,
}

impl Template {
    /// Errors: every expression that does not parse, with a pointer below `value` and its position in `detail`.
    pub fn compile(value: &Value) -> Result<Self, Vec<Problem>> {
        Ok(Self { source: value.clone() })
    }
    /// Whether there is no expression in it.
    pub fn is_literal(&self) -> bool {
        true
    }
    /// The value, if there is no expression in it.
    pub fn literal(&self) -> Option<&Value> {
        Some(&self.source)
    }
    /// Whether an evaluation needs the guest.
    pub fn needs_guest(&self) -> bool {
        false
    }
    pub fn evaluate(&self, _scope: &Scope<'_>, _guest: &mut GuestSession) -> Result<Value, ExpressionError> {
        Ok(self.source.clone())
    }
}

/// Why an evaluation failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    pub message: String,
}
impl ExpressionError {
    /// The failure of a node run over the item at `item_index`.
    pub fn into_node_error(self, item_index: usize) -> NodeError {
        NodeError::permanent(crate::model::error::codes::EXPRESSION, format!("item {item_index}: {}", self.message))
    }
}
