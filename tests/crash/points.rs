//! The process aborts at each place where a crash is most delicate.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    effects::Effects,
    kill::{check_the_end, two_effects},
    server::Server,
    store::TestStore,
    witness::recorded,
};

const EXECUTIONS: u64 = 12;

/// Where the process aborts, at which hit: around the commit, around the effect.
const POINTS: [&str; 6] = [
    "lane.before_send=abort@20",
    "lane.before_commit=abort@15",
    "lane.after_commit=abort@15",
    "execution.after_commit=abort@20",
    "execution.before_effect=abort@8",
    "node.before_report=abort@8",
];

async fn survives(point: &str, store: &TestStore, effects: &Effects, round: u64) {
    let server = Server::start(store, point).await;
    let workflow = server.create_workflow(&two_effects(effects)).await;
    let mut executions = BTreeMap::new();
    for number in round * EXECUTIONS..(round + 1) * EXECUTIONS {
        if let Some(id) = server.try_start(&workflow, &json!({ "n": number }), &format!("{point}-{number}")).await {
            executions.insert(number, id);
        }
    }
    server.died().await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let at_the_crash = effects.counts();
    let recorded = recorded(store, &executions).await;

    // Half of the rounds die a second time, while the executions are taken up again.
    if round % 2 == 1 {
        Server::spawn(store, "supervisor.during_takeover=abort").died().await;
    }
    let server = Server::start(store, "").await;
    check_the_end(&server, effects, &executions, &at_the_crash, &recorded).await;
    server.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fail_point_is_survived_on_sqlite() {
    let (store, effects) = (TestStore::sqlite(), Effects::start().await);
    for (round, point) in (0..).zip(POINTS) {
        survives(point, &store, &effects, round).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fail_point_is_survived_on_postgres() {
    let effects = Effects::start().await;
    for (round, point) in (0..).zip(POINTS) {
        // A database each: a dead owner's leases do not keep the next round waiting.
        let store = TestStore::postgres().await;
        survives(point, &store, &effects, round).await;
        store.remove().await;
    }
}
