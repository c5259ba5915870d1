//! Every error leaves as a problem, whoever raised it.

use axum::{Router, body::Body, middleware, routing::get};
use serde_json::Value;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use super::*;

fn app() -> Router {
    Router::new()
        .route("/ok", get(|| async { "fine" }))
        .route("/known", get(|| async { ApiError::new(&problem::HOOK_TAKEN, "by another") }))
        .route("/broken", get(|| async { ApiError::internal(std::io::Error::other("the password is hunter2")) }))
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("the password is hunter2")
                }
            }),
        )
        .route("/bare", get(|| async { (StatusCode::PAYLOAD_TOO_LARGE, "too much") }))
        .route("/workflow", get(|| async { (StatusCode::NOT_FOUND, axum::Extension(AsItIs), "mine") }))
        .route("/slow", get(std::future::pending::<()>))
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(middleware::from_fn_with_state(Duration::from_millis(20), deadline))
        .layer(middleware::from_fn(envelope))
}

async fn call(path: &str, request_id: &str) -> (u16, Option<String>, String, String) {
    let request = Request::get(path).header("x-request-id", request_id).body(Body::empty()).unwrap();
    let response = app().oneshot(request).await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (status, content_type, id) = (response.status().as_u16(), header("content-type"), header("x-request-id").unwrap());
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, content_type, id, String::from_utf8(body.to_vec()).unwrap())
}

#[track_caller]
fn check_problem((status, content_type, id, body): (u16, Option<String>, String, String), code: &str, expected: u16) {
    assert_eq!((status, content_type.as_deref()), (expected, Some("application/problem+json")));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((body["status"].as_u64(), body["code"].as_str()), (Some(u64::from(expected)), Some(code)));
    assert_eq!((body["type"].as_str(), body["request_id"].as_str()), (Some(&*format!("/problems/{code}")), Some(&*id)));
    assert!(body["title"].is_string() && body["detail"].is_string());
}

#[tokio::test]
async fn writes_every_error_as_a_problem() {
    check_problem(call("/known", "r1").await, "hook_taken", 409);
    check_problem(call("/broken", "r1").await, "internal", 500);
    check_problem(call("/panic", "r1").await, "internal", 500);
    check_problem(call("/bare", "r1").await, "too_large", 413);
    check_problem(call("/nowhere", "r1").await, "not_found", 404);
    check_problem(call("/slow", "r1").await, "timeout", 504);
}

#[tokio::test]
async fn tells_nothing_of_an_internal_failure() {
    for path in ["/broken", "/panic"] {
        let (_, _, _, body) = call(path, "r1").await;
        assert!(!body.contains("hunter2"), "{body}");
    }
}

#[tokio::test]
async fn leaves_alone_what_is_no_problem_of_the_server() {
    assert_eq!(call("/ok", "r1").await.3, "fine");
    let (status, _, _, body) = call("/workflow", "r1").await;
    assert_eq!((status, body.as_str()), (404, "mine"));
}

#[tokio::test]
async fn keeps_a_fit_request_id_and_replaces_another() {
    assert_eq!(call("/ok", "abc-1").await.2, "abc-1");
    assert_eq!(call("/ok", &"x".repeat(200)).await.2.len(), 32);
}
