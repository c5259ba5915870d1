//! What the command line does for operators: settings, the look at a machine, a server for development, settings read again.

use serde_json::{Value, json};

use crate::support::{ServerProcess, command, eventually};

#[test]
fn writes_a_file_of_settings_and_does_not_replace_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("citadel.toml");
    let init = |more: &[&str]| command(&[&["init"], more].concat()).within(directory.path()).run();
    assert_eq!(init(&[]).code, 0);
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.contains("#listen = \"127.0.0.1:8080\""), "{written}");
    assert_eq!(init(&["--print"]).out, written);

    std::fs::write(&path, "mine").unwrap();
    init(&[]).assert_failed(1, "hint: --force replaces it");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    assert_eq!(init(&["--force"]).code, 0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
    let checked = command(&["config", "check", "--config", path.to_str().unwrap()]).run();
    assert_eq!((checked.code, checked.out.as_str()), (0, "the settings are valid\n"));
}

#[test]
fn names_the_layer_of_every_value_and_masks_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let (file, secret) = (directory.path().join("a.toml"), directory.path().join("secret"));
    std::fs::write(&file, "[node]\nname = \"from-file\"\n[limits]\nio_slots = 7\n[credentials.x]\ntype = 'a'\nkey = 'hunter2'\n")
        .unwrap();
    std::fs::write(&secret, "postgres://u:hunter2@localhost/d\n").unwrap();
    let config = |arguments: &[&str]| {
        let given = [arguments, &["--config", file.to_str().unwrap(), "--log-format", "json"]].concat();
        command(&given).env("CITADEL__NODE__NAME", "from-env").env("CITADEL__STORE__URL_FILE", &secret).run()
    };
    let shown = config(&["config", "show", "-o", "json"]).json();
    let row = |key: &str| shown["items"].as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    let file_origin = format!("file {}", file.display());
    assert_eq!(row("http.listen"), json!({ "key": "http.listen", "value": "127.0.0.1:8080", "origin": "default" }));
    assert_eq!(row("limits.io_slots"), json!({ "key": "limits.io_slots", "value": 7, "origin": file_origin }));
    assert_eq!(row("node.name")["origin"], "environment variable CITADEL__NODE__NAME");
    assert_eq!(row("log.format"), json!({ "key": "log.format", "value": "json", "origin": "flag" }));
    let url = json!({ "key": "store.url", "value": "[secret]", "origin": "environment variable CITADEL__STORE__URL_FILE" });
    assert_eq!(row("store.url"), url);
    assert_eq!(row("credentials.x.key")["value"], "[secret]");
    assert!(!shown.to_string().contains("hunter2"));

    let changed = config(&["config", "show", "--changed"]);
    assert!(changed.out.contains("from-env") && !changed.out.contains("127.0.0.1:8080"), "{}", changed.out);
    let explained = config(&["config", "explain", "node.name", "-o", "json"]).json();
    assert_eq!(explained["value"], "from-env");
    assert_eq!(explained["layers"][0], json!({ "origin": file_origin, "value": "from-file" }));
    assert_eq!(explained["variable"], "CITADEL__NODE__NAME");
    let text = config(&["config", "explain", "store.url"]).out;
    assert!(text.contains("[secret]") && text.contains("_FILE") && !text.contains("hunter2"), "{text}");
    config(&["config", "explain", "node.nam"]).assert_failed(2, "hint: did you mean node.name?");
}

#[test]
fn checks_settings_for_what_their_form_cannot_say() {
    let check = |name: &str, value: &str| command(&["config", "check"]).env(name, value).run();
    check("CITADEL__EGRESS__ALLOW", "not a rule").assert_failed(2, "egress.allow: `not a rule` is no egress rule");
    check("CITADEL__STORE__URL", "mysql://u:hunter2@h/d").assert_failed(2, "store.url: `mysql://***@h/d` is no store");
    check("CITADEL__LOG__FILTER", "citadel=loud=er").assert_failed(2, "log.filter");
    check("CITADEL__HTTP__LISTN", "x").assert_failed(2, "did you mean CITADEL__HTTP__LISTEN?");
}

#[test]
fn examines_a_machine_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let doctor = |variables: &[(&str, &str)]| {
        let doctor = command(&["doctor", "-o", "json"]).within(directory.path());
        variables.iter().fold(doctor, |doctor, (name, value)| doctor.env(name, value)).run()
    };
    let report = doctor(&[]).json();
    assert_eq!(report["healthy"], true, "{report}");
    let names: Vec<&str> = report["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["database", "data_dir", "disk", "master_key", "clock", "listener", "egress", "cache", "guest", "native"]);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);

    let ill = doctor(&[("CITADEL__STORE__URL", "postgres://u:hunter2@127.0.0.1:1/d"), ("CITADEL__DATA_DIR", "/proc/none")]);
    assert_eq!(ill.code, 1, "{ill:?}");
    let report: Value = serde_json::from_str(&ill.out).unwrap();
    let state =
        |name: &str| report["items"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap()["state"].clone();
    assert_eq!((state("database"), state("data_dir"), state("guest")), (json!("problem"), json!("problem"), json!("good")));
    assert!(ill.err.contains("error: database: ") && ill.err.contains("hint: "), "{}", ill.err);
    assert!(!ill.out.contains("hunter2") && !ill.err.contains("hunter2"));
}

#[test]
fn completes_commands_in_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = command(&["completions", shell]).run();
        assert!(script.code == 0 && script.out.contains("citadel"), "{shell}: {script:?}");
    }
    assert_eq!(command(&["completions", "csh"]).run().code, 2);
}

#[tokio::test]
async fn a_development_server_has_samples_once() {
    let mut server = ServerProcess::start_dev();
    eventually("the samples are announced", async || server.printed().contains("3 new workflows").then_some(())).await;
    let names = async |server: &ServerProcess| {
        let listed = server.client().get("/workflows").await.body;
        let items = listed["items"].as_array().unwrap().iter();
        items.map(|item| (item["name"].as_str().unwrap().to_owned(), item["id"].as_str().unwrap().to_owned())).collect::<Vec<_>>()
    };
    let installed = names(&server).await;
    assert_eq!(installed.len(), 3, "{installed:?}");
    let report = &installed.iter().find(|(name, _)| name == "population-report").unwrap().1;
    assert_eq!(server.client().run(report, &json!({})).await.body["status"], "succeeded");
    let hello = &installed.iter().find(|(name, _)| name == "hello").unwrap().1;
    assert_eq!(server.client().delete(&format!("/workflows/{hello}")).await.status, 204);
    server.terminate();
    assert!(server.ended().await.success());

    let server = server.restart();
    eventually("nothing new is announced", async || server.printed().contains("0 new workflows").then_some(())).await;
    assert_eq!(names(&server).await.len(), 2);
}

#[test]
fn a_development_server_stays_on_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let refused = command(&["dev", "--listen", "0.0.0.0:0"]).within(directory.path()).run();
    refused.assert_failed(2, "listens on this machine only");
    let refused = command(&["dev"]).within(directory.path()).env("CITADEL__HTTP__LISTEN", "192.0.2.1:0").run();
    refused.assert_failed(2, "192.0.2.1:0");
}

#[tokio::test]
async fn reads_some_settings_again_when_asked() {
    let server = ServerProcess::start_with_file("[limits]\nenabled = false\n[log]\nfilter = \"warn\"\n");
    let guess = async || {
        let login = json!({ "email": "nobody@example.org", "password": "guess" });
        server.client().post("/auth/login", &login).await.status
    };
    for _ in 0..8 {
        assert_eq!(guess().await, 401, "rates are not limited");
    }
    server.change_file("[limits]\nenabled = true\nio_slots = 3\n[log]\nfilter = \"info\"\n[egress]\ndeny = [\"192.0.2.0/24\"]\n");
    eventually("rates are limited", async || (guess().await == 429).then_some(())).await;
    eventually("the log names what waits for a restart", async || server.log().contains("limits.io_slots").then_some(())).await;
    assert!(server.log().contains("egress.deny, limits.enabled, log.filter"), "{}", server.log());
    let changed = eventually("the audit log has it", async || {
        let found = server.client().get("/audit?action=egress.changed").await.body["items"].as_array().unwrap().clone();
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(
        (changed.len(), &changed[0]["actor"], &changed[0]["details"]["deny"]),
        (1, &json!("system"), &json!("192.0.2.0/24"))
    );

    server.change_file("[limits]\nenabled = false\nio_sluts = 3\n");
    eventually("a mistake is reported", async || server.log().contains("did you mean limits.io_slots?").then_some(())).await;
    assert_eq!(guess().await, 429, "a mistake changes nothing");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_secret_is_in_a_list_of_processes() {
    let secrets = [
        ("CITADEL__ADMIN__EMAIL", "owner@example.org"),
        ("CITADEL__ADMIN__PASSWORD", "hunter2 hunter2 hunter2"),
        ("CITADEL__REDIS__URL", "redis://:hunter2@127.0.0.1:1/0"),
        ("CITADEL__CREDENTIALS__X__TYPE", "http_bearer"),
        ("CITADEL__CREDENTIALS__X__TOKEN", "hunter2"),
    ];
    let server = ServerProcess::start_with(&secrets);
    let shown = |pid: &str| std::fs::read(format!("/proc/{pid}/cmdline")).map(|line| String::from_utf8_lossy(&line).into_owned());
    let line = shown(&server.pid().to_string()).unwrap();
    assert!(line.contains("serve") && !line.contains("hunter2"), "{line}");
    // Whatever else runs now, children of the server among them.
    for entry in std::fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // A process may have ended meanwhile.
        let Ok(line) = shown(&name) else { continue };
        assert!(!line.contains("hunter2 hunter2 hunter2"), "{line}");
    }
    assert!(!server.log().contains("hunter2"), "{}", server.log());
}
