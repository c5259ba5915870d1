//! Decides what one execution does next. What happened comes in as an [`Event`], work goes out as [`Effect`]s.
//!
//! The machine is total and deterministic: the same events give the same state, so recovery is a replay of the journal.
//! An event of an attempt that is over has no effects. Called by the execution actor only; it never waits.

mod children;
mod flow;
mod interrupted;
mod loops;
mod outcome;
mod run;
mod settle;
mod snapshot;
#[cfg(test)]
pub(super) mod tests;
mod view;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;

use self::{
    loops::LoopSession,
    run::{Phase, Work},
};
pub use self::{
    run::Run,
    snapshot::{SNAPSHOT_VERSION, SnapshotError},
};
use super::{
    catalog::EffectClass,
    error::{NodeError, codes},
    event::{Attempt, Event, ExecutionError},
    execution::ExecutionStatus,
    graph::Graph,
    item::{Input, Outputs, RunOutput},
    limits,
};

/// What the shell has to do, after everything before it is committed where it leaves the process.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Run one attempt and report `NodeSucceeded`, `NodeFailed` or `WaitStarted`.
    Run(Attempt),
    /// The wait of this attempt is over: resume it and report as for `Run`.
    Resume { attempt: Attempt, wait_state: Value, signals: Vec<(String, Value)>, timed_out: bool },
    /// Stop an attempt that may be in flight; its result no longer matters.
    Abort(Attempt),
    /// Record `Finished` with this outcome.
    Finish { status: ExecutionStatus, error: Option<ExecutionError> },
}

/// The state of one execution.
#[derive(Debug)]
pub struct Machine {
    graph: Arc<Graph>,
    created_at: u64,
    nesting: u32,
    /// Node runs that have not ended, by node position and run index.
    runs: BTreeMap<(usize, u32), Run>,
    nodes: Vec<NodeState>,
    outputs: Outputs,
    /// The node that put something out last.
    last_node: Option<usize>,
    /// Everything that was put out, for a history; a live execution keeps the latest outputs only.
    trace: Option<Vec<(usize, RunOutput)>>,
    /// Node runs begun so far.
    steps: u32,
    /// Runs that wait for a place among the effects in flight.
    queue: VecDeque<(usize, u32)>,
    in_flight: usize,
    end: End,
    /// Why the execution ended as it did.
    failure: Option<ExecutionError>,
    /// Keys of the children that were waited for when the execution ended.
    abandoned: Vec<String>,
}

#[derive(Debug, Default)]
struct NodeState {
    runs_begun: u32,
    /// Runs of this node that have not ended.
    active: u32,
    /// A merge's tokens by incoming edge.
    tokens: Vec<VecDeque<Input>>,
    session: Option<LoopSession>,
    /// Items that came to a loop while it was busy.
    backlog: VecDeque<Input>,
}

#[derive(Debug, PartialEq)]
enum End {
    /// Nothing happened yet.
    New,
    Live,
    /// `Effect::Finish` is out, its record is not in yet.
    Ending {
        status: ExecutionStatus,
        error: Option<ExecutionError>,
    },
    Ended(ExecutionStatus),
}

impl Machine {
    /// An execution to which nothing has happened.
    pub fn new(graph: Arc<Graph>) -> Self {
        let nodes = graph
            .nodes
            .iter()
            .map(|node| NodeState { tokens: node.incoming.iter().map(|_| VecDeque::new()).collect(), ..NodeState::default() })
            .collect();
        Self {
            graph,
            created_at: 0,
            nesting: 0,
            runs: BTreeMap::new(),
            nodes,
            outputs: Outputs::default(),
            last_node: None,
            trace: None,
            steps: 0,
            queue: VecDeque::new(),
            in_flight: 0,
            end: End::New,
            failure: None,
            abandoned: Vec::new(),
        }
    }

    /// A machine that keeps everything its nodes put out: see [`Machine::take_trace`].
    pub fn traced(graph: Arc<Graph>) -> Self {
        Self { trace: Some(Vec::new()), ..Self::new(graph) }
    }

    /// What was put out since the last call, as node positions with their outputs. Empty unless the machine is traced.
    pub fn take_trace(&mut self) -> Vec<(usize, RunOutput)> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Applies one event at `now_ms` (Unix milliseconds; on replay the recorded time). An event that comes too late, or before
    /// its time, changes nothing: see [`Machine::expects`].
    pub fn apply(&mut self, event: &Event, now_ms: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.expects(event) {
            self.take_in(event, now_ms, &mut effects);
            self.settle(&mut effects);
        }
        effects
    }

    fn take_in(&mut self, event: &Event, now_ms: u64, effects: &mut Vec<Effect>) {
        match event {
            Event::Created { start_node, items, nesting, .. } => {
                self.end = End::Live;
                self.created_at = now_ms;
                self.nesting = *nesting;
                self.begin(start_node, items, effects);
            }
            Event::Finished { status, error } => {
                self.abandon_all();
                self.abort_runs(effects);
                self.end = End::Ended(*status);
                self.failure.clone_from(error);
            }
            // Whether it may run is the shell's concern; this says in the journal when it could.
            Event::Admitted => {}
            Event::NodeStarted { attempt } => self.started(attempt),
            Event::NodeProgressed { attempt, done } => {
                if let Some(run) = self.in_flight_mut(attempt) {
                    run.done.extend(done.iter().cloned());
                }
            }
            Event::NodeSucceeded { attempt, outputs, .. } => self.succeeded(attempt, outputs, effects),
            Event::NodeFailed { attempt, error, chance, .. } => self.failed(attempt, error, *chance, now_ms, effects),
            Event::NodeReused { node, run, outputs } => self.reused(node, *run, outputs, effects),
            Event::AttemptInterrupted { attempt } => self.interrupted(attempt),
            Event::RetryDue { attempt } => self.retry_due(attempt),
            Event::WaitStarted { attempt, wait, .. } => self.wait_started(attempt, wait),
            Event::WaitElapsed { attempt } => self.wait_elapsed(attempt),
            Event::SignalReceived { name, payload } => self.signal_received(name, payload),
            Event::CancelRequested { reason } => {
                let message = reason.clone().unwrap_or_else(|| "the execution was cancelled".to_owned());
                let error = ExecutionError { code: codes::CANCELLED.to_owned(), message, node_id: None, details: None };
                self.finish(ExecutionStatus::Cancelled, Some(error), effects);
            }
            Event::TimedOut => {
                let message = format!("the execution took longer than {} ms: raise `settings.timeout`", self.graph.timeout_ms);
                let error = ExecutionError { code: codes::TIMEOUT.to_owned(), message, node_id: None, details: None };
                self.finish(ExecutionStatus::Failed, Some(error), effects);
            }
        }
    }

    fn attempt_of(&self, node: usize, run: u32, attempt: u32) -> Attempt {
        Attempt { node: Arc::clone(&self.graph.nodes[node].id), run, attempt }
    }

    /// The run of this attempt, if it is handed out: no other can report anything.
    fn in_flight_mut(&mut self, attempt: &Attempt) -> Option<&mut Run> {
        let node = self.graph.position(&attempt.node)?;
        self.runs.get_mut(&(node, attempt.run)).filter(|run| run.attempt == attempt.attempt && run.is_in_flight())
    }
}

/// Whether an attempt of this class leaves a start record.
pub fn is_start_recorded(class: EffectClass) -> bool {
    class == EffectClass::Effect
}

/// The error of an execution whose node failed for good.
fn node_failure(node: &Arc<str>, error: &NodeError) -> ExecutionError {
    ExecutionError {
        code: error.code.clone(),
        message: error.message.clone(),
        node_id: Some(Arc::clone(node)),
        details: error.details.clone(),
    }
}

/// The error of an execution that reached one of its limits at `node`.
fn limit_failure(code: &str, node: &Arc<str>, message: String) -> ExecutionError {
    ExecutionError { code: code.to_owned(), message, node_id: Some(Arc::clone(node)), details: None }
}

const _: () = assert!(limits::EFFECTS_IN_FLIGHT_MAX > 0, "an execution must be able to run something");
