//! Checks parameters against the schema of their node type and tells every violation as a [`Problem`] that a person can act on.
//! Called by the registry, once per node when a workflow is saved or loaded.

mod explain;

use jsonschema::{Keyword, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

use super::schema::{FORMAT_DURATION, FORMAT_HOOK_PATH, FORMAT_PATH, FORMAT_PORT, LITERAL};
use crate::{
    model::{
        duration::DurationMs,
        problem::{Problem, Problems, pointer_segment},
    },
    nodes::{Description, paths::Path, switch, webhook::path::HookPath},
    runtimes::expression::Template,
};

/// The schema of one node type, compiled.
pub struct ParamsSchema {
    schema: Value,
    validator: Validator,
    verbatim: &'static [&'static str],
}

impl ParamsSchema {
    /// Compiles the schema of a built-in node type. Panics if it is no schema: a test builds every one.
    pub fn compile(description: &Description) -> Self {
        let schema = description.params_schema.clone();
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(true)
            .with_format(FORMAT_PATH, |text: &str| text.parse::<Path>().is_ok())
            .with_format(FORMAT_DURATION, |text: &str| text.parse::<DurationMs>().is_ok())
            .with_format(FORMAT_PORT, switch::is_port_name)
            .with_format(FORMAT_HOOK_PATH, |text: &str| text.parse::<HookPath>().is_ok())
            .with_keyword(LITERAL, |_, _, _| Ok(Box::new(Literal)))
            .build(&schema)
            .unwrap_or_else(|error| panic!("the schema of {} is wrong: {error}", description.type_name));
        Self { schema, validator, verbatim: description.verbatim }
    }

    /// Every problem of a node's parameters, expressions that do not parse among them. Pointers start with `/params`.
    pub fn check(&self, params: &Map<String, Value>) -> Vec<Problem> {
        let instance = Value::Object(params.clone());
        let mut problems = Problems::default();
        for error in self.validator.iter_errors(&instance) {
            explain::explain(&error, &self.schema, &mut problems);
        }
        for (name, value) in params {
            if self.verbatim.contains(&name.as_str()) {
                continue;
            }
            if let Err(found) = Template::compile(value) {
                let prefix = format!("/params/{}", pointer_segment(name));
                found.into_iter().for_each(|problem| problems.push(problem.under(&prefix)));
            }
        }
        problems.into_found()
    }
}

/// Whether a value is a string that holds an expression, so that its type shows at run time only.
fn holds_expression(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("{{"))
}

/// The keyword [`LITERAL`].
struct Literal;

impl Literal {
    fn is_literal(value: &Value) -> bool {
        match value {
            Value::Array(values) => values.iter().all(Self::is_literal),
            Value::Object(fields) => fields.iter().all(|(key, value)| !key.contains("{{") && Self::is_literal(value)),
            Value::String(_) => !holds_expression(value),
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
        }
    }
}

impl<'i> Keyword<'i> for Literal {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        if Self::is_literal(instance) { Ok(()) } else { Err(ValidationError::custom("takes no expression")) }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        Self::is_literal(instance)
    }
}

#[cfg(test)]
mod tests;
