//! What `check` does, case by case.

use serde_json::json;

use super::*;
use crate::nodes::params::schema;

fn schema_under_test() -> ParamsSchema {
    ParamsSchema::compile(&Description {
        type_name: "test",
        summary: "",
        params_schema: schema::object(
            &["url"],
            json!({
                "url": schema::text("."),
                "count": { "description": ".", "type": "integer", "minimum": 1, "maximum": 10 },
                "mode": schema::choice(".", &["append", "fields"]),
                "field": schema::path("."),
                "wait": schema::duration("."),
                "fixed": schema::integer(".", 1, 10, 1),
                "pages": {
                    "description": ".",
                    "anyOf": [
                        { "type": "integer" },
                        { "type": "object", "required": ["size"], "additionalProperties": false,
                          "properties": { "size": { "type": "integer" }, "deep": { "type": "boolean" } } },
                    ],
                },
                "code": schema::text("."),
            }),
        ),
        verbatim: &["code"],
    })
}

#[track_caller]
fn check(mut params: Value, expected: &[&str]) -> Vec<Problem> {
    let fields = params.as_object_mut().unwrap();
    if fields.remove("without_url").is_none() {
        fields.entry("url").or_insert(json!("x"));
    }
    let problems = schema_under_test().check(fields);
    let found: Vec<String> = problems.iter().map(|problem| format!("{} {}", problem.pointer, problem.code)).collect();
    assert_eq!(found, expected, "{problems:#?}");
    problems
}

#[test]
fn passes_what_fits() {
    check(json!({ "count": 3, "mode": "fields", "field": "a.b[0]", "wait": "30s", "fixed": 2, "pages": { "size": 3 } }), &[]);
}

#[test]
fn an_expression_passes_any_type() {
    check(
        json!({ "url": "{{ $json.u }}", "count": "{{ $json.n }}", "wait": "{{ $json.w }}", "pages": { "size": "{{ $json.s }}" } }),
        &[],
    );
    check(json!({ "pages": "{{ $json.p }}" }), &[]);
}

#[test]
fn an_expression_is_refused_where_the_value_must_be_fixed() {
    let expected =
        ["/params/mode expression_not_allowed", "/params/field expression_not_allowed", "/params/fixed expression_not_allowed"];
    check(json!({ "mode": "{{ 1 }}", "field": "{{ 1 }}", "fixed": "{{ 1 }}" }), &expected);
}

#[test]
fn names_every_violation_at_its_place() {
    check(json!({ "without_url": true }), &["/params missing_field"]);
    let expected = [
        "/params/count out_of_range",
        "/params/mode unknown_value",
        "/params/field invalid_format",
        "/params/wait invalid_format",
        "/params/fixed wrong_type",
    ];
    check(json!({ "count": 11, "mode": "apend", "field": "a..b", "wait": "30", "fixed": true }), &expected);
}

#[test]
fn suggests_what_was_meant() {
    let problems = check(json!({ "urll": 1, "zzzzzz": 2 }), &["/params/urll unknown_field", "/params/zzzzzz unknown_field"]);
    assert_eq!(problems[0].detail, "`urll` is not a parameter here; did you mean `url`?");
    assert!(problems[1].detail.contains("there are `url`, `count`"), "{}", problems[1].detail);
    let problems = check(json!({ "mode": "apend" }), &["/params/mode unknown_value"]);
    assert_eq!(problems[0].detail, "must be one of `append`, `fields`; did you mean `append`?");
}

#[test]
fn speaks_of_the_form_that_fits_best() {
    check(json!({ "pages": { "size": "3" } }), &["/params/pages/size wrong_type"]);
    check(json!({ "pages": { "sise": 3, "size": 1 } }), &["/params/pages/sise unknown_field"]);
    check(json!({ "pages": "{{ 1 }}" }), &[]);
    check(json!({ "pages": {} }), &["/params/pages missing_field"]);
    let problems = check(json!({ "pages": true }), &["/params/pages invalid_parameter"]);
    assert_eq!(
        problems[0].detail,
        "must be a whole number or an expression, not a boolean; or must be an object or an expression, not a boolean"
    );
}

#[test]
fn shows_no_values() {
    let problems =
        check(json!({ "count": "hunter2", "wait": "hunter2" }), &["/params/count wrong_type", "/params/wait invalid_format"]);
    assert!(problems.iter().all(|problem| !problem.detail.contains("hunter2")), "{problems:#?}");
}
