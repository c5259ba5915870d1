//! Folds the events of an execution into what people look at: the runs of its nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    after_crash,
    definition::WorkflowDefinition,
    error::NodeError,
    event::{Attempt, Event, Recorded, Wait},
    execution::NodeRunStatus,
    graph::Graph,
    item::{Item, PortItems, RunOutput},
    log::CodeUsage,
    machine::{Effect, Machine},
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
    /// What the code of the last attempt has used.
    pub usage: Option<CodeUsage>,
}

/// The runs of every node in the order in which they began; nodes that did not run come last.
pub fn node_runs(graph: &Arc<Graph>, definition: &WorkflowDefinition, events: &[Recorded]) -> Vec<NodeRunView> {
    let mut fold = Fold::new(graph);
    for recorded in events {
        fold.add(recorded);
    }
    let has_ended = fold.machine.ended().is_some();
    let mut runs = fold.runs;
    for run in runs.iter_mut().filter(|run| has_ended && !is_over(run.status)) {
        run.status = NodeRunStatus::Cancelled;
        run.finished_at = events.last().map(|recorded| recorded.at);
        run.wait = None;
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
    /// Runs of which it is known when a worker took them up; before that, it is when they were handed out.
    taken_up: BTreeSet<usize>,
}

impl<'a> Fold<'a> {
    fn new(graph: &'a Arc<Graph>) -> Self {
        let machine = Machine::traced(Arc::clone(graph));
        Self { graph, machine, runs: Vec::new(), places: BTreeMap::new(), taken_up: BTreeSet::new() }
    }

    fn add(&mut self, recorded: &Recorded) {
        // What the machine takes no notice of is not shown either: a success that came after the cancel, for one.
        let is_expected = self.machine.expects(&recorded.event);
        let effects = self.machine.apply(&recorded.event, recorded.at);
        if is_expected {
            self.happened(&recorded.event, recorded.at);
        }
        for (position, output) in self.machine.take_trace() {
            self.put_out(position, output, recorded.at);
        }
        for effect in effects {
            match effect {
                Effect::Run(attempt) | Effect::Resume { attempt, .. } => self.handed_out(&attempt, recorded.at),
                Effect::Abort(_) | Effect::Finish { .. } => {}
            }
        }
    }

    fn happened(&mut self, event: &Event, at: u64) {
        match event {
            Event::NodeSucceeded { attempt, started_at, log, .. } => {
                let run = self.reported(attempt, *started_at);
                run.status = NodeRunStatus::Succeeded;
                run.usage = log.as_ref().and_then(|log| log.usage);
            }
            Event::NodeFailed { attempt, started_at, error, log, .. } => {
                let is_repeated = self.machine.current_attempt(&attempt.node, attempt.run).is_some();
                let run = self.reported(attempt, *started_at);
                run.status = if is_repeated { NodeRunStatus::Retrying } else { NodeRunStatus::Failed };
                run.finished_at = (!is_repeated).then_some(at);
                run.error = Some(error.clone());
                run.usage = log.as_ref().and_then(|log| log.usage);
            }
            Event::WaitStarted { attempt, started_at, wait } => {
                let run = self.reported(attempt, *started_at);
                run.status = NodeRunStatus::Waiting;
                run.wait = Some(wait.clone());
            }
            Event::AttemptInterrupted { attempt } => {
                let run = self.run(&attempt.node, attempt.run, at);
                run.status = NodeRunStatus::Waiting;
                run.wait = Some(after_crash::wait(&attempt.node, attempt.run));
            }
            Event::NodeReused { node, run, .. } => {
                let run = self.run(node, *run, at);
                run.status = NodeRunStatus::Reused;
                run.attempts = 0;
            }
            Event::RetryDue { attempt } | Event::WaitElapsed { attempt } => {
                self.run(&attempt.node, attempt.run, at).status = NodeRunStatus::Queued;
            }
            Event::Created { .. }
            | Event::Admitted
            | Event::NodeStarted { .. }
            | Event::NodeProgressed { .. }
            | Event::SignalReceived { .. }
            | Event::CancelRequested { .. }
            | Event::TimedOut
            | Event::Finished { .. } => {}
        }
    }

    /// A node put something out: after its run, or, as triggers, loops and disabled nodes do, without one.
    fn put_out(&mut self, position: usize, output: RunOutput, at: u64) {
        let node = &self.graph.nodes[position];
        let run = self.run(&node.id, output.run, at);
        run.outputs = output.ports;
        run.finished_at = Some(at);
        if !is_over(run.status) {
            run.status = if node.disabled { NodeRunStatus::Skipped } else { NodeRunStatus::Succeeded };
            run.attempts = u32::from(!node.disabled);
        }
    }

    fn handed_out(&mut self, attempt: &Attempt, at: u64) {
        let run = self.run(&attempt.node, attempt.run, at);
        run.status = NodeRunStatus::Running;
        run.attempts = attempt.attempt;
        run.wait = None;
    }

    /// The view of the run of an attempt that a worker has taken up at `started_at`.
    fn reported(&mut self, attempt: &Attempt, started_at: u64) -> &mut NodeRunView {
        let place = self.place(&attempt.node, attempt.run, started_at);
        let is_first = self.taken_up.insert(place);
        let run = &mut self.runs[place];
        if is_first {
            run.started_at = Some(started_at);
        }
        run
    }

    fn run(&mut self, node: &Arc<str>, run_index: u32, at: u64) -> &mut NodeRunView {
        let place = self.place(node, run_index, at);
        &mut self.runs[place]
    }

    /// Where the view of a run is; it is made when the run is seen first.
    fn place(&mut self, node: &Arc<str>, run_index: u32, at: u64) -> usize {
        *self.places.entry((Arc::clone(node), run_index)).or_insert_with(|| {
            let view = NodeRunView::new(node, run_index, NodeRunStatus::Queued);
            self.runs.push(NodeRunView { started_at: Some(at), ..view });
            self.runs.len() - 1
        })
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
            usage: None,
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

#[cfg(test)]
mod tests;
