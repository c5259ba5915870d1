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

/// Requests by the `n` and `step` of their bodies, and how many were under way at the same time.
#[derive(Default)]
struct Counts {
    asked: BTreeMap<(u64, String), u32>,
    under_way: u32,
    most_under_way: u32,
}

type Shared = Arc<Mutex<Counts>>;

/// Counts `POST /effect`.
pub(crate) struct Effects {
    pub(crate) address: SocketAddr,
    counts: Shared,
    _server: JoinSet<()>,
}

impl Effects {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Shared::default();
        let router = Router::new().route("/effect", post(effect)).with_state(Arc::clone(&counts));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, counts, _server: server }
    }

    /// How often each effect was asked for, by execution number and step.
    pub(crate) fn counts(&self) -> BTreeMap<(u64, String), u32> {
        self.counts.lock().unwrap().asked.clone()
    }

    /// The most requests that were under way at the same time.
    pub(crate) fn most_under_way(&self) -> u32 {
        self.counts.lock().unwrap().most_under_way
    }

    pub(crate) fn total(&self) -> u32 {
        self.counts.lock().unwrap().asked.values().sum()
    }
}

/// A request that is under way, until its answer is made or its client has died.
struct UnderWay(Shared);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().unwrap().under_way -= 1;
    }
}

async fn effect(State(counts): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Json<Value> {
    assert!(headers.contains_key("idempotency-key"), "an effect carries its key");
    let key = (body["n"].as_u64().unwrap(), body["step"].as_str().unwrap().to_owned());
    {
        let mut counts = counts.lock().unwrap();
        *counts.asked.entry(key).or_default() += 1;
        counts.under_way += 1;
        counts.most_under_way = counts.most_under_way.max(counts.under_way);
    }
    let _under_way = UnderWay(counts);
    tokio::time::sleep(EFFECT_TAKES).await;
    Json(json!({ "n": body["n"], "done": body["step"] }))
}
