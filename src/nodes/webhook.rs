//! `webhook`: starts an execution on an HTTP request. The HTTP layer reads [`WebhookParams`], checks the request with [`verify`]
//! before anything else, and hands the item `{ method, path, params, query, headers, body, raw }` to the machine.

pub mod path;
pub mod verify;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use self::{
    path::HookPath,
    verify::params::{Verification, VerifyParams},
};
use super::{
    Description, NodeType, Prepared, Runner, headers,
    params::{
        self,
        schema::{self, FORMAT_DURATION, FORMAT_HOOK_PATH, LITERAL},
    },
};
use crate::model::{catalog::NodeShape, definition::NodeDefinition, duration::DurationMs, problem::Problem};

/// Time that a caller waits for an answer where the webhook sets none, in milliseconds.
pub const ANSWER_MS_DEFAULT: u64 = 30_000;
/// Longest time that a caller may be made to wait, in milliseconds.
pub const ANSWER_MS_MAX: u64 = 5 * 60_000;

/// The node type `webhook`.
pub struct Webhook;

/// What the HTTP layer has to know of one webhook.
pub struct WebhookParams {
    pub path: HookPath,
    /// An upper-case method, or `ANY`.
    pub method: String,
    pub respond: RespondMode,
    /// Status of the answer where the workflow does not give it; `None` leaves it to the mode.
    pub status: Option<u16>,
    pub headers: BTreeMap<String, String>,
    /// `None` if anybody may call.
    pub verification: Option<Verification>,
    /// How long the caller waits, in milliseconds.
    pub timeout_ms: u64,
    /// Whether the item carries the body's bytes too, as a reference to a blob.
    pub raw: bool,
}

/// When the caller gets an answer, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RespondMode {
    /// At once: `{ execution_id, status }`.
    #[default]
    Immediate,
    /// The items of the last node, once the execution has ended.
    LastNode,
    /// What a `respond` node says.
    RespondNode,
    /// A stream of server-sent events: that it runs, what `respond` nodes say, its end.
    Stream,
}

const RESPOND_MODES: [&str; 4] = ["immediate", "last_node", "respond_node", "stream"];
const METHODS: [&str; 8] = ["POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ANY"];

#[derive(Deserialize)]
struct Params {
    path: HookPath,
    method: Option<String>,
    #[serde(default)]
    respond: RespondMode,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    verify: Option<VerifyParams>,
    timeout: Option<DurationMs>,
    #[serde(default)]
    raw: bool,
}

impl WebhookParams {
    /// Reads the parameters of a `webhook` node that have passed the schema.
    ///
    /// Errors: a header that may not be set, a time-out out of range, a verification that lacks something.
    pub fn read(node: &NodeDefinition) -> Result<Self, Vec<Problem>> {
        let params: Params = params::read(node)?;
        let mut problems = headers::check(params.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))));
        let timeout_ms = params.timeout.map_or(ANSWER_MS_DEFAULT, |timeout| timeout.0);
        if timeout_ms > ANSWER_MS_MAX {
            let detail = format!("a caller waits {} at most", DurationMs(ANSWER_MS_MAX));
            problems.push(Problem::new("/params/timeout", "out_of_range", detail));
        }
        let verification = match params.verify.map(VerifyParams::compile).transpose() {
            Ok(verification) => verification,
            Err(found) => {
                problems.extend(found);
                None
            }
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            path: params.path,
            method: params.method.unwrap_or_else(|| METHODS[0].to_owned()),
            respond: params.respond,
            status: params.status,
            headers: params.headers,
            verification,
            timeout_ms,
            raw: params.raw,
        })
    }

    /// Whether a request with this method is meant.
    pub fn takes_method(&self, method: &str) -> bool {
        self.method == "ANY" || self.method == method
    }
}

impl NodeType for Webhook {
    fn describe(&self) -> Description {
        Description {
            type_name: "webhook",
            summary: "Starts an execution on an HTTP request to `/hooks/{path}`.",
            params_schema: params_schema(),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        WebhookParams::read(node)?;
        Ok(Prepared { shape: NodeShape::trigger(), runner: Runner::Engine })
    }
}

fn params_schema() -> Value {
    schema::object(
        &["path"],
        json!({
            "path": {
                "description": "Path below `/hooks/`. A segment `{name}` takes any text, which the item has in `params.name`.",
                "type": "string", "format": FORMAT_HOOK_PATH, (LITERAL): true,
            },
            "method": schema::choice("The HTTP method; `ANY` takes every one.", &METHODS),
            "respond": schema::choice(
                "When the caller gets an answer: at once, with the items of the last node, from a `respond` node, or as events.",
                &RESPOND_MODES,
            ),
            "status": {
                "description": "Status of the answer; not used by `respond_node`.",
                "type": "integer", "minimum": 200, "maximum": 599, (LITERAL): true,
            },
            "headers": {
                "description": "Headers of the answer.",
                "type": "object", "additionalProperties": { "type": "string" }, "maxProperties": headers::HEADERS_MAX, (LITERAL): true,
            },
            "verify": verify::params::schema(),
            "timeout": {
                "description": "How long the caller waits for an answer that is not immediate (30s where none is set).",
                "type": "string", "format": FORMAT_DURATION, (LITERAL): true,
            },
            "raw": schema::flag("Keep the body's bytes in the blob store and refer to them in `raw`."),
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::testing::{node, prepare, problems};

    #[test]
    fn reads_what_the_http_layer_needs() {
        let params = json!({
            "path": "orders/{id}", "method": "ANY", "respond": "last_node", "status": 201, "headers": { "x-a": "b" },
            "verify": { "type": "github", "secret": "{{ $env.SECRET }}" }, "timeout": "10s", "raw": true
        });
        prepare("webhook", params.clone());
        let read = WebhookParams::read(&node("webhook", params)).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!(read.path.to_string(), "orders/{id}");
        assert!(read.takes_method("GET") && read.takes_method("PATCH"));
        assert_eq!((read.respond, read.status, read.timeout_ms), (RespondMode::LastNode, Some(201), 10_000));
        assert!(read.raw && read.verification.is_some());
    }

    #[test]
    fn takes_post_and_answers_at_once_by_default() {
        let read =
            WebhookParams::read(&node("webhook", json!({ "path": "a" }))).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert!(read.takes_method("POST") && !read.takes_method("GET"));
        assert_eq!((read.respond, read.status, read.timeout_ms), (RespondMode::Immediate, None, ANSWER_MS_DEFAULT));
    }

    #[test]
    fn reports_every_problem() {
        assert_eq!(problems("webhook", json!({})), ["/params missing_field"]);
        assert_eq!(
            problems("webhook", json!({ "path": "a b", "method": "post", "pth": "x", "respond": "{{ 1 }}" })),
            [
                "/params/path invalid_format",
                "/params/method unknown_value",
                "/params/respond expression_not_allowed",
                "/params/pth unknown_field"
            ]
        );
        assert_eq!(
            problems("webhook", json!({ "path": "a", "timeout": "1h", "headers": { "content-length": "1", "x": "a\nb" } })),
            ["/params/headers/content-length invalid_header", "/params/headers/x invalid_header", "/params/timeout out_of_range"]
        );
    }
}
