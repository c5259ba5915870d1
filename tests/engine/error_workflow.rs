//! `settings.error_workflow`: a failure starts another workflow, once.

use std::sync::Arc;

use citadel::{
    actors::executions::{FinishedExecution, History},
    model::{
        event::Event,
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, WorkspaceId},
        item::Item,
    },
    nodes::plan::CompiledWorkflow,
    store::{ExecutionFilter, ExecutionRow, PageRequest},
};
use serde_json::{Value, json};

use crate::support::{Engine, PATIENCE};

const WORKSPACE: WorkspaceId = WorkspaceId::DEFAULT;

/// A workflow that ends at once: by a failure, or well.
fn ending(name: &str, fails: bool, settings: &Value) -> Value {
    let last = if fails {
        json!({ "id": "last", "type": "stop_error", "params": { "message": "no", "code": "broken" } })
    } else {
        json!({ "id": "last", "type": "no_op" })
    };
    json!({
        "name": name,
        "nodes": [{ "id": "start", "type": "manual" }, last],
        "edges": [{ "from": "start", "to": "last" }],
        "settings": settings
    })
}

async fn handler(engine: &Engine) -> Arc<CompiledWorkflow> {
    engine.workflow(ending("handler", false, &json!({}))).await
}

/// A workflow that fails and names another one for that.
async fn failing(engine: &Engine, error_workflow: &str) -> Arc<CompiledWorkflow> {
    engine.workflow(ending("failing", true, &json!({ "error_workflow": error_workflow }))).await
}

async fn run(engine: &Engine, workflow: &Arc<CompiledWorkflow>) -> (ExecutionId, FinishedExecution) {
    let id = engine.begin(workflow, json!({}), None).await.execution;
    (id, engine.app.executions.wait(WORKSPACE, id, PATIENCE).await.unwrap().unwrap())
}

async fn all_of(engine: &Engine, workflow: &CompiledWorkflow) -> Vec<ExecutionRow> {
    let filter = ExecutionFilter { workflow: Some(workflow.workflow), ..ExecutionFilter::default() };
    engine.app.store.list_executions(WORKSPACE, &filter, &PageRequest { after: None, limit: 9 }).await.unwrap()
}

fn first_item(history: &History) -> &Item {
    match &history.events[0].event {
        Event::Created { items, .. } => &items[0],
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_starts_the_error_workflow_with_what_went_wrong() {
    let engine = Engine::start().await;
    let handler = handler(&engine).await;
    let failing = failing(&engine, &handler.workflow.to_string()).await;
    let (id, finished) = run(&engine, &failing).await;
    assert_eq!(finished.error.unwrap().code, "broken");
    // It is durable before the failed one has ended.
    let started = all_of(&engine, &handler).await;
    let [started] = &started[..] else { panic!("{started:?}") };
    assert_eq!((started.new.trigger, started.new.parent), (TriggerKind::Error, Some(id)));
    let history = engine.app.executions.history(WORKSPACE, started.id).await.unwrap().unwrap();
    let item = &first_item(&history).json;
    assert_eq!(item["execution"]["id"], json!(id));
    assert_eq!(item["execution"]["error"], json!({ "code": "broken", "message": "no", "node_id": "last" }));
    assert_eq!((&item["execution"]["status"], &item["execution"]["trigger"]), (&json!("failed"), &json!("manual")));
    assert!(item["execution"]["started_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(item["workflow"], json!({ "id": failing.workflow, "name": "failing", "version": 1 }));
    let ended = engine.app.executions.wait(WORKSPACE, started.id, PATIENCE).await.unwrap().unwrap();
    assert_eq!(ended.status, ExecutionStatus::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_failure_does_and_not_that_of_an_error_workflow() {
    let engine = Engine::start().await;
    let handler = handler(&engine).await;
    let name = handler.workflow.to_string();
    let fine = engine.workflow(ending("fine", false, &json!({ "error_workflow": name }))).await;
    assert_eq!(run(&engine, &fine).await.1.status, ExecutionStatus::Succeeded);
    let mut sleeper = ending("sleeper", false, &json!({ "error_workflow": name }));
    sleeper["nodes"][1] = json!({ "id": "last", "type": "wait", "params": { "signal": "never" } });
    let sleeper = engine.workflow(sleeper).await;
    let cancelled = engine.begin(&sleeper, json!({}), None).await.execution;
    engine.app.executions.cancel(WORKSPACE, cancelled, None).await.unwrap();
    engine.app.executions.wait(WORKSPACE, cancelled, PATIENCE).await.unwrap().unwrap();
    assert_eq!(all_of(&engine, &handler).await, []);

    // One that fails itself, and names itself.
    let own = ending("own", true, &json!({ "error_workflow": "own" }));
    let own = engine.workflow(own).await;
    engine.app.workflows.activate(WORKSPACE, own.workflow, None).await.unwrap();
    run(&engine, &own).await;
    let both = all_of(&engine, &own).await;
    assert_eq!(both.len(), 2);
    let second = both.iter().find(|row| row.new.trigger == TriggerKind::Error).unwrap().id;
    let ended = engine.app.executions.wait(WORKSPACE, second, PATIENCE).await.unwrap().unwrap();
    assert_eq!(ended.status, ExecutionStatus::Failed);
    assert_eq!(all_of(&engine, &own).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_unusable_error_workflow_keeps_nobody_from_ending() {
    let engine = Engine::start().await;
    let missing = failing(&engine, "nobody").await;
    assert_eq!(run(&engine, &missing).await.1.status, ExecutionStatus::Failed);
    let mut disabled = ending("disabled", false, &json!({}));
    disabled["nodes"][0]["disabled"] = json!(true);
    let disabled = engine.workflow(disabled).await;
    let failing = failing(&engine, &disabled.workflow.to_string()).await;
    assert_eq!(run(&engine, &failing).await.1.status, ExecutionStatus::Failed);
    assert_eq!(all_of(&engine, &disabled).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overload_keeps_nobody_from_ending_either() {
    // The failed execution takes the only place.
    let engine = Engine::start_with(|config| config.limits.executions_live_max = 1).await;
    let handler = handler(&engine).await;
    let failing = failing(&engine, &handler.workflow.to_string()).await;
    assert_eq!(run(&engine, &failing).await.1.status, ExecutionStatus::Failed);
    assert_eq!(all_of(&engine, &handler).await, []);
}
