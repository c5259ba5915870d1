//! The vocabulary of parameter schemas: JSON Schema 2020-12, four formats and one keyword of ours.
//!
//! A string that holds an expression passes everywhere except under `x-literal`.

use serde_json::{Map, Value, json};

/// Format of a dotted path (`crate::nodes::paths`).
pub const FORMAT_PATH: &str = "citadel-path";
/// Format of a duration (`crate::model::duration`).
pub const FORMAT_DURATION: &str = "citadel-duration";
/// Format of a port's name.
pub const FORMAT_PORT: &str = "citadel-port";
/// Format of a webhook's path (`crate::nodes::webhook::path`).
pub const FORMAT_HOOK_PATH: &str = "citadel-hook-path";
/// Keyword, `true`: no string below may hold an expression, since the value shapes the workflow or is read before any run.
pub const LITERAL: &str = "x-literal";

/// The schema of a whole `params` object.
pub fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

/// A node type without parameters.
pub fn nothing() -> Value {
    object(&[], Value::Object(Map::new()))
}

/// Any value, expressions included.
pub fn any(description: &str) -> Value {
    json!({ "description": description })
}

/// A text, expressions included.
pub fn text(description: &str) -> Value {
    json!({ "description": description, "type": "string" })
}

/// A duration, expressions included.
pub fn duration(description: &str) -> Value {
    json!({ "description": description, "type": "string", "format": FORMAT_DURATION })
}

/// One literal out of a few; the first is the default.
pub fn choice(description: &str, choices: &[&str]) -> Value {
    json!({ "description": description, "enum": choices, "default": choices[0], (LITERAL): true })
}

/// A literal path.
pub fn path(description: &str) -> Value {
    json!({ "description": description, "type": "string", "format": FORMAT_PATH, (LITERAL): true })
}

/// A literal list of paths.
pub fn paths(description: &str) -> Value {
    let one = json!({ "type": "string", "format": FORMAT_PATH });
    json!({ "description": description, "type": "array", "items": one, "maxItems": PATHS_MAX, "uniqueItems": true, (LITERAL): true })
}

/// A literal switch, off by default.
pub fn flag(description: &str) -> Value {
    flag_with_default(description, false)
}

/// A literal switch.
pub fn flag_with_default(description: &str, default: bool) -> Value {
    json!({ "description": description, "type": "boolean", "default": default, (LITERAL): true })
}

/// A literal whole number.
pub fn integer(description: &str, minimum: u64, maximum: u64, default: u64) -> Value {
    json!({
        "description": description, "type": "integer", "minimum": minimum, "maximum": maximum, "default": default, (LITERAL): true
    })
}

/// The character between the cells of a table.
pub fn delimiter() -> Value {
    json!({
        "description": "The ASCII character between cells.", "type": "string", "pattern": "^[\\x00-\\x7f]$", "default": ",",
        (LITERAL): true,
    })
}

/// Paths that one parameter may list.
pub const PATHS_MAX: usize = 100;
