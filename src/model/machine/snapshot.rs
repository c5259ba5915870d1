//! The state of a machine as a document, so that a recovery reads the latest one and what came after it, not everything. The
//! execution actor has it stored beside a journal row; only [`Machine::restore`] reads it. The journal stays the truth: a
//! document that cannot be read, or has another version, costs a whole replay and nothing else.
//!
//! Nodes are written by id, once, and everywhere else as their place in that list. Positions are the affair of a [`Graph`], which
//! another release may build in another order; the ids of the workflow version that an execution is pinned to never change. Only
//! a merge's tokens have no name but the order of its edges, which is the definition's. Lists of items that several places share
//! are written once, and are shared again afterwards.

mod read;
mod write;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Machine;
use crate::model::{
    event::{ExecutionError, Wait},
    execution::ExecutionStatus,
    graph::Graph,
    item::{Item, Items, Port},
};

/// The version of the form below. It goes up with every change of it: a snapshot lives as long as its execution goes on, which
/// another release may do.
pub const SNAPSHOT_VERSION: u32 = 2;

/// Why a document is no use. The journal has everything that was in it.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the snapshot has version {found}, this release reads version {SNAPSHOT_VERSION}")]
    OtherVersion { found: u32 },
    #[error("the snapshot has not the form of version {SNAPSHOT_VERSION}")]
    Malformed(#[source] serde_json::Error),
    #[error("the snapshot has other nodes than the workflow, `{node}` for one")]
    OtherNodes { node: Arc<str> },
    #[error("the snapshot contradicts itself in {place}")]
    Inconsistent { place: &'static str },
}

impl Machine {
    /// Everything that the machine knows but its graph and its trace, in the form of [`SNAPSHOT_VERSION`].
    pub fn snapshot(&self) -> Vec<u8> {
        serde_json::to_vec(&write::document(self)).expect("every part of the document has a form in JSON")
    }

    /// The machine that wrote a document, on the graph of the same workflow version.
    ///
    /// Errors: see [`SnapshotError`].
    pub fn restore(graph: Arc<Graph>, version: u32, document: &[u8]) -> Result<Self, SnapshotError> {
        if version != SNAPSHOT_VERSION {
            return Err(SnapshotError::OtherVersion { found: version });
        }
        let document = serde_json::from_slice(document).map_err(SnapshotError::Malformed)?;
        read::machine(graph, document)
    }
}

/// A node's place in [`Document::nodes`].
type NodePlace = usize;
/// A list's place in [`Document::lists`].
type ListPlace = usize;
/// Signals that have arrived, with their payloads.
type Signals<'a> = Cow<'a, [(String, Value)]>;

#[derive(Serialize, Deserialize)]
struct Document<'a> {
    created_at: u64,
    nesting: u32,
    steps: u32,
    end: StoredEnd<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Cow<'a, ExecutionError>>,
    #[serde(default, skip_serializing_if = "is_empty")]
    abandoned: Cow<'a, [String]>,
    /// Every node of the graph.
    nodes: Vec<StoredNode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_node: Option<NodePlace>,
    runs: Vec<StoredRun<'a>>,
    /// Nodes and run indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    queue: Vec<(NodePlace, u32)>,
    lists: Vec<Items>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredEnd<'a> {
    New,
    Live,
    Ending { status: ExecutionStatus, error: Option<Cow<'a, ExecutionError>> },
    Ended(ExecutionStatus),
}

#[derive(Serialize, Deserialize)]
struct StoredNode {
    id: Arc<str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    runs_begun: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    active: u32,
    /// By incoming edge; empty where no edge has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<Vec<StoredInput>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<StoredSession>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    backlog: Vec<StoredInput>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<StoredOutput>,
}

#[derive(Serialize, Deserialize)]
struct StoredSession {
    begun_at_step: u32,
    input: StoredInput,
    position: usize,
    iterations: u32,
    collected: StoredInput,
}

#[derive(Serialize, Deserialize)]
struct StoredInput {
    items: ListPlace,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    origins: Vec<StoredOrigin>,
}

/// A loop may have one for each item that came back: so an array, which is short.
#[derive(Serialize, Deserialize)]
struct StoredOrigin(NodePlace, OriginNumbers);

/// Run, first item, number of items.
type OriginNumbers = (u32, u32, u32);

#[derive(Serialize, Deserialize)]
struct StoredOutput {
    run: u32,
    ports: Vec<(Port, ListPlace)>,
}

#[derive(Serialize, Deserialize)]
struct StoredRun<'a> {
    node: NodePlace,
    run: u32,
    attempt: u32,
    inputs: Vec<StoredInput>,
    #[serde(default, skip_serializing_if = "has_none")]
    done: Cow<'a, BTreeMap<u32, Item>>,
    phase: StoredPhase<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredPhase<'a> {
    Queued(StoredWork<'a>),
    Running { work: StoredWork<'a>, recorded: bool },
    Retrying { due_at: u64 },
    Waiting { wait: Cow<'a, Wait>, received: Signals<'a> },
    Interrupted { signal: Cow<'a, str> },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredWork<'a> {
    Begin,
    Resume { wait_state: Cow<'a, Value>, signals: Signals<'a>, timed_out: bool },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field over by reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_empty(keys: &[String]) -> bool {
    keys.is_empty()
}

fn has_none(done: &BTreeMap<u32, Item>) -> bool {
    done.is_empty()
}
