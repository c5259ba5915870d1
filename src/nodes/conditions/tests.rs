//! What `conditions` does, case by case.

use serde_json::{Value, json};

use crate::{
    model::error::codes,
    nodes::testing::{failure, problems, run},
};

#[track_caller]
fn check(conditions: Value, items: Value, expected: Value) {
    assert_eq!(run("filter", json!({ "conditions": conditions }), items), Ok(expected));
}

#[test]
fn takes_all_or_any() {
    let items = json!([{ "a": 1, "b": 1 }, { "a": 1, "b": 2 }, { "a": 2, "b": 2 }]);
    let list = json!([
        { "left": "{{ $json.a }}", "op": "equals", "right": 1 },
        { "left": "{{ $json.b }}", "op": "equals", "right": 1 }
    ]);
    let (first, second, third) = (json!({ "a": 1, "b": 1 }), json!({ "a": 1, "b": 2 }), json!({ "a": 2, "b": 2 }));
    check(json!({ "all": list }), items.clone(), json!({ "kept": [first], "dropped": [second, third] }));
    check(json!({ "any": list }), items, json!({ "kept": [first, second], "dropped": [third] }));
}

#[test]
fn does_not_look_further_than_needed() {
    let list = json!([
        { "left": "{{ $json.a }}", "op": "exists" },
        { "left": "{{ $json.a }}", "op": "gt", "right": 0 }
    ]);
    check(json!({ "all": list }), json!([{}, { "a": 1 }]), json!({ "kept": [{ "a": 1 }], "dropped": [{}] }));
}

#[test]
fn names_the_item_that_cannot_be_compared() {
    let params = json!({ "conditions": { "all": [{ "left": "{{ $json.a }}", "op": "gt", "right": 0 }] } });
    assert_eq!(failure("if", params.clone(), json!([{ "a": 1 }, { "a": "x" }])), codes::INVALID_INPUT);
    let error = run("if", params, json!([{ "a": 1 }, { "a": "x" }])).unwrap_err();
    assert!(error.message.starts_with("item 1: `gt`: cannot compare a string with a number"), "{}", error.message);
}

#[test]
fn reports_every_problem_at_its_place() {
    assert_eq!(problems("if", json!({})), ["/params missing_field"]);
    assert_eq!(problems("if", json!({ "condition": "$json.a > 3" })), ["/params/condition wrong_type"]);
    assert_eq!(problems("if", json!({ "condition": "{{ $json.a }} > 3" })), ["/params/condition invalid_parameter"]);
    assert_eq!(
        problems("if", json!({ "conditions": { "all": [{ "left": 1, "op": "equal" }, { "op": "exists" }] } })),
        ["/params/conditions/all/0/op unknown_value", "/params/conditions/all/1 missing_field"]
    );
    assert_eq!(
        problems("if", json!({ "conditions": { "any": [{ "left": "a", "op": "matches", "right": "(" }] } })),
        ["/params/conditions/any/0/right invalid_parameter"]
    );
    assert_eq!(
        problems("if", json!({ "condition": true, "conditions": { "all": [{ "left": 1, "op": "exists" }] } })),
        ["/params invalid_parameter"]
    );
}
