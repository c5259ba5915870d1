//! A client of the API that fails loudly.

use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use super::{PATIENCE, contract::assert_documented, eventually};

/// Calls one server, with a token unless told otherwise.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body as JSON; a string if it is something else.
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn new(base: String, token: Option<String>) -> Self {
        // The provider is chosen once per process; a second choice is refused, which is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { http, base, token }
    }

    /// The address and port, for what a client library does not send.
    pub(crate) fn address(&self) -> &str {
        self.base.strip_prefix("http://").unwrap()
    }

    /// The token that it sends.
    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().expect("this client has a token")
    }

    /// The same server, without a token.
    pub(crate) fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The same server, whose answers are not decompressed.
    pub(crate) fn without_gzip(&self) -> Self {
        Self { http: reqwest::Client::builder().no_proxy().no_gzip().timeout(PATIENCE).build().unwrap(), ..self.clone() }
    }

    /// The same server, with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// A request to a path that starts with `/`; paths below `/api/v1` are written without it.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let outside = ["/api/docs", "/hooks/", "/healthz", "/readyz", "/startupz", "/problems", "/metrics"];
        let prefix = if outside.iter().any(|known| path.starts_with(known)) { "" } else { "/api/v1" };
        let request = self.http.request(method, format!("{}{prefix}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, etag: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).header("if-match", etag).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// Stores a workflow and answers its id.
    pub(crate) async fn create_workflow(&self, definition: &Value) -> String {
        let created = self.post("/workflows", definition).await;
        assert_eq!(created.status, 201, "{created:?}");
        created.text("id")
    }

    /// Stores and activates a workflow; answers its id.
    pub(crate) async fn publish(&self, definition: &Value) -> String {
        let id = self.create_workflow(definition).await;
        let active = self.post(&format!("/workflows/{id}/activate"), &json!({})).await;
        assert_eq!(active.status, 200, "{active:?}");
        id
    }

    /// Starts an execution and answers its id.
    pub(crate) async fn start(&self, workflow: &str, body: &Value) -> String {
        let started = self.post(&format!("/workflows/{workflow}/executions"), body).await;
        assert_eq!(started.status, 202, "{started:?}");
        started.text("id")
    }

    /// Starts an execution and waits for its end, which is in the answer.
    pub(crate) async fn run(&self, workflow: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, &format!("/workflows/{workflow}/executions"));
        let ended = send(request.header("prefer", "wait=60").json(body)).await;
        assert_eq!(ended.status, 200, "{ended:?}");
        ended
    }

    /// Waits until an execution has this status; answers it.
    pub(crate) async fn reaches(&self, execution: &str, status: &str) -> Answer {
        eventually(&format!("{execution} is {status}"), async || {
            let seen = self.get(&format!("/executions/{execution}")).await;
            (seen.body["status"] == status).then_some(seen)
        })
        .await
    }
}

/// Sends a request.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let (http, request) = request.build_split();
    let request = request.unwrap();
    let method = request.method().clone();
    let response = http.execute(request).await.unwrap();
    // After a redirect it is another one.
    let path = response.url().path().to_owned();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    assert_documented(&method, &path, status, &headers, &body);
    Answer { status, headers, body }
}

impl Answer {
    /// A field of the body that is a string.
    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {:?}", self.body)).to_owned()
    }

    /// A header.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name} in {:?}", self.headers)).to_str().unwrap()
    }

    /// Checks that this is a problem in full form.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], format!("/problems/{code}"));
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        assert!(self.body["title"].is_string() && self.body["detail"].is_string());
    }
}
