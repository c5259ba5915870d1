//! What code writes on its console: kept with the attempt, listed by pages.

use serde_json::{Value, json};

use crate::support::{ServerProcess, TestApp};

/// Two code nodes in a row; the first runs once per item, the second fails after it has written.
fn talkative() -> Value {
    let first = "console.log('item', input.n); console.debug({ n: input.n }); return input";
    let second = "console.warn('about to fail'); throw new Error('no')";
    json!({
        "name": "talkative",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "first", "type": "code", "params": { "code": first, "mode": "each" } },
            { "id": "second", "type": "code", "params": { "code": second } },
        ],
        "edges": [{ "from": "start", "to": "first" }, { "from": "first", "to": "second" }],
    })
}

/// Lines as `node level message`.
fn lines(items: &Value) -> Vec<String> {
    let text = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
    let line = |line: &Value| format!("{} {} {}", text(line, "node_id"), text(line, "level"), text(line, "message"));
    items.as_array().unwrap().iter().map(line).collect()
}

#[tokio::test]
async fn lists_what_code_wrote_by_pages_and_by_node_also_after_a_kill() {
    let server = ServerProcess::start();
    let workflow = server.client().create_workflow(&talkative()).await;
    let ended = server.client().run(&workflow, &json!({ "input": [{ "n": 1 }, { "n": 2 }] })).await;
    assert_eq!((&ended.body["status"], &ended.body["error"]["node_id"]), (&json!("failed"), &json!("second")));
    let path = format!("/executions/{}/logs", ended.text("id"));
    let all = server.client().get(&path).await;
    let expected =
        ["first info item 1", "first debug {\"n\":1}", "first info item 2", "first debug {\"n\":2}", "second warn about to fail"];
    assert_eq!(lines(&all.body["items"]), expected);
    let first = &all.body["items"][0];
    assert_eq!((&first["run_index"], &first["attempt"], &first["truncated"]), (&json!(0), &json!(1), &Value::Null));
    assert!(first["at"].is_string() && all.body["next_cursor"].is_null());

    let server = server.kill_and_restart();
    let client = server.client();
    assert_eq!(client.get(&path).await.body, all.body, "they are in the journal");
    let (mut paged, mut next) = (Vec::new(), Some(String::new()));
    while let Some(cursor) = next {
        let cursor = if cursor.is_empty() { cursor } else { format!("&cursor={cursor}") };
        let page = client.get(&format!("{path}?limit=2{cursor}")).await;
        paged.extend(lines(&page.body["items"]));
        next = page.body["next_cursor"].as_str().map(str::to_owned);
    }
    assert_eq!(paged, expected);
    assert_eq!(lines(&client.get(&format!("{path}?node_id=second")).await.body["items"]), expected[4..]);
    assert_eq!(lines(&client.get(&format!("{path}?node_id=third")).await.body["items"]).len(), 0);

    let cursor = client.get(&format!("{path}?limit=2")).await.text("next_cursor");
    client.get(&format!("{path}?limit=2&node_id=first&cursor={cursor}")).await.assert_problem(400, "invalid_cursor");
    client.get("/executions/exe_01900000000070008000000000000001/logs").await.assert_problem(404, "execution_not_found");
}

#[tokio::test]
async fn marks_where_more_was_written_than_is_kept() {
    let app = TestApp::start().await;
    let code = "for (let n = 0; n < 1000; n++) console.log('line', n)";
    let workflow = app
        .client
        .create_workflow(&json!({
            "name": "chatty",
            "nodes": [
                { "id": "start", "type": "manual" },
                { "id": "code", "type": "code", "params": { "code": code, "limits": { "log_bytes": 200 } } },
            ],
            "edges": [{ "from": "start", "to": "code" }],
        }))
        .await;
    let id = app.client.run(&workflow, &json!({})).await.text("id");
    let logs = app.client.get(&format!("/executions/{id}/logs")).await;
    let items = logs.body["items"].as_array().unwrap();
    let marked: Vec<bool> = items.iter().map(|line| line["truncated"] == true).collect();
    assert_eq!(marked, [false, false, false, false, true]);
    app.stop().await;
}
