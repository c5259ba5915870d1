//! The process dies around the start of an error workflow.

use serde_json::{Value, json};

use crate::{server::Server, store::TestStore};

/// A workflow that ends at once, well or by a failure.
fn ending(name: &str, last: &Value, settings: &Value) -> Value {
    json!({
        "name": name,
        "nodes": [{ "id": "start", "type": "manual" }, last],
        "edges": [{ "from": "start", "to": "last" }],
        "settings": settings
    })
}

/// Where the process aborts: before the start, between it and the record of the end, and around each of the commits.
const POINTS: [&str; 4] = [
    "error_workflow.before_start=abort",
    "error_workflow.after_start=abort",
    "lane.before_commit=abort@3",
    "lane.after_commit=abort@4",
];

async fn survives(store: &TestStore, point: &str) {
    let server = Server::start(store, point).await;
    let handler = server.create_workflow(&ending("handler", &json!({ "id": "last", "type": "no_op" }), &json!({}))).await;
    let stop = json!({ "id": "last", "type": "stop_error", "params": { "message": "no" } });
    let mut failing = ending("failing", &stop, &json!({ "error_workflow": handler }));
    // Time for the server's answer, before it dies.
    let pause = json!({ "id": "pause", "type": "wait", "params": { "for": "300ms" } });
    failing["nodes"].as_array_mut().unwrap().push(pause);
    failing["edges"] = json!([{ "from": "start", "to": "pause" }, { "from": "pause", "to": "last" }]);
    let failing = server.create_workflow(&failing).await;
    let failed = server.start_execution(&failing, &json!({}), point).await;
    server.died().await;

    let server = Server::start(store, "").await;
    assert_eq!(server.ended(&failed).await["status"], "failed", "{point}");
    let started = server.executions_of(&handler, 1).await;
    assert_eq!((&started[0]["trigger"], &started[0]["parent_id"]), (&json!("error"), &json!(failed)), "{point}");
    assert_eq!(server.ended(started[0]["id"].as_str().unwrap()).await["status"], "succeeded", "{point}");
    server.executions_of(&handler, 1).await;
    server.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_workflow_is_started_once_whatever_dies_on_sqlite() {
    for point in POINTS {
        survives(&TestStore::sqlite(), point).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_workflow_is_started_once_whatever_dies_on_postgres() {
    for point in POINTS {
        let store = TestStore::postgres().await;
        survives(&store, point).await;
        store.remove().await;
    }
}
