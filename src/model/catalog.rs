//! What the model has to know of a node type: its ports, its inputs, its effect class. `crate::nodes` implements it.

use std::sync::Arc;

use super::{definition::NodeDefinition, item::Port, problem::Problem};

/// What a node type does to the world, and so what is journaled and what waits for the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectClass {
    /// No I/O, no clock, no randomness: the result rides with the next commit.
    Pure,
    /// May be repeated without harm (a GET, a keyed upsert): no start record.
    Idempotent,
    /// Has an effect outside: a start record is committed before the call.
    Effect,
    /// Ends by a timer or a signal.
    Wait,
}

/// What a node is to the execution machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Starts executions; has no input.
    Trigger,
    /// Runs once per arrival of items.
    Step,
    /// Waits until each of its inputs has items or can no longer get any.
    Merge,
    /// Splits its items into batches and runs its body once per batch.
    Loop { batch_size: u32, iterations_max: u32 },
}

/// A node as the machine and the validation see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeShape {
    pub role: Role,
    pub effect: EffectClass,
    /// Number of inputs; edges name them `0..inputs`.
    pub inputs: u32,
    /// Output ports in order, without `error`, which `on_error: branch` adds.
    pub ports: Vec<Port>,
    pub children: AwaitedChildren,
}

/// The child executions that a run of a node starts and waits for: they end with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwaitedChildren {
    None,
    /// One, for all items of the run.
    OfAllItems,
    PerItem,
}

impl NodeShape {
    /// One input, one port `main`.
    pub fn step(effect: EffectClass) -> Self {
        Self { role: Role::Step, effect, inputs: 1, ports: vec![super::item::MAIN], children: AwaitedChildren::None }
    }

    /// No input, one port `main`.
    pub fn trigger() -> Self {
        Self { role: Role::Trigger, inputs: 0, ..Self::step(EffectClass::Pure) }
    }
}

/// Knows every node type. One real implementation in `crate::nodes`, a small one in the tests of this room.
pub trait NodeCatalog {
    /// Looks at one node's type and parameters. Pointers of the problems are relative to the node (`/params/url`).
    ///
    /// Errors: every problem of the node at once; an unknown type is one of them.
    fn shape(&self, node: &NodeDefinition) -> Result<Arc<NodeShape>, Vec<Problem>>;
}
