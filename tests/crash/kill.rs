//! `kill -9` in the middle of 200 running executions.

use std::{collections::BTreeMap, time::Instant};

use serde_json::{Value, json};

use crate::{
    effects::Effects,
    server::{PATIENCE, Server},
    store::TestStore,
    witness::recorded,
};

const EXECUTIONS: u64 = 200;

/// Two effects, with pure nodes around them.
pub(crate) fn two_effects(effects: &Effects) -> Value {
    let effect = |id: &str| {
        json!({
            "id": id, "type": "http.request",
            "params": {
                "method": "POST", "url": format!("http://{}/effect", effects.address),
                "body": { "n": "{{ $json.n }}", "step": id }
            },
            "retry": { "max_attempts": 5, "initial": "100ms" }
        })
    };
    json!({
        "name": "two effects",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "before", "type": "set", "params": { "fields": { "seen": true } } },
            effect("first"),
            effect("second"),
            { "id": "after", "type": "set", "params": { "fields": { "finished": true } } }
        ],
        "edges": [
            { "from": "start", "to": "before" }, { "from": "before", "to": "first" },
            { "from": "first", "to": "second" }, { "from": "second", "to": "after" }
        ]
    })
}

/// Checks that every execution has succeeded, and that no effect was repeated that had been recorded at the crash.
pub(crate) async fn check_the_end(
    server: &Server,
    effects: &Effects,
    executions: &BTreeMap<u64, String>,
    at_the_crash: &BTreeMap<(u64, String), u32>,
    recorded: &std::collections::BTreeSet<(u64, String)>,
) {
    for id in executions.values() {
        let ended = server.ended(id).await;
        assert_eq!(ended["status"], "succeeded", "{ended}");
    }
    let counts = effects.counts();
    for number in executions.keys() {
        for step in ["first", "second"] {
            let key = (*number, step.to_owned());
            let count = counts.get(&key).copied().unwrap_or_default();
            assert!(count >= 1, "the effect {key:?} never happened");
            if recorded.contains(&key) {
                assert_eq!(count, at_the_crash[&key], "the recorded effect {key:?} was repeated");
            }
        }
    }
}

async fn survives_a_kill(store: TestStore) {
    let effects = Effects::start().await;
    let server = Server::start(&store, "").await;
    let workflow = server.create_workflow(&two_effects(&effects)).await;
    let mut executions = BTreeMap::new();
    for number in 0..EXECUTIONS {
        let id = server.start_execution(&workflow, &json!({ "n": number }), &format!("start-{number}")).await;
        executions.insert(number, id);
    }
    let deadline = Instant::now() + PATIENCE;
    while effects.total() < 150 {
        assert!(Instant::now() < deadline, "the executions do not get on");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    server.kill();
    // Requests that were on their way have arrived by now, or never will.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let at_the_crash = effects.counts();
    let recorded = recorded(&store, &executions).await;
    assert!(!recorded.is_empty(), "the kill came before anything was recorded");

    let server = Server::start(&store, "").await;
    check_the_end(&server, &effects, &executions, &at_the_crash, &recorded).await;
    server.kill();
    store.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_executions_survive_a_kill_on_sqlite() {
    survives_a_kill(TestStore::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_executions_survive_a_kill_on_postgres() {
    survives_a_kill(TestStore::postgres().await).await;
}

/// Executions of a workflow of which [`BOUND`] may run at once.
const BOUNDED_EXECUTIONS: u64 = 40;
const BOUND: u32 = 3;

async fn keeps_its_bound(store: TestStore) {
    let effects = Effects::start().await;
    let server = Server::start(&store, "").await;
    let mut definition = two_effects(&effects);
    definition["settings"] = json!({ "concurrency": BOUND });
    let workflow = server.create_workflow(&definition).await;
    let mut executions = BTreeMap::new();
    for number in 0..BOUNDED_EXECUTIONS {
        let id = server.start_execution(&workflow, &json!({ "n": number }), &format!("bounded-{number}")).await;
        executions.insert(number, id);
    }
    let deadline = Instant::now() + PATIENCE;
    while effects.total() < 20 {
        assert!(Instant::now() < deadline, "the executions do not get on");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    server.kill();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(effects.total() < 2 * u32::try_from(BOUNDED_EXECUTIONS).unwrap(), "the kill came too late");
    let at_the_crash = effects.counts();
    let recorded = recorded(&store, &executions).await;

    let server = Server::start(&store, "").await;
    check_the_end(&server, &effects, &executions, &at_the_crash, &recorded).await;
    assert_eq!(effects.most_under_way(), BOUND);
    server.kill();
    store.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflows_bound_outlives_a_kill_on_sqlite() {
    keeps_its_bound(TestStore::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflows_bound_outlives_a_kill_on_postgres() {
    keeps_its_bound(TestStore::postgres().await).await;
}
