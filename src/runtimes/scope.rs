//! What an expression or a piece of code can see.

pub(super) mod data;
pub(super) mod zoned;

use serde_json::Value;

use crate::model::item::{Item, Outputs, RunOutput, paired};

/// The part of the scope that one execution keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct RunData {
    /// `$execution`: `{ id, trigger, nesting }`.
    pub execution: Value,
    /// `$workflow`: `{ id, name, version }`.
    pub workflow: Value,
    /// `$vars`.
    pub vars: Value,
    /// `$env`: the allow-listed part of the environment.
    pub env: Value,
    /// IANA zone of `$now` and `$today`.
    pub timezone: String,
}

/// What one evaluation sees: one item of one node run.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The item of `$json`, `$binary` and `$item`; `None` where a node run has no items.
    pub item: Option<&'a Item>,
    /// `$itemIndex`.
    pub item_index: usize,
    /// The items of the first input: `$input`, `$items()`.
    pub items: &'a [Item],
    /// `$runIndex`.
    pub run_index: u32,
    /// `$node("id")`.
    pub outputs: &'a Outputs,
    pub data: &'a RunData,
    /// `$now`, in Unix milliseconds.
    pub now_ms: u64,
}

impl<'a> Scope<'a> {
    /// The latest output of a node.
    ///
    /// Errors: a sentence that names the node, if it has none.
    pub(super) fn output_of(&self, node: &str) -> Result<&'a RunOutput, String> {
        self.outputs.get(node).ok_or_else(|| format!("node \"{node}\" has no output: there is no such node, or it has not run"))
    }

    /// The item of a node's output that belongs to the scope's item: the one it was made from, else the one with the same index,
    /// else the first.
    pub(super) fn item_of(&self, node: &str, output: &'a RunOutput) -> Option<&'a Item> {
        self.item
            .and_then(|item| paired(self.outputs, item, node))
            .or_else(|| output.items().nth(self.item_index))
            .or_else(|| output.items().next())
    }
}
