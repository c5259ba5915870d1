//! Loops: a session takes one arrival through the body, batch by batch, and puts out what came back. Later arrivals queue up.

use super::{Effect, Machine, flow::sourced};
use crate::model::{
    catalog::Role,
    error::codes,
    item::{Input, Item, PortItems, RunOutput},
    limits,
    problem::counted,
};

/// A loop on its way through its items.
#[derive(Debug)]
pub(super) struct LoopSession {
    /// Steps of the execution before it began: the order of sessions.
    pub(super) begun_at_step: u32,
    pub(super) input: Input,
    /// Index of the first item that is still to do.
    pub(super) position: usize,
    pub(super) iterations: u32,
    pub(super) collected: Input,
}

impl Machine {
    /// Hands items to a loop; `source` is the node that put them out, if one did.
    pub(super) fn arrive_at_loop(&mut self, node: usize, source: Option<usize>, input: Input, effects: &mut Vec<Effect>) {
        if self.graph.nodes[node].disabled {
            self.start_run(node, vec![input], effects);
            return;
        }
        let comes_back = source.is_some_and(|source| self.leads_back(node, source));
        let state = &mut self.nodes[node];
        match &mut state.session {
            Some(session) if comes_back => session.collected.append(input),
            Some(_) => state.backlog.push_back(input),
            None => state.session = Some(LoopSession::over(input, self.steps)),
        }
        let collected = state.session.as_ref().map_or(0, |session| session.collected.items.len());
        if collected > limits::ITEMS_MAX {
            let message = format!("the loop collected {collected} items, the limit is {}: split the work", limits::ITEMS_MAX);
            self.fail_limit(codes::ITEM_LIMIT, node, message, effects);
        }
    }

    /// Puts out the next batch on `loop`, or after the last one everything that came back on `done`.
    pub(super) fn advance_loop(&mut self, node: usize, effects: &mut Vec<Effect>) {
        let Role::Loop { batch_size, iterations_max } = self.graph.nodes[node].shape.role else { return };
        let Some(mut session) = self.nodes[node].session.take() else { return };
        let rest = session.input.items.len() - session.position;
        if rest > 0 && session.iterations >= iterations_max {
            let iterations = usize::try_from(iterations_max).expect("a u32 fits");
            let (left, done) = (counted(rest, "item"), counted(iterations, "iteration"));
            let message = format!("the loop has {left} left after {done}: raise `max_iterations` or `batch_size`");
            self.fail_limit(codes::LOOP_LIMIT, node, message, effects);
            return;
        }
        let Some(run) = self.take_step(node, effects) else { return };
        if rest == 0 {
            let steps = self.steps;
            self.nodes[node].session = self.nodes[node].backlog.pop_front().map(|input| LoopSession::over(input, steps));
            let finished = if self.has_way_back(node) { session.collected } else { session.input };
            self.complete(node, run, vec![PortItems::new("done".into(), sourced(&finished).collect())], effects);
        } else {
            let count = rest.min(usize::try_from(batch_size).expect("a u32 fits").max(1));
            let batch = session.next_batch(count);
            self.nodes[node].session = Some(session);
            self.publish(node, RunOutput { run, ports: vec![PortItems::new("loop".into(), batch)] }, effects);
        }
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
    /// A loop that has all of `input` to do, begun at this step.
    fn over(input: Input, begun_at_step: u32) -> Self {
        Self { begun_at_step, input, position: 0, iterations: 0, collected: Input::default() }
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
