//! The node against a real server on the loopback interface.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use serde_json::{Value, json};

use super::RESPONSE_BYTES_MAX;
use crate::{
    auth::egress::testing::TestServer,
    model::{
        catalog::EffectClass,
        definition::NodeDefinition,
        duration::DurationMs,
        error::NodeError,
        item::{Input, Item},
    },
    nodes::{
        Outcome, Pool,
        effect_testing::{Bench, runner},
        registry::Registry,
        services::Blobs,
        testing::{node, problems},
    },
};

/// Echoes the request as JSON.
async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Json<Value> {
    let headers: BTreeMap<String, String> =
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    Json(json!({
        "method": method.as_str(),
        "uri": uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    }))
}

async fn echo_server() -> TestServer {
    TestServer::start(Router::new().fallback(any(echo))).await
}

fn request(params: Value) -> NodeDefinition {
    node("http.request", params)
}

async fn one(params: Value, item: Value) -> Result<Value, NodeError> {
    let items = Bench::new().run_json(&request(params), json!([item])).await?;
    Ok(items[0].clone())
}

#[tokio::test]
async fn sends_every_method_with_url_query_and_headers() {
    let server = echo_server().await;
    for method in ["GET", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] {
        let params = json!({
            "method": method,
            "url": server.url("/path?a=1"),
            "query": { "b": "x y", "c": [1, true], "d": null },
            "headers": { "X-Custom": "v", "X-Number": 7, "X-Nothing": null },
        });
        let seen = one(params, json!({})).await.unwrap();
        assert_eq!((seen["method"].as_str(), seen["uri"].as_str()), (Some(method), Some("/path?a=1&b=x+y&c=1&c=true")));
        assert_eq!((&seen["headers"]["x-custom"], &seen["headers"]["x-number"]), (&json!("v"), &json!("7")));
        assert_eq!(seen["headers"]["x-nothing"], Value::Null);
        let has_key = seen["headers"]["idempotency-key"].is_string();
        assert_eq!(has_key, !matches!(method, "GET" | "OPTIONS"), "{method}");
    }
}

#[tokio::test]
async fn takes_the_method_from_an_expression() {
    let server = echo_server().await;
    let params = json!({ "method": "{{ $json.verb }}", "url": server.url("/") });
    let seen = one(params.clone(), json!({ "verb": "delete" })).await.unwrap();
    assert_eq!((&seen["method"], seen["headers"]["idempotency-key"].is_string()), (&json!("DELETE"), true));
    let error = one(params, json!({ "verb": "CONNECT" })).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), ("invalid_parameter", false));
}

#[tokio::test]
async fn a_head_request_gives_an_empty_object() {
    let server = echo_server().await;
    assert_eq!(one(json!({ "method": "HEAD", "url": server.url("/") }), json!({})).await.unwrap(), json!({}));
}

#[tokio::test]
async fn sends_each_kind_of_body() {
    let server = echo_server().await;
    let send = async |body_type: &str, body: Value| {
        let params = json!({ "method": "POST", "url": server.url("/"), "body_type": body_type, "body": body });
        let seen = one(params, json!({})).await.unwrap();
        (seen["headers"]["content-type"].as_str().unwrap().to_owned(), seen["body"].as_str().unwrap().to_owned())
    };
    let pair = |left: &str, right: &str| (left.to_owned(), right.to_owned());
    assert_eq!(send("json", json!({ "a": [1] })).await, pair("application/json", r#"{"a":[1]}"#));
    assert_eq!(send("form", json!({ "a": "b c" })).await, pair("application/x-www-form-urlencoded", "a=b+c"));
    assert_eq!(send("raw", json!("plain")).await, pair("text/plain; charset=utf-8", "plain"));
    let (media_type, body) = send("multipart", json!({ "a": "b" })).await;
    let boundary = media_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    assert_eq!(body, format!("--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--{boundary}--\r\n"));
}

#[tokio::test]
async fn sends_and_receives_binary_data() {
    let router = Router::new().route("/", post(async |body: Bytes| ([(header::CONTENT_TYPE, "image/png")], body)));
    let server = TestServer::start(router).await;
    let bench = Bench::new();
    let sent = bench.blobs.put(Bytes::from_static(b"\x89PNG")).await.unwrap();
    let node = request(json!({ "method": "POST", "url": server.url("/"), "body_type": "binary" }));
    let item = Item { binary: Some(BTreeMap::from([("data".to_owned(), sent.clone())])), ..Item::from_value(json!({})) };
    let mut ctx = bench.context(&node, json!([]));
    ctx.inputs = vec![Input { items: Arc::new(vec![item]), origins: Vec::new() }];
    let Outcome::Done(ports) = runner(&node).run(ctx).await.unwrap() else { panic!("not done") };
    let received = &ports[0].items[0].binary.as_ref().unwrap()["data"];
    assert_eq!((received.hash.as_str(), received.size_bytes), (sent.hash.as_str(), 4));
    assert_eq!(received.media_type.as_deref(), Some("image/png"));
    assert_eq!(bench.blobs.get(received).await.unwrap(), &b"\x89PNG"[..]);
}

#[tokio::test]
async fn shapes_the_answer_as_asked() {
    let router = Router::new()
        .route("/array", get(async || Json(json!([1, 2]))))
        .route("/text", get(async || "hello"))
        .route("/bad", get(async || ([(header::CONTENT_TYPE, "application/json")], "{")));
    let server = TestServer::start(router).await;
    let ask = async |path: &str, response: &str| one(json!({ "url": server.url(path), "response": response }), json!({})).await;
    assert_eq!(ask("/array", "auto").await.unwrap(), json!({ "data": [1, 2] }));
    assert_eq!(ask("/text", "auto").await.unwrap(), json!({ "data": "hello" }));
    assert_eq!(ask("/array", "text").await.unwrap(), json!({ "data": "[1,2]" }));
    let full = ask("/array", "full").await.unwrap();
    assert_eq!((&full["status"], &full["body"]), (&json!(200), &json!([1, 2])));
    assert_eq!(full["headers"]["content-type"], json!("application/json"));
    let blob = ask("/text", "binary").await.unwrap();
    assert_eq!(blob["data"]["size_bytes"], json!(5));
    for (path, response) in [("/bad", "auto"), ("/text", "json")] {
        assert_eq!(ask(path, response).await.unwrap_err().code, "invalid_response");
    }
}

#[tokio::test]
async fn refuses_deeply_nested_json() {
    let router = Router::new().route(
        "/{depth}",
        get(async |Path(depth): Path<usize>| {
            let body = "[".repeat(depth) + &"]".repeat(depth);
            ([(header::CONTENT_TYPE, "application/json")], body)
        }),
    );
    let server = TestServer::start(router).await;
    assert!(one(json!({ "url": server.url("/100") }), json!({})).await.is_ok());
    assert_eq!(one(json!({ "url": server.url("/100000") }), json!({})).await.unwrap_err().code, "invalid_response");
}

#[tokio::test]
async fn limits_of_one_answer_and_of_all_obeyed_and_violated() {
    let router = Router::new().route("/{bytes}", get(async |Path(bytes): Path<usize>| "x".repeat(bytes)));
    let server = TestServer::start(router).await;
    let ask = async |bytes: usize, items: usize| {
        let node = request(json!({ "url": server.url(&format!("/{bytes}")) }));
        Bench::new().run(&node, Value::Array(vec![json!({}); items])).await.map(|items| items.len()).map_err(|error| error.code)
    };
    assert_eq!(ask(RESPONSE_BYTES_MAX, 2).await, Ok(2), "together just the limit of a run");
    assert_eq!(ask(RESPONSE_BYTES_MAX + 1, 1).await, Err("output_limit".to_owned()));
    assert_eq!(ask(RESPONSE_BYTES_MAX, 3).await, Err("output_limit".to_owned()));
}

#[tokio::test]
async fn tells_failures_by_code_and_whether_they_may_pass() {
    let router = Router::new().route(
        "/{status}",
        any(async |Path(status): Path<u16>| (StatusCode::from_u16(status).unwrap(), [(header::RETRY_AFTER, "3")], "body")),
    );
    let server = TestServer::start(router).await;
    let ask = async |status: u16| one(json!({ "url": server.url(&format!("/{status}")) }), json!({})).await.unwrap_err();
    let gone = ask(404).await;
    assert_eq!((gone.code.as_str(), gone.retryable), ("http_status", false));
    assert_eq!(gone.details, Some(json!({ "status": 404, "item": 0 })));
    let limited = ask(429).await;
    assert_eq!((limited.code.as_str(), limited.retryable, limited.retry_after_ms), ("rate_limited", true, Some(3_000)));
    let failed = ask(500).await;
    assert_eq!((failed.code.as_str(), failed.retryable), ("http_status", true));
    let kept = one(json!({ "url": server.url("/404"), "never_error": true, "response": "full" }), json!({})).await.unwrap();
    assert_eq!((&kept["status"], &kept["body"]), (&json!(404), &json!("body")));
}

#[tokio::test]
async fn tells_a_refusal_a_closed_port_and_a_timeout_apart() {
    let server = echo_server().await;
    let denied = Bench::new().without_egress().run(&request(json!({ "url": server.url("/") })), json!([{}])).await.unwrap_err();
    assert_eq!((denied.code.as_str(), denied.retryable), ("egress_denied", false));
    assert_eq!(denied.details, Some(json!({ "reason": "loopback", "item": 0 })));

    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let closed = one(json!({ "url": format!("http://{unused}/?token=secret") }), json!({})).await.unwrap_err();
    assert_eq!((closed.code.as_str(), closed.retryable), ("connection_failed", true));
    assert!(!closed.message.contains("secret"), "{}", closed.message);

    let slow = TestServer::start(Router::new().route("/", get(async || tokio::time::sleep(Duration::from_secs(30)).await))).await;
    let node = NodeDefinition { timeout: Some(DurationMs(100)), ..request(json!({ "url": slow.url("/") })) };
    let late = Bench::new().run(&node, json!([{}])).await.unwrap_err();
    assert_eq!((late.code.as_str(), late.retryable), ("timeout", true));
}

#[tokio::test]
async fn refuses_headers_that_frame_the_message() {
    let server = echo_server().await;
    for name in ["Host", "content-length", "Transfer-Encoding", "bad name"] {
        let error = one(json!({ "url": server.url("/"), "headers": { name: "x" } }), json!({})).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.retryable), ("invalid_parameter", false), "{name}");
    }
}

/// Fails each path's first `fail_first` requests, and counts.
struct Flaky {
    fail_first: usize,
    seen: Mutex<BTreeMap<String, Vec<String>>>,
}

async fn flaky(State(flaky): State<Arc<Flaky>>, uri: Uri, headers: HeaderMap) -> Response {
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned()).unwrap_or_default();
    let mut seen = flaky.seen.lock().unwrap();
    let calls = seen.entry(uri.path().to_owned()).or_default();
    calls.push(key);
    if uri.path() == "/1" && calls.len() <= flaky.fail_first {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    Json(json!({ "path": uri.path(), "call": calls.len() })).into_response()
}

#[tokio::test]
async fn a_second_attempt_repeats_only_what_failed_under_the_same_key() {
    let state = Arc::new(Flaky { fail_first: 1, seen: Mutex::default() });
    let server = TestServer::start(Router::new().fallback(post(flaky)).with_state(Arc::clone(&state))).await;
    let bench = Bench::new();
    // The items come in as paths; each bench item has its own URL.
    let node = request(json!({ "method": "POST", "url": "{{ $json.url }}" }));
    let items = json!([{ "url": server.url("/0") }, { "url": server.url("/1") }, { "url": server.url("/2") }]);
    let error = bench.run(&node, items.clone()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), ("http_status", true));
    assert_eq!(error.details, Some(json!({ "status": 502, "item": 1 })));
    assert_eq!(bench.progress.lock().unwrap().keys().copied().collect::<Vec<_>>(), [0, 2]);

    let output = bench.run_json(&node, items).await.unwrap();
    let calls: Vec<_> = output.as_array().unwrap().iter().map(|item| item["call"].as_u64().unwrap()).collect();
    assert_eq!(calls, [1, 2, 1], "in the order of the items, the first and the last from the first attempt");
    let seen = state.seen.lock().unwrap();
    assert_eq!((seen["/0"].len(), seen["/1"].len(), seen["/2"].len()), (1, 2, 1));
    assert_eq!(seen["/1"][0], seen["/1"][1], "one key over all attempts");
    assert_ne!(seen["/0"][0], seen["/1"][0], "another key for another item");
    assert_eq!(seen["/0"][0].len(), 32);
}

#[tokio::test]
async fn the_idempotency_header_can_be_renamed_and_switched_off() {
    let server = echo_server().await;
    let send = async |header: Value| {
        let params = json!({ "method": "POST", "url": server.url("/"), "idempotency_header": header });
        one(params, json!({})).await.unwrap()["headers"].clone()
    };
    assert!(send(json!("X-Request-Id")).await["x-request-id"].is_string());
    assert_eq!(send(json!(false)).await["idempotency-key"], Value::Null);
}

#[tokio::test]
async fn has_as_many_requests_at_once_as_allowed() {
    let (now, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (Arc::clone(&now), Arc::clone(&peak));
    let router = Router::new().route(
        "/",
        get(async move || {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(30)).await;
            now.fetch_sub(1, Ordering::SeqCst);
        }),
    );
    let server = TestServer::start(router).await;
    let items = Value::Array(vec![json!({}); 12]);
    for (concurrency, expected) in [(1, 1), (4, 4)] {
        counters.1.store(0, Ordering::SeqCst);
        let node = request(json!({ "url": server.url("/"), "concurrency": concurrency }));
        assert_eq!(Bench::new().run(&node, items.clone()).await.unwrap().len(), 12);
        assert_eq!(counters.1.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test]
async fn keeps_the_rate() {
    let server = echo_server().await;
    let node = request(json!({ "url": server.url("/"), "concurrency": 4, "rate": { "requests": 1, "per": "50ms" } }));
    let start = Instant::now();
    Bench::new().run(&node, json!([{}, {}, {}, {}])).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
}

#[tokio::test]
async fn uses_credentials_of_every_kind() {
    let server = echo_server().await;
    let send = async |kind: &str, fields: &[(&str, &str)]| {
        let node = NodeDefinition { credential: Some("secret".into()), ..request(json!({ "url": server.url("/") })) };
        Bench::new().with_credential(kind, fields).run_json(&node, json!([{}])).await
    };
    let bearer = send("http_bearer", &[("token", "t")]).await.unwrap();
    assert_eq!(bearer[0]["headers"]["authorization"], json!("Bearer t"));
    let header = send("http_header", &[("name", "X-Key"), ("value", "v")]).await.unwrap();
    assert_eq!(header[0]["headers"]["x-key"], json!("v"));
    let query = send("http_query", &[("name", "key"), ("value", "v")]).await.unwrap();
    assert_eq!(query[0]["uri"], json!("/?key=v"));
    assert_eq!(send("postgres", &[]).await.unwrap_err().code, "invalid_parameter");
}

#[tokio::test]
async fn a_credential_in_a_header_does_not_follow_a_redirect_elsewhere() {
    let elsewhere = echo_server().await;
    let target = elsewhere.url("/");
    let server =
        TestServer::start(Router::new().route("/", get(async move || axum::response::Redirect::temporary(&target)))).await;
    let params = json!({ "url": server.url("/"), "headers": { "X-Token": "mine", "Accept-Language": "de" } });
    let node = NodeDefinition { credential: Some("secret".into()), ..request(params) };
    let bench = Bench::new().with_credential("http_header", &[("name", "X-Key"), ("value", "v")]);
    let seen = bench.run_json(&node, json!([{}])).await.unwrap();
    let headers = &seen[0]["headers"];
    assert_eq!((&headers["x-key"], &headers["x-token"], &headers["accept-language"]), (&Value::Null, &Value::Null, &json!("de")));
}

#[tokio::test]
async fn can_leave_redirects_alone() {
    let server = TestServer::start(Router::new().route("/", get(async || axum::response::Redirect::temporary("/x")))).await;
    let params = json!({ "url": server.url("/"), "follow_redirects": false, "response": "full" });
    let seen = one(params, json!({})).await.unwrap();
    assert_eq!((&seen["status"], &seen["headers"]["location"]), (&json!(307), &json!("/x")));
}

/// Three pages of two rows, by page number or by cursor.
async fn pages(Query(query): Query<BTreeMap<String, String>>) -> Json<Value> {
    let page: u32 = query.get("page").or(query.get("after")).map_or(1, |text| text.parse().unwrap());
    let rows = if page <= 3 { json!([{ "row": page * 2 - 1 }, { "row": page * 2 }]) } else { json!([]) };
    let next = if page < 3 { json!(page + 1) } else { Value::Null };
    let link = if page < 3 { json!(format!("/?page={}", page + 1)) } else { Value::Null };
    Json(json!({ "rows": rows, "next": next, "link": link, "last": page == 3 }))
}

async fn paginate(pagination: Value) -> Result<Vec<Value>, NodeError> {
    let server = TestServer::start(Router::new().route("/", get(pages))).await;
    let node = request(json!({ "url": server.url("/"), "pagination": pagination }));
    let items = Bench::new().run(&node, json!([{}])).await?;
    assert!(items.iter().all(|item| item.source.as_ref().is_some_and(|source| source.item == 0)));
    Ok(items.into_iter().map(|item| item.json["row"].clone()).collect())
}

#[tokio::test]
async fn fetches_page_after_page() {
    let all: Vec<Value> = (1..=6).map(Value::from).collect();
    let by_number = json!({ "mode": "page", "parameter": "page", "items": "rows" });
    assert_eq!(paginate(by_number).await.unwrap(), all);
    let until = json!({ "mode": "page", "parameter": "page", "items": "rows", "until": "{{ $json.body.last }}" });
    assert_eq!(paginate(until).await.unwrap(), all);
    let by_cursor = json!({ "mode": "cursor", "parameter": "after", "next": "{{ $json.body.next }}", "items": "rows" });
    assert_eq!(paginate(by_cursor).await.unwrap(), all);
    let by_url = json!({ "mode": "next_url", "next": "{{ $json.body.link }}", "items": "rows" });
    assert_eq!(paginate(by_url).await.unwrap(), all);
    let two = json!({ "mode": "page", "parameter": "page", "items": "rows", "max_pages": 2 });
    assert_eq!(paginate(two).await.unwrap(), all[..4]);
}

#[test]
fn counts_as_an_effect_unless_the_method_is_known_to_be_safe() {
    for (method, effect) in [
        (json!("GET"), EffectClass::Idempotent),
        (json!("HEAD"), EffectClass::Idempotent),
        (json!("POST"), EffectClass::Effect),
        (json!("DELETE"), EffectClass::Effect),
        (json!("{{ $json.method }}"), EffectClass::Effect),
    ] {
        let prepared = Registry::builtin().prepare(&request(json!({ "url": "https://a.test", "method": method }))).ok().unwrap();
        assert_eq!(prepared.shape.effect, effect, "{method}");
    }
    assert_eq!(runner(&request(json!({ "url": "https://a.test" }))).pool(), Pool::Io);
}

#[test]
fn refuses_parameters_that_do_not_fit() {
    assert_eq!(problems("http.request", json!({})).len(), 1);
    assert_eq!(problems("http.request", json!({ "url": "https://a.test", "concurrency": 1_000 })).len(), 1);
    let incomplete = json!({ "url": "https://a.test", "pagination": { "mode": "next_url" } });
    assert_eq!(problems("http.request", incomplete), ["/params/pagination invalid_parameter"]);
}
