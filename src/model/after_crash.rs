//! `retry.after_crash: ask`. An attempt that a crash cut off waits for a signal, whose payload says whether it is repeated.
//! **Shape** of the payload: `{ "decision": "retry" | "fail" }`.

use serde_json::{Value, json};

use super::{
    error::{NodeError, codes},
    event::Wait,
    problem::{Problem, pointer_segment, suggestion},
};

/// `kind` of the wait's state, by which it is told from others.
const KIND: &str = "after_crash";
const FIELDS: [&str; 1] = ["decision"];
const DECISIONS: [(&str, Decision); 2] = [("retry", Decision::Retry), ("fail", Decision::Fail)];

/// What becomes of an attempt that a crash cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is repeated, with the same idempotency key.
    Retry,
    /// It fails with the code `interrupted`.
    Fail,
}

/// The signal that decides about a run of a node.
pub fn signal(node: &str, run: u32) -> String {
    format!("{KIND}/{node}/{run}")
}

/// What such a run waits for.
pub fn wait(node: &str, run: u32) -> Wait {
    Wait { until: None, signals: vec![signal(node, run)], state: state() }
}

/// The state of every such wait.
pub fn state() -> Value {
    let decisions: Vec<&str> = DECISIONS.iter().map(|(name, _)| *name).collect();
    json!({ "kind": KIND, "decisions": decisions })
}

/// Whether a wait with this state is one of these.
pub fn is_state(state: &Value) -> bool {
    state.get("kind").is_some_and(|kind| kind == KIND)
}

/// Reads the payload of a signal.
///
/// Errors: every problem, with pointers into the payload.
pub fn read(payload: &Value) -> Result<Decision, Vec<Problem>> {
    let Value::Object(fields) = payload else {
        return Err(vec![Problem::new("", "wrong_type", "must be an object with the field `decision`")]);
    };
    let unknown = fields.keys().filter(|name| !FIELDS.contains(&name.as_str()));
    let mut problems: Vec<Problem> = unknown
        .map(|name| Problem::new(format!("/{}", pointer_segment(name)), "unknown_field", suggestion(name, FIELDS)))
        .take(super::limits::PROBLEMS_MAX)
        .collect();
    let found = fields.get("decision");
    let decision = DECISIONS.iter().find(|(name, _)| found.is_some_and(|found| found == name));
    match (decision, found) {
        (Some((_, decision)), _) if problems.is_empty() => return Ok(*decision),
        (Some(_), _) => {}
        (None, Some(_)) => problems.push(Problem::new("/decision", "invalid_value", "must be `retry` or `fail`")),
        (None, None) => problems.push(Problem::new("", "missing_field", "the field `decision` is missing")),
    }
    Err(problems)
}

/// The failure of an attempt that is not repeated; `why` ends the sentence.
pub fn interrupted(why: &str) -> NodeError {
    NodeError::permanent(codes::INTERRUPTED, format!("a crash cut the attempt off, and {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(payload: &Value, expected: Result<Decision, &[&str]>) {
        let found = read(payload).map_err(|problems| {
            problems.into_iter().map(|problem| format!("{} {}", problem.pointer, problem.code)).collect::<Vec<_>>()
        });
        assert_eq!(found, expected.map_err(|problems| problems.iter().map(|problem| (*problem).to_owned()).collect()));
    }

    #[test]
    fn reads_a_decision_and_names_what_is_wrong() {
        check(&json!({ "decision": "retry" }), Ok(Decision::Retry));
        check(&json!({ "decision": "fail" }), Ok(Decision::Fail));
        check(&json!({ "decision": "later" }), Err(&["/decision invalid_value"]));
        check(&json!({ "decision": true }), Err(&["/decision invalid_value"]));
        check(&json!({}), Err(&[" missing_field"]));
        check(&json!({ "decision": "retry", "by": "me" }), Err(&["/by unknown_field"]));
        check(&json!("retry"), Err(&[" wrong_type"]));
        check(&Value::Null, Err(&[" wrong_type"]));
    }

    #[test]
    fn knows_its_own_state() {
        assert!(is_state(&wait("a", 0).state));
        assert!(!is_state(&json!({ "kind": "approval" })) && !is_state(&Value::Null));
    }
}
