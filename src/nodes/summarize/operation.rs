//! The figures that `summarize` computes over values. Pure.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Number, Value, json};

use crate::{
    model::error::{NodeError, codes},
    nodes::{budget, context::kind_of, paths::Path, values},
};

/// Characters between two texts.
pub const SEPARATOR_CHARS_MAX: usize = 100;

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Count,
    CountUnique,
    Sum,
    Average,
    Min,
    Max,
    First,
    Last,
    Concat,
    Append,
}

/// Why a figure cannot be computed.
#[derive(Debug)]
pub enum FigureError {
    NotANumber { item: usize, found: &'static str },
    TooLarge,
    OutputLimit,
}

impl FigureError {
    /// The failure of a node run over the values of `field`.
    pub fn into_node_error(self, field: &Path) -> NodeError {
        let message = match self {
            Self::NotANumber { item, found } => {
                format!("item {item}: `{field}` is {found}, not a number: convert it in a `set` node before")
            }
            Self::TooLarge => format!("the sum of `{field}` is too large for a number"),
            Self::OutputLimit => return budget::too_many_bytes(),
        };
        NodeError::permanent(codes::INVALID_INPUT, message)
    }
}

impl Operation {
    /// The names, in the order of the variants.
    pub const NAMES: [&str; 10] = ["count", "count_unique", "sum", "average", "min", "max", "first", "last", "concat", "append"];

    /// The name in parameters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => Self::NAMES[0],
            Self::CountUnique => Self::NAMES[1],
            Self::Sum => Self::NAMES[2],
            Self::Average => Self::NAMES[3],
            Self::Min => Self::NAMES[4],
            Self::Max => Self::NAMES[5],
            Self::First => Self::NAMES[6],
            Self::Last => Self::NAMES[7],
            Self::Concat => Self::NAMES[8],
            Self::Append => Self::NAMES[9],
        }
    }

    /// Computes the figure over values, each with the index of its item.
    ///
    /// Errors: a value is no number where one is needed; the result is too large.
    pub fn compute(self, taken: &[(usize, &Value)], separator: &str) -> Result<Value, FigureError> {
        let present = || taken.iter().map(|(_, value)| *value).filter(|value| !value.is_null());
        Ok(match self {
            Self::Count => json!(taken.len()),
            Self::CountUnique => json!(taken.iter().map(|(_, value)| values::key_of(value)).collect::<HashSet<_>>().len()),
            Self::Sum => Value::Number(sum(taken)?),
            Self::Average => average(taken)?,
            Self::Min => present().min_by(|left, right| values::compare(left, right)).cloned().unwrap_or(Value::Null),
            Self::Max => present().max_by(|left, right| values::compare(left, right)).cloned().unwrap_or(Value::Null),
            Self::First => taken.first().map_or(Value::Null, |(_, value)| (*value).clone()),
            Self::Last => taken.last().map_or(Value::Null, |(_, value)| (*value).clone()),
            Self::Concat => Value::String(concat(taken, separator)?),
            Self::Append => taken.iter().map(|(_, value)| (*value).clone()).collect(),
        })
    }
}

fn numbers<'v>(taken: &'v [(usize, &'v Value)]) -> impl Iterator<Item = Result<&'v Number, FigureError>> {
    let filled = taken.iter().filter(|(_, value)| !value.is_null() && value.as_str() != Some(""));
    filled.map(|(item, value)| match value {
        Value::Number(number) => Ok(number),
        other => Err(FigureError::NotANumber { item: *item, found: kind_of(other) }),
    })
}

/// Exact while all numbers are integers, which 100,000 of 64 bits cannot overflow in 128.
fn sum(taken: &[(usize, &Value)]) -> Result<Number, FigureError> {
    let mut exact: Option<i128> = Some(0);
    let mut rough = 0.0;
    for number in numbers(taken) {
        let number = number?;
        let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        exact = exact.zip(integer).map(|(sum, integer)| sum + integer);
        rough += number.as_f64().unwrap_or_default();
    }
    let exact = exact.and_then(Number::from_i128);
    exact.or_else(|| Number::from_f64(rough)).ok_or(FigureError::TooLarge)
}

fn average(taken: &[(usize, &Value)]) -> Result<Value, FigureError> {
    let count = numbers(taken).count();
    if count == 0 {
        return Ok(Value::Null);
    }
    let total = sum(taken)?.as_f64().ok_or(FigureError::TooLarge)?;
    // A count of items is exact as a double.
    let count = u32::try_from(count).map(f64::from).map_err(|_| FigureError::TooLarge)?;
    Number::from_f64(total / count).map(Value::Number).ok_or(FigureError::TooLarge)
}

fn concat(taken: &[(usize, &Value)], separator: &str) -> Result<String, FigureError> {
    let mut text = String::new();
    for (position, (_, value)) in taken.iter().enumerate() {
        if position > 0 {
            text.push_str(separator);
        }
        match values::scalar_text(value) {
            Some(scalar) => text.push_str(&scalar),
            None if value.is_null() => {}
            None => text.push_str(&value.to_string()),
        }
        if text.len() > crate::model::limits::OUTPUT_BYTES_MAX {
            return Err(FigureError::OutputLimit);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_its_own_operation() {
        for name in Operation::NAMES {
            assert_eq!(serde_json::from_value::<Operation>(json!(name)).unwrap().name(), name);
        }
    }
}
