//! What a node run gets: its items, the evaluation of its templates, and for effects the services and the identity of the attempt.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::services::Services;
use crate::{
    model::{
        error::{NodeError, codes},
        event::Attempt,
        ids::{ExecutionId, WorkspaceId},
        item::{Input, Item, Outputs},
        log::{CodeUsage, LogLine, RunLog},
        trace::TraceParent,
    },
    runtimes::{
        expression::Template,
        javascript::GuestSession,
        scope::{RunData, Scope},
    },
};

/// What a pure node run gets.
pub struct NodeContext<'a> {
    /// One per input of the shape; a trigger has one with the start items.
    pub inputs: &'a [Input],
    pub run_index: u32,
    pub outputs: &'a Outputs,
    pub data: &'a RunData,
    /// Unix milliseconds, the same for the whole run.
    pub now_ms: u64,
    pub guest: &'a mut GuestSession,
}

impl<'a> NodeContext<'a> {
    /// The items of the first input.
    pub fn items(&self) -> &'a [Item] {
        self.inputs.first().map_or(&[], |input| &input.items)
    }

    /// Evaluates a template for the item at `index` of the first input.
    ///
    /// Errors: `expression_failed` with the position, `sandbox_timeout`, `sandbox_memory`.
    pub fn evaluate(&mut self, template: &Template, index: usize) -> Result<Value, NodeError> {
        let items = self.inputs.first().map_or(&[][..], |input| &input.items);
        let scope = Scope {
            item: items.get(index),
            item_index: index,
            items,
            run_index: self.run_index,
            outputs: self.outputs,
            data: self.data,
            now_ms: self.now_ms,
        };
        template.evaluate(&scope, self.guest).map_err(|error| error.into_node_error(index))
    }

    /// An item made from the one at `index` of the first input.
    pub fn derive(&self, index: usize, json: Value) -> Item {
        self.derive_from(0, index, json)
    }

    /// An item made from the one at `index` of the input number `input`.
    pub fn derive_from(&self, input: usize, index: usize, json: Value) -> Item {
        let source = self.inputs.get(input).and_then(|input| input.source_of(index));
        Item { source, ..Item::from_value(json) }
    }

    /// The item at `index` of the first input with other JSON: its binary data stays.
    pub fn edit(&self, index: usize, json: Value) -> Item {
        let binary = self.items().get(index).and_then(|item| item.binary.clone());
        Item { binary, ..self.derive(index, json) }
    }

    /// The item at `index` of the first input, passed on as it is, with itself as the source.
    pub fn pass(&self, index: usize) -> Item {
        self.pass_from(0, index)
    }

    /// The item at `index` of the input number `input`, passed on as it is, with itself as the source.
    pub fn pass_from(&self, input: usize, index: usize) -> Item {
        let item = &self.inputs[input].items[index];
        Item { json: item.json.clone(), binary: item.binary.clone(), source: self.inputs[input].source_of(index) }
    }

    /// Every item of the first input, passed on.
    pub fn pass_all(&self) -> Vec<Item> {
        (0..self.items().len()).map(|index| self.pass(index)).collect()
    }
}

/// What an attempt of an effect node gets. Owned, since it outlives the message that started it.
pub struct EffectContext {
    pub execution: ExecutionId,
    pub workspace: WorkspaceId,
    pub attempt: Attempt,
    /// Depth of sub-workflows above this execution.
    pub nesting: u32,
    /// The trace that the execution belongs to: whoever calls another service passes it on, with a span of its own.
    pub trace: Option<TraceParent>,
    pub inputs: Vec<Input>,
    pub outputs: Outputs,
    pub data: Arc<RunData>,
    pub now_ms: u64,
    pub guest: GuestSession,
    pub services: Arc<Services>,
    /// Items that an earlier attempt recorded as done, by the index of the input item: do not do them again.
    pub done: BTreeMap<u32, Item>,
    pub progress: Progress,
    pub log: Log,
    /// Name of the node's credential.
    pub credential: Option<String>,
}

impl EffectContext {
    /// The pure half: items and evaluation.
    pub fn pure(&mut self) -> NodeContext<'_> {
        NodeContext {
            inputs: &self.inputs,
            run_index: self.attempt.run,
            outputs: &self.outputs,
            data: &self.data,
            now_ms: self.now_ms,
            guest: &mut self.guest,
        }
    }

    /// The key of one item's effect: the same over all attempts. 32 lowercase hex digits.
    pub fn idempotency_key(&self, item_index: usize) -> String {
        let mut hash = Sha256::new();
        hash.update(self.execution.uuid().as_bytes());
        hash.update(self.attempt.node.as_bytes());
        hash.update([0]);
        hash.update(self.attempt.run.to_le_bytes());
        hash.update((item_index as u64).to_le_bytes());
        hash.finalize().iter().take(16).fold(String::with_capacity(32), |mut hex, byte| {
            use std::fmt::Write;
            write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
            hex
        })
    }
}

/// Reports items that are done, so that a later attempt skips them. Recorded in batches.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(u32, Item) + Send + Sync>);

impl Progress {
    pub fn new(report: impl Fn(u32, Item) + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }

    /// The input item at `index` is done with this result.
    pub fn done(&self, index: u32, item: Item) {
        (self.0)(index, item);
    }
}

/// Collects what an attempt writes on its console. Recorded with the attempt's result, whether it is a success or not.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<RunLog>>);

impl Log {
    /// Adds lines; `truncated` says that something after them was dropped.
    pub fn add(&self, lines: Vec<LogLine>, truncated: bool) {
        self.written().add(lines, truncated);
    }

    /// Says what running the code took.
    pub fn used(&self, usage: CodeUsage) {
        self.written().usage = Some(usage);
    }

    /// CPU time of the code, as far as it has been said.
    pub fn cpu(&self) -> Duration {
        self.written().usage.as_ref().map_or(Duration::ZERO, |usage| Duration::from_micros(usage.cpu_us))
    }

    /// Takes what was written so far; `None` if nothing was.
    pub fn take(&self) -> Option<RunLog> {
        std::mem::take(&mut *self.written()).into_written()
    }

    fn written(&self) -> MutexGuard<'_, RunLog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks that a value is a string.
///
/// Errors: `invalid_parameter` that names the parameter.
pub fn expect_string(value: Value, parameter: &str) -> Result<String, NodeError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(NodeError::permanent(
            codes::INVALID_PARAMETER,
            format!("`{parameter}` must be a string, not {}", kind_of(&other)),
        )),
    }
}

/// The JSON type's name, with its article.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
