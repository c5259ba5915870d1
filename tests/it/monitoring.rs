//! What a server tells of itself: figures for Prometheus, counters, and its actors.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{Client, Receiver, ServerProcess, TestApp, eventually, workflows};

/// Names and types of `docs/monitoring.md` that a server has from its start on.
const FROM_THE_START: &[(&str, &str)] = &[
    ("citadel_build_info", "gauge"),
    ("citadel_executions_started_total", "counter"),
    ("citadel_executions_finished_total", "counter"),
    ("citadel_execution_duration_seconds", "histogram"),
    ("citadel_node_duration_seconds", "histogram"),
    ("citadel_schedule_lag_seconds", "histogram"),
    ("citadel_schedule_missed_total", "counter"),
    ("citadel_queue_depth", "gauge"),
    ("citadel_queue_oldest_age_seconds", "gauge"),
    ("citadel_actor_mailbox_depth", "gauge"),
    ("citadel_actor_mailbox_wait_seconds", "histogram"),
    ("citadel_actor_handle_seconds", "histogram"),
    ("citadel_actor_messages_total", "counter"),
    ("citadel_actor_restarts_total", "counter"),
    ("citadel_actors_live", "gauge"),
    ("citadel_egress_denied_total", "counter"),
    ("citadel_audit_rows_total", "counter"),
    ("citadel_audit_lost_total", "counter"),
    ("citadel_rate_limits_unshared_total", "counter"),
    ("citadel_cluster_nodes", "gauge"),
    ("citadel_executions_live", "gauge"),
    ("citadel_pool_slots", "gauge"),
    ("citadel_pool_memory_bytes", "gauge"),
    ("citadel_lane_batch_rows", "histogram"),
    ("citadel_lane_commit_seconds", "histogram"),
    ("citadel_store_connections", "gauge"),
    ("citadel_http_connections", "gauge"),
    ("process_resident_memory_bytes", "gauge"),
];
/// Those that begin with their first event.
const FROM_THE_FIRST_EVENT: [(&str, &str); 2] =
    [("citadel_node_failures_total", "counter"), ("citadel_webhook_requests_total", "counter")];

/// An exposition, read as strictly as Prometheus reads it.
#[derive(Debug, Default)]
struct Exposition {
    types: BTreeMap<String, String>,
    /// By name and labels as they are written.
    samples: BTreeMap<String, f64>,
}

impl Exposition {
    async fn of(client: &Client) -> Self {
        let answer = client.get("/metrics").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
        Self::parse(answer.body.as_str().unwrap())
    }

    fn parse(text: &str) -> Self {
        let mut read = Self::default();
        let mut helped = BTreeSet::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                assert!(helped.insert(help.split(' ').next().unwrap()), "two helps: {line}");
            } else if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').unwrap();
                assert_eq!(read.types.insert(name.to_owned(), kind.to_owned()), None, "two types: {line}");
            } else {
                read.sample(line);
            }
        }
        read.check_histograms();
        read
    }

    fn sample(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let declared = self.types.get(name).or_else(|| base.and_then(|base| self.types.get(base)));
        let declared = declared.unwrap_or_else(|| panic!("no type before {line}"));
        assert_eq!(base.is_some_and(|base| self.types.contains_key(base)), declared == "histogram", "{line}");
        for (label, value) in labels_of(series) {
            assert!(!label.contains("id") && !value.contains("_0"), "a label names one thing: {line}");
        }
        assert_eq!(self.samples.insert(series.to_owned(), value.parse().unwrap()), None, "two samples: {line}");
    }

    /// Buckets grow, and the last one is the count.
    fn check_histograms(&self) {
        for (name, _) in self.types.iter().filter(|(_, kind)| *kind == "histogram") {
            let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
            for (series, count) in self.samples.iter().filter(|(series, _)| series.starts_with(&format!("{name}_bucket{{"))) {
                let (bound, rest): (Vec<_>, Vec<_>) = labels_of(series).into_iter().partition(|(label, _)| label == "le");
                let bound = bound[0].1.parse().unwrap();
                buckets.entry(format!("{rest:?}")).or_default().push((bound, *count));
            }
            for (labels, mut buckets) in buckets {
                buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
                assert!(buckets.is_sorted_by(|left, right| left.1 <= right.1), "{name} {labels}: {buckets:?}");
                assert_eq!(buckets.last().unwrap().0, f64::INFINITY, "{name} {labels}");
            }
        }
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.samples))
    }
}

fn labels_of(series: &str) -> Vec<(String, String)> {
    let Some((_, labels)) = series.split_once('{') else { return Vec::new() };
    let pairs = labels.trim_end_matches('}').split("\",").map(|pair| pair.split_once("=\"").unwrap());
    pairs.map(|(label, value)| (label.to_owned(), value.trim_end_matches('"').to_owned())).collect()
}

#[tokio::test]
async fn has_every_figure_under_its_name_and_type() {
    let server = ServerProcess::start();
    let client = server.client();
    let first = Exposition::of(&client).await;
    for (name, kind) in FROM_THE_START.iter().copied() {
        assert_eq!(first.types.get(name).map(String::as_str), Some(kind), "{name}");
    }
    let version = format!("citadel_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(first.value(&version), 1.0);
    assert_eq!(first.value("citadel_cluster_nodes{state=\"serving\"}"), 1.0);
    assert_eq!(first.value("citadel_cluster_nodes{state=\"draining\"}"), 0.0);
    assert!(first.value("process_resident_memory_bytes") > 1e6);
    assert!(first.value("citadel_http_connections") >= 1.0);
    for queue in ["io", "wasm", "lane"] {
        assert_eq!(first.value(&format!("citadel_queue_depth{{queue=\"{queue}\"}}")), 0.0);
    }

    let call = client.create_workflow(&workflows::call("http://10.255.255.1/")).await;
    assert_eq!(client.run(&call, &json!({})).await.body["error"]["code"], "egress_denied");
    client.publish(&workflows::hook(json!({ "path": "counted", "respond": "last_node" }))).await;
    assert_eq!(client.post("/hooks/counted", &json!({})).await.status, 200);
    client.post("/hooks/unknown", &json!({})).await.assert_problem(404, "hook_not_found");

    let second = Exposition::of(&client).await;
    for (name, kind) in FROM_THE_FIRST_EVENT {
        assert_eq!(second.types.get(name).map(String::as_str), Some(kind), "{name}");
    }
    let moved = [
        ("citadel_executions_started_total{trigger=\"manual\"}", 1.0),
        ("citadel_executions_started_total{trigger=\"webhook\"}", 1.0),
        ("citadel_executions_finished_total{status=\"failed\"}", 1.0),
        ("citadel_executions_finished_total{status=\"succeeded\"}", 1.0),
        ("citadel_execution_duration_seconds_count", 2.0),
        ("citadel_node_duration_seconds_count{type=\"http.request\"}", 1.0),
        ("citadel_node_duration_seconds_count{type=\"set\"}", 1.0),
        ("citadel_node_failures_total{type=\"http.request\",code=\"egress_denied\"}", 1.0),
        ("citadel_webhook_requests_total{code=\"200\"}", 1.0),
        ("citadel_webhook_requests_total{code=\"404\"}", 1.0),
        ("citadel_egress_denied_total", 1.0),
    ];
    for (series, expected) in moved {
        assert_eq!(second.value(series), expected, "{series}");
    }
    for (series, least) in [
        ("citadel_lane_batch_rows_count", 2.0),
        ("citadel_actor_messages_total{kind=\"lane\",direction=\"in\"}", 2.0),
        ("citadel_actor_messages_total{kind=\"lane\",direction=\"out\"}", 2.0),
        ("citadel_actor_handle_seconds_count{kind=\"execution\"}", 2.0),
    ] {
        assert!(second.value(series) >= least, "{series}: {}", second.value(series));
    }
}

#[tokio::test]
async fn figures_need_a_token_unless_they_are_public() {
    let app = TestApp::start().await;
    app.client.anonymous().get("/metrics").await.assert_problem(401, "unauthenticated");
    app.stop().await;
    let app = TestApp::start_with(|config| config.metrics.public = true).await;
    assert_eq!(app.client.anonymous().get("/metrics").await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn counts_for_dashboards() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let mark = app.client.create_workflow(&workflows::mark()).await;
    let slow = app.client.create_workflow(&workflows::call(&receiver.url("/slow"))).await;
    let broken = app.client.create_workflow(&workflows::call(&receiver.url("/broken"))).await;
    app.client.run(&mark, &json!({})).await;
    app.client.run(&broken, &json!({})).await;
    let running = app.client.start(&slow, &json!({})).await;
    eventually("the call is in flight", async || (receiver.calls() == 1).then_some(())).await;

    let stats = app.client.get("/stats").await.body;
    let counts = |total: u64| json!({ "total": total, "last_minute": total, "last_hour": total });
    let executions = &stats["executions"];
    assert_eq!((&executions["live"], &executions["live_max"]), (&json!(1), &json!(10_000)));
    assert_eq!((&executions["started"], &executions["finished"], &executions["failed"]), (&counts(3), &counts(2), &counts(1)));
    assert_eq!(executions["started_by_trigger"]["manual"], counts(3));
    assert_eq!(executions["finished_by_status"]["succeeded"], counts(1));
    // Triggers are not run: they begin with what the execution was given.
    assert_eq!((&stats["node_runs"], &stats["node_failures"]), (&counts(2), &counts(1)));
    assert!(stats["rates"]["started_per_second"].as_f64().unwrap() > 0.0);
    let io = stats["pools"].as_array().unwrap().iter().find(|pool| pool["name"] == "io").unwrap();
    assert_eq!((&io["busy"], &io["queued"], &stats["queued"]), (&json!(1), &json!(0), &json!(0)));
    assert_eq!(stats["lane"]["depth_max"], json!(20_000));
    app.client.anonymous().get("/stats").await.assert_problem(401, "unauthenticated");
    app.client.post(&format!("/executions/{running}/cancel"), &json!({})).await;
    app.client.reaches(&running, "cancelled").await;
    app.stop().await;
}

/// Every actor of a tree.
fn flat(tree: &Value) -> Vec<&Value> {
    tree.as_array().unwrap().iter().flat_map(|actor| std::iter::once(actor).chain(flat(&actor["children"]))).collect()
}

#[tokio::test]
async fn shows_the_tree_of_actors() {
    let receiver = Receiver::start().await;
    let server = ServerProcess::start();
    let client = server.client();
    let slow = client.create_workflow(&workflows::call(&receiver.url("/slow"))).await;
    let running = client.start(&slow, &json!({})).await;
    eventually("the call is in flight", async || (receiver.calls() == 1).then_some(())).await;

    let seen = client.get("/actors").await.body;
    let [root] = seen["tree"].as_array().unwrap().as_slice() else { panic!("one root: {seen}") };
    assert_eq!((&root["kind"], &root["serves"]), (&json!("supervisor"), &json!("root")));
    let services: Vec<&str> = root["children"].as_array().unwrap().iter().map(|child| child["kind"].as_str().unwrap()).collect();
    for kind in ["lane", "pool", "shard_keeper", "execution_supervisor", "timekeeper"] {
        assert!(services.contains(&kind), "{services:?}");
    }
    let actors = flat(&seen["tree"]);
    assert_eq!(seen["actors_live"], json!(actors.len()));
    let execution = actors.iter().find(|actor| actor["kind"] == "execution").unwrap();
    assert_eq!(execution["serves"], json!(running));
    let [node] = execution["children"].as_array().unwrap().as_slice() else { panic!("one node: {execution}") };
    assert_eq!((&node["kind"], &node["serves"]), (&json!("node"), &json!(running)));
    assert!(seen["kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] == "node" && kind["live"] == 1));

    let one = client.get(&format!("/actors/{}", execution["id"].as_str().unwrap())).await;
    assert_eq!((&one.body["serves"], one.body["children"].as_array().unwrap().len()), (&json!(running), 1));
    client.get("/actors/0.987654321").await.assert_problem(404, "actor_not_found");
    client.get("/actors/nonsense").await.assert_problem(404, "actor_not_found");
    for path in ["/actors", "/actors/0.1", "/actors/stream"] {
        client.anonymous().get(path).await.assert_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn streams_the_actors_to_a_bounded_number_of_watchers() {
    let mut server = ServerProcess::start();
    let client = server.client();
    let mut watchers = Vec::new();
    for _ in 0..16 {
        let response = client.request(reqwest::Method::GET, "/actors/stream").send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        watchers.push(response);
    }
    let refused = client.get("/actors/stream").await;
    refused.assert_problem(429, "overloaded");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    let mut watcher = watchers.pop().unwrap();
    for _ in 0..2 {
        let event = next_event(&mut watcher).await.unwrap();
        let data = event.strip_prefix("event: actors\ndata: ").unwrap_or_else(|| panic!("{event}"));
        let body: Value = serde_json::from_str(data).unwrap();
        assert_eq!(body["tree"][0]["serves"], "root");
    }
    drop(watchers);
    eventually("there is a place again", async || {
        (client.request(reqwest::Method::GET, "/actors/stream").send().await.unwrap().status() == 200).then_some(())
    })
    .await;

    server.terminate();
    let mut last = String::new();
    while let Some(event) = next_event(&mut watcher).await {
        last = event;
    }
    assert_eq!(last, "event: moved\ndata: {}");
    assert!(server.ended().await.success(), "a stream does not hold up the end");
}

/// The next whole event of a stream; `None` at its end.
async fn next_event(response: &mut reqwest::Response) -> Option<String> {
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        text += std::str::from_utf8(&response.chunk().await.unwrap()?).unwrap();
    }
    Some(text.trim_end().to_owned())
}
