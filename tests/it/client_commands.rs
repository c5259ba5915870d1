//! Client commands against a real server: workflows from files, executions from start to end.

use serde_json::{Value, json};

use crate::support::{Project, Receiver, ServerProcess, command, workflows};

const GREETING: &str = "
name: greeting
nodes:
  - { id: start, type: manual }
  - { id: greet, type: set, params: { keep: none, fields: { text: \"Hello, {{ $json.name }}!\" } } }
edges:
  - { from: start, to: greet }
";

/// Applies the folder; answers what was done, by name.
fn apply(project: &Project, more: &[&str]) -> Vec<(String, String)> {
    let applied = project.json(&[&["workflow", "apply", "-f", "."], more].concat());
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    applied["items"].as_array().unwrap().iter().map(|row| (text(row, "name"), text(row, "action"))).collect()
}

fn id_of(project: &Project, name: &str) -> String {
    project.json(&["workflow", "get", name])["id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn check_actions(actions: &[(String, String)], expected: &[(&str, &str)]) {
    let actions: Vec<(&str, &str)> = actions.iter().map(|(name, action)| (name.as_str(), action.as_str())).collect();
    assert_eq!(actions, expected);
}

#[test]
fn applies_a_folder_and_leaves_alone_what_has_not_changed() {
    let project = Project::new();
    project.write("greeting.yaml", GREETING);
    project.write("nested/mark.json", &workflows::mark().to_string());
    project.write("input.json", "{ \"name\": \"Ada\" }");
    check_actions(&apply(&project, &[]), &[("greeting", "created"), ("mark", "created")]);
    check_actions(&apply(&project, &[]), &[("greeting", "unchanged"), ("mark", "unchanged")]);
    project.write("greeting.yaml", &GREETING.replace("Hello", "Good day"));
    check_actions(&apply(&project, &["--activate"]), &[("greeting", "updated"), ("mark", "activated")]);
    let shown = project.run(&["workflow", "get", "greeting", "-o", "json"]).json();
    assert_eq!((&shown["version"], &shown["active_version"]), (&json!(2), &json!(2)));
    check_actions(&apply(&project, &["--activate"]), &[("greeting", "unchanged"), ("mark", "unchanged")]);

    // By its id a workflow is found under a new name.
    let id = id_of(&project, "mark");
    project.write(
        "nested/mark.json",
        &json!({ "id": id, "name": "marked", "nodes": workflows::mark()["nodes"], "edges": [] }).to_string(),
    );
    let refused = project.run(&["workflow", "apply", "-f", "."]);
    refused.assert_failed(1, "nested/mark.json");
    let mut renamed = workflows::mark();
    (renamed["id"], renamed["name"]) = (json!(id), json!("marked"));
    project.write("nested/mark.json", &renamed.to_string());
    check_actions(&apply(&project, &[]), &[("greeting", "unchanged"), ("marked", "updated")]);
    assert_eq!(id_of(&project, "marked"), id);

    std::fs::remove_file(project.folder.path().join("greeting.yaml")).unwrap();
    check_actions(&apply(&project, &[]), &[("marked", "unchanged")]);
    check_actions(&apply(&project, &["--prune"]), &[("marked", "unchanged"), ("greeting", "deleted")]);
    project.run(&["workflow", "get", "greeting"]).assert_failed(1, "there is no workflow greeting");
}

#[test]
fn tells_every_problem_of_every_file_and_changes_nothing() {
    let project = Project::new();
    project.write("a-good.yaml", GREETING);
    project.write("b-syntax.yaml", "name: [\n");
    project.write("c-types.yaml", "name: c\nnodes: [{ id: a, type: manul }, { id: b, type: sett }]\n");
    project.write("d-twin.yaml", GREETING);
    let refused = project.run(&["workflow", "apply", "-f", "."]);
    refused.assert_failed(1, "nothing was done because of 3 files");
    for words in [
        "b-syntax.yaml\n    / invalid_yaml",
        "/nodes/0/type",
        "/nodes/1/type",
        "d-twin.yaml\n    ./a-good.yaml has the name greeting, too",
    ] {
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
    assert_eq!(project.run(&["workflow", "list", "-o", "json"]).json()["items"], json!([]));
    project.run(&["workflow", "apply", "-f", "missing"]).assert_failed(1, "hint: check the path");
}

#[test]
fn shows_how_files_differ_from_the_server() {
    let project = Project::new();
    let path = project.write("greeting.yaml", GREETING);
    let diff = |more: &[&str]| project.run(&[&["workflow", "diff", "-f", "greeting.yaml"], more].concat());
    let new = diff(&[]);
    assert_eq!(new.code, 1, "{new:?}");
    assert!(new.out.starts_with("--- /dev/null\n+++ greeting.yaml\n@@ -0,0 +1,"), "{}", new.out);
    assert_eq!(apply(&project, &[]).len(), 1);
    assert_eq!((diff(&[]).code, diff(&[]).out.as_str()), (0, "no differences\n"));
    std::fs::write(&path, GREETING.replace("Hello", "Good day")).unwrap();
    let changed = diff(&[]);
    assert_eq!(changed.code, 1);
    assert!(changed.out.contains("\n-      text: ") && changed.out.contains("\n+      text: "), "{}", changed.out);
    assert!(changed.out.starts_with("--- greeting (wf_"), "{}", changed.out);

    // What the server prints is what a file may say.
    let printed = project.run(&["workflow", "get", "greeting", "--definition"]);
    std::fs::write(&path, printed.out).unwrap();
    assert_eq!(diff(&[]).code, 0);
    let other = project.write("other.yaml", &GREETING.replace("name: greeting", "name: other"));
    assert_eq!(apply(&project, &[]).len(), 2);
    std::fs::remove_file(other).unwrap();
    let pruned = diff(&["--prune"]);
    assert!(pruned.code == 1 && pruned.out.contains("\n+++ /dev/null\n"), "{pruned:?}");
}

#[test]
fn runs_a_workflow_by_its_name_and_waits_for_the_result() {
    let project = Project::new();
    project.write("greeting.yaml", GREETING);
    project.write("in.json", "{ \"name\": \"Ada\" }");
    apply(&project, &[]);
    let ran = project.run(&["workflow", "run", "greeting", "-i", "@in.json", "--wait"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let result: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(result[0]["json"], json!({ "text": "Hello, Ada!" }));
    assert!(ran.err.contains("ok     greet"), "{}", ran.err);

    let started =
        project.run(&["workflow", "run", "greeting", "-i", "{\"name\":\"Bob\"}", "--business-key", "b", "-o", "json"]).json();
    let id = started["id"].as_str().unwrap();
    let watched = project.run(&["execution", "watch", id, "-o", "json"]).json();
    assert_eq!((&watched["status"], &watched["business_key"]), (&json!("succeeded"), &json!("b")));
    let listed = project.run(&["execution", "list", "--workflow", "greeting", "--status", "succeeded", "-o", "json"]).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let page = project.run(&["execution", "list", "--limit", "1", "-o", "json"]).json();
    assert!(page["items"].as_array().unwrap().len() == 1 && page["next_cursor"].is_string());
    let table = project.run(&["execution", "list"]);
    assert!(table.out.starts_with("ID ") && table.out.contains(id), "{}", table.out);
    let yaml = project.run(&["execution", "get", id, "-o", "yaml"]);
    assert!(yaml.out.contains("status: succeeded"), "{}", yaml.out);
    let nodes = project.run(&["execution", "nodes", id, "--data", "-o", "json"]).json();
    assert_eq!(nodes["items"][1]["outputs"][0]["items"][0]["json"]["text"], "Hello, Bob!");
    assert_eq!(project.run(&["execution", "delete", id]).code, 0);
    project.run(&["execution", "get", id]).assert_failed(1, "execution_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_failures_apart_by_the_exit_code() {
    let (project, receiver) = (Project::new(), Receiver::start().await);
    for (name, path) in [("broken", "/broken"), ("slow", "/slow")] {
        let mut definition = workflows::call(&receiver.url(path));
        definition["name"] = json!(name);
        project.write(&format!("{name}.json"), &definition.to_string());
    }
    apply(&project, &[]);
    let failed = project.run(&["workflow", "run", "broken", "--wait"]);
    failed.assert_failed(3, "the execution failed at node `call`: http_status");
    assert!(failed.err.contains("failed call"), "{}", failed.err);
    let late = project.run(&["workflow", "run", "slow", "--wait", "--timeout", "500ms"]);
    late.assert_failed(4, "it goes on");

    let running = project.run(&["execution", "list", "--status", "running", "-o", "json"]).json();
    let id = running["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(project.run(&["execution", "cancel", &id, "--reason", "enough"]).code, 0);
    project.run(&["execution", "watch", &id, "--timeout", "30s"]).assert_failed(3, "the execution was cancelled");
    project.run(&["execution", "cancel", &id]).assert_failed(1, "execution_finished");
    assert_eq!(project.run(&["execution", "frobnicate"]).code, 2);
    assert_eq!(project.run(&["workflow", "run", "slow", "--timeout", "1s"]).code, 2, "a limit needs --wait");
}

#[test]
fn says_what_to_do_about_a_certificate_that_nobody_here_knows() {
    let fixture = |name: &str| format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let (cert, key) = (fixture("first.pem"), fixture("first.key"));
    let server =
        ServerProcess::start_with(&[("CITADEL__HTTP__TLS__CERT", cert.as_str()), ("CITADEL__HTTP__TLS__KEY", key.as_str())]);
    let url = server.url().replace("http://", "https://");
    let list = || command(&["workflow", "list", "--url", &url]);
    let stranger = list().run();
    stranger.assert_failed(1, "cannot reach");
    assert!(stranger.err.contains("\nhint: the certificate is not trusted here: SSL_CERT_FILE"), "{stranger:?}");
    list().env("SSL_CERT_FILE", fixture("ca.pem")).run().assert_failed(5, "unauthenticated");
}

#[test]
fn sends_a_signal_to_what_waits_for_it() {
    let project = Project::new();
    let nodes = json!([{ "id": "start", "type": "manual" }, { "id": "pause", "type": "wait", "params": { "signal": "go" } }]);
    project.write(
        "waiting.json",
        &json!({ "name": "waiting", "nodes": nodes, "edges": [{ "from": "start", "to": "pause" }] }).to_string(),
    );
    apply(&project, &[]);
    let started = project.run(&["workflow", "run", "waiting", "-o", "json"]).json();
    let id = started["id"].as_str().unwrap();
    let watching = std::thread::scope(|scope| {
        let watching = scope.spawn(|| project.run(&["execution", "watch", id, "-o", "json"]));
        assert_eq!(project.run(&["execution", "signal", id, "go", "-d", "{\"by\":\"ada\"}"]).code, 0);
        watching.join().unwrap()
    });
    assert_eq!(watching.json()["status"], "succeeded");
}

#[test]
fn publishes_and_deletes_by_name_and_refuses_what_is_not_clear() {
    let project = Project::new();
    project.write("hook.json", &workflows::hook(json!({ "path": "called" })).to_string());
    apply(&project, &[]);
    let active = project.run(&["workflow", "activate", "hook", "-o", "json"]).json();
    assert_eq!(active["active_version"], 1);
    assert_eq!(project.run(&["workflow", "versions", "hook", "-o", "json"]).json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(project.run(&["workflow", "deactivate", "hook", "-o", "json"]).json()["active"], false);
    project.run(&["workflow", "get", "hok"]).assert_failed(1, "hint: did you mean `hook`?");

    let twin = |name: &str| project.server.command(&["workflow", "apply", "-f", name]).within(project.folder.path()).run();
    let id = id_of(&project, "hook");
    let mut renamed = workflows::hook(json!({ "path": "called" }));
    (renamed["name"], renamed["id"]) = (json!("other"), json!(id));
    project.write("hook.json", &renamed.to_string());
    assert_eq!(twin("hook.json").code, 0);
    project.write("second.json", &workflows::hook(json!({ "path": "second" })).to_string());
    assert_eq!(twin("second.json").code, 0);
    (renamed["name"], renamed["id"]) = (json!("hook"), json!(id));
    project.write("hook.json", &renamed.to_string());
    assert_eq!(twin("hook.json").code, 0);
    project.run(&["workflow", "delete", "hook"]).assert_failed(1, "2 workflows are called hook");
    twin("second.json").assert_failed(1, "several workflows have the name hook");
    assert_eq!(project.run(&["workflow", "delete", &id]).code, 0);
    assert_eq!(project.run(&["workflow", "delete", "hook"]).code, 0);
}
