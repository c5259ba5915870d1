//! What one workspace may use, and that another one does not feel it: running executions, starts in a minute, stored bytes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use citadel::{
    actors::{
        executions::{StartError, StartRequest, Started, Wait, WaitUntil},
        quotas::QuotaError,
    },
    config::Excess,
    model::{
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, WorkspaceId},
        item::Item,
    },
    nodes::plan::CompiledWorkflow,
};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use uuid::Uuid;

use crate::support::{Engine, PATIENCE};

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Another tenant. It shares the workflows of the tests: whose execution it is, the start says.
fn neighbour() -> WorkspaceId {
    WorkspaceId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0099))
}

/// A server that answers nobody until it is opened.
struct Gate {
    url: String,
    open: watch::Sender<bool>,
    _server: JoinSet<()>,
}

impl Gate {
    async fn start() -> Self {
        let (open, seen) = watch::channel(false);
        let answer = move || {
            let mut seen = seen.clone();
            async move { seen.wait_for(|open| *open).await.map(|_| "done").unwrap_or_default() }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, Router::new().route("/", get(answer))).await.unwrap() });
        Self { url, open, _server: server }
    }

    /// A workflow whose executions run until the gate is open.
    async fn busy(&self, engine: &Engine) -> Arc<CompiledWorkflow> {
        let call = json!({ "id": "busy", "type": "http.request", "params": { "url": self.url } });
        let nodes = json!([{ "id": "start", "type": "manual" }, call]);
        engine.workflow(json!({ "name": "busy", "nodes": nodes, "edges": [{ "from": "start", "to": "busy" }] })).await
    }
}

/// A workflow that is over at once.
async fn quick(engine: &Engine) -> Arc<CompiledWorkflow> {
    let nodes = json!([{ "id": "start", "type": "manual" }, { "id": "mark", "type": "set", "params": { "fields": { "a": 1 } } }]);
    engine.workflow(json!({ "name": "quick", "nodes": nodes, "edges": [{ "from": "start", "to": "mark" }] })).await
}

async fn start(
    engine: &Engine,
    workspace: WorkspaceId,
    workflow: &Arc<CompiledWorkflow>,
    wait: Option<Wait>,
) -> Result<Started, StartError> {
    let request = StartRequest {
        workspace,
        workflow: Arc::clone(workflow),
        trigger: TriggerKind::Manual,
        start_node: None,
        items: vec![Item::from_value(json!({}))],
        business_key: None,
        idempotency: None,
        wait,
        trace: None,
    };
    engine.app.executions.start(request).await
}

async fn status(engine: &Engine, id: ExecutionId) -> ExecutionStatus {
    engine.app.store.get_execution(id).await.unwrap().unwrap().state.status
}

async fn reaches(engine: &Engine, id: ExecutionId, expected: ExecutionStatus) {
    let deadline = Instant::now() + PATIENCE;
    while status(engine, id).await != expected {
        assert!(Instant::now() < deadline, "{id} does not get {expected:?}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_quota_obeyed_and_violated() {
    let engine = Engine::start_with(|config| config.limits.workspace_executions_max = Some(2)).await;
    let gate = Gate::start().await;
    let busy = gate.busy(&engine).await;
    let mut running = Vec::new();
    for _ in 0..2 {
        running.push(start(&engine, WorkspaceId::DEFAULT, &busy, None).await.unwrap().execution);
    }
    let refused = start(&engine, WorkspaceId::DEFAULT, &busy, None).await.unwrap_err();
    assert!(matches!(refused, StartError::Quota(QuotaError::Executions { limit: 2 })), "{refused:?}");
    let other = start(&engine, neighbour(), &busy, None).await.unwrap().execution;
    gate.open.send_replace(true);
    for id in running.into_iter().chain([other]) {
        reaches(&engine, id, ExecutionStatus::Succeeded).await;
    }
    let deadline = Instant::now() + PATIENCE;
    while start(&engine, WorkspaceId::DEFAULT, &busy, None).await.is_err() {
        assert!(Instant::now() < deadline, "there is room again");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_beyond_the_quota_wait_where_the_operator_says_so() {
    let engine = Engine::start_with(|config| {
        config.limits.workspace_executions_max = Some(1);
        config.limits.workspace_excess = Excess::Queue;
    })
    .await;
    let gate = Gate::start().await;
    let busy = gate.busy(&engine).await;
    let first = start(&engine, WorkspaceId::DEFAULT, &busy, None).await.unwrap().execution;
    let second = start(&engine, WorkspaceId::DEFAULT, &busy, None).await.unwrap().execution;
    let other = start(&engine, neighbour(), &quick(&engine).await, None).await.unwrap().execution;
    reaches(&engine, first, ExecutionStatus::Running).await;
    reaches(&engine, second, ExecutionStatus::Queued).await;
    reaches(&engine, other, ExecutionStatus::Succeeded).await;
    assert_eq!(engine.app.executions.queued(), 1);

    // What waits is stored, and waits again after a restart.
    let engine = engine.restart().await;
    reaches(&engine, second, ExecutionStatus::Queued).await;
    gate.open.send_replace(true);
    for id in [first, second] {
        reaches(&engine, id, ExecutionStatus::Succeeded).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_quota_obeyed_and_violated() {
    let engine = Engine::start_with(|config| config.limits.workspace_starts_per_minute = Some(5.try_into().unwrap())).await;
    let quick = quick(&engine).await;
    for _ in 0..5 {
        start(&engine, WorkspaceId::DEFAULT, &quick, None).await.unwrap();
    }
    let refused = start(&engine, WorkspaceId::DEFAULT, &quick, None).await.unwrap_err();
    assert!(matches!(refused, StartError::Quota(QuotaError::Starts { per_minute: 5, .. })), "{refused:?}");
    start(&engine, neighbour(), &quick, None).await.unwrap();
    engine.app.limits.set(false);
    start(&engine, WorkspaceId::DEFAULT, &quick, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_quota_obeyed_and_violated() {
    let engine = Engine::start_with(|config| config.limits.workspace_bytes_max = Some(1)).await;
    let quick = quick(&engine).await;
    // Nothing is stored yet, and nobody has looked since.
    let id = start(&engine, WorkspaceId::DEFAULT, &quick, None).await.unwrap().execution;
    reaches(&engine, id, ExecutionStatus::Succeeded).await;
    // The first look of a new start finds it.
    let engine = engine.restart().await;
    let deadline = Instant::now() + PATIENCE;
    let refused = loop {
        match start(&engine, WorkspaceId::DEFAULT, &quick, None).await {
            Ok(_) => assert!(Instant::now() < deadline, "a look is made at once"),
            Err(refused) => break refused,
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    assert!(matches!(refused, StartError::Quota(QuotaError::Storage { limit_bytes: 1 })), "{refused:?}");
    start(&engine, neighbour(), &quick, None).await.unwrap();
}

/// Starts executions that stay for as long as the gate is closed, as fast as it can and without end.
fn flood(engine: &Arc<Engine>, busy: &Arc<CompiledWorkflow>, clients: usize) -> JoinSet<()> {
    let flood = |engine: Arc<Engine>, busy: Arc<CompiledWorkflow>| async move {
        loop {
            match start(&engine, WorkspaceId::DEFAULT, &busy, None).await {
                Ok(_) => {}
                Err(StartError::Overloaded { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(StartError::Draining) => return,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    let mut all = JoinSet::new();
    for _ in 0..clients {
        all.spawn(flood(Arc::clone(engine), Arc::clone(busy)));
    }
    all
}

/// The time within which 99 of 100 quick executions of a workspace were over.
async fn p99(engine: &Engine, workspace: WorkspaceId, quick: &Arc<CompiledWorkflow>) -> Duration {
    let wait = Some(Wait { until: WaitUntil::Finished, timeout: PATIENCE });
    let mut times = Vec::new();
    for _ in 0..300 {
        let began = Instant::now();
        let started = start(engine, workspace, quick, wait).await.expect("a quiet workspace is never refused");
        assert!(started.answer.is_some());
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_workspace_floods_and_the_other_does_not_feel_it() {
    let engine = Arc::new(
        Engine::start_with(|config| {
            config.limits.executions_live_max = 450;
            config.limits.io_slots = 64;
        })
        .await,
    );
    let gate = Gate::start().await;
    let (busy, quick) = (gate.busy(&engine).await, quick(&engine).await);
    let calm = p99(&engine, neighbour(), &quick).await;
    let mut clients = flood(&engine, &busy, 32);
    let deadline = Instant::now() + PATIENCE;
    while engine.app.executions.live() < 400 {
        assert!(Instant::now() < deadline, "the flood fills its share");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let flooded = p99(&engine, neighbour(), &quick).await;
    // The machine is shared with other tests: a neighbour that felt the flood would wait for good.
    assert!(flooded < calm * 20 + Duration::from_millis(250), "{calm:?} before, {flooded:?} in the flood");
    // Eight ninths, and what comes and goes.
    assert!(engine.app.executions.live() <= 410, "{} are in memory", engine.app.executions.live());

    gate.open.send_replace(true);
    engine.app.executions.drain();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}
