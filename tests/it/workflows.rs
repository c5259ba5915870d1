//! Storing, changing, listing and publishing workflows.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestApp, client::send, workflows};

#[tokio::test]
async fn stores_json_and_yaml_as_the_same_definition() {
    let app = TestApp::start().await;
    let yaml = "name: mark\nnodes:\n  - { id: start, type: manual }\n  - { id: mark, type: set, params: { fields: { seen: true } } }\n\
                edges:\n  - { from: start, to: mark }\n";
    let request = app.client.request(Method::POST, "/workflows").header("content-type", "application/yaml");
    let from_yaml = send(request.body(yaml)).await;
    let from_json = app.client.post("/workflows", &workflows::mark()).await;
    assert_eq!((from_yaml.status, from_json.status), (201, 201));
    assert_eq!(from_yaml.body["definition"], from_json.body["definition"]);
    assert_eq!(from_json.header("location"), format!("/api/v1/workflows/{}", from_json.text("id")));

    let read = app.client.get(&format!("/workflows/{}", from_json.text("id"))).await;
    assert_eq!((read.status, &read.body), (200, &from_json.body));
    assert_eq!((read.header("etag"), from_json.header("etag")), ("\"1\"", "\"1\""));
    app.stop().await;
}

#[tokio::test]
async fn changes_only_what_the_client_has_read() {
    let app = TestApp::start().await;
    let id = app.client.create_workflow(&workflows::mark()).await;
    let path = format!("/workflows/{id}");
    let mut changed = workflows::mark();
    changed["name"] = json!("changed");

    let blind = send(app.client.request(Method::PUT, &path).json(&changed)).await;
    blind.assert_problem(428, "if_match_required");
    let updated = app.client.put(&path, "\"1\"", &changed).await;
    assert_eq!((updated.status, updated.header("etag"), &updated.body["name"]), (200, "\"2\"", &json!("changed")));
    app.client.put(&path, "\"1\"", &changed).await.assert_problem(412, "workflow_stale");
    assert_eq!(app.client.put(&path, "*", &workflows::mark()).await.body["version"], 3);

    let versions = app.client.get(&format!("{path}/versions?limit=2")).await;
    let numbers: Vec<&Value> = versions.body["items"].as_array().unwrap().iter().map(|version| &version["version"]).collect();
    assert_eq!((numbers, &versions.body["next_cursor"]), (vec![&json!(3), &json!(2)], &json!("2")));
    let second = app.client.get(&format!("{path}/versions/2")).await;
    assert_eq!(second.body["definition"]["name"], "changed");
    app.client.get(&format!("{path}/versions/9")).await.assert_problem(404, "version_not_found");
    app.stop().await;
}

#[tokio::test]
async fn creates_once_per_idempotency_key() {
    let app = TestApp::start().await;
    let create = |body: Value| send(app.client.request(Method::POST, "/workflows").header("idempotency-key", "k").json(&body));
    let first = create(workflows::mark()).await;
    let second = create(workflows::mark()).await;
    assert_eq!((second.status, second.text("id")), (201, first.text("id")));
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert!(first.headers.get("idempotent-replayed").is_none());
    let mut other = workflows::mark();
    other["name"] = json!("other");
    create(other).await.assert_problem(422, "idempotency_key_mismatch");
    app.stop().await;
}

#[tokio::test]
async fn lists_page_by_page_with_cursors_that_cannot_be_made_up() {
    let app = TestApp::start().await;
    let mut created = Vec::new();
    for _ in 0..5 {
        created.insert(0, app.client.create_workflow(&workflows::mark()).await);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.client.get(&format!("/workflows?limit=2{cursor}")).await;
        seen.extend(page.body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, created);
    app.client.get("/workflows?cursor=AAAA").await.assert_problem(400, "invalid_cursor");
    // A cursor belongs to its list.
    app.client.get(&format!("/executions?limit=2{cursor}")).await.assert_problem(400, "invalid_cursor");
    app.stop().await;
}

#[tokio::test]
async fn deletes_a_workflow_with_what_it_published() {
    let app = TestApp::start().await;
    let id = app.client.publish(&workflows::hook(json!({ "path": "gone" }))).await;
    assert_eq!(app.client.post("/hooks/gone", &json!({})).await.status, 200);
    let stale = app.client.request(Method::DELETE, &format!("/workflows/{id}")).header("if-match", "\"7\"");
    send(stale).await.assert_problem(412, "workflow_stale");
    assert_eq!(app.client.delete(&format!("/workflows/{id}")).await.status, 204);
    app.client.delete(&format!("/workflows/{id}")).await.assert_problem(404, "workflow_not_found");
    app.client.get(&format!("/workflows/{id}")).await.assert_problem(404, "workflow_not_found");
    app.client.post("/hooks/gone", &json!({})).await.assert_problem(404, "hook_not_found");
    app.stop().await;
}

#[tokio::test]
async fn publishes_one_version_until_another_is_activated() {
    let app = TestApp::start().await;
    let hook = |value: &str| {
        let mut definition = workflows::hook(json!({ "path": "orders/{id}", "respond": "last_node" }));
        definition["nodes"][1]["params"] = json!({ "fields": { "value": value }, "keep": "none" });
        definition
    };
    let id = app.client.publish(&hook("one")).await;
    let call = async || app.client.post("/hooks/orders/7", &json!({})).await;
    assert_eq!(call().await.body, json!({ "value": "one" }));
    let updated = app.client.put(&format!("/workflows/{id}"), "\"1\"", &hook("two")).await;
    assert_eq!((&updated.body["version"], &updated.body["active_version"]), (&json!(2), &json!(1)));
    assert_eq!(call().await.body, json!({ "value": "one" }), "the second version is a draft");
    let active = app.client.post(&format!("/workflows/{id}/activate"), &json!({})).await;
    assert_eq!(active.body["active_version"], 2);
    assert_eq!(call().await.body, json!({ "value": "two" }));

    // The same pattern with another name is the same path.
    let other = app.client.create_workflow(&workflows::hook(json!({ "path": "orders/{key}" }))).await;
    app.client.post(&format!("/workflows/{other}/activate"), &json!({})).await.assert_problem(409, "hook_taken");
    let down = app.client.post(&format!("/workflows/{id}/deactivate"), &json!({})).await;
    assert_eq!((&down.body["active"], &down.body["active_version"]), (&json!(false), &Value::Null));
    call().await.assert_problem(404, "hook_not_found");
    assert_eq!(app.client.post(&format!("/workflows/{other}/activate"), &json!({})).await.status, 200);
    app.stop().await;
}
