//! The published JSON Schema and the parser have to agree: what one accepts, the other accepts. Starting from a document with
//! every field, each value is removed, replaced and given an unknown neighbour in turn.

use std::sync::Arc;

use citadel::model::{
    catalog::{EffectClass, NodeCatalog, NodeShape},
    definition::{
        NodeDefinition, RetryPolicy,
        parse::{WORKFLOW_SCHEMA, parse_value},
    },
    limits,
    problem::Problem,
    validation::validate,
};
use jsonschema::Validator;
use serde_json::{Value, json};

/// Knows one shape for all types: here only the form counts.
struct AnyType;

impl NodeCatalog for AnyType {
    fn shape(&self, _node: &NodeDefinition) -> Result<Arc<NodeShape>, Vec<Problem>> {
        Ok(Arc::new(NodeShape::step(EffectClass::Pure)))
    }
}

fn schema() -> Value {
    serde_json::from_str(WORKFLOW_SCHEMA).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

/// What the parser says, and of the validation what a schema can say too: bounds of single values.
fn form_problems(document: &Value) -> Vec<Problem> {
    let definition = match parse_value(document.clone()) {
        Ok(definition) => definition,
        Err(problems) => return problems,
    };
    let mut problems = validate(&definition, &AnyType).err().unwrap_or_default();
    problems.retain(|problem| matches!(problem.code.as_str(), "out_of_range" | "invalid_timezone"));
    problems
}

#[track_caller]
fn check(validator: &Validator, document: &Value, expected: Option<bool>) {
    let problems = form_problems(document);
    let by_schema: Vec<String> = validator.iter_errors(document).map(|error| error.to_string()).collect();
    assert_eq!(problems.is_empty(), by_schema.is_empty(), "parser: {problems:?}, schema: {by_schema:?}, of {document}");
    if let Some(accepted) = expected {
        assert_eq!(problems.is_empty(), accepted, "{problems:?} of {document}");
    }
}

/// A document that uses every field.
fn full() -> Value {
    let retry = json!({
        "max_attempts": 5, "backoff": "linear", "initial": "1s", "max": "1m30s", "jitter": false, "after_crash": "ask",
    });
    let step = json!({
        "id": "notify.it_1-a", "type": "http.request", "name": "Notify", "params": { "url": "{{ $json.url }}", "list": [1, null] },
        "credential": "alerting", "disabled": true, "retry": retry, "timeout": "PT1M", "on_error": "branch", "notes": "",
        "position": [1.5, -2], "execute_once": false, "always_output": true,
    });
    json!({
        "name": "order-intake", "description": "text", "tags": ["a", "b"],
        "nodes": [{ "id": "hook", "type": "webhook" }, step],
        "edges": [{ "from": "hook", "to": "notify.it_1-a", "port": "main", "input": 0 }],
        "settings": {
            "timezone": "Europe/Berlin", "timeout": "1h", "concurrency": 10, "error_workflow": "wf_1",
            "retention": { "success": "7d", "failure": "P30DT12H" },
        },
    })
}

/// Every pointer of a document, the root first.
fn pointers(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, inner)| (key.clone(), inner)).collect(),
        Value::Array(values) => values.iter().enumerate().map(|(index, inner)| (index.to_string(), inner)).collect(),
        _ => Vec::new(),
    };
    for (key, inner) in children {
        found.extend(pointers(inner).into_iter().map(|rest| format!("/{key}{rest}")));
    }
    found
}

#[test]
fn the_schema_is_a_schema() {
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn agree_on_a_table_of_documents() {
    let validator = validator();
    let node = |node: Value| json!({ "name": "w", "nodes": [node] });
    check(&validator, &full(), Some(true));
    check(&validator, &json!({ "name": "w", "nodes": [] }), Some(true));
    check(&validator, &json!({ "nodes": [] }), Some(false));
    check(&validator, &json!([]), Some(false));
    check(&validator, &node(json!({ "id": "a", "type": "manual", "retry": {} })), Some(true));
    check(&validator, &node(json!({ "id": "ü", "type": "manual" })), Some(false));
    check(&validator, &node(json!({ "id": "a\n", "type": "manual" })), Some(false));
    check(&validator, &node(json!({ "id": "a", "type": "manual", "name": "a\nb", "notes": "c\nd" })), Some(true));
    check(&validator, &node(json!({ "id": "a", "type": "manual", "name": "a\0" })), Some(false));
    check(&validator, &node(json!({ "id": "a", "type": "manual", "notes": "\0" })), Some(false));
    for duration in ["0s", "500ms", "1h30m", "7d", "1w", "PT1H30M", "P1DT2S", "P1W"] {
        check(&validator, &json!({ "name": "w", "nodes": [], "settings": { "retention": { "success": duration } } }), Some(true));
    }
    for duration in ["", "5", "s", "P", "PT", "P1M", "1x", "1 h", "-1s", "1.5h", "1H"] {
        check(
            &validator,
            &json!({ "name": "w", "nodes": [], "settings": { "retention": { "success": duration } } }),
            Some(false),
        );
    }
}

#[test]
fn agree_on_timeouts_that_leave_no_time() {
    let validator = validator();
    for (timeout, accepted) in [("0s", false), ("PT0S", false), ("0h0m", false), ("0h1m", true), ("10ms", true)] {
        check(&validator, &json!({ "name": "w", "nodes": [], "settings": { "timeout": timeout } }), Some(accepted));
        let node = json!({ "id": "a", "type": "manual", "timeout": timeout });
        check(&validator, &json!({ "name": "w", "nodes": [node] }), Some(accepted));
    }
}

#[test]
fn agree_on_every_example() {
    let validator = validator();
    let mut seen = 0;
    for folder in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
        let path = folder.unwrap().path().join("workflow.yaml");
        if let Ok(text) = std::fs::read_to_string(&path) {
            check(&validator, &serde_saphyr::from_str(&text).unwrap(), Some(true));
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen} examples");
}

#[test]
fn agree_on_every_change_of_a_full_document() {
    let validator = validator();
    let replacements = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(1e10),
        json!(""),
        json!("x"),
        json!([]),
        json!({}),
    ];
    for pointer in pointers(&full()) {
        for replacement in &replacements {
            let mut document = full();
            *document.pointer_mut(&pointer).unwrap() = replacement.clone();
            check(&validator, &document, None);
        }
        if let Some(Value::Object(_)) = full().pointer(&pointer) {
            let mut document = full();
            document.pointer_mut(&pointer).unwrap()["unheard_of"] = json!(1);
            check(&validator, &document, Some(pointer.contains("/params")));
        }
        let Some((parent, key)) = pointer.rsplit_once('/') else { continue };
        let mut document = full();
        if let Some(fields) = document.pointer_mut(parent).unwrap().as_object_mut() {
            fields.remove(key);
            check(&validator, &document, None);
        }
    }
}

#[test]
fn the_numbers_of_the_schema_are_those_of_the_limits() {
    let schema = schema();
    let number = |pointer: &str| usize::try_from(schema.pointer(pointer).unwrap().as_u64().unwrap()).unwrap();
    assert_eq!(number("/properties/tags/maxItems"), limits::TAGS_MAX);
    assert_eq!(number("/properties/nodes/maxItems"), limits::NODES_MAX);
    assert_eq!(number("/properties/edges/maxItems"), limits::EDGES_MAX);
    assert_eq!(number("/$defs/name/maxLength"), limits::NAME_CHARS_MAX);
    assert_eq!(number("/$defs/prose/maxLength"), limits::PROSE_CHARS_MAX);
    assert_eq!(number("/$defs/retry/properties/max_attempts/maximum"), usize::try_from(limits::ATTEMPTS_MAX).unwrap());
    let id_pattern = schema.pointer("/$defs/node/properties/id/pattern").unwrap().as_str().unwrap();
    assert!(id_pattern.ends_with(&format!("{{1,{}}}$", limits::NODE_ID_CHARS_MAX)));
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_policy() {
    let schema = schema();
    let written = serde_json::to_value(RetryPolicy::default()).unwrap();
    let fields = schema.pointer("/$defs/retry/properties").unwrap().as_object().unwrap();
    let defaults: Value = fields.iter().map(|(key, field)| (key.clone(), field["default"].clone())).collect();
    assert_eq!(defaults, written);
}
