//! Node types: what is said of them, and trying one.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Receiver, TestApp, client::send, eventually, workflows};

async fn attempt(client: &Client, node_type: &str, body: &Value) -> Answer {
    client.post(&format!("/node-types/{node_type}/test"), body).await
}

#[tokio::test]
async fn every_example_is_a_workflow_that_can_be_stored() {
    let app = TestApp::start().await;
    let types = app.client.get("/node-types").await.body;
    for known in types["items"].as_array().unwrap() {
        let name = known["type"].as_str().unwrap();
        for field in ["summary", "role"] {
            assert!(known[field].as_str().is_some_and(|text| !text.is_empty()), "{name}: {field}");
        }
        assert!(known["params_schema"].is_object() && known["ports"].is_array() && known["inputs"].is_u64(), "{name}");
        assert!(!known["effects"].as_array().unwrap().is_empty(), "{name}");
        let examples = known["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            let checked = app.client.post("/workflows/validate", &example["definition"]).await;
            assert_eq!(checked.body, json!({ "valid": true, "errors": [] }), "{name}: {}", example["title"]);
        }
        assert_eq!(&app.client.get(&format!("/node-types/{name}")).await.body, known);
    }
    app.stop().await;
}

#[tokio::test]
async fn every_pure_example_does_what_it_says() {
    let app = TestApp::start().await;
    let types = app.client.get("/node-types").await.body;
    let mut tried = 0;
    for known in types["items"].as_array().unwrap() {
        let (name, role) = (known["type"].as_str().unwrap(), known["role"].as_str().unwrap());
        for example in
            known["examples"].as_array().unwrap().iter().filter(|example| example["effect"] == "pure" && role != "loop")
        {
            let body = json!({ "params": example["params"], "items": example["items"] });
            let report = attempt(&app.client, name, &body).await;
            assert_eq!(report.status, 200, "{name}: {report:?}");
            let outputs = report.body["outputs"].as_array().unwrap();
            if name == "stop_error" {
                assert_eq!(report.body["error"]["code"], "order_empty");
            } else {
                assert_eq!(report.body["error"], Value::Null, "{name}: {}", example["title"]);
                assert!(outputs.iter().any(|port| !port["items"].as_array().unwrap().is_empty()), "{name}: {report:?}");
            }
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried}");
    app.stop().await;
}

#[tokio::test]
async fn shows_what_a_node_puts_out_on_each_port() {
    let app = TestApp::start().await;
    app.client.post("/variables", &json!({ "name": "limit", "value": 10 })).await;
    let body = json!({ "params": { "condition": "{{ $json.n > $vars.limit }}" }, "items": [{ "n": 5 }, { "n": 50 }] });
    let report = attempt(&app.client, "if", &body).await;
    assert_eq!(report.status, 200, "{report:?}");
    let items = |port: &str| {
        let ports = report.body["outputs"].as_array().unwrap();
        let found = ports.iter().find(|output| output["port"] == port).unwrap();
        found["items"].as_array().unwrap().iter().map(|item| item["json"]["n"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((items("true"), items("false")), (vec![json!(50)], vec![json!(5)]));
    assert!(report.body["duration_ms"].is_u64() && report.body.get("wait").is_none());

    let code = json!({ "params": { "code": "return items.map(item => ({ twice: item.json.n * 2 }))" }, "items": [{ "n": 4 }] });
    assert_eq!(attempt(&app.client, "code", &code).await.body["outputs"][0]["items"][0]["json"], json!({ "twice": 8 }));
    let answer = json!({ "params": { "status": 201, "body": "{{ $json.n }}" }, "items": [{ "n": 4 }] });
    assert_eq!(attempt(&app.client, "respond", &answer).await.body["response"], json!({ "status": 201, "body": 4 }));
    let waits = attempt(&app.client, "wait", &json!({ "params": { "signal": "go", "timeout": "1h" }, "items": [{}] })).await;
    assert_eq!((&waits.body["wait"]["signals"], waits.body["wait"]["until"].is_string()), (&json!(["go"]), true));
    app.stop().await;
}

#[tokio::test]
async fn effects_really_happen_and_nothing_is_stored() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let ok = attempt(&app.client, "http.request", &json!({ "params": { "url": receiver.url("/ok") }, "items": [{}, {}] })).await;
    assert_eq!((receiver.calls(), ok.body["outputs"][0]["items"].as_array().unwrap().len()), (2, 2));
    let broken =
        attempt(&app.client, "http.request", &json!({ "params": { "url": receiver.url("/broken") }, "items": [{}] })).await;
    assert_eq!((broken.status, &broken.body["error"]["code"], &broken.body["outputs"]), (200, &json!("http_status"), &json!([])));
    let denied = attempt(&app.client, "http.request", &json!({ "params": { "url": "http://10.1.2.3/" }, "items": [{}] })).await;
    assert_eq!(denied.body["error"]["code"], "egress_denied");
    let missing = json!({ "params": { "url": receiver.url("/ok") }, "items": [{}], "credential": "nobody" });
    assert_eq!(attempt(&app.client, "http.request", &missing).await.body["error"]["code"], "invalid_parameter");
    assert_eq!(app.client.get("/executions").await.body["items"], json!([]));
    assert_eq!(app.client.get("/workflows").await.body["items"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn a_trial_ends_in_time_and_frees_its_place() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let body = json!({ "params": { "url": receiver.url("/slow") }, "items": [{}] });
    let request = app.client.request(Method::POST, "/node-types/http.request/test").header("prefer", "wait=1").json(&body);
    let report = send(request).await;
    assert_eq!((report.status, &report.body["error"]["code"]), (200, &json!("timeout")));

    let mut open = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let client = app.client.clone();
        let body = body.clone();
        open.spawn(async move { attempt(&client, "http.request", &body).await });
    }
    eventually("all are under way", async || (receiver.calls() == 17).then_some(())).await;
    let refused = attempt(&app.client, "no_op", &json!({ "items": [{}] })).await;
    refused.assert_problem(429, "overloaded");
    assert!(refused.headers.contains_key("retry-after"));
    open.abort_all();
    let seen = app.client.get("/actors").await;
    assert!(seen.body["kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] == "trial"), "{seen:?}");
    app.stop().await;
}

#[tokio::test]
async fn refuses_a_node_that_is_not_well() {
    let app = TestApp::start().await;
    attempt(&app.client, "no-such-type", &json!({})).await.assert_problem(404, "node_type_not_found");
    let invalid = attempt(&app.client, "http.request", &json!({ "params": { "ulr": "x" } })).await;
    invalid.assert_problem(422, "invalid_definition");
    let pointers: Vec<&Value> = invalid.body["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert!(pointers.iter().all(|pointer| pointer.as_str().unwrap().starts_with("/params")), "{pointers:?}");
    attempt(&app.client, "set", &json!({ "item": [] })).await.assert_problem(422, "invalid_body");
    app.client.anonymous().post("/node-types/set/test", &json!({})).await.assert_problem(401, "unauthenticated");
    let itself = attempt(&app.client, "loop", &json!({ "items": [{}] })).await;
    assert_eq!(itself.body["error"]["code"], "invalid_definition", "the machine runs it: {itself:?}");
    let many: Vec<Value> = (0..3).map(|_| json!({ "text": "x".repeat(400_000) })).collect();
    attempt(&app.client, "no_op", &json!({ "items": many })).await.assert_problem(413, "too_large");
    let grown = json!({ "params": { "fields": { "a": "{{ 'x'.repeat(5000000) }}" } }, "items": [{}] });
    assert_eq!(attempt(&app.client, "set", &grown).await.body["error"]["code"], "output_limit");
    app.client.create_workflow(&workflows::mark()).await;
    app.stop().await;
}
