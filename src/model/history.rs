//! Folds the events of an execution into what people look at: the runs of its nodes.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    definition::WorkflowDefinition,
    error::NodeError,
    event::{Attempt, Event, Recorded, Wait},
    execution::NodeRunStatus,
    graph::Graph,
    item::{Item, PortItems},
    machine::Machine,
};

/// One run of one node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRunView {
    pub node_id: Arc<str>,
    pub node_name: Option<String>,
    pub run_index: u32,
    pub status: NodeRunStatus,
    pub attempts: u32,
    /// Unix milliseconds.
    pub started_at: Option<u64>,
    /// Unix milliseconds.
    pub finished_at: Option<u64>,
    /// The last failure, also of a run that succeeded later.
    pub error: Option<NodeError>,
    pub outputs: Vec<PortItems>,
    /// What a waiting run waits for.
    pub wait: Option<Wait>,
}

/// The runs of every node in the order in which they began; nodes that did not run come last.
pub fn node_runs(graph: &Arc<Graph>, definition: &WorkflowDefinition, events: &[Recorded]) -> Vec<NodeRunView> {
    let mut fold = Fold { graph, machine: Machine::traced(Arc::clone(graph)), runs: Vec::new(), places: BTreeMap::new() };
    for recorded in events {
        fold.add(recorded);
    }
    let has_ended = fold.machine.ended().is_some();
    let mut runs = fold.runs;
    for run in runs.iter_mut().filter(|run| has_ended && !is_over(run.status)) {
        run.status = NodeRunStatus::Cancelled;
    }
    let idle = if has_ended { NodeRunStatus::Skipped } else { NodeRunStatus::Pending };
    for node in &graph.nodes {
        if !runs.iter().any(|run| run.node_id == node.id) {
            runs.push(NodeRunView::new(&node.id, 0, idle));
        }
    }
    let names: BTreeMap<&str, &String> =
        definition.nodes.iter().filter_map(|node| Some((&*node.id, node.name.as_ref()?))).collect();
    for run in &mut runs {
        run.node_name = names.get(&*run.node_id).map(|name| (*name).clone());
    }
    runs
}

/// The result of an execution: the items of its leaf nodes.
pub fn result_items(graph: &Arc<Graph>, events: &[Recorded]) -> Vec<Item> {
    let mut machine = Machine::new(Arc::clone(graph));
    for recorded in events {
        machine.apply(&recorded.event, recorded.at);
    }
    machine.result()
}

struct Fold<'a> {
    graph: &'a Arc<Graph>,
    machine: Machine,
    runs: Vec<NodeRunView>,
    /// Where a run is in `runs`.
    places: BTreeMap<(Arc<str>, u32), usize>,
}

impl Fold<'_> {
    fn add(&mut self, recorded: &Recorded) {
        let at = recorded.at;
        match &recorded.event {
            Event::NodeStarted { attempt } => self.run(attempt, at).status = NodeRunStatus::Running,
            Event::NodeProgressed { attempt, .. } => self.run(attempt, at).status = NodeRunStatus::Running,
            Event::NodeSucceeded { attempt, started_at, outputs, .. } => {
                let run = self.run(attempt, *started_at);
                run.status = NodeRunStatus::Succeeded;
                run.finished_at = Some(at);
                run.outputs.clone_from(outputs);
                run.wait = None;
            }
            Event::NodeFailed { attempt, started_at, error, .. } => self.failed(attempt, *started_at, at, error),
            Event::RetryDue { attempt } => self.run(attempt, at).status = NodeRunStatus::Queued,
            Event::WaitStarted { attempt, started_at, wait } => {
                let run = self.run(attempt, *started_at);
                run.status = NodeRunStatus::Waiting;
                run.wait = Some(wait.clone());
            }
            Event::WaitElapsed { attempt } => self.run(attempt, at).status = NodeRunStatus::Running,
            Event::Created { .. }
            | Event::SignalReceived { .. }
            | Event::CancelRequested { .. }
            | Event::TimedOut
            | Event::Finished { .. } => {}
        }
        self.machine.apply(&recorded.event, at);
        // What the machine itself put out: triggers, loops, disabled nodes and the outputs of `on_error`.
        for (position, output) in self.machine.take_trace() {
            let node = &self.graph.nodes[position];
            let attempt = Attempt { node: Arc::clone(&node.id), run: output.run, attempt: 1 };
            let status = if node.disabled { NodeRunStatus::Skipped } else { NodeRunStatus::Succeeded };
            let run = self.run(&attempt, at);
            run.outputs = output.ports;
            run.finished_at = Some(at);
            if !is_over(run.status) {
                run.status = status;
            }
        }
    }

    fn failed(&mut self, attempt: &Attempt, started_at: u64, at: u64, error: &NodeError) {
        let attempts_max = self.graph.node(&attempt.node).map_or(1, |node| node.retry.max_attempts);
        let run = self.run(attempt, started_at);
        run.error = Some(error.clone());
        run.finished_at = Some(at);
        run.status =
            if error.retryable && attempt.attempt < attempts_max { NodeRunStatus::Retrying } else { NodeRunStatus::Failed };
    }

    /// The view of an attempt's run, made when it is seen first.
    fn run(&mut self, attempt: &Attempt, started_at: u64) -> &mut NodeRunView {
        let place = *self.places.entry((Arc::clone(&attempt.node), attempt.run)).or_insert_with(|| {
            let view = NodeRunView::new(&attempt.node, attempt.run, NodeRunStatus::Running);
            self.runs.push(NodeRunView { started_at: Some(started_at), ..view });
            self.runs.len() - 1
        });
        let run = &mut self.runs[place];
        run.attempts = run.attempts.max(attempt.attempt);
        run
    }
}

impl NodeRunView {
    fn new(node: &Arc<str>, run_index: u32, status: NodeRunStatus) -> Self {
        Self {
            node_id: Arc::clone(node),
            node_name: None,
            run_index,
            status,
            attempts: 0,
            started_at: None,
            finished_at: None,
            error: None,
            outputs: Vec::new(),
            wait: None,
        }
    }
}

/// Whether nothing more happens to a run of this status.
fn is_over(status: NodeRunStatus) -> bool {
    match status {
        NodeRunStatus::Pending
        | NodeRunStatus::Queued
        | NodeRunStatus::Running
        | NodeRunStatus::Retrying
        | NodeRunStatus::Waiting => false,
        NodeRunStatus::Succeeded
        | NodeRunStatus::Failed
        | NodeRunStatus::Skipped
        | NodeRunStatus::Cancelled
        | NodeRunStatus::Reused => true,
    }
}
