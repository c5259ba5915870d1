//! The real binary, started, killed and asked over HTTP.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::store::TestStore;

/// Longest time that a test waits for anything: a dead owner's lease on PostgreSQL takes 15 s of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
const EMAIL: &str = "owner@example.org";
const PASSWORD: &str = "correct horse battery staple";

/// A running `citadel serve`. Killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    base: String,
    client: reqwest::Client,
    token: String,
}

impl Server {
    /// As [`Server::spawn`], and logs in.
    pub(crate) async fn start(store: &TestStore, failpoints: &str) -> Self {
        let mut server = Self::spawn(store, failpoints);
        server.log_in().await;
        server
    }

    /// Starts the binary on a store, with fail points (an empty text for none). It may die before it says its address.
    pub(crate) fn spawn(store: &TestStore, failpoints: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_citadel"))
            .args(["serve", "--random-ports"])
            .env("CITADEL__DATA_DIR", store.directory.path().join("data"))
            .env("CITADEL__STORE__URL", &store.url)
            .env("CITADEL__ADMIN__EMAIL", EMAIL)
            .env("CITADEL__ADMIN__PASSWORD", PASSWORD)
            .env("CITADEL__EGRESS__ALLOW", r#"["127.0.0.1"]"#)
            .env("CITADEL__LIMITS__ENABLED", "false")
            .env("CITADEL__LOG__FILTER", "warn")
            .env("CITADEL__FAILPOINTS", failpoints)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("http=").unwrap_or("dead");
        Self { child, base: format!("http://{address}"), client: reqwest::Client::new(), token: String::new() }
    }

    async fn log_in(&mut self) {
        let login = self.client.post(format!("{}/api/v1/auth/login", self.base));
        let answer = login.json(&json!({ "email": EMAIL, "password": PASSWORD })).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        self.token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
    }

    /// Stores a workflow; its id.
    pub(crate) async fn create_workflow(&self, definition: &Value) -> String {
        let request = self.client.post(format!("{}/api/v1/workflows", self.base)).bearer_auth(&self.token);
        let answer = request.json(definition).send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Starts an execution. `None` if the server did not acknowledge it.
    pub(crate) async fn try_start(&self, workflow: &str, input: &Value, key: &str) -> Option<String> {
        let url = format!("{}/api/v1/workflows/{workflow}/executions", self.base);
        let request = self.client.post(url).bearer_auth(&self.token).header("Idempotency-Key", key);
        let answer = request.json(&json!({ "input": input })).send().await.ok()?;
        if answer.status() != StatusCode::ACCEPTED {
            return None;
        }
        let body: Value = answer.json().await.ok()?;
        Some(body["id"].as_str().or(body["execution_id"].as_str()).unwrap().to_owned())
    }

    /// As [`Server::try_start`], tried until it is acknowledged.
    pub(crate) async fn start_execution(&self, workflow: &str, input: &Value, key: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(id) = self.try_start(workflow, input, key).await {
                return id;
            }
            assert!(Instant::now() < deadline, "the start of {key} was never acknowledged");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until an execution has ended; its body.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = self.client.get(format!("{}/api/v1/executions/{id}", self.base)).bearer_auth(&self.token);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "execution {id} is missing");
            let body: Value = answer.json().await.unwrap();
            if ["succeeded", "failed", "cancelled"].contains(&body["status"].as_str().unwrap()) {
                return body;
            }
            assert!(Instant::now() < deadline, "execution {id} does not end: {body}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Publishes what a workflow publishes.
    pub(crate) async fn activate(&self, workflow: &str) {
        self.post_to_workflow(workflow, "activate").await;
    }

    /// Takes down what a workflow publishes.
    pub(crate) async fn deactivate(&self, workflow: &str) {
        self.post_to_workflow(workflow, "deactivate").await;
    }

    async fn post_to_workflow(&self, workflow: &str, verb: &str) {
        let request = self.client.post(format!("{}/api/v1/workflows/{workflow}/{verb}", self.base));
        let answer = request.bearer_auth(&self.token).json(&json!({})).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{verb}");
    }

    /// Calls a webhook until it is there and has shards to run in; its answer.
    pub(crate) async fn hook(&self, path: &str, body: &Value) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.client.post(format!("{}/hooks/{path}", self.base)).json(body).send().await.unwrap();
            let status = answer.status();
            let body: Value = answer.json().await.unwrap();
            if status == StatusCode::OK {
                return body;
            }
            assert!([StatusCode::NOT_FOUND, StatusCode::TOO_MANY_REQUESTS].contains(&status), "{status}: {body}");
            assert!(Instant::now() < deadline, "the webhook is never served: {body}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a webhook is there no more.
    pub(crate) async fn hook_is_gone(&self, path: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.client.get(format!("{}/hooks/{path}", self.base)).send().await.unwrap().status() != StatusCode::NOT_FOUND {
            assert!(Instant::now() < deadline, "the webhook is served for ever");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until no execution of a workflow is left to do.
    pub(crate) async fn idle(&self, workflow: &str) {
        let deadline = Instant::now() + PATIENCE;
        for status in ["queued", "running", "waiting"] {
            loop {
                let url = format!("{}/api/v1/executions?workflow_id={workflow}&status={status}", self.base);
                let answer = self.client.get(url).bearer_auth(&self.token).send().await.unwrap();
                let body: Value = answer.json().await.unwrap();
                if body["items"] == json!([]) {
                    break;
                }
                assert!(Instant::now() < deadline, "executions stay {status}: {body}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Asks an execution to end. `None` if the server did not acknowledge it.
    pub(crate) async fn try_cancel(&self, id: &str) -> Option<()> {
        let request = self.client.post(format!("{}/api/v1/executions/{id}/cancel", self.base)).bearer_auth(&self.token);
        let answer = request.json(&json!({})).send().await.ok()?;
        (answer.status() == StatusCode::ACCEPTED).then_some(())
    }

    /// Sends a signal; the status of the answer.
    pub(crate) async fn signal(&self, id: &str, name: &str, payload: &Value) -> StatusCode {
        let request = self.client.post(format!("{}/api/v1/executions/{id}/signal/{name}", self.base)).bearer_auth(&self.token);
        request.json(payload).send().await.unwrap().status()
    }

    /// The run of a node, once it has this status.
    pub(crate) async fn node_run(&self, id: &str, node: &str, status: &str) -> Value {
        let url = format!("{}/api/v1/executions/{id}/nodes", self.base);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.client.get(&url).bearer_auth(&self.token).send().await.unwrap();
            let body: Value = answer.json().await.unwrap();
            let run = body["items"].as_array().unwrap().iter().find(|run| run["node_id"] == node).cloned();
            if let Some(run) = run.filter(|run| run["status"] == status) {
                return run;
            }
            assert!(Instant::now() < deadline, "`{node}` is not {status}: {body}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The executions of a workflow, once there are `count`.
    pub(crate) async fn executions_of(&self, workflow: &str, count: usize) -> Vec<Value> {
        let url = format!("{}/api/v1/executions?workflow_id={workflow}", self.base);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.client.get(&url).bearer_auth(&self.token).send().await.unwrap();
            let body: Value = answer.json().await.unwrap();
            let items = body["items"].as_array().unwrap();
            if items.len() == count {
                return items.clone();
            }
            assert!(Instant::now() < deadline, "there are not {count} executions: {body}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until the process has died by itself.
    pub(crate) async fn died(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the process lives on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
