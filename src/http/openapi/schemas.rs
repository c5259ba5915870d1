//! Schemas of what other rooms own, written by hand: the model does not know of OpenAPI. The definition's schema is the one
//! that is published.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Object, RefOr, schema::Schema},
};

use super::{links::SIGNAL, views};
use crate::{
    actors::{
        code_runs::{CodeLimits, LanguageInfo, Usage},
        journal_lane::LaneView,
        monitor::{Counts, ScheduleCounts},
        observatory::{ActorView, KindView},
        places::QueueView,
        pool::PoolView,
    },
    auth::permissions::Permission,
    http::dto::Time,
    model::{
        audit::{self, Digest},
        batch::{BatchAction, BatchStatus},
        definition::{WorkflowDefinition, parse::WORKFLOW_SCHEMA},
        error::NodeError,
        event::Response,
        execution::{ExecutionStatus, NodeRunStatus, OnConflict, TriggerKind},
        ids::{AuditId, BatchId, CredentialId, ExecutionId, InvitationId, KeyId, ScheduleId, UserId, WorkflowId, WorkspaceId},
        item::{BlobRef, Item, ItemSource, PortItems},
        log::LogLevel,
        problem,
        reuse::{RetryFrom, RetryVersion},
        schedule::Overlap,
    },
    nodes::{docs::Docs, schedule::spec::CatchUpMode},
};

/// Where the definition's schema has its parts, and where the document has them.
const OWN_PARTS: &str = "#/$defs/";
const PART: &str = "WorkflowDefinition.";

macro_rules! described_below {
    ($($type:ty = $name:literal;)*) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                Object::new().into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    )*};
}

/// One event of a stream: `(ServerSentEvent = "text/event-stream")` in a response.
#[allow(dead_code, reason = "it describes: no value of it is ever made")]
pub(in crate::http) enum ServerSentEvent {}

/// A word for what happened, in the audit log.
#[allow(dead_code, reason = "it describes: no value of it is ever made")]
pub(in crate::http) enum AuditAction {}

/// A word for what it happened to.
#[allow(dead_code, reason = "it describes: no value of it is ever made")]
pub(in crate::http) enum AuditKind {}

described_below! {
    AuditAction = "AuditAction";
    AuditKind = "AuditKind";
    ServerSentEvent = "ServerSentEvent";
    AuditId = "AuditId";
    Digest = "Digest";
    WorkspaceId = "WorkspaceId";
    WorkflowId = "WorkflowId";
    ExecutionId = "ExecutionId";
    BatchId = "BatchId";
    CredentialId = "CredentialId";
    ScheduleId = "ScheduleId";
    UserId = "UserId";
    KeyId = "ApiKeyId";
    InvitationId = "InvitationId";
    Permission = "Permission";
    Time = "Time";
    ExecutionStatus = "ExecutionStatus";
    NodeRunStatus = "NodeRunStatus";
    TriggerKind = "TriggerKind";
    OnConflict = "OnConflict";
    BatchAction = "BatchAction";
    BatchStatus = "BatchStatus";
    CatchUpMode = "CatchUp";
    Overlap = "Overlap";
    LogLevel = "LogLevel";
    RetryFrom = "RetryFrom";
    RetryVersion = "RetryVersion";
    Item = "Item";
    ItemSource = "ItemSource";
    BlobRef = "BlobRef";
    problem::Problem = "PlacedProblem";
    Counts = "Counts";
    QueueView = "Queue";
    ScheduleCounts = "ScheduleCounts";
    LaneView = "Lane";
    PoolView = "Pool";
    KindView = "ActorKind";
    ActorView = "ActorView";
    NodeError = "NodeError";
    PortItems = "PortItems";
    Response = "HookResponse";
    Docs = "NodeDocs";
    CodeLimits = "CodeLimits";
    Usage = "CodeUsage";
    LanguageInfo = "Language";
    WorkflowDefinition = "WorkflowDefinition";
}

/// Ids, and choices of which one has to be taken.
fn short() -> impl Iterator<Item = (String, Value)> {
    let schemas = [
        ("AuditId", id(AuditId::PREFIX)),
        ("AuditAction", choice(audit::ACTIONS)),
        ("AuditKind", choice(&audit::kinds())),
        ("WorkspaceId", id(WorkspaceId::PREFIX)),
        ("WorkflowId", id(WorkflowId::PREFIX)),
        ("ExecutionId", id(ExecutionId::PREFIX)),
        ("BatchId", id(BatchId::PREFIX)),
        ("CredentialId", id(CredentialId::PREFIX)),
        ("ScheduleId", id(ScheduleId::PREFIX)),
        ("UserId", id(UserId::PREFIX)),
        ("ExecutionStatus", choice(&ExecutionStatus::ALL)),
        ("NodeRunStatus", choice(&NodeRunStatus::ALL)),
        ("TriggerKind", choice(&TriggerKind::ALL)),
        ("OnConflict", choice(&OnConflict::ALL)),
        ("BatchAction", choice(&BatchAction::ALL)),
        ("BatchStatus", choice(&BatchStatus::ALL)),
        ("CatchUp", choice(&CatchUpMode::ALL)),
        ("Overlap", choice(&Overlap::ALL)),
        ("LogLevel", choice(&LogLevel::ALL)),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema))
}

/// The schemas that no type derives.
pub(super) fn by_hand() -> Map<String, Value> {
    let mut schemas = json!({
        "Digest": { "description": "A SHA-256.", "type": "string", "pattern": "^[0-9a-f]{64}$" },
        "Time": { "type": "string", "format": "date-time", "examples": ["2026-01-31T12:00:00.000Z"] },
        "RetryFrom": {
            "description": "Where a retry begins: at the start, where the execution failed, or at a node.",
            "oneOf": [
                { "type": "string", "enum": ["start", "failed"] },
                {
                    "type": "object",
                    "required": ["node"],
                    "properties": { "node": { "type": "string" } },
                    "additionalProperties": false,
                },
            ],
            "default": "failed",
        },
        "RetryVersion": {
            "description": "Which version a retry runs: that of the execution, the latest, or another one by its number.",
            "oneOf": [{ "type": "string", "enum": ["original", "latest"] }, { "type": "integer", "minimum": 1, "maximum": u32::MAX }],
            "default": "original",
        },
        "ServerSentEvent": {
            "description": "One event of a stream (WHATWG HTML, server-sent events). `data` is JSON.",
            "type": "object",
            "required": ["event", "data"],
            "properties": { "id": { "type": "string" }, "event": { "type": "string" }, "data": { "type": "string" } },
        },
        "Item": {
            "description": "What flows between nodes.",
            "type": "object",
            "required": ["json"],
            "properties": {
                "json": { "type": "object" },
                "binary": { "type": "object", "additionalProperties": reference("BlobRef") },
                "source": reference("ItemSource"),
            },
        },
        "ItemSource": {
            "description": "The output that an item was made from.",
            "type": "object",
            "required": ["node", "run", "item"],
            "properties": { "node": { "type": "string" }, "run": count(), "item": count() },
        },
        "BlobRef": {
            "description": "A reference to binary data.",
            "type": "object",
            "required": ["hash", "size_bytes"],
            "properties": {
                "hash": { "description": "SHA-256, in hex.", "type": "string", "pattern": "^[0-9a-f]{64}$" },
                "size_bytes": count(),
                "media_type": { "type": "string" },
                "file_name": { "type": "string" },
            },
        },
        "PlacedProblem": {
            "description": "One thing that is wrong, and where.",
            "type": "object",
            "required": ["pointer", "code", "detail"],
            "properties": {
                "pointer": { "description": "JSON pointer (RFC 6901); empty for the whole.", "type": "string" },
                "code": { "description": "Stable.", "type": "string", "pattern": "^[a-z][a-z0-9_]*$" },
                "detail": { "type": "string" },
            },
        },
        "Problem": {
            "description": "What went wrong (RFC 9457).",
            "type": "object",
            "required": ["type", "title", "status", "detail", "code", "request_id"],
            "properties": {
                "type": { "description": "The path of the kind's description.", "type": "string", "format": "uri-reference" },
                "title": { "description": "The kind; the same each time.", "type": "string" },
                "status": { "type": "integer", "minimum": 400, "maximum": 599 },
                "detail": { "description": "This case, and what to do about it.", "type": "string" },
                "code": { "description": "Stable: for programs.", "type": "string" },
                "request_id": { "description": "For the search in the server's log.", "type": "string" },
                "execution_id": reference("ExecutionId"),
                "errors": { "type": "array", "items": reference("PlacedProblem") },
            },
        },
    });
    let mut schemas = schemas.as_object_mut().map(std::mem::take).unwrap_or_default();
    schemas.extend(short());
    schemas.extend(definition());
    schemas.extend(views::by_hand());
    schemas.extend(of_people());
    schemas
}

/// What people may do, and what they hold.
fn of_people() -> Map<String, Value> {
    let permissions: Vec<&str> = Permission::ALL.iter().map(|known| known.as_str()).collect();
    let schemas = [
        ("ApiKeyId", id(KeyId::PREFIX)),
        ("InvitationId", id(InvitationId::PREFIX)),
        ("Permission", json!({ "type": "string", "enum": permissions })),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// The published schema of definitions and its parts, as components.
fn definition() -> Map<String, Value> {
    let mut whole: Value = serde_json::from_str(WORKFLOW_SCHEMA).expect("the schema is JSON");
    let parts = whole["$defs"].take();
    let mut components = Map::new();
    for (name, part) in parts.as_object().into_iter().flatten() {
        components.insert(format!("{PART}{name}"), part.clone());
    }
    if let Some(whole) = whole.as_object_mut() {
        whole.retain(|key, _| !key.starts_with('$'));
        whole.insert("examples".to_owned(), examples());
    }
    components.insert("WorkflowDefinition".to_owned(), whole);
    components.values_mut().for_each(refer_to_components);
    components
}

fn refer_to_components(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match field.as_str().filter(|_| key == "$ref").and_then(|text| text.strip_prefix(OWN_PARTS)) {
                    Some(part) => *field = json!(format!("#/components/schemas/{PART}{part}")),
                    None => refer_to_components(field),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(refer_to_components),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Definitions that a reader can save and run as they are.
fn examples() -> Value {
    let hello = json!({
        "name": "hello",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "greet", "type": "set", "params": { "fields": { "greeting": "Hello, {{ $json.name }}!" } } },
        ],
        "edges": [{ "from": "start", "to": "greet" }],
    });
    let payment = json!({
        "name": "payment",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "wait", "type": "wait", "params": { "signal": SIGNAL, "timeout": "7d" } },
        ],
        "edges": [{ "from": "start", "to": "wait" }],
    });
    json!([hello, payment])
}

fn id(prefix: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{prefix}[0-9a-f]{{32}}$") })
}

fn choice<T: Serialize>(all: &[T]) -> Value {
    json!({ "type": "string", "enum": all })
}

pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
