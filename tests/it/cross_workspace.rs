//! That nothing of one workspace is there for another one: every operation with an id, asked for by the owner of another workspace.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Person, TestApp, client::send, workflows};

const HERE: &str = "ws_01900000000070008000000000000001";
/// What belongs to no workspace.
const OF_ALL: [&str; 7] =
    ["/api/docs/", "/api/v1/actors/", "/api/v1/node-types/", "/hooks/", "/problems/", "/api/v1/auth/", "/api/v1/runtimes/"];

/// Something of the first workspace: how its paths begin, and the real paths in their place.
struct Thing {
    template: &'static str,
    path: String,
}

async fn things(owner: &Person) -> Vec<Thing> {
    let client = &owner.client;
    let made = async |path: &str, body: Value| client.post(path, &body).await.text("id");
    let workflow = client.create_workflow(&workflows::waiting()).await;
    let execution = client.start(&workflow, &json!({})).await;
    client.reaches(&execution, "waiting").await;
    let schedule = made("/schedules", json!({ "workflow_id": workflow, "every": "1h" })).await;
    let batch = made("/executions/batch", json!({ "action": "retry", "ids": [execution] })).await;
    let secret = json!({ "name": "api", "type": "http_bearer", "fields": { "token": "t0ken" } });
    let credential = made("/credentials", secret).await;
    client.post("/variables", &json!({ "name": "secret", "value": 1 })).await;
    client.post("/roles", &json!({ "name": "deployer", "permissions": [] })).await;
    let invitations = format!("/workspaces/{HERE}/invitations");
    let invited = client.post(&invitations, &json!({ "email": "new@example.org", "role": "viewer" })).await;
    let invitation = invited.body["invitation"]["id"].as_str().unwrap().to_owned();
    let thing = |template, path: String| Thing { template, path };
    vec![
        thing("/api/v1/workspaces/{id}/invitations/{invitation_id}", format!("{invitations}/{invitation}")),
        thing("/api/v1/workspaces/{id}/members/{user_id}", format!("/workspaces/{HERE}/members/{}", owner.user)),
        thing("/api/v1/workspaces/{id}", format!("/workspaces/{HERE}")),
        thing("/api/v1/executions/batch/{id}", format!("/executions/batch/{batch}")),
        thing("/api/v1/executions/{id}/signal/{name}", format!("/executions/{execution}/signal/paid")),
        thing("/api/v1/executions/{id}", format!("/executions/{execution}")),
        thing("/api/v1/workflows/{id}/versions/{n}", format!("/workflows/{workflow}/versions/1")),
        thing("/api/v1/workflows/{id}", format!("/workflows/{workflow}")),
        thing("/api/v1/schedules/{id}", format!("/schedules/{schedule}")),
        thing("/api/v1/credentials/{id}", format!("/credentials/{credential}")),
        thing("/api/v1/variables/{name}", "/variables/secret".to_owned()),
        thing("/api/v1/roles/{name}", "/roles/deployer".to_owned()),
        thing("/api/v1/users/{id}", format!("/users/{}", owner.user)),
        thing("/api/v1/api-keys/{id}", format!("/api-keys/{}", owner.key)),
    ]
}

/// A body that each operation would take.
fn body(method: &Method, template: &str) -> Value {
    match (method.as_str(), template) {
        ("PUT", "/api/v1/workflows/{id}") => workflows::mark(),
        ("PUT", "/api/v1/schedules/{id}") => json!({ "workflow_id": "wf_01900000000070008000000000000009", "every": "1h" }),
        ("POST", "/api/v1/schedules/{id}/backfill") => json!({ "from": "2026-01-01T00:00:00Z", "max": 1 }),
        ("PUT", "/api/v1/variables/{name}") => json!({ "value": 1 }),
        ("PUT", "/api/v1/roles/{name}") => json!({ "permissions": [] }),
        ("PUT", "/api/v1/users/{id}" | "/api/v1/api-keys/{id}" | "/api/v1/workspaces/{id}") => json!({ "name": "taken over" }),
        ("PUT", "/api/v1/workspaces/{id}/members/{user_id}") => json!({ "role": "viewer" }),
        ("POST", "/api/v1/workspaces/{id}/invitations") => json!({ "email": "spy@example.org", "role": "viewer" }),
        _ => json!({}),
    }
}

/// Each operation whose path names something of a workspace.
fn operations() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(&citadel::http::openapi_document()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.contains('{') || OF_ALL.iter().any(|shared| path.starts_with(shared)) {
            continue;
        }
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if item.get(method.as_str().to_lowercase()).is_some() {
                found.push((method, path.clone()));
            }
        }
    }
    found
}

async fn ask(client: &Client, method: &Method, path: &str, body: &Value) -> crate::support::Answer {
    send(client.request(method.clone(), path).header("if-match", "*").json(body)).await
}

#[tokio::test]
async fn what_belongs_to_another_workspace_is_not_there() {
    let app = TestApp::start_with(|config| config.limits.enabled = false).await;
    let owner = app.person("owner", "owner").await;
    let (_, stranger) = app.stranger("stranger").await;
    let things = things(&owner).await;
    let mut used = BTreeSet::new();
    for (method, template) in operations() {
        let thing = things.iter().find(|thing| template.starts_with(thing.template));
        let thing = thing.unwrap_or_else(|| panic!("{method} {template}: add what it names to things()"));
        used.insert(thing.template);
        let path = format!("{}{}", thing.path, &template[thing.template.len()..]);
        let answer = ask(&stranger.client, &method, &path, &body(&method, &template)).await;
        assert_eq!(answer.status, 404, "{method} {template}: {answer:?}");
        assert!(answer.text("code").ends_with("_not_found"), "{method} {template}: {answer:?}");
    }
    assert_eq!(used.len(), things.len(), "{used:?}");
    // All of it is there for its owner, as it was.
    for thing in &things {
        let is_shown = !thing.template.contains("/members/")
            && !thing.template.contains("/invitations/")
            && !thing.template.contains("/signal/");
        if is_shown {
            assert_eq!(owner.client.get(&thing.path).await.status, 200, "{}", thing.path);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn lists_show_what_belongs_to_the_workspace() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let (_, stranger) = app.stranger("stranger").await;
    things(&owner).await;
    for path in ["/workflows", "/executions", "/executions/batch", "/schedules", "/variables", "/credentials", "/tags"] {
        assert_eq!(stranger.client.get(path).await.body["items"], json!([]), "{path}");
    }
    for (path, count) in [("/users", 1), ("/api-keys", 1), ("/workspaces", 1), ("/roles", 5)] {
        let listed = stranger.client.get(path).await;
        assert_eq!(listed.body["items"].as_array().unwrap().len(), count, "{path}: {listed:?}");
    }
    // The tree of actors shows executions of all workspaces.
    for path in ["/actors", "/actors/stream"] {
        stranger.client.get(path).await.assert_problem(403, "workspace_denied");
    }
    // A key is good for its own workspace only.
    let request = stranger.client.request(Method::GET, "/workflows").header("citadel-workspace", HERE);
    send(request).await.assert_problem(403, "workspace_denied");
    app.stop().await;
}
