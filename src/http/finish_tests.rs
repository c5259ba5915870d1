//! Changes whose client hangs up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, http::Method, middleware::from_fn, routing::any};
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use super::*;

const LONG: Duration = Duration::from_millis(50);

/// Sends a request, hangs up while it is answered, and says whether it came to its end.
async fn finishes(method: Method) -> bool {
    let ends = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ends);
    let handler = any(async move || {
        tokio::time::sleep(LONG).await;
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let router = Router::new().route("/", handler).layer(from_fn(finish_changes));
    let request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
    assert!(tokio::time::timeout(LONG / 2, router.oneshot(request)).await.is_err());
    tokio::time::sleep(LONG * 2).await;
    ends.load(Ordering::Relaxed) == 1
}

#[tokio::test(start_paused = true)]
async fn a_change_is_finished_although_the_client_hangs_up() {
    assert!(finishes(Method::POST).await && finishes(Method::DELETE).await);
    assert!(!finishes(Method::GET).await, "nobody wants the answer any more");
}

#[tokio::test]
async fn a_panic_is_answered() {
    let router = Router::new().route("/", any(async || -> () { panic!("no") }));
    let router = router.layer(from_fn(finish_changes)).layer(CatchPanicLayer::new());
    let request = Request::builder().method(Method::POST).uri("/").body(Body::empty()).unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), 500);
}
