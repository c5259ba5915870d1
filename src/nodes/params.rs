//! Reading a node's parameters once the schema has passed them: typed structures, templates among them, and the types of
//! evaluated values. Called by every node type's `prepare` and by the runners.

pub mod check;
pub mod schema;

use std::{borrow::Cow, ops::Deref};

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::context::{NodeContext, expect_string, kind_of};
use crate::{
    model::{
        definition::NodeDefinition,
        duration::DurationMs,
        error::{NodeError, codes},
        limits::WAIT_MS_MAX,
        problem::Problem,
    },
    runtimes::expression::Template,
};

/// Reads all parameters of a node into a structure.
///
/// Errors: one problem for the whole of `params`, where the structure asks for more than the schema did.
pub fn read<T: DeserializeOwned>(node: &NodeDefinition) -> Result<T, Vec<Problem>> {
    serde_json::from_value(Value::Object(node.params.clone())).map_err(|error| vec![invalid("/params", error.to_string())])
}

/// A parameter that does not hold together.
pub fn invalid(pointer: &str, detail: impl Into<String>) -> Problem {
    Problem::new(pointer, "invalid_parameter", detail)
}

/// A parameter whose strings may hold expressions. Deserialises from any JSON value.
#[derive(Debug, Clone)]
pub struct Param(Template);

impl Param {
    /// Compiles a part of a node's parameters.
    ///
    /// Errors: every expression that does not parse, with pointers below `pointer`.
    pub fn compile(value: &Value, pointer: &str) -> Result<Self, Vec<Problem>> {
        Template::compile(value)
            .map(Self)
            .map_err(|problems| problems.into_iter().map(|problem| problem.under(pointer)).collect())
    }

    /// The value for the item at `index` of the first input. What is fixed is not copied for each item.
    ///
    /// Errors: as [`NodeContext::evaluate`].
    pub fn value(&self, ctx: &mut NodeContext<'_>, index: usize) -> Result<Cow<'_, Value>, NodeError> {
        match self.literal() {
            Some(value) => Ok(Cow::Borrowed(value)),
            None => ctx.evaluate(self, index).map(Cow::Owned),
        }
    }

    /// Compiles a value that stands for a missing parameter.
    pub fn default_of(value: &Value) -> Self {
        Self(Template::compile(value).expect("defaults of built-in node types compile"))
    }
}

impl Deref for Param {
    type Target = Template;

    fn deref(&self) -> &Template {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Param {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Template::compile(&value).map(Self).map_err(|problems| {
            let details: Vec<String> = problems.into_iter().map(|problem| problem.detail).collect();
            serde::de::Error::custom(details.join("; "))
        })
    }
}

/// Whether one of several parameters needs the JavaScript guest.
pub fn any_needs_guest<'p>(params: impl IntoIterator<Item = &'p Param>) -> bool {
    params.into_iter().any(|param| param.needs_guest())
}

/// The value of a parameter that counts for the whole run: evaluated for the first item.
///
/// Errors: as [`NodeContext::evaluate`].
pub fn evaluate_once(ctx: &mut NodeContext<'_>, param: &Param) -> Result<Value, NodeError> {
    ctx.evaluate(param, 0)
}

/// The text of a parameter that counts for the whole run.
///
/// Errors: `invalid_parameter` if it is not a text; as [`NodeContext::evaluate`].
pub fn text_once(ctx: &mut NodeContext<'_>, param: &Param, name: &str) -> Result<String, NodeError> {
    expect_string(evaluate_once(ctx, param)?, name)
}

/// The duration of a parameter that counts for the whole run, in milliseconds.
///
/// Errors: `invalid_parameter` if it is no duration or longer than [`WAIT_MS_MAX`]; as [`NodeContext::evaluate`].
pub fn duration_once(ctx: &mut NodeContext<'_>, param: &Param, name: &str) -> Result<u64, NodeError> {
    let value = evaluate_once(ctx, param)?;
    let Value::String(text) = &value else {
        return Err(wrong_type(name, "a duration such as `30s`", &value));
    };
    let DurationMs(duration_ms) =
        text.parse().map_err(|error| NodeError::permanent(codes::INVALID_PARAMETER, format!("`{name}`: {error}")))?;
    if duration_ms > WAIT_MS_MAX {
        return Err(NodeError::permanent(
            codes::INVALID_PARAMETER,
            format!("`{name}` is longer than {}", DurationMs(WAIT_MS_MAX)),
        ));
    }
    Ok(duration_ms)
}

/// Checks that a value is a whole number of at least 0; a number written as text counts.
///
/// Errors: `invalid_parameter` that names the parameter.
pub fn expect_count(value: &Value, name: &str) -> Result<u64, NodeError> {
    let count = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    count.ok_or_else(|| wrong_type(name, "a whole number of at least 0", value))
}

/// The failure of a parameter whose value has the wrong type.
pub fn wrong_type(name: &str, expected: &str, found: &Value) -> NodeError {
    NodeError::permanent(codes::INVALID_PARAMETER, format!("`{name}` must be {expected}, not {}", kind_of(found)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_whole_numbers_and_their_texts_only() {
        assert_eq!(expect_count(&json!(3), "max"), Ok(3));
        assert_eq!(expect_count(&json!(" 3 "), "max"), Ok(3));
        for value in [json!(-1), json!(1.5), json!("x"), json!(null), json!([1])] {
            let error = expect_count(&value, "max").unwrap_err();
            assert_eq!(error.code, codes::INVALID_PARAMETER);
            assert!(error.message.starts_with("`max` must be a whole number"), "{}", error.message);
        }
    }
}
