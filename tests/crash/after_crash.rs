//! `retry.after_crash: ask`: an effect that a crash cut off is repeated, or not, as somebody says.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{effects::Effects, server::Server, store::TestStore};

/// The name of the signal, as a segment of a path.
const SIGNAL: &str = "after_crash%2Fpay%2F0";

/// One effect whose attempt asks after a crash.
fn asks(effects: &Effects) -> Value {
    json!({
        "name": "asks",
        "nodes": [{ "id": "start", "type": "manual" }, {
            "id": "pay", "type": "http.request",
            "params": {
                "method": "POST", "url": format!("http://{}/effect", effects.address),
                "body": { "n": "{{ $json.n }}", "step": "pay" }
            },
            "retry": { "after_crash": "ask" }
        }],
        "edges": [{ "from": "start", "to": "pay" }]
    })
}

async fn asks_after_a_crash(store: &TestStore) {
    let effects = Effects::start().await;
    // The effect has happened, and its result is lost.
    let server = Server::start(store, "node.before_report=abort@2").await;
    let workflow = server.create_workflow(&asks(&effects)).await;
    let again = server.start_execution(&workflow, &json!({ "n": 1 }), "again").await;
    server.node_run(&again, "pay", "succeeded").await;
    let repeated = server.start_execution(&workflow, &json!({ "n": 2 }), "repeated").await;
    server.died().await;
    let server = Server::start(store, "node.before_report=abort").await;
    let run = server.node_run(&repeated, "pay", "waiting").await;
    assert_eq!(run["wait"]["signals"], json!(["after_crash/pay/0"]), "{run}");
    let failed = server.try_start(&workflow, &json!({ "n": 3 }), "failed").await;
    server.died().await;

    let server = Server::start(store, "").await;
    let failed = match failed {
        Some(id) => id,
        None => server.start_execution(&workflow, &json!({ "n": 3 }), "failed").await,
    };
    for id in [&repeated, &failed] {
        server.node_run(id, "pay", "waiting").await;
        let refused = server.signal(id, SIGNAL, &json!({ "decision": "perhaps" })).await;
        assert_eq!(refused, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let accepted = server.signal(&repeated, SIGNAL, &json!({ "decision": "retry" })).await;
    assert_eq!(accepted, StatusCode::ACCEPTED);
    assert_eq!(server.signal(&failed, SIGNAL, &json!({ "decision": "fail" })).await, StatusCode::ACCEPTED);
    assert_eq!(server.ended(&repeated).await["status"], "succeeded");
    let ended = server.ended(&failed).await;
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("failed"), &json!("interrupted")), "{ended}");
    assert_eq!(server.node_run(&failed, "pay", "failed").await["error"]["code"], "interrupted");
    let counts = effects.counts();
    let count = |n: u64| counts.get(&(n, "pay".to_owned())).copied();
    assert_eq!((count(1), count(2), count(3)), (Some(1), Some(2), Some(1)));
    server.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_a_crash_cut_off_asks_on_sqlite() {
    asks_after_a_crash(&TestStore::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_a_crash_cut_off_asks_on_postgres() {
    let store = TestStore::postgres().await;
    asks_after_a_crash(&store).await;
    store.remove().await;
}
