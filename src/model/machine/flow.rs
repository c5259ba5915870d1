//! How items move: from ports to inputs, through merges and loops, until nothing is left to do.

use std::sync::Arc;

use super::{Effect, End, LoopSession, Machine, Phase, Run};
use crate::model::{
    catalog::Role,
    error::codes,
    execution::ExecutionStatus,
    graph::NodeSet,
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

    fn start_run(&mut self, node: usize, mut inputs: Vec<Input>, effects: &mut Vec<Effect>) {
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
    fn take_step(&mut self, node: usize, effects: &mut Vec<Effect>) -> Option<u32> {
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

    /// Hands out what has a place, fires merges and loops that need not wait longer, and ends the execution when nothing is left.
    pub(super) fn settle(&mut self, effects: &mut Vec<Effect>) {
        while self.end == End::Live {
            self.hand_out(effects);
            if self.fire_ready_merge(effects) || self.advance_quiet_loop(effects) {
                continue;
            }
            if !self.runs.is_empty() {
                return;
            }
            // Nothing runs, so nothing more can arrive: what still waits gets what there is.
            if !self.fire_any_merge(effects) && !self.advance_any_loop(effects) && self.end == End::Live {
                self.finish(ExecutionStatus::Succeeded, None, effects);
            }
        }
    }

    fn hand_out(&mut self, effects: &mut Vec<Effect>) {
        while self.in_flight < limits::EFFECTS_IN_FLIGHT_MAX {
            let Some((node, run_index)) = self.queue.pop_front() else { return };
            if self.graph.nodes[node].disabled {
                self.pass_through(node, run_index, effects);
                continue;
            }
            let Some(Run { phase: Phase::Queued(work), attempt, .. }) = self.runs.get(&(node, run_index)) else { continue };
            let work = work.clone();
            effects.push(work.effect(self.attempt_of(node, run_index, *attempt)));
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

    /// The nodes that may still put something out by themselves.
    fn active_nodes(&self) -> NodeSet {
        let mut active = NodeSet::default();
        for (position, node) in self.nodes.iter().enumerate() {
            let is_waiting = node.session.is_some() || node.tokens.iter().any(|edge| !edge.is_empty());
            if node.active > 0 || is_waiting {
                active.insert(position);
            }
        }
        active
    }

    fn waiting_merges(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|node| {
            let is_merge = self.graph.nodes[*node].shape.role == Role::Merge;
            is_merge && self.nodes[*node].tokens.iter().any(|edge| !edge.is_empty())
        })
    }

    fn fire_ready_merge(&mut self, effects: &mut Vec<Effect>) -> bool {
        if self.waiting_merges().next().is_none() {
            return false;
        }
        let active = self.active_nodes();
        let ready = self.waiting_merges().find(|&merge| {
            let mut edges = self.nodes[merge].tokens.iter().zip(&self.graph.nodes[merge].incoming);
            edges.all(|(tokens, edge)| !tokens.is_empty() || !edge.feeders.meets(&active))
        });
        ready.is_some_and(|merge| self.fire_merge(merge, effects))
    }

    fn fire_any_merge(&mut self, effects: &mut Vec<Effect>) -> bool {
        let waiting = self.waiting_merges().next();
        waiting.is_some_and(|merge| self.fire_merge(merge, effects))
    }

    /// Takes one token from each edge that has one; edges into the same input are joined in the order of the definition.
    fn fire_merge(&mut self, merge: usize, effects: &mut Vec<Effect>) -> bool {
        let graph = Arc::clone(&self.graph);
        let mut inputs: Vec<Input> = (0..graph.nodes[merge].shape.inputs.max(1)).map(|_| Input::default()).collect();
        for (edge, tokens) in graph.nodes[merge].incoming.iter().zip(&mut self.nodes[merge].tokens) {
            let place = usize::try_from(edge.input).ok().and_then(|input| inputs.get_mut(input));
            if let (Some(token), Some(input)) = (tokens.pop_front(), place) {
                input.append(token);
            }
        }
        self.start_run(merge, inputs, effects);
        true
    }

    /// Hands items to a loop; `source` is the node that put them out, if one did.
    fn arrive_at_loop(&mut self, node: usize, source: Option<usize>, input: Input, effects: &mut Vec<Effect>) {
        if self.graph.nodes[node].disabled {
            self.start_run(node, vec![input], effects);
            return;
        }
        let comes_back = source.is_some_and(|source| self.leads_back(node, source));
        let state = &mut self.nodes[node];
        match &mut state.session {
            Some(session) if comes_back => session.collected.append(input),
            Some(_) => state.backlog.push_back(input),
            None => state.session = Some(LoopSession::over(input)),
        }
        let collected = state.session.as_ref().map_or(0, |session| session.collected.items.len());
        if collected > limits::ITEMS_MAX {
            let message = format!("the loop collected {collected} items, the limit is {}: split the work", limits::ITEMS_MAX);
            self.fail_limit(codes::ITEM_LIMIT, node, message, effects);
        }
    }

    fn advance_quiet_loop(&mut self, effects: &mut Vec<Effect>) -> bool {
        if self.nodes.iter().all(|node| node.session.is_none()) {
            return false;
        }
        let active = self.active_nodes();
        let is_quiet = |node: &usize| self.nodes[*node].session.is_some() && !self.graph.nodes[*node].body.meets(&active);
        let quiet = (0..self.nodes.len()).find(is_quiet);
        quiet.is_some_and(|node| self.advance_loop(node, effects))
    }

    fn advance_any_loop(&mut self, effects: &mut Vec<Effect>) -> bool {
        let busy = (0..self.nodes.len()).find(|&node| self.nodes[node].session.is_some());
        busy.is_some_and(|node| self.advance_loop(node, effects))
    }

    /// Puts out the next batch on `loop`, or after the last one everything that came back on `done`.
    fn advance_loop(&mut self, node: usize, effects: &mut Vec<Effect>) -> bool {
        let Role::Loop { batch_size, iterations_max } = self.graph.nodes[node].shape.role else { return false };
        let Some(mut session) = self.nodes[node].session.take() else { return false };
        let rest = session.input.items.len() - session.position;
        if rest > 0 && session.iterations >= iterations_max {
            let message = format!(
                "the loop has {rest} items left after {iterations_max} iterations: raise `max_iterations` or `batch_size`"
            );
            self.fail_limit(codes::LOOP_LIMIT, node, message, effects);
            return true;
        }
        let Some(run) = self.take_step(node, effects) else { return true };
        if rest == 0 {
            self.nodes[node].session = self.nodes[node].backlog.pop_front().map(LoopSession::over);
            let finished = if self.has_way_back(node) { session.collected } else { session.input };
            self.complete(node, run, vec![PortItems::new("done".into(), sourced(&finished).collect())], effects);
        } else {
            let count = rest.min(usize::try_from(batch_size).expect("a u32 fits").max(1));
            let batch = session.next_batch(count);
            self.nodes[node].session = Some(session);
            self.publish(node, RunOutput { run, ports: vec![PortItems::new("loop".into(), batch)] }, effects);
        }
        true
    }

    /// Whether a loop's body leads back to it.
    fn has_way_back(&self, node: usize) -> bool {
        self.graph.nodes[node].incoming.iter().any(|edge| self.leads_back(node, edge.source))
    }

    /// Whether what `source` sends to a loop is a result of its iteration: it comes from the body or straight from the loop.
    fn leads_back(&self, node: usize, source: usize) -> bool {
        source == node || self.graph.nodes[node].body.contains(source)
    }
}

impl LoopSession {
    /// A loop that has all of `input` to do.
    fn over(input: Input) -> Self {
        Self { input, position: 0, iterations: 0, collected: Input::default() }
    }

    /// Takes the next items, each with the input's item as its source.
    fn next_batch(&mut self, count: usize) -> Vec<Item> {
        let first = self.position;
        self.position += count;
        self.iterations += 1;
        let copy = |index: usize| Item { source: self.input.source_of(index), ..self.input.items[index].clone() };
        (first..self.position).map(copy).collect()
    }
}

/// Copies the items of an input, each with the input's item as its source.
pub(super) fn sourced(input: &Input) -> impl Iterator<Item = Item> {
    input.items.iter().zip(input.sources()).map(|(item, source)| Item { source, ..item.clone() })
}
