//! The events of executions as streams: gapless over every cut, and bounded in number.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, EventStream, Line, Receiver, ServerProcess, TestApp, client::send, eventually, workflows};

/// Items of the loop whose events are cut; each is a call of its own, and so several commits.
const ITEMS: usize = 30;

/// Calls a URL for one item after the other.
fn calls_in_a_loop(url: &str) -> Value {
    json!({
        "name": "calls",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "each", "type": "loop" },
            { "id": "call", "type": "http.request", "params": { "url": url, "method": "POST" } },
        ],
        "edges": [
            { "from": "start", "to": "each" },
            { "from": "each", "port": "loop", "to": "call" },
            { "from": "call", "to": "each" },
        ],
    })
}

/// A stream of an execution's events after one of them.
async fn open(client: &Client, id: &str, last: Option<u32>) -> EventStream {
    let request = client.request(Method::GET, &format!("/executions/{id}/events"));
    EventStream::open(match last {
        Some(last) => request.header("last-event-id", last.to_string()),
        None => request,
    })
    .await
}

/// Checks that these are all events from the first on, each once, and then the end.
#[track_caller]
fn assert_gapless(lines: &[Line], status: &str) {
    let (end, events) = lines.split_last().unwrap();
    let numbers: Vec<u32> = events.iter().map(|line| line.id.unwrap()).collect();
    assert_eq!(numbers, (0..).take(events.len()).collect::<Vec<u32>>());
    assert_eq!((&*events[0].name, &*events.last().unwrap().name), ("created", "finished"));
    assert_eq!((&*end.name, end.id, &end.data["status"]), ("end", None, &json!(status)));
}

/// Numbers that look like chance and are the same in every run.
fn dice(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |sides| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % sides
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_anywhere_goes_on_without_a_gap_or_a_double() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let workflow = app.client.create_workflow(&calls_in_a_loop(&receiver.url("/ok"))).await;
    let input: Vec<Value> = (0..ITEMS).map(|n| json!({ "n": n })).collect();
    let mut roll = dice(7);
    for round in 0..4 {
        let id = app.client.start(&workflow, &json!({ "input": input })).await;
        let (mut lines, mut cuts): (Vec<Line>, u32) = (Vec::new(), 0);
        while lines.last().is_none_or(|line| line.name != "end") {
            let last = lines.iter().rev().find_map(|line| line.id);
            let mut stream = open(&app.client, &id, last).await;
            // Some connections bring nothing, some a few events, one at last the end.
            for _ in 0..roll(12) {
                let Some(line) = stream.next().await else { break };
                lines.push(line);
            }
            cuts += 1;
        }
        assert_gapless(&lines, "succeeded");
        assert!(cuts > 5, "round {round} was cut {cuts} times");
        let replayed = open(&app.client, &id, None).await.rest().await;
        assert_eq!(replayed, lines, "a replay says the same");
        let begun = lines.iter().filter(|line| line.name == "node_started").count();
        assert_eq!(begun, ITEMS, "live and replayed are one row of events");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_stream_goes_on_after_a_kill_and_a_restart() {
    let server = ServerProcess::start();
    let workflow = server.client().create_workflow(&workflows::waiting()).await;
    let id = server.client().start(&workflow, &json!({ "input": { "n": 1 } })).await;
    let mut lines = open(&server.client(), &id, None).await.until("wait_started").await;
    let last = lines.last().unwrap().id;

    let server = server.kill_and_restart();
    let client = server.client();
    let stream = open(&client, &id, last).await;
    assert_eq!(client.post(&format!("/executions/{id}/signal/go"), &json!({ "by": "me" })).await.status, 202);
    lines.extend(stream.rest().await);
    assert_gapless(&lines, "succeeded");
    assert!(lines.iter().any(|line| line.name == "signal_received" && line.data["name"] == "go"));
}

#[tokio::test]
async fn a_stopping_server_sends_its_streams_elsewhere() {
    let mut server = ServerProcess::start();
    let client = server.client();
    let workflow = client.create_workflow(&workflows::waiting()).await;
    let id = client.start(&workflow, &json!({})).await;
    let mut stream = open(&client, &id, None).await;
    let mut lines = stream.until("wait_started").await;
    server.terminate();
    let moved = stream.until("moved").await;
    assert_eq!((moved.len(), &moved[0].data["execution_id"]), (1, &json!(id)));
    assert_eq!(stream.next().await, None);
    assert!(server.ended().await.success(), "an open stream does not hold the server back");

    let server = server.restart();
    let stream = open(&server.client(), &id, lines.last().unwrap().id).await;
    server.client().post(&format!("/executions/{id}/cancel"), &json!({})).await;
    lines.extend(stream.rest().await);
    assert_gapless(&lines, "cancelled");
}

#[tokio::test]
async fn streams_limit_obeyed_and_violated() {
    let app = TestApp::start_with(|config| config.limits.streams_max = 2).await;
    let workflow = app.client.create_workflow(&workflows::waiting()).await;
    let id = app.client.start(&workflow, &json!({})).await;
    let path = format!("/executions/{id}/events");
    let first = open(&app.client, &id, None).await;
    let second = open(&app.client, &id, None).await;
    let refused = app.client.get(&path).await;
    refused.assert_problem(429, "too_many_streams");
    assert_eq!(refused.header("retry-after"), "5");
    let start = app.client.request(Method::POST, &format!("/workflows/{workflow}/executions"));
    send(start.header("accept", "text/event-stream").json(&json!({}))).await.assert_problem(429, "too_many_streams");
    assert_eq!(app.client.get("/executions").await.body["items"].as_array().unwrap().len(), 1, "and nothing was started");

    drop(first);
    let third = eventually("a place is free", async || {
        let response = app.client.request(Method::GET, &path).send().await.unwrap();
        (response.status() == 200).then_some(response)
    })
    .await;
    drop((second, third));
    app.stop().await;
}

#[tokio::test]
async fn shows_items_only_when_asked_and_begins_where_it_is_told() {
    let app = TestApp::start().await;
    let workflow = app.client.create_workflow(&workflows::mark()).await;
    let id = app.client.run(&workflow, &json!({ "input": { "private": 7 } })).await.text("id");
    let path = format!("/executions/{id}/events");
    let read =
        async |query: &str| EventStream::open(app.client.request(Method::GET, &format!("{path}{query}"))).await.rest().await;
    let bare = read("").await;
    assert_gapless(&bare, "succeeded");
    assert!(!format!("{bare:?}").contains("private"));
    let full = read("?include=data").await;
    assert_eq!(full[0].data["items"][0]["json"], json!({ "private": 7 }));
    assert_eq!(full[1].data["outputs"][0]["items"][0]["json"], json!({ "private": 7, "seen": true }));

    // The journal of a pure flow is one row: the place lies inside of it.
    assert_eq!(read("?after=0").await, bare[1..]);
    assert_eq!(read("?after=2").await, bare[3..]);
    assert_eq!(read("?after=4294967295").await, bare[3..], "nothing but the end is left");
    let both = app.client.request(Method::GET, &format!("{path}?after=0")).header("last-event-id", "1");
    assert_eq!(EventStream::open(both).await.rest().await, bare[2..], "the header knows better than the address");

    let wrong = app.client.request(Method::GET, &path).header("last-event-id", "x");
    send(wrong).await.assert_problem(400, "invalid_header");
    app.client.get(&format!("{path}?after=-1")).await.assert_problem(400, "invalid_query");
    let nowhere = "/executions/exe_01900000000070008000000000000001/events";
    app.client.get(nowhere).await.assert_problem(404, "execution_not_found");
    app.stop().await;
}

#[tokio::test]
async fn a_start_can_be_answered_with_its_events() {
    let app = TestApp::start().await;
    let workflow = app.client.create_workflow(&workflows::mark()).await;
    let start = || {
        let request = app.client.request(Method::POST, &format!("/workflows/{workflow}/executions"));
        request.header("idempotency-key", "k").json(&json!({ "input": { "n": 1 } }))
    };
    let first = EventStream::open(start()).await;
    let location = first.headers()["location"].to_str().unwrap().to_owned();
    let lines = first.rest().await;
    assert_gapless(&lines, "succeeded");
    assert_eq!(format!("/api/v1/executions/{}", lines.last().unwrap().data["execution_id"].as_str().unwrap()), location);

    let again = EventStream::open(start()).await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.rest().await, lines);
    app.stop().await;
}

#[tokio::test]
async fn a_webhook_can_answer_with_what_an_outsider_may_know() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let mut definition = workflows::call(&receiver.url("/ok"));
    definition["nodes"][0] = json!({
        "id": "start", "type": "webhook",
        "params": { "path": "watched", "respond": "stream", "headers": { "x-a": "b" } },
    });
    definition["nodes"].as_array_mut().unwrap().push(json!({
        "id": "say", "type": "respond", "params": { "body": { "call": "{{ $json.call }}" } },
    }));
    definition["edges"].as_array_mut().unwrap().push(json!({ "from": "call", "to": "say" }));
    app.client.publish(&definition).await;
    let deliver = || {
        let request = app.client.anonymous().request(Method::POST, "/hooks/watched");
        request.header("idempotency-key", "m1").json(&json!({ "private": 7 }))
    };
    let stream = EventStream::open(deliver()).await;
    assert_eq!(
        (&stream.headers()["x-a"], &stream.headers()["content-security-policy"]),
        (&"b".parse().unwrap(), &"sandbox".parse().unwrap())
    );
    let lines = stream.rest().await;
    let execution = lines[0].data["execution_id"].clone();
    let line = |name: &str, data: Value| Line { id: None, name: name.to_owned(), data };
    let state = |status: &str| json!({ "execution_id": execution, "status": status });
    let expected = [line("status", state("running")), line("response", json!({ "call": 1 })), line("end", state("succeeded"))];
    assert_eq!(lines, expected);

    let again = EventStream::open(deliver()).await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!((again.rest().await, receiver.calls()), (lines, 1), "a repeated delivery sees the first one's execution");
    app.stop().await;
}
