//! What is measured: for each scenario a workflow, the request that runs it, and what a right answer looks like.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::{api::Api, connection::Connection, message::render};
use crate::cli::Failure;

/// How long a server that is ready may take until it gives the first right answer: it may have to wait for shards.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(30);
/// Pause between two tries.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A way to load the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
pub(super) enum Scenario {
    /// A webhook, `set`, `if`, `set`; the answer is the last node's.
    #[value(name = "webhook-3")]
    #[serde(rename = "webhook-3")]
    Webhook3,
    /// A webhook and three HTTP requests, one after the other; the answer is the last one's.
    #[value(name = "effects-3")]
    #[serde(rename = "effects-3")]
    Effects3,
    /// Starts by the API that are answered as soon as they are durable; the nodes are those of `webhook-3`.
    #[value(name = "start-async")]
    #[serde(rename = "start-async")]
    StartAsync,
    /// A webhook and JavaScript in a fresh sandbox.
    #[value(name = "code-js")]
    #[serde(rename = "code-js")]
    CodeJs,
    /// The same with ten nodes of JavaScript in a row: ten fresh sandboxes.
    #[value(name = "code-js-10")]
    #[serde(rename = "code-js-10")]
    CodeJs10,
    /// What finished executions in the store cost: `webhook-3` and `start-async` on an empty and on a full store.
    #[value(name = "start-cost")]
    #[serde(rename = "start-cost")]
    StartCost,
}

/// A scenario whose workflow is on a server.
pub(super) struct Installed {
    /// The workflow's id.
    pub(super) workflow: String,
    /// What the clients send.
    pub(super) request: Arc<[u8]>,
    status: u16,
    /// Where in the answer which value is.
    expected: (&'static str, Value),
}

impl Scenario {
    /// The name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Puts the workflow on the server; `sink` is called by its effects.
    ///
    /// Errors: the server refuses it.
    pub(super) async fn install(self, api: &Api, sink: SocketAddr) -> Result<Installed, Failure> {
        let workflow = api.publish(&self.definition(sink)).await?;
        let hook = |expected| Installed {
            workflow: workflow.clone(),
            request: render("POST", &format!("/hooks/bench/{}", self.name()), &[], &order().to_string()).into(),
            status: 200,
            expected,
        };
        Ok(match self {
            Self::Webhook3 | Self::StartCost => hook(("/branch", json!("high"))),
            Self::Effects3 => hook(("/stored", json!(true))),
            Self::CodeJs => hook(("/total", json!(151))),
            Self::CodeJs10 => hook(("/total", json!(160))),
            Self::StartAsync => {
                let path = format!("/api/v1/workflows/{workflow}/executions");
                let body = json!({ "input": { "body": order() } }).to_string();
                let request = render("POST", &path, &[api.authorization()], &body).into();
                Installed { workflow, request, status: 202, expected: ("/status", json!("queued")) }
            }
        })
    }

    fn definition(self, sink: SocketAddr) -> Value {
        let trigger = match self {
            Self::StartAsync => json!({ "id": "start", "type": "manual" }),
            Self::Webhook3 | Self::Effects3 | Self::CodeJs | Self::CodeJs10 | Self::StartCost => {
                let params = json!({ "path": format!("bench/{}", self.name()), "respond": "last_node" });
                json!({ "id": "start", "type": "webhook", "params": params })
            }
        };
        let steps = match self {
            Self::Webhook3 | Self::StartAsync | Self::StartCost => vec![
                json!({ "id": "price", "type": "set", "params": { "fields": { "total": "{{ $json.body.amount * 2 }}" } } }),
                json!({ "id": "large", "type": "if", "params": { "condition": "{{ $json.total > 100 }}" } }),
                json!({ "id": "mark", "type": "set", "params": { "fields": { "branch": "high" } } }),
            ],
            Self::Effects3 => ["first", "second", "third"].map(|id| post(id, sink)).to_vec(),
            Self::CodeJs => vec![code_js("total", TOTAL)],
            Self::CodeJs10 => {
                let more = |number: u32| code_js(&format!("more-{number}"), MORE);
                std::iter::once(code_js("total", TOTAL)).chain((2..=10).map(more)).collect()
            }
        };
        let nodes: Vec<Value> = std::iter::once(trigger).chain(steps).collect();
        let edges: Vec<Value> = nodes.windows(2).map(|pair| edge(&pair[0], &pair[1])).collect();
        json!({ "name": format!("bench {}", self.name()), "nodes": nodes, "edges": edges })
    }
}

/// JavaScript of the scenarios with code.
const TOTAL: &str = "return input.map(({ body }) => ({ customer: body.customer.name, total: body.amount * 2 }));";
const MORE: &str = "return input.map((item) => ({ ...item, total: item.total + 1 }));";

fn code_js(id: &str, code: &str) -> Value {
    json!({ "id": id, "type": "code", "params": { "language": "javascript", "code": code } })
}

/// What every execution begins with.
pub(super) fn order() -> Value {
    let customer = json!({ "name": "Ada Lovelace", "email": "ada@example.org", "tier": "gold" });
    json!({ "id": 123_456, "amount": 75.5, "customer": customer })
}

fn post(id: &str, sink: SocketAddr) -> Value {
    let params = json!({ "method": "POST", "url": format!("http://{sink}/{id}"), "body": { "order": "{{ $json }}" } });
    json!({ "id": id, "type": "http.request", "params": params })
}

fn edge(from: &Value, to: &Value) -> Value {
    let mut edge = json!({ "from": from["id"], "to": to["id"] });
    if from["type"] == "if" {
        edge["port"] = json!("true");
    }
    edge
}

impl Installed {
    /// Sends the request until the answer is right: a figure of wrong answers would be worth nothing.
    ///
    /// Errors: it is still wrong after [`FIRST_ANSWER_MAX`].
    pub(super) async fn prove(&self, address: SocketAddr) -> Result<(), Failure> {
        let deadline = tokio::time::Instant::now() + FIRST_ANSWER_MAX;
        loop {
            let seen = match self.ask(address).await {
                Ok((status, body)) if self.is_right(status, &body) => return Ok(()),
                Ok((status, body)) => format!("{status} {}", String::from_utf8_lossy(&body)),
                Err(error) => error.to_string(),
            };
            if tokio::time::Instant::now() > deadline {
                return Err(Failure::error(format!("the workflow does not answer as it should: {seen}")));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn ask(&self, address: SocketAddr) -> std::io::Result<(u16, Vec<u8>)> {
        let mut connection = Connection::open(address).await?;
        let answer = connection.ask(&self.request).await?;
        Ok((answer.status, answer.body.to_vec()))
    }

    fn is_right(&self, status: u16, body: &[u8]) -> bool {
        let (pointer, expected) = &self.expected;
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        status == self.status && answer.pointer(pointer) == Some(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_one_name_for_the_command_line_and_the_report() {
        for scenario in Scenario::value_variants() {
            assert_eq!(serde_json::to_value(scenario).unwrap(), scenario.name());
        }
    }

    #[test]
    fn tells_right_answers_from_wrong_ones() {
        let installed =
            Installed { workflow: String::new(), request: Arc::from([]), status: 200, expected: ("/branch", json!("high")) };
        assert!(installed.is_right(200, br#"{"branch":"high","total":151.0}"#));
        assert!(!installed.is_right(202, br#"{"branch":"high"}"#));
        assert!(!installed.is_right(200, br#"{"branch":"low"}"#));
        assert!(!installed.is_right(200, b"high"));
    }
}
