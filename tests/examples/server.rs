//! A `citadel serve` process of its own for a test, with its data in a directory that outlives it, and the requests that tests make.

use std::{path::Path, process::Stdio, time::Duration};

use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::{Instant, sleep, timeout},
};

/// How long a start, or the end of an execution, is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(50);

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    address: String,
    token: String,
    http: Client,
    /// Kept open: a server whose output nobody takes would fail to write it.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a server on the data of `directory`; its workflows may use the files in `directory/files` and services on 127.0.0.1.
    pub(crate) async fn start(directory: &Path, settings: &[(&str, &str)]) -> Self {
        let (data, files) = (directory.join("data"), directory.join("files"));
        std::fs::create_dir_all(&files).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_citadel"))
            .args(["serve", "--random-ports"])
            .env_clear()
            .env("CITADEL__DATA_DIR", &data)
            .env("CITADEL__FILES__ROOT", &files)
            .env("CITADEL__EGRESS__ALLOW", r#"["127.0.0.1"]"#)
            .env("CITADEL__LOG__FILTER", "warn")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let announcement = timeout(PATIENCE, output.next_line()).await.expect("the server starts in time").unwrap();
        let announcement = announcement.expect("the server says its address");
        let address = announcement.strip_prefix("http=").unwrap_or_else(|| panic!("{announcement}")).to_owned();
        let token = std::fs::read_to_string(data.join("owner-token")).unwrap().trim().to_owned();
        Self { child, address, token, http: Client::new(), _output: output }
    }

    /// Ends the process as a crash would: it gets no chance to put anything away.
    pub(crate) async fn crash(mut self) {
        self.child.kill().await.unwrap();
    }

    /// A POST request without a token, as webhooks come in.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("http://{}{path}", self.address))
    }

    /// Saves a definition and gives its id.
    pub(crate) async fn save(&self, yaml: &str) -> String {
        let request = self.post("/api/v1/workflows").header("content-type", "application/yaml").body(yaml.to_owned());
        self.call(request, 201).await["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn activate(&self, workflow: &str) {
        let request = self.post(&format!("/api/v1/workflows/{workflow}/activate")).json(&serde_json::json!({}));
        self.call(request, 200).await;
    }

    /// Starts an execution and gives its id.
    pub(crate) async fn start_execution(&self, workflow: &str, input: &Value) -> String {
        let request = self.post(&format!("/api/v1/workflows/{workflow}/executions")).json(&serde_json::json!({ "input": input }));
        self.call(request, 202).await["id"].as_str().unwrap().to_owned()
    }

    /// Starts an execution, waits until it has succeeded and gives the JSON of its result's items.
    pub(crate) async fn run(&self, workflow: &str, input: &Value) -> Vec<Value> {
        let id = self.start_execution(workflow, input).await;
        self.result(&id).await
    }

    /// Waits until an execution has succeeded and gives the JSON of its result's items.
    pub(crate) async fn result(&self, execution: &str) -> Vec<Value> {
        let execution = self.wait_for(execution, "succeeded").await;
        execution["result"].as_array().unwrap().iter().map(|item| item["json"].clone()).collect()
    }

    /// Waits until an execution has this status and gives it.
    pub(crate) async fn wait_for(&self, execution: &str, status: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let execution = self.get(&format!("/executions/{execution}")).await;
            if execution["status"] == status {
                return execution;
            }
            let has_ended = matches!(execution["status"].as_str(), Some("succeeded" | "failed" | "cancelled"));
            assert!(!has_ended && Instant::now() < deadline, "waited for `{status}`: {execution:#}");
            sleep(POLL).await;
        }
    }

    /// Waits until so many executions of a workflow have succeeded.
    pub(crate) async fn wait_until_succeeded(&self, workflow: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let listed = self.get(&format!("/executions?workflow_id={workflow}&status=succeeded")).await;
            if listed["items"].as_array().unwrap().len() >= count {
                return;
            }
            assert!(Instant::now() < deadline, "waited for {count} executions: {listed:#}");
            sleep(POLL).await;
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call(self.http.get(format!("http://{}/api/v1{path}", self.address)), 200).await
    }

    /// Sends a request with the owner's token; the answer has to have this status.
    pub(crate) async fn call(&self, request: RequestBuilder, status: u16) -> Value {
        let response = request.bearer_auth(&self.token).send().await.unwrap();
        let (found, body) = (response.status(), response.text().await.unwrap());
        assert_eq!(found, status, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}
