//! Long executions: they keep snapshots of themselves, a recovery begins with the latest one, and one that is no use costs a
//! replay of the whole journal and nothing else.

use std::sync::Arc;

use citadel::{
    actors::{execution_supervisor::ExecutionSupervisorMsg, executions::FinishedExecution},
    model::{
        event::{Event, Recorded},
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, WorkspaceId},
        item::{Item, Items},
        machine::{Machine, SNAPSHOT_VERSION},
    },
    nodes::plan::CompiledWorkflow,
    store::{Append, Encoding, JournalRow, NewExecution, Payload, Snapshot, StateChange},
};
use serde_json::{Value, json};

use crate::{
    replay::{check_once, finish, history},
    support::{Engine, PATIENCE, json_of},
};

const WORKSPACE: WorkspaceId = WorkspaceId::DEFAULT;
/// Events from one snapshot to the next.
const INTERVAL: usize = 500;
/// Events of a planted journal row; a snapshot comes after a whole number of rows.
const ROW_EVENTS: usize = 100;

/// A loop that takes its items one by one.
async fn looping(engine: &Engine, body: &Value) -> Arc<CompiledWorkflow> {
    let definition = json!({
        "name": "loop",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "each", "type": "loop" },
            body,
            { "id": "end", "type": "no_op" }
        ],
        "edges": [
            { "from": "start", "to": "each" }, { "from": "each", "port": "loop", "to": "body" },
            { "from": "body", "to": "each" }, { "from": "each", "port": "done", "to": "end" }
        ]
    });
    engine.workflow(definition).await
}

fn double() -> Value {
    json!({ "id": "body", "type": "set", "params": { "fields": { "twice": "{{ $json.n * 2 }}" } } })
}

fn numbers(count: usize) -> Value {
    (0..count).map(|n| json!({ "n": n })).collect()
}

/// Runs a loop over so many items to its end, and tells its events.
async fn run(engine: &Engine, workflow: &Arc<CompiledWorkflow>, items: usize) -> (ExecutionId, FinishedExecution, Vec<Recorded>) {
    let id = engine.begin(workflow, numbers(items), None).await.execution;
    let ended = finish(engine, id, None).await;
    assert_eq!(ended.status, ExecutionStatus::Succeeded, "{:?}", ended.error);
    assert_eq!(ended.result.len(), items);
    (id, ended, history(engine, id).await.events)
}

/// A snapshot of what these events have led to.
async fn snapshot_of(engine: &Engine, workflow: &CompiledWorkflow, events: &[Recorded]) -> Snapshot {
    let mut machine = Machine::new(Arc::clone(&workflow.graph));
    for recorded in events {
        machine.apply(&recorded.event, recorded.at);
    }
    let body = engine.app.engine.codec.encode(machine.snapshot()).await.unwrap();
    Snapshot { seq: u32::try_from(events.len()).unwrap(), version: SNAPSHOT_VERSION, body }
}

/// Stores an execution that has come this far, with a snapshot, and brings it to life as a new owner would.
async fn plant(engine: &Engine, workflow: &CompiledWorkflow, events: &[Recorded], snapshot: Option<Snapshot>) -> ExecutionId {
    let shared = &engine.app.engine;
    let id = shared.ownership.draw_execution_id().unwrap();
    let epoch = shared.ownership.epoch(id.shard()).unwrap();
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
    let mut seq = 0;
    for row in events.chunks(ROW_EVENTS) {
        let body = shared.codec.encode(serde_json::to_vec(row).unwrap()).await.unwrap();
        let count = u32::try_from(row.len()).unwrap();
        let append = Append {
            execution: id,
            epoch,
            created_at: events[0].at,
            entry: JournalRow { seq, count, epoch, at: row[0].at, body },
            create: (seq == 0).then(|| new.clone()),
            state: (seq == 0).then(|| running.clone()),
            consumed: Vec::new(),
            notify: Vec::new(),
            snapshot: snapshot.clone().filter(|snapshot| snapshot.seq == seq + count),
        };
        shared.store.append_batch(&[append]).await.unwrap();
        seq += count;
    }
    assert_eq!(shared.store.find_snapshot(id).await.unwrap(), snapshot);
    let supervisor = shared.supervisor.get().unwrap();
    supervisor.cast(ExecutionSupervisorMsg::Activate { execution: id }).unwrap();
    id
}

/// The events as they would be if the items had come from somewhere else: whoever goes on from there shows it.
fn marked(events: &[Recorded]) -> Vec<Recorded> {
    let mut marked = events.to_vec();
    if let Event::Created { items, .. } = &mut marked[0].event {
        let mark = |(n, item): (usize, &Item)| Item { json: json!({ "n": n, "from": "snapshot" }), ..item.clone() };
        *items = Items::new(items.iter().enumerate().map(mark).collect());
    }
    marked
}

/// Whether the events from a place on show that the execution went on from [`marked`] ones.
fn is_marked(events: &[Recorded], from: usize) -> bool {
    let shows = |recorded: &Recorded| match &recorded.event {
        Event::NodeSucceeded { attempt, outputs, .. } => {
            &*attempt.node == "body" && outputs[0].items[0].json["from"] == "snapshot"
        }
        _ => false,
    };
    events[from..].iter().any(shows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_execution_keeps_a_snapshot_and_a_short_one_does_not() {
    let engine = Engine::start().await;
    let store = &engine.app.store;
    let workflow = looping(&engine, &double()).await;
    let (short, ..) = run(&engine, &workflow, INTERVAL - 3).await;
    assert_eq!(store.find_snapshot(short).await.unwrap(), None);
    let (long, _, events) = run(&engine, &workflow, 3 * INTERVAL).await;
    let snapshot = store.find_snapshot(long).await.unwrap().unwrap();
    let seq = usize::try_from(snapshot.seq).unwrap();
    assert!(snapshot.version == SNAPSHOT_VERSION && seq >= INTERVAL && seq < events.len(), "{} at {seq}", snapshot.version);
    // It is what the journal comes to.
    let expected = snapshot_of(&engine, &workflow, &events[..seq]).await;
    let decoded = engine.app.engine.codec.decode(&snapshot.body).await.unwrap();
    assert_eq!(decoded, engine.app.engine.codec.decode(&expected.body).await.unwrap());
    assert!(store.delete_execution(WORKSPACE, long).await.unwrap());
    assert_eq!(store.find_snapshot(long).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_of_thousands_ends_the_same_from_every_stretch_of_its_journal() {
    let engine = Engine::start().await;
    let workflow = looping(&engine, &double()).await;
    let (_, expected, events) = run(&engine, &workflow, 3_000).await;
    assert!(events.len() > 3_000, "{}", events.len());
    for cut in [1, INTERVAL, 1_700, 2_000, events.len() - 1] {
        // The one that the execution itself would have, an older one, and none.
        let latest = cut / INTERVAL * INTERVAL;
        let mut places = vec![latest, latest / 2 / ROW_EVENTS * ROW_EVENTS, 0];
        places.dedup();
        for place in places {
            let snapshot = if place == 0 { None } else { Some(snapshot_of(&engine, &workflow, &events[..place]).await) };
            let copy = plant(&engine, &workflow, &events[..cut], snapshot).await;
            let ended = finish(&engine, copy, None).await;
            assert_eq!(ended.status, ExecutionStatus::Succeeded, "cut after {cut}: {:?}", ended.error);
            assert_eq!(json_of(&ended.result), json_of(&expected.result), "cut after {cut}, snapshot at {place}");
            check_once(&history(&engine, copy).await.events, &format!("cut after {cut}, snapshot at {place}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_goes_on_from_the_snapshot() {
    let engine = Engine::start().await;
    let workflow = looping(&engine, &double()).await;
    let (_, _, events) = run(&engine, &workflow, 1_000).await;
    let snapshot = snapshot_of(&engine, &workflow, &marked(&events[..600])).await;
    for cut in [600, 601, 850] {
        let copy = plant(&engine, &workflow, &events[..cut], Some(snapshot.clone())).await;
        assert_eq!(finish(&engine, copy, None).await.status, ExecutionStatus::Succeeded);
        let events = history(&engine, copy).await.events;
        assert!(!is_marked(&events[..cut], 0) && is_marked(&events, cut), "cut after {cut}");
    }
    // A journal that is too short for one is not asked for one.
    let early = snapshot_of(&engine, &workflow, &marked(&events[..400])).await;
    let copy = plant(&engine, &workflow, &events[..INTERVAL - 1], Some(early)).await;
    finish(&engine, copy, None).await;
    assert!(!is_marked(&history(&engine, copy).await.events, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_no_use_costs_a_whole_replay() {
    let engine = Engine::start().await;
    let workflow = looping(&engine, &double()).await;
    let (_, expected, events) = run(&engine, &workflow, 2_000).await;
    let good = snapshot_of(&engine, &workflow, &marked(&events[..600])).await;
    let body = |encoding, bytes: &'static [u8]| Payload { encoding, bytes: bytes.into() };
    let useless = [
        Snapshot { version: SNAPSHOT_VERSION + 1, ..good.clone() },
        Snapshot { version: SNAPSHOT_VERSION - 1, ..good.clone() },
        Snapshot { body: body(Encoding::Raw, b"no JSON"), ..good.clone() },
        Snapshot { body: body(Encoding::Zstd, b"no frame"), ..good.clone() },
        Snapshot { body: body(Encoding::Blob, &[7; 32]), ..good },
    ];
    for snapshot in useless {
        let copy = plant(&engine, &workflow, &events[..800], Some(snapshot.clone())).await;
        let ended = finish(&engine, copy, None).await;
        assert_eq!(ended.status, ExecutionStatus::Succeeded, "{:?}", ended.error);
        assert_eq!(json_of(&ended.result), json_of(&expected.result));
        assert!(!is_marked(&history(&engine, copy).await.events, 0), "{} {:?}", snapshot.version, snapshot.body.encoding);
        // It has stored a better one on its way.
        let stored = engine.app.store.find_snapshot(copy).await.unwrap().unwrap();
        assert!(stored.version == SNAPSHOT_VERSION && stored.seq > 800, "{} at {}", stored.version, stored.seq);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_a_long_loop_loses_nothing() {
    const ITEMS: usize = 400;
    let mut engine = Engine::start().await;
    let pause = json!({ "id": "body", "type": "wait", "params": { "for": "1ms" } });
    let workflow = looping(&engine, &pause).await;
    let id = engine.begin(&workflow, numbers(ITEMS), None).await.execution;
    let deadline = std::time::Instant::now() + PATIENCE;
    while engine.app.store.find_snapshot(id).await.unwrap().is_none() {
        assert!(std::time::Instant::now() < deadline, "there is no snapshot");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    engine = engine.restart().await;
    let row = engine.app.store.get_execution(id).await.unwrap().unwrap();
    assert!(!row.state.status.is_terminal(), "it was in the middle");
    let ended = finish(&engine, id, None).await;
    assert_eq!(ended.status, ExecutionStatus::Succeeded, "{:?}", ended.error);
    assert_eq!(ended.result.len(), ITEMS);
    let events = history(&engine, id).await.events;
    check_once(&events, "after a restart");
    let successes = events.iter().filter(|recorded| matches!(recorded.event, Event::NodeSucceeded { .. }));
    assert_eq!(successes.count(), ITEMS + 1);
}
