//! A parent ends, and the process dies before it tells anybody.

use serde_json::{Value, json};

use crate::{server::Server, store::TestStore};

fn waits(name: &str, node: &Value) -> Value {
    json!({
        "name": name,
        "nodes": [{ "id": "start", "type": "manual" }, node],
        "edges": [{ "from": "start", "to": node["id"] }]
    })
}

async fn survives(store: &TestStore) {
    let server = Server::start(store, "execution.before_nudges=abort").await;
    let pause = json!({ "id": "pause", "type": "wait", "params": { "signal": "never" } });
    let child = server.create_workflow(&waits("child", &pause)).await;
    let call = json!({ "id": "call", "type": "workflow", "params": { "workflow": child } });
    let parent = server.create_workflow(&waits("parent", &call)).await;
    let parent = server.start_execution(&parent, &json!({}), "parent").await;
    let started = server.executions_of(&child, 1).await;
    // The answer may be lost with the process.
    server.try_cancel(&parent).await;
    server.died().await;

    let server = Server::start(store, "").await;
    assert_eq!(server.ended(&parent).await["status"], "cancelled");
    let ended = server.ended(started[0]["id"].as_str().unwrap()).await;
    assert_eq!(ended["status"], "cancelled");
    assert!(ended["error"]["message"].as_str().unwrap().starts_with("the parent exe_"), "{ended}");
    server.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_children_of_a_cancelled_parent_end_after_a_crash_on_sqlite() {
    survives(&TestStore::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_children_of_a_cancelled_parent_end_after_a_crash_on_postgres() {
    let store = TestStore::postgres().await;
    survives(&store).await;
    store.remove().await;
}
