//! From a machine to its document.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use super::{
    Document, ListPlace, StoredEnd, StoredInput, StoredNode, StoredOrigin, StoredOutput, StoredPhase, StoredRun, StoredSession,
    StoredWork,
};
use crate::model::{
    graph::Graph,
    item::{Input, Item, Items, RunOutput},
    machine::{
        End, Machine, NodeState, Run,
        loops::LoopSession,
        run::{Phase, Work},
    },
};

/// The document of a machine. It names every field, so that a new one cannot be forgotten.
pub(super) fn document(machine: &Machine) -> Document<'_> {
    let Machine {
        graph,
        created_at,
        nesting,
        runs,
        nodes,
        outputs,
        last_node,
        trace: _, // What a history wants is not kept between commits.
        steps,
        queue,
        in_flight: _, // Counted again.
        end,
        failure,
        abandoned,
    } = machine;
    let mut writer = Writer { graph, lists: Lists::default() };
    let named = graph.nodes.iter().zip(nodes);
    let nodes = named.map(|(node, state)| writer.node(&node.id, state, outputs.get(&node.id))).collect();
    let runs = runs.iter().map(|(&(node, index), run)| writer.run(node, index, run)).collect();
    Document {
        created_at: *created_at,
        nesting: *nesting,
        steps: *steps,
        end: stored_end(end),
        failure: failure.as_ref().map(Cow::Borrowed),
        abandoned: Cow::Borrowed(abandoned),
        nodes,
        last_node: *last_node,
        runs,
        queue: queue.iter().copied().collect(),
        lists: writer.lists.all,
    }
}

struct Writer<'a> {
    graph: &'a Graph,
    lists: Lists,
}

impl Writer<'_> {
    fn node(&mut self, id: &Arc<str>, state: &NodeState, output: Option<&RunOutput>) -> StoredNode {
        let NodeState { runs_begun, active, tokens, session, backlog } = state;
        let has_tokens = tokens.iter().any(|edge| !edge.is_empty());
        let edges = tokens.iter().filter(|_| has_tokens);
        StoredNode {
            id: Arc::clone(id),
            runs_begun: *runs_begun,
            active: *active,
            tokens: edges.map(|edge| edge.iter().map(|token| self.input(token)).collect()).collect(),
            session: session.as_ref().map(|session| self.session(session)),
            backlog: backlog.iter().map(|input| self.input(input)).collect(),
            output: output.map(|output| self.output(output)),
        }
    }

    fn session(&mut self, session: &LoopSession) -> StoredSession {
        let LoopSession { begun_at_step, input, position, iterations, collected } = session;
        let (input, collected) = (self.input(input), self.input(collected));
        StoredSession { begun_at_step: *begun_at_step, input, position: *position, iterations: *iterations, collected }
    }

    fn output(&mut self, output: &RunOutput) -> StoredOutput {
        let ports = output.ports.iter().map(|port| (port.port.clone(), self.lists.place(&port.items))).collect();
        StoredOutput { run: output.run, ports }
    }

    fn run<'r>(&mut self, node: usize, index: u32, run: &'r Run) -> StoredRun<'r> {
        let Run { attempt, inputs, done, phase } = run;
        StoredRun {
            node,
            run: index,
            attempt: *attempt,
            inputs: inputs.iter().map(|input| self.input(input)).collect(),
            done: Cow::Borrowed(done),
            phase: stored_phase(phase),
        }
    }

    fn input(&mut self, input: &Input) -> StoredInput {
        let Input { items, origins } = input;
        let place = |node: &str| self.graph.position(node).expect("only nodes of the graph put something out");
        let origins = origins.iter().map(|origin| StoredOrigin(place(&origin.node), (origin.run, origin.first, origin.count)));
        StoredInput { origins: origins.collect(), items: self.lists.place(items) }
    }
}

/// Lists of items, each once, whoever shares them.
#[derive(Default)]
struct Lists {
    all: Vec<Items>,
    places: HashMap<*const Vec<Item>, ListPlace>,
}

impl Lists {
    fn place(&mut self, items: &Items) -> ListPlace {
        // `all` keeps the list alive, so that no other can come to its address.
        *self.places.entry(Arc::as_ptr(items)).or_insert_with(|| {
            self.all.push(Arc::clone(items));
            self.all.len() - 1
        })
    }
}

fn stored_end(end: &End) -> StoredEnd<'_> {
    match end {
        End::New => StoredEnd::New,
        End::Live => StoredEnd::Live,
        End::Ending { status, error } => StoredEnd::Ending { status: *status, error: error.as_ref().map(Cow::Borrowed) },
        End::Ended(status) => StoredEnd::Ended(*status),
    }
}

fn stored_phase(phase: &Phase) -> StoredPhase<'_> {
    match phase {
        Phase::Queued(work) => StoredPhase::Queued(stored_work(work)),
        Phase::Running { work, recorded } => StoredPhase::Running { work: stored_work(work), recorded: *recorded },
        Phase::Retrying { due_at } => StoredPhase::Retrying { due_at: *due_at },
        Phase::Waiting { wait, received } => {
            StoredPhase::Waiting { wait: Cow::Borrowed(wait), received: Cow::Borrowed(received) }
        }
        Phase::Interrupted { signal } => StoredPhase::Interrupted { signal: Cow::Borrowed(signal) },
    }
}

fn stored_work(work: &Work) -> StoredWork<'_> {
    match work {
        Work::Begin => StoredWork::Begin,
        Work::Resume { wait_state, signals, timed_out } => {
            StoredWork::Resume { wait_state: Cow::Borrowed(wait_state), signals: Cow::Borrowed(signals), timed_out: *timed_out }
        }
    }
}
