//! Parents that end before their children: the children end, and theirs.

use std::sync::Arc;

use citadel::{
    actors::executions::{FinishedExecution, StartRequest},
    model::{
        event::Parent,
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, WorkspaceId},
    },
    nodes::plan::CompiledWorkflow,
    store::{ExecutionFilter, ExecutionRow, PageRequest},
};
use serde_json::{Value, json};

use crate::support::{Engine, PATIENCE};

const WORKSPACE: WorkspaceId = WorkspaceId::DEFAULT;

/// A chain of nodes behind a manual trigger, with settings.
fn chain(name: &str, nodes: &[Value], settings: &Value) -> Value {
    let mut all = vec![json!({ "id": "start", "type": "manual" })];
    all.extend_from_slice(nodes);
    let edges: Vec<Value> = all.windows(2).map(|pair| json!({ "from": pair[0]["id"], "to": pair[1]["id"] })).collect();
    json!({ "name": name, "nodes": all, "edges": edges, "settings": settings })
}

fn call(workflow: &CompiledWorkflow, params: &Value) -> Value {
    let mut all = json!({ "workflow": workflow.workflow.to_string() });
    all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
    json!({ "id": "call", "type": "workflow", "params": all })
}

/// A workflow that waits for a signal which never comes.
async fn sleeper(engine: &Engine) -> Arc<CompiledWorkflow> {
    let pause = json!({ "id": "pause", "type": "wait", "params": { "signal": "never" } });
    engine.workflow(chain("sleeper", &[pause], &json!({}))).await
}

/// Executions of a workflow, oldest first, once there are `count` that have this status.
async fn all_with(engine: &Engine, workflow: &CompiledWorkflow, status: ExecutionStatus, count: usize) -> Vec<ExecutionRow> {
    let filter = ExecutionFilter { workflow: Some(workflow.workflow), statuses: vec![status], ..ExecutionFilter::default() };
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let page = PageRequest { after: None, limit: 100 };
        let mut rows = engine.app.store.list_executions(WORKSPACE, &filter, &page).await.unwrap();
        if rows.len() == count {
            rows.reverse();
            return rows;
        }
        assert!(std::time::Instant::now() < deadline, "{} of {count} are {}", rows.len(), status.as_str());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn end_of(engine: &Engine, id: ExecutionId) -> FinishedExecution {
    engine.app.executions.wait(WORKSPACE, id, PATIENCE).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_children_and_grandchildren_that_sleep() {
    let engine = Engine::start().await;
    let grandchild = sleeper(&engine).await;
    let child = engine.workflow(chain("child", &[call(&grandchild, &json!({}))], &json!({}))).await;
    let parent = engine.workflow(chain("parent", &[call(&child, &json!({ "per_item": true }))], &json!({}))).await;
    let started = engine.begin(&parent, json!([{ "n": 1 }, { "n": 2 }]), None).await.execution;
    all_with(&engine, &grandchild, ExecutionStatus::Waiting, 2).await;
    engine.until("all of them sleep", || engine.app.executions.live() == 0).await;
    engine.app.executions.cancel(WORKSPACE, started, Some("enough".to_owned())).await.unwrap();
    let children = all_with(&engine, &child, ExecutionStatus::Cancelled, 2).await;
    all_with(&engine, &grandchild, ExecutionStatus::Cancelled, 2).await;
    let reason = end_of(&engine, children[0].id).await.error.unwrap().message;
    assert!(reason.starts_with(&format!("the parent {started} ")), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_and_a_failure_reach_the_children_too() {
    let engine = Engine::start().await;
    let child = sleeper(&engine).await;
    let late = chain("late", &[call(&child, &json!({}))], &json!({ "timeout": "300ms" }));
    let late = engine.workflow(late).await;
    let late = engine.begin(&late, json!({}), None).await.execution;
    all_with(&engine, &child, ExecutionStatus::Cancelled, 1).await;
    assert_eq!(end_of(&engine, late).await.error.unwrap().code, "timeout");

    // Beside the branch that waits for a child, another one fails.
    let mut failing = chain("failing", &[call(&child, &json!({}))], &json!({}));
    let nodes = failing["nodes"].as_array_mut().unwrap();
    nodes.push(json!({ "id": "soon", "type": "wait", "params": { "signal": "now" } }));
    nodes.push(json!({ "id": "stop", "type": "stop_error", "params": { "message": "no" } }));
    let edges = failing["edges"].as_array_mut().unwrap();
    edges.push(json!({ "from": "start", "to": "soon" }));
    edges.push(json!({ "from": "soon", "to": "stop" }));
    let failing = engine.workflow(failing).await;
    let failing = engine.begin(&failing, json!({}), None).await.execution;
    all_with(&engine, &child, ExecutionStatus::Waiting, 1).await;
    let now = citadel::actors::executions::Signal { name: "now".to_owned(), payload: Value::Null, dedupe_key: None };
    engine.app.executions.signal(WORKSPACE, failing, now).await.unwrap();
    assert_eq!(end_of(&engine, failing).await.status, ExecutionStatus::Failed);
    all_with(&engine, &child, ExecutionStatus::Cancelled, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_nobody_waits_for_outlives_its_parent() {
    let engine = Engine::start().await;
    let child = sleeper(&engine).await;
    let pause = json!({ "id": "pause", "type": "wait", "params": { "signal": "never" } });
    let parent = engine.workflow(chain("parent", &[call(&child, &json!({ "wait": false })), pause], &json!({}))).await;
    let parent = engine.begin(&parent, json!({}), None).await.execution;
    let child = all_with(&engine, &child, ExecutionStatus::Waiting, 1).await[0].id;
    engine.app.executions.cancel(WORKSPACE, parent, None).await.unwrap();
    assert_eq!(end_of(&engine, parent).await.status, ExecutionStatus::Cancelled);
    engine.app.executions.cancel(WORKSPACE, child, Some("by hand".to_owned())).await.unwrap();
    assert_eq!(end_of(&engine, child).await.error.unwrap().message, "by hand");
}

/// Starts a child of a parent, as an attempt that had not heard of its end would.
async fn start_late(engine: &Engine, parent: ExecutionId, workflow: &Arc<CompiledWorkflow>, signal: Option<&str>) -> ExecutionId {
    let request = StartRequest { trigger: TriggerKind::Workflow, ..engine.request(workflow, json!({})) };
    let parent = Parent { execution: parent, signal: signal.map(str::to_owned) };
    engine.app.executions.start_child(request, parent, 1, &format!("late/{signal:?}")).await.unwrap().execution
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_comes_after_its_parents_end_ends_too() {
    let engine = Engine::start().await;
    let sleeper = sleeper(&engine).await;
    let parent = engine.begin(&sleeper, json!({}), None).await.execution;
    engine.app.executions.cancel(WORKSPACE, parent, None).await.unwrap();
    end_of(&engine, parent).await;
    let awaited = start_late(&engine, parent, &sleeper, Some("child:late")).await;
    let ended = end_of(&engine, awaited).await;
    assert_eq!(ended.error.unwrap().message, format!("the parent {parent} had ended before"));
    // One that nobody waits for is on its own.
    let free = start_late(&engine, parent, &sleeper, None).await;
    engine.until("it sleeps", || engine.app.executions.live() == 0).await;
    let row = engine.app.store.get_execution(free).await.unwrap().unwrap();
    assert_eq!(row.state.status, ExecutionStatus::Waiting);
}
