//! Panics end one actor, never the process: a node's, an execution's, and one that comes back again and again.

use serde_json::json;

use crate::{effects::Effects, kill::two_effects, server::Server, store::TestStore};

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_node_is_a_failed_attempt() {
    let (store, effects) = (TestStore::sqlite(), Effects::start().await);
    let server = Server::start(&store, "node.run=panic@1").await;
    let workflow = server.create_workflow(&two_effects(&effects)).await;
    let first = server.start_execution(&workflow, &json!({ "n": 1 }), "first").await;
    let other = server.start_execution(&workflow, &json!({ "n": 2 }), "other").await;
    assert_eq!(server.ended(&first).await["status"], "succeeded");
    assert_eq!(server.ended(&other).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_whose_actor_panics_goes_on_from_its_journal() {
    let (store, effects) = (TestStore::sqlite(), Effects::start().await);
    let server = Server::start(&store, "execution.handle=panic@2").await;
    let workflow = server.create_workflow(&two_effects(&effects)).await;
    let hit = server.start_execution(&workflow, &json!({ "n": 1 }), "hit").await;
    let other = server.start_execution(&workflow, &json!({ "n": 2 }), "other").await;
    assert_eq!(server.ended(&hit).await["status"], "succeeded");
    assert_eq!(server.ended(&other).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_execution_is_given_up_and_the_rest_goes_on() {
    let (store, effects) = (TestStore::sqlite(), Effects::start().await);
    let server = Server::start(&store, "execution.handle=panic@1,execution.resume=panic@1+").await;
    let nothing = json!({ "name": "handler", "nodes": [{ "id": "start", "type": "manual" }] });
    let handler = server.create_workflow(&nothing).await;
    let mut definition = two_effects(&effects);
    definition["settings"] = json!({ "error_workflow": handler });
    let workflow = server.create_workflow(&definition).await;
    let poison = server.start_execution(&workflow, &json!({ "n": 1 }), "poison").await;
    let ended = server.ended(&poison).await;
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("failed"), &json!("poisoned")), "{ended}");
    assert!(ended["error"]["message"].as_str().unwrap().contains("execution.resume"), "the cause is named: {ended}");
    assert_eq!(server.executions_of(&handler, 1).await[0]["trigger"], "error");
    let other = server.start_execution(&workflow, &json!({ "n": 2 }), "other").await;
    assert_eq!(server.ended(&other).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_kills_the_process_when_it_wakes_is_given_up() {
    let store = TestStore::sqlite();
    let server = Server::start(&store, "").await;
    let definition = json!({
        "name": "sleeper",
        "nodes": [{ "id": "start", "type": "manual" }, { "id": "pause", "type": "wait", "params": { "signal": "go" } }],
        "edges": [{ "from": "start", "to": "pause" }]
    });
    let workflow = server.create_workflow(&definition).await;
    let poison = server.start_execution(&workflow, &json!({}), "poison").await;
    server.node_run(&poison, "pause", "waiting").await;
    // Signals that nobody waits for are looked at, again and again, and do no harm.
    for _ in 0..6 {
        server.signal(&poison, "other", &json!({})).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(server.node_run(&poison, "pause", "waiting").await["status"], "waiting");
    server.kill();
    for _ in 0..3 {
        Server::spawn(&store, "execution.resume=abort").died().await;
    }
    let server = Server::start(&store, "execution.resume=abort").await;
    let ended = server.ended(&poison).await;
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("failed"), &json!("poisoned")), "{ended}");
}
