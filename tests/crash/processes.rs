//! Two processes on one PostgreSQL: they share the shards, and what one of them publishes, stores or leaves to do is the other's
//! business, too.

use serde_json::{Value, json};

use crate::{server::Server, store::TestStore};

/// A webhook that answers with the sum of two numbers.
fn sum() -> Value {
    json!({
        "name": "sum",
        "nodes": [
            { "id": "hook", "type": "webhook", "params": { "path": "sum", "respond": "last_node" } },
            { "id": "add", "type": "set", "params": { "keep": "none", "fields": { "sum": "{{ $json.body.a + $json.body.b }}" } } }
        ],
        "edges": [{ "from": "hook", "to": "add" }]
    })
}

/// Starts another workflow once per item and waits for its end.
fn parent(child: &str) -> Value {
    json!({
        "name": "parent",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "call", "type": "workflow", "params": { "workflow": child, "input": "{{ $json }}", "per_item": true } }
        ],
        "edges": [{ "from": "start", "to": "call" }]
    })
}

fn child() -> Value {
    json!({
        "name": "child",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "double", "type": "set", "params": { "fields": { "doubled": "{{ $json.n * 2 }}" } } }
        ],
        "edges": [{ "from": "start", "to": "double" }]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_shards_and_serve_what_the_other_publishes() {
    let store = TestStore::postgres().await;
    let (first, second) = (Server::start(&store, "").await, Server::start(&store, "").await);

    let workflow = first.create_workflow(&sum()).await;
    first.activate(&workflow).await;
    let answer = second.hook("sum", &json!({ "a": 1, "b": 2 })).await;
    assert_eq!(answer, json!({ "sum": 3 }));
    second.deactivate(&workflow).await;
    first.hook_is_gone("sum").await;

    // Children's ids follow from their parents: half of them lie in the other process's shards.
    let child = first.create_workflow(&child()).await;
    let parent = first.create_workflow(&parent(&child)).await;
    let numbers: Vec<Value> = (0..20).map(|n| json!({ "n": n })).collect();
    for (name, server) in [("first", &first), ("second", &second)] {
        let id = server.start_execution(&parent, &json!(numbers), name).await;
        let ended = server.ended(&id).await;
        assert_eq!(ended["status"], "succeeded", "{ended}");
        let doubled: Vec<i64> =
            ended["result"].as_array().unwrap().iter().map(|item| item["json"]["doubled"].as_i64().unwrap()).collect();
        assert_eq!(doubled, (0..20).map(|n| n * 2).collect::<Vec<_>>());
    }
    first.kill();
    second.kill();
    store.remove().await;
}
