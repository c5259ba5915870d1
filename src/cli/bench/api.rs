//! The few calls of the HTTP API that prepare a measurement. They are not measured.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};

use super::{connection::Connection, message::render};
use crate::cli::Failure;

/// How long executions may go on after the load has ended.
const REST_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A caller with the owner's token.
pub(super) struct Api {
    address: SocketAddr,
    authorization: String,
}

impl Api {
    /// Reads the token that a server's first start has left in its data directory.
    ///
    /// Errors: there is none, since a `--config` names a first owner.
    pub(super) fn new(address: SocketAddr, data_dir: &Path) -> Result<Self, Failure> {
        let token = std::fs::read_to_string(data_dir.join("owner-token")).map_err(|error| {
            Failure::error(format!("cannot read the owner's token: {error}")).with_hint("leave `admin` out of the --config files")
        })?;
        Ok(Self { address, authorization: format!("authorization: Bearer {}", token.trim()) })
    }

    /// The header that says who calls.
    pub(super) fn authorization(&self) -> &str {
        &self.authorization
    }

    /// Stores and activates a workflow. Answers its id.
    ///
    /// Errors: the server refuses it.
    pub(super) async fn publish(&self, definition: &Value) -> Result<String, Failure> {
        let created = self.call("POST", "/api/v1/workflows", definition).await?;
        let id = created["id"].as_str().unwrap_or_default().to_owned();
        self.call("POST", &format!("/api/v1/workflows/{id}/activate"), &json!({})).await?;
        Ok(id)
    }

    /// Waits until nothing runs any more. `false` if something still does after [`REST_MAX`].
    ///
    /// Errors: the server does not say.
    pub(super) async fn until_rest(&self) -> Result<bool, Failure> {
        let deadline = tokio::time::Instant::now() + REST_MAX;
        while tokio::time::Instant::now() < deadline {
            let running = self.call("GET", "/api/v1/executions?status=running&limit=1", &Value::Null).await?;
            if running["items"].as_array().is_some_and(Vec::is_empty) {
                return Ok(true);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(false)
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = render(method, path, &[&self.authorization], &body);
        let broken = |error: std::io::Error| Failure::error(format!("the server did not answer {method} {path}: {error}"));
        let mut connection = Connection::open(self.address).await.map_err(broken)?;
        let answer = connection.ask(&request).await.map_err(broken)?;
        let (status, text) = (answer.status, String::from_utf8_lossy(answer.body));
        if !(200..300).contains(&status) {
            return Err(Failure::error(format!("the server answered {method} {path} with {status}: {text}")));
        }
        serde_json::from_str(&text)
            .map_err(|error| Failure::error(format!("the server's answer to {method} {path} is not JSON: {error}")))
    }
}
