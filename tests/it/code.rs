//! Code in every embedded language, through the API: what goes in, what comes out, what it used.

use serde_json::{Value, json};

use crate::support::TestApp;

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
