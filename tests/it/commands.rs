//! The commands that need no server.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ran, Receiver, citadel, command, workflows};

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &Value) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content.to_string()).unwrap();
        path
    }
}

fn run(arguments: &[&str], input: &str) -> Ran {
    command(arguments).env("CITADEL__EGRESS__ALLOW", "127.0.0.1").input(input).run()
}

#[test]
fn runs_a_file_and_prints_the_result_alone() {
    let files = Files::new();
    let workflow = files.write("mark.json", &workflows::mark());
    let input = files.write("input.json", &json!([{ "n": 1 }, { "n": 2 }]));
    for given in [input.to_str().unwrap().to_owned(), format!("@{}", input.display()), r#"[{"n":1},{"n":2}]"#.to_owned()] {
        let ran = run(&["run", workflow.to_str().unwrap(), "-i", &given], "");
        assert_eq!(ran.code, 0, "{}", ran.err);
        let result: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(result[1]["json"], json!({ "n": 2, "seen": true }));
        assert!(ran.err.contains("ok     mark"), "{}", ran.err);
    }
}

#[test]
fn reads_standard_input_and_shows_every_node_run() {
    let files = Files::new();
    let workflow = files.write("mark.json", &workflows::mark());
    let ran = run(&["run", workflow.to_str().unwrap(), "-i", "-", "--nodes"], r#"{ "n": 1 }"#);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let nodes: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(nodes["items"][1]["node_id"], "mark");
    assert_eq!(nodes["items"][1]["outputs"][0]["items"][0]["json"], json!({ "n": 1, "seen": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_failures_apart_by_the_exit_code() {
    let (files, receiver) = (Files::new(), Receiver::start().await);
    let run_call = |path: &str, more: &[&str]| {
        let workflow = files.write("call.json", &workflows::call(&receiver.url(path)));
        run(&[&["run", workflow.to_str().unwrap()], more].concat(), "")
    };
    let failed = run_call("/broken", &[]);
    assert_eq!((failed.code, failed.out.as_str()), (3, ""));
    assert!(failed.err.contains("error: the execution failed at node `call`: http_status"), "{}", failed.err);
    let shown = run_call("/broken", &["--nodes"]);
    assert_eq!(shown.code, 3);
    assert_eq!(serde_json::from_str::<Value>(&shown.out).unwrap()["items"][1]["status"], "failed");
    let late = run_call("/slow", &["--timeout", "300ms"]);
    assert_eq!(late.code, 4, "{}", late.err);

    let invalid = files.write("invalid.json", &json!({ "name": "a", "nodes": [{ "id": "a", "type": "manul" }] }));
    let refused = run(&["run", invalid.to_str().unwrap()], "");
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("/nodes/0/type") && refused.err.contains("manual"), "{}", refused.err);
    assert_eq!(run(&["run", "/no/such/file"], "").code, 1);
    assert_eq!(run(&["run"], "").code, 2);
    assert_eq!(run(&["run", invalid.to_str().unwrap(), "--timeout", "soon"], "").code, 2);
}

#[test]
fn validates_a_file_without_running_it() {
    let files = Files::new();
    let good = files.write("good.json", &workflows::mark());
    let bad = files.write("bad.json", &json!({ "name": "a" }));
    let checked = run(&["workflow", "validate", good.to_str().unwrap()], "");
    assert_eq!((checked.code, checked.out.trim_end().ends_with(": valid")), (0, true));
    let refused = run(&["workflow", "validate", bad.to_str().unwrap()], "");
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("nodes"), "{}", refused.err);
}

#[test]
fn looks_after_the_schema() {
    let files = Files::new();
    let url = format!("sqlite://{}", files.0.path().join("a.db").display());
    let db = |action: &str| {
        let output = citadel().args(["db", action]).env("CITADEL__STORE__URL", &url).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(db("status").0, 1);
    let (code, text) = db("migrate");
    assert!(code == 0 && text.contains("0001  applied"), "{text}");
    assert_eq!(db("migrate"), (0, "0 migrations applied\n".to_owned()));
    assert_eq!(db("status").0, 0);
}

#[test]
fn shows_its_version() {
    let version: Value = serde_json::from_str(&run(&["version", "--json"], "").out).unwrap();
    assert_eq!((&version["name"], &version["version"]), (&json!("citadel"), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!(run(&["--version"], "").code, 0);
    assert_eq!(run(&["frobnicate"], "").code, 2);
}
