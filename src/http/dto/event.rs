//! What happened in an execution, event by event, for streams. Not the journal's stored form: that may change, and items are
//! shown on request only.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::{
    Time,
    execution::ErrorBody,
    node_run::{OutputBody, WaitBody},
};
use crate::{
    actors::executions::FollowedEnd,
    model::{
        event::{Attempt, Event, Recorded},
        execution::{ExecutionStatus, TriggerKind},
        ids::ExecutionId,
        item::{Item, Items},
    },
};

/// One event. Which fields there are depends on the type of the event, see [`EventBody::type_name`].
#[derive(Debug, Default, Serialize)]
pub(in crate::http) struct EventBody {
    at: Option<Time>,
    #[serde(flatten)]
    run: Option<RunBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<TriggerKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_node: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<ExecutionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Items>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<Vec<DoneBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Vec<OutputBody>>,
    /// What a `respond` node has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ResponseBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<WaitBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ExecutionStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

/// The attempt that an event is about.
#[derive(Debug, Serialize)]
struct RunBody {
    node_id: Arc<str>,
    run_index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
}

/// The result of one input item.
#[derive(Debug, Serialize)]
struct DoneBody {
    index: u32,
    item: Item,
}

#[derive(Debug, Serialize)]
struct ResponseBody {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
}

/// The last thing in a stream: how the execution ended. The status is null if the execution was deleted.
#[derive(Debug, Serialize)]
pub(in crate::http) struct EndBody {
    execution_id: ExecutionId,
    status: Option<ExecutionStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
}

impl EndBody {
    pub(in crate::http) fn new(execution_id: ExecutionId, end: FollowedEnd) -> Self {
        Self { execution_id, status: end.status, error_code: end.error_code }
    }
}

impl EventBody {
    /// Shows an event; items and payloads only `with_data`.
    pub(in crate::http) fn new(recorded: Recorded, with_data: bool) -> Self {
        let Recorded { at, event } = recorded;
        let body = match event {
            Event::Created { trigger, start_node, items, parent, nesting: _, context: _ } => Self {
                trigger: Some(trigger),
                start_node: Some(start_node),
                parent_id: parent.map(|parent| parent.execution),
                item_count: Some(items.len()),
                items: with_data.then_some(items),
                ..Self::default()
            },
            Event::Admitted | Event::TimedOut => Self::default(),
            Event::NodeStarted { attempt }
            | Event::AttemptInterrupted { attempt }
            | Event::RetryDue { attempt }
            | Event::WaitElapsed { attempt } => Self::of(attempt),
            Event::NodeProgressed { attempt, done } => {
                let item_count = Some(done.len());
                let done = done.into_iter().map(|(index, item)| DoneBody { index, item }).collect();
                Self { item_count, done: with_data.then_some(done), ..Self::of(attempt) }
            }
            Event::NodeSucceeded { attempt, started_at, outputs, response, log: _ } => Self {
                outputs: Some(outputs.into_iter().map(|output| OutputBody::new(output, with_data)).collect()),
                response: response.map(|said| ResponseBody { status: said.status, body: with_data.then_some(said.body) }),
                ..Self::ended(attempt, started_at, at)
            },
            Event::NodeFailed { attempt, started_at, error, chance: _, log: _ } => {
                Self { error: Some(error.into()), ..Self::ended(attempt, started_at, at) }
            }
            Event::NodeReused { node, run, outputs } => Self {
                run: Some(RunBody { attempt: None, ..RunBody::of(Attempt { node, run, attempt: 1 }) }),
                outputs: Some(outputs.into_iter().map(|output| OutputBody::new(output, with_data)).collect()),
                ..Self::default()
            },
            Event::WaitStarted { attempt, started_at, wait } => {
                Self { wait: Some(WaitBody::new(wait, with_data)), ..Self::ended(attempt, started_at, at) }
            }
            Event::SignalReceived { name, payload } => {
                Self { name: Some(name), payload: with_data.then_some(payload), ..Self::default() }
            }
            Event::CancelRequested { reason } => Self { reason, ..Self::default() },
            Event::Finished { status, error } => {
                Self { status: Some(status), error: error.map(ErrorBody::from), ..Self::default() }
            }
        };
        Self { at: Some(Time(at)), ..body }
    }

    /// The name of an event's type in streams.
    pub(in crate::http) fn type_name(event: &Event) -> &'static str {
        match event {
            Event::Created { .. } => "created",
            Event::Admitted => "admitted",
            Event::NodeStarted { .. } => "node_started",
            Event::NodeProgressed { .. } => "node_progressed",
            Event::NodeSucceeded { .. } => "node_succeeded",
            Event::NodeFailed { .. } => "node_failed",
            Event::AttemptInterrupted { .. } => "attempt_interrupted",
            Event::NodeReused { .. } => "node_reused",
            Event::RetryDue { .. } => "retry_due",
            Event::WaitStarted { .. } => "wait_started",
            Event::WaitElapsed { .. } => "wait_elapsed",
            Event::SignalReceived { .. } => "signal_received",
            Event::CancelRequested { .. } => "cancel_requested",
            Event::TimedOut => "timed_out",
            Event::Finished { .. } => "finished",
        }
    }

    fn of(attempt: Attempt) -> Self {
        Self { run: Some(RunBody::of(attempt)), ..Self::default() }
    }

    fn ended(attempt: Attempt, started_at: u64, at: u64) -> Self {
        let mut body = Self::of(attempt);
        if let Some(run) = &mut body.run {
            run.started_at = Some(Time(started_at));
            run.duration_ms = Some(at.saturating_sub(started_at));
        }
        body
    }
}

impl RunBody {
    fn of(attempt: Attempt) -> Self {
        let Attempt { node, run, attempt } = attempt;
        Self { node_id: node, run_index: run, attempt: Some(attempt), started_at: None, duration_ms: None }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{
        error::NodeError,
        event::{ExecutionError, Parent, Response, Wait},
        item::PortItems,
    };

    /// One event of each type; whatever is secret in them is data.
    fn events() -> Vec<Event> {
        let attempt = || Attempt { node: "a".into(), run: 2, attempt: 3 };
        let item = || Item::from_value(json!({ "secret": 1 }));
        let parent = Some(Parent { execution: ExecutionId::from_uuid(uuid::Uuid::nil()), signal: Some("secret".to_owned()) });
        let response = Some(Response { status: 201, headers: [].into(), body: json!("secret") });
        let error = Some(ExecutionError { code: "boom".to_owned(), message: "m".to_owned(), node_id: None, details: None });
        let (started_at, outputs) = (1_000, PortItems::main(vec![item()]));
        vec![
            Event::Created {
                trigger: TriggerKind::Manual,
                start_node: "hook".into(),
                items: Arc::new(vec![item()]),
                nesting: 0,
                parent,
                context: None,
            },
            Event::NodeStarted { attempt: attempt() },
            Event::NodeProgressed { attempt: attempt(), done: vec![(7, item())] },
            Event::NodeSucceeded { attempt: attempt(), started_at, outputs, response, log: None },
            Event::NodeFailed { attempt: attempt(), started_at, error: NodeError::transient("boom", "m"), chance: 7, log: None },
            Event::NodeReused { node: "a".into(), run: 2, outputs: PortItems::main(vec![item()]) },
            Event::RetryDue { attempt: attempt() },
            Event::WaitStarted {
                attempt: attempt(),
                started_at,
                wait: Wait { until: Some(2_000), signals: vec!["go".to_owned()], state: json!("secret") },
            },
            Event::WaitElapsed { attempt: attempt() },
            Event::SignalReceived { name: "go".to_owned(), payload: json!("secret") },
            Event::CancelRequested { reason: Some("enough".to_owned()) },
            Event::TimedOut,
            Event::Finished { status: ExecutionStatus::Failed, error },
            Event::Admitted,
            Event::AttemptInterrupted { attempt: attempt() },
        ]
    }

    fn shown(with_data: bool) -> Vec<Value> {
        let recorded = events().into_iter().map(|event| Recorded { at: 1_500, event });
        recorded.map(|recorded| serde_json::to_value(EventBody::new(recorded, with_data)).unwrap()).collect()
    }

    #[test]
    fn names_every_type_as_the_journal_does() {
        for event in events() {
            assert_eq!(serde_json::to_value(&event).unwrap()["type"], EventBody::type_name(&event));
        }
    }

    #[test]
    fn shows_data_only_when_asked() {
        let bare = serde_json::to_string(&shown(false)).unwrap();
        assert!(!bare.contains("secret") && !bare.contains("chance"), "{bare}");
        let full = serde_json::to_string(&shown(true)).unwrap();
        assert_eq!(full.matches("secret").count(), 7, "the parent's signal stays inside: {full}");
    }

    #[test]
    fn shows_what_belongs_to_each_type() {
        let shown = shown(false);
        let run = json!({ "at": "1970-01-01T00:00:01.500Z", "node_id": "a", "run_index": 2, "attempt": 3 });
        assert_eq!(shown[1], run);
        assert_eq!(shown[3]["outputs"], json!([{ "port": "main", "item_count": 1 }]));
        assert_eq!((&shown[3]["duration_ms"], &shown[3]["response"]), (&json!(500), &json!({ "status": 201 })));
        assert_eq!(shown[4]["error"], json!({ "code": "boom", "message": "m" }));
        assert_eq!(shown[5]["outputs"], shown[3]["outputs"]);
        assert_eq!(shown[5]["attempt"], Value::Null);
        assert_eq!(shown[7]["wait"], json!({ "until": "1970-01-01T00:00:02.000Z", "signals": ["go"] }));
        assert_eq!(shown[11], json!({ "at": "1970-01-01T00:00:01.500Z" }));
        assert_eq!((&shown[12]["status"], &shown[12]["error"]["code"]), (&json!("failed"), &json!("boom")));
    }
}
