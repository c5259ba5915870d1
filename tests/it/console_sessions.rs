//! Sessions of browsers: a cookie in the place of a token.

use citadel::config::Secret;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};

use crate::support::{Answer, Client, TestApp, client::send, eventually};

const EMAIL: &str = "owner@example.org";
const PASSWORD: &str = "correct horse battery";

async fn app_with_owner() -> TestApp {
    TestApp::start_with(|config| {
        config.admin.email = Some(EMAIL.to_owned());
        config.admin.password = Some(Secret::new(PASSWORD.to_owned()));
    })
    .await
}

async fn open(client: &Client) -> Answer {
    let opened = client.anonymous().post("/auth/session", &json!({ "email": EMAIL, "password": PASSWORD })).await;
    assert_eq!(opened.status, 204, "{opened:?}");
    opened
}

/// What a browser sends back of what it was given.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

fn with_cookie(client: &Client, cookie: &str, method: Method, path: &str) -> RequestBuilder {
    // As a page of the server itself.
    client.anonymous().request(method, path).header("cookie", cookie).header("sec-fetch-site", "same-origin")
}

#[tokio::test]
async fn a_cookie_is_good_for_everything_until_it_is_given_back() {
    let app = app_with_owner().await;
    let client = &app.client;
    let refused = client.anonymous().post("/auth/session", &json!({ "email": EMAIL, "password": "wrong" })).await;
    refused.assert_problem(401, "login_failed");
    let opened = open(client).await;
    let set = opened.header("set-cookie");
    assert!(
        set.starts_with("citadel_session=ctd_session_") && set.contains("; HttpOnly; SameSite=Lax; Max-Age=1209600"),
        "{set}"
    );
    let cookie = cookie(&opened);
    let me = send(with_cookie(client, &cookie, Method::GET, "/auth/me")).await;
    assert_eq!(me.body["user"]["email"], EMAIL);
    let variable = with_cookie(client, &cookie, Method::POST, "/variables").json(&json!({ "name": "a", "value": 1 }));
    assert_eq!(send(variable).await.status, 201);

    // Its text is no token, and a token is no cookie.
    let text = cookie.split_once('=').unwrap().1;
    client.with_token(text).get("/auth/me").await.assert_problem(401, "unauthenticated");
    let token = format!("citadel_session={}", client.token());
    send(with_cookie(client, &token, Method::GET, "/auth/me")).await.assert_problem(401, "unauthenticated");

    let closed = send(with_cookie(client, &cookie, Method::DELETE, "/auth/session")).await;
    assert!(closed.status == 204 && closed.header("set-cookie").contains("Max-Age=0"), "{closed:?}");
    send(with_cookie(client, &cookie, Method::GET, "/auth/me")).await.assert_problem(401, "unauthenticated");
    assert_eq!(send(with_cookie(client, &cookie, Method::DELETE, "/auth/session")).await.status, 204);
    assert_eq!(client.anonymous().delete("/auth/session").await.status, 204);
    app.stop().await;
}

#[tokio::test]
async fn streams_of_events_take_the_cookie() {
    let app = app_with_owner().await;
    let workflow = app.client.create_workflow(&crate::support::workflows::mark()).await;
    let execution = app.client.run(&workflow, &json!({})).await.text("id");
    let cookie = cookie(&open(&app.client).await);
    let path = format!("/executions/{execution}/events");
    let request = with_cookie(&app.client, &cookie, Method::GET, &path).header("accept", "text/event-stream");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    assert!(text.contains("event: end"), "{text}");
    app.stop().await;
}

#[tokio::test]
async fn over_tls_the_cookie_is_for_this_host_only() {
    let app = app_with_owner().await;
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    let behind_a_proxy = app.client.anonymous().request(Method::POST, "/auth/session").header("x-forwarded-proto", "https");
    let opened = send(behind_a_proxy.json(&body)).await;
    let set = opened.header("set-cookie");
    assert!(set.starts_with("__Host-citadel_session=") && set.ends_with("; Secure"), "{set}");
    let cookie = cookie(&opened);
    let secure = with_cookie(&app.client, &cookie, Method::GET, "/auth/me").header("x-forwarded-proto", "https");
    assert_eq!(send(secure).await.status, 200);
    // The same secret under the name that others may set.
    let planted = cookie.trim_start_matches("__Host-").to_owned();
    let planted = with_cookie(&app.client, &planted, Method::GET, "/auth/me").header("x-forwarded-proto", "https");
    send(planted).await.assert_problem(401, "unauthenticated");
    app.stop().await;
}

#[tokio::test]
async fn a_session_slides_with_its_use_and_ends_in_any_case() {
    let app = app_with_owner().await;
    let cookie = cookie(&open(&app.client).await);
    let is_open = async || send(with_cookie(&app.client, &cookie, Method::GET, "/auth/me")).await.status == 200;
    let mut other = SqliteConnection::connect(&app.database()).await.unwrap();
    const HOUR_MS: i64 = 3_600_000;
    let shift = "UPDATE sessions SET expires_at = expires_at - ?1";
    sqlx::query(shift).bind(11 * HOUR_MS).execute(&mut other).await.unwrap();
    assert!(is_open().await);
    let left = "SELECT expires_at - CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM sessions";
    let left_ms: i64 = sqlx::query_scalar(left).fetch_one(&mut other).await.unwrap();
    assert!(left_ms > 11 * HOUR_MS, "{left_ms}");
    sqlx::query("UPDATE sessions SET ends_at = expires_at - ?1").bind(12 * HOUR_MS).execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    eventually("it has ended", async || (!is_open().await).then_some(())).await;
    app.stop().await;
}
