//! What an expression or a piece of code can see.

use serde_json::Value;

use crate::model::item::{Item, Outputs};

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
