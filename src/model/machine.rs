//! Decides what one execution does next. What happened comes in as an [`Event`], work goes out as [`Effect`]s.
//!
//! The machine is total and deterministic: the same events give the same state, so recovery is a replay of the journal.
//! An event of an attempt that is over has no effects. Called by the execution actor only; it never waits.

mod flow;
mod loops;
mod outcome;
mod run;
mod settle;
#[cfg(test)]
pub(super) mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;

pub use self::run::Run;
use self::{
    loops::LoopSession,
    run::{Phase, Work},
};
use super::{
    catalog::EffectClass,
    definition::AfterCrash,
    error::{NodeError, codes},
    event::{Attempt, Event, ExecutionError},
    execution::ExecutionStatus,
    graph::Graph,
    item::{Input, Item, Outputs, RunOutput},
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

    /// Applies one event at `now_ms` (Unix milliseconds; on replay the recorded time).
    pub fn apply(&mut self, event: &Event, now_ms: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        match (&self.end, event) {
            (End::New, Event::Created { start_node, items, nesting, .. }) => {
                self.end = End::Live;
                self.created_at = now_ms;
                self.nesting = *nesting;
                self.begin(start_node, items, &mut effects);
            }
            (End::New | End::Live | End::Ending { .. }, Event::Finished { status, error }) => {
                self.abort_runs(&mut effects);
                self.end = End::Ended(*status);
                self.failure.clone_from(error);
            }
            (End::Live, event) => self.apply_live(event, now_ms, &mut effects),
            // Before its creation or after its end nothing can happen to an execution: such an event is late.
            (End::New | End::Ending { .. } | End::Ended(_), _) => {}
        }
        self.settle(&mut effects);
        effects
    }

    fn apply_live(&mut self, event: &Event, now_ms: u64, effects: &mut Vec<Effect>) {
        match event {
            Event::Created { .. } | Event::Finished { .. } => {}
            Event::NodeStarted { attempt } => self.started(attempt),
            Event::NodeProgressed { attempt, done } => {
                if let Some(run) = self.in_flight_mut(attempt) {
                    run.done.extend(done.iter().cloned());
                }
            }
            Event::NodeSucceeded { attempt, outputs, .. } => self.succeeded(attempt, outputs, effects),
            Event::NodeFailed { attempt, error, chance, .. } => self.failed(attempt, error, *chance, now_ms, effects),
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

    /// After a replay: everything that is still to do, as if it had just been decided.
    pub fn outstanding(&self) -> Vec<Effect> {
        if let End::Ending { status, error } = &self.end {
            return vec![Effect::Finish { status: *status, error: error.clone() }];
        }
        let effect_of = |(&(node, run_index), run): (&(usize, u32), &Run)| match &run.phase {
            Phase::Running { work, .. } => Some(work.effect(self.attempt_of(node, run_index, run.attempt))),
            Phase::Queued(_) | Phase::Retrying { .. } | Phase::Waiting { .. } => None,
        };
        self.runs.iter().filter_map(effect_of).collect()
    }

    /// Whether a crash cut this attempt off and its policy says that it must not be repeated.
    pub fn is_interrupted(&self, attempt: &Attempt) -> bool {
        let recorded = self.current(attempt).is_some_and(|run| matches!(run.phase, Phase::Running { recorded: true, .. }));
        recorded && self.graph.node(&attempt.node).is_some_and(|node| node.retry.after_crash == AfterCrash::Fail)
    }

    /// When the next thing happens by itself, in Unix milliseconds.
    pub fn next_wake(&self) -> Option<u64> {
        if self.end != End::Live {
            return None;
        }
        self.runs.values().filter_map(Run::due_at).chain([self.deadline()]).min()
    }

    /// The events that time has brought by `now_ms`, soonest cause first.
    pub fn due(&self, now_ms: u64) -> Vec<Event> {
        if self.end != End::Live {
            return Vec::new();
        }
        if self.deadline() <= now_ms {
            return vec![Event::TimedOut];
        }
        let event_of = |(&(node, run_index), run): (&(usize, u32), &Run)| {
            let at = run.due_at().filter(|at| *at <= now_ms)?;
            let attempt = self.attempt_of(node, run_index, run.attempt);
            match run.phase {
                Phase::Waiting { .. } => Some((at, Event::WaitElapsed { attempt })),
                Phase::Retrying { .. } => Some((at, Event::RetryDue { attempt })),
                Phase::Queued(_) | Phase::Running { .. } => None,
            }
        };
        let mut due: Vec<(u64, Event)> = self.runs.iter().filter_map(event_of).collect();
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().map(|(_, event)| event).collect()
    }

    /// Whether somebody waits for a signal of this name.
    pub fn wants_signal(&self, name: &str) -> bool {
        self.end == End::Live && self.runs.values().any(|run| run.wants(name))
    }

    /// Whether any run waits for a signal.
    pub fn waits_for_signals(&self) -> bool {
        self.runs.values().any(|run| matches!(&run.phase, Phase::Waiting { wait, .. } if !wait.signals.is_empty()))
    }

    /// Whether nothing runs: only time or a signal can move the execution.
    pub fn is_waiting(&self) -> bool {
        self.end == End::Live && !self.runs.is_empty() && self.runs.values().all(Run::is_at_rest)
    }

    /// The run of this attempt, if it is the current one.
    pub fn current(&self, attempt: &Attempt) -> Option<&Run> {
        let node = self.graph.position(&attempt.node)?;
        self.runs.get(&(node, attempt.run)).filter(|run| run.attempt == attempt.attempt)
    }

    /// The current attempt of a run that has not ended.
    pub fn current_attempt(&self, node: &str, run: u32) -> Option<Attempt> {
        let position = self.graph.position(node)?;
        self.runs.get(&(position, run)).map(|found| self.attempt_of(position, run, found.attempt))
    }

    /// Why the execution failed or was cancelled, once `Finished` is applied.
    pub fn failure(&self) -> Option<&ExecutionError> {
        self.failure.as_ref()
    }

    /// The latest outputs of every node.
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// Depth of sub-workflows above this execution.
    pub fn nesting(&self) -> u32 {
        self.nesting
    }

    /// Unix milliseconds of the `Created` event.
    pub fn created_at(&self) -> u64 {
        self.created_at
    }

    /// The final status, once `Finished` is applied.
    pub fn ended(&self) -> Option<ExecutionStatus> {
        match self.end {
            End::Ended(status) => Some(status),
            End::New | End::Live | End::Ending { .. } => None,
        }
    }

    /// The execution's result: the items of the leaf nodes that ran, by node id. Where none ran, the first port of the last node.
    pub fn result(&self) -> Vec<Item> {
        let leaf = |id: &str| self.graph.position(id).is_some_and(|position| self.graph.is_leaf(position));
        let mut leaves = self.outputs.iter().filter(|(id, _)| leaf(id)).peekable();
        if leaves.peek().is_some() {
            return leaves.flat_map(|(_, output)| output.items().cloned()).collect();
        }
        let last = self.last_node.and_then(|node| self.outputs.get(&self.graph.nodes[node].id));
        last.and_then(|output| output.ports.first()).map_or_else(Vec::new, |port| port.items.to_vec())
    }

    fn deadline(&self) -> u64 {
        self.created_at.saturating_add(self.graph.timeout_ms)
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
