//! What web pages of others can do with the API, and what browsers are told about its answers.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use crate::support::{Answer, TestApp, client::send, workflows};

const LISTED: &str = "https://app.example.org";
const UNLISTED: &str = "https://evil.example";

/// A question of a browser: what a page may do.
fn preflight(app: &TestApp, path: &str, origin: &str) -> RequestBuilder {
    let request = app.client.anonymous().request(Method::OPTIONS, path);
    request.header("origin", origin).header("access-control-request-method", "POST")
}

fn allowed_origin(answer: &Answer) -> Option<&str> {
    answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_answer_says_what_browsers_may_not_do() {
    let app = TestApp::start().await;
    let answers = [
        app.client.get("/workflows").await,
        app.client.get("/no-such-resource").await,
        app.client.anonymous().get("/workflows").await,
        app.client.anonymous().get("/healthz").await,
    ];
    for answer in &answers {
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'", "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert!(!answer.headers.contains_key("strict-transport-security"), "this is plain HTTP");
    }
    assert_eq!(answers[0].header("cache-control"), "no-store");
    let docs = app.client.anonymous().get("/api/docs").await;
    assert!(docs.header("content-security-policy").contains("script-src 'self'"), "a page has its own policy: {docs:?}");
    app.stop().await;
}

#[tokio::test]
async fn answers_of_webhooks_are_sandboxed_and_may_be_framed() {
    let app = TestApp::start().await;
    app.client.publish(&workflows::hook(json!({ "path": "page" }))).await;
    let answer = app.client.anonymous().post("/hooks/page", &json!({})).await;
    assert_eq!(answer.header("content-security-policy"), "sandbox");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(!answer.headers.contains_key("x-frame-options"), "{answer:?}");
    app.stop().await;
}

#[tokio::test]
async fn pages_of_others_get_nothing_unless_they_are_listed() {
    let app = TestApp::start().await;
    let asked = send(preflight(&app, "/workflows", LISTED)).await;
    assert_eq!(allowed_origin(&asked), None, "{asked:?}");
    let read = send(app.client.request(Method::GET, "/workflows").header("origin", LISTED)).await;
    assert_eq!((read.status, allowed_origin(&read)), (200, None), "a browser keeps it from the page");
    app.stop().await;

    let app = TestApp::start_with(|config| config.http.cors_origins = vec![LISTED.to_owned()]).await;
    let asked = send(preflight(&app, "/workflows", LISTED)).await;
    assert_eq!((asked.status, allowed_origin(&asked)), (204, Some(LISTED)), "{asked:?}");
    assert!(asked.header("access-control-allow-headers").contains("authorization"));
    assert!(asked.header("access-control-allow-methods").contains("DELETE"));
    assert!(!asked.headers.contains_key("access-control-allow-credentials"), "cookies stay with the server's own pages");
    let read = send(app.client.request(Method::GET, "/workflows").header("origin", LISTED)).await;
    assert_eq!((read.status, allowed_origin(&read)), (200, Some(LISTED)));
    assert!(read.header("vary").contains("origin") && read.header("access-control-expose-headers").contains("etag"));
    let by_cookie = app.client.anonymous().request(Method::POST, "/workflows/validate").header("origin", LISTED);
    send(by_cookie.header("cookie", "citadel_session=x").header("sec-fetch-site", "same-site"))
        .await
        .assert_problem(403, "cross_site_request");
    let refused = send(app.client.anonymous().request(Method::GET, "/workflows").header("origin", LISTED)).await;
    assert_eq!((refused.status, allowed_origin(&refused)), (401, Some(LISTED)), "a page can read why");
    for request in
        [preflight(&app, "/workflows", UNLISTED), app.client.request(Method::GET, "/workflows").header("origin", UNLISTED)]
    {
        let answer = send(request).await;
        assert_eq!(allowed_origin(&answer), None, "{answer:?}");
        assert!(answer.header("vary").contains("origin"), "caches must not mix the two up: {answer:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn pages_of_others_change_nothing_with_a_cookie() {
    let app = TestApp::start_with(|config| config.http.cors_origins = vec![LISTED.to_owned()]).await;
    let anonymous = app.client.anonymous();
    let login = |headers: &[(&str, &str)]| {
        let request = anonymous.request(Method::POST, "/auth/logout").json(&json!({}));
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    let status = async |headers: &[(&str, &str)]| StatusCode::from_u16(send(login(headers)).await.status).unwrap();
    let cookie = ("cookie", "citadel_session=x");
    let own = format!("http://{}", app.client.address());
    send(login(&[cookie, ("sec-fetch-site", "cross-site")])).await.assert_problem(403, "cross_site_request");
    send(login(&[cookie, ("origin", UNLISTED)])).await.assert_problem(403, "cross_site_request");
    send(login(&[cookie])).await.assert_problem(403, "cross_site_request");
    send(login(&[("origin", "null")])).await.assert_problem(403, "cross_site_request");
    assert_eq!(status(&[cookie, ("sec-fetch-site", "same-origin")]).await, 204);
    assert_eq!(status(&[cookie, ("origin", &own)]).await, 204);
    let listed = [("origin", LISTED), ("sec-fetch-site", "cross-site")];
    assert_eq!(status(&listed).await, 204, "a listed page logs in and out");
    let by_cookie = send(login(&[&[cookie], &listed[..]].concat())).await;
    by_cookie.assert_problem(403, "cross_site_request");
    assert!(by_cookie.text("detail").contains("sends a token"), "it is told what it may do: {by_cookie:?}");
    assert_eq!(status(&[]).await, 204, "no browser, no cookie");
    let with_token = app.client.request(Method::POST, "/workflows/validate").header("origin", UNLISTED);
    assert_eq!(send(with_token.json(&workflows::mark())).await.status, 200, "a token is sent by whoever has it only");
    let read = app.client.request(Method::GET, "/workflows").header("cookie", "a=b").header("sec-fetch-site", "cross-site");
    assert_eq!(send(read).await.status, 200, "reading changes nothing, and the answer stays with the browser");
    app.stop().await;
}

#[tokio::test]
async fn webhooks_are_for_pages_of_others_too() {
    let app = TestApp::start().await;
    app.client.publish(&workflows::hook(json!({ "path": "form" }))).await;
    let request = app.client.anonymous().request(Method::POST, "/hooks/form").json(&json!({}));
    let request = request.header("origin", UNLISTED).header("sec-fetch-site", "cross-site").header("cookie", "a=b");
    assert_eq!(send(request).await.status, 200);
    app.stop().await;
}
