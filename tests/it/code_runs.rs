//! Code without a workflow: the languages of a server, and running code in them by the API and by the command line.

use serde_json::{Value, json};

use crate::{
    overload::resident_bytes,
    support::{Project, ServerProcess, TestApp},
};

#[tokio::test]
async fn lists_the_languages_that_are_here_with_their_limits() {
    let app = TestApp::start().await;
    let listed = app.client.get("/runtimes").await;
    let names: Vec<&str> = listed.body["languages"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    for embedded in ["javascript", "lua", "typescript", "wasm"] {
        assert!(names.contains(&embedded), "{names:?}");
    }
    assert!(listed.body["limits"]["default"]["wall_ms"].as_u64() <= listed.body["limits"]["max"]["wall_ms"].as_u64());
    app.stop().await;
}

#[tokio::test]
async fn runs_code_in_every_embedded_language() {
    let app = TestApp::start().await;
    for (language, code) in [
        ("javascript", "console.log('sum'); console.warn('careful'); return { sum: input.a + input.b };"),
        (
            "typescript",
            "type Pair = { a: number; b: number }; console.log('sum'); console.warn('careful');\nreturn { sum: (input as Pair).a + input.b };",
        ),
        ("lua", "print('sum'); warn('careful'); return { sum = input.a + input.b }"),
    ] {
        let request = json!({ "language": language, "code": code, "input": { "a": 2, "b": 3 } });
        let ran = app.client.post("/runtimes/execute", &request).await;
        assert_eq!((ran.status, &ran.body["output"]["sum"], &ran.body["error"]), (200, &json!(5), &Value::Null), "{ran:?}");
        assert_eq!((&ran.body["stdout"], &ran.body["stderr"]), (&json!("sum\n"), &json!("careful\n")), "{ran:?}");
        assert!(ran.body["usage"]["memory_peak_bytes"].as_u64() > Some(0) && ran.body["duration_ms"].is_number(), "{ran:?}");
    }
    let env = json!({ "code": "return env.CITY", "env": { "CITY": "Oslo" } });
    assert_eq!(app.client.post("/runtimes/execute", &env).await.body["output"], "Oslo");
    app.stop().await;
}

#[tokio::test]
async fn code_that_fails_is_an_answer_and_one_that_asks_too_much_is_refused() {
    let app = TestApp::start().await;
    let run = async |body: Value| app.client.post("/runtimes/execute", &body).await;
    for (body, code, line) in [
        (json!({ "code": "let a = 1;\nthrow new Error('no')" }), "exception", json!(2)),
        (json!({ "code": "return 1 +" }), "syntax", json!(1)),
        (json!({ "code": "for (;;) {}", "limits": { "wall_ms": 100 } }), "timeout", Value::Null),
        (json!({ "code": "return 'x'.repeat(2000)", "limits": { "output_bytes": 1000 } }), "output_limit", Value::Null),
    ] {
        let failed = run(body.clone()).await;
        let error = &failed.body["error"];
        assert_eq!(
            (failed.status, &error["code"], &failed.body["output"]),
            (200, &json!(code), &Value::Null),
            "{body} {failed:?}"
        );
        assert!(error["line"] == line && !error["message"].as_str().unwrap().is_empty(), "{body} {failed:?}");
    }
    let refused = run(json!({ "language": "cobol", "code": "x", "limits": { "wall_ms": 0, "memory_bytes": 1u64 << 40 } })).await;
    refused.assert_problem(422, "invalid_code_run");
    let pointers: Vec<&str> =
        refused.body["errors"].as_array().unwrap().iter().map(|one| one["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/limits/wall_ms", "/limits/memory_bytes", "/language"]);
    let whole = run(json!({ "code": "return 1", "limits": { "wall_ms": 1000.0 } })).await;
    assert_eq!((whole.status, &whole.body["output"]), (200, &json!(1)), "1000.0 is an integer: {whole:?}");
    run(json!({ "code": "return 1", "env": { "A=B": "c" } })).await.assert_problem(422, "invalid_code_run");
    run(json!({ "language": "lua" })).await.assert_problem(422, "invalid_body");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_runs_at_once_are_served_with_few_sandboxes() {
    let server = ServerProcess::start();
    let client = &server.client();
    let run = async |number: u64| {
        let body = json!({ "code": "return input.map(n => n * 2)", "input": [number] });
        let ran = client.post("/runtimes/execute", &body).await;
        assert_eq!((ran.status, &ran.body["output"]), (200, &json!([number * 2])), "{ran:?}");
    };
    run(0).await;
    let before = resident_bytes(server.pid());
    futures_util::future::join_all((1..=1_000).map(run)).await;
    let grown = resident_bytes(server.pid()).saturating_sub(before);
    // A thousand sandboxes at their limit would take 64 GB, and resting ones 155 MB.
    assert!(grown < 100_000_000, "memory has grown by {grown} bytes");
    let pools = client.get("/stats").await.body["pools"].clone();
    let wasm = pools.as_array().unwrap().iter().find(|pool| pool["name"] == "wasm").unwrap();
    assert_eq!((&wasm["busy"], &wasm["queued"]), (&json!(0), &json!(0)), "{wasm}");
}

#[test]
fn the_command_line_runs_a_file_of_code() {
    let project = Project::new();
    let path = |name: &str, text: &str| project.write(name, text).display().to_string();
    let sum = path("sum.lua", "print('adding')\nreturn input.a + input.b");
    let ran = project.run(&["code", "run", &sum, "-i", "{\"a\":2,\"b\":3}"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "5\n", "adding\n"), "{ran:?}");
    let input = path("input.json", "{\"a\":20,\"b\":3}");
    assert_eq!(project.json(&["code", "run", &sum, "-i", &input])["output"], 23);
    let broken = path("broken.js", "const a = 1;\nnull.x");
    project.run(&["code", "run", &broken]).assert_failed(3, "broken.js:2:");
    let unknown = path("notes.txt", "return 1");
    project.run(&["code", "run", &unknown]).assert_failed(2, "does not tell the language");
    assert_eq!(project.prints(&["code", "run", &unknown, "--lang", "javascript"]), "1\n");
    project.run(&["code", "run", &unknown, "--lang", "cobol"]).assert_failed(1, "invalid_code_run");
    project.run(&["code", "run", "nowhere.js"]).assert_failed(1, "cannot read");
    let slow = path("slow.js", "for (;;) {}");
    project.run(&["code", "run", &slow, "--wall", "100ms"]).assert_failed(3, "timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_floods_the_sandboxes_does_not_hold_up_the_others() {
    let app = TestApp::start_with(|config| config.limits.wasm_slots = Some(1)).await;
    let busy = |name: &str| {
        let burn = json!({ "code": "const until = Date.now() + 50; while (Date.now() < until) {} return input" });
        json!({
            "name": name,
            "nodes": [{ "id": "start", "type": "manual" }, { "id": "burn", "type": "code", "params": burn }],
            "edges": [{ "from": "start", "to": "burn" }],
        })
    };
    let flood = app.client.create_workflow(&busy("flood")).await;
    let other = app.client.create_workflow(&busy("other")).await;
    let nothing = json!({});
    let flooding = (0..60).map(|_| app.client.start(&flood, &nothing));
    futures_util::future::join_all(flooding).await;
    let ended = app.client.run(&other, &json!({})).await;
    assert_eq!(ended.body["status"], "succeeded", "{ended:?}");
    let succeeded = app.client.get(&format!("/executions?workflow_id={flood}&status=succeeded&limit=200")).await;
    let before_it = succeeded.body["items"].as_array().unwrap().len();
    assert!(before_it < 40, "{before_it} of 60 executions that came first were served first");
    app.stop().await;
}

#[tokio::test]
async fn code_seconds_of_a_workspace_obeyed_and_violated() {
    let app = TestApp::start_with(|config| config.limits.workspace_code_seconds_per_minute = 1.try_into().ok()).await;
    let busy = |ms: u32| format!("const until = Date.now() + {ms}; while (Date.now() < until) {{}} return 1");
    let run = async |ms: u32| app.client.post("/runtimes/execute", &json!({ "code": busy(ms) })).await;
    let workflow = json!({
        "name": "code",
        "nodes": [{ "id": "start", "type": "manual" }, { "id": "code", "type": "code", "params": { "code": busy(400) } }],
        "edges": [{ "from": "start", "to": "code" }],
    });
    let workflow = app.client.create_workflow(&workflow).await;
    assert_eq!(run(400).await.body["output"], 1);
    // Code nodes and runs without a workflow are paid from one budget.
    assert_eq!(app.client.run(&workflow, &json!({})).await.body["status"], "succeeded");
    let third = run(400).await;
    assert_eq!(third.body["output"], 1, "some is left: {third:?}");
    let mut refused = third;
    // On a busy machine 400 ms are less of CPU time.
    while refused.status == 200 {
        refused = run(400).await;
    }
    refused.assert_problem(429, "code_quota");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    let failed = app.client.run(&workflow, &json!({})).await;
    assert_eq!((&failed.body["status"], &failed.body["error"]["code"]), (&json!("failed"), &json!("code_quota")), "{failed:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_runs_of_a_workspace_obeyed_and_violated() {
    let app = TestApp::start_with(|config| {
        config.limits.wasm_slots = Some(3);
        config.limits.workspace_code_runs_max = 2.try_into().ok();
    })
    .await;
    let body = json!({ "code": "const until = Date.now() + 600; while (Date.now() < until) {} return 1" });
    let runs = futures_util::future::join_all((0..3).map(|_| app.client.post("/runtimes/execute", &body)));
    let watch = async {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let pools = app.client.get("/stats").await.body["pools"].clone();
            let wasm = pools.as_array().unwrap().iter().find(|pool| pool["name"] == "wasm").unwrap().clone();
            assert!(wasm["busy"].as_u64() <= Some(2), "{wasm}");
            // One of them waits although there is a place.
            if (&wasm["busy"], &wasm["queued"]) == (&json!(2), &json!(1)) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{wasm}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let (ended, ()) = futures_util::future::join(runs, watch).await;
    assert!(ended.iter().all(|run| run.body["output"] == 1), "{ended:?}");
    app.stop().await;
}
