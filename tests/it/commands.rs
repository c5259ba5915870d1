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
    assert_eq!(run(&["run"], "").code, 2);
    assert_eq!(run(&["run", invalid.to_str().unwrap(), "--timeout", "soon"], "").code, 2);
}

#[test]
fn says_what_is_wrong_with_a_file_and_what_to_do() {
    let files = Files::new();
    let good = files.write("good.json", &workflows::mark());
    let (good, folder) = (good.to_str().unwrap(), files.0.path().to_str().unwrap());
    // Each as bad as a file that says something wrong: a workflow 1, an input 2.
    let check = |arguments: &[&str], code: i32, words: &str, hint: &str| {
        let ran = run(arguments, "{ no");
        ran.assert_failed(code, words);
        assert!(ran.err.contains(&format!("\nhint: {hint}")) && ran.out.is_empty(), "{ran:?}");
    };
    for command in [&["run"][..], &["workflow", "validate"]] {
        let with = |file| [command, &[file]].concat();
        check(&with("/no/such/file"), 1, "cannot read /no/such/file: No such file", "check the path");
        check(&with(folder), 1, "Is a directory", "name a file in it");
    }
    let hint = "an input is a JSON file, `-` for standard input, or JSON itself";
    for given in ["/no/such/file", "@/no/such/file"] {
        check(&["run", good, "-i", given], 2, "cannot read /no/such/file: No such file", hint);
    }
    check(&["run", good, "-i", folder], 2, "Is a directory", hint);
    check(&["run", good, "-i", "-"], 2, "standard input is not JSON", hint);
    check(&["run", good, "-i", "{ no"], 2, "the input is not JSON", hint);
    let blank = files.write("blank.json", &json!(null));
    std::fs::write(&blank, "").unwrap();
    check(&["run", good, "-i", blank.to_str().unwrap()], 2, "blank.json is not JSON", hint);
    check(&["init", "/no/such/directory/citadel.toml"], 1, "cannot write", "make its directory first");
}

#[test]
fn says_why_settings_cannot_be_used() {
    let secret = command(&["config", "check"]).env("CITADEL__CLIENT__TOKEN_FILE", "/no/such/secret").run();
    secret.assert_failed(2, "cannot read /no/such/secret, which CITADEL__CLIENT__TOKEN_FILE names: No such file");
    let missing = command(&["config", "check", "--config", "/no/such/settings.toml"]).run();
    missing.assert_failed(2, "/no/such/settings.toml");
    let filter = command(&["config", "check", "--log-filter", "citadel=loud"]).run();
    filter.assert_failed(2, "citadel=loud");
    for ran in [secret, missing, filter] {
        assert!(ran.err.contains("\nhint: "), "{ran:?}");
    }
}

#[test]
fn counts_one_problem_and_several() {
    let files = Files::new();
    let refused = |nodes: Value| {
        let file = files.write("bad.json", &json!({ "name": "a", "nodes": nodes }));
        let ran = run(&["workflow", "validate", file.to_str().unwrap()], "");
        ran.assert_failed(1, "\nhint: the first column points into the document");
        ran.err.lines().next().unwrap().to_owned()
    };
    assert_eq!(refused(json!([{ "id": "a", "type": "manul" }])), "error: the workflow has 1 problem:");
    let two = json!([{ "id": "a", "type": "manul" }, { "id": "b", "type": "sett" }]);
    assert_eq!(refused(two), "error: the workflow has 2 problems:");
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
    let code = json!({ "id": "c", "type": "code", "params": { "language": "lua", "code": "local x = 1\nlocal y = = 2" } });
    let wrong = files.write(
        "wrong.json",
        &json!({ "name": "a", "nodes": [{ "id": "m", "type": "manual" }, code], "edges": [{ "from": "m", "to": "c" }] }),
    );
    let refused = run(&["workflow", "validate", wrong.to_str().unwrap()], "");
    refused.assert_failed(1, "/nodes/1/params/code");
    assert!(refused.err.contains("line 2: unexpected symbol"), "{}", refused.err);
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
