//! Reads a definition from JSON and reports every problem of its form at once, each with a JSON pointer. What the words mean
//! (ids, edges, parameters, bounds) is checked by `crate::model::validation`. Called by the API and the CLI before a definition
//! is stored; YAML is turned into a [`Value`] by them, not here.

mod node;
mod object;
mod settings;
mod size;

use serde_json::Value;

use self::object::ObjectReader;
pub use self::size::nesting_of_text;
use super::WorkflowDefinition;
use crate::model::{
    limits::{DEFINITION_BYTES_MAX, EDGES_MAX, JSON_DEPTH_MAX, NODES_MAX, TAGS_MAX},
    problem::{Problem, Problems},
};

/// The JSON Schema (2020-12) of what is read here, for editors and programs; the API publishes it.
pub const WORKFLOW_SCHEMA: &str = include_str!("../workflow.schema.json");

/// Reads a definition from JSON text.
///
/// Errors: every problem of the form. `invalid_json` (with line and column), `too_large` and `too_deep` stand alone.
pub fn parse_json(text: &[u8]) -> Result<WorkflowDefinition, Vec<Problem>> {
    if text.len() > DEFINITION_BYTES_MAX {
        return Err(vec![too_large()]);
    }
    // Before serde_json sees the text: its own limit of 128 would come out as a syntax error.
    if nesting_of_text(text) > JSON_DEPTH_MAX {
        return Err(vec![too_deep()]);
    }
    let value = serde_json::from_slice(text)
        .map_err(|error| vec![Problem::new("", "invalid_json", format!("this is not JSON: {error}"))])?;
    read_workflow(value)
}

/// Reads a definition from a value, however it was written.
///
/// Errors: as [`parse_json`], but `invalid_json`.
pub fn parse_value(value: Value) -> Result<WorkflowDefinition, Vec<Problem>> {
    // The depth first: measuring the size recurses.
    if size::nesting_of_value(&value) > JSON_DEPTH_MAX {
        return Err(vec![too_deep()]);
    }
    if size::bytes_as_json(&value) > DEFINITION_BYTES_MAX {
        return Err(vec![too_large()]);
    }
    read_workflow(value)
}

fn too_large() -> Problem {
    Problem::new("", "too_large", format!("a definition may have {DEFINITION_BYTES_MAX} bytes of JSON"))
}

fn too_deep() -> Problem {
    Problem::new("", "too_deep", format!("arrays and objects may be nested {JSON_DEPTH_MAX} levels deep"))
}

/// Reads the outermost object. What is missing or wrong gets a placeholder, which nobody sees: there is a problem then.
fn read_workflow(value: Value) -> Result<WorkflowDefinition, Vec<Problem>> {
    let mut problems = Problems::default();
    let Some(mut fields) = ObjectReader::open(value, String::new(), &mut problems) else {
        return Err(problems.into_found());
    };
    fields.require(&["name", "nodes"]);
    let definition = WorkflowDefinition {
        name: fields.name("name").unwrap_or_default(),
        description: fields.prose("description"),
        tags: fields.list("tags", TAGS_MAX, |tag, pointer, problems| object::name(tag, &pointer, problems)),
        nodes: fields.list("nodes", NODES_MAX, node::read_node),
        edges: fields.list("edges", EDGES_MAX, node::read_edge),
        settings: fields.nested("settings", settings::read_settings).unwrap_or_default(),
    };
    fields.finish();
    problems.or(definition)
}

#[cfg(test)]
mod tests;
