//! Schedules over real HTTP: written, shown, paused, fired.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, ServerProcess, TestApp, client::send, eventually, workflows};

/// A workflow whose schedule has these parameters.
fn scheduled(params: Value) -> Value {
    json!({
        "name": "scheduled",
        "nodes": [
            { "id": "tick", "type": "schedule", "params": params },
            { "id": "mark", "type": "set", "params": { "fields": { "seen": true } } },
        ],
        "edges": [{ "from": "tick", "to": "mark" }],
    })
}

/// As above, and every execution waits for the signal `go`.
fn waiting(params: Value) -> Value {
    json!({
        "name": "waiting",
        "nodes": [
            { "id": "tick", "type": "schedule", "params": params },
            { "id": "hold", "type": "wait", "params": { "signal": "go" } },
        ],
        "edges": [{ "from": "tick", "to": "hold" }],
    })
}

async fn executions(client: &Client, query: &str) -> Vec<Value> {
    let listed = client.get(&format!("/executions?limit=200{query}")).await;
    listed.body["items"].as_array().unwrap().clone()
}

/// Waits for that many executions in this status; answers them, the newest first.
async fn reach(client: &Client, status: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} executions are {status}"), async || {
        let found = executions(client, &format!("&status={status}")).await;
        (found.len() >= count).then_some(found)
    })
    .await
}

async fn only_schedule(client: &Client) -> Value {
    let listed = client.get("/schedules").await;
    let items = listed.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{listed:?}");
    items[0].clone()
}

fn id_of(body: &Value) -> String {
    body["id"].as_str().unwrap().to_owned()
}

/// The seconds of an execution's tick since 1970.
async fn second_of(client: &Client, execution: &Value) -> i64 {
    let ended = client.reaches(&id_of(execution), "succeeded").await;
    let item = &ended.body["result"][0]["json"];
    let time: jiff::Timestamp = item["scheduled_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(time.subsec_nanosecond(), 0, "{item}");
    time.as_second()
}

#[tokio::test]
async fn an_active_workflow_fires_and_an_inactive_one_does_not() {
    let app = TestApp::start().await;
    let client = &app.client;
    let workflow = client.publish(&scheduled(json!({ "every": "1s" }))).await;
    let ended = reach(client, "succeeded", 2).await;
    assert_eq!((&ended[0]["trigger"], &ended[0]["workflow_id"]), (&json!("schedule"), &json!(workflow)));
    let shown = client.get(&format!("/executions/{}", id_of(&ended[0]))).await;
    let item = &shown.body["result"][0]["json"];
    assert_eq!(item["seen"], true);
    assert!(item["scheduled_at"].as_str() <= item["fired_at"].as_str(), "{item}");

    let schedule = only_schedule(client).await;
    assert_eq!((&schedule["workflow_id"], &schedule["workflow_version"]), (&json!(workflow), &json!(1)));
    assert_eq!((&schedule["source"], &schedule["start_node"]), (&json!("workflow"), &json!("tick")));
    assert_eq!((&schedule["every"], &schedule["timezone"], &schedule["catch_up"]), (&json!("1s"), &json!("UTC"), &json!("last")));
    assert!(schedule["fired"].as_u64().unwrap() >= 2 && schedule["passed"] == 0, "{schedule}");
    let stats = client.get("/stats").await.body;
    let fired = stats["schedules"]["fired"]["total"].as_u64();
    assert!(fired >= Some(2) && stats["executions"]["started_by_trigger"]["schedule"]["total"].as_u64() >= Some(2), "{stats}");

    client.post(&format!("/workflows/{workflow}/deactivate"), &json!({})).await;
    assert_eq!(client.get("/schedules").await.body["items"], json!([]));
    let fired = executions(client, "").await.len();
    tokio::time::sleep(std::time::Duration::from_millis(2_200)).await;
    assert_eq!(executions(client, "").await.len(), fired);
    app.stop().await;
}

#[tokio::test]
async fn a_new_version_takes_the_schedule_over() {
    let app = TestApp::start().await;
    let client = &app.client;
    let mut definition = scheduled(json!({ "cron": "0 9 * * *" }));
    definition["settings"] = json!({ "timezone": "Europe/Berlin" });
    let workflow = client.publish(&definition).await;
    let first = only_schedule(client).await;
    assert_eq!(first["timezone"], "Europe/Berlin", "the workflow's");
    client.post(&format!("/schedules/{}/pause", id_of(&first)), &json!({})).await;

    definition["nodes"][1]["params"]["fields"]["seen"] = json!(false);
    client.put(&format!("/workflows/{workflow}"), "\"1\"", &definition).await;
    client.post(&format!("/workflows/{workflow}/activate"), &json!({})).await;
    let second = only_schedule(client).await;
    assert_eq!((&second["id"], &second["workflow_version"], &second["paused"]), (&first["id"], &json!(2), &json!(true)));
    assert_eq!(second["created_at"], first["created_at"]);

    let nowhere = scheduled(json!({ "cron": "0 9 * * *", "timezone": "Mars/Olympus" }));
    let refused = client.post("/workflows", &nowhere).await;
    refused.assert_problem(422, "invalid_definition");
    assert_eq!(refused.body["errors"][0]["pointer"], "/nodes/0/params/timezone");
    definition["settings"] = json!({ "timezone": "Mars/Olympus" });
    client.put(&format!("/workflows/{workflow}"), "\"2\"", &definition).await;
    let refused = client.post(&format!("/workflows/{workflow}/activate"), &json!({})).await;
    refused.assert_problem(422, "invalid_definition");
    assert_eq!(refused.body["errors"][0]["pointer"], "/nodes/0/params/timezone", "its zone is the workflow's");
    app.stop().await;
}

#[tokio::test]
async fn a_schedule_that_stands_alone_is_written_read_and_deleted() {
    let app = TestApp::start().await;
    let client = &app.client;
    let workflow = client.create_workflow(&workflows::mark()).await;
    let draft = json!({
        "workflow_id": workflow, "cron": "30 9 * * MON-FRI", "timezone": "America/New_York", "overlap": "skip", "jitter": "1m",
        "catch_up": "all", "catch_up_max": 3, "input": { "region": "eu" }
    });
    let create =
        async |body: &Value| send(client.request(Method::POST, "/schedules").header("idempotency-key", "k").json(body)).await;
    let created = create(&draft).await;
    assert_eq!((created.status, created.header("etag")), (201, "\"1\""), "{created:?}");
    let id = created.text("id");
    assert!(id.starts_with("sch_"));
    assert_eq!(created.header("location"), format!("/api/v1/schedules/{id}"));
    for (field, value) in draft.as_object().unwrap() {
        assert_eq!(&created.body[field], value, "{field}");
    }
    assert_eq!((&created.body["source"], &created.body["workflow_version"]), (&json!("api"), &Value::Null));
    let again = create(&draft).await;
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.body), (201, "true", &created.body));
    create(&json!({ "workflow_id": workflow, "every": "1h" })).await.assert_problem(422, "idempotency_key_mismatch");

    let path = format!("/schedules/{id}");
    let read = client.get(&path).await;
    assert_eq!((read.header("etag"), &read.body), ("\"1\"", &created.body));
    let changed = client.put(&path, "\"1\"", &json!({ "workflow_id": workflow, "every": "1h" })).await;
    assert_eq!((changed.status, changed.header("etag"), &changed.body["every"]), (200, "\"2\"", &json!("1h")));
    assert_eq!(
        (&changed.body["cron"], &changed.body["input"], &changed.body["overlap"]),
        (&Value::Null, &Value::Null, &json!("allow"))
    );
    let next = changed.text("next_at");
    assert!(next.ends_with(":00:00.000Z"), "{next}");
    assert_eq!(client.put(&path, "*", &json!({ "workflow_id": workflow, "every": "2h" })).await.status, 200);

    let stale = client.put(&path, "\"1\"", &draft).await;
    stale.assert_problem(412, "schedule_stale");
    assert_eq!(stale.header("etag"), "\"3\"");
    client.put(&path, "\"three\"", &draft).await.assert_problem(412, "schedule_stale");
    client.put(&path, "three", &draft).await.assert_problem(400, "invalid_header");
    send(client.request(Method::PUT, &path).json(&draft)).await.assert_problem(428, "if_match_required");
    let stale = send(client.request(Method::DELETE, &path).header("if-match", "\"1\"")).await;
    stale.assert_problem(412, "schedule_stale");
    assert_eq!(client.delete(&path).await.status, 204);
    client.delete(&path).await.assert_problem(404, "schedule_not_found");
    app.stop().await;
}

#[tokio::test]
async fn tells_everything_that_is_wrong_with_a_schedule() {
    let app = TestApp::start().await;
    let client = &app.client;
    let workflow = client.create_workflow(&workflows::mark()).await;
    let post = async |fields: Value| -> Answer {
        let mut body = json!({ "workflow_id": workflow });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        client.post("/schedules", &body).await
    };
    for (fields, expected) in [
        (json!({}), vec![" invalid_parameter"]),
        (json!({ "every": "1h", "at": "2030-01-01T00:00:00Z" }), vec![" invalid_parameter"]),
        (json!({ "every": 5, "catch_up": "some" }), vec!["/every wrong_type", "/catch_up unknown_value"]),
        (json!({ "every": "10ms" }), vec!["/every out_of_range"]),
        (json!({ "cron": "* * *" }), vec!["/cron invalid_cron"]),
        (json!({ "every": "{{ 1 }}h" }), vec!["/every expression_not_allowed"]),
        (json!({ "at": "2020-01-01T00:00:00Z" }), vec!["/at in_the_past"]),
        (json!({ "cron": "0 9 * * *", "timezone": "Nowhere" }), vec!["/timezone unknown_timezone"]),
        (json!({ "every": "1h", "input": "x".repeat(64 * 1024) }), vec!["/input too_large"]),
    ] {
        let refused = post(fields.clone()).await;
        refused.assert_problem(422, "invalid_schedule");
        let errors = refused.body["errors"].as_array().unwrap().iter();
        let errors: Vec<String> =
            errors.map(|error| format!("{} {}", error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())).collect();
        assert_eq!(errors, expected, "{fields}");
    }
    post(json!({ "every": "1h", "evry": "1h" })).await.assert_problem(422, "invalid_body");
    post(json!({ "every": "1h", "start_node": "gone" })).await.assert_problem(422, "unknown_start_node");
    let nowhere = json!({ "workflow_id": format!("wf_{:032}", 0), "every": "1h" });
    client.post("/schedules", &nowhere).await.assert_problem(404, "workflow_not_found");
    let largest = post(json!({ "every": "1h", "input": "x".repeat(64 * 1024 - 2) })).await;
    assert_eq!(largest.status, 201);

    let id = largest.text("id");
    let other = client.create_workflow(&workflows::mark()).await;
    let moved = client.put(&format!("/schedules/{id}"), "*", &json!({ "workflow_id": other, "every": "1h" })).await;
    moved.assert_problem(422, "invalid_schedule");
    assert_eq!(moved.body["errors"][0]["code"], "immutable");
    for path in ["", "/next", "/pause", "/resume", "/backfill"] {
        let method = if path.is_empty() || path == "/next" { Method::GET } else { Method::POST };
        let body = json!({ "from": "2026-01-01T00:00:00Z" });
        let missing = send(client.request(method, &format!("/schedules/sch_{:032}{path}", 0)).json(&body)).await;
        missing.assert_problem(404, "schedule_not_found");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_published_schedule_is_changed_by_its_workflow() {
    let app = TestApp::start().await;
    let client = &app.client;
    let workflow = client.publish(&scheduled(json!({ "every": "1h" }))).await;
    let path = format!("/schedules/{}", id_of(&only_schedule(client).await));
    let draft = json!({ "workflow_id": workflow, "every": "2h" });
    client.put(&path, "*", &draft).await.assert_problem(409, "schedule_published");
    client.delete(&path).await.assert_problem(409, "schedule_published");
    app.stop().await;
}

#[tokio::test]
async fn lists_schedules_by_pages_and_by_workflow() {
    let app = TestApp::start().await;
    let client = &app.client;
    let (one, other) = (client.create_workflow(&workflows::mark()).await, client.create_workflow(&workflows::mark()).await);
    let mut ids = Vec::new();
    for workflow in [&one, &other, &one] {
        let created = client.post("/schedules", &json!({ "workflow_id": workflow, "every": "1h" })).await;
        ids.push(created.text("id"));
    }
    let page = client.get("/schedules?limit=2").await;
    let cursor = page.text("next_cursor");
    let rest = client.get(&format!("/schedules?limit=2&cursor={cursor}")).await;
    let items = page.body["items"].as_array().unwrap().iter().chain(rest.body["items"].as_array().unwrap());
    let mut listed: Vec<String> = items.map(id_of).collect();
    listed.sort();
    ids.sort();
    assert_eq!((listed, &rest.body["next_cursor"]), (ids, &Value::Null));
    let of_one = client.get(&format!("/schedules?workflow_id={one}")).await;
    assert_eq!(of_one.body["items"].as_array().unwrap().len(), 2);
    client.get(&format!("/schedules?workflow_id={one}&cursor={cursor}")).await.assert_problem(400, "invalid_cursor");
    client.get("/schedules?limit=0").await.assert_problem(400, "invalid_query");
    app.stop().await;
}

#[tokio::test]
async fn shows_the_next_ticks_in_the_schedules_zone() {
    let app = TestApp::start().await;
    let client = &app.client;
    let workflow = client.create_workflow(&workflows::mark()).await;
    let draft = json!({ "workflow_id": workflow, "cron": "0 9 1 1 *", "timezone": "America/New_York" });
    let id = client.post("/schedules", &draft).await.text("id");
    let next = client.get(&format!("/schedules/{id}/next?count=3")).await;
    let times: Vec<&str> = next.body["items"].as_array().unwrap().iter().map(|time| time.as_str().unwrap()).collect();
    assert_eq!(times.len(), 3);
    assert!(times.iter().all(|time| time.ends_with("-01-01T14:00:00.000Z")) && times.is_sorted(), "{times:?}");
    assert_eq!(client.get(&format!("/schedules/{id}/next")).await.body["items"].as_array().unwrap().len(), 10);
    assert_eq!(client.get(&format!("/schedules/{id}/next?count=100")).await.body["items"].as_array().unwrap().len(), 100);
    for count in ["0", "101", "x"] {
        client.get(&format!("/schedules/{id}/next?count={count}")).await.assert_problem(400, "invalid_query");
    }
    let once = json!({ "workflow_id": workflow, "at": "2090-01-01T00:00:00Z" });
    let id = client.post("/schedules", &once).await.text("id");
    assert_eq!(client.get(&format!("/schedules/{id}/next")).await.body["items"], json!(["2090-01-01T00:00:00.000Z"]));
    app.stop().await;
}

#[tokio::test]
async fn a_paused_schedule_fires_nothing_until_it_is_resumed() {
    let app = TestApp::start().await;
    let client = &app.client;
    let workflow = client.create_workflow(&workflows::mark()).await;
    let draft = json!({ "workflow_id": workflow, "every": "1s", "input": [{ "n": 1 }, { "n": 2 }], "paused": true });
    let created = client.post("/schedules", &draft).await;
    assert_eq!((&created.body["paused"], &created.body["next_at"]), (&json!(true), &Value::Null));
    let id = created.text("id");
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert!(executions(client, "").await.is_empty());

    let resumed = client.post(&format!("/schedules/{id}/resume"), &json!({})).await;
    assert_eq!((&resumed.body["paused"], resumed.header("etag")), (&json!(false), "\"2\""));
    let resumed_at = resumed.text("updated_at");
    let ended = reach(client, "succeeded", 2).await;
    let oldest = client.get(&format!("/executions/{}", id_of(ended.last().unwrap()))).await;
    let items = oldest.body["result"].as_array().unwrap();
    assert_eq!((items.len(), &items[1]["json"]["n"], &items[1]["json"]["seen"]), (2, &json!(2), &json!(true)));
    assert!(items[0]["json"]["scheduled_at"].as_str().unwrap() > resumed_at.as_str(), "nothing is made up for");

    let paused = client.post(&format!("/schedules/{id}/pause"), &json!({})).await;
    assert_eq!((paused.status, &paused.body["paused"]), (200, &json!(true)));
    let fired = client.get(&format!("/schedules/{id}")).await.body["fired"].clone();
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert_eq!(client.get(&format!("/schedules/{id}")).await.body["fired"], fired);
    assert_eq!(client.post(&format!("/schedules/{id}/pause"), &json!({})).await.header("etag"), "\"3\"", "it is paused already");
    app.stop().await;
}

#[tokio::test]
async fn fires_ticks_of_the_past_on_request_and_each_of_them_once() {
    let app = TestApp::start().await;
    let client = &app.client;
    let workflow = client.create_workflow(&workflows::mark()).await;
    let draft = json!({ "workflow_id": workflow, "cron": "0 0 * * *", "paused": true });
    let path = format!("/schedules/{}/backfill", client.post("/schedules", &draft).await.text("id"));
    let range = json!({ "from": "2026-01-01T00:00:00Z", "to": "2026-01-04T00:00:00Z" });
    let with = |field: &str, value: Value| {
        let mut body = range.clone();
        body[field] = value;
        body
    };
    let statuses = |answer: &Answer| -> Vec<String> {
        let items = answer.body["items"].as_array().unwrap().iter();
        items.map(|tick| tick["status"].as_str().unwrap().to_owned()).collect()
    };
    let planned = client.post(&path, &with("dry_run", json!(true))).await;
    assert_eq!((planned.status, statuses(&planned)), (200, vec!["planned".to_owned(); 3]), "{planned:?}");
    assert_eq!(planned.body["items"][2]["scheduled_at"], "2026-01-03T00:00:00.000Z", "the end is not in it");
    assert!(executions(client, "").await.is_empty());

    let some = client.post(&path, &with("max", json!(2))).await;
    assert_eq!((statuses(&some), &some.body["next_from"]), (vec!["started".to_owned(); 2], &json!("2026-01-03T00:00:00.000Z")));
    let all = client.post(&path, &range).await;
    assert_eq!(
        (statuses(&all), &all.body["next_from"]),
        (["exists", "exists", "started"].map(str::to_owned).to_vec(), &Value::Null)
    );
    let last = all.body["items"][2]["execution_id"].as_str().unwrap();
    let ended = client.reaches(last, "succeeded").await;
    assert_eq!(ended.body["result"][0]["json"]["scheduled_at"], "2026-01-03T00:00:00.000Z");
    assert_eq!(reach(client, "succeeded", 3).await.len(), 3);

    for (field, value, pointer) in [
        ("from", json!("yesterday"), "/from"),
        ("to", json!("2999-01-01T00:00:00Z"), "/to"),
        ("to", json!("2026-01-01T00:00:00Z"), "/to"),
        ("max", json!(0), "/max"),
        ("max", json!(1_001), "/max"),
    ] {
        let refused = client.post(&path, &with(field, value)).await;
        refused.assert_problem(422, "invalid_body");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
    }
    client.post(&path, &json!({})).await.assert_problem(422, "invalid_body");
    app.stop().await;
}

#[tokio::test]
async fn skip_leaves_ticks_out_while_an_execution_waits() {
    let app = TestApp::start().await;
    let client = &app.client;
    client.publish(&waiting(json!({ "every": "1s", "overlap": "skip" }))).await;
    let first = reach(client, "waiting", 1).await;
    eventually("two ticks are left out", async || (only_schedule(client).await["passed"].as_u64().unwrap() >= 2).then_some(()))
        .await;
    assert_eq!(executions(client, "").await.len(), 1);
    client.post(&format!("/executions/{}/signal/go", id_of(&first[0])), &json!({})).await;
    client.reaches(&id_of(&first[0]), "succeeded").await;
    reach(client, "waiting", 1).await;
    app.stop().await;
}

#[tokio::test]
async fn queue_starts_the_next_execution_when_the_one_before_has_ended() {
    let app = TestApp::start().await;
    let client = &app.client;
    client.publish(&waiting(json!({ "every": "1s", "overlap": "queue" }))).await;
    let mut seconds = Vec::new();
    for round in 0..3 {
        let waits = reach(client, "waiting", 1).await;
        assert_eq!((waits.len(), executions(client, "").await.len()), (1, round + 1), "one at a time");
        if round == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
        }
        let id = id_of(&waits[0]);
        client.post(&format!("/executions/{id}/signal/go"), &json!({})).await;
        seconds.push(second_of(client, &waits[0]).await);
    }
    assert_eq!((seconds[1], seconds[2]), (seconds[0] + 1, seconds[0] + 2), "no tick is left out");
    assert_eq!(only_schedule(client).await["passed"], 0);
    app.stop().await;
}

#[tokio::test]
async fn cancel_old_ends_the_execution_before() {
    let app = TestApp::start().await;
    let client = &app.client;
    client.publish(&waiting(json!({ "every": "1s", "overlap": "cancel_old" }))).await;
    reach(client, "cancelled", 2).await;
    let live = executions(client, "&status=waiting").await.len() + executions(client, "&status=running").await.len();
    assert!(live <= 2, "{live} at once");
    app.stop().await;
}

#[tokio::test]
async fn a_server_that_was_killed_catches_up_on_what_it_missed() {
    let server = ServerProcess::start();
    let client = server.client();
    client.publish(&scheduled(json!({ "every": "1s" }))).await;
    reach(&client, "succeeded", 2).await;
    let server = server.kill_and_restart();
    let client = server.client();
    let before = executions(&client, "").await.len();
    let ended = reach(&client, "succeeded", before + 4).await;
    let mut seconds = Vec::new();
    for execution in &ended {
        seconds.push(second_of(&client, execution).await);
    }
    seconds.sort_unstable();
    let whole: Vec<i64> = (seconds[0]..=seconds[seconds.len() - 1]).collect();
    assert_eq!(seconds, whole, "no tick is missing and none came twice");
}
