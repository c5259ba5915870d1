//! Every refusal is a problem (RFC 9457), and says what to do.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestApp, client::send, workflows};

#[tokio::test]
async fn every_refusal_of_the_framework_is_a_problem() {
    let app = TestApp::start().await;
    let client = &app.client;
    client.get("/no-such-resource").await.assert_problem(404, "not_found");
    client.get("/workflows/wf_nonsense").await.assert_problem(404, "not_found");
    client.get("/workflows/exe_01900000000070008000000000000001").await.assert_problem(404, "not_found");
    let wrong_method = client.request(Method::PATCH, "/workflows");
    let answer = send(wrong_method).await;
    answer.assert_problem(405, "method_not_allowed");
    assert!(answer.header("allow").contains("POST"));
    client.get("/executions?limt=5").await.assert_problem(400, "invalid_query");
    client.get("/executions?limit=5000").await.assert_problem(400, "invalid_query");
    client.get("/executions?started_after=yesterday").await.assert_problem(400, "invalid_query");
    client.get("/executions?error_code=a%00b").await.assert_problem(400, "invalid_query");
    client.get("/node-types/a%00b").await.assert_problem(404, "not_found");
    app.stop().await;
}

#[tokio::test]
async fn says_where_a_body_is_wrong() {
    let app = TestApp::start().await;
    let post = |path: &str, kind: &str, body: &str| {
        send(app.client.request(Method::POST, path).header("content-type", kind).body(body.to_owned()))
    };
    let broken = post("/workflows", "application/json", "{\n  \"name\": \"a\",\n}").await;
    broken.assert_problem(400, "invalid_json");
    assert!(broken.text("detail").contains("line 3 column 1"), "{broken:?}");
    post("/workflows", "application/yaml", "a: [").await.assert_problem(400, "invalid_yaml");
    post("/workflows", "text/csv", "a,b").await.assert_problem(415, "unsupported_media_type");
    post("/workflows", "application/json", &"x".repeat(3 << 20)).await.assert_problem(413, "too_large");
    post("/auth/login", "application/json", r#"{"email":"a","pasword":"b"}"#).await.assert_problem(422, "invalid_body");
    post("/auth/login", "application/json", r#"{"email":"a\u0000","password":"b"}"#).await.assert_problem(422, "invalid_body");
    post("/auth/login", "application/json", r#"["a","b"]"#).await.assert_problem(422, "invalid_body");
    post("/workflows/validate", "application/json", "").await.assert_problem(422, "invalid_body");
    let deep = format!("{{\"email\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    post("/auth/login", "application/json", &deep).await.assert_problem(400, "invalid_json");
    app.stop().await;
}

#[tokio::test]
async fn lists_every_problem_of_a_definition_with_its_place() {
    let app = TestApp::start().await;
    let definition = json!({
        "name": "a",
        "nodes": [{ "id": "a", "type": "manul" }, { "id": "b", "type": "http.request", "params": { "ulr": "x" } }],
        "edges": [{ "from": "a", "to": "nowhere" }],
    });
    let refused = app.client.post("/workflows", &definition).await;
    refused.assert_problem(422, "invalid_definition");
    let pointers: Vec<&str> =
        refused.body["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert!(pointers.contains(&"/nodes/0/type") && pointers.contains(&"/edges/0/to"), "{pointers:?}");
    assert!(pointers.iter().any(|pointer| pointer.starts_with("/nodes/1/params")), "{pointers:?}");

    let checked = app.client.post("/workflows/validate", &definition).await;
    assert_eq!((checked.status, &checked.body["valid"]), (200, &json!(false)));
    assert_eq!(checked.body["errors"], refused.body["errors"]);
    let valid = app.client.post("/workflows/validate", &workflows::mark()).await;
    assert_eq!(valid.body, json!({ "valid": true, "errors": [] }));
    app.stop().await;
}

#[tokio::test]
async fn explains_itself() {
    let app = TestApp::start().await;
    let anonymous = app.client.anonymous();
    assert_eq!(anonymous.get("/healthz").await.body, json!({ "status": "ok" }));
    assert_eq!(anonymous.get("/startupz").await.status, 200);
    let ready = anonymous.get("/readyz?verbose").await;
    assert_eq!((ready.status, ready.body["checks"].as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(anonymous.get("/problems/hook_taken").await.body["status"], 409);
    anonymous.get("/problems/no_such_code").await.assert_problem(404, "not_found");
    assert_eq!(anonymous.get("/schemas/workflow.json").await.body["$schema"], "https://json-schema.org/draft/2020-12/schema");

    let types = app.client.get("/node-types").await;
    let names: Vec<&Value> = types.body["items"].as_array().unwrap().iter().map(|known| &known["type"]).collect();
    assert!(names.contains(&&json!("webhook")), "{names:?}");
    assert!(app.client.get("/node-types/http.request").await.body["params_schema"]["properties"]["url"].is_object());
    app.client.get("/node-types/htp").await.assert_problem(404, "node_type_not_found");
    app.stop().await;
}
