//! The audit log: what is in it, who may see what of it, and that a change to it shows.

use citadel::config::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use crate::support::{Client, Project, ServerProcess, TestApp, client::send, eventually, rows, workflows};

const HEADING: &str = "NUMBER TIME WHO ACTION TARGET ADDRESS DETAILS";
const PASSWORD: &str = "correct horse battery";

/// Every row, the oldest first.
async fn log(client: &Client) -> Vec<Value> {
    let page = client.get("/audit?order=oldest&limit=200").await;
    assert_eq!((page.status, &page.body["next_cursor"]), (200, &Value::Null));
    page.body["items"].as_array().unwrap().clone()
}

/// The actions with their targets.
fn actions(rows: &[Value]) -> Vec<(&str, &str)> {
    rows.iter().map(|row| (row["action"].as_str().unwrap(), row["target"].as_str().unwrap_or("-"))).collect()
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn every_change_leaves_a_row() {
    let app = TestApp::start().await;
    let client = &app.client;
    client.post("/variables", &json!({ "name": "limit", "value": 1 })).await;
    client.put("/variables/limit", "*", &json!({ "value": 2 })).await;
    client.delete("/variables/limit").await;
    let workflow = client.create_workflow(&workflows::waiting()).await;
    client.put(&format!("/workflows/{workflow}"), "*", &workflows::waiting()).await;
    client.post(&format!("/workflows/{workflow}/activate"), &json!({})).await;
    let draft = json!({ "workflow_id": workflow, "every": "1h" });
    let schedule = client.post("/schedules", &draft).await.text("id");
    client.put(&format!("/schedules/{schedule}"), "*", &json!({ "workflow_id": workflow, "every": "2h" })).await;
    client.post(&format!("/schedules/{schedule}/pause"), &json!({})).await;
    client.post(&format!("/schedules/{schedule}/resume"), &json!({})).await;
    let past = json!({ "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T01:00:00Z", "dry_run": true });
    assert_eq!(client.post(&format!("/schedules/{schedule}/backfill"), &past).await.status, 200);
    client.delete(&format!("/schedules/{schedule}")).await;
    let execution = client.start(&workflow, &json!({})).await;
    client.reaches(&execution, "waiting").await;
    client.post(&format!("/executions/{execution}/cancel"), &json!({})).await;
    client.reaches(&execution, "cancelled").await;
    let retried = client.post(&format!("/executions/{execution}/retry"), &json!({ "from": "start" })).await.text("id");
    client.reaches(&retried, "waiting").await;
    assert_eq!(client.post(&format!("/executions/{retried}/signal/go"), &json!({})).await.status, 202);
    client.reaches(&retried, "succeeded").await;
    let batch = json!({ "action": "delete", "ids": [retried] });
    let batch = client.post("/executions/batch", &batch).await.text("id");
    client.delete(&format!("/executions/{execution}")).await;
    client.post(&format!("/workflows/{workflow}/deactivate"), &json!({})).await;
    client.delete(&format!("/workflows/{workflow}")).await;

    let rows = log(client).await;
    let expected = [
        ("variable.created", "limit"),
        ("variable.updated", "limit"),
        ("variable.deleted", "limit"),
        ("workflow.created", &workflow),
        ("workflow.updated", &workflow),
        ("workflow.activated", &workflow),
        ("schedule.created", &schedule),
        ("schedule.updated", &schedule),
        ("schedule.paused", &schedule),
        ("schedule.resumed", &schedule),
        ("schedule.deleted", &schedule),
        ("execution.cancelled", &execution),
        ("execution.retried", &execution),
        ("execution.signalled", &retried),
        ("batch.created", &batch),
        ("execution.deleted", &execution),
        ("workflow.deactivated", &workflow),
        ("workflow.deleted", &workflow),
    ];
    assert_eq!(actions(&rows), expected);
    assert_eq!((&rows[5]["details"], &rows[12]["details"]), (&json!({ "version": 2 }), &json!({ "execution_id": retried })));
    // What a row says of the content leads from one to the next.
    assert_eq!((&rows[0]["before"], rows[0]["after"].as_str()), (&Value::Null, Some(sha256("1").as_str())));
    assert_eq!((&rows[1]["before"], rows[1]["after"].as_str()), (&rows[0]["after"], Some(sha256("2").as_str())));
    assert_eq!((&rows[2]["before"], &rows[2]["after"]), (&rows[1]["after"], &Value::Null));
    assert_eq!((&rows[4]["before"], &rows[7]["before"]), (&rows[3]["after"], &rows[6]["after"]));
    assert_ne!(rows[7]["before"], rows[7]["after"]);
    app.stop().await;
}

#[tokio::test]
async fn a_row_says_who_it_was_and_where_the_request_came_from() {
    let app = TestApp::start().await;
    let request = app.client.request(Method::POST, "/variables").header("x-request-id", "mine-1");
    send(request.json(&json!({ "name": "a", "value": "planted-value" }))).await;
    let again = app.client.request(Method::POST, "/variables").header("idempotency-key", "k");
    let body = json!({ "name": "b", "value": 1 });
    send(again.try_clone().unwrap().json(&body)).await;
    send(again.json(&body)).await;
    app.client.post("/variables", &body).await.assert_problem(409, "variable_exists");
    app.client.delete("/variables/none").await.assert_problem(404, "variable_not_found");
    let rows = log(&app.client).await;
    assert_eq!(actions(&rows), [("variable.created", "a"), ("variable.created", "b")], "what changes nothing leaves no row");
    let row = &rows[0];
    assert_eq!((&row["request_id"], &row["address"], &row["seq"]), (&json!("mine-1"), &json!("127.0.0.1"), &json!(1)));
    assert!(row["actor"].as_str().unwrap().starts_with("tok_") && row["actor"] == row["token"], "the owner's token: {row}");
    assert!(row["id"].as_str().unwrap().starts_with("aud_") && row["prev_hash"] == "0".repeat(64), "{row}");
    assert_eq!(rows[1]["prev_hash"], row["hash"]);
    assert!(!json!(rows).to_string().contains("planted-value"), "contents are digests only");
    app.stop().await;
}

#[tokio::test]
async fn logins_and_failed_ones_are_kept_without_what_was_typed() {
    let app = TestApp::start_with(|config| {
        config.admin.email = Some("owner@example.org".to_owned());
        config.admin.password = Some(Secret::new(PASSWORD.to_owned()));
    })
    .await;
    let login = async |email: &str, password: &str| {
        app.client.anonymous().post("/auth/login", &json!({ "email": email, "password": password })).await
    };
    assert_eq!(login("planted-secret", "planted-secret").await.status, 401);
    let tokens = login("owner@example.org", PASSWORD).await;
    let session = app.client.with_token(&tokens.text("access_token"));
    let user = session.get("/auth/me").await.body["user"]["id"].as_str().unwrap().to_owned();
    session.post("/variables", &json!({ "name": "a", "value": 1 })).await;
    assert_eq!(session.post("/auth/logout", &json!({})).await.status, 204);

    let rows = log(&app.client).await;
    // The first is that of the owner whom the test acts as.
    let found = [
        ("session.started", &*user),
        ("session.refused", "-"),
        ("session.started", &user),
        ("variable.created", "a"),
        ("session.ended", &user),
    ];
    assert_eq!(actions(&rows), found);
    let actors: Vec<&str> = rows.iter().map(|row| row["actor"].as_str().unwrap()).collect();
    assert_eq!(actors, [&*user, "anonymous", &user, &user, &user]);
    assert!(rows.iter().all(|row| row["address"] == "127.0.0.1" && row["request_id"].is_string()));
    let text = json!(rows).to_string();
    assert!(!text.contains("planted-secret") && !text.contains(PASSWORD) && !text.contains("example.org"), "{text}");
    app.stop().await;
}

#[tokio::test]
async fn a_refused_connection_is_kept_once_in_a_while() {
    let app = TestApp::start().await;
    let client = &app.client;
    let call = client.create_workflow(&workflows::call("http://10.255.255.1/?key=planted")).await;
    let mut executions = Vec::new();
    for _ in 0..3 {
        let ended = client.run(&call, &json!({})).await;
        assert_eq!(ended.body["error"]["code"], "egress_denied");
        executions.push(ended.text("id"));
    }
    // Code that swallows the refusal is seen all the same.
    let body = "try { fetch('http://169.254.169.254/latest') } catch (error) {} return {}";
    let quiet = json!({
        "name": "quiet",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "probe", "type": "code", "params": { "language": "javascript", "code": body, "grants": { "network": true } } },
        ],
        "edges": [{ "from": "start", "to": "probe" }],
    });
    let quiet = client.create_workflow(&quiet).await;
    assert_eq!(client.run(&quiet, &json!({})).await.body["status"], "succeeded");

    let denied = eventually("the refusals are kept", async || {
        let found = client.get("/audit?kind=egress&order=oldest").await.body["items"].as_array().unwrap().clone();
        (found.len() >= 2).then_some(found)
    })
    .await;
    assert_eq!(actions(&denied), [("egress.denied", "10.255.255.1"), ("egress.denied", "169.254.169.254")]);
    assert_eq!(denied[0]["actor"], executions[0]);
    let details = json!({ "reason": "private", "address": "10.255.255.1", "workflow_id": call, "node_id": "call" });
    assert_eq!(denied[0]["details"], details);
    assert_eq!((&denied[1]["details"]["node_id"], &denied[1]["details"]["unwritten"]), (&json!("probe"), &json!(2)));
    assert!(!json!(denied).to_string().contains("planted"));
    app.stop().await;
}

#[tokio::test]
async fn lists_by_filters_and_pages() {
    let app = TestApp::start().await;
    let client = &app.client;
    for name in ["a", "b", "c"] {
        client.post("/variables", &json!({ "name": name, "value": 1 })).await;
    }
    let workflow = client.create_workflow(&workflows::mark()).await;
    let seqs = async |query: &str| {
        let page = client.get(&format!("/audit?{query}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        page.body["items"].as_array().unwrap().iter().map(|row| row["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(seqs("").await, [4, 3, 2, 1]);
    assert_eq!(seqs("order=oldest").await, [1, 2, 3, 4]);
    assert_eq!(seqs("kind=variable&order=oldest").await, [1, 2, 3]);
    assert_eq!(seqs("action=workflow.created").await, [4]);
    assert_eq!(seqs("target=b").await, [2]);
    assert_eq!(seqs(&format!("target={workflow}")).await, [4]);
    assert_eq!(seqs("actor=system").await, [0; 0]);
    assert_eq!(seqs("since=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z&kind=workflow").await.len(), 1);
    assert_eq!(seqs("until=2026-01-01T00:00:00Z").await, [0; 0]);
    for (order, expected) in [("newest", [[4, 3], [2, 1]]), ("oldest", [[1, 2], [3, 4]])] {
        let page = client.get(&format!("/audit?order={order}&limit=2")).await;
        let cursor = page.text("next_cursor");
        assert_eq!(seqs(&format!("order={order}&limit=2")).await, expected[0]);
        assert_eq!(seqs(&format!("order={order}&limit=2&cursor={cursor}")).await, expected[1]);
    }
    for query in ["action=workflow.eaten", "kind=work", "since=yesterday", "order=random", "limit=0", "seq=1"] {
        client.get(&format!("/audit?{query}")).await.assert_problem(400, "invalid_query");
    }
    client.get("/audit?cursor=x").await.assert_problem(400, "invalid_cursor");
    for path in ["/audit", "/audit/chain", "/audit/export"] {
        client.anonymous().get(path).await.assert_problem(401, "unauthenticated");
    }
    app.stop().await;
}

#[tokio::test]
async fn exports_the_rows_as_lines_between_the_ends_of_the_chain() {
    let app = TestApp::start().await;
    let client = &app.client;
    assert_eq!(
        (client.get("/audit/chain").await.body["last_seq"].clone(), client.get("/audit/export").await.body),
        (json!(0), json!(""))
    );
    for number in 0..3 {
        client.post("/variables", &json!({ "name": format!("v{number}"), "value": number })).await;
    }
    let export = client.get("/audit/export").await;
    assert_eq!(export.header("content-type"), "application/jsonl");
    let lines =
        |body: &Value| body.as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    let rows = log(client).await;
    assert_eq!(lines(&export.body), rows);
    assert_eq!(lines(&client.get("/audit/export?after=1").await.body), rows[1..]);
    let chain = client.get("/audit/chain").await.body;
    let (zeros, last) = ("0".repeat(64), &rows[2]["hash"]);
    let workspace = &rows[0]["workspace_id"];
    let ends =
        json!({ "workspace_id": workspace, "rows": 3, "first_seq": 1, "base_hash": zeros, "last_seq": 3, "last_hash": last });
    assert_eq!(chain, ends);
    app.stop().await;
}

#[test]
fn the_command_lists_exports_and_verifies() {
    let project = Project::new();
    assert_eq!(project.prints(&["audit", "verify"]), "the log is whole: it has no rows\n");
    let workflow = project.install(&workflows::mark());
    project.prints(&["workflow", "activate", "mark"]);
    let table = rows(&project.prints(&["audit", "list"]), HEADING);
    assert_eq!((table.len(), table[0][3].as_str(), table[1][4].as_str()), (2, "workflow.activated", workflow.as_str()));
    assert_eq!(project.json(&["audit", "list", "--action", "workflow.created"])["items"].as_array().unwrap().len(), 1);
    project.run(&["audit", "list", "--kind", "work"]).assert_failed(1, "nothing happens to a `work`");

    let verified = project.prints(&["audit", "verify"]);
    assert!(verified.starts_with("the log is whole: 2 rows, from 1 to 2\nlast row: 2:"), "{verified}");
    let known = verified.trim_end().rsplit(' ').next().unwrap();
    assert_eq!(project.prints(&["audit", "verify", "--known", known]), verified);
    let other = format!("1:{}", known.split_once(':').unwrap().1);
    project.run(&["audit", "verify", "--known", &other]).assert_failed(1, "row 1 is not the row that it was");

    let exported = project.prints(&["audit", "export"]);
    project.prints(&["audit", "export", "--file", "log.jsonl"]);
    assert_eq!(std::fs::read_to_string(project.folder.path().join("log.jsonl")).unwrap(), exported);
    assert_eq!(project.prints(&["audit", "verify", "log.jsonl"]), verified);
    project.write("changed.jsonl", &exported.replacen("workflow.created", "workflow.updated", 1));
    project.run(&["audit", "verify", "changed.jsonl"]).assert_failed(1, "row 1 was changed");
    let piped = project.server.command(&["audit", "verify", "-"]).input(exported.lines().next().unwrap()).run();
    assert!(piped.code == 0 && piped.out.starts_with("the log is whole: 1 rows"), "{piped:?}");
}

/// A server with three rows, of which somebody has changed the second in the database.
async fn with_damage(damage: &'static str) -> ServerProcess {
    let mut server = ServerProcess::start();
    for name in ["a", "b", "c"] {
        server.client().post("/variables", &json!({ "name": name, "value": 1 })).await;
    }
    server.terminate();
    assert!(server.ended().await.success());
    let url = format!("sqlite://{}", server.data_dir().join("citadel.db").display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    database.execute("DROP TRIGGER audit_unchanged").await.unwrap();
    database.execute(damage).await.unwrap();
    database.close().await.unwrap();
    server.restart()
}

#[tokio::test]
async fn a_row_that_was_changed_in_the_database_is_named() {
    let server = with_damage("UPDATE audit SET target = 'x' WHERE seq = 2").await;
    server.command(&["audit", "verify"]).run().assert_failed(1, "the log is broken: row 2 was changed");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_any_more_is_named() {
    for damage in ["UPDATE audit SET details = '{' WHERE seq = 2", "UPDATE audit SET hash = x'00' WHERE seq = 2"] {
        let server = with_damage(damage).await;
        server.command(&["audit", "verify"]).run().assert_failed(1, "the log is broken: row 2");
    }
}

#[tokio::test]
async fn rows_that_are_too_old_go_and_the_chain_goes_on() {
    let server = ServerProcess::start_with(&[("CITADEL__RETENTION__AUDIT", "1ms")]);
    for name in ["a", "b"] {
        server.client().post("/variables", &json!({ "name": name, "value": 1 })).await;
    }
    // The first round of retention is at the start.
    let server = server.kill_and_restart();
    let client = server.client();
    eventually("old rows go", async || {
        let chain = client.get("/audit/chain").await.body;
        (chain["rows"] == 0).then(|| assert_eq!((&chain["first_seq"], &chain["last_seq"]), (&json!(3), &json!(2))))
    })
    .await;
    client.post("/variables", &json!({ "name": "c", "value": 1 })).await;
    // Whether another round has taken that one, too, or not.
    let verified = server.command(&["audit", "verify"]).run();
    assert!(verified.code == 0 && verified.out.starts_with("the log is whole"), "{verified:?}");
    assert_eq!(client.get("/audit/chain").await.body["last_seq"], 3);
}
