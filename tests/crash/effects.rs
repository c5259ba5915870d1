//! The world outside: an HTTP server that counts how often each effect was asked for.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

/// How long an effect takes.
const EFFECT_TAKES: Duration = Duration::from_millis(30);

type Counts = Arc<Mutex<BTreeMap<(u64, String), u32>>>;

/// Counts `POST /effect` by the `n` and `step` of its body.
pub(crate) struct Effects {
    pub(crate) address: SocketAddr,
    counts: Counts,
    _server: JoinSet<()>,
}

impl Effects {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Counts::default();
        let router = Router::new().route("/effect", post(effect)).with_state(Arc::clone(&counts));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, counts, _server: server }
    }

    /// How often each effect was asked for, by execution number and step.
    pub(crate) fn counts(&self) -> BTreeMap<(u64, String), u32> {
        self.counts.lock().unwrap().clone()
    }

    pub(crate) fn total(&self) -> u32 {
        self.counts.lock().unwrap().values().sum()
    }
}

async fn effect(State(counts): State<Counts>, headers: HeaderMap, Json(body): Json<Value>) -> Json<Value> {
    assert!(headers.contains_key("idempotency-key"), "an effect carries its key");
    let key = (body["n"].as_u64().unwrap(), body["step"].as_str().unwrap().to_owned());
    *counts.lock().unwrap().entry(key).or_default() += 1;
    tokio::time::sleep(EFFECT_TAKES).await;
    Json(json!({ "n": body["n"], "done": body["step"] }))
}
