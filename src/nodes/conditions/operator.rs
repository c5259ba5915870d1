//! The operators of conditions: what each says of two values. Pure.
//!
//! Null, and so a missing field, equals only null, is before and after nothing, contains nothing. Other values of types that do not go
//! together are an error unless `loose` converts them: a silent `false` would hide the mistake.

use std::cmp::Ordering;

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};

use super::pattern::Patterns;
use crate::{
    model::error::{NodeError, codes},
    nodes::{context::kind_of, params::schema::LITERAL, times, values},
};

/// How values are compared.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub case_sensitive: bool,
    /// Convert types first.
    pub loose: bool,
}

/// An operator, or its opposite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    name: &'static str,
    operator: Operator,
    negated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equals,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    In,
    Before,
    After,
    Exists,
    IsEmpty,
    IsTrue,
    IsFalse,
}

/// Every operation by its name.
const OPERATIONS: [Operation; 24] = [
    operation("equals", Operator::Equals),
    opposite("not_equals", Operator::Equals),
    operation("gt", Operator::Greater),
    operation("gte", Operator::GreaterOrEqual),
    operation("lt", Operator::Less),
    operation("lte", Operator::LessOrEqual),
    operation("contains", Operator::Contains),
    opposite("not_contains", Operator::Contains),
    operation("starts_with", Operator::StartsWith),
    opposite("not_starts_with", Operator::StartsWith),
    operation("ends_with", Operator::EndsWith),
    opposite("not_ends_with", Operator::EndsWith),
    operation("matches", Operator::Matches),
    opposite("not_matches", Operator::Matches),
    operation("in", Operator::In),
    opposite("not_in", Operator::In),
    operation("before", Operator::Before),
    operation("after", Operator::After),
    operation("exists", Operator::Exists),
    opposite("not_exists", Operator::Exists),
    operation("is_empty", Operator::IsEmpty),
    opposite("is_not_empty", Operator::IsEmpty),
    operation("is_true", Operator::IsTrue),
    operation("is_false", Operator::IsFalse),
];

const fn operation(name: &'static str, operator: Operator) -> Operation {
    Operation { name, operator, negated: false }
}

const fn opposite(name: &'static str, operator: Operator) -> Operation {
    Operation { name, operator, negated: true }
}

/// The schema of `op`.
pub fn schema() -> Value {
    let names: Vec<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
    json!({
        "description": "`contains` looks into texts and arrays, `in` into the array on the right, `matches` takes a regular expression \
            (linear time: no look-around), `before` and `after` compare points in time, `exists` means not null.",
        "enum": names, (LITERAL): true,
    })
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        OPERATIONS.into_iter().find(|operation| operation.name == name).ok_or_else(|| D::Error::custom("no such operator"))
    }
}

/// Why two values cannot be compared.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Mismatch {
    #[error("cannot compare {left} with {right}; `loose: true` converts types")]
    Types { left: &'static str, right: &'static str },
    #[error("{found} is not a point in time")]
    NoInstant { found: &'static str },
    #[error("the pattern is wrong: {0}")]
    Pattern(#[from] regex::Error),
}

impl Mismatch {
    /// The failure of a node run over the item at `item_index`.
    pub fn into_node_error(self, operation: Operation, item_index: usize) -> NodeError {
        NodeError::permanent(codes::INVALID_INPUT, format!("item {item_index}: `{}`: {self}", operation.name))
    }
}

impl Operation {
    /// Whether the right side is a regular expression.
    pub fn takes_pattern(self) -> bool {
        self.operator == Operator::Matches
    }

    /// Whether the operation holds. `timezone` is the IANA zone of times that name none.
    ///
    /// Errors: the values do not go together.
    pub fn test(
        self,
        left: &Value,
        right: &Value,
        rules: Rules,
        timezone: &str,
        patterns: &mut Patterns,
    ) -> Result<bool, Mismatch> {
        let holds = match self.operator {
            Operator::Equals => are_equal(left, right, rules),
            Operator::Greater => order(left, right, rules)?.is_some_and(Ordering::is_gt),
            Operator::GreaterOrEqual => order(left, right, rules)?.is_some_and(Ordering::is_ge),
            Operator::Less => order(left, right, rules)?.is_some_and(Ordering::is_lt),
            Operator::LessOrEqual => order(left, right, rules)?.is_some_and(Ordering::is_le),
            Operator::Contains => contains(left, right, rules)?,
            Operator::StartsWith => texts(left, right, rules)?.is_some_and(|(text, part)| text.starts_with(&part)),
            Operator::EndsWith => texts(left, right, rules)?.is_some_and(|(text, part)| text.ends_with(&part)),
            Operator::Matches => matches(left, right, rules, patterns)?,
            Operator::In => is_in(left, right, rules)?,
            Operator::Before => instants(left, right, timezone)?.is_some_and(|(left_ms, right_ms)| left_ms < right_ms),
            Operator::After => instants(left, right, timezone)?.is_some_and(|(left_ms, right_ms)| left_ms > right_ms),
            Operator::Exists => !left.is_null(),
            Operator::IsEmpty => values::is_empty(left),
            Operator::IsTrue => truth(left, rules) == Some(true),
            Operator::IsFalse => truth(left, rules) == Some(false),
        };
        Ok(holds != self.negated)
    }
}

fn types_of(left: &Value, right: &Value) -> Mismatch {
    Mismatch::Types { left: kind_of(left), right: kind_of(right) }
}

fn fold(text: &str, rules: Rules) -> String {
    if rules.case_sensitive { text.to_owned() } else { text.to_lowercase() }
}

fn are_equal(left: &Value, right: &Value, rules: Rules) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => fold(left, rules) == fold(right, rules),
        (Value::Null, Value::String(text)) | (Value::String(text), Value::Null) if rules.loose => text.is_empty(),
        (Value::Bool(_), Value::String(_) | Value::Number(_)) | (Value::String(_) | Value::Number(_), Value::Bool(_))
            if rules.loose =>
        {
            truth(left, rules).is_some_and(|left| truth(right, rules) == Some(left))
        }
        (Value::Number(_), Value::String(_)) | (Value::String(_), Value::Number(_)) if rules.loose => {
            numbers(left, right).is_some_and(Ordering::is_eq)
        }
        _ => values::are_equal(left, right),
    }
}

/// The boolean that a value is, or with `loose` that it spells.
fn truth(value: &Value, rules: Rules) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) if rules.loose => text.trim().to_ascii_lowercase().parse().ok(),
        Value::Number(number) if rules.loose => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            Some(_) | None => None,
        },
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The order of two numbers, each of which may be written as text.
fn numbers(left: &Value, right: &Value) -> Option<Ordering> {
    let number = |value: &Value| match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    Some(values::compare_numbers(&number(left)?, &number(right)?))
}

/// The order of two numbers or two texts; `None` where one is null.
fn order(left: &Value, right: &Value, rules: Rules) -> Result<Option<Ordering>, Mismatch> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => Ok(None),
        (Value::Number(left), Value::Number(right)) => Ok(Some(values::compare_numbers(left, right))),
        (Value::String(left_text), Value::String(right_text)) => {
            let as_numbers = if rules.loose { numbers(left, right) } else { None };
            Ok(Some(as_numbers.unwrap_or_else(|| fold(left_text, rules).cmp(&fold(right_text, rules)))))
        }
        _ if rules.loose => numbers(left, right).map(Some).ok_or_else(|| types_of(left, right)),
        _ => Err(types_of(left, right)),
    }
}

/// Two texts in comparable case; `None` where one value is null.
fn texts(left: &Value, right: &Value, rules: Rules) -> Result<Option<(String, String)>, Mismatch> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(fold(text, rules)),
        other if rules.loose => values::scalar_text(other).map(|text| fold(&text, rules)),
        _ => None,
    };
    if left.is_null() || right.is_null() {
        return Ok(None);
    }
    match (text(left), text(right)) {
        (Some(left), Some(right)) => Ok(Some((left, right))),
        _ => Err(types_of(left, right)),
    }
}

fn contains(left: &Value, right: &Value, rules: Rules) -> Result<bool, Mismatch> {
    match left {
        Value::Array(elements) => Ok(elements.iter().any(|element| are_equal(element, right, rules))),
        _ => Ok(texts(left, right, rules)?.is_some_and(|(text, part)| text.contains(&part))),
    }
}

fn is_in(left: &Value, right: &Value, rules: Rules) -> Result<bool, Mismatch> {
    match right {
        Value::Array(elements) => Ok(elements.iter().any(|element| are_equal(left, element, rules))),
        Value::Null => Ok(false),
        _ => Err(types_of(left, right)),
    }
}

fn matches(left: &Value, right: &Value, rules: Rules, patterns: &mut Patterns) -> Result<bool, Mismatch> {
    // The pattern is not folded: `\S` is not `\s`.
    let as_written = Rules { case_sensitive: true, ..rules };
    match texts(left, right, as_written)? {
        Some((text, pattern)) => Ok(patterns.matches(&pattern, &text, rules.case_sensitive)?),
        None => Ok(false),
    }
}

/// Two points in time, in Unix milliseconds; `None` where one value is null.
fn instants(left: &Value, right: &Value, timezone: &str) -> Result<Option<(i64, i64)>, Mismatch> {
    if left.is_null() || right.is_null() {
        return Ok(None);
    }
    let zone = times::zone_of(timezone);
    let read = |value: &Value| times::read_instant_ms(value, &zone).ok_or(Mismatch::NoInstant { found: kind_of(value) });
    Ok(Some((read(left)?, read(right)?)))
}

#[cfg(test)]
mod tests;
