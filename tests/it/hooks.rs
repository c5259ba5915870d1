//! Published webhooks over real HTTP.

use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Receiver, TestApp, client::send, workflows};

#[tokio::test]
async fn starts_an_execution_with_everything_of_the_request() {
    let app = TestApp::start().await;
    app.client.publish(&workflows::hook(json!({ "path": "orders/{id}", "method": "ANY" }))).await;
    let request = app.client.request(Method::PATCH, "/hooks/orders/a%2Fb?x=1&x=2").header("x-tag", "t");
    let answer = send(request.json(&json!({ "total": 3 }))).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("queued")));
    let ended = app.client.reaches(&answer.text("execution_id"), "succeeded").await;
    assert_eq!(ended.body["trigger"], "webhook");
    let item = &ended.body["result"][0]["json"];
    assert_eq!((&item["method"], &item["params"]), (&json!("PATCH"), &json!({ "id": "a/b" })));
    assert_eq!((&item["query"], &item["body"]), (&json!({ "x": ["1", "2"] }), &json!({ "total": 3 })));
    assert_eq!((&item["headers"]["x-tag"], &item["raw"], &item["seen"]), (&json!("t"), &Value::Null, &json!(true)));
    assert_eq!(item["headers"]["authorization"], Value::Null, "the owner's token is not for workflows");
    app.stop().await;
}

#[tokio::test]
async fn answers_with_the_last_nodes_items_or_says_that_the_execution_failed() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let params = json!({ "path": "last", "respond": "last_node", "status": 201, "headers": { "x-a": "b" } });
    app.client.publish(&workflows::hook(params)).await;
    let answer = app.client.post("/hooks/last", &json!({ "n": 1 })).await;
    assert_eq!((answer.status, answer.header("x-a"), &answer.body["body"]), (201, "b", &json!({ "n": 1 })));

    let mut failing = workflows::call(&receiver.url("/broken"));
    failing["nodes"][0] = json!({ "id": "start", "type": "webhook", "params": { "path": "failing", "respond": "last_node" } });
    app.client.publish(&failing).await;
    let failed = app.client.post("/hooks/failing", &json!({})).await;
    failed.assert_problem(500, "execution_failed");
    app.client.reaches(&failed.text("execution_id"), "failed").await;
    app.stop().await;
}

#[tokio::test]
async fn says_where_to_look_when_the_answer_takes_too_long() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let mut slow = workflows::call(&receiver.url("/slow"));
    let params = json!({ "path": "slow", "respond": "last_node", "timeout": "200ms" });
    slow["nodes"][0] = json!({ "id": "start", "type": "webhook", "params": params });
    app.client.publish(&slow).await;
    let answer = app.client.post("/hooks/slow", &json!({})).await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("running")));
    let id = answer.text("execution_id");
    assert_eq!(answer.header("location"), format!("/api/v1/executions/{id}"));
    app.client.post(&format!("/executions/{id}/cancel"), &json!({})).await;
    app.client.reaches(&id, "cancelled").await;
    app.stop().await;
}

#[tokio::test]
async fn lets_only_verified_requests_in_and_each_of_them_once() {
    let app = TestApp::start().await;
    let verify = json!({
        "type": "hmac", "secret": "s3cret", "header": "x-signature", "id_header": "x-id", "template": "{id}.{body}",
    });
    app.client.publish(&workflows::hook(json!({ "path": "signed", "verify": verify, "respond": "last_node" }))).await;
    let deliver = |signature: String, body: &'static str| {
        let request = app.client.anonymous().request(Method::POST, "/hooks/signed");
        send(request.header("x-signature", signature).header("x-id", "m1").header("content-type", "application/json").body(body))
    };
    // Spaces belong to what is signed: the bytes are checked, not the JSON.
    let body = r#"{ "n":  1 }"#;
    let first = deliver(sign("m1", body), body).await;
    assert_eq!((first.status, &first.body["body"]), (200, &json!({ "n": 1 })));
    let again = deliver(sign("m1", body), body).await;
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.body), (200, "true", &first.body));
    assert_eq!(app.client.get("/executions").await.body["items"].as_array().unwrap().len(), 1);

    deliver(sign("m1", body), r#"{ "n": 1 }"#).await.assert_problem(401, "hook_unverified");
    deliver(sign("m2", body), body).await.assert_problem(401, "hook_unverified");
    app.client.post("/hooks/signed", &json!({})).await.assert_problem(401, "hook_unverified");
    app.stop().await;
}

#[tokio::test]
async fn refuses_what_no_webhook_takes() {
    let app = TestApp::start().await;
    app.client.publish(&workflows::hook(json!({ "path": "orders" }))).await;
    app.client.post("/hooks/nowhere", &json!({})).await.assert_problem(404, "hook_not_found");
    let wrong_method = app.client.get("/hooks/orders").await;
    wrong_method.assert_problem(405, "method_not_allowed");
    assert_eq!(wrong_method.header("allow"), "POST");
    let post = |kind: &str, body: String| {
        send(app.client.request(Method::POST, "/hooks/orders").header("content-type", kind).body(body))
    };
    post("application/json", "{".to_owned()).await.assert_problem(400, "invalid_json");
    post("multipart/form-data; boundary=x", "--x".to_owned()).await.assert_problem(415, "unsupported_media_type");
    post("text/plain", "x".repeat(2 << 20)).await.assert_problem(413, "too_large");
    app.stop().await;
}

#[tokio::test]
async fn keeps_the_bytes_of_a_body_on_request() {
    let app = TestApp::start().await;
    app.client.publish(&workflows::hook(json!({ "path": "bytes", "raw": true, "respond": "last_node" }))).await;
    let bytes = [0_u8, 159, 146, 150];
    let request = app.client.request(Method::POST, "/hooks/bytes").header("content-type", "application/octet-stream");
    let answer = send(request.body(bytes.to_vec())).await;
    assert_eq!((answer.status, &answer.body["body"]), (200, &Value::Null), "{answer:?}");
    assert_eq!(
        (&answer.body["raw"]["size_bytes"], &answer.body["raw"]["hash"]),
        (&json!(4), &json!(hex(&Sha256::digest(bytes))))
    );
    app.stop().await;
}

/// The signature of a delivery.
fn sign(id: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"s3cret").unwrap();
    mac.update(format!("{id}.{body}").as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
