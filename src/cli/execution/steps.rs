//! What a server says about the nodes of an execution, as steps to draw: from events of a stream, or from two looks at the runs.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    app::embedded::{Step, StepState, wait_text},
    cli::client::ServerEvent,
};

/// The step that an event of the stream stands for; `None` for events that are about no node.
pub(super) fn step_of_event(event: &ServerEvent) -> Option<Step> {
    let body: Value = serde_json::from_str(&event.data).ok()?;
    let state = match event.name.as_str() {
        "node_started" | "retry_due" => StepState::Started,
        "node_progressed" => StepState::Progressed { items: count(&body["item_count"]) },
        "wait_started" => StepState::Waiting { wait: wait(&body["wait"]) },
        "node_succeeded" => StepState::Succeeded,
        "node_failed" => StepState::Failed { failure: failure(&body["error"]) },
        // About the execution, or of a release that says more than this one knows.
        _ => return None,
    };
    step(&body, count(&body["attempt"]), state)
}

/// The steps between two looks at the runs. Remembers what was seen.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<(String, u64), (String, u64)>);

impl Seen {
    /// What has changed since the last look.
    pub(super) fn steps(&mut self, runs: &[Value]) -> Vec<Step> {
        let mut steps = Vec::new();
        for run in runs {
            let (status, attempts) = (text(&run["status"]), run["attempts"].as_u64().unwrap_or_default());
            let key = (text(&run["node_id"]), run["run_index"].as_u64().unwrap_or_default());
            let now = (status.clone(), attempts);
            if self.0.insert(key, now.clone()) != Some(now) {
                steps.extend(state_of(&status, run).and_then(|state| step(run, count(&run["attempts"]), state)));
            }
        }
        steps
    }
}

fn state_of(status: &str, run: &Value) -> Option<StepState> {
    match status {
        "running" | "queued" => Some(StepState::Started),
        "waiting" => Some(StepState::Waiting { wait: wait(&run["wait"]) }),
        "succeeded" => Some(StepState::Succeeded),
        "failed" | "retrying" => Some(StepState::Failed { failure: failure(&run["error"]) }),
        "cancelled" => Some(StepState::Failed { failure: "cancelled".to_owned() }),
        // Not begun, or never to begin.
        _ => None,
    }
}

fn step(body: &Value, attempt: usize, state: StepState) -> Option<Step> {
    Some(Step {
        node: body["node_id"].as_str()?.into(),
        run: u32::try_from(body["run_index"].as_u64()?).ok()?,
        attempt: u32::try_from(attempt).ok()?,
        duration_ms: body["duration_ms"].as_u64().unwrap_or_default(),
        state,
    })
}

fn wait(wait: &Value) -> String {
    let signals: Vec<String> = wait["signals"].as_array().into_iter().flatten().map(text).collect();
    wait_text(!wait["until"].is_null(), &signals)
}

fn failure(error: &Value) -> String {
    format!("{}: {}", text(&error["code"]), text(&error["message"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn count(value: &Value) -> usize {
    value.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_event(name: &str, data: &Value, expected: Option<StepState>) {
        let event = ServerEvent { id: None, name: name.to_owned(), data: data.to_string() };
        assert_eq!(step_of_event(&event).map(|step| step.state), expected);
    }

    #[test]
    fn reads_events() {
        let about = |more: Value| {
            let mut body = json!({ "node_id": "a", "run_index": 0, "attempt": 1 });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        check_event("node_started", &about(json!({})), Some(StepState::Started));
        check_event("node_progressed", &about(json!({ "item_count": 3 })), Some(StepState::Progressed { items: 3 }));
        let failed = about(json!({ "error": { "code": "timeout", "message": "late" } }));
        check_event("node_failed", &failed, Some(StepState::Failed { failure: "timeout: late".to_owned() }));
        let waiting = about(json!({ "wait": { "until": null, "signals": ["go"] } }));
        check_event("wait_started", &waiting, Some(StepState::Waiting { wait: "for the signal go".to_owned() }));
        check_event("finished", &json!({ "status": "succeeded" }), None);
        check_event("something_new", &about(json!({})), None);
    }

    #[test]
    fn tells_only_what_has_changed_between_two_looks() {
        let run = |status: &str, attempts: u64| json!({ "node_id": "a", "run_index": 0, "status": status, "attempts": attempts });
        let mut seen = Seen::default();
        assert_eq!(seen.steps(&[run("pending", 0)]).len(), 0);
        assert_eq!(seen.steps(&[run("running", 1)])[0].state, StepState::Started);
        assert_eq!(seen.steps(&[run("running", 1)]).len(), 0);
        assert_eq!(seen.steps(&[run("running", 2)])[0].attempt, 2);
        assert_eq!(seen.steps(&[run("succeeded", 2)])[0].state, StepState::Succeeded);
    }
}
