//! How items move: from the start to the first node, from ports to inputs, into runs, through disabled nodes.

use std::sync::Arc;

use super::{Effect, End, Machine, Phase, Run, Work};
use crate::model::{
    catalog::Role,
    error::codes,
    execution::ExecutionStatus,
    item::{Input, Item, Items, MAIN, Origin, PortItems, RunOutput},
    limits,
};

impl Machine {
    /// Puts the start items out on a trigger, or hands them to any other start node as its first input.
    pub(super) fn begin(&mut self, start_node: &str, items: &Items, effects: &mut Vec<Effect>) {
        let Some(node) = self.graph.position(start_node) else {
            let message = format!("the start node `{start_node}` is not in this version of the workflow");
            let error = super::limit_failure(codes::INVALID_DEFINITION, &Arc::from(start_node), message);
            self.finish(ExecutionStatus::Failed, Some(error), effects);
            return;
        };
        let shape = Arc::clone(&self.graph.nodes[node].shape);
        let first = Input { items: Arc::clone(items), origins: Vec::new() };
        match shape.role {
            Role::Trigger => {
                self.nodes[node].runs_begun = 1;
                let ports = vec![PortItems { port: MAIN, items: Arc::clone(items) }];
                self.publish(node, RunOutput { run: 0, ports }, effects);
            }
            Role::Step | Role::Merge => {
                let others = (1..shape.inputs).map(|_| Input::default());
                self.start_run(node, std::iter::once(first).chain(others).collect(), effects);
            }
            Role::Loop { .. } => self.arrive_at_loop(node, None, first, effects),
        }
    }

    /// Keeps a node's output and sends its items on.
    pub(super) fn publish(&mut self, node: usize, output: RunOutput, effects: &mut Vec<Effect>) {
        let graph = Arc::clone(&self.graph);
        let mut first: u32 = 0;
        let mut tokens = Vec::new();
        for port in &output.ports {
            let count = u32::try_from(port.items.len()).expect("a node's output is limited");
            if count > 0 {
                let origin = Origin { node: Arc::clone(&graph.nodes[node].id), run: output.run, first, count };
                let targets = graph.nodes[node].ports.iter().filter(|(name, _)| *name == port.port).flat_map(|(_, to)| to);
                let token = |target: &_| (*target, Input { items: Arc::clone(&port.items), origins: vec![origin.clone()] });
                tokens.extend(targets.map(token));
            }
            first += count;
        }
        self.last_node = Some(node);
        if let Some(trace) = &mut self.trace {
            trace.push((node, output.clone()));
        }
        Arc::make_mut(&mut self.outputs).insert(Arc::clone(&graph.nodes[node].id), output);
        for (target, input) in tokens {
            if self.end != End::Live {
                return;
            }
            match graph.nodes[target.node].shape.role {
                Role::Trigger | Role::Step => self.start_run(target.node, vec![input], effects),
                Role::Merge => self.nodes[target.node].tokens[target.edge].push_back(input),
                Role::Loop { .. } => self.arrive_at_loop(target.node, Some(node), input, effects),
            }
        }
    }

    pub(super) fn start_run(&mut self, node: usize, mut inputs: Vec<Input>, effects: &mut Vec<Effect>) {
        let Some(run_index) = self.take_step(node, effects) else { return };
        // A disabled node does not run, so it does not run for one item only.
        if self.graph.nodes[node].execute_once && !self.graph.nodes[node].disabled {
            for input in inputs.iter_mut().filter(|input| input.items.len() > 1) {
                input.items = Arc::new(input.items[..1].to_vec());
            }
        }
        self.nodes[node].active += 1;
        self.runs.insert((node, run_index), Run::new(inputs));
        self.queue.push_back((node, run_index));
    }

    /// Counts one run of a node and gives its index. `None` if the execution has used up its steps, and so has failed.
    pub(super) fn take_step(&mut self, node: usize, effects: &mut Vec<Effect>) -> Option<u32> {
        if self.steps >= limits::STEPS_MAX {
            let message = format!("the execution took more than {} node runs: split it into sub-workflows", limits::STEPS_MAX);
            self.fail_limit(codes::STEP_LIMIT, node, message, effects);
            return None;
        }
        self.steps += 1;
        let run_index = self.nodes[node].runs_begun;
        self.nodes[node].runs_begun += 1;
        Some(run_index)
    }

    /// Hands out what has a place among the effects in flight.
    pub(super) fn hand_out(&mut self, effects: &mut Vec<Effect>) {
        while self.in_flight < limits::EFFECTS_IN_FLIGHT_MAX {
            let Some((node, run_index)) = self.queue.pop_front() else { return };
            if self.graph.nodes[node].disabled {
                self.pass_through(node, run_index, effects);
                continue;
            }
            let Some(Run { phase: Phase::Queued(work), attempt, .. }) = self.runs.get(&(node, run_index)) else { continue };
            let (work, attempt) = (work.clone(), *attempt);
            if work == Work::Begin && self.waits_for_too_many(node, run_index) {
                self.fail_children_limit(node, effects);
                return;
            }
            effects.push(work.effect(self.attempt_of(node, run_index, attempt)));
            self.enter(node, run_index, Phase::Running { work, recorded: false });
        }
    }

    /// Ends the run of a disabled node: its items go out on its first port, or past the body of a loop.
    fn pass_through(&mut self, node: usize, run_index: u32, effects: &mut Vec<Effect>) {
        let run = self.runs.remove(&(node, run_index)).expect("the run was just found");
        self.nodes[node].active -= 1;
        let input = run.inputs.into_iter().next().unwrap_or_default();
        let port = match self.graph.nodes[node].shape.role {
            Role::Loop { .. } => "done".into(),
            Role::Trigger | Role::Step | Role::Merge => self.first_port(node),
        };
        let ports = vec![PortItems::new(port, sourced(&input).collect())];
        self.publish(node, RunOutput { run: run_index, ports }, effects);
    }
}

/// Copies the items of an input, each with the input's item as its source.
pub(super) fn sourced(input: &Input) -> impl Iterator<Item = Item> {
    input.items.iter().zip(input.sources()).map(|(item, source)| Item { source, ..item.clone() })
}
