//! Counts what a node run is about to put out, so that a run whose output would grow past the limits ends before the memory does.
//! Used by every node type that can put out more than it got; the engine checks the limits again for all.

use serde_json::Value;

use crate::model::{
    error::{NodeError, codes},
    limits::{ITEMS_MAX, OUTPUT_BYTES_MAX},
};

/// What is left of a run's output, or of what it holds on the way.
#[derive(Debug)]
pub struct Budget {
    items_left: usize,
    bytes_left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { items_left: ITEMS_MAX, bytes_left: OUTPUT_BYTES_MAX }
    }
}

impl Budget {
    /// Takes the JSON of one item.
    ///
    /// Errors: `item_limit`, `output_limit`.
    pub fn spend_item(&mut self, json: &Value) -> Result<(), NodeError> {
        self.items_left = self.items_left.checked_sub(1).ok_or_else(too_many_items)?;
        self.spend_value(json)
    }

    /// Takes a value that becomes part of an item.
    ///
    /// Errors: `output_limit`.
    pub fn spend_value(&mut self, value: &Value) -> Result<(), NodeError> {
        self.spend_bytes(size_bytes(value))
    }

    /// Takes a number of bytes.
    ///
    /// Errors: `output_limit`.
    pub fn spend_bytes(&mut self, bytes: usize) -> Result<(), NodeError> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(too_many_bytes)?;
        Ok(())
    }
}

/// The failure of a run that would put out more than [`ITEMS_MAX`] items.
pub fn too_many_items() -> NodeError {
    NodeError::permanent(codes::ITEM_LIMIT, format!("the node would put out more than {ITEMS_MAX} items: split the work"))
}

/// The failure of a run that would put out more than [`OUTPUT_BYTES_MAX`].
pub fn too_many_bytes() -> NodeError {
    NodeError::permanent(
        codes::OUTPUT_LIMIT,
        format!("the node would put out more than {OUTPUT_BYTES_MAX} bytes: keep fewer fields or split the work"),
    )
}

/// About the bytes of a value as JSON: escapes are not counted, and a number counts for 8.
pub fn size_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(values) => 2 + values.iter().map(|value| size_bytes(value) + 1).sum::<usize>(),
        Value::Object(fields) => 2 + fields.iter().map(|(name, value)| name.len() + 4 + size_bytes(value)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn item_limit_obeyed_and_violated() {
        let mut budget = Budget::default();
        for _ in 0..ITEMS_MAX {
            assert_eq!(budget.spend_item(&json!({})), Ok(()));
        }
        assert_eq!(budget.spend_item(&json!({})).unwrap_err().code, codes::ITEM_LIMIT);
    }

    #[test]
    fn output_limit_obeyed_and_violated() {
        let mut budget = Budget::default();
        let half = json!("x".repeat(OUTPUT_BYTES_MAX / 2 - 2));
        assert_eq!(budget.spend_item(&half), Ok(()));
        assert_eq!(budget.spend_value(&half), Ok(()));
        assert_eq!(budget.spend_value(&json!(null)).unwrap_err().code, codes::OUTPUT_LIMIT);
    }

    #[test]
    fn comes_near_the_size_of_the_text() {
        for value in [json!({ "a": [1, 2, 3], "b": { "c": "text" } }), json!([]), json!("a"), json!(null)] {
            let (about, exact) = (size_bytes(&value), value.to_string().len());
            assert!(about >= exact && about <= exact * 3, "{value}: {about} for {exact}");
        }
    }
}
