//! Schemas of what the engine shows of itself, and of a trial: written by hand, since those rooms do not know of OpenAPI. A test
//! compares each with a value that is written.

use serde_json::{Map, Value, json};

use super::schemas::{count, reference};
use crate::actors::code_runs::CodeLimits;

/// Schemas by name.
pub(super) fn by_hand() -> Map<String, Value> {
    let schemas = json!({
        "Counts": object(json!({ "total": count(), "last_minute": count(), "last_hour": count() }), &[]),
        "Queue": object(json!({ "depth": count(), "depth_max": count(), "oldest_wait_ms": count() }), &[]),
        "ScheduleCounts": object(
            json!({ "fired": reference("Counts"), "missed": reference("Counts"), "lag_ms": described(count(), "Of the last tick.") }),
            &[],
        ),
        "Lane": object(
            json!({
                "depth": described(count(), "Requests that wait or are being written."),
                "depth_max": count(),
                "bytes": described(count(), "Their payloads."),
                "oldest_wait_ms": count(),
            }),
            &[],
        ),
        "Pool": object(
            json!({
                "name": { "type": "string" },
                "slots": count(),
                "busy": count(),
                "memory_bytes": described(count(), "What the work with a place may take."),
                "memory_bytes_max": { "type": ["integer", "null"], "minimum": 0, "description": "What it may add up to, where that is bounded." },
                "queued": count(),
                "oldest_wait_ms": count(),
            }),
            &[],
        ),
        "ActorKind": object(kind(), &[]),
        "ActorView": object(actor(), &[]),
        "NodeError": object(
            json!({
                "code": described(json!({ "type": "string" }), "Stable: for programs."),
                "message": { "type": "string" },
                "retryable": described(json!({ "type": "boolean" }), "Whether another attempt may help."),
                "retry_after_ms": count(),
                "details": described(json!({}), "More for a program: a status, a line and column, the index of the item."),
            }),
            &["retry_after_ms", "details"],
        ),
        "PortItems": object(
            json!({ "port": { "type": "string" }, "items": { "type": "array", "items": reference("Item") } }),
            &[],
        ),
        "HookResponse": object(
            json!({
                "status": { "type": "integer", "minimum": 100, "maximum": 599 },
                "headers": { "type": "object", "additionalProperties": { "type": "string" } },
                "body": described(json!({}), "A string is sent as it is, anything else as JSON."),
            }),
            &["headers"],
        ),
        "NodeExample": object(
            json!({
                "title": { "type": "string" },
                "params": described(json!({ "type": "object" }), "For `POST /node-types/{type}/test`, with `items`."),
                "items": { "type": "array", "items": {} },
                "ports": strings(),
                "effect": reference("Effect"),
                "definition": described(json!({ "type": "object" }), "A whole workflow that can be stored as it is."),
            }),
            &[],
        ),
        "Effect": { "type": "string", "enum": ["pure", "idempotent", "effect", "wait"] },
        "NodeDocs": object(docs(), &[]),
        "CodeLimits": limits(),
        "CodeUsage": object(
            json!({
                "wall_ms": milliseconds(),
                "cpu_ms": described(milliseconds(), "The wall time of a run that was shorter than a tick of the clock (10 ms)."),
                "memory_peak_bytes": count(),
                "cold": described(json!({ "type": "boolean" }), "Whether the run had to make its sandbox first."),
            }),
            &[],
        ),
        "Language": object(language(), &[]),
    });
    match schemas {
        Value::Object(schemas) => schemas,
        _ => unreachable!("an object was written above"),
    }
}

fn kind() -> Value {
    json!({
        "kind": { "type": "string" },
        "live": count(),
        "started": count(),
        "depth": described(count(), "Messages that wait in the mailboxes of all of them."),
        "handled": count(),
        "errors": count(),
        "restarts": count(),
        "wait_p50_us": micros(),
        "wait_p99_us": micros(),
        "handle_p50_us": micros(),
        "handle_p99_us": micros(),
    })
}

fn actor() -> Value {
    let text = || json!({ "type": ["string", "null"] });
    json!({
        "id": { "type": "string" },
        "kind": { "type": "string" },
        "name": text(),
        "parent": described(text(), "The id of the actor that supervises it."),
        "status": { "type": "string", "enum": ["starting", "running", "draining", "stopping", "stopped"] },
        "depth": described(count(), "Messages that wait in the mailbox."),
        "wait_p50_us": micros(),
        "wait_p99_us": micros(),
        "handled": count(),
        "errors": count(),
        "handle_p50_us": micros(),
        "handle_p99_us": micros(),
        "busy_for_ms": described(micros(), "How long the running handler has been at work; null while idle."),
        "age_ms": count(),
        "serves": described(text(), "What it works for, such as an execution's id."),
    })
}

fn docs() -> Value {
    json!({
        "role": { "type": "string", "enum": ["trigger", "step", "merge", "loop"] },
        "inputs": count(),
        "ports": described(strings(), "Output ports, those of the first example. With `on_error: branch` there is `error`, too."),
        "ports_vary": described(json!({ "type": "boolean" }), "Whether the parameters decide about the ports."),
        "effects": { "type": "array", "items": reference("Effect") },
        "examples": { "type": "array", "items": reference("NodeExample") },
    })
}

/// What a run may use, each from 1 to what `GET /runtimes` says.
fn limits() -> Value {
    let limit = |description, default| json!({ "description": description, "type": "integer", "minimum": 1, "default": default });
    let default = CodeLimits::default();
    json!({
        "type": "object",
        "properties": {
            "wall_ms": limit("Wall time in milliseconds.", json!(default.wall_ms)),
            "cpu_ms": limit("CPU time in milliseconds.", json!(default.cpu_ms)),
            "memory_bytes": limit("Memory in bytes.", json!(default.memory_bytes)),
            "output_bytes": limit("Output as JSON in bytes.", json!(default.output_bytes)),
            "log_bytes": limit("Console output in bytes; the rest is dropped.", json!(default.log_bytes)),
        },
        "additionalProperties": false,
    })
}

fn language() -> Value {
    let flag = || json!({ "type": "boolean" });
    json!({
        "name": described(json!({ "type": "string" }), "What `language` says."),
        "title": { "type": "string" },
        "version": { "type": "string" },
        "isolation": described(
            json!({ "type": "string", "enum": ["web_assembly", "process", "process_reduced"] }),
            "A WebAssembly instance in the server, or a process of its own.",
        ),
        "grants": object(json!({ "env": flag(), "network": flag() }), &[]),
        "notes": described(strings(), "What is different here."),
    })
}

fn milliseconds() -> Value {
    json!({ "type": "number", "minimum": 0 })
}

/// An object of exactly these fields, all of which are there but for the optional ones.
fn object(properties: Value, optional: &[&str]) -> Value {
    let names = properties.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<&String> = names.filter(|name| !optional.contains(&name.as_str())).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}

fn micros() -> Value {
    json!({ "type": ["integer", "null"], "minimum": 0 })
}

fn strings() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

#[cfg(test)]
mod tests {
    use ractor::Actor;
    use serde::Serialize;

    use super::*;
    use crate::{
        actors::{
            code_runs::{GrantsOffered, Isolation, LanguageInfo, Usage},
            journal_lane::LaneView,
            metering::metered,
            monitor::{Counts, ScheduleCounts},
            observatory,
            places::Places,
            pool::{PoolActor, PoolHandle, PoolLimits, PoolView},
        },
        model::{
            error::NodeError,
            event::Response,
            item::{Item, PortItems},
        },
        nodes::registry::Registry,
    };

    /// What is written has the fields that are described, each of which may be missing only if it is optional.
    #[track_caller]
    fn check(name: &str, written: impl Serialize) {
        let (schemas, written) = (by_hand(), serde_json::to_value(written).unwrap());
        let described = &schemas[name]["properties"];
        for field in written.as_object().unwrap().keys() {
            assert!(described.get(field).is_some(), "{name}: {field} is not described");
        }
        for field in schemas[name]["required"].as_array().unwrap() {
            assert!(written.get(field.as_str().unwrap()).is_some(), "{name}: {field} is not written");
        }
    }

    #[test]
    fn describes_what_is_written() {
        check("Counts", Counts::default());
        check("ScheduleCounts", ScheduleCounts::default());
        check("Queue", Places::new(1).view(0));
        check("Lane", LaneView { depth: 0, depth_max: 1, bytes: 0, oldest_wait_ms: 0 });
        let error = NodeError::transient("timeout", "late").with_details(json!({ "item": 3 }));
        check("NodeError", NodeError { retry_after_ms: Some(5), ..error });
        check("NodeError", NodeError::permanent("timeout", "late"));
        check("PortItems", &PortItems::main(vec![Item::from_value(json!({}))])[0]);
        check("HookResponse", Response { status: 200, headers: [("a".into(), "b".into())].into(), body: Value::Null });
        let registry = Registry::builtin();
        let docs = registry.docs("http.request").unwrap();
        check("NodeDocs", docs);
        check("NodeExample", &docs.examples[0]);
        let language = serde_json::to_value(LanguageInfo {
            name: "lua".to_owned(),
            title: "Lua".to_owned(),
            version: "5.4".to_owned(),
            isolation: Isolation::WebAssembly,
            grants: GrantsOffered::default(),
            notes: Vec::new(),
        });
        check("Language", language.unwrap());
        check("CodeUsage", Usage { wall_ms: 1.0, cpu_ms: 1.0, memory_peak_bytes: 1, cold: true });
    }

    #[tokio::test]
    async fn describes_actors_that_live() {
        let name = "io";
        check(
            "Pool",
            PoolView { name, slots: 1, busy: 0, memory_bytes: 0, memory_bytes_max: None, queued: 0, oldest_wait_ms: 0 },
        );
        let pool = PoolHandle::new("io", PoolLimits { slots_max: 1, workspace_slots_max: 1, queue_max: 1, memory_bytes_max: 1 });
        let (actor, running) = Actor::spawn(None, metered(PoolActor, "pool"), pool).await.unwrap();
        let snapshot = observatory::snapshot();
        check("ActorView", snapshot.actors.first().unwrap());
        check("ActorKind", snapshot.kinds.first().unwrap());
        actor.stop(None);
        running.await.unwrap();
    }
}
