//! A real server that gets many times what it can do: it refuses what is too much, loses nothing that it has acknowledged, does
//! not grow, and is well again as soon as it is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Client, ServerProcess, client::send, eventually};

const CLIENTS: usize = 64;
const STORM: Duration = Duration::from_secs(4);
/// Executions in memory at once, and how long each stays: so the server can do 100 a second.
const LIVE_MAX: &str = "10";
const STAY_MS: u32 = 100;
/// Memory that the storm may cost.
const GROWTH_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Stays in memory for a moment.
fn short_nap(trigger: Value) -> Value {
    json!({
        "name": "nap",
        "nodes": [trigger, { "id": "nap", "type": "wait", "params": { "for": format!("{STAY_MS}ms") } }],
        "edges": [{ "from": "start", "to": "nap" }],
    })
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    statuses: BTreeMap<u16, usize>,
    /// Executions that were acknowledged.
    started: BTreeSet<String>,
}

/// Asks again and again until the storm is over.
async fn ask_without_pause(client: Client, paths: [String; 3], until: Instant, offset: usize) -> Seen {
    let mut seen = Seen::default();
    for turn in offset.. {
        if Instant::now() >= until {
            break;
        }
        let path = &paths[turn % paths.len()];
        let request = if path == "/executions?limit=1" {
            client.request(Method::GET, path)
        } else {
            client.request(Method::POST, path).json(&json!({}))
        };
        let answer = send(request).await;
        *seen.statuses.entry(answer.status).or_default() += 1;
        match answer.status {
            200..=299 => {
                let id = answer.body["id"].as_str().or_else(|| answer.body["execution_id"].as_str());
                seen.started.extend(id.map(str::to_owned));
            }
            429 | 503 => {
                assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{answer:?}");
                assert_eq!(answer.header("content-type"), "application/problem+json");
            }
            status => panic!("{status} under load: {answer:?}"),
        }
    }
    seen
}

/// The most memory that the server had while `until` was to come.
async fn watch_memory(pid: u32, until: Instant) -> u64 {
    let mut most = 0;
    while Instant::now() < until {
        most = most.max(resident_bytes(pid));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    most
}

pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_what_is_too_much_and_loses_nothing_of_the_rest() {
    let server = ServerProcess::start_with(&[
        ("CITADEL__LIMITS__EXECUTIONS_LIVE_MAX", LIVE_MAX),
        ("CITADEL__LIMITS__LANE_DEPTH_MAX", "64"),
        ("CITADEL__LIMITS__HTTP_CONNECTIONS_MAX", "100"),
        ("CITADEL__LIMITS__HOOKS_PER_SECOND", "200"),
        ("CITADEL__LIMITS__HOOKS_BURST", "200"),
    ]);
    let client = server.client();
    let workflow = client.create_workflow(&short_nap(json!({ "id": "start", "type": "manual" }))).await;
    let hook = json!({ "id": "start", "type": "webhook", "params": { "path": "storm" } });
    client.publish(&short_nap(hook)).await;
    let before = resident_bytes(server.pid());

    let until = Instant::now() + STORM;
    let paths = [format!("/workflows/{workflow}/executions"), "/hooks/storm".to_owned(), "/executions?limit=1".to_owned()];
    let mut clients = JoinSet::new();
    for offset in 0..CLIENTS {
        clients.spawn(ask_without_pause(client.clone(), paths.clone(), until, offset));
    }
    let memory = watch_memory(server.pid(), until).await;
    let mut seen = Seen::default();
    while let Some(one) = clients.join_next().await {
        let one = one.unwrap();
        one.statuses.into_iter().for_each(|(status, count)| *seen.statuses.entry(status).or_default() += count);
        seen.started.extend(one.started);
    }

    let refused = seen.statuses.iter().filter(|(status, _)| **status >= 400).map(|(_, count)| count).sum::<usize>();
    assert!(refused >= 5 * seen.started.len() && seen.started.len() > 20, "{:?}, {} started", seen.statuses, seen.started.len());
    assert!(memory < before + GROWTH_BYTES_MAX, "{before} bytes before, {memory} in the storm");

    let began = Instant::now();
    let calm = eventually("a normal start works again", async || {
        let request = client.request(Method::POST, &format!("/workflows/{workflow}/executions")).header("prefer", "wait=10");
        let answer = send(request.json(&json!({}))).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(calm.body["status"], "succeeded");
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    all_have_ended(&client, &seen.started).await;
}

/// Looks at every acknowledged execution: it is there, and it comes to its end.
async fn all_have_ended(client: &Client, started: &BTreeSet<String>) {
    for id in started {
        let found = client.get(&format!("/executions/{id}")).await;
        assert_eq!(found.status, 200, "{id} was acknowledged and is lost, of {}", started.len());
        client.reaches(id, "succeeded").await;
    }
}
