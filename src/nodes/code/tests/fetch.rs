//! `fetch` by grant, in every language that has it.

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Method},
    routing::any,
};

use super::*;
use crate::{auth::egress::testing::TestServer, runtimes::fetch::FETCHES_MAX};

/// Answers with what it got.
async fn echo(method: Method, headers: HeaderMap, body: Bytes) -> ([(&'static str, &'static str); 1], String) {
    let asked = headers.get("x-asked").and_then(|value| value.to_str().ok()).unwrap_or("-");
    ([("x-answer", "yes")], json!({ "method": method.as_str(), "asked": asked, "body": body.to_vec() }).to_string())
}

async fn server() -> TestServer {
    let routes = Router::new().route("/echo", any(echo)).route("/bytes", any(async || vec![0_u8, 255, 1]));
    TestServer::start(routes.route("/text", any(async || "ä😀"))).await
}

fn granted(language: &str, code: &str) -> Value {
    json!({ "language": language, "code": code, "grants": { "network": true } })
}

async fn run_granted(bench: Bench, language: &str, code: &str) -> Result<Value, NodeError> {
    bench.run_json(&node("code", granted(language, code)), json!([{}])).await
}

/// Code in a language, and what it gives.
#[track_caller]
fn check(language: &str, code: &str, ran: &Result<Value, NodeError>, expected: &Value) {
    assert_eq!(ran.as_ref(), Ok(expected), "{language}: {code}");
}

#[tokio::test]
async fn sends_requests_and_reads_answers() {
    let server = server().await;
    let url = server.url("/echo");
    let expected =
        json!([{ "value": 200 }, { "value": true }, { "value": "yes" }, { "method": "POST", "asked": "2", "body": [97, 98] }]);
    for (language, code) in [
        (
            "javascript",
            "const answer = await fetch('URL', { method: 'post', headers: { 'x-asked': 'ä'.length + 1 }, body: 'ab' });
             return [answer.status, answer.ok, answer.headers.get('X-Answer'), await answer.json()]",
        ),
        (
            "typescript",
            "const answer = await fetch('URL', { method: 'post', headers: [['x-asked', 2]], body: 'ab' });
             return [answer.status, answer.ok, answer.headers.get('X-Answer'), await answer.json()]",
        ),
        (
            "lua",
            "local answer = fetch('URL', { method = 'post', headers = { ['x-asked'] = 2 }, body = 'ab' })
             return { answer.status, answer.ok, answer.headers['x-answer'], json.decode(answer.body) }",
        ),
        (
            "python",
            "answer = fetch('URL', method='post', headers={'x-asked': 2}, body='ab')\n\
             return [answer.status, answer.ok, answer.headers['x-answer'], answer.json()]",
        ),
        (
            "python",
            "answer = fetch('URL', {'method': 'post', 'headers': [('x-asked', '2')], 'body': bytearray(b'ab')})\n\
             return [answer.status, answer.ok, answer.headers['x-answer'], answer.json()]",
        ),
        (
            "ruby",
            "answer = fetch('URL', method: :post, headers: { 'x-asked' => 2 }, body: 'ab')\n\
             [answer.status, answer.ok?, answer.headers['x-answer'], answer.json]",
        ),
        (
            "ruby",
            "answer = fetch('URL', { 'method' => 'post', 'headers' => { 'x-asked': 2 }, 'body' => 'ab' })\n\
             [answer.status, answer.ok, answer.headers['x-answer'], answer.json]",
        ),
    ] {
        let code = code.replace("URL", &url);
        check(language, &code, &run_granted(Bench::new(), language, &code).await, &expected);
    }
}

#[tokio::test]
async fn bodies_are_bytes_both_ways() {
    let server = server().await;
    let value = |values: &[u64]| values.iter().map(|value| json!({ "value": value })).collect::<Value>();
    for (language, receives, sends) in [
        (
            "javascript",
            "return [...await (await fetch('URL')).bytes()]",
            "return (await (await fetch('URL', { method: 'PUT', body: new Uint8Array([9, 0, 255, 7]).subarray(1) })).json()).body",
        ),
        (
            "lua",
            "return { fetch('URL').body:byte(1, -1) }",
            "return json.decode(fetch('URL', { method = 'PUT', body = '\\0\\255\\7' }).body).body",
        ),
        ("python", "return list(fetch('URL').body)", "return fetch('URL', method='PUT', body=bytes([0, 255, 7])).json()['body']"),
        ("ruby", "fetch('URL').body.bytes", "fetch('URL', method: 'PUT', body: [0, 255, 7].pack('C*')).json['body']"),
    ] {
        let receives = receives.replace("URL", &server.url("/bytes"));
        check(language, &receives, &run_granted(Bench::new(), language, &receives).await, &value(&[0, 255, 1]));
        let sends = sends.replace("URL", &server.url("/echo"));
        check(language, &sends, &run_granted(Bench::new(), language, &sends).await, &value(&[0, 255, 7]));
    }
    for (language, code) in [
        ("javascript", "return await (await fetch('URL')).text()"),
        ("lua", "return fetch('URL').body"),
        ("python", "return fetch('URL').text"),
        ("ruby", "fetch('URL').body"),
    ] {
        let code = code.replace("URL", &server.url("/text"));
        check(language, &code, &run_granted(Bench::new(), language, &code).await, &json!([{ "value": "ä😀" }]));
    }
}

#[tokio::test]
async fn obeys_the_egress_policy() {
    let server = server().await;
    for (language, code, caught, name) in [
        (
            "javascript",
            "return await fetch('URL')",
            "try { await fetch('URL') } catch (error) { return error.name }",
            "TypeError",
        ),
        ("lua", "return fetch('URL')", "return { (pcall(fetch, 'URL')) and 'answered' or 'refused' }", "refused"),
        (
            "python",
            "fetch('URL')",
            "try:\n  fetch('URL')\nexcept OSError as error:\n  return type(error).__name__",
            "ConnectionError",
        ),
        ("ruby", "fetch('URL')", "begin\n  fetch('URL')\nrescue => error\n  error.class.name\nend", "IOError"),
    ] {
        let (code, caught) = (code.replace("URL", &server.url("/echo")), caught.replace("URL", &server.url("/echo")));
        let failed = run_granted(Bench::new().without_egress(), language, &code).await.unwrap_err();
        assert_eq!((failed.code.as_str(), failed.retryable), ("code_denied", false), "{language}: {failed:?}");
        assert!(failed.message.contains("fetch failed: "), "{language}: {}", failed.message);
        assert_eq!(failed.details.unwrap()["line"], json!(1), "{language}");
        let ran = run_granted(Bench::new().without_egress(), language, &caught).await;
        check(language, &caught, &ran, &json!([{ "value": name }]));
    }
}

#[tokio::test]
async fn what_is_no_request_is_an_error_of_the_code() {
    for (language, wrongs) in [
        (
            "javascript",
            [
                "await fetch('file:///etc/passwd')",
                "await fetch('nowhere')",
                "await fetch('http://127.0.0.1:1', { headers: { 'a b': 1 } })",
            ],
        ),
        (
            "lua",
            ["fetch('file:///etc/passwd')", "fetch('nowhere')", "fetch('http://127.0.0.1:1', { headers = { ['a b'] = 1 } })"],
        ),
        ("python", ["fetch('file:///etc/passwd')", "fetch('nowhere')", "fetch('http://127.0.0.1:1', headers={'a b': 1})"]),
        ("ruby", ["fetch('file:///etc/passwd')", "fetch('nowhere')", "fetch('http://127.0.0.1:1', headers: { 'a b' => 1 })"]),
    ] {
        for wrong in wrongs {
            let failed = run_granted(Bench::new(), language, wrong).await.unwrap_err();
            assert!(failed.message.contains("fetch failed: "), "{language}: {wrong}: {}", failed.message);
        }
    }
    for (language, code) in [
        ("lua", "fetch('http://127.0.0.1:1', { body = {} })"),
        ("lua", "fetch({})"),
        ("python", "fetch('http://127.0.0.1:1', body=7)"),
        ("python", "fetch('http://127.0.0.1:1', {'unknown': 1})"),
        ("ruby", "fetch('http://127.0.0.1:1', unknown: 1)"),
    ] {
        let failed = run_granted(Bench::new(), language, code).await.unwrap_err();
        assert_eq!(failed.code, "code_exception", "{language}: {code}");
        assert!(!failed.message.contains("fetch failed: "), "{language}: {code}: {}", failed.message);
    }
}

#[tokio::test]
async fn is_refused_without_the_grant() {
    for (language, code) in [
        ("javascript", "await fetch('http://127.0.0.1')"),
        ("lua", "fetch('http://127.0.0.1')"),
        ("python", "fetch('http://127.0.0.1')"),
        ("ruby", "fetch('http://127.0.0.1')"),
    ] {
        let failed = run(json!({ "language": language, "code": code }), json!([{}])).await.unwrap_err();
        assert_eq!(failed.code, "code_denied", "{language}");
        assert!(failed.message.ends_with("fetch failed: the network was not granted"), "{language}: {}", failed.message);
    }
}

#[tokio::test]
async fn requests_obeyed_and_violated() {
    let server = server().await;
    let url = server.url("/bytes");
    let code = |count: u32| format!("for (let n = 0; n < {count}; n++) await fetch('{url}'); return 'done'");
    assert_eq!(run_granted(Bench::new(), "javascript", &code(FETCHES_MAX)).await, Ok(json!([{ "value": "done" }])));
    let failed = run_granted(Bench::new(), "javascript", &code(FETCHES_MAX + 1)).await.unwrap_err();
    assert!(failed.message.contains("more than 100 requests"), "{}", failed.message);
}

#[tokio::test]
async fn waits_no_longer_than_the_code_may_run() {
    let silent = TestServer::start(Router::new().route("/", any(std::future::pending::<()>))).await;
    for (language, code) in [
        ("javascript", "return await fetch('URL')"),
        ("lua", "fetch('URL')"),
        ("python", "fetch('URL')"),
        ("ruby", "fetch('URL')"),
    ] {
        // Is loaded.
        run_granted(Bench::new(), language, " ").await.unwrap();
        let mut params = granted(language, &code.replace("URL", &silent.url("/")));
        params["limits"] = json!({ "wall_ms": 300 });
        let started = std::time::Instant::now();
        let failed = Bench::new().run(&node("code", params), json!([{}])).await.unwrap_err();
        assert!(["sandbox_timeout", "code_exception"].contains(&failed.code.as_str()), "{language}: {failed:?}");
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{language}");
    }
}
