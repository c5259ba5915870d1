//! API keys: what they open, and how they end.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestApp, client::send};

#[tokio::test]
async fn a_key_does_what_both_it_and_its_owner_may() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let body = json!({ "name": "reader", "permissions": ["workflow:read", "key:write", "member:write"] });
    let made = owner.client.post("/api-keys", &body).await;
    assert_eq!(made.status, 201);
    let (secret, id) = (made.text("secret"), made.body["key"]["id"].as_str().unwrap().to_owned());
    assert!(secret.starts_with("ctd_live_") && secret.ends_with(made.body["key"]["last_characters"].as_str().unwrap()));
    let key = app.client.with_token(&secret);
    assert_eq!(key.get("/workflows").await.status, 200);
    key.get("/stats").await.assert_problem(403, "permission_denied");
    // It gives no more than it has, whatever its owner may do.
    key.post("/api-keys", &json!({ "name": "more", "permissions": ["stats:read"] }))
        .await
        .assert_problem(403, "permission_denied");
    let rotation = key.post(&format!("/api-keys/{}/rotate", owner.key), &json!({})).await;
    rotation.assert_problem(403, "permission_denied");
    let less = key.post("/api-keys", &json!({ "name": "less" })).await;
    assert_eq!(less.body["key"]["permissions"], json!(["workflow:read", "member:write", "key:write"]));

    // Nor anything that outlives it.
    let ends = "2100-01-01T00:00:00Z";
    let body = json!({ "name": "ends", "permissions": ["key:write"], "expires_at": ends });
    let ending = owner.client.post("/api-keys", &body).await;
    let (own, ending) = (ending.body["key"]["id"].as_str().unwrap().to_owned(), app.client.with_token(&ending.text("secret")));
    for expires_at in [Value::Null, json!("2100-01-01T00:00:01Z")] {
        let longer = json!({ "name": "longer", "permissions": ["key:write"], "expires_at": expires_at });
        ending.post("/api-keys", &longer).await.assert_problem(422, "invalid_body");
        let change = send(ending.request(Method::PUT, &format!("/api-keys/{own}")).json(&longer)).await;
        change.assert_problem(422, "invalid_body");
    }
    ending.post(&format!("/api-keys/{id}/rotate"), &json!({})).await.assert_problem(403, "permission_denied");
    assert_eq!(ending.post("/api-keys", &body).await.status, 201);

    let path = format!("/api-keys/{id}");
    let shown = owner.client.get(&path).await;
    assert!(shown.body["used_at"].is_string() && !shown.body.to_string().contains(&secret));
    // Less for the owner is less for the key.
    assert_eq!(app.person("second", "owner").await.client.get(&path).await.status, 200);
    let demoted = json!({ "role": "viewer" });
    let members = format!("/workspaces/ws_01900000000070008000000000000001/members/{}", owner.user);
    assert_eq!(send(owner.client.request(Method::PUT, &members).json(&demoted)).await.status, 200);
    key.post("/api-keys", &json!({ "name": "x" })).await.assert_problem(403, "permission_denied");
    assert_eq!(key.get("/workflows").await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_rotated_key_has_two_texts_for_a_while() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let made = owner.client.post("/api-keys", &json!({ "name": "deploy" })).await;
    let path = format!("/api-keys/{}", made.body["key"]["id"].as_str().unwrap());
    let first = app.client.with_token(&made.text("secret"));
    assert_eq!(first.get("/workflows").await.status, 200);
    let rotated = owner.client.post(&format!("{path}/rotate"), &json!({ "grace": "1h" })).await;
    assert_eq!(rotated.status, 200);
    let second = app.client.with_token(&rotated.text("secret"));
    assert!(rotated.body["key"]["previous_until"].is_string());
    assert_eq!((first.get("/workflows").await.status, second.get("/workflows").await.status), (200, 200));
    let again = owner.client.post(&format!("{path}/rotate"), &json!({ "grace": "0s" })).await;
    first.get("/workflows").await.assert_problem(401, "unauthenticated");
    second.get("/workflows").await.assert_problem(401, "unauthenticated");
    assert_eq!(app.client.with_token(&again.text("secret")).get("/workflows").await.status, 200);
    for grace in ["8d", "later"] {
        let refused = owner.client.post(&format!("{path}/rotate"), &json!({ "grace": grace })).await;
        refused.assert_problem(422, "invalid_body");
        assert_eq!(refused.body["errors"][0]["pointer"], "/grace");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_key_ends_when_it_is_deleted_or_at_its_time() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let draft = |expires_at: &str| json!({ "name": "short", "permissions": ["workflow:read"], "expires_at": expires_at });
    let made = owner.client.post("/api-keys", &draft("2999-01-01T00:00:00Z")).await;
    assert_eq!(made.body["key"]["expires_at"], "2999-01-01T00:00:00.000Z");
    let path = format!("/api-keys/{}", made.body["key"]["id"].as_str().unwrap());
    let key = app.client.with_token(&made.text("secret"));
    assert_eq!(key.get("/workflows").await.status, 200);
    for wrong in ["2001-01-01T00:00:00Z", "soon"] {
        let refused = owner.client.post("/api-keys", &draft(wrong)).await;
        refused.assert_problem(422, "invalid_body");
        assert_eq!(refused.body["errors"][0]["pointer"], "/expires_at");
    }
    let change = json!({ "name": "longer", "permissions": ["stats:read"], "expires_at": null });
    let changed = send(owner.client.request(Method::PUT, &path).json(&change)).await;
    assert_eq!((changed.text("name").as_str(), &changed.body["expires_at"]), ("longer", &Value::Null));
    key.get("/workflows").await.assert_problem(403, "permission_denied");
    assert_eq!(owner.client.delete(&path).await.status, 204);
    key.get("/stats").await.assert_problem(401, "unauthenticated");
    owner.client.delete(&path).await.assert_problem(404, "api_key_not_found");
    app.stop().await;
}

#[tokio::test]
async fn a_change_of_a_key_leaves_what_it_does_not_say() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let ends = "2999-01-01T00:00:00.000Z";
    let draft = json!({ "name": "reader", "permissions": ["workflow:read"], "expires_at": ends });
    let made = owner.client.post("/api-keys", &draft).await;
    let path = format!("/api-keys/{}", made.body["key"]["id"].as_str().unwrap());
    let change = async |body: Value| {
        let changed = send(owner.client.request(Method::PUT, &path).json(&body)).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        changed.body
    };
    let renamed = change(json!({ "name": "renamed" })).await;
    assert_eq!((&renamed["name"], &renamed["permissions"]), (&json!("renamed"), &json!(["workflow:read"])));
    assert_eq!(renamed["expires_at"], ends);
    app.client.with_token(&made.text("secret")).get("/stats").await.assert_problem(403, "permission_denied");
    let endless = change(json!({ "name": "renamed", "expires_at": null })).await;
    assert_eq!((&endless["permissions"], &endless["expires_at"]), (&json!(["workflow:read"]), &Value::Null));
    let ending = change(json!({ "name": "renamed", "permissions": null, "expires_at": ends })).await;
    let everything = ending["permissions"].as_array().unwrap().len();
    assert!(everything > 1, "{ending}");
    assert_eq!(change(json!({ "name": "again" })).await["permissions"].as_array().unwrap().len(), everything);

    let rows = owner.client.get("/audit?action=key.updated&order=oldest").await.body;
    let details: Vec<&Value> = rows["items"].as_array().unwrap().iter().map(|row| &row["details"]).collect();
    let expected = [
        json!({ "permissions": 1, "expires_at": ends }),
        json!({ "permissions": 1, "expires_at": null }),
        json!({ "permissions": everything, "expires_at": ends }),
        json!({ "permissions": everything, "expires_at": ends }),
    ];
    assert_eq!(details, expected.iter().collect::<Vec<_>>());
    app.stop().await;
}

#[tokio::test]
async fn one_sees_ones_own_keys_and_administrators_all() {
    let app = TestApp::start().await;
    let (admin, viewer) = (app.person("admin", "admin").await, app.person("viewer", "viewer").await);
    let count = |page: Value| page["items"].as_array().unwrap().len();
    assert_eq!(count(admin.client.get("/api-keys").await.body), 2);
    let own = viewer.client.get("/api-keys").await.body;
    assert_eq!((count(own.clone()), &own["items"][0]["id"]), (1, &json!(viewer.key)));
    viewer.client.get(&format!("/api-keys/{}", admin.key)).await.assert_problem(404, "api_key_not_found");
    // A new text would let an administrator act as somebody else.
    let path = format!("/api-keys/{}", viewer.key);
    admin.client.post(&format!("{path}/rotate"), &json!({})).await.assert_problem(403, "permission_denied");
    let change = admin.client.request(Method::PUT, &path).json(&json!({ "name": "x" }));
    send(change).await.assert_problem(403, "permission_denied");
    assert_eq!(admin.client.delete(&path).await.status, 204);
    viewer.client.get("/workflows").await.assert_problem(401, "unauthenticated");
    let page = admin.client.get("/api-keys?limit=1").await.body;
    assert_eq!(page["next_cursor"], Value::Null);
    app.stop().await;
}
