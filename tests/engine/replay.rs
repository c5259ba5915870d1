//! Kill and replay: each example runs once, and then again from every prefix of its journal, as if the process had died right
//! after that entry. Every one of them must come to the same end, and nothing that the prefix records may happen again.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::Path, http::StatusCode, response::IntoResponse, routing::get};
use citadel::{
    actors::{
        execution_supervisor::ExecutionSupervisorMsg,
        executions::{CommandError, FinishedExecution, History, Signal, StartRequest},
        workflows::{Format, read_definition},
    },
    model::{
        event::{Event, Recorded},
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, WorkspaceId},
        item::Item,
    },
    nodes::plan::CompiledWorkflow,
    store::{Append, JournalRow, NewExecution, StateChange},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::support::{Engine, PATIENCE, json_of};

const WORKSPACE: WorkspaceId = WorkspaceId::DEFAULT;
/// Items of the fan-out: enough for several records of progress and several attempts.
const FAN_OUT_ITEMS: u32 = 250;

/// Runs a workflow, and then every prefix of its journal. `signal` answers it while it waits.
async fn check(engine: &Engine, example: &str, input: Value, signal: Option<Signal>) {
    let path = format!("{}/examples/{example}/workflow.yaml", env!("CARGO_MANIFEST_DIR"));
    let definition = read_definition(&std::fs::read(path).unwrap(), Format::Yaml).unwrap();
    let created = engine.app.workflows.create(WORKSPACE, definition, None).await.unwrap();
    let workflow = engine.app.workflows.compiled(WORKSPACE, created.workflow.row.id, 1).await.unwrap();
    let request = StartRequest { items: Item::list_from_value(input), ..engine.request(&workflow, Value::Null) };
    let first = engine.app.executions.start(request).await.unwrap().execution;
    let expected = finish(engine, first, signal.as_ref()).await;
    assert_eq!(expected.status, ExecutionStatus::Succeeded, "{example}: {:?}", expected.error);
    let events = history(engine, first).await.events;
    assert!(events.len() > 2, "{example} has a journal to cut");
    for cut in 1..events.len() {
        let copy = plant(engine, &workflow, &events[..cut]).await;
        let ended = finish(engine, copy, signal.as_ref()).await;
        assert_eq!(ended.status, ExecutionStatus::Succeeded, "{example} cut after {cut}: {:?}", ended.error);
        assert_eq!(comparable(&ended), comparable(&expected), "{example} cut after {cut}");
        check_once(&history(engine, copy).await.events, &format!("{example} cut after {cut}"));
    }
}

/// The result, less what depends on the world outside: a keyed insert finds its row there the second time.
fn comparable(finished: &FinishedExecution) -> Vec<Value> {
    let mut items = json_of(&finished.result);
    for fields in items.iter_mut().filter_map(Value::as_object_mut) {
        fields.remove("rows_affected");
    }
    items
}

/// Stores a copy of an execution that has come this far, and brings it to life as a new owner would.
async fn plant(engine: &Engine, workflow: &CompiledWorkflow, events: &[Recorded]) -> ExecutionId {
    let shared = &engine.app.engine;
    let id = shared.ownership.draw_execution_id().unwrap();
    let epoch = shared.ownership.epoch(id.shard()).unwrap();
    let created_at = events[0].at;
    let new = NewExecution {
        workspace: WORKSPACE,
        workflow: workflow.workflow,
        version: workflow.version,
        trigger: TriggerKind::Manual,
        parent: None,
        retry_of: None,
        business_key: None,
    };
    let running =
        StateChange { status: ExecutionStatus::Running, wake_at: None, finished_at: None, error_code: None, expires_at: None };
    for (seq, event) in (0..).zip(events) {
        let body = shared.codec.encode(serde_json::to_vec(&[event]).unwrap()).await.unwrap();
        let append = Append {
            execution: id,
            epoch,
            created_at,
            entry: JournalRow { seq, count: 1, epoch, at: event.at, body },
            create: (seq == 0).then(|| new.clone()),
            state: (seq == 0).then(|| running.clone()),
            consumed: Vec::new(),
            notify: Vec::new(),
            snapshot: None,
        };
        shared.store.append_batch(&[append]).await.unwrap();
    }
    let supervisor = shared.supervisor.get().unwrap();
    supervisor.cast(ExecutionSupervisorMsg::Activate { execution: id }).unwrap();
    id
}

/// Waits for the end, answering whatever the execution waits for.
pub(crate) async fn finish(engine: &Engine, id: ExecutionId, signal: Option<&Signal>) -> FinishedExecution {
    let executions = &engine.app.executions;
    if let Some(signal) = signal {
        match executions.signal(WORKSPACE, id, signal.clone()).await {
            Ok(_) | Err(CommandError::Finished) => {}
            Err(error) => panic!("the signal was refused: {error}"),
        }
    }
    match executions.wait(WORKSPACE, id, PATIENCE).await.unwrap() {
        Some(finished) => finished,
        None => panic!("{id} does not end: {:#?}", history(engine, id).await),
    }
}

pub(crate) async fn history(engine: &Engine, id: ExecutionId) -> History {
    engine.app.executions.history(WORKSPACE, id).await.unwrap().unwrap()
}

/// No result and no finished item is recorded twice.
pub(crate) fn check_once(events: &[Recorded], what: &str) {
    let mut results = BTreeSet::new();
    let mut items = BTreeSet::new();
    for recorded in events {
        match &recorded.event {
            Event::NodeSucceeded { attempt, .. } => {
                assert!(results.insert((attempt.node.clone(), attempt.run)), "{what}: {attempt:?} succeeded twice");
            }
            Event::NodeProgressed { attempt, done } => {
                for (index, _) in done {
                    assert!(items.insert((attempt.node.clone(), attempt.run, *index)), "{what}: item {index} was done twice");
                }
            }
            _ => {}
        }
    }
}

/// A service that refuses every seventh request, and knows prices and people.
async fn unreliable(server: &mut JoinSet<()>) -> String {
    let requests = Arc::new(AtomicU32::new(0));
    let price = move |Path(order): Path<u32>| {
        let number = requests.fetch_add(1, Ordering::SeqCst);
        async move {
            if number % 7 == 3 {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            Json(json!({ "cents": order * 10 })).into_response()
        }
    };
    let person =
        |Path(login): Path<String>| async move { Json(json!({ "login": login, "name": "Ada", "company": "Analytical" })) };
    let figures = || async { Json(json!({ "orders": 7, "cents": 12_300 })) };
    let router = Router::new().route("/price/{order}", get(price)).route("/users/{login}", get(person));
    let router = router.route("/figures", get(figures));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_ends_the_same_from_every_prefix_of_its_journal() {
    let mut server = JoinSet::new();
    let service = unreliable(&mut server).await;
    let (secret, shop) = ("unused".to_owned(), service.clone());
    let env = [("GITHUB_API_URL", service.clone()), ("GITHUB_WEBHOOK_SECRET", secret), ("SHOP_URL", shop)];
    let engine = Engine::start_with(|config| {
        config.env.visible = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    })
    .await;
    let examples = format!("{}/examples", env!("CARGO_MANIFEST_DIR"));
    let files = engine.config.files.root.clone().unwrap();
    std::fs::copy(format!("{examples}/population-report/countries.csv"), files.join("countries.csv")).unwrap();

    check(&engine, "hello", json!({ "name": "Citadel" }), None).await;
    check(&engine, "population-report", json!({}), None).await;
    check(&engine, "fan-out", json!({ "service": service, "count": FAN_OUT_ITEMS }), None).await;
    let issue: Value =
        serde_json::from_slice(&std::fs::read(format!("{examples}/github-webhook/issue-opened.json")).unwrap()).unwrap();
    let headers = json!({ "x-github-event": "issues", "x-github-delivery": "d-1" });
    let delivery = json!({ "method": "POST", "path": "github/issues", "headers": headers, "body": issue });
    check(&engine, "github-webhook", delivery, None).await;
    let tick = json!({ "scheduled_at": "2026-01-31T12:00:00.000Z", "fired_at": "2026-01-31T12:00:00.150Z" });
    check(&engine, "every-minute-report", tick, None).await;
    let approved = Signal {
        name: "decision".to_owned(),
        payload: json!({ "approved": true, "data": { "reason": "broken on arrival" } }),
        dedupe_key: Some("decision".to_owned()),
    };
    check(&engine, "approval", json!({ "amount": 250, "currency": "EUR", "customer": "Ada" }), Some(approved)).await;
    engine.app.stop(Duration::from_secs(5)).await;
}
