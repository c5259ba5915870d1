//! Decides what a retry takes over from the execution that it repeats: results of node runs that need not happen again.
//!
//! The results are handed to a new machine in the order in which they came, right after its creation. The machine counts runs,
//! fires merges and advances loops as it did then, so each result finds its run, and whatever has none is left to be run: that is
//! checked here by playing it. A retry from what failed thus begins in the very state before the failure, also inside of a loop.
//! One from a node leaves out everything that this node's results have an effect on; a loop with such a node in its body begins
//! anew as a whole, since its iterations wait for each other. Called by the executions handle.

mod compare;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    event::{Event, Recorded},
    execution::ExecutionStatus,
    graph::{Graph, NodeSet},
    item::{Item, PortItems},
    machine::Machine,
    problem::{Problem, suggestion},
};

/// Where a retry begins. **Shape**: `"start"`, `"failed"` or `{ "node": "id" }`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryFrom {
    /// Nothing is taken over.
    Start,
    /// Everything that was done is taken over; what failed, or was cut off, runs again.
    #[default]
    Failed,
    /// Everything is taken over that this node had no effect on.
    Node(String),
}

/// Which version of the workflow a retry runs. **Shape**: `"original"`, `"latest"` or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryVersion {
    /// The one that the execution ran.
    #[default]
    Original,
    Latest,
    Number(u32),
}

impl Serialize for RetryVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Original => serializer.serialize_str("original"),
            Self::Latest => serializer.serialize_str("latest"),
            Self::Number(version) => serializer.serialize_u32(*version),
        }
    }
}

impl<'de> Deserialize<'de> for RetryVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "`version` is `original`, `latest` or the number of a version")]
        enum Text {
            Name(Name),
            Number(NonZeroU32),
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Name {
            Original,
            Latest,
        }
        Ok(match Text::deserialize(deserializer)? {
            Text::Name(Name::Original) => Self::Original,
            Text::Name(Name::Latest) => Self::Latest,
            Text::Number(version) => Self::Number(version.get()),
        })
    }
}

/// An execution that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    pub graph: &'a Arc<Graph>,
    pub events: &'a [Recorded],
}

/// What a retry runs.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub graph: &'a Arc<Graph>,
    pub from: &'a RetryFrom,
    /// Whether its nodes are the original's, so that what one of them had done of its items counts.
    pub is_same_version: bool,
}

/// Why there is no such retry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReuseError {
    #[error("the execution has no creation")]
    NoCreation,
    #[error("the execution succeeded: say where to begin, with `from`: `start` or a node")]
    NothingFailed,
    #[error("{}", .0.detail)]
    Unfit(Problem),
}

/// The result of one node run.
struct Done {
    node: Arc<str>,
    run: u32,
    outputs: Vec<PortItems>,
}

/// What became of an execution.
#[derive(Default)]
struct Past {
    /// Results of runs, in the order in which they came.
    done: Vec<Done>,
    /// Items that unfinished runs had done.
    progress: BTreeMap<(Arc<str>, u32), BTreeMap<u32, Item>>,
    /// Nodes that put something out, also those that the machine itself runs.
    active: BTreeSet<Arc<str>>,
    status: Option<ExecutionStatus>,
    /// The node whose failure ended it.
    failed: Option<Arc<str>>,
}

/// The events that follow the creation of a retry.
///
/// Errors: see [`ReuseError`]; problems point into the body of the request (`/from/node`).
pub fn plan(original: Original<'_>, target: Target<'_>) -> Result<Vec<Event>, ReuseError> {
    let Some(Recorded { event: created @ Event::Created { start_node, .. }, at }) = original.events.first() else {
        return Err(ReuseError::NoCreation);
    };
    if target.graph.position(start_node).is_none() {
        let detail = format!("the execution began at `{start_node}`, which this version does not have");
        return Err(unfit("/version", "unknown_start_node", detail));
    }
    let mut past = Past::of(original);
    let again = match target.from {
        RetryFrom::Start => return Ok(Vec::new()),
        RetryFrom::Failed if past.status == Some(ExecutionStatus::Succeeded) => return Err(ReuseError::NothingFailed),
        RetryFrom::Failed => {
            if let Some(node) = past.failed.as_ref().filter(|node| target.graph.position(node).is_none()) {
                return Err(unfit("/version", "unknown_node", format!("this version lacks the node `{node}`, which failed")));
            }
            NodeSet::default()
        }
        RetryFrom::Node(id) => affected_by(target.graph, find_node(target.graph, id)?),
    };
    let is_kept = |id: &Arc<str>| target.graph.position(id).is_none_or(|position| !again.contains(position));
    past.active.insert(Arc::clone(start_node));
    for node in past.active.iter().filter(|id| is_kept(id)) {
        compare::same_shape(original.graph, target.graph, node).map_err(|detail| unfit("/version", "shape_changed", detail))?;
    }
    past.done.retain(|done| is_kept(&done.node));
    if !target.is_same_version {
        past.progress.clear();
    }
    past.progress.retain(|(node, _), _| is_kept(node));
    seed(target.graph, (created, *at), past)
}

/// Plays the results to a new machine: each has to find its run.
fn seed(graph: &Arc<Graph>, (created, at): (&Event, u64), past: Past) -> Result<Vec<Event>, ReuseError> {
    let mut machine = Machine::new(Arc::clone(graph));
    machine.apply(created, at);
    let mut events = Vec::with_capacity(past.done.len());
    for Done { node, run, outputs } in past.done {
        let event = Event::NodeReused { node: Arc::clone(&node), run, outputs };
        if !machine.expects(&event) {
            let detail =
                format!("in this version nothing leads to run {run} of `{node}`: begin at a node before it, or at the start");
            return Err(unfit("/version", "shape_changed", detail));
        }
        machine.apply(&event, at);
        events.push(event);
    }
    for ((node, run), done) in past.progress {
        let Some(attempt) = machine.current_attempt(&node, run) else { continue };
        let event = Event::NodeProgressed { attempt, done: done.into_iter().collect() };
        // One that has no place among the effects in flight yet begins anew.
        if machine.expects(&event) {
            machine.apply(&event, at);
            events.push(event);
        }
    }
    Ok(events)
}

impl Past {
    fn of(original: Original<'_>) -> Self {
        let mut machine = Machine::traced(Arc::clone(original.graph));
        let mut past = Self::default();
        for Recorded { at, event } in original.events {
            let is_expected = machine.expects(event);
            machine.apply(event, *at);
            let put_out = machine.take_trace();
            past.active.extend(put_out.iter().map(|(position, _)| Arc::clone(&original.graph.nodes[*position].id)));
            if !is_expected {
                continue;
            }
            if let Event::NodeProgressed { attempt, done } = event {
                past.progress.entry((Arc::clone(&attempt.node), attempt.run)).or_default().extend(done.iter().cloned());
            }
            // The run that an event ends puts out first; what this sets off comes behind.
            let first = put_out.into_iter().next();
            if let (Some((node, run)), Some((position, output))) = (run_of(event), first)
                && (original.graph.position(node), run) == (Some(position), output.run)
            {
                past.progress.remove(&(Arc::clone(node), run));
                past.done.push(Done { node: Arc::clone(node), run, outputs: output.ports });
            }
        }
        past.status = machine.ended();
        past.failed = machine.failure().and_then(|failure| failure.node_id.clone());
        past
    }
}

/// The run that an event may end with a result.
fn run_of(event: &Event) -> Option<(&Arc<str>, u32)> {
    match event {
        Event::NodeSucceeded { attempt, .. } | Event::NodeFailed { attempt, .. } => Some((&attempt.node, attempt.run)),
        Event::NodeReused { node, run, .. } => Some((node, *run)),
        Event::Created { .. }
        | Event::Admitted
        | Event::NodeStarted { .. }
        | Event::NodeProgressed { .. }
        | Event::AttemptInterrupted { .. }
        | Event::RetryDue { .. }
        | Event::WaitStarted { .. }
        | Event::WaitElapsed { .. }
        | Event::SignalReceived { .. }
        | Event::CancelRequested { .. }
        | Event::TimedOut
        | Event::Finished { .. } => None,
    }
}

/// The node and everything that its results have an effect on: what follows it, and of each loop with such a node in its body the
/// loop itself, whose next iteration would have waited for it.
fn affected_by(graph: &Graph, node: usize) -> NodeSet {
    let mut affected = NodeSet::default();
    let mut open = vec![node];
    loop {
        while let Some(position) = open.pop() {
            if affected.insert(position) {
                let targets = graph.nodes[position].ports.iter().flat_map(|(_, targets)| targets);
                open.extend(targets.map(|target| target.node));
            }
        }
        let waits = |position: &usize| !affected.contains(*position) && graph.nodes[*position].body.meets(&affected);
        open.extend((0..graph.nodes.len()).filter(waits));
        if open.is_empty() {
            return affected;
        }
    }
}

fn find_node(graph: &Graph, id: &str) -> Result<usize, ReuseError> {
    graph.position(id).ok_or_else(|| {
        let known = suggestion(id, graph.nodes.iter().map(|node| &*node.id));
        unfit("/from/node", "unknown_node", format!("this version has no node `{id}`: {known}"))
    })
}

fn unfit(pointer: &str, code: &str, detail: String) -> ReuseError {
    ReuseError::Unfit(Problem::new(pointer, code, detail))
}
