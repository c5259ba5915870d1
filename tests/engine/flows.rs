//! Starts, waits, signals and cancels over flows without effects.

use citadel::{
    actors::executions::{CommandError, Idempotency, Signal, StartError, StartRequest},
    model::{execution::ExecutionStatus, ids::WorkspaceId},
};
use serde_json::{Value, json};

use crate::support::{Engine, PATIENCE, json_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_pure_flow_runs_to_its_end() {
    let engine = Engine::start().await;
    let definition = json!({
        "name": "totals",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "add", "type": "set", "params": { "fields": { "total": "{{ $json.price * $json.count }}" } } },
            { "id": "big", "type": "if", "params": { "condition": "{{ $json.total > 10 }}" } },
            { "id": "mark", "type": "set", "params": { "fields": { "size": "big" } } }
        ],
        "edges": [
            { "from": "start", "to": "add" }, { "from": "add", "to": "big" }, { "from": "big", "port": "true", "to": "mark" }
        ]
    });
    let finished = engine.run(definition, json!([{ "price": 4, "count": 3 }, { "price": 1, "count": 2 }])).await;
    assert_eq!(finished.status, ExecutionStatus::Succeeded, "{:?}", finished.error);
    assert_eq!(json_of(&finished.result), [json!({ "price": 4, "count": 3, "total": 12, "size": "big" })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_waiting_is_durable_and_ends_by_itself() {
    let engine = Engine::start().await;
    let workflow = engine.workflow(straight()).await;
    let started = engine.begin(&workflow, json!({ "n": 1 }), None).await;
    let finished = engine.app.executions.wait(WorkspaceId::DEFAULT, started.execution, PATIENCE).await.unwrap().unwrap();
    assert_eq!(finished.status, ExecutionStatus::Succeeded);
    assert_eq!(json_of(&finished.result), [json!({ "n": 1, "seen": true })]);
    let history = engine.app.executions.history(WorkspaceId::DEFAULT, started.execution).await.unwrap().unwrap();
    assert_eq!(history.row.state.status, ExecutionStatus::Succeeded);
    assert!(history.row.state.expires_at > history.row.state.finished_at, "retention is set at the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_answers_with_the_first_execution() {
    let engine = Engine::start().await;
    let workflow = engine.workflow(straight()).await;
    let keyed = |hash: u8| StartRequest {
        idempotency: Some(Idempotency { scope: "start".to_owned(), key: "k".to_owned(), request_hash: [hash; 32] }),
        ..engine.request(&workflow, json!({}))
    };
    let first = engine.app.executions.start(keyed(1)).await.unwrap();
    let second = engine.app.executions.start(keyed(1)).await.unwrap();
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!(first.execution, second.execution);
    assert!(matches!(engine.app.executions.start(keyed(2)).await, Err(StartError::KeyMismatch)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_execution_is_woken_by_a_signal_after_a_restart() {
    let engine = Engine::start().await;
    let definition = json!({
        "name": "sleeper",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "pause", "type": "wait", "params": { "signal": "go", "timeout": "1d" } },
        ],
        "edges": [{ "from": "start", "to": "pause" }]
    });
    let workflow = engine.workflow(definition).await;
    let started = engine.begin(&workflow, json!({ "n": 1 }), None).await;
    engine.until("it sleeps", || engine.app.executions.live() == 0).await;
    let engine = engine.restart().await;
    assert_eq!(engine.app.executions.live(), 0, "a sleeping execution takes no memory");
    let signal = Signal { name: "go".to_owned(), payload: json!({ "by": "me" }), dedupe_key: None };
    engine.app.executions.signal(WorkspaceId::DEFAULT, started.execution, signal).await.unwrap();
    let finished = engine.app.executions.wait(WorkspaceId::DEFAULT, started.execution, PATIENCE).await.unwrap().unwrap();
    assert_eq!(finished.status, ExecutionStatus::Succeeded, "{:?}", finished.error);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_execution_never_succeeds() {
    let engine = Engine::start().await;
    let definition = json!({
        "name": "cancelled",
        "nodes": [{ "id": "start", "type": "manual" }, { "id": "pause", "type": "wait", "params": { "for": "1h" } }],
        "edges": [{ "from": "start", "to": "pause" }]
    });
    let workflow = engine.workflow(definition).await;
    let started = engine.begin(&workflow, json!({}), None).await;
    engine.app.executions.cancel(WorkspaceId::DEFAULT, started.execution, Some("enough".to_owned())).await.unwrap();
    let finished = engine.app.executions.wait(WorkspaceId::DEFAULT, started.execution, PATIENCE).await.unwrap().unwrap();
    assert_eq!(finished.status, ExecutionStatus::Cancelled);
    assert_eq!(finished.error.unwrap().message, "enough");
    let again = engine.app.executions.cancel(WorkspaceId::DEFAULT, started.execution, None).await;
    assert!(matches!(again, Err(CommandError::Finished)));
}

fn straight() -> Value {
    json!({
        "name": "straight",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "mark", "type": "set", "params": { "fields": { "seen": true } } }
        ],
        "edges": [{ "from": "start", "to": "mark" }]
    })
}
