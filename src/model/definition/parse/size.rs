//! Measures a document before anything recurses over it: how deep it is nested and how many bytes it has as JSON.

use std::io;

use serde_json::Value;

/// The nesting of arrays and objects in JSON text. Exact for valid text; for other text the parser speaks next.
pub fn nesting_of_text(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The nesting of arrays and objects in a value; a scalar has 0. Does not recurse.
pub(super) fn nesting_of_value(value: &Value) -> usize {
    let mut deepest = 0;
    let mut open = vec![(value, 1)];
    while let Some((value, depth)) = open.pop() {
        match value {
            Value::Array(values) => open.extend(values.iter().map(|inner| (inner, depth + 1))),
            Value::Object(fields) => open.extend(fields.values().map(|inner| (inner, depth + 1))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => continue,
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The bytes of a value as compact JSON. Recurses: check the nesting first.
pub(super) fn bytes_as_json(value: &Value) -> usize {
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value).expect("a value has string keys only, and counting does not fail");
    counter.0
}

/// Counts what is written to it.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, nesting: usize) {
        assert_eq!(nesting_of_text(text.as_bytes()), nesting, "{text}");
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(nesting_of_value(&value), nesting, "{text}");
        assert_eq!(bytes_as_json(&value), value.to_string().len(), "{text}");
    }

    #[test]
    fn measures_text_and_value_alike() {
        check("1", 0);
        check("[]", 1);
        check(r#"{"a":[1,{"b":2}],"c":[]}"#, 3);
        check(r#"["[[{{", "\"[[", "\\", ["]]"]]"#, 2);
    }

    #[test]
    fn counts_unclosed_brackets() {
        assert_eq!(nesting_of_text("[".repeat(1_000_000).as_bytes()), 1_000_000);
        assert_eq!(nesting_of_text(b"]]]["), 1);
    }
}
