//! `citadel execution` against a real server: what was logged, repeated, followed, and done to many at once.

use serde_json::{Value, json};

use crate::support::{Project, Receiver, rows, workflows};

/// The heading of `citadel execution list`.
const HEADING: &str = "ID WORKFLOW STATUS TRIGGER CREATED DURATION ERROR";

/// Writes lines, waits for the signal `go`, and writes another.
fn talkative() -> Value {
    let code = |id: &str, text: &str| json!({ "id": id, "type": "code", "params": { "code": text } });
    json!({
        "name": "talkative",
        "nodes": [
            { "id": "start", "type": "manual" },
            code("first", "console.log('one'); console.warn('two\\nlines'); return items"),
            { "id": "pause", "type": "wait", "params": { "signal": "go" } },
            code("second", "console.error('three'); return items"),
        ],
        "edges": [{ "from": "start", "to": "first" }, { "from": "first", "to": "pause" }, { "from": "pause", "to": "second" }],
    })
}

/// Calls `/ok` and then `/flaky`, twice if that fails.
fn two_calls(receiver: &Receiver) -> Value {
    let call = |id: &str, path: &str, attempts: u32| {
        let params = json!({ "url": receiver.url(path), "method": "POST" });
        json!({ "id": id, "type": "http.request", "params": params, "retry": { "max_attempts": attempts, "initial": "10ms" } })
    };
    json!({
        "name": "calls",
        "nodes": [{ "id": "start", "type": "manual" }, call("first", "/ok", 1), call("second", "/flaky", 2)],
        "edges": [{ "from": "start", "to": "first" }, { "from": "first", "to": "second" }],
    })
}

/// The lines of a log without their times.
fn messages(log: &str) -> Vec<&str> {
    log.lines().map(|line| line.split_once(' ').unwrap().1).collect()
}

#[test]
fn prints_what_code_wrote_at_once_or_until_the_end() {
    let project = Project::new();
    project.install(&talkative());
    let id = project.start("talkative");
    let before = ["info  first  one", "warn  first  two\u{fffd}lines"];
    let all = [before[0], before[1], "error second  three"];
    let followed = std::thread::scope(|scope| {
        let following = scope.spawn(|| project.prints(&["execution", "logs", &id, "--follow"]));
        let following_json = scope.spawn(|| project.json(&["execution", "logs", "-f", &id]));
        // It waits now: what it wrote before can be read.
        project.until(&["execution", "get", &id], |shown| shown["status"] == "waiting");
        assert_eq!(messages(&project.prints(&["execution", "logs", &id])), before);
        project.prints(&["execution", "signal", &id, "go"]);
        assert_eq!(following_json.join().unwrap()["items"].as_array().unwrap().len(), 3, "JSON waits for the end, too");
        following.join().unwrap()
    });
    assert_eq!(messages(&followed), all);
    assert_eq!(messages(&project.prints(&["execution", "logs", &id])), all);
    assert_eq!(messages(&project.prints(&["execution", "logs", &id, "--node", "second"])), all[2..]);
    assert_eq!(project.prints(&["execution", "logs", &id, "--node", "third"]), "", "nothing, not an empty line");
    let listed = project.json(&["execution", "logs", &id]);
    assert_eq!((&listed["items"][1]["message"], &listed["items"][1]["level"]), (&json!("two\nlines"), &json!("warn")));
    assert_eq!(project.yaml(&["execution", "logs", &id]), listed);
    project.run(&["execution", "logs", "exe_01900000000070008000000000000001", "-f"]).assert_failed(1, "execution_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn draws_every_attempt_of_the_stream_and_ends_as_the_execution_did() {
    let (project, receiver) = (Project::new(), Receiver::start().await);
    project.install(&two_calls(&receiver));
    let id = project.start("calls");
    // Once while it happens and once afterwards: only a stream tells of attempts that another has followed.
    for _ in 0..2 {
        let watched = project.run(&["execution", "watch", &id]);
        watched.assert_failed(3, "the execution failed at node `second`: http_status");
        let progress: Vec<&str> = watched.err.lines().collect();
        assert!(progress[0].starts_with("ok     first "), "{progress:?}");
        assert!(progress[1].starts_with("failed second ") && progress[1].contains("  http_status: "), "{progress:?}");
        assert!(progress[2].starts_with("failed second attempt 2 "), "{progress:?}");
        assert!(progress[4].starts_with("hint: `citadel execution nodes exe_"), "{progress:?}");
        assert!(watched.out.starts_with(&format!("execution  {id}\n")) && watched.out.contains("status     failed"));
    }
    let shown = project.run(&["execution", "watch", &id, "-o", "yaml"]);
    let shown_yaml: Value = serde_saphyr::from_str(&shown.out).unwrap();
    assert_eq!((shown.code, &shown_yaml["error"]["code"]), (3, &json!("http_status")));
    project.run(&["execution", "watch", "exe_01900000000070008000000000000001"]).assert_failed(1, "execution_not_found");
    assert_eq!(project.run(&["execution", "watch", &id, "--timeout", "soon"]).code, 2);
    let refused = project.server.command(&["execution", "watch", &id]).env("CITADEL__CLIENT__TOKEN", "wrong").run();
    refused.assert_failed(5, "unauthenticated");
}

#[test]
fn shows_progress_while_an_execution_waits() {
    let project = Project::new();
    project.install(&workflows::waiting());
    let id = project.start("waiting");
    let late = project.run(&["execution", "watch", &id, "--timeout", "1s"]);
    late.assert_failed(4, "had not ended after 1s; it goes on");
    assert!(late.err.contains("waits  pause for the signal go\n"), "{}", late.err);
    assert!(late.err.contains(&format!("hint: `citadel execution watch {id}` follows it again")), "{}", late.err);
    project.prints(&["execution", "signal", &id, "go"]);
    let watched = project.run(&["execution", "watch", &id]);
    assert!(watched.code == 0 && watched.err.contains("ok     pause "), "{watched:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_an_execution_from_where_it_is_told() {
    let (project, receiver) = (Project::new(), Receiver::start().await);
    project.install(&two_calls(&receiver));
    let id = project.start_and_watch("calls");
    assert_eq!(receiver.calls(), 1);
    receiver.heal();
    let retried = project.run(&["execution", "retry", &id, "--wait", "-o", "json"]).json();
    assert_eq!((&retried["status"], &retried["retry_of"], receiver.calls()), (&json!("succeeded"), &json!(id), 2));
    let from_start = project.run(&["execution", "retry", &id, "--from", "start", "--wait"]);
    assert_eq!((from_start.code, receiver.calls()), (0, 4), "{from_start:?}");
    assert!(from_start.err.contains("ok     first ") && from_start.out.contains("status     succeeded"), "{from_start:?}");
    let done = retried["id"].as_str().unwrap();
    let from_node = project.prints(&["execution", "retry", done, "--from", "second", "--version", "latest"]);
    let (again, rest) = from_node.split_once(' ').unwrap();
    assert_eq!(rest, format!("retries {done}\n"));
    assert_eq!((project.run(&["execution", "watch", again]).code, receiver.calls()), (0, 5));
    let nodes = rows(&project.prints(&["execution", "nodes", again]), "NODE RUN STATUS ATTEMPTS DURATION ITEMS ERROR");
    let states: Vec<&str> = nodes.iter().map(|row| row[2].as_str()).collect();
    assert_eq!(states, ["succeeded", "reused", "succeeded"]);

    let refused =
        |more: &[&str], words: &str| project.run(&[&["execution", "retry", done], more].concat()).assert_failed(1, words);
    refused(&[], "nothing_to_retry");
    refused(&["--from", "third"], "third");
    refused(&["--from", "start", "--version", "7"], "version_not_found");
    refused(&["--from", "start", "--version", "newest"], "`original`, `latest` or the number");
    let listed = rows(&project.prints(&["execution", "list", "--retry-of", &id]), HEADING);
    assert!(listed.len() == 2 && listed.iter().all(|row| row[2..4] == ["succeeded", "retry"]), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn does_one_thing_to_many_executions() {
    let (project, receiver) = (Project::new(), Receiver::start().await);
    project.install(&two_calls(&receiver));
    let ids = [(); 3].map(|()| project.start_and_watch("calls"));
    let batch = |more: &[&str]| project.run(&[&["execution", "batch"], more].concat());
    let planned = batch(&["retry", "--status", "failed", "--workflow", "calls", "--dry-run", "-o", "json"]).json();
    assert_eq!((&planned["count"], &planned["dry_run"]), (&json!(3), &json!(true)));
    let planned = batch(&["delete", &ids[0], "--dry-run"]);
    assert!(planned.code == 0 && planned.out.contains("count        1\n") && planned.out.contains(&ids[0]), "{planned:?}");
    assert_eq!(project.json(&["execution", "list"])["items"].as_array().unwrap().len(), 3, "nothing was done");

    receiver.heal();
    let retried = batch(&["retry", "--status", "failed", "--error-code", "http_status", "--wait"]);
    assert_eq!(retried.code, 0, "{retried:?}");
    for line in ["status       finished", "total        3", "succeeded    3", "failed       0"] {
        assert!(retried.out.lines().any(|shown| shown == line), "{line}: {}", retried.out);
    }
    let repeated = ["execution", "list", "--trigger", "retry", "--status", "succeeded"];
    project.until(&repeated, |found| found["items"].as_array().unwrap().len() == 3);

    // One is gone already when its turn comes: the batch says so, and so does the exit code.
    let deleted = batch(&["delete", &ids[0], &ids[1], "--wait", "-o", "json"]).json();
    assert_eq!((&deleted["done"], &deleted["failed"]), (&json!(2), &json!(0)));
    project.install(&workflows::waiting());
    let live = project.start("waiting");
    let partly = batch(&["delete", &ids[2], &live, "--wait"]);
    partly.assert_failed(1, "1 of 2 executions could not be deleted");
    assert!(partly.err.contains(&format!("\n  {live} execution_running: ")), "{}", partly.err);
    let cancelled = batch(&["cancel", "--workflow", "waiting", "--wait"]);
    assert!(cancelled.code == 0 && cancelled.out.contains("succeeded    1\n"), "{cancelled:?}");
    project.run(&["execution", "watch", &live]).assert_failed(3, "the execution was cancelled");

    batch(&["delete"]).assert_failed(2, "name executions, or a filter");
    batch(&["delete", &live, "--status", "failed"]).assert_failed(2, "not both");
    batch(&["delete", "exe_01900000000070008000000000000001"]).assert_failed(1, "/ids/0 execution_not_found");
    batch(&["delete", "--status", "lost"]).assert_failed(1, "invalid_batch");
    assert_eq!(batch(&["archive", &live]).code, 2);
}

#[test]
fn asks_an_execution_to_stop_and_says_that_it_was_asked() {
    let project = Project::new();
    project.install(&workflows::waiting());
    let id = project.start("waiting");
    assert_eq!(project.prints(&["execution", "cancel", &id, "--reason", "enough"]), format!("{id}: accepted\n"));
    project.run(&["execution", "watch", &id, "--timeout", "30s"]).assert_failed(3, "the execution was cancelled");
    let shown = project.yaml(&["execution", "get", &id]);
    assert_eq!((&shown["status"], &shown["error"]["message"]), (&json!("cancelled"), &json!("enough")));
    assert_eq!(project.json(&["execution", "get", &id]), shown);
    let described = project.prints(&["execution", "get", &id]);
    assert!(described.contains("status     cancelled\n") && described.contains("enough"), "{described}");
    project.run(&["execution", "cancel", &id, "-o", "json"]).assert_failed(1, "execution_finished");
    project.run(&["execution", "cancel", "exe_01900000000070008000000000000001"]).assert_failed(1, "execution_not_found");
    let listed = rows(&project.prints(&["execution", "list", "--status", "cancelled"]), HEADING);
    assert_eq!((listed.len(), listed[0][0].as_str(), listed[0][2].as_str()), (1, id.as_str(), "cancelled"));
    project.run(&["execution", "list", "--status", "lost"]).assert_failed(1, "invalid_query");
    let deleted = project.json(&["execution", "delete", &id]);
    assert_eq!(deleted, json!({ "id": id, "deleted": true }));
}
