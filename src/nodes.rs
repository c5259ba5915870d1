//! Node types: one file each. A node type is a name, a JSON Schema of its parameters, ports, an effect class, and a function
//! over items. Called by the execution actors; never touches the store or another actor except through [`services`].

pub mod aggregate;
pub mod approval;
pub mod budget;
mod builtin;
pub mod code;
pub mod conditions;
pub mod context;
pub mod credential_types;
pub mod dedupe;
pub mod docs;
#[cfg(test)]
pub(crate) mod effect_testing;
pub mod effects;
pub mod file;
pub mod files_root;
pub mod filter;
pub mod format;
pub mod grouping;
pub mod headers;
pub mod http_request;
pub mod if_node;
pub mod limit;
pub mod loop_node;
pub mod manual;
pub mod merge;
pub mod no_op;
pub mod params;
pub mod parse;
pub mod paths;
pub mod plan;
pub mod registry;
pub mod rename;
pub mod respond;
pub mod schedule;
pub mod services;
pub mod set;
pub mod sort;
pub mod split;
pub mod sql;
pub mod stop_error;
pub mod summarize;
pub mod switch;
pub mod tables;
#[cfg(test)]
pub mod testing;
pub mod times;
pub mod values;
pub mod wait;
pub mod webhook;
pub mod workflow;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use self::context::{EffectContext, NodeContext};
use crate::{
    model::{
        catalog::NodeShape,
        definition::NodeDefinition,
        error::NodeError,
        event::{Response, Wait},
        item::PortItems,
        problem::Problem,
    },
    runtimes::code::Code,
};

/// A node type. Registered once in [`registry`].
pub trait NodeType: Send + Sync {
    /// The contract's name (`http.request`), and what people and tools read about it.
    fn describe(&self) -> Description;

    /// Reads one node's parameters. They have passed the JSON Schema and their expressions parse.
    ///
    /// Errors: every further problem, with pointers relative to the node (`/params/url`).
    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>>;
}

/// What is published about a node type.
#[derive(Debug, Clone)]
pub struct Description {
    pub type_name: &'static str,
    pub summary: &'static str,
    /// JSON Schema (2020-12) of `params`, with `additionalProperties: false`. A string that holds an expression passes any type.
    pub params_schema: Value,
    /// Names of string parameters that are program text, not templates (`code` of a code node).
    pub verbatim: &'static [&'static str],
}

/// A node of one workflow version, ready to run.
pub struct Prepared {
    pub shape: NodeShape,
    pub runner: Runner,
}

/// Who runs a node.
#[derive(Clone)]
pub enum Runner {
    /// The machine itself (loops, triggers).
    Engine,
    /// A function that may run inside the execution's actor.
    Pure(Arc<dyn PureNode>),
    /// Work that leaves the process or blocks: it gets a node actor and a place in a pool.
    Effect(Arc<dyn EffectNode>),
}

/// What a node run ends with.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Done(Vec<PortItems>),
    /// As `Done`, with an answer for whoever started the execution and waits.
    Respond(Vec<PortItems>, Response),
    /// The run goes on when the wait is over: see `resume`.
    Wait(Wait),
}

/// What ended a wait.
#[derive(Debug, Clone, PartialEq)]
pub struct Woken {
    /// What the run wanted to remember: [`Wait::state`].
    pub state: Value,
    /// The signals that arrived, by name, in order of arrival.
    pub signals: Vec<(String, Value)>,
    /// Whether the time came before all signals.
    pub timed_out: bool,
}

/// A node without effects: no I/O, no clock but `ctx.now_ms`, no randomness.
pub trait PureNode: Send + Sync {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError>;

    /// Whether a run needs the JavaScript guest, and so must not run inside an actor's handler.
    fn needs_guest(&self) -> bool {
        false
    }

    /// Goes on after a [`Outcome::Wait`].
    fn resume(&self, _ctx: &mut NodeContext<'_>, _woken: &Woken) -> Result<Vec<PortItems>, NodeError> {
        Err(NodeError::permanent(crate::model::error::codes::INVALID_DEFINITION, "this node type does not wait"))
    }
}

/// A node with effects.
#[async_trait]
pub trait EffectNode: Send + Sync {
    async fn run(&self, ctx: EffectContext) -> Result<Outcome, NodeError>;

    /// The code that it runs, where only a language can tell whether that is right. It is the node's parameter `code`.
    fn code(&self) -> Option<&Arc<Code>> {
        None
    }

    /// The pool whose slots bound this node.
    fn pool(&self) -> Pool {
        Pool::Io
    }

    /// Memory that a run may take, in bytes; zero if it has no limit of its own. Counts against the pool's.
    fn memory_bytes(&self) -> usize {
        0
    }

    /// Goes on after a [`Outcome::Wait`]; pure.
    fn resume(&self, _ctx: &mut NodeContext<'_>, _woken: &Woken) -> Result<Vec<PortItems>, NodeError> {
        Err(NodeError::permanent(crate::model::error::codes::INVALID_DEFINITION, "this node type does not wait"))
    }
}

/// The worker pools of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    /// Waits for sockets and files.
    Io,
    /// Computes in WebAssembly sandboxes.
    Wasm,
    /// Waits for processes of the machine's interpreters.
    Native,
}

impl Pool {
    pub const ALL: [Self; 3] = [Self::Io, Self::Wasm, Self::Native];

    /// Whether it is for code, in sandboxes of whatever kind.
    pub const fn runs_code(self) -> bool {
        match self {
            Self::Io => false,
            Self::Wasm | Self::Native => true,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Wasm => "wasm",
            Self::Native => "native",
        }
    }
}
