//! Credentials: the API, what nodes do with them, and that no value of one ever comes out.

use axum::{Json, Router, extract::Request, routing::any};
use citadel::config::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::support::{Answer, Client, ServerProcess, TestApp, client::send};

const NOBODY: &str = "crd_01900000000070008000000000000001";
/// What must never be seen again.
const PLANTED: &str = "pl4nted-secret-value";

/// A service on the loopback interface: `/echo` answers with the headers and the URL that it got, `/token` grants tokens.
struct Service {
    base: String,
    _server: JoinSet<()>,
}

impl Service {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let echo = async |request: Request| {
            let headers: serde_json::Map<String, Value> = request
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
                .collect();
            Json(json!({ "url": request.uri().to_string(), "headers": headers }))
        };
        let token = async || {
            Json(json!({ "access_token": "granted-access-token", "refresh_token": "granted-refresh-token", "expires_in": 3_600 }))
        };
        let router = Router::new().route("/echo", any(echo)).route("/token", any(token));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, _server: server }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn bearer(name: &str, token: &str) -> Value {
    json!({ "name": name, "type": "http_bearer", "fields": { "token": token } })
}

async fn create(client: &Client, body: &Value) -> String {
    let created = client.post("/credentials", body).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.text("id")
}

/// A workflow that calls a URL with a credential, and puts out what comes back.
fn calling(url: &str, credential: &str) -> Value {
    json!({
        "name": "calling",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "call", "type": "http.request", "params": { "url": url }, "credential": credential },
        ],
        "edges": [{ "from": "start", "to": "call" }],
    })
}

#[tokio::test]
async fn makes_changes_and_deletes_a_credential() {
    let app = TestApp::start().await;
    let client = &app.client;
    let created = client.post("/credentials", &bearer("api", "t0ken")).await;
    let id = created.text("id");
    let location = format!("/api/v1/credentials/{id}");
    assert_eq!((created.status, created.header("etag"), created.header("location")), (201, "\"1\"", &*location));
    assert_eq!(
        (&created.body["fields"], &created.body["version"], &created.body["grant"]),
        (&json!(["token"]), &json!(1), &Value::Null)
    );
    client.post("/credentials", &bearer("api", "t0ken")).await.assert_problem(409, "credential_exists");

    let path = format!("/credentials/{id}");
    let read = client.get(&path).await;
    assert_eq!((&read.body, read.header("etag")), (&created.body, "\"1\""));
    let change = json!({ "description": "the new one", "fields": { "token": "other" } });
    send(client.request(Method::PUT, &path).json(&change)).await.assert_problem(428, "if_match_required");
    let changed = client.put(&path, "\"1\"", &change).await;
    assert_eq!((changed.status, changed.header("etag"), &changed.body["description"]), (200, "\"2\"", &json!("the new one")));
    let stale = client.put(&path, "\"1\"", &change).await;
    stale.assert_problem(412, "stale");
    assert_eq!(stale.header("etag"), "\"2\"");
    let kept = client.put(&path, "*", &json!({})).await;
    assert_eq!((&kept.body["version"], &kept.body["description"]), (&json!(3), &json!("the new one")), "what is left out stays");
    assert_eq!(client.put(&path, "*", &json!({ "description": null })).await.body["description"], Value::Null);
    client.put(&format!("/credentials/{NOBODY}"), "*", &change).await.assert_problem(404, "credential_not_found");

    for name in ["b", "a", "C"] {
        create(client, &bearer(name, "t")).await;
    }
    create(client, &json!({ "name": "db", "type": "sqlite", "fields": { "url": "sqlite://a.db" } })).await;
    let names =
        |page: &Answer| page.body["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect::<Vec<_>>();
    let page = client.get("/credentials?limit=4").await;
    assert_eq!(names(&page), ["C", "a", "api", "b"]);
    let rest = client.get(&format!("/credentials?limit=4&cursor={}", page.text("next_cursor"))).await;
    assert_eq!((names(&rest), &rest.body["next_cursor"]), (vec![json!("db")], &Value::Null));
    assert_eq!(names(&client.get("/credentials?type=sqlite").await), ["db"]);

    send(client.request(Method::DELETE, &path).header("if-match", "\"1\"")).await.assert_problem(412, "stale");
    assert_eq!(client.delete(&path).await.status, 204);
    client.get(&path).await.assert_problem(404, "credential_not_found");
    client.anonymous().get("/credentials").await.assert_problem(401, "unauthenticated");
    app.stop().await;
}

#[tokio::test]
async fn a_repeated_creation_with_a_key_answers_as_the_first_one() {
    let app = TestApp::start().await;
    let create = |body: Value| {
        let request = app.client.request(Method::POST, "/credentials").header("idempotency-key", "k");
        send(request.json(&body))
    };
    let first = create(bearer("a", "t0ken")).await;
    let second = create(bearer("a", "t0ken")).await;
    assert_eq!((second.status, &second.body, second.header("idempotent-replayed")), (201, &first.body, "true"));
    create(bearer("a", "other")).await.assert_problem(409, "credential_exists");
    app.stop().await;
}

#[tokio::test]
async fn says_what_is_wrong_with_fields() {
    let app = TestApp::start().await;
    let post = |body: Value| {
        let client = app.client.clone();
        async move { client.post("/credentials", &body).await }
    };
    let refused = post(json!({ "name": "a", "type": "http_basic", "fields": { "usrname": "u", "password": PLANTED } })).await;
    refused.assert_problem(422, "invalid_credential");
    let errors = refused.body["errors"].to_string();
    assert!(
        errors.contains("/fields/usrname") && errors.contains("`username` is missing") && !errors.contains(PLANTED),
        "{errors}"
    );
    post(json!({ "name": "a", "type": "http_barer", "fields": {} })).await.assert_problem(422, "invalid_credential");
    post(json!({ "name": " a", "type": "http_bearer", "fields": { "token": "t" } }))
        .await
        .assert_problem(422, "invalid_credential");
    post(bearer("a", &"t".repeat(40_000))).await.assert_problem(413, "too_large");
    let types = app.client.get("/credential-types").await;
    let basic = types.body["items"].as_array().unwrap().iter().find(|known| known["name"] == "http_basic").unwrap().clone();
    assert_eq!(basic["schema"]["properties"]["password"]["writeOnly"], true);
    assert_eq!(basic["schema"]["required"], json!(["username", "password"]));
    app.stop().await;
}

#[tokio::test]
async fn a_workflow_names_a_credential_and_is_listed_as_its_user() {
    let (app, service) = (TestApp::start().await, Service::start().await);
    let client = &app.client;
    let id = create(client, &bearer("api", "t0ken-of-the-api")).await;
    let workflow = client.publish(&calling(&service.url("/echo"), "api")).await;
    let ended = client.run(&workflow, &json!({})).await;
    let headers = &ended.body["result"][0]["json"]["headers"];
    assert_eq!(headers["authorization"], "Bearer [secret]", "{ended:?}");

    let users = client.get(&format!("/credentials/{id}/workflows")).await;
    let expected = json!([{ "workflow_id": workflow, "workflow_name": "calling", "in_latest": true, "in_active": true }]);
    assert_eq!(users.body["items"], expected);
    client.get(&format!("/credentials/{NOBODY}/workflows")).await.assert_problem(404, "credential_not_found");
    assert!(client.get(&format!("/credentials/{id}")).await.body["used_at"].is_string());
    let path = format!("/credentials/{id}");
    client.delete(&path).await.assert_problem(409, "credential_in_use");
    assert_eq!(client.delete(&format!("{path}?force=true")).await.status, 204);
    let failed = client.run(&workflow, &json!({})).await;
    assert_eq!(failed.body["error"]["code"], "invalid_parameter", "{failed:?}");
    app.stop().await;
}

#[tokio::test]
async fn tests_credentials_without_showing_them() {
    let (app, service) = (TestApp::start().await, Service::start().await);
    let client = &app.client;
    let test = async |body: Value, with: Value| {
        let id = create(client, &body).await;
        let tested = client.post(&format!("/credentials/{id}/test"), &with).await;
        assert!(!tested.body.to_string().contains(PLANTED), "{tested:?}");
        tested
    };
    let worked = test(bearer("a", PLANTED), json!({ "url": service.url("/echo") })).await;
    assert_eq!((worked.status, &worked.body["ok"]), (200, &json!(true)), "{worked:?}");
    let denied = test(bearer("b", PLANTED), json!({ "url": format!("http://10.0.0.1/{PLANTED}") })).await;
    assert_eq!((denied.status, &denied.body["code"]), (200, &json!("egress_denied")), "{denied:?}");
    let no_url = test(bearer("n", PLANTED), json!({ "url": "no url" })).await;
    assert!(no_url.status == 422 || no_url.body["ok"] == false, "{no_url:?}");
    test(bearer("c", PLANTED), json!({})).await.assert_problem(422, "invalid_credential");
    let custom = json!({ "name": "d", "type": "custom", "fields": { "a": PLANTED } });
    test(custom, json!({})).await.assert_problem(422, "invalid_credential");

    let oauth = json!({ "token_url": service.url("/token"), "client_id": "me", "client_secret": PLANTED });
    let granted = test(json!({ "name": "e", "type": "oauth2_client_credentials", "fields": oauth }), json!({})).await;
    assert_eq!(granted.body["ok"], true, "{granted:?}");
    let server = json!({ "url": format!("postgres://u:{PLANTED}@127.0.0.1:1/d") });
    let unreachable = test(json!({ "name": "f", "type": "postgres", "fields": server }), json!({})).await;
    assert_eq!(unreachable.body["ok"], false, "{unreachable:?}");
    // To send it to a place of one's choice is to use it.
    let owner = app.person("owner", "owner").await;
    let key = json!({ "name": "k", "permissions": ["credential:write"] });
    let writer = client.with_token(&owner.client.post("/api-keys", &key).await.text("secret"));
    let id = create(client, &bearer("g", PLANTED)).await;
    let sent = writer.post(&format!("/credentials/{id}/test"), &json!({ "url": service.url("/echo") })).await;
    sent.assert_problem(403, "permission_denied");
    client.post(&format!("/credentials/{NOBODY}/test"), &json!({})).await.assert_problem(404, "credential_not_found");
    app.stop().await;
}

#[tokio::test]
async fn a_person_authorizes_a_credential_in_a_browser() {
    let (app, service) = (TestApp::start().await, Service::start().await);
    let client = &app.client;
    let fields = json!({
        "authorize_url": service.url("/authorize"), "token_url": service.url("/token"), "client_id": "me", "client_secret": PLANTED,
    });
    let id = create(client, &json!({ "name": "mail", "type": "oauth2_authorization_code", "fields": fields })).await;
    let workflow = client.create_workflow(&calling(&service.url("/echo"), "mail")).await;
    let failed = client.run(&workflow, &json!({})).await;
    assert_eq!(failed.body["error"]["code"], "credential_failed", "{failed:?}");

    let begun = client.post(&format!("/credentials/{id}/authorize"), &json!({})).await;
    assert_eq!(begun.text("redirect_uri"), format!("http://{}/api/v1/credentials/oauth2/callback", client.address()));
    let url = reqwest::Url::parse(&begun.text("url")).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let browser = client.anonymous();
    let callback = |query: String| {
        let browser = browser.clone();
        async move { browser.get(&format!("/credentials/oauth2/callback?{query}")).await }
    };
    callback(format!("state={state}x&code=c")).await.assert_problem(422, "invalid_authorization");
    callback("code=c".to_owned()).await.assert_problem(400, "invalid_query");
    let refused = callback(format!("state={state}&error=access_denied")).await;
    assert!(refused.status == 200 && refused.body.as_str().unwrap().contains("did not agree"), "{refused:?}");
    let agreed = callback(format!("state={state}&code=c&scope=more")).await;
    assert!(agreed.status == 200 && agreed.body.as_str().unwrap().contains("connected"), "{agreed:?}");
    callback(format!("state={state}&code=c")).await.assert_problem(422, "invalid_authorization");

    let ended = client.run(&workflow, &json!({})).await;
    assert_eq!(ended.body["result"][0]["json"]["headers"]["authorization"], "Bearer [secret]", "{ended:?}");
    let shown = client.get(&format!("/credentials/{id}")).await;
    assert_eq!(shown.body["grant"]["expired"], false, "{shown:?}");
    let token = create(client, &bearer("b", "t")).await;
    client.post(&format!("/credentials/{token}/authorize"), &json!({})).await.assert_problem(422, "invalid_credential");
    app.stop().await;
}

/// Every file below a directory that holds the bytes.
fn files_with(directory: &std::path::Path, bytes: &[u8]) -> Vec<std::path::PathBuf> {
    let (mut open, mut found) = (vec![directory.to_owned()], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if std::fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_planted_secret_is_found_nowhere() {
    let service = Service::start().await;
    let server = ServerProcess::start_with(&[
        ("CITADEL__LOG__FILTER", "debug"),
        ("CITADEL__CREDENTIALS__OPERATOR__TYPE", "http_header"),
        ("CITADEL__CREDENTIALS__OPERATOR__NAME", "X-Key"),
        ("CITADEL__CREDENTIALS__OPERATOR__VALUE", PLANTED),
    ]);
    let client = server.client();
    let mut seen = Vec::new();
    let mut check = |answer: &Answer| seen.push(format!("{:?} {}", answer.headers, answer.body));
    let basic = json!({ "name": "basic", "type": "http_basic", "fields": { "username": "user", "password": PLANTED } });
    let oauth = json!({ "token_url": service.url("/token"), "client_id": "me", "client_secret": PLANTED });
    for body in [
        bearer("bearer", PLANTED),
        basic,
        json!({ "name": "query", "type": "http_query", "fields": { "name": "key", "value": PLANTED } }),
        json!({ "name": "code", "type": "custom", "fields": { "key": PLANTED } }),
        json!({ "name": "oauth", "type": "oauth2_client_credentials", "fields": oauth }),
    ] {
        let created = client.post("/credentials", &body).await;
        check(&created);
        check(&client.post("/credentials", &body).await);
        let path = format!("/credentials/{}", created.text("id"));
        check(&client.get(&path).await);
        check(&client.put(&path, "*", &json!({ "description": "x", "fields": body["fields"] })).await);
        check(&client.put(&path, "*", &json!({ "fields": { "wrong": PLANTED, "also": [PLANTED] } })).await);
        check(&client.post(&format!("{path}/test"), &json!({ "url": service.url("/echo") })).await);
    }
    check(&client.get("/credentials").await);

    let mut workflows: Vec<Value> =
        ["bearer", "basic", "query", "operator", "oauth"].iter().map(|name| calling(&service.url("/echo"), name)).collect();
    // It fails with what the other end said, which is the secret.
    workflows.push(calling(&format!("{}/nowhere", service.base), "query"));
    workflows.push(json!({
        "name": "code",
        "nodes": [
            { "id": "start", "type": "manual" },
            {
                "id": "code", "type": "code", "credential": "code",
                "params": {
                    "language": "javascript",
                    "code": "console.log('key', env.KEY); return { json: { key: env.KEY, twice: [env.KEY + env.KEY], [env.KEY]: btoa ? 1 : 2 } }",
                    "grants": { "env": { "KEY": { "credential": "key" } } },
                },
            },
        ],
        "edges": [{ "from": "start", "to": "code" }],
    }));
    for definition in &workflows {
        let workflow = client.create_workflow(definition).await;
        let ended = client.run(&workflow, &json!({})).await;
        check(&ended);
        let execution = ended.text("id");
        check(&client.get(&format!("/executions/{execution}/nodes?include=data")).await);
        check(&client.get(&format!("/executions/{execution}/logs")).await);
    }
    let masked = seen.iter().filter(|text| text.contains("[secret]")).count();
    assert!(masked > 8, "the services did not echo: {masked}");

    let planted =
        [PLANTED.to_owned(), base64_of(PLANTED), base64_of(&format!("user:{PLANTED}")), "granted-access-token".to_owned()];
    for secret in &planted {
        for text in &seen {
            assert!(!text.contains(secret.as_str()), "an answer shows {secret}: {text}");
        }
        assert!(!server.log().contains(secret.as_str()), "the log shows {secret}");
        assert_eq!(files_with(&server.data_dir(), secret.as_bytes()), Vec::<std::path::PathBuf>::new(), "{secret} is in a file");
    }
    // The search would find something.
    assert!(!files_with(&server.data_dir(), b"calling").is_empty());
}

/// As headers have it; without its end, which may differ.
fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(text)
}

#[tokio::test]
async fn a_server_starts_with_the_key_of_its_database_only() {
    let mut server = ServerProcess::start();
    let client = server.client();
    create(&client, &bearer("api", "t0ken")).await;
    let file = server.data_dir().join("master.key");
    let key = std::fs::read_to_string(&file).unwrap();
    server.terminate();
    server.ended().await;

    let data = server.data_dir();
    let start = |environment: Option<&str>| {
        let invocation = crate::support::command(&["serve", "--random-ports", "--data-dir", data.to_str().unwrap()]);
        match environment {
            Some(key) => invocation.env("CITADEL__SECRETS__MASTER_KEY", key).run(),
            None => invocation.run(),
        }
    };
    start(Some("another-master-key-of-40-characters-0000")).assert_failed(1, "does not have: set secrets.master_key");
    start(Some("too-short")).assert_failed(1, "openssl rand -base64 32");
    std::fs::remove_file(&file).unwrap();
    start(None).assert_failed(1, "put the file");
    assert!(!file.exists(), "no new key takes its place");
    std::fs::write(&file, key).unwrap();
    let server = server.restart();
    assert_eq!(server.client().get("/credentials").await.body["items"][0]["name"], "api");
}

#[tokio::test]
async fn rotates_master_keys_while_the_server_goes_on() {
    let server = ServerProcess::start();
    let client = server.client();
    for number in 0..5 {
        create(&client, &bearer(&format!("c{number}"), "t0ken")).await;
    }
    let before = client.get("/secrets").await;
    let old = before.body["keys"][0]["id"].clone();
    assert_eq!(before.body["keys"], json!([{ "id": old, "current": true, "in_use": true, "held": true }]));
    let file = server.data_dir().join("master.key");
    let key = server.command(&["secrets", "generate"]).run().out;
    std::fs::write(&file, format!("{key}{}", std::fs::read_to_string(&file).unwrap())).unwrap();

    let server = server.kill_and_restart();
    let client = server.client();
    let status = server.command(&["secrets", "status", "-o", "json"]).run().json();
    assert_eq!((&status["keys"][1]["id"], &status["keys"][1]["in_use"]), (&old, &json!(true)));
    let rotated = server.command(&["secrets", "rotate", "-o", "json"]).run().json();
    assert_eq!(rotated, json!({ "resealed": 5, "retired": 1 }));
    assert_eq!(client.get("/secrets").await.body["keys"][1]["in_use"], false);
    std::fs::write(&file, key).unwrap();
    let server = server.kill_and_restart();
    let listed = server.client().get("/credentials").await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 5);
    assert_ne!(listed.body["items"][0]["key_id"], old);
}

#[tokio::test]
async fn operator_credentials_stay_as_a_fallback() {
    let service = Service::start().await;
    let app = TestApp::start_with(|config| {
        let fields = [("name", "x-key"), ("value", "of-the-operator")];
        let fields = fields.map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned()))).into();
        let operator = citadel::config::CredentialConfig { kind: "http_header".to_owned(), fields };
        config.credentials.insert("api".to_owned(), operator);
    })
    .await;
    let client = &app.client;
    let workflow = client.create_workflow(&calling(&service.url("/echo"), "api")).await;
    let headers = async || client.run(&workflow, &json!({})).await.body["result"][0]["json"]["headers"].clone();
    assert_eq!(headers().await["x-key"], "[secret]");
    create(client, &bearer("api", "of-the-workspace")).await;
    let with_own = headers().await;
    assert_eq!((&with_own["authorization"], &with_own["x-key"]), (&json!("Bearer [secret]"), &Value::Null));
    app.stop().await;
}
