//! Variables of the workspace, and tags of workflows.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Receiver, ServerProcess, TestApp, client::send, eventually, workflows};

/// Puts out the variable `limit`.
fn show_limit() -> Value {
    json!({
        "name": "show",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "show", "type": "set", "params": { "keep": "none", "fields": { "limit": "{{ $vars.limit }}" } } },
        ],
        "edges": [{ "from": "start", "to": "show" }],
    })
}

async fn set(client: &Client, name: &str, value: Value) -> Answer {
    send(client.request(Method::PUT, &format!("/variables/{name}")).header("if-match", "*").json(&json!({ "value": value })))
        .await
}

#[tokio::test]
async fn makes_changes_and_deletes_a_variable() {
    let app = TestApp::start().await;
    let client = &app.client;
    let body = json!({ "name": "apiUrl", "value": { "host": "example.org" }, "description": "where the API is" });
    let created = client.post("/variables", &body).await;
    assert_eq!((created.status, created.header("etag"), created.header("location")), (201, "\"1\"", "/api/v1/variables/apiUrl"));
    assert_eq!((&created.body["value"], &created.body["version"]), (&body["value"], &json!(1)));
    client.post("/variables", &body).await.assert_problem(409, "variable_exists");

    let read = client.get("/variables/apiUrl").await;
    assert_eq!((&read.body, read.header("etag")), (&created.body, "\"1\""));
    let change = json!({ "value": null });
    send(client.request(Method::PUT, "/variables/apiUrl").json(&change)).await.assert_problem(428, "if_match_required");
    let changed = client.put("/variables/apiUrl", "\"1\"", &change).await;
    assert_eq!((changed.status, changed.header("etag"), &changed.body["value"]), (200, "\"2\"", &Value::Null));
    assert_eq!(changed.body["description"], Value::Null);
    let stale = client.put("/variables/apiUrl", "\"1\"", &change).await;
    stale.assert_problem(412, "stale");
    assert_eq!(stale.header("etag"), "\"2\"");
    client.put("/variables/other", "*", &change).await.assert_problem(404, "variable_not_found");

    for name in ["b", "a", "C"] {
        assert_eq!(client.post("/variables", &json!({ "name": name, "value": 1 })).await.status, 201);
    }
    let page = client.get("/variables?limit=3").await.body;
    let names = |page: &Value| page["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&page), ["C", "a", "apiUrl"]);
    let rest = client.get(&format!("/variables?limit=3&cursor={}", page["next_cursor"].as_str().unwrap())).await.body;
    assert_eq!((names(&rest), &rest["next_cursor"]), (vec![json!("b")], &Value::Null));

    let outdated = client.request(Method::DELETE, "/variables/apiUrl").header("if-match", "\"1\"");
    send(outdated).await.assert_problem(412, "stale");
    assert_eq!(client.delete("/variables/apiUrl").await.status, 204);
    client.delete("/variables/apiUrl").await.assert_problem(404, "variable_not_found");
    client.anonymous().get("/variables").await.assert_problem(401, "unauthenticated");
    app.stop().await;
}

#[tokio::test]
async fn refuses_variables_that_are_too_large_or_too_many() {
    let app = TestApp::start().await;
    let post = |body: Value| {
        let client = app.client.clone();
        async move { client.post("/variables", &body).await }
    };
    post(json!({ "name": "a-b", "value": 1 })).await.assert_problem(422, "invalid_body");
    post(json!({ "name": "a" })).await.assert_problem(422, "invalid_body");
    post(json!({ "name": "a", "value": "x".repeat(20_000) })).await.assert_problem(413, "too_large");
    for number in 0..200 {
        assert_eq!(post(json!({ "name": format!("v{number}"), "value": number })).await.status, 201);
    }
    post(json!({ "name": "more", "value": 1 })).await.assert_problem(409, "variables_full");
    app.stop().await;
}

#[tokio::test]
async fn a_repeated_creation_with_a_key_answers_as_the_first_one() {
    let app = TestApp::start().await;
    let create = |body: Value| {
        let request = app.client.request(Method::POST, "/variables").header("idempotency-key", "k");
        send(request.json(&body))
    };
    let first = create(json!({ "name": "a", "value": [1] })).await;
    let second = create(json!({ "name": "a", "value": [1] })).await;
    assert_eq!((second.status, &second.body, second.header("idempotent-replayed")), (201, &first.body, "true"));
    create(json!({ "name": "a", "value": [2] })).await.assert_problem(409, "variable_exists");
    app.stop().await;
}

#[tokio::test]
async fn an_execution_sees_the_variables_of_its_start() {
    let app = TestApp::start().await;
    let client = &app.client;
    let workflow = client.create_workflow(&show_limit()).await;
    let shown = async || client.run(&workflow, &json!({})).await.body["result"][0]["json"]["limit"].clone();
    assert_eq!(shown().await, Value::Null);
    client.post("/variables", &json!({ "name": "limit", "value": 10 })).await;
    assert_eq!(shown().await, json!(10));
    assert_eq!(set(client, "limit", json!([1, 2])).await.status, 200);
    assert_eq!(shown().await, json!([1, 2]));
    client.delete("/variables/limit").await;
    assert_eq!(shown().await, Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn an_execution_keeps_its_variables_whatever_becomes_of_them() {
    let receiver = Receiver::start().await;
    let server = ServerProcess::start();
    let client = server.client();
    let mut definition = show_limit();
    definition["nodes"].as_array_mut().unwrap().push(json!({ "id": "sleep", "type": "wait", "params": { "signal": "go" } }));
    definition["edges"] = json!([{ "from": "start", "to": "sleep" }, { "from": "sleep", "to": "show" }]);
    let workflow = client.create_workflow(&definition).await;
    client.post("/variables", &json!({ "name": "limit", "value": "old" })).await;
    let waiting = client.start(&workflow, &json!({})).await;
    client.reaches(&waiting, "waiting").await;
    set(&client, "limit", json!("new")).await;

    let server = server.kill_and_restart();
    let client = server.client();
    assert_eq!(client.post(&format!("/executions/{waiting}/signal/go"), &json!({})).await.status, 202);
    let ended = client.reaches(&waiting, "succeeded").await;
    assert_eq!(ended.body["result"][0]["json"]["limit"], "old", "a replay sees what the start saw");
    let fresh = client.start(&workflow, &json!({})).await;
    client.post(&format!("/executions/{fresh}/signal/go"), &json!({})).await;
    assert_eq!(client.reaches(&fresh, "succeeded").await.body["result"][0]["json"]["limit"], "new");
    assert_eq!(receiver.calls(), 0);
}

#[tokio::test]
async fn lists_workflows_by_tag_name_and_state() {
    let app = TestApp::start().await;
    let client = &app.client;
    let create = async |name: &str, tags: Value| {
        let mut definition = workflows::mark();
        definition["name"] = json!(name);
        definition["tags"] = tags;
        client.create_workflow(&definition).await
    };
    let orders = create("Order intake", json!(["sales", "daily"])).await;
    let report = create("Daily report", json!(["daily"])).await;
    let other = create("Orders, old", json!([])).await;
    client.post(&format!("/workflows/{orders}/activate"), &json!({})).await;
    let list = async |query: &str| {
        let page = client.get(&format!("/workflows{query}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        page.body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("").await, [other.clone(), report.clone(), orders.clone()]);
    assert_eq!(list("?tag=daily").await, [report.clone(), orders.clone()]);
    assert_eq!(list("?q=order").await, [other.clone(), orders.clone()]);
    assert_eq!(list("?active=true").await, std::slice::from_ref(&orders));
    assert_eq!(list("?active=false&q=order").await, std::slice::from_ref(&other));
    assert_eq!(list("?tag=sales&q=report").await, Vec::<String>::new());
    assert_eq!(
        client.get("/tags").await.body["items"],
        json!([{ "tag": "daily", "workflows": 2 }, { "tag": "sales", "workflows": 1 }])
    );

    let first = client.get("/workflows?tag=daily&limit=1").await.body["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(list(&format!("?tag=daily&limit=1&cursor={first}")).await, [orders]);
    client.get(&format!("/workflows?limit=1&cursor={first}")).await.assert_problem(400, "invalid_cursor");
    client.get("/workflows?active=maybe").await.assert_problem(400, "invalid_query");
    client.get(&format!("/workflows?q={}", "x".repeat(201))).await.assert_problem(400, "invalid_query");
    client.delete(&format!("/workflows/{report}")).await;
    assert_eq!(client.get("/tags").await.body["items"][0], json!({ "tag": "daily", "workflows": 1 }));
    app.stop().await;
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test]
async fn passes_the_trace_of_a_request_on() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let child = app.client.publish(&workflows::call(&receiver.url("/trace"))).await;
    let parent_workflow = json!({
        "name": "parent",
        "nodes": [
            { "id": "hook", "type": "webhook", "params": { "path": "traced", "respond": "last_node" } },
            { "id": "child", "type": "workflow", "params": { "workflow": child } },
            { "id": "call", "type": "http.request", "params": { "url": receiver.url("/trace") } },
        ],
        "edges": [{ "from": "hook", "to": "child" }, { "from": "child", "to": "call" }],
    });
    app.client.publish(&parent_workflow).await;
    let request = app.client.request(Method::POST, "/hooks/traced").header("traceparent", &parent);
    assert_eq!(send(request.json(&json!({}))).await.status, 200);
    eventually("both have called", async || (receiver.calls() == 2).then_some(())).await;
    let traces = receiver.traces();
    assert_ne!(traces[0], traces[1], "each call is a span of its own");
    for trace in traces {
        let trace = trace.expect("the trace is passed on");
        assert!(trace.starts_with(&format!("00-{TRACE}-")) && trace.ends_with("-01") && trace != parent, "{trace}");
    }

    let start = |header: Option<&str>| {
        let mut request = app.client.request(Method::POST, &format!("/workflows/{child}/executions")).header("prefer", "wait=60");
        if let Some(header) = header {
            request = request.header("traceparent", header);
        }
        send(request.json(&json!({})))
    };
    assert_eq!(start(None).await.status, 200);
    assert_eq!(start(Some("nonsense")).await.status, 200, "a header that cannot be read is ignored");
    assert_eq!(receiver.traces()[2..], [None, None]);
    app.stop().await;
}
