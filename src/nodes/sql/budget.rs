//! What the rows of one run may take together. Pure.

use serde_json::{Map, Value};

use crate::model::{
    error::{NodeError, codes},
    limits::{ITEMS_MAX, OUTPUT_BYTES_MAX},
};

/// Rough size of a value beside its text, in bytes: the name, quotes, a number's digits.
const VALUE_BYTES: usize = 16;

/// Counts down.
#[derive(Debug)]
pub(super) struct Budget {
    rows: usize,
    bytes: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { rows: ITEMS_MAX, bytes: OUTPUT_BYTES_MAX }
    }

    /// Takes one row.
    ///
    /// Errors: `item_limit`, `output_limit`.
    pub(super) fn take(&mut self, row: &Map<String, Value>) -> Result<(), NodeError> {
        let bytes: usize = row.iter().map(|(name, value)| name.len() + size(value)).sum();
        let advice = "ask for fewer with LIMIT";
        self.rows = self.rows.checked_sub(1).ok_or_else(|| {
            NodeError::permanent(codes::ITEM_LIMIT, format!("the query gives more than {ITEMS_MAX} rows: {advice}"))
        })?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| {
            NodeError::permanent(codes::OUTPUT_LIMIT, format!("the rows are larger than {OUTPUT_BYTES_MAX} bytes: {advice}"))
        })?;
        Ok(())
    }
}

fn size(value: &Value) -> usize {
    VALUE_BYTES
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(size).sum(),
            Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + size(value)).sum(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_limit_obeyed_and_violated() {
        let mut budget = Budget::new();
        assert!((0..ITEMS_MAX).all(|_| budget.take(&Map::new()).is_ok()));
        assert_eq!(budget.take(&Map::new()).unwrap_err().code, codes::ITEM_LIMIT);
    }

    #[test]
    fn byte_limit_obeyed_and_violated() {
        let row = |bytes| Map::from_iter([("c".to_owned(), Value::String("x".repeat(bytes)))]);
        assert_eq!(Budget::new().take(&row(OUTPUT_BYTES_MAX - VALUE_BYTES - 1)), Ok(()));
        assert_eq!(Budget::new().take(&row(OUTPUT_BYTES_MAX - VALUE_BYTES)).unwrap_err().code, codes::OUTPUT_LIMIT);
    }
}
