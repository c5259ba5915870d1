//! JSON text as `JSON.stringify` writes it: numbers as JavaScript writes them, and integer-like keys first.

use serde_json::{Map, Number, Value};

use super::number;

/// Appends a value. Whole numbers keep their digits, even beyond 2^53.
pub(super) fn write(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => write_number(text, number),
        Value::String(string) => write_string(text, string),
        Value::Array(elements) => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                separate(text, index);
                write(text, element);
            }
            text.push(']');
        }
        Value::Object(object) => {
            text.push('{');
            for (index, (key, member)) in in_order(object).into_iter().enumerate() {
                separate(text, index);
                write_string(text, key);
                text.push(':');
                write(text, member);
            }
            text.push('}');
        }
    }
}

fn separate(text: &mut String, index: usize) {
    if index > 0 {
        text.push(',');
    }
}

/// Appends a number of the scope.
pub(super) fn write_number(text: &mut String, number: &Number) {
    match number.as_f64() {
        Some(value) if number.is_f64() => number::write(text, value),
        _ => text.push_str(&number.to_string()),
    }
}

fn write_string(text: &mut String, string: &str) {
    text.push_str(&serde_json::to_string(string).expect("a string is JSON"));
}

/// The members in the order that JavaScript gives them: integer keys by number, then the others as they were added.
/// Source: ECMA-262, 10.1.11.
fn in_order(object: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_by_key(|(key, _)| array_index(key).unwrap_or(u32::MAX)); // Stable: keeps the order of the others.
    members
}

/// The key as an array index, if it is written as one.
pub(super) fn array_index(key: &str) -> Option<u32> {
    let index = key.parse::<u32>().ok()?;
    let is_canonical = key == "0" || key.starts_with(|first: char| matches!(first, '1'..='9'));
    (is_canonical && index < u32::MAX).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_javascript_does() {
        let value: Value =
            serde_json::from_str(r#"{"b":1.0,"10":[1e21,"\u0001\"/"],"9":null,"01":true,"a":18446744073709551615}"#).unwrap();
        let mut text = String::new();
        write(&mut text, &value);
        assert_eq!(text, r#"{"9":null,"10":[1e+21,"\u0001\"/"],"b":1,"01":true,"a":18446744073709551615}"#);
    }
}
