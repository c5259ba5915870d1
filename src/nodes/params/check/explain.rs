//! Turns violations of a JSON Schema into problems: which parameter, which rule, what to do. Shows no values but short words.

use std::mem::discriminant;

use jsonschema::{
    JsonType, ValidationError,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::Value;

use super::holds_expression;
use crate::{
    model::problem::{Problem, Problems, did_you_mean, excerpt, pointer_segment, suggestion},
    nodes::{
        context::kind_of,
        params::schema::{FORMAT_DURATION, FORMAT_HOOK_PATH, FORMAT_PATH, FORMAT_PORT},
    },
};

/// Adds what is to be said about one violation. Nothing, if the violating string holds an expression.
pub(super) fn explain(error: &ValidationError<'_>, schema: &Value, problems: &mut Problems) {
    if is_excused(error) {
        return;
    }
    let pointer = format!("/params{}", error.instance_path().as_str());
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = siblings(error, schema);
            unexpected.iter().for_each(|name| problems.push(unknown_field(&pointer, name, &known)));
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            explain_nearest(error, context, schema, problems);
        }
        ValidationErrorKind::PropertyNames { error: inner } => {
            let (code, detail) = sentence(inner);
            problems.push(Problem::new(pointer, code, format!("a name in it: {detail}")));
        }
        _ => {
            let (code, detail) = sentence(error);
            problems.push(Problem::new(pointer, code, detail));
        }
    }
}

/// Whether an expression stands where the violation is, so that only the run can tell. What takes no expression is not excused.
fn is_excused(error: &ValidationError<'_>) -> bool {
    match error.kind() {
        ValidationErrorKind::Custom { .. } => false,
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            holds_expression(error.instance()) || context.iter().any(|branch| branch.iter().all(is_excused))
        }
        _ => holds_expression(error.instance()),
    }
}

/// Of several forms none fits: speaks of the one whose type is right, or of all where that does not single one out.
fn explain_nearest(
    error: &ValidationError<'_>,
    forms: &[Vec<ValidationError<'static>>],
    schema: &Value,
    problems: &mut Problems,
) {
    let is_other_type = |inner: &ValidationError<'_>| inner.instance_path() == error.instance_path() && wants_other_type(inner);
    let mut nearest = forms.iter().filter(|form| !form.iter().any(is_other_type));
    match (nearest.next(), nearest.next()) {
        (Some(form), None) => form.iter().for_each(|inner| explain(inner, schema, problems)),
        (Some(_), Some(_)) | (None, _) => {
            let mut wanted: Vec<String> = forms.iter().flatten().map(|inner| sentence(inner).1).collect();
            wanted.dedup();
            problems.report(format!("/params{}", error.instance_path().as_str()), "invalid_parameter", wanted.join("; or "));
        }
    }
}

/// Whether a value of another type is wanted.
fn wants_other_type(error: &ValidationError<'_>) -> bool {
    match error.kind() {
        ValidationErrorKind::Type { .. } => true,
        ValidationErrorKind::Enum { options } => {
            let found = discriminant(&**error.instance());
            options.as_array().into_iter().flatten().all(|option| discriminant(option) != found)
        }
        _ => false,
    }
}

/// Names that the violated object may have: the `properties` beside the violated keyword.
fn siblings<'s>(error: &ValidationError<'_>, schema: &'s Value) -> Vec<&'s str> {
    let keyword = error.schema_path().as_str();
    let parent = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
    let properties = schema.pointer(&format!("{parent}/properties")).and_then(Value::as_object);
    properties.map(|properties| properties.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn unknown_field(pointer: &str, name: &str, known: &[&str]) -> Problem {
    let hint = suggestion(name, known.iter().copied());
    let pointer = format!("{pointer}/{}", pointer_segment(name));
    Problem::new(pointer, "unknown_field", format!("`{}` is not a parameter here; {hint}", excerpt(name)))
}

/// The code and the sentence of a violation that has no others inside.
fn sentence(error: &ValidationError<'_>) -> (&'static str, String) {
    match error.kind() {
        ValidationErrorKind::Custom { .. } => {
            ("expression_not_allowed", "takes no expression, its value must be fixed".to_owned())
        }
        ValidationErrorKind::Type { kind } => {
            ("wrong_type", format!("must be {} or an expression, not {}", type_names(kind), kind_of(error.instance())))
        }
        ValidationErrorKind::Enum { options } => ("unknown_value", unknown_value(error.instance(), options)),
        ValidationErrorKind::Required { property } => {
            ("missing_field", format!("the parameter `{}` is missing", property.as_str().unwrap_or_default()))
        }
        ValidationErrorKind::Format { format } => ("invalid_format", format_hint(format).to_owned()),
        ValidationErrorKind::Minimum { limit } => ("out_of_range", format!("must be at least {limit}")),
        ValidationErrorKind::Maximum { limit } => ("out_of_range", format!("must be at most {limit}")),
        ValidationErrorKind::MinItems { limit } | ValidationErrorKind::MinProperties { limit } => {
            ("too_few", format!("must have at least {limit}"))
        }
        ValidationErrorKind::MaxItems { limit } | ValidationErrorKind::MaxProperties { limit } => {
            ("too_many", format!("may have at most {limit}"))
        }
        ValidationErrorKind::MinLength { .. } => ("empty", "must not be empty".to_owned()),
        ValidationErrorKind::MaxLength { limit } => ("too_long", format!("may have {limit} characters")),
        ValidationErrorKind::Pattern { pattern } => ("invalid_format", format!("must match `{pattern}`")),
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            ("invalid_parameter", "fits several forms that exclude each other".to_owned())
        }
        // Rules that no built-in schema uses so far: the library's words, without the value.
        _ => ("invalid_parameter", error.masked().to_string()),
    }
}

fn unknown_value(found: &Value, options: &Value) -> String {
    let words: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let hint = match found.as_str().and_then(|word| did_you_mean(word, words.iter().copied())) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => String::new(),
    };
    format!("must be one of `{}`{hint}", words.join("`, `"))
}

fn type_names(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => type_name(*one).to_owned(),
        TypeKind::Multiple(several) => several.iter().map(type_name).collect::<Vec<_>>().join(" or "),
    }
}

fn type_name(one: JsonType) -> &'static str {
    match one {
        JsonType::Array => "an array",
        JsonType::Boolean => "a boolean",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}

fn format_hint(format: &str) -> &'static str {
    match format {
        FORMAT_DURATION => "must be a duration such as `500ms`, `30s`, `5m`, `1h30m`, `7d` or `PT1H30M`",
        FORMAT_PATH => "must be a path such as `name`, `customer.city`, `lines[0].sku` or `['a.b']`",
        FORMAT_HOOK_PATH => "must be a path such as `orders` or `orders/{id}`, of letters, digits, `-`, `_`, `.` and `~`",
        FORMAT_PORT => "must be a port's name: 1 to 64 letters, digits, `-`, `_`, `.` or spaces, and not `error`",
        _ => "has the wrong format",
    }
}
