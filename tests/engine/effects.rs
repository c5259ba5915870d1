//! Flows of effect nodes: each of them through the pools, the journal and, where it waits, its resumption.

use std::sync::Arc;

use citadel::{
    actors::executions::FinishedExecution,
    model::{execution::ExecutionStatus, ids::WorkspaceId},
    nodes::plan::CompiledWorkflow,
};
use serde_json::{Value, json};

use crate::support::{Engine, PATIENCE, json_of};

/// A chain of nodes behind a manual trigger.
fn chain(name: &str, nodes: &[Value]) -> Value {
    let mut all = vec![json!({ "id": "start", "type": "manual" })];
    all.extend_from_slice(nodes);
    let edges: Vec<Value> = all.windows(2).map(|pair| json!({ "from": pair[0]["id"], "to": pair[1]["id"] })).collect();
    json!({ "name": name, "nodes": all, "edges": edges })
}

/// Runs a workflow that may leave memory while it waits, so its end is asked for instead of its answer.
async fn run(engine: &Engine, definition: Value, input: Value) -> FinishedExecution {
    let workflow = engine.workflow(definition).await;
    let started = engine.begin(&workflow, input, None).await;
    engine.app.executions.wait(WorkspaceId::DEFAULT, started.execution, PATIENCE).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_sql_and_code_work_on_each_others_items() {
    let engine = Engine::start().await;
    let insert = "insert into people (name, age) values (:name, :age) returning name, age * 2 as twice";
    let definition = chain(
        "effects",
        &[
            json!({ "id": "write", "type": "file.write", "params": { "path": "people.csv" } }),
            json!({ "id": "read", "type": "file.read", "params": { "path": "{{ $json.path }}" } }),
            json!({
                "id": "table", "type": "sql",
                "params": { "url": "people.db", "mode": "execute", "query": "create table if not exists people (name text, age int)" },
                "execute_once": true,
            }),
            json!({
                "id": "insert", "type": "sql",
                "params": { "url": "people.db", "query": insert, "params": { "name": "{{ $node('read').items[0].json.name }}", "age": 40 } },
            }),
            json!({ "id": "shout", "type": "code", "params": { "code": "return input.map(p => ({ ...p, name: p.name.toUpperCase() }))" } }),
        ],
    );
    let finished = engine.run(definition, json!([{ "name": "ada", "age": 36 }])).await;
    assert_eq!(finished.status, ExecutionStatus::Succeeded, "{:?}", finished.error);
    assert_eq!(json_of(&finished.result), [json!({ "name": "ADA", "twice": 80 })]);
}

/// A workflow that fails for negative numbers, and doubles others.
async fn doubling(engine: &Engine) -> Arc<CompiledWorkflow> {
    let code = "if (input.n < 0) throw new Error('negative'); return { n: input.n * 2 }";
    engine
        .workflow(chain("doubling", &[json!({ "id": "double", "type": "code", "params": { "code": code, "mode": "each" } })]))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_workflow_per_item_gives_its_results_back_in_order() {
    let engine = Engine::start().await;
    let child = doubling(&engine).await.workflow.to_string();
    let call = json!({ "id": "call", "type": "workflow", "params": { "workflow": child, "per_item": true } });
    let finished = run(&engine, chain("parent", &[call]), json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }])).await;
    assert_eq!(finished.status, ExecutionStatus::Succeeded, "{:?}", finished.error);
    assert_eq!(json_of(&finished.result), [json!({ "n": 2 }), json!({ "n": 4 }), json!({ "n": 6 })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_failure_of_a_sub_workflow_fails_its_parent() {
    let engine = Engine::start().await;
    let child = doubling(&engine).await.workflow.to_string();
    let call = json!({ "id": "call", "type": "workflow", "params": { "workflow": child } });
    let finished = run(&engine, chain("parent", &[call]), json!([{ "n": -1 }])).await;
    assert_eq!(finished.status, ExecutionStatus::Failed);
    let error = finished.error.unwrap();
    assert_eq!((error.code.as_str(), error.node_id.as_deref()), ("child_failed", Some("call")));
}
