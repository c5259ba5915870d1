//! Reads definitions as people send them: JSON or YAML. Both become the same model.

use serde_json::Value;

use crate::model::{
    definition::{
        WorkflowDefinition,
        parse::{parse_json, parse_value},
    },
    limits::{DEFINITION_BYTES_MAX, JSON_DEPTH_MAX},
    problem::Problem,
};

/// Scalars, lists and tables of one YAML document.
const YAML_NODES_MAX: usize = 200_000;
/// Nodes that aliases may add to a YAML document when they are written out.
const YAML_REPLAYED_MAX: usize = 50_000;

/// The code of a document that is not even JSON.
pub const INVALID_JSON: &str = "invalid_json";
/// The code of a document that is not even YAML.
pub const INVALID_YAML: &str = "invalid_yaml";

/// The notation of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
}

/// Reads a definition.
///
/// Errors: every problem of its form. A syntax error stands alone, with line and column, as [`INVALID_JSON`] or
/// [`INVALID_YAML`].
pub fn read_definition(text: &[u8], format: Format) -> Result<WorkflowDefinition, Vec<Problem>> {
    match format {
        Format::Json => parse_json(text),
        Format::Yaml => parse_value(read_yaml(text)?),
    }
}

/// Reads a document as a value, without a look at what it says.
///
/// Errors: [`INVALID_JSON`], [`INVALID_YAML`], `too_large`.
pub fn read_document(text: &[u8], format: Format) -> Result<Value, Vec<Problem>> {
    match format {
        Format::Json => read_json(text),
        Format::Yaml => read_yaml(text),
    }
}

fn read_json(text: &[u8]) -> Result<Value, Vec<Problem>> {
    if text.len() > DEFINITION_BYTES_MAX {
        return Err(vec![too_large()]);
    }
    let invalid = |error: serde_json::Error| vec![Problem::new("", INVALID_JSON, format!("this is not JSON: {error}"))];
    serde_json::from_slice(text).map_err(invalid)
}

fn too_large() -> Problem {
    Problem::new("", "too_large", format!("a definition may have {DEFINITION_BYTES_MAX} bytes"))
}

/// Reads YAML 1.2 as JSON: `on` and `no` are texts, a key is there once, and aliases cannot blow the document up.
fn read_yaml(text: &[u8]) -> Result<Value, Vec<Problem>> {
    if text.len() > DEFINITION_BYTES_MAX {
        return Err(vec![too_large()]);
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: JSON_DEPTH_MAX,
            max_documents: 1,
            max_nodes: YAML_NODES_MAX,
            max_total_scalar_bytes: DEFINITION_BYTES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: YAML_REPLAYED_MAX },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
        emit_comments: false,
    };
    serde_saphyr::from_slice_with_options(text, options)
        .map_err(|error| vec![Problem::new("", INVALID_YAML, format!("this is not YAML that can be read here: {error}"))])
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "
name: order-intake
nodes:
  - { id: hook, type: webhook, params: { path: orders, on: no, digits: 0755 } }
  - id: big
    type: if
    params: { condition: \"{{ $json.total > 100 }}\", loose: true }
edges:
  - { from: hook, to: big }
";

    #[track_caller]
    fn check_refused(yaml: &str, code: &str, detail: &str) {
        let problems = read_definition(yaml.as_bytes(), Format::Yaml).expect_err("should be refused");
        assert_eq!(problems[0].code, code, "{problems:?}");
        assert!(problems[0].detail.contains(detail), "{problems:?}");
    }

    #[test]
    fn reads_yaml_as_the_same_model() {
        let from_yaml = read_definition(YAML.as_bytes(), Format::Yaml).unwrap();
        let json = serde_json::to_vec(&from_yaml).unwrap();
        assert_eq!(read_definition(&json, Format::Json).unwrap(), from_yaml);
        let params = &from_yaml.nodes[0].params;
        assert_eq!((&params["on"], &params["digits"]), (&Value::from("no"), &Value::from("0755")));
        assert_eq!(from_yaml.nodes[1].params["loose"], true);
    }

    #[test]
    fn says_where_yaml_is_wrong() {
        check_refused("name: a\nnodes: [\n  { id: x\n", INVALID_YAML, "line");
        check_refused("name: a\nname: b\n", INVALID_YAML, "line 2");
        check_refused("name: a\nnodes: []\nnods: []\n", "unknown_field", "nodes");
    }

    #[test]
    fn yaml_limits_violated() {
        check_refused(&format!("name: {}", "x".repeat(DEFINITION_BYTES_MAX)), "too_large", "bytes");
        check_refused(&format!("name: {}{}", "[".repeat(200), "]".repeat(200)), INVALID_YAML, "");
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{below}]\n");
        }
        check_refused(&bomb, INVALID_YAML, "");
    }
}
