//! `citadel credential`.

use serde_json::json;

use crate::support::{Receiver, ServerProcess};

#[tokio::test(flavor = "multi_thread")]
async fn sets_shows_tests_and_deletes_credentials() {
    let (server, receiver) = (ServerProcess::start(), Receiver::start().await);
    let run = |arguments: &[&str]| server.command(&[&["credential"], arguments].concat()).run();
    run(&["set", "api", "--secret", "token"]).assert_failed(2, "needs a type");
    run(&["set", "api", "--type", "http_barer"]).assert_failed(2, "did you mean `http_bearer`?");
    run(&["set", "api", "--type", "http_bearer", "--field", "token=hunter2"]).assert_failed(2, "--secret token");
    let set = |arguments: &[&str], input: &str| {
        server.command(&[&["credential", "set", "-o", "json"], arguments].concat()).input(input).run().json()
    };
    let created = set(&["api", "--type", "http_bearer", "--secret", "token"], "hunter2\n");
    assert_eq!((&created["name"], &created["fields"], &created["version"]), (&json!("api"), &json!(["token"]), &json!(1)));
    let described = set(&["api", "--description", "for the API"], "");
    assert_eq!((&described["description"], &described["version"]), (&json!("for the API"), &json!(2)));
    let changed = set(&["api", "--fields", "-"], "{\"token\": \"other\"}");
    assert_eq!((&changed["description"], &changed["version"]), (&json!("for the API"), &json!(3)));

    let listed = run(&["list"]);
    assert!(listed.out.contains("http_bearer") && !listed.out.contains("other"), "{listed:?}");
    assert_eq!(run(&["list", "--type", "sqlite", "-o", "json"]).json()["items"], json!([]));
    assert_eq!(run(&["get", "api", "-o", "json"]).json()["id"], created["id"]);
    run(&["get", "apo"]).assert_failed(1, "did you mean `api`?");
    assert!(run(&["types"]).out.contains("oauth2_client_credentials"));
    assert!(run(&["types", "http_basic"]).out.contains("password"));

    let worked = run(&["test", "api", "--to", &receiver.url("/ok")]);
    assert!(worked.code == 0 && worked.out.starts_with("it works"), "{worked:?}");
    let failed = run(&["test", "api", "--to", &receiver.url("/broken")]);
    assert!(failed.code == 1 && failed.out.starts_with("it does not work"), "{failed:?}");
    assert_eq!(run(&["workflows", "api", "-o", "json"]).json()["items"], json!([]));
    assert_eq!(run(&["delete", "api"]).code, 0);
    run(&["delete", "api"]).assert_failed(1, "there is no credential api");
}
