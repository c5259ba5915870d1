//! Tokens and logins.

use citadel::config::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, TestApp, client::send};

const EMAIL: &str = "Owner@Example.org";
const PASSWORD: &str = "correct horse battery";

async fn app_with_owner() -> TestApp {
    TestApp::start_with(|config| {
        config.admin.email = Some(EMAIL.to_owned());
        config.admin.password = Some(Secret::new(PASSWORD.to_owned()));
    })
    .await
}

async fn login(client: &Client, password: &str) -> crate::support::Answer {
    client.anonymous().post("/auth/login", &json!({ "email": EMAIL, "password": password })).await
}

#[tokio::test]
async fn opens_nothing_without_a_valid_token() {
    let app = TestApp::start().await;
    for path in ["/workflows", "/executions", "/node-types", "/auth/me"] {
        let refused = app.client.anonymous().get(path).await;
        refused.assert_problem(401, "unauthenticated");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
    }
    app.client.with_token("nonsense").get("/workflows").await.assert_problem(401, "unauthenticated");
    let basic = app.client.anonymous().request(Method::GET, "/workflows").basic_auth("a", Some("b"));
    send(basic).await.assert_problem(401, "unauthenticated");
    let other = app.client.request(Method::GET, "/workflows").header("citadel-workspace", "ws_01900000000070008000000000000009");
    send(other).await.assert_problem(403, "workspace_denied");
    let own = app.client.request(Method::GET, "/workflows").header("citadel-workspace", "ws_01900000000070008000000000000001");
    assert_eq!(send(own).await.status, 200);
    assert_eq!(app.client.get("/auth/me").await.body["user"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn a_session_lasts_from_login_to_logout() {
    let app = app_with_owner().await;
    let tokens = login(&app.client, PASSWORD).await;
    assert_eq!((tokens.status, tokens.text("token_type").as_str()), (200, "Bearer"));
    assert_eq!(tokens.body["expires_in"], 600);
    let session = app.client.with_token(&tokens.text("access_token"));
    assert_eq!(session.get("/auth/me").await.body["user"]["email"], EMAIL.to_lowercase());

    let refresh = json!({ "refresh_token": tokens.text("refresh_token") });
    session.with_token(&tokens.text("refresh_token")).get("/auth/me").await.assert_problem(401, "unauthenticated");
    let renewed = app.client.anonymous().post("/auth/refresh", &refresh).await;
    assert_eq!(renewed.status, 200);
    app.client.anonymous().post("/auth/refresh", &refresh).await.assert_problem(401, "unauthenticated");

    let renewed_session = app.client.with_token(&renewed.text("access_token"));
    let last = json!({ "refresh_token": renewed.text("refresh_token") });
    assert_eq!(renewed_session.post("/auth/logout", &last).await.status, 204);
    renewed_session.get("/auth/me").await.assert_problem(401, "unauthenticated");
    app.client.anonymous().post("/auth/refresh", &last).await.assert_problem(401, "unauthenticated");
    app.stop().await;
}

#[tokio::test]
async fn slows_guessing_down_without_telling_whether_the_account_exists() {
    let app = app_with_owner().await;
    let nobody = json!({ "email": "nobody@example.org", "password": PASSWORD });
    app.client.anonymous().post("/auth/login", &nobody).await.assert_problem(401, "login_failed");
    for _ in 0..6 {
        login(&app.client, "wrong password").await.assert_problem(401, "login_failed");
    }
    let slowed = login(&app.client, PASSWORD).await;
    slowed.assert_problem(429, "too_many_logins");
    assert_eq!(slowed.header("retry-after"), "1");
    app.stop().await;
}

#[tokio::test]
async fn does_not_limit_logins_where_limits_are_off() {
    let app = TestApp::start_with(|config| config.limits.enabled = false).await;
    for _ in 0..8 {
        login(&app.client, "wrong password").await.assert_problem(401, "login_failed");
    }
    app.stop().await;
}
