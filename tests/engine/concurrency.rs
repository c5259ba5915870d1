//! `settings.concurrency`: how many executions of a workflow run at once, and who is next.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Path, routing::get};
use citadel::{
    actors::executions::{Answer, Signal, StartError, StartRequest, Wait, WaitUntil},
    model::{
        event::Event,
        execution::ExecutionStatus,
        ids::{ExecutionId, WorkspaceId},
    },
    nodes::plan::CompiledWorkflow,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::support::{Engine, PATIENCE};

const WORKSPACE: WorkspaceId = WorkspaceId::DEFAULT;

/// A server whose answers are held back until the test lets them go.
struct Gate {
    url: String,
    open: Arc<Mutex<HashSet<String>>>,
    _server: JoinSet<()>,
}

impl Gate {
    async fn start() -> Self {
        let open = Arc::new(Mutex::new(HashSet::new()));
        let shared = Arc::clone(&open);
        let answer = move |Path(name): Path<String>| async move {
            while !shared.lock().unwrap().contains(&name) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            "done"
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/{name}", get(answer));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, open, _server: server }
    }

    /// Lets the execution of this name go on.
    fn open(&self, name: &str) {
        self.open.lock().unwrap().insert(name.to_owned());
    }

    /// Runs until the gate of the execution's name is open.
    fn node(&self) -> Value {
        json!({ "id": "busy", "type": "http.request", "params": { "url": format!("{}/{{{{ $json.name }}}}", self.url) } })
    }
}

/// A workflow of which `limit` executions may run at once.
async fn bounded(engine: &Engine, limit: u32, nodes: &[Value]) -> Arc<CompiledWorkflow> {
    let mut all = vec![json!({ "id": "start", "type": "manual" })];
    all.extend_from_slice(nodes);
    let edges: Vec<Value> = all.windows(2).map(|pair| json!({ "from": pair[0]["id"], "to": pair[1]["id"] })).collect();
    let settings = json!({ "concurrency": limit });
    engine.workflow(json!({ "name": "bounded", "nodes": all, "edges": edges, "settings": settings })).await
}

fn sleep() -> Value {
    json!({ "id": "sleep", "type": "wait", "params": { "signal": "go" } })
}

async fn start(engine: &Engine, workflow: &Arc<CompiledWorkflow>, name: &str) -> ExecutionId {
    engine.begin(workflow, json!({ "name": name }), None).await.execution
}

async fn status(engine: &Engine, id: ExecutionId) -> ExecutionStatus {
    engine.app.store.get_execution(id).await.unwrap().unwrap().state.status
}

/// Waits until the executions have these statuses.
#[track_caller]
fn eventually<'a>(engine: &'a Engine, expected: &'a [(ExecutionId, ExecutionStatus)]) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let mut found = Vec::new();
            for (id, _) in expected {
                found.push((*id, status(engine, *id).await));
            }
            if found == expected {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "{found:?} at {caller}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

use ExecutionStatus::{Cancelled, Queued, Running, Succeeded, Waiting};

#[tokio::test(flavor = "multi_thread")]
async fn executions_of_a_workflow_run_in_the_order_of_their_start_and_not_more_at_once() {
    let engine = Engine::start().await;
    let gate = Gate::start().await;
    let workflow = bounded(&engine, 2, &[gate.node()]).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        ids.push(start(&engine, &workflow, name).await);
    }
    eventually(&engine, &[(ids[0], Running), (ids[1], Running), (ids[2], Queued), (ids[3], Queued)]).await;
    assert_eq!(engine.app.executions.queued(), 2);
    gate.open("b");
    eventually(&engine, &[(ids[0], Running), (ids[1], Succeeded), (ids[2], Running), (ids[3], Queued)]).await;
    for name in ["a", "c", "d"] {
        gate.open(name);
    }
    eventually(&engine, &[(ids[0], Succeeded), (ids[2], Succeeded), (ids[3], Succeeded)]).await;
    let history = engine.app.executions.history(WORKSPACE, ids[3]).await.unwrap().unwrap();
    let admitted = history.events.iter().position(|recorded| recorded.event == Event::Admitted);
    assert_eq!(admitted, Some(1), "the journal says when it began");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_sleeps_holds_no_place_and_comes_first_when_it_is_woken() {
    let engine = Engine::start().await;
    let gate = Gate::start().await;
    let workflow = bounded(&engine, 1, &[sleep(), gate.node()]).await;
    let first = start(&engine, &workflow, "first").await;
    let second = start(&engine, &workflow, "second").await;
    eventually(&engine, &[(first, Waiting), (second, Waiting)]).await;
    let go = || Signal { name: "go".to_owned(), payload: Value::Null, dedupe_key: None };
    engine.app.executions.signal(WORKSPACE, first, go()).await.unwrap();
    eventually(&engine, &[(first, Running)]).await;
    let third = start(&engine, &workflow, "third").await;
    engine.app.executions.signal(WORKSPACE, second, go()).await.unwrap();
    eventually(&engine, &[(first, Running), (second, Queued), (third, Queued)]).await;
    gate.open("first");
    eventually(&engine, &[(first, Succeeded), (second, Running), (third, Queued)]).await;
    gate.open("second");
    eventually(&engine, &[(second, Succeeded), (third, Waiting)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_a_queued_execution_at_once() {
    let engine = Engine::start().await;
    let gate = Gate::start().await;
    let workflow = bounded(&engine, 1, &[gate.node()]).await;
    let first = start(&engine, &workflow, "first").await;
    let second = start(&engine, &workflow, "second").await;
    let third = start(&engine, &workflow, "third").await;
    engine.app.executions.cancel(WORKSPACE, second, None).await.unwrap();
    eventually(&engine, &[(first, Running), (second, Cancelled), (third, Queued)]).await;
    let history = engine.app.executions.history(WORKSPACE, second).await.unwrap().unwrap();
    assert!(!history.events.iter().any(|recorded| matches!(recorded.event, Event::NodeFailed { .. })), "it never began");
    gate.open("first");
    eventually(&engine, &[(first, Succeeded), (third, Running)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_waits_for_a_queued_execution_too() {
    let engine = Engine::start().await;
    let gate = Gate::start().await;
    let workflow = bounded(&engine, 1, &[gate.node()]).await;
    let first = start(&engine, &workflow, "first").await;
    let short = Wait { until: WaitUntil::Finished, timeout: Duration::from_millis(200) };
    let late = engine.begin(&workflow, json!({ "name": "first" }), Some(short)).await;
    assert!(late.answer.is_none());
    assert_eq!(status(&engine, late.execution).await, Queued, "it is durable");
    let wait = Wait { until: WaitUntil::Finished, timeout: PATIENCE };
    let waiting = engine.begin(&workflow, json!({ "name": "first" }), Some(wait));
    let (_, answered) = tokio::join!(async { gate.open("first") }, waiting);
    assert!(matches!(answered.answer, Some(Answer::Finished(end)) if end.status == Succeeded));
    eventually(&engine, &[(first, Succeeded), (late.execution, Succeeded)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_executions_obeyed_and_violated() {
    let engine = Engine::start_with(|config| config.limits.executions_queued_max = 1).await;
    let gate = Gate::start().await;
    let workflow = bounded(&engine, 1, &[gate.node()]).await;
    let first = start(&engine, &workflow, "first").await;
    let second = start(&engine, &workflow, "second").await;
    let third = engine.app.executions.start(engine.request(&workflow, json!({ "name": "third" }))).await;
    assert!(matches!(third, Err(StartError::Overloaded { .. })), "{third:?}");
    gate.open("first");
    eventually(&engine, &[(first, Succeeded), (second, Running)]).await;
    start(&engine, &workflow, "third").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_executions_take_no_permit_of_those_that_run() {
    let engine = Engine::start_with(|config| config.limits.executions_live_max = 2).await;
    let gate = Gate::start().await;
    let workflow = bounded(&engine, 1, &[gate.node()]).await;
    for name in ["a", "b", "c"] {
        start(&engine, &workflow, name).await;
    }
    let free = engine.workflow(json!({ "name": "free", "nodes": [{ "id": "start", "type": "manual" }] })).await;
    let free = engine.begin(&free, json!({}), None).await.execution;
    eventually(&engine, &[(free, Succeeded)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_and_the_order_outlive_a_restart() {
    let engine = Engine::start().await;
    let gate = Gate::start().await;
    let workflow = bounded(&engine, 1, &[gate.node()]).await;
    let mut ids = Vec::new();
    for number in 0..12 {
        // Some of them keyed: those are stored before their actor begins.
        let idempotency = (number % 3 == 0).then(|| citadel::actors::executions::Idempotency {
            scope: "test".to_owned(),
            key: number.to_string(),
            request_hash: [0; 32],
        });
        let request = StartRequest { idempotency, ..engine.request(&workflow, json!({ "name": number.to_string() })) };
        ids.push(engine.app.executions.start(request).await.unwrap().execution);
    }
    eventually(&engine, &[(ids[0], Running), (ids[1], Queued)]).await;
    let engine = engine.restart().await;
    for number in 0..12_usize {
        let mut expected = vec![(ids[number], Running)];
        expected.extend(ids[number + 1..].iter().map(|id| (*id, Queued)));
        eventually(&engine, &expected).await;
        gate.open(&number.to_string());
    }
    eventually(&engine, &[(ids[11], Succeeded)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_waits_leaves_its_place_to_its_child() {
    let engine = Engine::start().await;
    // The child is of the same workflow: the parent calls it with less to do, and a caller keeps the parent in memory.
    let more = json!({ "id": "more", "type": "if", "params": { "condition": "{{ $json.depth > 0 }}" } });
    let call = json!({
        "id": "call", "type": "workflow", "params": { "workflow": "down", "input": { "depth": "{{ $json.depth - 1 }}" } }
    });
    let definition = json!({
        "name": "down",
        "nodes": [{ "id": "start", "type": "manual" }, more, call],
        "edges": [{ "from": "start", "to": "more" }, { "from": "more", "port": "true", "to": "call" }],
        "settings": { "concurrency": 1 }
    });
    let workflow = engine.workflow(definition).await;
    engine.app.workflows.activate(WORKSPACE, workflow.workflow, None).await.unwrap();
    let wait = Wait { until: WaitUntil::Finished, timeout: PATIENCE };
    let answer = engine.begin(&workflow, json!({ "depth": 3 }), Some(wait)).await.answer;
    assert!(matches!(&answer, Some(Answer::Finished(end)) if end.status == Succeeded), "{answer:?}");
}
