//! Tables of documents: what is read, and every problem that is reported.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::{
    definition::{AfterCrash, Backoff, OnError, RetryPolicy},
    duration::DurationMs,
};

/// Expects exactly these problems, as `pointer code`, in this order.
#[track_caller]
fn check(document: Value, expected: &[&str]) {
    let problems = parse_value(document).err().unwrap_or_default();
    let found: Vec<String> = problems.iter().map(|problem| format!("{} {}", problem.pointer, problem.code)).collect();
    assert_eq!(found, expected, "{problems:#?}");
}

/// Expects these problems of a workflow whose second node is `node`.
#[track_caller]
fn check_node(node: Value, expected: &[&str]) {
    check(json!({ "name": "w", "nodes": [{ "id": "start", "type": "manual" }, node] }), expected);
}

#[track_caller]
fn detail_of(document: Value) -> String {
    parse_value(document).unwrap_err().remove(0).detail
}

#[test]
fn reads_every_field() {
    let text = br#"{
        "name": "order-intake", "description": "d", "tags": ["a"],
        "nodes": [
            { "id": "hook", "type": "webhook", "params": { "path": "orders" }, "position": [10, -2.5] },
            { "id": "notify", "type": "http.request", "name": "Notify", "credential": "alerting", "disabled": true,
              "retry": { "max_attempts": 5, "backoff": "linear", "initial": "1s", "max": "1m", "jitter": false, "after_crash": "fail" },
              "timeout": "30s", "on_error": "branch", "notes": "n", "execute_once": true, "always_output": true }
        ],
        "edges": [{ "from": "hook", "to": "notify", "port": "true", "input": 1 }, { "from": "hook", "to": "notify" }],
        "settings": { "timezone": "Europe/Berlin", "timeout": "1h", "concurrency": 10, "error_workflow": "wf_1",
                      "retention": { "success": "7d", "failure": "30d" } }
    }"#;
    let definition = parse_json(text).unwrap();
    assert_eq!(definition.nodes[0].params["path"], "orders");
    assert_eq!(definition.nodes[0].position, Some([10.0, -2.5]));
    let notify = &definition.nodes[1];
    let retry = RetryPolicy {
        max_attempts: 5,
        backoff: Backoff::Linear,
        initial: DurationMs(1_000),
        max: DurationMs(60_000),
        jitter: false,
        after_crash: AfterCrash::Fail,
    };
    assert_eq!((&*notify.id, notify.name.as_deref(), notify.credential.as_deref()), ("notify", Some("Notify"), Some("alerting")));
    assert_eq!(
        (notify.retry.as_ref(), notify.timeout, notify.on_error),
        (Some(&retry), Some(DurationMs(30_000)), OnError::Branch)
    );
    assert!(notify.disabled && notify.execute_once && notify.always_output);
    assert_eq!((&*definition.edges[0].port, definition.edges[0].input), ("true", 1));
    assert_eq!((&*definition.edges[1].port, definition.edges[1].input), ("main", 0));
    assert_eq!(definition.settings.retention.as_ref().unwrap().failure, Some(DurationMs(2_592_000_000)));
    // What was read is what serde writes and reads.
    let written = serde_json::to_value(&definition).unwrap();
    assert_eq!(serde_json::from_value::<WorkflowDefinition>(written.clone()).unwrap(), definition);
    assert_eq!(parse_value(written), Ok(definition));
}

#[test]
fn reports_all_problems_at_once() {
    let node = json!({ "id": "a b", "typ": "if", "disabled": "yes", "timeout": 30, "on_error": "ignore" });
    check(
        json!({ "nam": "w", "nodes": [node, 7], "edges": [{ "from": "a", "input": -1 }], "settings": [] }),
        &[
            " missing_field",
            "/nodes/0 missing_field",
            "/nodes/0/id invalid_id",
            "/nodes/0/disabled wrong_type",
            "/nodes/0/timeout invalid_duration",
            "/nodes/0/on_error unknown_value",
            "/nodes/0/typ unknown_field",
            "/nodes/1 wrong_type",
            "/edges/0 missing_field",
            "/edges/0/input out_of_range",
            "/settings wrong_type",
            "/nam unknown_field",
        ],
    );
}

#[test]
fn checks_each_field_of_a_node() {
    check_node(json!({ "id": "", "type": "" }), &["/nodes/1/id empty", "/nodes/1/type empty"]);
    check_node(json!({ "id": "x".repeat(65), "type": "if" }), &["/nodes/1/id invalid_id"]);
    check_node(json!({ "id": "x".repeat(64), "type": "if" }), &[]);
    check_node(json!({ "id": "a", "type": "if", "params": [] }), &["/nodes/1/params wrong_type"]);
    check_node(json!({ "id": "a", "type": "if", "name": "x".repeat(201) }), &["/nodes/1/name too_long"]);
    check_node(json!({ "id": "a", "type": "if", "notes": null }), &["/nodes/1/notes wrong_type"]);
    check_node(json!({ "id": "a", "type": "if", "position": [1] }), &["/nodes/1/position wrong_type"]);
    check_node(json!({ "id": "a", "type": "if", "position": [1, "2"] }), &["/nodes/1/position wrong_type"]);
    check_node(
        json!({ "id": "a", "type": "if", "retry": { "max_attempts": 1.5, "initial": "1", "jiter": true } }),
        &[
            "/nodes/1/retry/max_attempts out_of_range",
            "/nodes/1/retry/initial invalid_duration",
            "/nodes/1/retry/jiter unknown_field",
        ],
    );
    check_node(json!({ "id": "a", "type": "if", "retry": { "max_attempts": 5.0 } }), &[]);
    check_node(
        json!({ "id": "a", "type": "if", "retry": { "max_attempts": 4294967296_u64 } }),
        &["/nodes/1/retry/max_attempts out_of_range"],
    );
    check_node(json!({ "id": "a", "type": "if", "a/b~c": 1 }), &["/nodes/1/a~1b~0c unknown_field"]);
}

#[test]
fn checks_the_settings() {
    let workflow = |settings: Value| json!({ "name": "w", "nodes": [], "settings": settings });
    check(workflow(json!({})), &[]);
    check(workflow(json!({ "retention": { "success": "7 days" } })), &["/settings/retention/success invalid_duration"]);
    check(
        workflow(json!({ "concurency": 3, "timezone": 1 })),
        &["/settings/timezone wrong_type", "/settings/concurency unknown_field"],
    );
}

#[test]
fn says_what_was_meant() {
    let with = |node: Value| json!({ "name": "w", "nodes": [node] });
    assert!(detail_of(with(json!({ "id": "a", "type": "if", "param": {} }))).contains("did you mean `params`?"));
    assert!(detail_of(with(json!({ "id": "a", "type": "if", "on_error": "brunch" }))).contains("did you mean `branch`?"));
    assert!(detail_of(with(json!({ "id": "a", "type": "if", "timeout": "5 min" }))).contains("`1h30m`"));
    let edge = json!({ "from": "a", "to": "b", "port": true });
    assert!(detail_of(json!({ "name": "w", "nodes": [], "edges": [edge] })).contains("quotes"));
}

#[test]
fn reports_where_text_is_not_json() {
    let problems = parse_json(b"{\n  \"name\": oops }").unwrap_err();
    assert_eq!((problems.len(), problems[0].code.as_str()), (1, "invalid_json"));
    assert!(problems[0].detail.contains("line 2 column 11"), "{}", problems[0].detail);
    assert_eq!(parse_json(b"").unwrap_err()[0].code, "invalid_json");
    assert_eq!(parse_json(b"[]").unwrap_err()[0].code, "wrong_type");
    assert_eq!(parse_json(b"{\"name\": \"\xff\"}").unwrap_err()[0].code, "invalid_json");
}

#[test]
fn size_obeyed_and_violated() {
    let workflow = |text: usize| {
        format!(r#"{{"name":"w","nodes":[{{"id":"a","type":"set","params":{{"text":"{}"}}}}]}}"#, "x".repeat(text)).into_bytes()
    };
    let room = DEFINITION_BYTES_MAX - workflow(0).len();
    assert!(parse_json(&workflow(room)).is_ok());
    assert!(parse_value(serde_json::from_slice(&workflow(room)).unwrap()).is_ok());
    assert_eq!(parse_json(&workflow(room + 1)).unwrap_err()[0].code, "too_large");
    assert_eq!(parse_value(serde_json::from_slice(&workflow(room + 1)).unwrap()).unwrap_err()[0].code, "too_large");
}

#[test]
fn depth_obeyed_and_violated() {
    let workflow = |depth: usize| {
        format!(
            r#"{{"name":"w","nodes":[{{"id":"a","type":"set","params":{}1{}}}]}}"#,
            r#"{"x":"#.repeat(depth),
            "}".repeat(depth)
        )
    };
    // Three levels are the workflow, its nodes and the node.
    assert!(parse_json(workflow(JSON_DEPTH_MAX - 3).as_bytes()).is_ok());
    assert_eq!(parse_json(workflow(JSON_DEPTH_MAX - 2).as_bytes()).unwrap_err()[0].code, "too_deep");
    assert_eq!(parse_json("[".repeat(1_000_000).as_bytes()).unwrap_err()[0].code, "too_deep");
    let deep: Value = serde_json::from_str(&workflow(JSON_DEPTH_MAX - 2)).unwrap();
    assert_eq!(parse_value(deep).unwrap_err()[0].code, "too_deep");
}

#[test]
fn counts_obeyed_and_violated() {
    let nodes = |count: usize| -> Vec<Value> { (0..count).map(|n| json!({ "id": format!("n{n}"), "type": "no_op" })).collect() };
    let edges = |count: usize| -> Vec<Value> { (0..count).map(|_| json!({ "from": "a", "to": "b" })).collect() };
    let tags = |count: usize| vec!["t"; count];
    let workflow = |n, e, t| json!({ "name": "w", "nodes": nodes(n), "edges": edges(e), "tags": tags(t) });
    check(workflow(NODES_MAX, EDGES_MAX, TAGS_MAX), &[]);
    check(workflow(5_000, EDGES_MAX + 1, TAGS_MAX + 1), &["/tags too_many", "/nodes too_many", "/edges too_many"]);
}

#[test]
fn hostile_names_do_not_make_a_huge_answer() {
    let fields: serde_json::Map<String, Value> = (0..1_000).map(|n| (format!("{}{n}", "x".repeat(1_000)), Value::Null)).collect();
    let problems = parse_value(Value::Object(fields)).unwrap_err();
    assert_eq!(problems.len(), crate::model::limits::PROBLEMS_MAX);
    assert!(problems.iter().all(|problem| problem.detail.len() < 500));
}

/// Any JSON, with the words of definitions in it more often than chance would have them.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "name", "nodes", "edges", "settings", "id", "type", "params", "retry", "timeout", "port", "5s", "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn never_panics_on_a_value(value in any_json()) {
        if let Err(problems) = parse_value(value) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse_json(&bytes).is_err());
    }

    #[test]
    fn reads_the_same_as_serde(value in any_json()) {
        if let Ok(definition) = parse_value(value.clone()) {
            prop_assert_eq!(serde_json::from_value::<WorkflowDefinition>(value).unwrap(), definition);
        }
    }
}
