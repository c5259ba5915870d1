//! Texts that are stored and searched for have every character but U+0000: the extractors refuse it, and the document says so.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::schemas;

pub(super) const ANYWHERE: &str = "^[^\\x00]*$";
/// Never empty: the path would be another one.
pub(super) const IN_A_PATH: &str = "^[^\\x00]+$";

/// Gives a text of any form this pattern.
pub(super) fn restrict(schema: &mut Value, pattern: &str) {
    let is_text = schema["type"] == "string" || schema["type"] == json!(["string", "null"]);
    let has_a_form = ["pattern", "format", "enum", "const"].iter().any(|keyword| schema.get(keyword).is_some());
    if is_text && !has_a_form {
        schema["pattern"] = json!(pattern);
    }
}

/// Restricts the texts of all bodies that requests have. Schemas by hand say what they mean already.
pub(super) fn restrict_bodies(paths: &Map<String, Value>, schemas: &mut Map<String, Value>) {
    let by_hand = schemas::by_hand();
    let mut open = BTreeSet::new();
    let operations = paths.values().filter_map(Value::as_object).flat_map(Map::values);
    operations.for_each(|operation| add_references(&operation["requestBody"], &mut open));
    let mut done = BTreeSet::new();
    while let Some(name) = open.pop_first() {
        if by_hand.contains_key(&name) || !done.insert(name.clone()) {
            continue;
        }
        if let Some(schema) = schemas.get_mut(&name) {
            restrict_all(schema);
            add_references(schema, &mut open);
        }
    }
}

fn restrict_all(value: &mut Value) {
    match value {
        Value::Object(_) => {
            restrict(value, ANYWHERE);
            value.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(restrict_all);
        }
        Value::Array(values) => values.iter_mut().for_each(restrict_all),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn add_references(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
            names.extend(name.map(str::to_owned));
            fields.values().for_each(|field| add_references(field, names));
        }
        Value::Array(values) => values.iter().for_each(|value| add_references(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
