//! Every code of `GET /problems` is reached by a real request. A new code without a case fails this test: give it one here.

use std::collections::BTreeMap;

use citadel::config::{OidcConfig, Secret};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Answer, Client, Receiver, TestApp, client::send, eventually, workflows};

const NOBODY: &str = "01900000000070008000000000000001";

/// The codes that were reached, with their status.
#[derive(Default)]
struct Reached(BTreeMap<String, u16>);

impl Reached {
    #[track_caller]
    fn by(&mut self, code: &str, answer: &Answer) {
        answer.assert_problem(answer.status, code);
        self.0.insert(code.to_owned(), answer.status);
    }
}

fn rate(value: u32) -> std::num::NonZeroU32 {
    value.try_into().unwrap()
}

/// A body of some media type.
async fn post_as(client: &Client, path: &str, kind: &str, body: &str) -> Answer {
    send(client.request(Method::POST, path).header("content-type", kind).body(body.to_owned())).await
}

async fn post_with(client: &Client, path: &str, header: (&str, &str), body: &Value) -> Answer {
    send(client.request(Method::POST, path).header(header.0, header.1).json(body)).await
}

#[tokio::test]
async fn every_code_is_reached() {
    let mut reached = Reached::default();
    requests(&mut reached).await;
    definitions(&mut reached).await;
    executions(&mut reached).await;
    retries(&mut reached).await;
    batches(&mut reached).await;
    schedules(&mut reached).await;
    webhooks(&mut reached).await;
    variables_and_nodes(&mut reached).await;
    credentials(&mut reached).await;
    logins(&mut reached).await;
    people(&mut reached).await;
    limits(&mut reached).await;
    quotas(&mut reached).await;
    slow_clients_and_a_slow_store(&mut reached).await;
    a_broken_store(&mut reached).await;

    let app = TestApp::start().await;
    let documented = app.client.anonymous().get("/problems").await;
    let documented: BTreeMap<String, u16> = documented.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|known| (known["code"].as_str().unwrap().to_owned(), u16::try_from(known["status"].as_u64().unwrap()).unwrap()))
        .collect();
    app.stop().await;
    let untried: Vec<&String> = documented.keys().filter(|code| !reached.0.contains_key(*code)).collect();
    assert!(untried.is_empty(), "no case of tests/it/problem_codes.rs reaches {untried:?}");
    assert_eq!(reached.0, documented, "code and status belong together");
}

async fn requests(reached: &mut Reached) {
    let app = TestApp::start().await;
    let client = &app.client;
    reached.by("not_found", &client.get("/no-such-path").await);
    reached.by("method_not_allowed", &send(client.request(Method::PATCH, "/workflows")).await);
    reached.by("unauthenticated", &client.anonymous().get("/workflows").await);
    let elsewhere = client.request(Method::GET, "/workflows").header("citadel-workspace", format!("ws_{NOBODY}9"));
    reached.by("workspace_denied", &send(elsewhere).await);
    reached.by("invalid_query", &client.get("/executions?limt=5").await);
    reached.by("invalid_cursor", &client.get("/executions?cursor=nonsense").await);
    reached.by("invalid_json", &post_as(client, "/auth/login", "application/json", "{").await);
    reached.by("invalid_body", &post_as(client, "/auth/login", "application/json", "{\"user\":1}").await);
    reached.by("unsupported_media_type", &post_as(client, "/auth/login", "text/csv", "a,b").await);
    reached.by("too_large", &post_as(client, "/auth/login", "application/json", &"x".repeat(1 << 20)).await);
    let foreign = client.anonymous().request(Method::POST, "/auth/logout").json(&json!({}));
    reached.by("cross_site_request", &send(foreign.header("sec-fetch-site", "cross-site")).await);
    let long = client.request(Method::GET, "/workflows").header("x-long", "x".repeat(40_000));
    reached.by("headers_too_large", &send(long).await);
    app.stop().await;
}

async fn definitions(reached: &mut Reached) {
    let app = TestApp::start().await;
    let client = &app.client;
    reached.by("invalid_yaml", &post_as(client, "/workflows", "application/yaml", "a: [").await);
    reached.by("invalid_definition", &client.post("/workflows", &json!({ "name": "a", "nodes": [] })).await);
    let key = "k".repeat(300);
    reached.by("invalid_header", &post_with(client, "/workflows", ("idempotency-key", &key), &workflows::mark()).await);
    assert_eq!(post_with(client, "/workflows", ("idempotency-key", "k"), &workflows::mark()).await.status, 201);
    let other = workflows::hook(json!({ "path": "a" }));
    reached.by("idempotency_key_mismatch", &post_with(client, "/workflows", ("idempotency-key", "k"), &other).await);
    reached.by("workflow_not_found", &client.get(&format!("/workflows/wf_{NOBODY}")).await);
    let id = client.create_workflow(&workflows::mark()).await;
    reached.by("version_not_found", &client.get(&format!("/workflows/{id}/versions/9")).await);
    let put = client.request(Method::PUT, &format!("/workflows/{id}")).json(&workflows::mark());
    reached.by("if_match_required", &send(put).await);
    reached.by("workflow_stale", &client.put(&format!("/workflows/{id}"), "\"7\"", &workflows::mark()).await);
    let start = format!("/workflows/{id}/executions");
    reached.by("unknown_start_node", &client.post(&start, &json!({ "start_node": "nowhere" })).await);
    app.stop().await;
}

async fn executions(reached: &mut Reached) {
    let app = TestApp::start_with(|config| config.limits.streams_max = 0).await;
    let client = &app.client;
    reached.by("execution_not_found", &client.get(&format!("/executions/exe_{NOBODY}")).await);
    let workflow = client.create_workflow(&workflows::waiting()).await;
    let id = client.start(&workflow, &json!({ "business_key": "order-7" })).await;
    client.reaches(&id, "waiting").await;
    let again = json!({ "business_key": "order-7", "on_conflict": "reject" });
    reached.by("business_key_taken", &client.post(&format!("/workflows/{workflow}/executions"), &again).await);
    reached.by("too_many_streams", &client.get(&format!("/executions/{id}/events")).await);
    reached.by("execution_running", &client.delete(&format!("/executions/{id}")).await);
    // Nobody waits for these: the inbox keeps them.
    let mut answer = client.post(&format!("/executions/{id}/signal/other"), &json!({})).await;
    for _ in 0..1_100 {
        if answer.status != 202 {
            break;
        }
        answer = client.post(&format!("/executions/{id}/signal/other"), &json!({})).await;
    }
    reached.by("inbox_full", &answer);
    client.post(&format!("/executions/{id}/cancel"), &json!({})).await;
    let ended = client.run(&client.create_workflow(&workflows::mark()).await, &json!({})).await.text("id");
    reached.by("execution_finished", &client.post(&format!("/executions/{ended}/cancel"), &json!({})).await);
    app.stop().await;
}

async fn retries(reached: &mut Reached) {
    let app = TestApp::start().await;
    let workflow = app.client.create_workflow(&workflows::mark()).await;
    let ended = app.client.run(&workflow, &json!({})).await.text("id");
    let retry = async |body: Value| app.client.post(&format!("/executions/{ended}/retry"), &body).await;
    reached.by("invalid_code_run", &app.client.post("/runtimes/execute", &json!({ "language": "cobol", "code": "x" })).await);
    reached.by("nothing_to_retry", &retry(json!({})).await);
    reached.by("cannot_reuse", &retry(json!({ "from": { "node": "nowhere" } })).await);
    app.stop().await;
}

/// Copies the only row of a table until there are `count` more of it, which through the API would take minutes.
async fn copy_row(app: &TestApp, table: &str, count: u32) {
    let mut other = SqliteConnection::connect(&app.database()).await.unwrap();
    for statement in [
        format!(
            "CREATE TEMP TABLE copies AS WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers \
             WHERE n < {count}) SELECT {table}.* FROM {table}, numbers"
        ),
        "UPDATE copies SET id = randomblob(16)".to_owned(),
        format!("INSERT INTO {table} SELECT * FROM copies"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut other).await.unwrap();
    }
    other.close().await.unwrap();
}

async fn batches(reached: &mut Reached) {
    let (app, receiver) = (TestApp::start_with(|config| config.limits.executions_live_max = 1).await, Receiver::start().await);
    let client = &app.client;
    let batch = async |body: Value| client.post("/executions/batch", &body).await;
    reached.by("invalid_batch", &batch(json!({ "action": "retry" })).await);
    reached.by("batch_not_found", &client.get(&format!("/executions/batch/bat_{NOBODY}")).await);
    let ended = client.run(&client.create_workflow(&workflows::mark()).await, &json!({})).await.text("id");
    copy_row(&app, "executions", 10_000).await;
    reached.by("batch_too_large", &batch(json!({ "action": "delete", "filter": { "status": ["succeeded"] } })).await);

    // This takes the only place, so that no batch of retries gets anywhere.
    let slow = client.create_workflow(&workflows::call(&receiver.url("/slow"))).await;
    let slow = client.start(&slow, &json!({})).await;
    let mut made = Vec::new();
    let refused = loop {
        let answer = batch(json!({ "action": "retry", "ids": [ended], "from": "start" })).await;
        if answer.status != 202 {
            break answer;
        }
        made.push(format!("/executions/batch/{}", answer.text("id")));
        assert!(made.len() <= 20, "that many are open");
    };
    reached.by("too_many_batches", &refused);
    for path in &made {
        assert_eq!(client.delete(path).await.status, 200);
    }
    reached.by("batch_ended", &client.delete(&made[0]).await);
    client.post(&format!("/executions/{slow}/cancel"), &json!({})).await;
    app.stop().await;
}

async fn schedules(reached: &mut Reached) {
    let app = TestApp::start().await;
    let client = &app.client;
    let workflow = client.create_workflow(&workflows::mark()).await;
    let hourly = json!({ "workflow_id": workflow, "every": "1h" });
    let path = format!("/schedules/{}", client.post("/schedules", &hourly).await.text("id"));
    reached.by("schedule_not_found", &client.get(&format!("/schedules/sch_{NOBODY}")).await);
    reached.by("schedule_stale", &client.put(&path, "\"7\"", &hourly).await);
    reached.by("invalid_schedule", &client.post("/schedules", &json!({ "workflow_id": workflow, "every": "1ms" })).await);
    copy_row(&app, "schedules", 9_999).await;
    reached.by("schedule_limit", &client.post("/schedules", &hourly).await);
    let published = json!({
        "name": "published",
        "nodes": [{ "id": "tick", "type": "schedule", "params": { "every": "1h" } }],
        "edges": [],
    });
    let owner = client.publish(&published).await;
    let listed = client.get(&format!("/schedules?workflow_id={owner}")).await;
    let published = listed.body["items"][0]["id"].as_str().unwrap();
    reached.by("schedule_published", &client.delete(&format!("/schedules/{published}")).await);
    app.stop().await;
}

async fn webhooks(reached: &mut Reached) {
    let app = TestApp::start().await;
    let client = &app.client;
    reached.by("hook_not_found", &client.post("/hooks/nowhere", &json!({})).await);
    let verify = json!({ "type": "hmac", "secret": "s3cret", "header": "x-signature" });
    client.publish(&workflows::hook(json!({ "path": "signed", "verify": verify }))).await;
    reached.by("hook_unverified", &client.post("/hooks/signed", &json!({})).await);
    let second = client.create_workflow(&workflows::hook(json!({ "path": "signed" }))).await;
    reached.by("hook_taken", &client.post(&format!("/workflows/{second}/activate"), &json!({})).await);
    let failing = json!({
        "name": "failing",
        "nodes": [
            { "id": "hook", "type": "webhook", "params": { "path": "failing", "respond": "last_node" } },
            { "id": "stop", "type": "stop_error", "params": { "message": "no" } },
        ],
        "edges": [{ "from": "hook", "to": "stop" }],
    });
    client.publish(&failing).await;
    reached.by("execution_failed", &client.post("/hooks/failing", &json!({})).await);
    app.stop().await;
}

async fn variables_and_nodes(reached: &mut Reached) {
    let app = TestApp::start().await;
    let client = &app.client;
    reached.by("variable_not_found", &client.get("/variables/nothing").await);
    reached.by("node_type_not_found", &client.get("/node-types/nothing").await);
    reached.by("actor_not_found", &client.get("/actors/nothing").await);
    let create = async |number: u32| client.post("/variables", &json!({ "name": format!("v{number}"), "value": 1 })).await;
    for number in 0..200 {
        assert_eq!(create(number).await.status, 201);
    }
    reached.by("stale", &client.put("/variables/v0", "\"7\"", &json!({ "value": 2 })).await);
    reached.by("variable_exists", &create(0).await);
    reached.by("variables_full", &create(200).await);
    app.stop().await;
}

async fn credentials(reached: &mut Reached) {
    let app = TestApp::start().await;
    let client = &app.client;
    let bearer = |name: &str| json!({ "name": name, "type": "http_bearer", "fields": { "token": "t" } });
    reached.by("credential_not_found", &client.get(&format!("/credentials/crd_{NOBODY}")).await);
    reached.by("invalid_credential", &client.post("/credentials", &json!({ "name": "a", "type": "b", "fields": {} })).await);
    reached.by("invalid_authorization", &client.get("/credentials/oauth2/callback?state=x&code=y").await);
    let used = client.post("/credentials", &bearer("used")).await.text("id");
    reached.by("credential_exists", &client.post("/credentials", &bearer("used")).await);
    let mut definition = workflows::call("http://127.0.0.1:1/");
    definition["nodes"][1]["credential"] = json!("used");
    client.publish(&definition).await;
    reached.by("credential_in_use", &client.delete(&format!("/credentials/{used}")).await);
    let mut other = SqliteConnection::connect(&app.database()).await.unwrap();
    for statement in [
        "CREATE TEMP TABLE copies AS WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 999)
         SELECT credentials.* FROM credentials, numbers",
        "UPDATE copies SET id = randomblob(16), name = hex(randomblob(16))",
        "INSERT INTO credentials SELECT * FROM copies",
    ] {
        sqlx::query(statement).execute(&mut other).await.unwrap();
    }
    other.close().await.unwrap();
    reached.by("credentials_full", &client.post("/credentials", &bearer("more")).await);
    app.stop().await;
}

async fn logins(reached: &mut Reached) {
    let app = TestApp::start_with(|config| {
        config.admin.email = Some("owner@example.org".to_owned());
        config.admin.password = Some(Secret::new("correct horse battery".to_owned()));
        let (issuer, client_id) = ("http://127.0.0.1:1".to_owned(), "citadel".to_owned());
        let (label, client_secret, default_role) = (None, None, None);
        let (scopes, groups_claim, roles) = (Vec::new(), String::new(), BTreeMap::new());
        let nobody = OidcConfig { issuer, client_id, client_secret, label, scopes, groups_claim, roles, default_role };
        config.auth.oidc.insert("nobody".to_owned(), nobody);
    })
    .await;
    let anonymous = app.client.anonymous();
    reached.by("login_provider_not_found", &anonymous.get("/auth/oidc/nothing/start").await);
    reached.by("login_provider_failed", &anonymous.get("/auth/oidc/nobody/start").await);
    reached.by("external_login_failed", &anonymous.get("/auth/oidc/nobody/callback?code=a&state=b").await);
    let claim = json!({ "token": "ctd_live_x", "email": "a@example.org", "password": "correct horse battery" });
    reached.by("setup_done", &app.client.anonymous().post("/setup", &claim).await);
    let change = json!({ "current_password": "wrong horse battery", "new_password": "another horse battery" });
    reached.by("password_wrong", &send(app.client.request(Method::PUT, "/auth/password").json(&change)).await);
    let wrong = json!({ "email": "owner@example.org", "password": "wrong horse battery" });
    let mut answer = app.client.anonymous().post("/auth/login", &wrong).await;
    reached.by("login_failed", &answer);
    for _ in 0..20 {
        answer = app.client.anonymous().post("/auth/login", &wrong).await;
        if answer.status != 401 {
            break;
        }
    }
    reached.by("too_many_logins", &answer);
    app.stop().await;
}

async fn people(reached: &mut Reached) {
    let app = TestApp::start().await;
    let (owner, viewer) = (app.person("owner", "owner").await, app.person("viewer", "viewer").await);
    let (client, here) = (&owner.client, "ws_01900000000070008000000000000001");
    reached.by("permission_denied", &viewer.client.post("/users", &json!({})).await);
    reached.by("user_not_found", &client.get(&format!("/users/usr_{NOBODY}")).await);
    reached.by("member_not_found", &client.delete(&format!("/workspaces/{here}/members/usr_{NOBODY}")).await);
    reached.by("workspace_not_found", &client.get("/workspaces/ws_01900000000070008000000000000009").await);
    reached.by("invitation_not_found", &client.delete(&format!("/workspaces/{here}/invitations/inv_{NOBODY}")).await);
    reached.by("role_not_found", &client.get("/roles/nothing").await);
    reached.by("api_key_not_found", &client.get(&format!("/api-keys/key_{NOBODY}")).await);
    let taken = json!({ "email": "viewer@example.org", "name": "V", "password": "correct horse battery", "role": "viewer" });
    reached.by("user_exists", &client.post("/users", &taken).await);
    let invited = json!({ "email": "viewer@example.org", "role": "viewer" });
    reached.by("member_exists", &client.post(&format!("/workspaces/{here}/invitations"), &invited).await);
    reached.by("last_owner", &client.delete(&format!("/users/{}", owner.user)).await);
    reached.by("workspace_in_use", &client.delete(&format!("/workspaces/{here}")).await);
    let role = async |name: &str| client.post("/roles", &json!({ "name": name, "permissions": [] })).await;
    reached.by("role_built_in", &role("owner").await);
    for number in 0..100 {
        assert_eq!(role(&format!("r{number}")).await.status, 201);
    }
    reached.by("limit_reached", &role("more").await);
    reached.by("role_exists", &role("r0").await);
    let member = client.request(Method::PUT, &format!("/workspaces/{here}/members/{}", viewer.user));
    assert_eq!(send(member.json(&json!({ "role": "r0" }))).await.status, 200);
    reached.by("role_in_use", &client.delete("/roles/r0").await);
    app.stop().await;
}

async fn limits(reached: &mut Reached) {
    let app = TestApp::start_with(|config| {
        config.limits.executions_live_max = 0;
        (config.limits.hooks_per_second, config.limits.hooks_burst) = (rate(1), rate(1));
        config.limits.workspace_code_seconds_per_minute = Some(rate(1));
    })
    .await;
    // On a busy machine a second takes more than one.
    let busy = json!({ "code": "const until = Date.now() + 1000; while (Date.now() < until) {}" });
    let mut run = app.client.post("/runtimes/execute", &busy).await;
    while run.status == 200 {
        run = app.client.post("/runtimes/execute", &busy).await;
    }
    reached.by("code_quota", &run);
    app.client.publish(&workflows::hook(json!({ "path": "busy" }))).await;
    reached.by("overloaded", &app.client.post("/hooks/busy", &json!({})).await);
    reached.by("rate_limited", &app.client.post("/hooks/busy", &json!({})).await);
    app.stop().await;
}

async fn quotas(reached: &mut Reached) {
    let receiver = Receiver::start().await;
    let app = TestApp::start_with(|config| config.limits.workspace_executions_max = Some(1)).await;
    let slow = app.client.create_workflow(&workflows::call(&receiver.url("/slow"))).await;
    let running = app.client.start(&slow, &json!({})).await;
    reached.by("executions_quota", &app.client.post(&format!("/workflows/{slow}/executions"), &json!({})).await);
    app.client.post(&format!("/executions/{running}/cancel"), &json!({})).await;
    app.stop().await;

    let app = TestApp::start_with(|config| {
        config.limits.workspace_starts_per_minute = Some(rate(1));
        config.limits.workspace_bytes_max = Some(1);
    })
    .await;
    let workflow = app.client.create_workflow(&workflows::mark()).await;
    app.client.run(&workflow, &json!({})).await;
    let start = async || app.client.post(&format!("/workflows/{workflow}/executions"), &json!({})).await;
    reached.by("starts_quota", &start().await);
    let full = eventually("what is stored is noticed", async || {
        let refused = start().await;
        (refused.body["code"] == "storage_quota").then_some(refused)
    });
    reached.by("storage_quota", &full.await);
    app.stop().await;
}

async fn slow_clients_and_a_slow_store(reached: &mut Reached) {
    let app = TestApp::start_with(|config| {
        config.http.body_timeout = "200ms".parse().unwrap();
        config.http.request_timeout = "500ms".parse().unwrap();
    })
    .await;
    let head = "POST /hooks/slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{";
    app.client.publish(&workflows::hook(json!({ "path": "slow" }))).await;
    let mut stream = TcpStream::connect(app.client.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("\"code\":\"body_timeout\""), "{text}");
    reached.0.insert("body_timeout".to_owned(), 408);

    // Somebody else writes to the database and does not come to an end.
    let mut other = SqliteConnection::connect(&app.database()).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    reached.by("timeout", &app.client.post("/variables", &json!({ "name": "a", "value": 1 })).await);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    app.stop().await;
}

async fn a_broken_store(reached: &mut Reached) {
    let app = TestApp::start().await;
    let workflow = app.client.create_workflow(&workflows::mark()).await;
    let mut other = SqliteConnection::connect(&app.database()).await.unwrap();
    sqlx::query("UPDATE workflow_versions SET definition = x'00'").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    reached.by("internal", &app.client.get(&format!("/workflows/{workflow}")).await);
    app.running().executions.drain();
    let start = app.client.post(&format!("/workflows/{workflow}/executions"), &json!({})).await;
    reached.by("draining", &start);
    app.running().store.close().await;
    reached.by("unavailable", &app.client.get("/workflows").await);
    app.stop().await;
}
