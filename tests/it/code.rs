//! Code in every embedded language, through the API: what goes in, what comes out, what it used.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::support::TestApp;

/// Where `scripts/runtimes.sh` has installed Python and Ruby.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/runtimes")
}

/// A WASI module that writes `{"sum":3}`: `(module (import "wasi_snapshot_preview1" "fd_write" ..) .. (func (export "_start") ..))`.
const PROGRAM: &str = "AGFzbQEAAAABDAJgBH9/f38Bf2AAAAIjARZ3YXNpX3NuYXBzaG90X3ByZXZpZXcxCGZkX3dyaXRlAAADAgEBBQMBAAEHEwIGbWVtb3J5AgAGX3N0YXJ0AAEKDwENAEEBQQBBAUEMEAAaCwscAgBBAAsIEAAAAAkAAAAAQRALCXsic3VtIjozfQ==";

fn workflow(language: &str, code: &str) -> Value {
    json!({
        "name": format!("in {language}"),
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "code", "type": "code", "params": { "language": language, "code": code } },
        ],
        "edges": [{ "from": "start", "to": "code" }],
    })
}

#[tokio::test]
async fn runs_every_embedded_language_and_shows_what_it_used() {
    let app = TestApp::start().await;
    let sums = [
        ("javascript", "return { sum: input[0].n + input[1].n }"),
        ("typescript", "const [a, b] = input as { n: number }[]; return { sum: a.n + b.n }"),
        ("lua", "return { sum = input[1].n + input[2].n }"),
        ("wasm", PROGRAM),
    ];
    for (language, code) in sums {
        let created = app.client.create_workflow(&workflow(language, code)).await;
        let ended = app.client.run(&created, &json!({ "input": [{ "n": 1 }, { "n": 2 }] })).await;
        assert_eq!(ended.body["status"], json!("succeeded"), "{language}: {}", ended.body);
        let shown = app.client.get(&format!("/executions/{}/nodes?include=data", ended.text("id"))).await;
        let runs = shown.body["items"].as_array().unwrap();
        let run = runs.iter().find(|run| run["node_id"] == "code").unwrap();
        assert_eq!(run["outputs"][0]["items"][0]["json"], json!({ "sum": 3 }), "{language}");
        let usage = &run["usage"];
        assert!(usage["wall_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{language}: {usage}");
        assert!(usage["memory_peak_bytes"].as_u64().is_some_and(|bytes| bytes >= 65_536), "{language}: {usage}");
        assert_eq!(usage["cold"], json!(true), "{language}");
        let start = runs.iter().find(|run| run["node_id"] == "start").unwrap();
        assert!(start.get("usage").is_none());
    }
    app.stop().await;
}

#[tokio::test]
async fn runs_a_program_that_a_node_before_has_read() {
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("sum.wasm"), BASE64_STANDARD.decode(PROGRAM).unwrap()).unwrap();
    let app = TestApp::start_with(|config| config.files.root = Some(files.path().to_owned())).await;
    let program = json!({ "language": "wasm", "program": "{{ $binary.data }}" });
    let definition = json!({
        "name": "in a file",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "read", "type": "file.read", "params": { "path": "sum.wasm", "format": "binary" } },
            { "id": "code", "type": "code", "params": program },
        ],
        "edges": [{ "from": "start", "to": "read" }, { "from": "read", "to": "code" }],
    });
    let created = app.client.create_workflow(&definition).await;
    let ended = app.client.run(&created, &json!({})).await;
    assert_eq!((&ended.body["status"], &ended.body["error"]), (&json!("succeeded"), &Value::Null), "{}", ended.body);
    let shown = app.client.get(&format!("/executions/{}/nodes?include=data", ended.text("id"))).await;
    let run = shown.body["items"].as_array().unwrap().iter().find(|run| run["node_id"] == "code").unwrap().clone();
    assert_eq!(run["outputs"][0]["items"][0]["json"], json!({ "sum": 3 }), "{run}");
    app.stop().await;
}

#[tokio::test]
async fn says_where_code_does_not_compile_when_a_workflow_is_saved() {
    let app = TestApp::start_with(|config| config.runtimes_dir = Some(installed())).await;
    for (language, right, wrong, place) in [
        ("lua", "return 1", "local x = 1\nlocal y = = 2", "line 2: unexpected symbol"),
        ("python", "return 1", "x = 1\nif x\n  return x", "line 2, column 5: SyntaxError: expected ':'"),
        ("ruby", "1", "x = 1\ny = 1 +", "line 2, column 8: "),
        ("wasm", PROGRAM, "AGFzbQEAAAA=", "the module is no command"),
        ("javascript", "return 1", "let a;\nlet a;", "line 2, column "),
    ] {
        // What is installed is loaded behind the start, and until then nobody can tell.
        let deadline = Instant::now() + Duration::from_secs(120);
        while app.client.post("/workflows/validate", &workflow(language, wrong)).await.body["valid"] == json!(true) {
            assert!(Instant::now() < deadline, "nothing is found wrong with the code in {language}");
        }
        let validated = app.client.post("/workflows/validate", &workflow(language, right)).await;
        assert_eq!(validated.body["valid"], json!(true), "{language}: {}", validated.body);
        let created = app.client.create_workflow(&workflow(language, right)).await;
        let refused = [
            app.client.post("/workflows/validate", &workflow(language, wrong)).await,
            app.client.post("/workflows", &workflow(language, wrong)).await,
            app.client.put(&format!("/workflows/{created}"), "\"1\"", &workflow(language, wrong)).await,
        ];
        for answer in refused {
            let errors = answer.body["errors"].as_array().unwrap_or_else(|| panic!("{language}: {}", answer.body));
            let error = (errors[0]["pointer"].as_str().unwrap(), errors[0]["code"].as_str().unwrap());
            assert_eq!((errors.len(), error), (1, ("/nodes/1/params/code", "code_syntax")), "{language}: {}", answer.body);
            assert!(errors[0]["detail"].as_str().unwrap().starts_with(place), "{language}: {}", answer.body);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn code_of_a_language_that_is_not_installed_can_be_saved() {
    let app = TestApp::start().await;
    app.client.create_workflow(&workflow("python", "return (")).await;
    app.stop().await;
}

#[tokio::test]
async fn refuses_a_language_that_is_not_there_and_types_that_run() {
    let app = TestApp::start().await;
    for (language, code, pointer, expected) in [
        ("cobol", "x", "/nodes/1/params/language", "not_installed"),
        ("typescript", "enum E { A }", "/nodes/1/params/code", "code_syntax"),
        ("wasm", "aGVsbG8=", "/nodes/1/params/code", "code_syntax"),
    ] {
        let answer = app.client.post("/workflows", &workflow(language, code)).await;
        let errors = answer.body["errors"].as_array().unwrap_or_else(|| panic!("{}", answer.body));
        assert_eq!((&errors[0]["pointer"], &errors[0]["code"]), (&json!(pointer), &json!(expected)), "{}", answer.body);
    }
    app.stop().await;
}
