//! What holds for every request: rates, sizes, times, compression, and the methods that say something about a path.

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Answer, Client, PATIENCE, TestApp, client::send, workflows};

fn rate(value: u32) -> std::num::NonZeroU32 {
    value.try_into().unwrap()
}

#[tokio::test]
async fn limits_the_rate_of_a_token_and_of_an_address() {
    let app = TestApp::start_with(|config| {
        (config.limits.requests_per_second, config.limits.requests_burst) = (rate(1), rate(3));
    })
    .await;
    let mut left = Vec::new();
    loop {
        let answer = app.client.get("/auth/me").await;
        assert_eq!(answer.header("ratelimit-policy"), "\"requests\";q=3;w=3");
        if answer.status == 429 {
            answer.assert_problem(429, "rate_limited");
            assert!((1..=3).contains(&answer.header("retry-after").parse::<u32>().unwrap()));
            assert!(answer.header("ratelimit").starts_with("\"requests\";r=0;t="));
            break;
        }
        assert_eq!(answer.status, 200);
        left.push(answer.header("ratelimit").to_owned());
        assert!(left.len() < 20, "{left:?}");
    }
    assert_eq!((left[0].as_str(), left.len() >= 3), ("\"requests\";r=2;t=1", true), "{left:?}");

    // Without a token, or with an invented one, it is the address that is counted.
    let invented = app.client.with_token("ctd_live_nonsense");
    let mut refused = 0;
    for _ in 0..4 {
        let answer = invented.get("/auth/me").await;
        refused += u32::from(answer.status == 429);
        assert!(matches!(answer.status, 401 | 429), "{answer:?}");
    }
    assert!(refused >= 1);
    app.client.anonymous().get("/problems").await.assert_problem(429, "rate_limited");
    for _ in 0..10 {
        let health = app.client.anonymous().get("/healthz").await;
        assert_eq!((health.status, health.headers.contains_key("ratelimit")), (200, false), "probes are not limited");
    }
    app.stop().await;
}

#[tokio::test]
async fn limits_the_rate_of_each_webhook() {
    let app =
        TestApp::start_with(|config| (config.limits.hooks_per_second, config.limits.hooks_burst) = (rate(1), rate(2))).await;
    for path in ["a/{id}", "b"] {
        app.client.publish(&workflows::hook(json!({ "path": path, "respond": "last_node" }))).await;
    }
    let call = async |path: &str| app.client.post(path, &json!({})).await;
    let first = call("/hooks/a/1").await;
    assert_eq!(
        (first.status, first.header("ratelimit"), first.header("ratelimit-policy")),
        (200, "\"hook\";r=1;t=1", "\"hook\";q=2;w=2")
    );
    assert_eq!(call("/hooks/a/2").await.status, 200);
    let refused = call("/hooks/a/3").await;
    refused.assert_problem(429, "rate_limited");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(call("/hooks/b").await.status, 200, "another webhook has a rate of its own");
    app.stop().await;
}

#[tokio::test]
async fn says_nothing_of_rates_where_they_are_not_limited() {
    let app = TestApp::start_with(|config| {
        config.limits.enabled = false;
        (config.limits.requests_per_second, config.limits.requests_burst) = (rate(1), rate(1));
    })
    .await;
    for _ in 0..5 {
        let answer = app.client.get("/auth/me").await;
        assert_eq!((answer.status, answer.headers.contains_key("ratelimit")), (200, false));
    }
    app.stop().await;
}

#[tokio::test]
async fn compresses_long_json_and_nothing_else() {
    let app = TestApp::start().await;
    let client = app.client.without_gzip();
    let raw = async |path: &str, accepts: &str| {
        let request = client.request(Method::GET, path).header("accept-encoding", accepts);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response
    };
    let compressed = raw("/node-types", "gzip").await;
    assert_eq!(compressed.headers()["content-encoding"], "gzip");
    assert_eq!(compressed.headers()["vary"], "accept-encoding");
    let bytes = compressed.bytes().await.unwrap();
    assert_eq!(bytes[..2], [0x1f, 0x8b], "the bytes are gzip");
    let plain = raw("/node-types", "identity").await;
    assert!(!plain.headers().contains_key("content-encoding"));
    assert!(plain.bytes().await.unwrap().len() > 2 * bytes.len());
    for path in ["/auth/me", "/metrics", "/actors/stream"] {
        assert!(!raw(path, "gzip").await.headers().contains_key("content-encoding"), "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn answers_head_and_options_everywhere() {
    let app = TestApp::start().await;
    let id = app.client.publish(&workflows::hook(json!({ "path": "asked", "method": "PUT" }))).await;
    let ask = async |method: Method, path: &str| send(app.client.request(method, path)).await;
    for (path, allow) in [
        ("/workflows", "POST,GET,HEAD"),
        (&*format!("/workflows/{id}"), "GET,HEAD,PUT,DELETE"),
        (&format!("/workflows/{id}/executions"), "POST"),
        ("/executions", "GET,HEAD"),
        ("/executions/exe_01900000000070008000000000000001/cancel", "POST"),
        ("/variables/a", "GET,HEAD,PUT,DELETE"),
        ("/node-types/set/test", "POST"),
        ("/actors/stream", "GET,HEAD"),
        ("/auth/login", "POST"),
        ("/stats", "GET,HEAD"),
        ("/healthz", "GET,HEAD"),
        ("/metrics", "GET,HEAD"),
        ("/problems", "GET,HEAD"),
        ("/hooks/asked", "PUT"),
    ] {
        let options = ask(Method::OPTIONS, path).await;
        assert_eq!((options.status, options.header("allow"), &options.body), (204, allow, &json!("")), "{path}");
        let other = ask(Method::PATCH, path).await;
        other.assert_problem(405, "method_not_allowed");
        assert_eq!(other.header("allow"), allow, "{path}");
    }
    ask(Method::OPTIONS, "/no-such-path").await.assert_problem(404, "not_found");
    ask(Method::OPTIONS, "/hooks/unknown").await.assert_problem(404, "hook_not_found");

    for path in ["/workflows", "/stats", "/node-types/set", "/healthz", "/problems/timeout"] {
        let (get, head) = (ask(Method::GET, path).await, ask(Method::HEAD, path).await);
        assert_eq!((head.status, &head.body), (200, &json!("")), "{path}");
        assert_eq!(head.headers.get("content-type"), get.headers.get("content-type"), "{path}");
    }
    assert_eq!(ask(Method::HEAD, "/workflows/wf_01900000000070008000000000000001").await.status, 404);
    app.stop().await;
}

/// Sends bytes as they are and reads the answer up to the end of its head.
async fn raw(client: &Client, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(client.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let reading = async {
        let mut answer = Vec::new();
        while !answer.windows(4).any(|part| part == b"\r\n\r\n") && stream.read_buf(&mut answer).await.unwrap() > 0 {}
        String::from_utf8(answer).unwrap()
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap()
}

#[tokio::test]
async fn headers_limits_obeyed_and_violated() {
    let app = TestApp::start().await;
    let with_header = async |bytes: usize| {
        let headers = HeaderMap::from_iter([("x-long".parse().unwrap(), "x".repeat(bytes).parse().unwrap())]);
        send(app.client.request(Method::GET, "/auth/me").headers(headers)).await
    };
    assert_eq!(with_header(30 * 1024).await.status, 200);
    with_header(33 * 1024).await.assert_problem(431, "headers_too_large");
    // What does not even fit into the connection's buffer, or has too many parts, is refused before it is a request.
    let head = |lines: &str| format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
    let huge = head(&format!("x-long: {}\r\n", "x".repeat(100 * 1024)));
    assert!(raw(&app.client, huge.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let many = head(&"x-one: 1\r\n".repeat(150));
    assert!(raw(&app.client, many.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    assert!(raw(&app.client, head(&"x-one: 1\r\n".repeat(50)).as_bytes()).await.starts_with("HTTP/1.1 200 "));
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_ends_the_request() {
    let app = TestApp::start_with(|config| config.http.body_timeout = "200ms".parse().unwrap()).await;
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let answer = raw(&app.client, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("application/problem+json"), "{answer}");
    app.stop().await;
}

#[tokio::test]
async fn asks_to_come_again_later_when_it_cannot_take_more() {
    let retry = |answer: &Answer| answer.header("retry-after").parse::<u64>().unwrap();
    let full = TestApp::start_with(|config| config.limits.executions_live_max = 0).await;
    let workflow = full.client.create_workflow(&workflows::mark()).await;
    let start = format!("/workflows/{workflow}/executions");
    let refused = full.client.post(&start, &json!({})).await;
    refused.assert_problem(429, "overloaded");
    assert!(retry(&refused) >= 1);
    full.client.publish(&workflows::hook(json!({ "path": "full" }))).await;
    let refused = full.client.post("/hooks/full", &json!({})).await;
    refused.assert_problem(429, "overloaded");
    assert!(retry(&refused) >= 1);
    full.stop().await;

    let lane = TestApp::start_with(|config| config.limits.lane_depth_max = 0).await;
    let workflow = lane.client.create_workflow(&workflows::mark()).await;
    lane.client.post(&format!("/workflows/{workflow}/executions"), &json!({})).await.assert_problem(429, "overloaded");
    lane.stop().await;

    let app = TestApp::start().await;
    let workflow = app.client.create_workflow(&workflows::mark()).await;
    let start = format!("/workflows/{workflow}/executions");
    app.running().executions.drain();
    let draining = app.client.post(&start, &json!({})).await;
    draining.assert_problem(503, "draining");
    assert!(retry(&draining) >= 1);
    let trial = app.client.post("/node-types/no_op/test", &json!({ "items": [{}] })).await;
    trial.assert_problem(503, "draining");
    assert!(retry(&trial) >= 1);
    assert_eq!(app.client.get("/executions").await.status, 200, "reading goes on");

    app.running().store.close().await;
    for (method, path) in
        [(Method::GET, "/executions"), (Method::GET, "/workflows"), (Method::GET, "/variables"), (Method::DELETE, "/variables/a")]
    {
        let down = send(app.client.request(method, path)).await;
        down.assert_problem(503, "unavailable");
        assert!(retry(&down) >= 1, "{path}");
    }
    let refused = Exposed::of(&app.client).await;
    assert!(refused.has("citadel_http_rejected_total{code=\"draining\"}"), "{refused:?}");
    assert!(refused.has("citadel_http_rejected_total{code=\"unavailable\"}"), "{refused:?}");
    app.stop().await;
}

/// The lines of `/metrics`.
#[derive(Debug)]
struct Exposed(Vec<String>);

impl Exposed {
    async fn of(client: &Client) -> Self {
        let answer = client.get("/metrics").await;
        let Value::String(text) = answer.body else { panic!("no text: {answer:?}") };
        Self(text.lines().filter(|line| line.starts_with("citadel_http")).map(str::to_owned).collect())
    }

    fn has(&self, series: &str) -> bool {
        self.0.iter().any(|line| line.starts_with(series))
    }
}

#[tokio::test]
async fn reads_if_match_alike_wherever_it_is_taken() {
    let app = TestApp::start().await;
    let client = &app.client;
    let workflow = client.create_workflow(&workflows::mark()).await;
    let draft = json!({ "workflow_id": workflow, "every": "1h", "paused": true });
    let schedule = client.post("/schedules", &draft).await.text("id");
    client.post("/variables", &json!({ "name": "a", "value": 1 })).await;
    let credential = json!({ "name": "c", "type": "http_bearer", "fields": { "token": "not-a-real-one" } });
    let credential = client.post("/credentials", &credential).await.text("id");
    let role = json!({ "name": "reader", "permissions": ["workflow:read"] });
    assert_eq!(client.post("/roles", &role).await.status, 201);
    let resources = [
        (format!("/workflows/{workflow}"), workflows::mark(), "workflow_stale"),
        (format!("/schedules/{schedule}"), draft, "schedule_stale"),
        ("/variables/a".to_owned(), json!({ "value": 2 }), "stale"),
        ("/roles/reader".to_owned(), json!({ "permissions": [] }), "stale"),
        (format!("/credentials/{credential}"), json!({ "description": "changed" }), "stale"),
    ];
    let document = client.get("/openapi.json").await.body;
    let takes = |operation: &Value| operation["parameters"].as_array().into_iter().flatten().any(|it| it["name"] == "If-Match");
    let operations = document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    assert_eq!(operations.filter(|operation| takes(operation)).count(), 2 * resources.len(), "all of them are tried here");

    for (path, body, stale) in &resources {
        let change = |tags: &[&[u8]]| {
            let request = client.request(Method::PUT, path).json(body);
            send(tags.iter().fold(request, |request, tag| request.header("if-match", *tag)))
        };
        let delete = |tags: &[&[u8]]| {
            let request = client.request(Method::DELETE, path);
            send(tags.iter().fold(request, |request, tag| request.header("if-match", *tag)))
        };
        change(&[]).await.assert_problem(428, "if_match_required");
        let malformed: [&[&[u8]]; 7] =
            [&[b"1"], &[b""], &[b"\""], &[b"W/1"], &[b"\"1\", \"2\""], &[b"\"1\"", b"\"1\""], &[b"\"\xff\""]];
        for tags in malformed {
            change(tags).await.assert_problem(400, "invalid_header");
            delete(tags).await.assert_problem(400, "invalid_header");
        }
        // Well formed, but the tag of no version.
        for tag in ["\"x\"", "\"+1\"", "\"0\"", "\"7\"", "W/\"7\"", "\"2147483648\"", "\"4294967295\"", "\"4294967296\""] {
            change(&[tag.as_bytes()]).await.assert_problem(412, stale);
            delete(&[tag.as_bytes()]).await.assert_problem(412, stale);
        }
        assert_eq!(change(&[b"W/\"1\""]).await.status, 200, "{path}");
        assert_eq!(change(&[b"*"]).await.status, 200, "{path}");
    }
    // The workflow last: its schedule goes with it.
    for (path, ..) in resources.iter().rev() {
        assert_eq!(send(client.request(Method::DELETE, path).header("if-match", "\"3\"")).await.status, 204, "{path}");
    }
    app.stop().await;
}
