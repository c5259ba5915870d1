//! A decision: `{ approved, data?, by?, comment? }`, where the `data` of an approval fits the approval's form. Pure.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::{
    model::problem::{Problem, Problems, suggestion},
    nodes::context::kind_of,
};

const FIELDS: [&str; 4] = ["approved", "data", "by", "comment"];
/// Memory of one compiled pattern of a form, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// A decision that has been checked.
#[derive(Debug)]
pub struct Decision {
    pub approved: bool,
    /// As it came.
    pub json: Value,
}

/// Compiles a form. References are refused: chains of them take exponential time, and others lead out of this process.
/// Patterns match in linear time.
///
/// Errors: what makes it no such JSON Schema.
pub fn compile_form(form: &Value) -> Result<Validator, String> {
    if has_reference(form) {
        return Err("a form has no `$ref` or `$dynamicRef`: write the parts out".to_owned());
    }
    jsonschema::options()
        .offline()
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
        .build(form)
        .map_err(|error| format!("is no JSON Schema: {error}"))
}

fn has_reference(schema: &Value) -> bool {
    match schema {
        Value::Array(parts) => parts.iter().any(has_reference),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, part)| matches!(name.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef") || has_reference(part)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

impl Decision {
    /// Reads the payload of a signal. A rejection needs no data, and what it has is not checked.
    ///
    /// Errors: every problem, with pointers into the payload.
    pub fn read(payload: &Value, form: Option<&Validator>) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let Value::Object(fields) = payload else {
            problems.report("", "wrong_type", format!("must be an object, not {}", kind_of(payload)));
            return Err(problems.into_found());
        };
        for name in fields.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
            problems.report(
                format!("/{}", crate::model::problem::pointer_segment(name)),
                "unknown_field",
                suggestion(name, FIELDS),
            );
        }
        for name in ["by", "comment"] {
            if fields.get(name).is_some_and(|value| !value.is_string() && !value.is_null()) {
                problems.report(format!("/{name}"), "wrong_type", "must be a string");
            }
        }
        let approved = match fields.get("approved") {
            Some(Value::Bool(approved)) => *approved,
            Some(other) => {
                problems.report("/approved", "wrong_type", format!("must be a boolean, not {}", kind_of(other)));
                false
            }
            None => {
                problems.report("", "missing_field", "the field `approved` is missing");
                false
            }
        };
        if let Some(form) = form.filter(|_| approved) {
            check_form(form, fields.get("data").unwrap_or(&Value::Null), &mut problems);
        }
        problems.or(Self { approved, json: payload.clone() })
    }
}

fn check_form(form: &Validator, data: &Value, problems: &mut Problems) {
    for error in form.iter_errors(data) {
        if problems.is_full() {
            return;
        }
        // Without the value: it may be long, and the sender knows it.
        problems.report(format!("/data{}", error.instance_path().as_str()), "does_not_fit_form", error.masked().to_string());
    }
}
