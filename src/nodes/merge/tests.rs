//! What `merge` does, case by case.

use serde_json::{Value, json};

use super::*;
use crate::{
    model::{error::codes, item::ItemSource},
    nodes::testing::{outcome, prepare, problems, run_inputs},
};

#[track_caller]
fn check(params: Value, inputs: &[Value], expected: Value) {
    let expected = if expected == json!([]) { json!({}) } else { json!({ "main": expected }) };
    assert_eq!(run_inputs("merge", params, inputs), Ok(expected));
}

#[test]
fn has_as_many_inputs_as_it_says() {
    let shape = prepare("merge", json!({ "inputs": 3 })).shape;
    assert_eq!((shape.role, shape.inputs), (Role::Merge, 3));
    assert_eq!(prepare("merge", json!({})).shape.inputs, 2);
}

#[test]
fn appends_in_the_order_of_the_inputs() {
    let inputs = [json!([{ "a": 1 }]), json!([]), json!([{ "a": 2 }, { "a": 3 }])];
    check(json!({ "inputs": 3 }), &inputs, json!([{ "a": 1 }, { "a": 2 }, { "a": 3 }]));
}

#[test]
fn chooses_an_input() {
    let inputs = [json!([]), json!([{ "a": 1 }]), json!([{ "a": 2 }])];
    check(json!({ "mode": "choose", "inputs": 3 }), &inputs, json!([{ "a": 1 }]));
    check(json!({ "mode": "choose", "inputs": 3, "prefer": "last" }), &inputs, json!([{ "a": 2 }]));
    check(json!({ "mode": "choose", "inputs": 3, "prefer": 0 }), &inputs, json!([]));
}

#[test]
fn joins_by_position() {
    let inputs = [json!([{ "a": 1, "x": 1 }, { "a": 2, "x": 1 }]), json!([{ "b": 1, "x": 2 }])];
    let pair = json!({ "a": 1, "x": 2, "b": 1 });
    let alone = json!({ "a": 2, "x": 1 });
    check(json!({ "mode": "position" }), &inputs, json!([pair]));
    check(json!({ "mode": "position", "join": "left" }), &inputs, json!([pair, alone]));
    check(json!({ "mode": "position", "join": "right" }), &inputs, json!([pair]));
    check(json!({ "mode": "position", "join": "outer" }), &inputs, json!([pair, alone]));
    check(json!({ "mode": "position", "prefer": "first" }), &inputs, json!([{ "a": 1, "x": 1, "b": 1 }]));
    check(json!({ "mode": "position", "prefer": 0 }), &inputs, json!([{ "a": 1, "x": 1, "b": 1 }]));
}

#[track_caller]
fn check_join(join: &str, expected: Value) {
    let left = json!([{ "id": 1, "l": 1 }, { "id": 2, "l": 2 }, { "id": null, "l": 3 }, { "id": 1, "l": 4 }]);
    let right = json!([{ "key": 1.0, "r": 1 }, { "key": "2", "r": 2 }, { "key": 1, "r": 3 }, { "r": 4 }]);
    let params = json!({ "mode": "fields", "on": [{ "left": "id", "right": "key" }], "join": join });
    let merged = run_inputs("merge", params, &[left, right]).unwrap();
    let pairs: Value = merged["main"].as_array().unwrap().iter().map(|item| json!([item["l"], item["r"]])).collect();
    assert_eq!(pairs, expected, "{join}");
}

#[test]
fn joins_by_fields_as_sql_does() {
    check_join("inner", json!([[1, 1], [1, 3], [4, 1], [4, 3]]));
    check_join("left", json!([[1, 1], [1, 3], [2, null], [3, null], [4, 1], [4, 3]]));
    check_join("right", json!([[1, 1], [1, 3], [4, 1], [4, 3], [null, 2], [null, 4]]));
    check_join("outer", json!([[1, 1], [1, 3], [2, null], [3, null], [4, 1], [4, 3], [null, 2], [null, 4]]));
    check_join("anti", json!([[2, null], [3, null]]));
}

#[test]
fn joins_over_one_or_several_paths() {
    let inputs = [json!([{ "k": { "a": 1 }, "b": 1, "l": 1 }]), json!([{ "k": { "a": 1 }, "b": 2, "r": 1 }])];
    check(json!({ "mode": "fields", "on": "k.a" }), &inputs, json!([{ "k": { "a": 1 }, "b": 2, "l": 1, "r": 1 }]));
    check(json!({ "mode": "fields", "on": ["k.a", "b"] }), &inputs, json!([]));
}

#[test]
fn combines_every_item_with_every_other() {
    let inputs = [json!([{ "a": 1 }, { "a": 2 }]), json!([{ "b": 1 }, { "b": 2 }])];
    check(
        json!({ "mode": "multiplex" }),
        &inputs,
        json!([
            { "a": 1, "b": 1 }, { "a": 1, "b": 2 }, { "a": 2, "b": 1 }, { "a": 2, "b": 2 }
        ]),
    );
    check(json!({ "mode": "multiplex" }), &[json!([{ "a": 1 }]), json!([])], json!([]));
}

#[test]
fn knows_where_items_came_from() {
    let params = json!({ "mode": "fields", "on": "k", "join": "right" });
    let Ok(Outcome::Done(ports)) = outcome("merge", params, &[json!([{ "k": 1 }]), json!([{ "k": 2 }, { "k": 1 }])]) else {
        panic!("the node is done")
    };
    let sources: Vec<ItemSource> = ports[0].items.iter().map(|item| item.source.clone().unwrap()).collect();
    let source = |node: &str, item| ItemSource { node: node.into(), run: 0, item };
    assert_eq!(sources, [source("in0", 0), source("in1", 0)]);
}

#[track_caller]
fn check_limit(params: Value, inputs: &[Value], code: &str) {
    assert_eq!(outcome("merge", params, inputs).unwrap_err().code, code);
}

#[test]
fn item_limit_obeyed_and_violated() {
    let items = |count: usize| Value::from(vec![json!({ "k": 1 }); count]);
    let obeyed = outcome("merge", json!({ "mode": "multiplex" }), &[items(1_000), items(100)]);
    assert!(matches!(obeyed, Ok(Outcome::Done(ports)) if ports[0].items.len() == ITEMS_MAX));
    check_limit(json!({ "mode": "multiplex" }), &[items(1_001), items(100)], codes::ITEM_LIMIT);
    check_limit(json!({ "mode": "fields", "on": "k" }), &[items(1_001), items(100)], codes::ITEM_LIMIT);
}

#[test]
fn stops_before_copies_of_a_large_item_fill_the_memory() {
    let large = json!([{ "large": "x".repeat(1_000_000) }]);
    check_limit(json!({ "mode": "multiplex" }), &[large, Value::from(vec![json!({}); 1_000])], codes::OUTPUT_LIMIT);
}

#[test]
fn refuses_parameters_of_another_mode() {
    assert_eq!(problems("merge", json!({ "mode": "fields" })), ["/params missing_field"]);
    assert_eq!(problems("merge", json!({ "mode": "fields", "on": "k", "inputs": 3 })), ["/params/inputs invalid_parameter"]);
    assert_eq!(
        problems("merge", json!({ "on": "k", "join": "left", "prefer": "first" })),
        ["/params/on invalid_parameter", "/params/join invalid_parameter", "/params/prefer invalid_parameter"]
    );
    assert_eq!(
        problems("merge", json!({ "mode": "position", "join": "anti", "prefer": 2 })),
        ["/params/join invalid_parameter", "/params/prefer out_of_range"]
    );
    assert_eq!(problems("merge", json!({ "mode": "fields", "on": [{ "left": "a" }] })), ["/params/on/0 missing_field"]);
    assert_eq!(problems("merge", json!({ "inputs": 17 })), ["/params/inputs out_of_range"]);
}
