//! A server that workflows can call: it counts its calls, and answers as the path asks.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::any,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

/// The header `traceparent` of each call of `/trace`.
type Traces = Arc<Mutex<Vec<Option<String>>>>;

/// A running receiver; it stops when it is dropped.
pub(crate) struct Receiver {
    base: String,
    calls: Arc<AtomicUsize>,
    traces: Traces,
    is_healthy: Arc<AtomicBool>,
    _server: JoinSet<()>,
}

impl Receiver {
    /// Starts one on a free port. `/ok` answers at once, `/slow` after two minutes, `/broken` with 500, and so does `/flaky` until
    /// [`Receiver::heal`]. `/trace` keeps the trace of the call.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(AtomicUsize::new(0));
        let traces = Traces::default();
        let (kept, counted) = (Arc::clone(&traces), Arc::clone(&calls));
        let trace = move |headers: HeaderMap| async move {
            kept.lock().unwrap().push(headers.get("traceparent").map(|value| value.to_str().unwrap().to_owned()));
            counted.fetch_add(1, Ordering::SeqCst);
            Json(json!({}))
        };
        let is_healthy = Arc::new(AtomicBool::new(false));
        let health = Arc::clone(&is_healthy);
        let flaky = async move |state: State<Arc<AtomicUsize>>| match health.load(Ordering::SeqCst) {
            true => Ok(ok(state).await),
            false => Err(StatusCode::INTERNAL_SERVER_ERROR),
        };
        let router = Router::new()
            .route("/trace", any(trace))
            .route("/flaky", any(flaky))
            .route("/ok", any(ok))
            .route("/slow", any(slow))
            .route("/broken", any(async || StatusCode::INTERNAL_SERVER_ERROR))
            .with_state(Arc::clone(&calls));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, calls, traces, is_healthy, _server: server }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The traces of the calls of `/trace`.
    pub(crate) fn traces(&self) -> Vec<Option<String>> {
        self.traces.lock().unwrap().clone()
    }

    /// Lets `/flaky` answer as `/ok` does from now on.
    pub(crate) fn heal(&self) {
        self.is_healthy.store(true, Ordering::SeqCst);
    }

    /// Calls of `/ok`, `/slow` and `/trace`, and those of `/flaky` that went well, so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

async fn ok(State(calls): State<Arc<AtomicUsize>>) -> Json<Value> {
    Json(json!({ "call": calls.fetch_add(1, Ordering::SeqCst) + 1 }))
}

async fn slow(State(calls): State<Arc<AtomicUsize>>) -> Json<Value> {
    let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
    tokio::time::sleep(Duration::from_secs(120)).await;
    Json(json!({ "call": call }))
}
