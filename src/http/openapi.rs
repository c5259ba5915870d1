//! The OpenAPI document: made from the annotations of the handlers that `router.rs` registers, and completed with what they have
//! in common. Served at `/api/v1/openapi.json`, printed by `citadel openapi`, committed as `openapi.json`.
//!
//! How to describe a new route:
//! * `#[utoipa::path(get, path = "/things/{id}", tag = "things", params(ThingId, IfMatch), responses(..))]` above the handler; its
//!   comment is the summary and, after an empty line, the description. The operation's id is the function's name.
//! * `Json<T>` in the signature is the body; ids, queries and headers are listed in `params`; several parameters of a path are
//!   taken from the signature. Bodies derive `ToSchema`, queries `utoipa::IntoParams`. An id needs a line in `parameters.rs`
//!   and two in `schemas.rs`.
//! * Responses: each success with its body and its headers by name, then `Problems<(problem::A, problem::B)>` for those problems
//!   that do not follow from the token, the body, the path, the query and the headers.
//! * What can be done with the id of an answer goes to `links.rs`. Then `cargo run -- openapi > openapi.json`.

mod complete;
mod links;
mod numbers;
mod parameters;
mod problems;
mod schemas;
mod texts;
mod views;

use std::sync::LazyLock;

use axum::body::Bytes;
use serde_json::{Value, json};

pub(super) use self::{
    problems::Problems,
    schemas::{AuditAction, AuditKind, ServerSentEvent},
};
use super::router::documented_routes;

/// The document as it is served. It is the same for the whole life of the process.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));

/// Groups of operations, in the order in which people want to read of them.
const TAGS: &[(&str, &str)] = &[
    ("auth", "Logins and tokens"),
    ("people", "Who may do what: accounts, workspaces, members, invitations, roles, API keys"),
    ("workflows", "Definitions, their versions, and what is published of them"),
    ("executions", "Runs of workflows: start, watch, signal, cancel"),
    ("schedules", "What starts executions by the time"),
    ("variables", "Values that expressions see as `$vars`"),
    ("credentials", "What nodes show to other services, and the keys that it is sealed with"),
    ("node types", "What workflows can be made of"),
    ("code", "Code without a workflow"),
    ("hooks", "The webhooks that active workflows have published"),
    ("audit", "Who changed what, when and from where"),
    ("monitoring", "Figures of this process, and its actors"),
    ("health", "For orchestrators"),
    ("documentation", "What describes this API"),
];

const DESCRIPTION: &str = "The API of a self-hosted workflow engine.\n\n\
    Every error is a problem (RFC 9457) with a stable `code`. Lists are pages: pass `next_cursor` as `cursor` to get the next one. \
    Times are RFC 3339 in UTC. A request that creates or starts something can be repeated safely with the same `Idempotency-Key`.";

/// The OpenAPI 3.1 document, as indented JSON.
pub fn openapi_document() -> String {
    format!("{:#}", document())
}

/// The document as it is served.
pub(super) fn served() -> Bytes {
    DOCUMENT.clone()
}

fn document() -> Value {
    let api = documented_routes().into_openapi();
    let completed = complete::complete(&api);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Citadel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The server that this document came from" }],
        "security": [{ "bearer": [] }],
        "tags": TAGS.iter().map(|(name, description)| json!({ "name": name, "description": description })).collect::<Vec<_>>(),
        "paths": completed.paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, the access token of a login, or the setup token.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "citadel_session",
                    "description": "The cookie of `POST /auth/session`, in the place of `bearer`: for browsers. Over TLS its name begins \
                        with `__Host-`.",
                },
            },
            "schemas": completed.schemas,
            "responses": completed.responses,
            "headers": complete::headers(),
        },
    })
}

#[cfg(test)]
mod tests;
