//! Starting executions, looking at them, and commands to them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Receiver, TestApp, client::send, workflows};

#[tokio::test]
async fn answers_with_the_result_if_the_caller_waits() {
    let app = TestApp::start().await;
    let id = app.client.create_workflow(&workflows::mark()).await;
    let ended = app.client.run(&id, &json!({ "input": [{ "n": 1 }, { "n": 2 }], "business_key": "order-7" })).await;
    assert_eq!(ended.body["status"], "succeeded");
    assert_eq!(ended.body["business_key"], "order-7");
    assert_eq!(ended.body["result"][1]["json"], json!({ "n": 2, "seen": true }));
    let read = app.client.get(&format!("/executions/{}", ended.text("id"))).await;
    assert_eq!(read.body, ended.body);
    assert_eq!(ended.header("location"), format!("/api/v1/executions/{}", ended.text("id")));
    app.stop().await;
}

#[tokio::test]
async fn answers_with_the_way_to_the_result_if_it_takes_too_long() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let id = app.client.create_workflow(&workflows::call(&receiver.url("/slow"))).await;
    let request = app.client.request(Method::POST, &format!("/workflows/{id}/executions")).header("prefer", "wait=1");
    let started = send(request.json(&json!({}))).await;
    assert_eq!((started.status, &started.body["status"]), (202, &json!("running")));
    let path = started.header("location").trim_start_matches("/api/v1").to_owned();
    assert_eq!(app.client.get(&path).await.body["finished_at"], Value::Null);
    app.client.delete(&path).await.assert_problem(409, "execution_running");

    let cancelled = app.client.post(&format!("{path}/cancel"), &json!({ "reason": "too slow" })).await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (202, &json!("accepted")));
    let ended = app.client.reaches(&started.text("id"), "cancelled").await;
    assert!(ended.body["finished_at"].is_string());
    app.client.post(&format!("{path}/cancel"), &json!({})).await.assert_problem(409, "execution_finished");
    assert_eq!(app.client.delete(&path).await.status, 204);
    app.client.get(&path).await.assert_problem(404, "execution_not_found");
    app.stop().await;
}

#[tokio::test]
async fn starts_once_per_idempotency_key() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let id = app.client.create_workflow(&workflows::call(&receiver.url("/ok"))).await;
    let start = |body: Value| {
        let request = app.client.request(Method::POST, &format!("/workflows/{id}/executions"));
        send(request.header("idempotency-key", "k").header("prefer", "wait=30").json(&body))
    };
    let first = start(json!({ "input": { "n": 1 } })).await;
    let second = start(json!({ "input": { "n": 1 } })).await;
    assert_eq!((second.status, second.text("id")), (200, first.text("id")));
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(receiver.calls(), 1);
    start(json!({ "input": { "n": 2 } })).await.assert_problem(422, "idempotency_key_mismatch");
    app.stop().await;
}

#[tokio::test]
async fn refuses_a_start_that_cannot_be() {
    let app = TestApp::start().await;
    let id = app.client.create_workflow(&workflows::mark()).await;
    let path = format!("/workflows/{id}/executions");
    app.client.post(&path, &json!({ "start_node": "nowhere" })).await.assert_problem(422, "unknown_start_node");
    app.client.post(&path, &json!({ "inputs": {} })).await.assert_problem(422, "invalid_body");
    app.client.post(&path, &json!({ "version": 9 })).await.assert_problem(404, "version_not_found");
    app.client.post(&path, &json!({ "business_key": "k".repeat(300) })).await.assert_problem(422, "invalid_body");
    app.client.post(&path, &json!({ "input": "x".repeat(2 << 20) })).await.assert_problem(413, "too_large");
    let nowhere = "/workflows/wf_01900000000070008000000000000001/executions";
    app.client.post(nowhere, &json!({})).await.assert_problem(404, "workflow_not_found");
    app.stop().await;
}

#[tokio::test]
async fn shows_every_node_run_with_its_data_on_request() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let id = app.client.create_workflow(&workflows::call(&receiver.url("/broken"))).await;
    let ended = app.client.run(&id, &json!({ "input": { "n": 1 } })).await;
    assert_eq!((&ended.body["status"], &ended.body["error"]["code"]), (&json!("failed"), &json!("http_status")));
    assert_eq!(ended.body["error"]["node_id"], "call");

    let path = format!("/executions/{}/nodes", ended.text("id"));
    let runs = app.client.get(&path).await;
    let [start, call] = runs.body["items"].as_array().unwrap().as_slice() else { panic!("two runs: {runs:?}") };
    assert_eq!((&start["status"], &start["outputs"][0]), (&json!("succeeded"), &json!({ "port": "main", "item_count": 1 })));
    assert_eq!(
        (&call["status"], &call["error"]["code"], &call["attempts"]),
        (&json!("failed"), &json!("http_status"), &json!(1))
    );
    assert!(call["duration_ms"].is_u64() && call["started_at"].is_string() && call["finished_at"].is_string());
    let with_data = app.client.get(&format!("{path}?include=data")).await;
    assert_eq!(with_data.body["items"][0]["outputs"][0]["items"][0]["json"], json!({ "n": 1 }));
    app.client.get(&format!("{path}?include=everything")).await.assert_problem(400, "invalid_query");
    app.stop().await;
}

#[tokio::test]
async fn lists_by_filter_and_cursor() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let good = app.client.create_workflow(&workflows::mark()).await;
    let bad = app.client.create_workflow(&workflows::call(&receiver.url("/broken"))).await;
    let mut newest_first = Vec::new();
    for workflow in [&good, &bad, &good, &good] {
        newest_first.insert(0, app.client.run(workflow, &json!({})).await.text("id"));
    }
    let list = async |query: &str| {
        let page = app.client.get(&format!("/executions{query}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let ids: Vec<String> =
            page.body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
        (ids, page.body["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(list("").await, (newest_first.clone(), None));
    assert_eq!(list("?status=failed").await.0, [newest_first[2].clone()]);
    assert_eq!(list("?error_code=http_status").await.0, [newest_first[2].clone()]);
    assert_eq!(list("?status=failed,running").await.0, [newest_first[2].clone()]);
    assert_eq!(list("?status=failed,succeeded").await.0, newest_first);
    assert_eq!(list(&format!("?workflow_id={good}&trigger=manual")).await.0.len(), 3);
    assert_eq!(list("?started_before=2020-01-01T00:00:00Z").await.0.len(), 0);
    assert_eq!(list("?started_after=2020-01-01T00:00:00Z").await.0.len(), 4);

    let query = format!("?limit=2&workflow_id={good}");
    let (first, next) = list(&query).await;
    let next = next.expect("there is a second page");
    let (second, end) = list(&format!("{query}&cursor={next}")).await;
    assert_eq!((first.len(), second.len(), end), (2, 1, None));
    // With other filters it is another list.
    app.client.get(&format!("/executions?limit=2&cursor={next}")).await.assert_problem(400, "invalid_cursor");
    app.stop().await;
}

#[tokio::test]
async fn finds_executions_by_a_text() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let good = app.client.create_workflow(&workflows::mark()).await;
    let bad = app.client.create_workflow(&workflows::call(&receiver.url("/broken"))).await;
    let mut ids = Vec::new();
    for (workflow, key) in [(&good, "Order-1"), (&bad, "invoice-2"), (&good, "ORDER-3"), (&good, "order-4")] {
        ids.push(app.client.run(workflow, &json!({ "business_key": key })).await.text("id"));
    }
    let list = async |query: &str| {
        let page = app.client.get(&format!("/executions?{query}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let found: Vec<String> =
            page.body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
        (found, page.body["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(list("q=order").await, (vec![ids[3].clone(), ids[2].clone(), ids[0].clone()], None));
    assert_eq!(list("q=STATUS").await.0, [ids[1].clone()]);
    assert_eq!(list(&format!("q={}", &ids[2].to_uppercase())).await.0, [ids[2].clone()]);
    assert_eq!(list(&format!("q=order&workflow_id={bad}")).await.0.len(), 0);
    assert_eq!(list("business_key=Order-1").await.0, [ids[0].clone()]);

    let (first, next) = list("q=order&limit=2").await;
    let next = next.expect("there is a second page");
    assert_eq!(list(&format!("q=order&limit=2&cursor={next}")).await, (vec![ids[0].clone()], None));
    assert_eq!(first, [ids[3].clone(), ids[2].clone()]);
    app.client.get(&format!("/executions?q=orde&limit=2&cursor={next}")).await.assert_problem(400, "invalid_cursor");
    app.client.get("/executions?status=failed,late").await.assert_problem(400, "invalid_query");
    app.client.get(&format!("/executions?q={}", "x".repeat(300))).await.assert_problem(400, "invalid_query");
    app.stop().await;
}

#[tokio::test]
async fn refuses_commands_to_what_is_not_there() {
    let app = TestApp::start().await;
    let path = "/executions/exe_01900000000070008000000000000001";
    app.client.get(path).await.assert_problem(404, "execution_not_found");
    app.client.get(&format!("{path}/nodes")).await.assert_problem(404, "execution_not_found");
    app.client.delete(path).await.assert_problem(404, "execution_not_found");
    app.client.post(&format!("{path}/cancel"), &json!({})).await.assert_problem(404, "execution_not_found");
    app.client.post(&format!("{path}/signal/go"), &json!({})).await.assert_problem(404, "execution_not_found");
    app.stop().await;
}
