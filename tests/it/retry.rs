//! Retries: what is taken over is not done again, what is not is done once.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, EventStream, Receiver, ServerProcess, TestApp, client::send, workflows};

/// Calls `/ok`, then `/flaky`, then `/ok`: POSTs, which nobody repeats by himself.
fn three_calls(receiver: &Receiver) -> Value {
    let call = |id: &str, path: &str| json!({ "id": id, "type": "http.request", "params": { "url": receiver.url(path), "method": "POST" }, "retry": { "max_attempts": 1 } });
    json!({
        "name": "three calls",
        "nodes": [{ "id": "start", "type": "manual" }, call("first", "/ok"), call("second", "/flaky"), call("third", "/ok")],
        "edges": [{ "from": "start", "to": "first" }, { "from": "first", "to": "second" }, { "from": "second", "to": "third" }],
    })
}

async fn retry(client: &Client, id: &str, body: &Value) -> Answer {
    let request = client.request(Method::POST, &format!("/executions/{id}/retry"));
    send(request.header("prefer", "wait=60").json(body)).await
}

/// The states of an execution's nodes, by id.
async fn states(client: &Client, id: &str) -> Vec<String> {
    let nodes = client.get(&format!("/executions/{id}/nodes")).await;
    let text = |run: &Value, field: &str| run[field].as_str().unwrap().to_owned();
    nodes.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| format!("{} {}", text(run, "node_id"), text(run, "status")))
        .collect()
}

#[tokio::test]
async fn repeats_what_failed_and_nothing_before_it() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let workflow = app.client.create_workflow(&three_calls(&receiver)).await;
    let failed = app.client.run(&workflow, &json!({ "input": { "n": 1 }, "business_key": "order-7" })).await;
    assert_eq!((&failed.body["status"], receiver.calls()), (&json!("failed"), 1));
    let id = failed.text("id");

    // It fails again, and again nothing before it is done twice.
    let again = retry(&app.client, &id, &json!({})).await;
    assert_eq!((again.status, &again.body["status"], receiver.calls()), (200, &json!("failed"), 1));
    receiver.heal();
    let done = retry(&app.client, &again.text("id"), &json!({ "from": "failed", "version": "original" })).await;
    assert_eq!((&done.body["status"], receiver.calls()), (&json!("succeeded"), 3));
    assert_eq!((&done.body["retry_of"], &done.body["trigger"]), (&again.body["id"], &json!("retry")));
    assert_eq!(done.body["business_key"], "order-7");
    assert_eq!(done.body["result"][0]["json"], json!({ "call": 3 }));
    let done = done.text("id");
    assert_eq!(states(&app.client, &done).await, ["start succeeded", "first reused", "second succeeded", "third succeeded"]);
    let runs = app.client.get(&format!("/executions/{done}/nodes?include=data")).await;
    assert_eq!(runs.body["items"][1]["outputs"][0]["items"][0]["json"], json!({ "call": 1 }), "the result of the first time");
    assert_eq!(runs.body["items"][1]["attempts"], 0);

    let list = app.client.get(&format!("/executions?retry_of={id}")).await;
    assert_eq!(list.body["items"].as_array().unwrap().len(), 1);
    // From the start, and from a node in the middle of what went well.
    retry(&app.client, &done, &json!({ "from": "start" })).await;
    assert_eq!(receiver.calls(), 6);
    let third = retry(&app.client, &done, &json!({ "from": { "node": "third" } })).await.text("id");
    assert_eq!(receiver.calls(), 7);
    assert_eq!(states(&app.client, &third).await, ["start succeeded", "first reused", "second reused", "third succeeded"]);
    app.stop().await;
}

#[tokio::test]
async fn goes_on_in_a_loop_where_it_stopped() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let workflow = app
        .client
        .create_workflow(&json!({
            "name": "loop",
            "nodes": [
                { "id": "start", "type": "manual" },
                { "id": "each", "type": "loop" },
                { "id": "call", "type": "http.request", "params": { "url": "{{ $json.url }}", "method": "POST" } },
            ],
            "edges": [
                { "from": "start", "to": "each" },
                { "from": "each", "port": "loop", "to": "call" },
                { "from": "call", "to": "each" },
            ],
        }))
        .await;
    let urls = ["/ok", "/ok", "/flaky", "/ok"].map(|path| json!({ "url": receiver.url(path) }));
    let failed = app.client.run(&workflow, &json!({ "input": urls })).await;
    assert_eq!((&failed.body["status"], receiver.calls()), (&json!("failed"), 2));
    receiver.heal();
    let done = retry(&app.client, &failed.text("id"), &json!({})).await;
    assert_eq!((&done.body["status"], receiver.calls()), (&json!("succeeded"), 4));
    let calls: Vec<&Value> = done.body["result"].as_array().unwrap().iter().map(|item| &item["json"]["call"]).collect();
    assert_eq!(calls, [1, 2, 3, 4]);
    // From a node of its body the whole loop begins anew.
    let anew = retry(&app.client, &failed.text("id"), &json!({ "from": { "node": "call" } })).await;
    assert_eq!((&anew.body["status"], receiver.calls()), (&json!("succeeded"), 8));
    app.stop().await;
}

#[tokio::test]
async fn a_newer_version_goes_on_where_the_older_one_failed() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let mut definition = three_calls(&receiver);
    let workflow = app.client.create_workflow(&definition).await;
    let failed = app.client.run(&workflow, &json!({})).await.text("id");
    definition["nodes"][2]["params"]["url"] = json!(receiver.url("/ok"));
    app.client.put(&format!("/workflows/{workflow}"), "\"1\"", &definition).await;
    let done = retry(&app.client, &failed, &json!({ "version": "latest" })).await;
    assert_eq!((&done.body["status"], &done.body["workflow_version"]), (&json!("succeeded"), &json!(2)));
    assert_eq!(receiver.calls(), 3, "the first call is not repeated");

    definition["nodes"][1]["id"] = json!("other");
    (definition["edges"][0]["to"], definition["edges"][1]["from"]) = (json!("other"), json!("other"));
    app.client.put(&format!("/workflows/{workflow}"), "\"2\"", &definition).await;
    let refused = retry(&app.client, &failed, &json!({ "version": 3 })).await;
    refused.assert_problem(422, "cannot_reuse");
    assert_eq!(
        (&refused.body["errors"][0]["pointer"], &refused.body["errors"][0]["code"]),
        (&json!("/version"), &json!("shape_changed"))
    );
    assert!(refused.text("detail").contains("lacks the node `first`"), "{refused:?}");
    let refused = retry(&app.client, &failed, &json!({ "version": 3, "from": { "node": "first" } })).await;
    assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (422, &json!("/from/node")));
    retry(&app.client, &failed, &json!({ "version": 4 })).await.assert_problem(404, "version_not_found");
    let anew = retry(&app.client, &failed, &json!({ "version": 3, "from": "start" })).await;
    assert_eq!((&anew.body["status"], receiver.calls()), (&json!("succeeded"), 6));
    app.stop().await;
}

#[tokio::test]
async fn refuses_what_cannot_be_retried() {
    let app = TestApp::start().await;
    let workflow = app.client.create_workflow(&workflows::waiting()).await;
    let running = app.client.start(&workflow, &json!({})).await;
    retry(&app.client, &running, &json!({})).await.assert_problem(409, "execution_running");
    app.client.post(&format!("/executions/{running}/signal/go"), &json!({})).await;
    app.client.reaches(&running, "succeeded").await;
    retry(&app.client, &running, &json!({})).await.assert_problem(422, "nothing_to_retry");
    retry(&app.client, &running, &json!({ "from": { "node": "paus" } })).await.assert_problem(422, "cannot_reuse");
    retry(&app.client, &running, &json!({ "from": "middle" })).await.assert_problem(422, "invalid_body");
    retry(&app.client, "exe_01900000000070008000000000000001", &json!({})).await.assert_problem(404, "execution_not_found");
    app.stop().await;
}

#[tokio::test]
async fn one_key_retries_once_and_a_retry_can_be_watched() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let workflow = app.client.create_workflow(&three_calls(&receiver)).await;
    let failed = app.client.run(&workflow, &json!({})).await.text("id");
    receiver.heal();
    let keyed = || app.client.request(Method::POST, &format!("/executions/{failed}/retry")).header("idempotency-key", "k");
    let stream = EventStream::open(keyed().json(&json!({}))).await;
    let lines = stream.rest().await;
    let names: Vec<&str> = lines.iter().map(|line| &*line.name).collect();
    assert_eq!(names[..2], ["created", "node_reused"]);
    assert_eq!((lines[0].data["trigger"].as_str(), lines[1].data["node_id"].as_str()), (Some("retry"), Some("first")));
    let again = send(keyed().header("prefer", "wait=30").json(&json!({}))).await;
    assert_eq!((again.header("idempotent-replayed"), &again.body["status"]), ("true", &json!("succeeded")));
    assert_eq!((again.body["id"].clone(), receiver.calls()), (lines.last().unwrap().data["execution_id"].clone(), 3));
    send(keyed().json(&json!({ "from": "start" }))).await.assert_problem(422, "idempotency_key_mismatch");
    app.stop().await;
}

#[tokio::test]
async fn what_was_taken_over_outlives_a_kill_and_the_first_execution() {
    let receiver = Receiver::start().await;
    let server = ServerProcess::start();
    let mut definition = three_calls(&receiver);
    definition["nodes"][2] = json!({ "id": "second", "type": "wait", "params": { "signal": "go" } });
    let workflow = server.client().create_workflow(&definition).await;
    let first = server.client().start(&workflow, &json!({})).await;
    server.client().reaches(&first, "waiting").await;
    server.client().post(&format!("/executions/{first}/cancel"), &json!({})).await;
    server.client().reaches(&first, "cancelled").await;
    let started = server.client().post(&format!("/executions/{first}/retry"), &json!({})).await;
    assert_eq!(started.status, 202, "{started:?}");
    let second = started.text("id");
    server.client().reaches(&second, "waiting").await;
    assert_eq!(server.client().delete(&format!("/executions/{first}")).await.status, 204);

    let server = server.kill_and_restart();
    let client = server.client();
    client.post(&format!("/executions/{second}/signal/go"), &json!({})).await;
    client.reaches(&second, "succeeded").await;
    assert_eq!(receiver.calls(), 2, "the first call once for both, the third once");
    assert_eq!(states(&client, &second).await, ["start succeeded", "first reused", "second succeeded", "third succeeded"]);
}
