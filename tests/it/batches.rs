//! Batches: dry runs, progress, failures, cancels, and a crash in the middle.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Receiver, ServerProcess, TestApp, client::send, eventually, workflows};

/// Waits until a batch has ended.
async fn ended(client: &Client, id: &str) -> Answer {
    eventually(&format!("{id} has ended"), async || {
        let batch = client.get(&format!("/executions/batch/{id}")).await;
        (batch.body["status"] != "running").then_some(batch)
    })
    .await
}

/// Makes a batch and waits for its end.
async fn run(client: &Client, body: &Value) -> Answer {
    let made = client.post("/executions/batch", body).await;
    assert_eq!(made.status, 202, "{made:?}");
    assert_eq!(made.header("location"), format!("/api/v1/executions/batch/{}", made.text("id")));
    ended(client, &made.text("id")).await
}

fn counts(batch: &Answer) -> (u64, u64, u64, u64) {
    let count = |field: &str| batch.body[field].as_u64().unwrap();
    (count("total"), count("done"), count("succeeded"), count("failed"))
}

/// The ids of a list of executions.
async fn list(client: &Client, query: &str) -> Vec<String> {
    let page = client.get(&format!("/executions?limit=200&{query}")).await;
    page.body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// Calls `/ok` and then `/flaky`.
fn two_calls(receiver: &Receiver) -> Value {
    let call = |id: &str, path: &str| json!({ "id": id, "type": "http.request", "params": { "url": receiver.url(path), "method": "POST" }, "retry": { "max_attempts": 1 } });
    json!({
        "name": "two calls",
        "nodes": [{ "id": "start", "type": "manual" }, call("first", "/ok"), call("second", "/flaky")],
        "edges": [{ "from": "start", "to": "first" }, { "from": "first", "to": "second" }],
    })
}

#[tokio::test]
async fn retries_what_a_filter_finds_after_a_dry_run() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let flaky = app.client.create_workflow(&two_calls(&receiver)).await;
    let good = app.client.create_workflow(&workflows::mark()).await;
    let mut failed = BTreeSet::new();
    for number in 0..5 {
        failed.insert(app.client.run(&flaky, &json!({ "business_key": format!("order-{number}") })).await.text("id"));
        app.client.run(&good, &json!({})).await;
    }
    assert_eq!(receiver.calls(), 5);
    let filter = json!({ "q": "order-", "error_code": "http_status" });
    let dry = app.client.post("/executions/batch", &json!({ "action": "retry", "filter": filter, "dry_run": true })).await;
    assert_eq!((dry.status, &dry.body["count"], &dry.body["has_more"]), (200, &json!(5), &json!(false)));
    let shown: BTreeSet<String> = dry.body["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    assert_eq!(shown, failed);
    assert_eq!(app.client.get("/executions/batch").await.body["items"], json!([]), "nothing was made");

    receiver.heal();
    let batch = run(&app.client, &json!({ "action": "retry", "filter": filter })).await;
    assert_eq!((&batch.body["status"], counts(&batch)), (&json!("finished"), (5, 5, 5, 0)));
    assert!(batch.body["finished_at"].is_string() && batch.body["errors"] == json!([]));
    let retries = eventually("all are done", async || {
        let retries = list(&app.client, "trigger=retry&status=succeeded").await;
        (retries.len() == 5).then_some(retries)
    })
    .await;
    assert_eq!(receiver.calls(), 10, "the first calls are not repeated");
    let of = app.client.get(&format!("/executions/{}", retries[0])).await.text("retry_of");
    assert!(failed.contains(&of));
    app.stop().await;
}

#[tokio::test]
async fn cancels_and_deletes_what_it_is_good_for() {
    let app = TestApp::start().await;
    let waiting = app.client.create_workflow(&workflows::waiting()).await;
    let done = app.client.create_workflow(&workflows::mark()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(app.client.start(&waiting, &json!({})).await);
    }
    ids.push(app.client.run(&done, &json!({})).await.text("id"));
    let filter = json!({ "started_after": "2020-01-01T00:00:00Z" });
    let cancelled = run(&app.client, &json!({ "action": "cancel", "filter": filter })).await;
    assert_eq!(counts(&cancelled), (3, 3, 3, 0), "what has finished is not meant");
    for id in &ids[..3] {
        let ended = app.client.reaches(id, "cancelled").await;
        assert_eq!(ended.body["error"]["message"], format!("cancelled by {}", cancelled.text("id")));
    }
    let live = app.client.start(&waiting, &json!({})).await;
    let named = json!({ "action": "delete", "ids": [ids[0], live, ids[3], ids[0]] });
    let deleted = run(&app.client, &named).await;
    assert_eq!(counts(&deleted), (3, 3, 2, 1));
    assert_eq!(
        deleted.body["errors"],
        json!([
            { "execution_id": live, "code": "execution_running", "message": "the execution has not finished" },
        ])
    );
    assert_eq!(list(&app.client, "").await, [live, ids[2].clone(), ids[1].clone()]);

    let batches = app.client.get("/executions/batch?limit=1").await;
    assert_eq!(batches.body["items"][0]["id"], deleted.body["id"]);
    let next = batches.text("next_cursor");
    let second = app.client.get(&format!("/executions/batch?limit=1&cursor={next}")).await;
    assert_eq!((&second.body["items"][0]["id"], &second.body["next_cursor"]), (&cancelled.body["id"], &Value::Null));
    app.stop().await;
}

#[tokio::test]
async fn refuses_what_makes_no_batch() {
    let app = TestApp::start().await;
    let post = async |body: Value| app.client.post("/executions/batch", &body).await;
    post(json!({ "action": "delete" })).await.assert_problem(422, "invalid_batch");
    post(json!({ "action": "delete", "filter": {} })).await.assert_problem(422, "invalid_batch");
    post(json!({ "action": "delete", "filter": { "status": ["failed"] }, "ids": [] })).await.assert_problem(422, "invalid_batch");
    post(json!({ "action": "archive", "ids": [] })).await.assert_problem(422, "invalid_body");
    post(json!({ "action": "cancel", "ids": [], "from": "start" })).await.assert_problem(422, "invalid_batch");
    post(json!({ "action": "delete", "filter": { "status": ["lost"] } })).await.assert_problem(422, "invalid_batch");
    let unknown = post(json!({ "action": "delete", "ids": ["exe_01900000000070008000000000000001"] })).await;
    unknown.assert_problem(422, "invalid_batch");
    assert_eq!(
        (&unknown.body["errors"][0]["pointer"], &unknown.body["errors"][0]["code"]),
        (&json!("/ids/0"), &json!("execution_not_found"))
    );
    let nowhere = "/executions/batch/bat_01900000000070008000000000000001";
    app.client.get(nowhere).await.assert_problem(404, "batch_not_found");
    app.client.delete(nowhere).await.assert_problem(404, "batch_not_found");
    let empty = run(&app.client, &json!({ "action": "delete", "filter": { "status": ["failed"] } })).await;
    assert_eq!((&empty.body["status"], counts(&empty)), (&json!("finished"), (0, 0, 0, 0)));
    app.client.delete(&format!("/executions/batch/{}", empty.text("id"))).await.assert_problem(409, "batch_ended");
    app.stop().await;
}

#[tokio::test]
async fn one_key_makes_one_batch() {
    let app = TestApp::start().await;
    let workflow = app.client.create_workflow(&workflows::mark()).await;
    let id = app.client.run(&workflow, &json!({})).await.text("id");
    let make = |from: &str| {
        let request = app.client.request(Method::POST, "/executions/batch").header("idempotency-key", "k");
        send(request.json(&json!({ "action": "retry", "ids": [id], "from": from })))
    };
    let first = make("start").await;
    ended(&app.client, &first.text("id")).await;
    let again = make("start").await;
    assert_eq!((again.status, again.text("id"), again.header("idempotent-replayed")), (202, first.text("id"), "true"));
    make("failed").await.assert_problem(422, "idempotency_key_mismatch");
    assert_eq!(list(&app.client, "trigger=retry").await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn goes_on_after_a_kill_and_does_nothing_twice() {
    const COUNT: usize = 120;
    let receiver = Receiver::start().await;
    // Few places in memory: the batch has to wait for room, and is caught in the middle.
    let server = ServerProcess::start_with(&[("CITADEL__LIMITS__IO_SLOTS", "2")]);
    let workflow = server.client().create_workflow(&two_calls(&receiver)).await;
    let starts = (0..COUNT).map(|_| server.client().clone()).map(|client| {
        let workflow = workflow.clone();
        async move { client.run(&workflow, &json!({})).await.text("id") }
    });
    let failed: BTreeSet<String> = futures_util::future::join_all(starts).await.into_iter().collect();
    assert_eq!((failed.len(), receiver.calls()), (COUNT, COUNT));
    receiver.heal();
    let made =
        server.client().post("/executions/batch", &json!({ "action": "retry", "filter": { "workflow_id": workflow } })).await;
    let id = made.text("id");
    assert_eq!(made.body["total"], COUNT);

    let mut server = server;
    for _ in 0..3 {
        let seen = receiver.calls();
        eventually("some more are done", async || (receiver.calls() > seen || receiver.calls() == 2 * COUNT).then_some(())).await;
        server = server.kill_and_restart();
    }
    let client = server.client();
    let batch = ended(&client, &id).await;
    assert_eq!(counts(&batch), (COUNT as u64, COUNT as u64, COUNT as u64, 0), "{batch:?}");
    let retries = eventually("every retry has ended", async || {
        let retries = list(&client, "trigger=retry&status=succeeded").await;
        (retries.len() == COUNT).then_some(retries)
    })
    .await;
    let mut origins = BTreeSet::new();
    for retry in &retries {
        origins.insert(client.get(&format!("/executions/{retry}")).await.text("retry_of"));
    }
    assert_eq!(origins, failed, "each was retried once");
    assert_eq!(list(&client, "trigger=retry").await.len(), COUNT);
}

#[tokio::test]
async fn stops_when_it_is_cancelled() {
    const COUNT: usize = 150;
    let (app, receiver) = (TestApp::start_with(|config| config.limits.executions_live_max = 4).await, Receiver::start().await);
    let workflow = app.client.create_workflow(&workflows::call(&receiver.url("/slow"))).await;
    let mut ids = Vec::new();
    for _ in 0..COUNT {
        // One after the other: there is room for few.
        let id = app.client.start(&workflow, &json!({})).await;
        app.client.post(&format!("/executions/{id}/cancel"), &json!({})).await;
        app.client.reaches(&id, "cancelled").await;
        ids.push(id);
    }
    let made = app.client.post("/executions/batch", &json!({ "action": "retry", "ids": ids, "from": "start" })).await;
    let path = format!("/executions/batch/{}", made.text("id"));
    eventually("some retries run", async || (!list(&app.client, "trigger=retry").await.is_empty()).then_some(())).await;
    let cancelled = app.client.delete(&path).await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("cancelled")));
    app.client.delete(&path).await.assert_problem(409, "batch_ended");
    let cancel = json!({ "action": "cancel", "filter": { "trigger": "retry" } });
    eventually("nothing runs any more", async || {
        run(&app.client, &cancel).await;
        list(&app.client, "trigger=retry&status=queued,running,waiting").await.is_empty().then_some(())
    })
    .await;
    assert!(list(&app.client, "trigger=retry").await.len() < COUNT);
    app.stop().await;
}
