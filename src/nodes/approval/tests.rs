//! What `approval` does, case by case.

use super::*;
use crate::nodes::testing::{NOW_MS, failure, outcome, prepare, problems, resume};

fn params() -> Value {
    json!({
        "title": "Refund {{ $json.amount }}?", "timeout": "7d", "assignees": ["ada", "{{ $json.team }}"],
        "form": { "type": "object", "required": ["reason"], "properties": { "reason": { "type": "string", "pattern": "^[a-z]+$" } } }
    })
}

fn items() -> Value {
    json!([{ "amount": 240, "team": "sales" }])
}

#[test]
fn waits_for_the_signal_of_its_node() {
    assert_eq!(prepare("approval", params()).shape.ports, ["approved", "rejected", "timeout"]);
    let Ok(Outcome::Wait(wait)) = outcome("approval", params(), &[items()]) else { panic!("the node waits") };
    assert_eq!(wait.until, Some(NOW_MS + 7 * 86_400_000));
    assert_eq!(wait.signals, ["n"]);
    let form = params()["form"].clone();
    assert_eq!(wait.state, json!({ "kind": "approval", "title": "Refund 240?", "form": form, "assignees": ["ada", "sales"] }));
}

fn woken(payload: Option<Value>) -> Woken {
    let signals: Vec<(String, Value)> = payload.into_iter().map(|payload| ("n".to_owned(), payload)).collect();
    Woken { state: Value::Null, timed_out: signals.is_empty(), signals }
}

#[track_caller]
fn check(payload: Option<Value>, port: &str) {
    let mut item = items()[0].clone();
    if let Some(payload) = &payload {
        item["approval"] = payload.clone();
    }
    assert_eq!(resume("approval", params(), items(), &woken(payload)), Ok(json!({ (port): [item] })));
}

#[test]
fn sends_items_by_the_decision() {
    check(Some(json!({ "approved": true, "data": { "reason": "damaged" }, "by": "ada" })), "approved");
    check(Some(json!({ "approved": false, "comment": "no" })), "rejected");
    check(None, "timeout");
}

#[test]
fn a_decision_that_is_none_may_be_asked_for_again() {
    let error = resume("approval", params(), items(), &woken(Some(json!({ "approved": true })))).unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), (codes::INVALID_INPUT, true));
    assert!(error.message.contains("`/data`"), "{}", error.message);
}

#[track_caller]
fn check_payload(payload: Value, expected: &[&str]) {
    let Ok(Outcome::Wait(wait)) = outcome("approval", params(), &[items()]) else { panic!("the node waits") };
    let problems = check_decision(&wait.state, &payload).err().unwrap_or_default();
    let found: Vec<String> = problems.iter().map(|problem| format!("{} {}", problem.pointer, problem.code)).collect();
    assert_eq!(found, expected);
}

#[test]
fn tells_the_sender_every_problem() {
    check_payload(json!({ "approved": true, "data": { "reason": "damaged" } }), &[]);
    check_payload(json!({ "approved": false }), &[]);
    check_payload(json!("yes"), &[" wrong_type"]);
    check_payload(json!({ "aproved": true, "by": 7 }), &["/aproved unknown_field", "/by wrong_type", " missing_field"]);
    check_payload(json!({ "approved": "true" }), &["/approved wrong_type"]);
    check_payload(json!({ "approved": true, "data": { "reason": "7" } }), &["/data/reason does_not_fit_form"]);
    assert_eq!(check_decision(&Value::Null, &json!("anything")), Ok(()));
}

#[test]
fn refuses_forms_that_are_none_or_lead_elsewhere() {
    let with_form = |form: Value| json!({ "title": "t", "form": form });
    assert_eq!(problems("approval", with_form(json!({ "type": "text" }))), ["/params/form invalid_form"]);
    assert_eq!(problems("approval", with_form(json!({ "$ref": "https://example.org/s.json" }))), ["/params/form invalid_form"]);
    assert_eq!(problems("approval", with_form(json!({ "items": [{ "$ref": "#" }] }))), ["/params/form invalid_form"]);
    assert_eq!(problems("approval", with_form(json!({ "$schema": "file:///etc/passwd" }))), ["/params/form invalid_form"]);
    assert_eq!(problems("approval", with_form(json!({ "pattern": "(?=a)b" }))), ["/params/form invalid_form"]);
    assert_eq!(problems("approval", json!({ "form": true })), ["/params/form wrong_type", "/params missing_field"]);
}

#[test]
fn assignees_obeyed_and_violated() {
    let with = |count: usize| json!({ "title": "t", "assignees": format!("{{{{ Array({count}).fill('a') }}}}") });
    assert!(outcome("approval", with(ASSIGNEES_MAX), &[items()]).is_ok());
    assert_eq!(failure("approval", with(ASSIGNEES_MAX + 1), items()), codes::INVALID_PARAMETER);
}
