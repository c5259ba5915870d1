//! Reads one node, its retry policy, and one edge.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use super::object::{self, ObjectReader};
use crate::model::{
    definition::{AfterCrash, Backoff, EdgeDefinition, NodeDefinition, OnError, RetryPolicy},
    item::MAIN,
    limits::NODE_ID_CHARS_MAX,
    problem::{Problems, excerpt},
};

const ON_ERROR: [(&str, OnError); 3] = [("stop", OnError::Stop), ("continue", OnError::Continue), ("branch", OnError::Branch)];
const BACKOFF: [(&str, Backoff); 3] =
    [("fixed", Backoff::Fixed), ("linear", Backoff::Linear), ("exponential", Backoff::Exponential)];
const AFTER_CRASH: [(&str, AfterCrash); 3] = [("retry", AfterCrash::Retry), ("fail", AfterCrash::Fail), ("ask", AfterCrash::Ask)];

/// Reads the node at `pointer`.
pub(super) fn read_node(value: Value, pointer: String, problems: &mut Problems) -> Option<NodeDefinition> {
    let mut fields = ObjectReader::open(value, pointer, problems)?;
    fields.require(&["id", "type"]);
    let node = NodeDefinition {
        id: read_id(&mut fields).unwrap_or_default(),
        node_type: fields.name("type").unwrap_or_default(),
        name: fields.name("name"),
        params: fields.object("params").unwrap_or_default(),
        credential: fields.name("credential"),
        disabled: fields.boolean("disabled").unwrap_or_default(),
        retry: fields.nested("retry", read_retry),
        timeout: fields.duration("timeout"),
        on_error: fields.choice("on_error", &ON_ERROR).unwrap_or_default(),
        notes: fields.prose("notes"),
        position: read_position(&mut fields),
        execute_once: fields.boolean("execute_once").unwrap_or_default(),
        always_output: fields.boolean("always_output").unwrap_or_default(),
    };
    fields.finish();
    Some(node)
}

/// Reads the edge at `pointer`.
pub(super) fn read_edge(value: Value, pointer: String, problems: &mut Problems) -> Option<EdgeDefinition> {
    let mut fields = ObjectReader::open(value, pointer, problems)?;
    fields.require(&["from", "to"]);
    let edge = EdgeDefinition {
        from: fields.name("from").unwrap_or_default().into(),
        to: fields.name("to").unwrap_or_default().into(),
        port: fields.name("port").map_or(MAIN, Cow::Owned),
        input: fields.integer("input").unwrap_or(0),
    };
    fields.finish();
    Some(edge)
}

fn read_retry(fields: &mut ObjectReader<'_>) -> RetryPolicy {
    let default = RetryPolicy::default();
    RetryPolicy {
        max_attempts: fields.integer("max_attempts").unwrap_or(default.max_attempts),
        backoff: fields.choice("backoff", &BACKOFF).unwrap_or(default.backoff),
        initial: fields.duration("initial").unwrap_or(default.initial),
        max: fields.duration("max").unwrap_or(default.max),
        jitter: fields.boolean("jitter").unwrap_or(default.jitter),
        after_crash: fields.choice("after_crash", &AFTER_CRASH).unwrap_or(default.after_crash),
    }
}

fn read_id(fields: &mut ObjectReader<'_>) -> Option<Arc<str>> {
    let (value, pointer, problems) = fields.raw("id")?;
    let id = object::name(value, &pointer, problems)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if id.len() > NODE_ID_CHARS_MAX || !id.chars().all(allowed) {
        let detail = format!("`{}` must have 1 to {NODE_ID_CHARS_MAX} letters, digits, `_`, `.` or `-`", excerpt(&id));
        problems.report(pointer, "invalid_id", detail);
        return None;
    }
    Some(id.into())
}

fn read_position(fields: &mut ObjectReader<'_>) -> Option<[f64; 2]> {
    let (value, pointer, problems) = fields.raw("position")?;
    let position = match value.as_array().map(Vec::as_slice) {
        Some([x, y]) => x.as_f64().zip(y.as_f64()).map(|(x, y)| [x, y]),
        _ => None,
    };
    if position.is_none() {
        problems.report(pointer, "wrong_type", "must be an array of two numbers: `[x, y]`");
    }
    position
}
