//! Accounts, members, invitations, roles and workspaces: what their owners can do with them, and what nobody can.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Person, TestApp, client::send};

/// The first workspace.
const HERE: &str = "ws_01900000000070008000000000000001";
const PASSWORD: &str = "correct horse battery";

fn members(id: impl std::fmt::Display) -> String {
    format!("/workspaces/{HERE}/members/{id}")
}

async fn set_role(client: &Client, person: &Person, role: &str) -> Answer {
    let path = members(person.user);
    send(client.request(Method::PUT, &path).json(&json!({ "role": role }))).await
}

async fn put(client: &Client, path: &str, body: Value) -> Answer {
    send(client.request(Method::PUT, path).json(&body)).await
}

async fn invite(client: &Client, email: &str, role: &str) -> Answer {
    client.post(&format!("/workspaces/{HERE}/invitations"), &json!({ "email": email, "role": role })).await
}

#[tokio::test]
async fn makes_shows_changes_and_deletes_an_account() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let client = &owner.client;
    let body = json!({ "email": "Ada@Example.org", "name": " Ada ", "password": PASSWORD, "role": "editor" });
    let made = client.post("/users", &body).await;
    let id = made.text("id");
    assert_eq!((made.status, made.header("location")), (201, format!("/api/v1/users/{id}").as_str()));
    assert_eq!((made.text("email").as_str(), made.text("name").as_str()), ("ada@example.org", "Ada"));
    assert_eq!((made.text("role").as_str(), &made.body["disabled_at"]), ("editor", &Value::Null));
    client.post("/users", &body).await.assert_problem(409, "user_exists");
    let weak = json!({ "email": "b@example.org", "name": "B", "password": "short", "role": "viewer" });
    let refused = client.post("/users", &weak).await;
    refused.assert_problem(422, "invalid_body");
    assert_eq!(refused.body["errors"][0]["pointer"], "/password");
    for (field, value) in [("email", "nobody"), ("name", "  "), ("role", "captain")] {
        let mut wrong = weak.clone();
        wrong[field] = json!(value);
        let refused = client.post("/users", &wrong).await;
        refused.assert_problem(422, "invalid_body");
        assert_eq!(refused.body["errors"][0]["pointer"], format!("/{field}"));
    }

    let path = format!("/users/{id}");
    let disabled = put(client, &path, json!({ "name": "Ada L.", "disabled": true })).await;
    assert_eq!(
        (disabled.status, disabled.text("name").as_str(), disabled.body["disabled_at"].is_string()),
        (200, "Ada L.", true)
    );
    let renamed = put(client, &path, json!({ "name": "Ada" })).await;
    assert_eq!((&renamed.body["disabled_at"], renamed.text("name").as_str()), (&disabled.body["disabled_at"], "Ada"));
    let enabled = put(client, &path, json!({ "name": "Ada", "disabled": false })).await;
    assert_eq!(enabled.body["disabled_at"], Value::Null);
    let listed = client.get("/users?limit=1").await.body;
    assert_eq!(listed["items"][0]["email"], "owner@example.org");
    let rest = client.get(&format!("/users?cursor={}", listed["next_cursor"].as_str().unwrap())).await.body;
    assert_eq!((&rest["items"][0]["id"], &rest["next_cursor"]), (&json!(id), &Value::Null));
    client.get("/users?cursor=nonsense").await.assert_problem(400, "invalid_cursor");

    assert_eq!(client.delete(&path).await.status, 204);
    client.get(&path).await.assert_problem(404, "user_not_found");
    app.stop().await;
}

#[tokio::test]
async fn a_repeated_creation_with_a_key_answers_as_the_first_one() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let create = |path: &str, body: Value| {
        let request = owner.client.request(Method::POST, path).header("idempotency-key", "k");
        send(request.json(&body))
    };
    let ada = json!({ "email": "ada@example.org", "name": "Ada", "password": PASSWORD, "role": "editor" });
    let mut other = ada.clone();
    other["name"] = json!("Bob");
    for (path, body, different) in [
        ("/users", ada, other),
        ("/workspaces", json!({ "name": "lab" }), json!({ "name": "other" })),
        ("/api-keys", json!({ "name": "deploy" }), json!({ "name": "other" })),
    ] {
        let first = create(path, body.clone()).await;
        let second = create(path, body).await;
        assert_eq!((second.status, second.header("idempotent-replayed")), (201, "true"), "{path}");
        let shown = |answer: &Answer| if path == "/api-keys" { answer.body["key"].clone() } else { answer.body.clone() };
        assert_eq!(shown(&second), shown(&first), "{path}");
        create(path, different).await.assert_problem(422, "idempotency_key_mismatch");
    }
    app.stop().await;
}

#[tokio::test]
async fn somebody_disabled_or_removed_is_let_in_no_more() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let (editor, viewer) = (app.person("editor", "editor").await, app.person("viewer", "viewer").await);
    assert_eq!(editor.client.get("/workflows").await.status, 200);
    let path = format!("/users/{}", editor.user);
    put(&owner.client, &path, json!({ "name": "e", "disabled": true })).await;
    editor.client.get("/workflows").await.assert_problem(401, "unauthenticated");
    put(&owner.client, &path, json!({ "name": "e", "disabled": false })).await;
    assert_eq!(editor.client.get("/workflows").await.status, 200);

    assert_eq!(viewer.client.get("/workflows").await.status, 200);
    assert_eq!(owner.client.delete(&members(viewer.user)).await.status, 204);
    viewer.client.get("/workflows").await.assert_problem(401, "unauthenticated");
    owner.client.delete(&members(viewer.user)).await.assert_problem(404, "member_not_found");
    // A role counts from the moment on when it is given.
    editor.client.get("/api-keys").await;
    assert_eq!(set_role(&owner.client, &editor, "viewer").await.text("role"), "viewer");
    editor.client.post("/workflows", &json!({})).await.assert_problem(403, "permission_denied");
    app.stop().await;
}

#[tokio::test]
async fn nobody_grants_or_changes_what_is_above_them() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let (admin, editor) = (app.person("admin", "admin").await, app.person("editor", "editor").await);
    let denied = |answer: Answer| {
        answer.assert_problem(403, "permission_denied");
        assert!(answer.text("detail").contains("workspace:write"), "{answer:?}");
    };
    denied(set_role(&admin.client, &editor, "owner").await);
    denied(set_role(&admin.client, &owner, "viewer").await);
    denied(admin.client.delete(&members(owner.user)).await);
    denied(admin.client.delete(&format!("/users/{}", owner.user)).await);
    denied(put(&admin.client, &format!("/users/{}", owner.user), json!({ "name": "x", "disabled": true })).await);
    denied(invite(&admin.client, "new@example.org", "owner").await);
    let new = json!({ "email": "new@example.org", "name": "New", "password": PASSWORD, "role": "owner" });
    denied(admin.client.post("/users", &new).await);
    let role = json!({ "name": "boss", "permissions": ["workspace:write"] });
    denied(admin.client.post("/roles", &role).await);
    denied(admin.client.post("/api-keys", &json!({ "name": "k", "permissions": ["workspace:write"] })).await);

    // A role that may do more is nobody's to change or to cut down.
    assert_eq!(owner.client.post("/roles", &role).await.status, 201);
    denied(admin.client.put("/roles/boss", "*", &json!({ "permissions": [] })).await);
    denied(admin.client.delete("/roles/boss").await);
    denied(set_role(&admin.client, &editor, "boss").await);
    assert_eq!(set_role(&admin.client, &editor, "admin").await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn the_last_owner_stays() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let second = app.person("second", "owner").await;
    let own = format!("/users/{}", owner.user);
    assert_eq!(set_role(&owner.client, &second, "viewer").await.status, 200);
    set_role(&owner.client, &owner, "viewer").await.assert_problem(409, "last_owner");
    owner.client.delete(&members(owner.user)).await.assert_problem(409, "last_owner");
    owner.client.delete(&own).await.assert_problem(409, "last_owner");
    put(&owner.client, &own, json!({ "name": "x", "disabled": true })).await.assert_problem(409, "last_owner");
    assert_eq!(set_role(&owner.client, &second, "owner").await.status, 200);
    assert_eq!(owner.client.delete(&own).await.status, 204);
    app.stop().await;
}

#[tokio::test]
async fn an_invitation_lets_somebody_in_once() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let invited = invite(&owner.client, "new@example.org", "editor").await;
    assert_eq!((invited.status, invited.body["invitation"]["role"].as_str()), (201, Some("editor")));
    let accept = |token: String, name: Value, password: Value| {
        let mut body = json!({ "token": token });
        for (field, value) in [("name", name), ("password", password)] {
            body[field] = value;
        }
        let anybody = app.client.anonymous();
        async move { anybody.post("/invitations/accept", &body).await }
    };
    let refused = accept(invited.text("token"), Value::Null, Value::Null).await;
    refused.assert_problem(422, "invalid_body");
    assert_eq!(refused.body["errors"][0]["pointer"], "/name");
    let joined = accept(invited.text("token"), json!("New"), json!(PASSWORD)).await;
    assert_eq!((joined.status, joined.text("role").as_str(), joined.text("email").as_str()), (200, "editor", "new@example.org"));
    accept(invited.text("token"), json!("New"), json!(PASSWORD)).await.assert_problem(404, "invitation_not_found");
    invite(&owner.client, "new@example.org", "viewer").await.assert_problem(409, "member_exists");

    // The second invitation of an address replaces the first, and can be taken back.
    let first = invite(&owner.client, "late@example.org", "viewer").await;
    let second = invite(&owner.client, "late@example.org", "viewer").await;
    accept(first.text("token"), json!("Late"), json!(PASSWORD)).await.assert_problem(404, "invitation_not_found");
    let list = format!("/workspaces/{HERE}/invitations");
    let open = owner.client.get(&list).await.body;
    assert_eq!(open["items"].as_array().unwrap().len(), 1);
    assert!(!open.to_string().contains(&second.text("token")));
    let path = format!("{list}/{}", open["items"][0]["id"].as_str().unwrap());
    assert_eq!(owner.client.delete(&path).await.status, 204);
    owner.client.delete(&path).await.assert_problem(404, "invitation_not_found");
    accept(second.text("token"), json!("Late"), json!(PASSWORD)).await.assert_problem(404, "invitation_not_found");
    for life in ["0s", "31d", "soon"] {
        let body = json!({ "email": "x@example.org", "role": "viewer", "expires_in": life });
        owner.client.post(&list, &body).await.assert_problem(422, "invalid_body");
    }
    app.stop().await;
}

#[tokio::test]
async fn somebody_with_an_account_accepts_with_it() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let (_, known) = app.stranger("known").await;
    let other = app.person("other", "viewer").await;
    let token = invite(&owner.client, "known@example.org", "viewer").await.text("token");
    let body = json!({ "token": token, "name": "Thief", "password": PASSWORD });
    let anybody = app.client.anonymous();
    anybody.post("/invitations/accept", &json!({ "token": token, "name": "Thief" })).await.assert_problem(409, "user_exists");
    anybody.post("/invitations/accept", &body).await.assert_problem(401, "login_failed");
    other.client.post("/invitations/accept", &body).await.assert_problem(403, "permission_denied");
    app.client.with_token("nonsense").post("/invitations/accept", &body).await.assert_problem(401, "unauthenticated");
    let joined = known.client.post("/invitations/accept", &json!({ "token": token })).await;
    assert_eq!((joined.status, joined.text("user_id")), (200, known.user.to_string()));
    // Here it is a member only: its home looks after the account.
    let path = format!("/users/{}", known.user);
    put(&owner.client, &path, json!({ "name": "x", "disabled": true })).await.assert_problem(403, "permission_denied");
    owner.client.delete(&path).await.assert_problem(403, "permission_denied");
    assert_eq!(owner.client.delete(&members(known.user)).await.status, 204);
    app.stop().await;
}

#[tokio::test]
async fn somebody_who_is_in_no_workspace_any_more_comes_back_with_their_password() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let gone = app.person("gone", "viewer").await;
    app.log_in_as(gone.user).await;
    assert_eq!(owner.client.delete(&members(gone.user)).await.status, 204);
    gone.client.get("/auth/me").await.assert_problem(401, "unauthenticated");
    let token = invite(&owner.client, "gone@example.org", "editor").await.text("token");
    let joined = app.client.anonymous().post("/invitations/accept", &json!({ "token": token, "password": PASSWORD })).await;
    assert_eq!((joined.status, joined.text("user_id"), joined.text("role").as_str()), (200, gone.user.to_string(), "editor"));
    app.stop().await;
}

#[tokio::test]
async fn a_role_of_ones_own_is_made_given_changed_and_deleted() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let (client, deployer) = (&owner.client, app.person("deployer", "viewer").await);
    let body = json!({ "name": "deployer", "permissions": ["workflow:read", "workflow:execute"], "description": "deploys" });
    let made = client.post("/roles", &body).await;
    assert_eq!((made.status, made.header("etag"), made.header("location")), (201, "\"1\"", "/api/v1/roles/deployer"));
    client.post("/roles", &body).await.assert_problem(409, "role_exists");
    let again = client.request(Method::POST, "/roles").header("idempotency-key", "k").json(&body);
    assert_eq!(send(again).await.header("idempotent-replayed"), "true");
    let unknown = client.post("/roles", &json!({ "name": "x", "permissions": ["moon:read"] })).await;
    unknown.assert_problem(422, "invalid_body");
    assert_eq!(unknown.body["errors"][0]["pointer"], "/permissions/0");
    client.post("/roles", &json!({ "name": "owner", "permissions": [] })).await.assert_problem(409, "role_built_in");
    client.put("/roles/viewer", "*", &json!({ "permissions": [] })).await.assert_problem(409, "role_built_in");

    assert_eq!(set_role(client, &deployer, "deployer").await.status, 200);
    deployer.client.get("/stats").await.assert_problem(403, "permission_denied");
    assert_eq!(deployer.client.get("/workflows").await.status, 200);
    client.delete("/roles/deployer").await.assert_problem(409, "role_in_use");
    let change = json!({ "permissions": ["stats:read"] });
    send(client.request(Method::PUT, "/roles/deployer").json(&change)).await.assert_problem(428, "if_match_required");
    let changed = client.put("/roles/deployer", "\"1\"", &change).await;
    assert_eq!((changed.status, changed.header("etag"), &changed.body["description"]), (200, "\"2\"", &Value::Null));
    client.put("/roles/deployer", "\"1\"", &change).await.assert_problem(412, "stale");
    assert_eq!(deployer.client.get("/stats").await.status, 200);
    deployer.client.get("/workflows").await.assert_problem(403, "permission_denied");

    let listed = client.get("/roles").await.body;
    let names: Vec<&str> = listed["items"].as_array().unwrap().iter().map(|role| role["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["owner", "admin", "editor", "operator", "viewer", "deployer"]);
    assert_eq!(client.get("/roles/admin").await.body["built_in"], true);
    set_role(client, &deployer, "viewer").await;
    assert_eq!(client.delete("/roles/deployer").await.status, 204);
    client.get("/roles/deployer").await.assert_problem(404, "role_not_found");
    set_role(client, &deployer, "deployer").await.assert_problem(422, "invalid_body");
    app.stop().await;
}

#[tokio::test]
async fn a_workspace_is_made_renamed_and_deleted_by_its_owner() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let (here, stranger) = app.stranger("stranger").await;
    let client = &stranger.client;
    let made = client.post("/workspaces", &json!({ "name": "lab" })).await;
    assert_eq!(made.status, 201);
    let listed = client.get("/workspaces").await.body;
    let shown: Vec<(&str, &str)> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["name"].as_str().unwrap(), row["role"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [("of stranger", "owner"), ("lab", "owner")]);
    // A key is good for one workspace; a person acts in any of theirs, and others are not there.
    let lab = format!("/workspaces/{}", made.text("id"));
    client.get(&lab).await.assert_problem(403, "workspace_denied");
    let session = client.with_token(&app.log_in_as(stranger.user).await);
    assert_eq!(session.get(&lab).await.text("name"), "lab");
    assert_eq!(session.delete(&lab).await.status, 204);
    session.get(&format!("/workspaces/{HERE}/members")).await.assert_problem(404, "workspace_not_found");
    client.get(&format!("/workspaces/{HERE}/members")).await.assert_problem(404, "workspace_not_found");
    let path = format!("/workspaces/{here}");
    assert_eq!(put(client, &path, json!({ "name": "moon" })).await.text("name"), "moon");
    assert_eq!(client.get(&path).await.text("name"), "moon");
    assert_eq!(client.post("/variables", &json!({ "name": "a", "value": 1 })).await.status, 201);
    client.delete(&path).await.assert_problem(409, "workspace_in_use");
    assert_eq!(client.delete("/variables/a").await.status, 204);
    assert_eq!(client.delete(&path).await.status, 204);
    client.get("/workspaces").await.assert_problem(401, "unauthenticated");
    owner.client.delete(&format!("/workspaces/{HERE}")).await.assert_problem(409, "workspace_in_use");
    app.stop().await;
}

#[tokio::test]
async fn every_change_leaves_a_row_in_the_audit_log() {
    let app = TestApp::start().await;
    let owner = app.person("owner", "owner").await;
    let (client, viewer) = (&owner.client, app.person("viewer", "viewer").await);
    client.post("/roles", &json!({ "name": "deployer", "permissions": [] })).await;
    client.put("/roles/deployer", "*", &json!({ "permissions": ["stats:read"] })).await;
    client.delete("/roles/deployer").await;
    set_role(client, &viewer, "editor").await;
    put(client, &format!("/users/{}", viewer.user), json!({ "name": "v", "disabled": true })).await;
    // Neither changes anything, so neither leaves a row.
    put(client, &format!("/users/{}", viewer.user), json!({ "name": "v" })).await;
    put(client, &format!("/users/{}", viewer.user), json!({ "name": "v", "disabled": true })).await;
    put(client, &format!("/users/{}", viewer.user), json!({ "name": "v", "disabled": false })).await;
    client.delete(&members(viewer.user)).await;
    let invited = invite(client, "new@example.org", "viewer").await;
    let body = json!({ "token": invited.text("token"), "name": "New", "password": PASSWORD });
    app.client.anonymous().post("/invitations/accept", &body).await;
    let made = client.post("/api-keys", &json!({ "name": "deploy" })).await;
    let key = format!("/api-keys/{}", made.body["key"]["id"].as_str().unwrap());
    client.post(&format!("{key}/rotate"), &json!({})).await;
    client.delete(&key).await;

    let listed = client.get("/audit?limit=200").await.body;
    let mut actions: Vec<&str> = listed["items"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    actions.sort_unstable();
    let expected = [
        "invitation.created",
        "key.created",
        "key.deleted",
        "key.rotated",
        "member.added",
        "member.removed",
        "member.updated",
        "role.created",
        "role.deleted",
        "role.updated",
        "user.disabled",
        "user.enabled",
        "user.updated",
    ];
    assert_eq!(actions, expected, "{listed}");
    assert!(!listed.to_string().contains(&invited.text("token")) && !listed.to_string().contains(&made.text("secret")));
    app.stop().await;
}
