//! Numbers as the code reads them: its unsigned types go further than the formats of OpenAPI, which know signed ones only.

use serde_json::{Map, Value, json};

/// Describes every integer that is never negative by its bounds, instead of a format that cuts them off.
pub(super) fn unsign(value: &mut Value) {
    match value {
        Value::Object(schema) => {
            unsign_one(schema);
            schema.values_mut().for_each(unsign);
        }
        Value::Array(values) => values.iter_mut().for_each(unsign),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn unsign_one(schema: &mut Map<String, Value>) {
    let is_unsigned = schema.get("minimum").and_then(Value::as_f64).is_some_and(|minimum| minimum >= 0.0);
    let format = schema.get("format").and_then(Value::as_str).filter(|_| is_unsigned);
    match format {
        Some("int32") => {
            schema.remove("format");
            schema.entry("maximum").or_insert_with(|| json!(u32::MAX));
        }
        // No JSON number of a client goes to the end of 64 bits.
        Some("int64") => {
            schema.remove("format");
        }
        Some(_) | None => {}
    }
}
