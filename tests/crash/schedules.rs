//! Schedules whose processes die: no tick may be missing, and none may come twice, as the store tells in the end.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use citadel::{
    model::{
        event::{Event, Recorded},
        execution::{ExecutionStatus, TriggerKind},
        ids::WorkspaceId,
    },
    store::{
        ExecutionCursor, ExecutionFilter, ExecutionRow, PageRequest, Store,
        blobs::BlobStore,
        open::{OpenOptions, open},
        payload::PayloadCodec,
    },
};
use serde_json::{Value, json};

use crate::{
    server::{PATIENCE, Server},
    store::TestStore,
};

/// A workflow with two schedules that tick every second.
fn ticking() -> Value {
    json!({
        "name": "ticking",
        "nodes": [
            { "id": "interval", "type": "schedule", "params": { "every": "1s" } },
            { "id": "cron", "type": "schedule", "params": { "cron": "* * * * * *" } },
            { "id": "mark", "type": "set", "params": { "fields": { "seen": true } } }
        ],
        "edges": [{ "from": "interval", "to": "mark" }, { "from": "cron", "to": "mark" }]
    })
}

/// Everything that schedules have started.
async fn scheduled(store: &dyn Store) -> Vec<ExecutionRow> {
    let filter = ExecutionFilter { trigger: Some(TriggerKind::Schedule), ..ExecutionFilter::default() };
    let mut rows: Vec<ExecutionRow> = Vec::new();
    loop {
        let after = rows.last().map(|row| ExecutionCursor { created_at: row.created_at, id: row.id });
        let page = store.list_executions(WorkspaceId::DEFAULT, &filter, &PageRequest { after, limit: 500 }).await.unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

/// The seconds of the ticks that have fired, by the node of their schedule. Every execution has to have succeeded.
async fn fired(store: &TestStore) -> BTreeMap<String, Vec<i64>> {
    let opened = open(&OpenOptions::new(&store.url)).await.unwrap();
    let codec = PayloadCodec::new(BlobStore::open(&store.directory.path().join("data/blobs")).await.unwrap());
    let mut seconds: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for row in scheduled(&*opened).await {
        assert_eq!(row.state.status, ExecutionStatus::Succeeded, "{row:?}");
        let journal = opened.load_journal(row.id, 0, 1).await.unwrap();
        let events: Vec<Recorded> = serde_json::from_slice(&codec.decode(&journal[0].body).await.unwrap()).unwrap();
        let Event::Created { start_node, items, .. } = &events[0].event else { panic!("no creation: {events:?}") };
        let scheduled_at: jiff::Timestamp = items[0].json["scheduled_at"].as_str().unwrap().parse().unwrap();
        seconds.entry(start_node.to_string()).or_default().push(scheduled_at.as_second());
    }
    opened.close().await;
    seconds.values_mut().for_each(|seconds| seconds.sort_unstable());
    seconds
}

/// Checks that each second from the first tick to the last one has one.
async fn check_that_no_tick_is_missing_or_doubled(store: &TestStore, at_least: usize) {
    let fired = fired(store).await;
    assert_eq!(fired.keys().collect::<Vec<_>>(), ["cron", "interval"]);
    for (node, seconds) in fired {
        let whole: Vec<i64> = (seconds[0]..=seconds[seconds.len() - 1]).collect();
        assert_eq!(seconds, whole, "ticks of `{node}`");
        assert!(seconds.len() >= at_least, "only {} ticks of `{node}`", seconds.len());
    }
}

/// Waits until nothing that a schedule has started is left to do.
async fn settle(store: &TestStore) {
    let opened = open(&OpenOptions::new(&store.url)).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let rows = scheduled(&*opened).await;
        let live: Vec<_> = rows.iter().filter(|row| !row.state.status.is_terminal()).collect();
        if live.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "never ended: {live:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    opened.close().await;
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_processes_dies_and_comes_back_and_no_tick_is_missing_or_doubled() {
    let store = TestStore::postgres().await;
    let (first, second) = (Server::start(&store, "").await, Server::start(&store, "").await);
    let workflow = first.create_workflow(&ticking()).await;
    first.activate(&workflow).await;
    // Both have shards: those of the first are what its death leaves behind.
    second.start_execution(&workflow, &json!({}), "on the second").await;
    first.start_execution(&workflow, &json!({}), "on the first").await;
    seconds(3).await;
    first.kill();
    seconds(5).await;
    let again = Server::start(&store, "").await;
    // Until the dead one's leases have ended and its shards have an owner.
    seconds(14).await;
    second.deactivate(&workflow).await;
    settle(&store).await;
    check_that_no_tick_is_missing_or_doubled(&store, 20).await;
    again.kill();
    second.kill();
    store.remove().await;
}

/// The process aborts around the firing of a tick and is started again.
async fn survives(store: &TestStore) {
    let mut workflow = String::new();
    for point in ["scheduler.before_fire=abort@5", "scheduler.after_fire=abort@5"] {
        let server = Server::start(store, point).await;
        if workflow.is_empty() {
            workflow = server.create_workflow(&ticking()).await;
            server.activate(&workflow).await;
        }
        server.died().await;
    }
    let server = Server::start(store, "").await;
    seconds(4).await;
    server.deactivate(&workflow).await;
    server.idle(&workflow).await;
    server.kill();
    check_that_no_tick_is_missing_or_doubled(store, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_around_a_firing_misses_and_doubles_nothing_on_sqlite() {
    survives(&TestStore::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_around_a_firing_misses_and_doubles_nothing_on_postgres() {
    let store = TestStore::postgres().await;
    survives(&store).await;
    store.remove().await;
}
