//! The real binary as a server: its first start, kill -9, and its orderly end.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Receiver, ServerProcess, citadel, client::send, eventually, workflows};

#[tokio::test]
async fn shows_the_setup_token_once_and_keeps_it_valid() {
    let server = ServerProcess::start();
    let file = server.data_dir().join("owner-token");
    let token = std::fs::read_to_string(&file).unwrap();
    eventually("the token is printed", async || server.printed().contains(token.trim()).then_some(())).await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let id = server.client().create_workflow(&workflows::mark()).await;

    let server = server.kill_and_restart();
    assert_eq!(server.client().get(&format!("/workflows/{id}")).await.status, 200);
    eventually("the address is printed", async || server.printed().contains("/api/v1").then_some(())).await;
    assert!(!server.printed().contains(token.trim()), "{}", server.printed());
    assert!(!server.log().contains(token.trim()), "the token is not logged");
}

#[tokio::test]
async fn makes_the_first_owner_from_the_settings() {
    let settings = [("CITADEL__ADMIN__EMAIL", "owner@example.org"), ("CITADEL__ADMIN__PASSWORD", "correct horse battery")];
    let server = ServerProcess::start_with(&settings).kill_and_restart();
    assert!(!server.data_dir().join("owner-token").exists());
    let login = json!({ "email": "owner@example.org", "password": "correct horse battery" });
    let tokens = server.client().post("/auth/login", &login).await;
    let session = server.client().with_token(&tokens.text("access_token"));
    assert_eq!(session.get("/auth/me").await.body["user"]["email"], "owner@example.org");
}

#[tokio::test]
async fn goes_on_after_a_kill_with_what_was_acknowledged() {
    let receiver = Receiver::start().await;
    let server = ServerProcess::start();
    let workflow = server.client().create_workflow(&workflows::call(&receiver.url("/slow"))).await;
    let running = server.client().start(&workflow, &json!({})).await;
    let hook = workflows::hook(json!({ "path": "after-restart", "respond": "last_node" }));
    server.client().publish(&hook).await;
    eventually("the call is in flight", async || (receiver.calls() == 1).then_some(())).await;

    let server = server.kill_and_restart();
    // A GET may be repeated: the attempt that the kill cut off is made again.
    eventually("the call is made again", async || (receiver.calls() == 2).then_some(())).await;
    assert_eq!(server.client().get(&format!("/executions/{running}")).await.body["status"], "running");
    assert_eq!(server.client().post("/hooks/after-restart", &json!({})).await.body["seen"], true);
    server.client().post(&format!("/executions/{running}/cancel"), &json!({})).await;
    server.client().reaches(&running, "cancelled").await;
}

#[tokio::test]
async fn stops_in_order_when_asked_and_finishes_running_requests() {
    let mut server = ServerProcess::start_with(&[("CITADEL__DRAIN__READINESS_GRACE", "300ms")]);
    let client = server.client();
    assert_eq!(client.get("/readyz").await.status, 200);
    let workflow = client.create_workflow(&workflows::mark()).await;
    server.terminate();
    eventually("it is not ready any more", async || (client.get("/readyz?verbose").await.status == 503).then_some(())).await;
    let request = client.request(Method::POST, &format!("/workflows/{workflow}/executions")).header("prefer", "wait=10");
    let answer = send(request.json(&json!({}))).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("succeeded")), "in the grace it still serves");
    assert!(server.ended().await.success());

    let server = server.restart();
    let id = answer.text("id");
    assert_eq!(server.client().get(&format!("/executions/{id}")).await.body["result"], answer.body["result"]);
}

#[tokio::test]
async fn leaves_at_once_when_asked_twice() {
    let mut server = ServerProcess::start_with(&[("CITADEL__DRAIN__READINESS_GRACE", "10m")]);
    let client = server.client();
    server.terminate();
    eventually("it is not ready any more", async || (client.get("/readyz").await.status == 503).then_some(())).await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(1));
}

#[test]
fn refuses_settings_that_it_does_not_know() {
    let output = citadel().arg("serve").env("CITADEL__HTTP__LISTN", "127.0.0.1:0").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: unknown setting CITADEL__HTTP__LISTN"), "{text}");
    assert!(text.contains("did you mean CITADEL__HTTP__LISTEN?") && text.contains("\nhint: "), "{text}");
}

#[tokio::test]
async fn refuses_a_data_directory_that_is_in_use() {
    let server = ServerProcess::start();
    let second = citadel().args(["serve", "--random-ports", "--data-dir"]).arg(server.data_dir()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(text.contains("another process uses the database") && text.contains("hint: stop the other process"), "{text}");
    assert_eq!(server.client().get("/auth/me").await.body["user"], Value::Null);
}
