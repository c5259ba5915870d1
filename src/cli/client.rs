//! The HTTP client of client commands. It talks to the user's own server, whose address the user names, so the egress policy of
//! workflows does not apply here: this is the one other place that names the HTTP library (see tests/tidy.rs). It follows no
//! redirects and uses no proxies: both would show the token to somebody who was not named.

mod contexts;
mod events;
mod problem;
mod session;
mod target;

use std::time::Duration;

pub(super) use reqwest::{Method, Url};
use reqwest::{
    RequestBuilder, Response,
    header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderMap},
};
use serde::Serialize;
use serde_json::Value;

pub(super) use self::{
    contexts::{Context, ContextFile, Contexts, Credentials},
    events::{EventStream, ServerEvent},
    problem::{Problem, line},
    session::read_tokens,
    target::{Authorization, Target, find_setup_token, local_url, parse_url},
};
use super::Failure;
use crate::config::Secret;

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Wall time of a request that does not wait for an execution: more than a server allows itself.
const REQUEST_MAX: Duration = Duration::from_secs(60);
/// Wall time of a stream; whoever reads it has a limit for silence.
const STREAM_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A client of one server.
pub(super) struct Client {
    http: reqwest::Client,
    target: Target,
    /// Where requests act; at home where it is not said.
    workspace: Option<String>,
}

/// A request that is about to be sent.
pub(super) struct Call<'a> {
    client: &'a Client,
    request: RequestBuilder,
}

/// A successful answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    /// Null for an answer without a body.
    pub(super) body: Value,
}

impl Client {
    /// A client of a server.
    ///
    /// Errors: the TLS library finds no root certificates.
    pub(super) fn new(target: Target) -> Result<Self, Failure> {
        Self::build(target, builder())
    }

    /// A client that asks the server of these settings, on this machine, for public things: it does not look at the certificate.
    ///
    /// Errors: as [`Self::new`].
    pub(super) fn of_own_server(target: Target) -> Result<Self, Failure> {
        Self::build(target, builder().tls_danger_accept_invalid_certs(true))
    }

    fn build(target: Target, builder: reqwest::ClientBuilder) -> Result<Self, Failure> {
        let http = builder.build().map_err(|error| Failure::error(format!("cannot make an HTTP client: {error}")))?;
        Ok(Self { http, target, workspace: None })
    }

    /// The same client, for this workspace.
    pub(super) fn in_workspace(self, workspace: Option<String>) -> Self {
        Self { workspace, ..self }
    }

    /// What it talks to.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// A request to the API; `path` is what follows `/api/v1`, segment by segment.
    ///
    /// Errors: the session has ended and cannot be renewed.
    pub(super) async fn api(&self, method: Method, path: &[&str]) -> Result<Call<'_>, Failure> {
        let url = self.url(&[&["api", "v1"], path].concat());
        let request = self.http.request(method, url).timeout(REQUEST_MAX);
        let request = match self.token().await? {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let request = match &self.workspace {
            Some(workspace) => request.header("citadel-workspace", workspace),
            None => request,
        };
        Ok(Call { client: self, request })
    }

    /// A request without a token; `path` starts at the root of the server.
    pub(super) fn anonymous(&self, method: Method, path: &[&str]) -> Call<'_> {
        Call { client: self, request: self.http.request(method, self.url(path)).timeout(REQUEST_MAX) }
    }

    /// Reads from the API.
    ///
    /// Errors: the server cannot be reached, or answers with a problem.
    pub(super) async fn get(&self, path: &[&str]) -> Result<Value, Failure> {
        Ok(self.api(Method::GET, path).await?.send().await?.body)
    }

    /// Sends a command to the API.
    ///
    /// Errors: as [`Self::get`].
    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        Ok(self.api(Method::POST, path).await?.json(body).send().await?.body)
    }

    async fn token(&self) -> Result<Option<Secret>, Failure> {
        match &self.target.authorization {
            Authorization::None => Ok(None),
            Authorization::Token { token, .. } => Ok(Some(token.clone())),
            Authorization::Session { file, context } => Ok(Some(session::access_token(self, file, context).await?)),
        }
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.target.url.clone();
        url.path_segments_mut().expect("http URLs have paths").pop_if_empty().extend(path);
        url
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("citadel-cli/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_MAX)
}

impl Call<'_> {
    pub(super) fn query(self, query: &impl Serialize) -> Self {
        Self { request: self.request.query(query), ..self }
    }

    pub(super) fn header(self, name: &'static str, value: &str) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    pub(super) fn json(self, body: &Value) -> Self {
        Self { request: self.request.header(CONTENT_TYPE, "application/json").body(body.to_string()), ..self }
    }

    pub(super) fn timeout(self, limit: Duration) -> Self {
        Self { request: self.request.timeout(limit), ..self }
    }

    /// Sends the request.
    ///
    /// Errors: the server cannot be reached, or answers with a problem.
    pub(super) async fn send(self) -> Result<Answer, Failure> {
        let client = self.client;
        self.attempt().await?.map_err(|problem| problem.into_failure(&client.target))
    }

    /// Sends the request. A problem is an answer here: for callers that have something else to try.
    ///
    /// Errors: the server cannot be reached, or what answers is no Citadel.
    pub(super) async fn attempt(self) -> Result<Result<Answer, Problem>, Failure> {
        let target = &self.client.target;
        let response = self.request.send().await.map_err(|error| unreachable(target, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(target, response).await?;
        if !status.is_success() {
            return Ok(Err(Problem::read(status, &headers, &body)));
        }
        if body.is_empty() {
            return Ok(Ok(Answer { headers, body: Value::Null }));
        }
        let foreign =
            |error| Failure::error(format!("what answers at {} is no Citadel: {error}", target.url)).with_hint("check the URL");
        Ok(Ok(Answer { headers, body: serde_json::from_slice(&body).map_err(foreign)? }))
    }

    /// Opens a stream of events, after the one with the id `last` if there is one.
    ///
    /// Errors: the server cannot be reached; inside: the problem that it answers with.
    pub(super) async fn stream(self, last: Option<&str>) -> Result<Result<EventStream, Problem>, Failure> {
        let target = &self.client.target;
        let mut request = self.request.timeout(STREAM_MAX).header(ACCEPT, "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.map_err(|error| unreachable(target, error))?;
        if response.status().is_success() {
            return Ok(Ok(EventStream::new(response)));
        }
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Err(Problem::read(status, &headers, &read(target, response).await?)))
    }
}

impl Answer {
    /// The entity tag, to be sent with a change.
    ///
    /// Errors: the server sent none.
    pub(super) fn etag(&self) -> Result<&str, Failure> {
        let tag = self.headers.get(ETAG).and_then(|tag| tag.to_str().ok());
        tag.ok_or_else(|| Failure::error("the server sent no ETag"))
    }
}

/// Reads a body of [`ANSWER_BYTES_MAX`] at most.
async fn read(target: &Target, mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(target, error))? {
        if chunk.len() > ANSWER_BYTES_MAX - body.len() {
            return Err(Failure::error(format!("the answer has more than {ANSWER_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why there is no answer, with every cause.
fn unreachable(target: &Target, error: reqwest::Error) -> Failure {
    let (is_timeout, is_connect) = (error.is_timeout(), error.is_connect());
    let error = anyhow::Error::from(error.without_url());
    let message = format!("cannot reach {}: {error:#}", target.url);
    if is_timeout && !is_connect {
        return Failure::timeout(message);
    }
    // The TLS library's errors come wrapped by others: their words are what is left.
    if message.contains("UnknownIssuer") {
        let hint = "the certificate is not trusted here: SSL_CERT_FILE names a file with that of its authority";
        return Failure::error(message).with_hint(hint);
    }
    if message.contains("invalid peer certificate") {
        return Failure::error(message)
            .with_hint("the server needs another certificate, or is to be called by the name in this one");
    }
    Failure::transient(message)
        .with_hint("start a server with `citadel serve`, or name another with --url, --context or CITADEL__CLIENT__URL")
}
