//! Questions about JSON values that several node types ask: truth, equality, order, keys for grouping. Pure and total.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// Integers up to this magnitude are exact as a double (2^53).
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Whether JavaScript takes the value for true.
pub fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64().is_some_and(|float| float != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Whether there is nothing in it: null, `""`, `[]` or `{}`.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A scalar as text; `None` for null, arrays and objects.
pub fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether two values are the same JSON: `1` equals `1.0`, and the order of an object's fields does not count.
pub fn are_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right).is_eq(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| are_equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| are_equal(value, other)))
        }
        _ => left == right,
    }
}

/// Compares by value. A total order also where integers are too large for a double: sorting relies on it.
pub fn compare_numbers(left: &Number, right: &Number) -> Ordering {
    let (left_float, right_float) = (float_of(left), float_of(right));
    let rough = left_float.partial_cmp(&right_float).unwrap_or(Ordering::Equal);
    if rough.is_ne() || left_float.abs() < EXACT_INTEGER_MAX || (left.is_f64() && right.is_f64()) {
        return rough;
    }
    exact_integer(left).cmp(&exact_integer(right))
}

fn float_of(number: &Number) -> f64 {
    number.as_f64().expect("a number without arbitrary precision is finite")
}

/// The value of a number that is an integer, as every double from 2^53 on is.
fn exact_integer(number: &Number) -> Option<i128> {
    match (number.as_u64(), number.as_i64()) {
        (Some(unsigned), _) => Some(i128::from(unsigned)),
        (None, Some(signed)) => Some(i128::from(signed)),
        // Only doubles that equal an integer of 64 bits get here, so the digits fit.
        (None, None) => format!("{:.0}", float_of(number)).parse().ok(),
    }
}

/// Orders any two values: numbers, then texts, then booleans, then arrays and objects by their text, then null.
pub fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Array(_) | Value::Object(_), Value::Array(_) | Value::Object(_)) => key_of(left).cmp(&key_of(right)),
        _ => rank(left).cmp(&rank(right)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) | Value::Object(_) => 3,
        Value::Null => 4,
    }
}

/// A text that two values share exactly if [`are_equal`].
pub fn key_of(value: &Value) -> String {
    let mut key = String::new();
    spell_key(value, &mut |part| key.push_str(part));
    key
}

/// Hands the parts of a value's key to `put`: JSON with sorted fields and one spelling for each number.
pub fn spell_key(value: &Value, put: &mut impl FnMut(&str)) {
    match value {
        Value::Null => put("null"),
        Value::Bool(truth) => put(if *truth { "true" } else { "false" }),
        Value::Number(number) => put(&number_key(number)),
        Value::String(text) => spell_text(text, put),
        Value::Array(values) => {
            put("[");
            for value in values {
                spell_key(value, put);
                put(",");
            }
            put("]");
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            put("{");
            for (name, value) in sorted {
                spell_text(name, put);
                put(":");
                spell_key(value, put);
                put(",");
            }
            put("}");
        }
    }
}

/// A text with its length in front, so that no text can look like the end of one.
fn spell_text(text: &str, put: &mut impl FnMut(&str)) {
    put(&text.len().to_string());
    put("\"");
    put(text);
}

fn number_key(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float == 0.0 => "0".to_owned(),
        Some(float) if number.is_f64() && float.fract() == 0.0 => format!("{float:.0}"),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn takes_for_true_what_javascript_does() {
        for value in [json!(1), json!("false"), json!([]), json!({}), json!(true), json!(-0.5)] {
            assert!(is_truthy(&value), "{value}");
        }
        for value in [json!(0), json!(0.0), json!(-0.0), json!(""), json!(null), json!(false)] {
            assert!(!is_truthy(&value), "{value}");
        }
    }

    #[track_caller]
    fn check_order(ascending: &[Value]) {
        for (i, left) in ascending.iter().enumerate() {
            for (j, right) in ascending.iter().enumerate() {
                assert_eq!(compare(left, right), i.cmp(&j), "{left} and {right}");
                assert_eq!(are_equal(left, right), i == j, "{left} and {right}");
                assert_eq!(key_of(left) == key_of(right), i == j, "{left} and {right}");
            }
        }
    }

    #[test]
    fn orders_all_types_and_large_integers_exactly() {
        let large = json!(9_007_199_254_740_993_u64);
        check_order(&[
            json!(i64::MIN),
            json!(-1.5),
            json!(0),
            json!(9_007_199_254_740_992.0),
            large,
            json!(u64::MAX),
            json!(1e300),
            json!("A"),
            json!("a"),
            json!(false),
            json!(true),
            json!([1, 2]),
            json!([12]),
            json!({ "a": 1 }),
            json!(null),
        ]);
    }

    #[track_caller]
    fn check_equal(left: Value, right: Value) {
        assert!(are_equal(&left, &right), "{left} and {right}");
        assert_eq!(key_of(&left), key_of(&right));
    }

    #[test]
    fn knows_one_value_in_two_spellings() {
        check_equal(json!(1), json!(1.0));
        check_equal(json!(0), json!(-0.0));
        check_equal(json!(1_u64 << 63), json!(9_223_372_036_854_775_808.0));
        check_equal(json!({ "a": [1.0], "b": 2 }), json!({ "b": 2, "a": [1] }));
        assert_ne!(key_of(&json!(["a\",1\"b"])), key_of(&json!(["a", "b"])));
    }
}
