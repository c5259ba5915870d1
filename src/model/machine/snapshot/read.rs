//! From a document back to its machine. What would make the machine panic later is refused here.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Document, ListPlace, NodePlace, SnapshotError, StoredEnd, StoredInput, StoredNode, StoredOrigin, StoredOutput, StoredPhase,
    StoredRun, StoredSession, StoredWork,
};
use crate::model::{
    graph::{Graph, NodeSet},
    item::{Input, Items, Origin, PortItems, RunOutput},
    machine::{
        End, Machine, NodeState, Run,
        loops::LoopSession,
        run::{Phase, Work},
    },
};

type Result<T> = std::result::Result<T, SnapshotError>;

/// The machine of a document.
pub(super) fn machine(graph: Arc<Graph>, document: Document<'static>) -> Result<Machine> {
    let Document { created_at, nesting, steps, end, failure, abandoned, nodes, last_node, runs, queue, lists } = document;
    let reader = Reader { positions: positions(&graph, &nodes)?, graph: &graph, lists };
    let mut machine = Machine::new(Arc::clone(&graph));
    (machine.created_at, machine.nesting, machine.steps) = (created_at, nesting, steps);
    machine.end = end_of(end);
    machine.failure = failure.map(std::borrow::Cow::into_owned);
    machine.abandoned = abandoned.into_owned();
    machine.last_node = last_node.map(|place| reader.position(place)).transpose()?;
    let outputs = Arc::make_mut(&mut machine.outputs);
    for (place, mut node) in nodes.into_iter().enumerate() {
        let position = reader.position(place)?;
        if let Some(output) = node.output.take() {
            outputs.insert(Arc::clone(&graph.nodes[position].id), reader.output(output)?);
        }
        machine.nodes[position] = reader.node(position, node)?;
    }
    for run in runs {
        let key = (reader.position(run.node)?, run.run);
        machine.runs.insert(key, reader.run(run)?);
    }
    for (place, run) in queue {
        machine.queue.push_back((reader.position(place)?, run));
    }
    machine.in_flight = machine.runs.values().filter(|run| run.is_in_flight()).count();
    check(&machine)?;
    Ok(machine)
}

/// Where each node of the document is in the graph.
fn positions(graph: &Graph, nodes: &[StoredNode]) -> Result<Vec<usize>> {
    let mut seen = NodeSet::default();
    let mut positions = Vec::with_capacity(nodes.len());
    for node in nodes {
        let position = graph.position(&node.id).filter(|position| seen.insert(*position));
        positions.push(position.ok_or_else(|| SnapshotError::OtherNodes { node: Arc::clone(&node.id) })?);
    }
    match graph.nodes.iter().enumerate().find(|(position, _)| !seen.contains(*position)) {
        Some((_, missing)) => Err(SnapshotError::OtherNodes { node: Arc::clone(&missing.id) }),
        None => Ok(positions),
    }
}

/// Counts and places that the machine relies on.
fn check(machine: &Machine) -> Result<()> {
    if !machine.queue.iter().all(|key| machine.runs.contains_key(key)) {
        return Err(SnapshotError::Inconsistent { place: "the queue" });
    }
    let mut runs = vec![0_u32; machine.nodes.len()];
    for (node, _) in machine.runs.keys() {
        runs[*node] += 1;
    }
    if machine.nodes.iter().zip(runs).any(|(node, runs)| node.active < runs) {
        return Err(SnapshotError::Inconsistent { place: "the counts of runs" });
    }
    Ok(())
}

struct Reader<'a> {
    graph: &'a Graph,
    positions: Vec<usize>,
    lists: Vec<Items>,
}

impl Reader<'_> {
    fn position(&self, place: NodePlace) -> Result<usize> {
        self.positions.get(place).copied().ok_or(SnapshotError::Inconsistent { place: "the list of nodes" })
    }

    fn items(&self, place: ListPlace) -> Result<Items> {
        self.lists.get(place).cloned().ok_or(SnapshotError::Inconsistent { place: "the lists of items" })
    }

    fn node(&self, position: usize, node: StoredNode) -> Result<NodeState> {
        let StoredNode { id: _, runs_begun, active, tokens, session, backlog, output: _ } = node;
        let edges = self.graph.nodes[position].incoming.len();
        let tokens = if tokens.is_empty() {
            vec![VecDeque::new(); edges]
        } else if tokens.len() == edges {
            tokens.into_iter().map(|edge| self.inputs(edge)).collect::<Result<_>>()?
        } else {
            return Err(SnapshotError::Inconsistent { place: "the tokens of a merge" });
        };
        let session = session.map(|session| self.session(session)).transpose()?;
        Ok(NodeState { runs_begun, active, tokens, session, backlog: self.inputs(backlog)? })
    }

    fn session(&self, session: StoredSession) -> Result<LoopSession> {
        let StoredSession { begun_at_step, input, position, iterations, collected } = session;
        let input = self.input(input)?;
        if position > input.items.len() {
            return Err(SnapshotError::Inconsistent { place: "the position of a loop" });
        }
        Ok(LoopSession { begun_at_step, input, position, iterations, collected: self.input(collected)? })
    }

    fn output(&self, output: StoredOutput) -> Result<RunOutput> {
        let port = |(port, place)| Ok(PortItems { port, items: self.items(place)? });
        Ok(RunOutput { run: output.run, ports: output.ports.into_iter().map(port).collect::<Result<_>>()? })
    }

    fn run(&self, run: StoredRun<'_>) -> Result<Run> {
        let StoredRun { node: _, run: _, attempt, inputs, done, phase } = run;
        Ok(Run { attempt, inputs: self.inputs(inputs)?, done: done.into_owned(), phase: phase_of(phase) })
    }

    fn inputs<C: FromIterator<Input>>(&self, inputs: Vec<StoredInput>) -> Result<C> {
        inputs.into_iter().map(|input| self.input(input)).collect()
    }

    fn input(&self, input: StoredInput) -> Result<Input> {
        let origin = |StoredOrigin(place, (run, first, count))| {
            let node = Arc::clone(&self.graph.nodes[self.position(place)?].id);
            Ok(Origin { node, run, first, count })
        };
        let origins = input.origins.into_iter().map(origin).collect::<Result<_>>()?;
        Ok(Input { items: self.items(input.items)?, origins })
    }
}

fn end_of(end: StoredEnd<'_>) -> End {
    match end {
        StoredEnd::New => End::New,
        StoredEnd::Live => End::Live,
        StoredEnd::Ending { status, error } => End::Ending { status, error: error.map(std::borrow::Cow::into_owned) },
        StoredEnd::Ended(status) => End::Ended(status),
    }
}

fn phase_of(phase: StoredPhase<'_>) -> Phase {
    match phase {
        StoredPhase::Queued(work) => Phase::Queued(work_of(work)),
        StoredPhase::Running { work, recorded } => Phase::Running { work: work_of(work), recorded },
        StoredPhase::Retrying { due_at } => Phase::Retrying { due_at },
        StoredPhase::Waiting { wait, received } => Phase::Waiting { wait: wait.into_owned(), received: received.into_owned() },
        StoredPhase::Interrupted { signal } => Phase::Interrupted { signal: signal.into_owned() },
    }
}

fn work_of(work: StoredWork<'_>) -> Work {
    match work {
        StoredWork::Begin => Work::Begin,
        StoredWork::Resume { wait_state, signals, timed_out } => {
            Work::Resume { wait_state: wait_state.into_owned(), signals: signals.into_owned(), timed_out }
        }
    }
}
