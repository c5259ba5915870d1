//! The parameters of `http.request`: their schema and their typed form.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{CONCURRENCY_MAX, PAGES_MAX, pagination::Pagination};
use crate::{
    auth::egress::Method,
    model::duration::DurationMs,
    nodes::params::{
        Param,
        schema::{FORMAT_DURATION, FORMAT_PATH, LITERAL, any, choice, flag, flag_with_default, integer, object, text},
    },
};

/// The header that most services read an idempotency key from.
const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// The methods that can be sent.
pub(super) const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

#[derive(Debug, Deserialize)]
pub(super) struct Params {
    #[serde(default = "get")]
    pub(super) method: Param,
    pub(super) url: Param,
    pub(super) query: Option<Param>,
    pub(super) headers: Option<Param>,
    pub(super) body: Option<Param>,
    #[serde(default)]
    pub(super) body_type: BodyType,
    #[serde(default)]
    pub(super) response: ResponseMode,
    pub(super) pagination: Option<Pagination>,
    #[serde(default = "one")]
    pub(super) concurrency: usize,
    pub(super) rate: Option<Rate>,
    #[serde(default = "yes")]
    pub(super) follow_redirects: bool,
    #[serde(default)]
    pub(super) never_error: bool,
    #[serde(default)]
    idempotency_header: Option<Switch>,
}

/// How `body` becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BodyType {
    #[default]
    Json,
    Form,
    Multipart,
    Raw,
    Binary,
}

/// How an answer becomes an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResponseMode {
    #[default]
    Auto,
    Json,
    Text,
    Binary,
    Full,
}

/// At most so many requests in so long, evenly spaced.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Rate {
    pub(super) requests: u32,
    pub(super) per: DurationMs,
}

/// A header's name, or `false` for none.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Switch {
    On(bool),
    Named(String),
}

impl Params {
    /// Whether the method is known now and has no effect by definition.
    pub(super) fn is_safe(&self) -> bool {
        let method = self.method.literal().and_then(Value::as_str);
        METHODS.iter().any(|known| method == Some(known.as_str()) && is_safe(known))
    }

    /// The header for the idempotency key; `None` if it is switched off.
    pub(super) fn idempotency_header(&self) -> Option<&str> {
        match &self.idempotency_header {
            None | Some(Switch::On(true)) => Some(IDEMPOTENCY_HEADER),
            Some(Switch::On(false)) => None,
            Some(Switch::Named(name)) => Some(name),
        }
    }
}

/// Whether a method has no effect by definition, and so needs no idempotency key. Source: RFC 9110 section 9.2.1.
pub(super) fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// JSON Schema of `params`.
pub(super) fn schema() -> Value {
    object(
        &["url"],
        json!({
            "method": {
                "description": "The method. With an expression, the node counts as one with effects.",
                "enum": METHODS.map(|method| method.to_string()),
                "default": "GET",
            },
            "url": text("Absolute URL, http or https."),
            "query": fields("Query parameters to add to the URL. An array gives one parameter per element, null none."),
            "headers": fields("Headers. Those that may hold a secret do not follow a redirect to another origin."),
            "body": any(
                "The body: any JSON for `json`, an object for `form`, an object for `multipart` (a field \
                 `{ binary, file_name?, media_type? }` sends binary data of the item), a text for `raw`, \
                 the name of the item's binary data for `binary`."
            ),
            "body_type": choice("How `body` is sent.", &["json", "form", "multipart", "raw", "binary"]),
            "response": choice(
                "What becomes of the answer. `auto` goes by its media type: JSON, text, or binary data. \
                 `full` puts out `{ status, headers, body }`.",
                &["auto", "json", "text", "binary", "full"],
            ),
            "pagination": pagination_schema(),
            "concurrency": integer("Items that are requested at once.", 1, CONCURRENCY_MAX as u64, 1),
            "rate": {
                "description": "At most so many requests (`requests`) in so long (`per`), evenly spaced, in this node run.",
                "type": "object",
                "required": ["requests", "per"],
                "properties": {
                    "requests": { "type": "integer", "minimum": 1, "maximum": 10_000 },
                    "per": { "type": "string", "format": FORMAT_DURATION },
                },
                "additionalProperties": false,
                (LITERAL): true,
            },
            "follow_redirects": flag_with_default("Follow up to five redirects.", true),
            "never_error": flag("Put out answers with a status of 400 and above like any other."),
            "idempotency_header": {
                "description": "Name of the header that carries the key which is the same over all attempts \
                                (`Idempotency-Key` by default), for methods other than GET, HEAD and OPTIONS; `false` sends none.",
                "type": ["string", "boolean"],
                "pattern": "^[A-Za-z0-9-]{1,64}$",
                "default": "Idempotency-Key",
                (LITERAL): true,
            },
        }),
    )
}

fn fields(description: &str) -> Value {
    json!({ "description": description, "type": "object" })
}

fn pagination_schema() -> Value {
    json!({
        "description": "Fetches page after page. In its expressions `$json` is the page just fetched: `{ status, headers, body }`. \
                        Mode `next_url` goes on with the URL in `next` and ends where that is empty; `cursor` sends `next` as the \
                        query parameter `parameter` and ends where it is empty; `page` counts the query parameter `parameter` up \
                        from `start` by `step` and ends at a page without `items` or where `until` is true. Pages of one item are \
                        fetched again if a later one fails.",
        "type": "object",
        "required": ["mode"],
        "properties": {
            "mode": { "enum": ["next_url", "cursor", "page"], (LITERAL): true },
            "next": { "description": "The next URL or cursor, for example `{{ $json.body.next }}`." },
            "parameter": { "type": "string", "minLength": 1, (LITERAL): true },
            "start": { "type": "integer", "minimum": 0, "default": 1, (LITERAL): true },
            "step": { "type": "integer", "minimum": 1, "default": 1, (LITERAL): true },
            "until": { "description": "Whether the page was the last, for example `{{ $json.body.last }}`." },
            "items": {
                "description": "Path of an array in the body: each element becomes an item. Without it a page is one item.",
                "type": "string", "format": FORMAT_PATH, (LITERAL): true,
            },
            "max_pages": {
                "description": "Pages after which it ends. Without it, more than 1000 pages are a failure.",
                "type": "integer", "minimum": 1, "maximum": PAGES_MAX, (LITERAL): true,
            },
        },
        "additionalProperties": false,
    })
}

fn get() -> Param {
    Param::default_of(&json!("GET"))
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}
