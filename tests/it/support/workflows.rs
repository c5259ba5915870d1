//! Small workflows that tests share.

use serde_json::{Value, json};

/// Adds `seen: true` to every item.
pub(crate) fn mark() -> Value {
    json!({
        "name": "mark",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "mark", "type": "set", "params": { "fields": { "seen": true } } },
        ],
        "edges": [{ "from": "start", "to": "mark" }],
    })
}

/// Calls a URL once per item.
pub(crate) fn call(url: &str) -> Value {
    json!({
        "name": "call",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "call", "type": "http.request", "params": { "url": url } },
        ],
        "edges": [{ "from": "start", "to": "call" }],
    })
}

/// Waits for the signal `go`.
pub(crate) fn waiting() -> Value {
    json!({
        "name": "waiting",
        "nodes": [{ "id": "start", "type": "manual" }, { "id": "pause", "type": "wait", "params": { "signal": "go" } }],
        "edges": [{ "from": "start", "to": "pause" }],
    })
}

/// A webhook that adds `seen: true`; `params` are those of the webhook.
pub(crate) fn hook(params: Value) -> Value {
    json!({
        "name": "hook",
        "nodes": [
            { "id": "hook", "type": "webhook", "params": params },
            { "id": "mark", "type": "set", "params": { "fields": { "seen": true } } },
        ],
        "edges": [{ "from": "hook", "to": "mark" }],
    })
}
