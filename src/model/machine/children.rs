//! The children that an execution waits for. When it ends otherwise than by success, they have to end as well: the shell tells
//! them in the commit of the end.

use super::{Effect, Machine, Phase, Run, Work};
use crate::model::{after_crash, catalog::AwaitedChildren, children, error::codes, limits::CHILDREN_AWAITED_MAX};

impl Machine {
    /// The keys of the children that were waited for when the execution failed or was cancelled. Some may never have been
    /// started: whether an attempt in flight has come to them is not known.
    pub fn abandoned_children(&self) -> &[String] {
        &self.abandoned
    }

    /// Notes the children of a run that ends together with the execution.
    pub(super) fn abandon(&mut self, node: usize, run_index: u32, run: &Run) {
        let keys: Vec<String> = self.awaited(node, run_index, run).collect();
        self.abandoned.extend(keys);
    }

    /// Notes the children of every run.
    pub(super) fn abandon_all(&mut self) {
        let keys = self.runs.iter().flat_map(|(&(node, run_index), run)| self.awaited(node, run_index, run));
        let keys: Vec<String> = keys.collect();
        self.abandoned.extend(keys);
    }

    /// Whether the children of this run, which is about to begin, would be too many beside those that are there.
    pub(super) fn waits_for_too_many(&self, node: usize, run_index: u32) -> bool {
        if self.graph.nodes[node].shape.children == AwaitedChildren::None {
            return false;
        }
        let begun = self.runs.iter().filter(|(place, run)| **place == (node, run_index) || run.may_have_children());
        let awaited: usize = begun.map(|(&(node, _), run)| self.children_count(node, run)).sum();
        awaited > CHILDREN_AWAITED_MAX
    }

    pub(super) fn fail_children_limit(&mut self, node: usize, effects: &mut Vec<Effect>) {
        let message = format!("the execution waits for more than {CHILDREN_AWAITED_MAX} children at once: start them in turns");
        self.fail_limit(codes::CHILDREN_LIMIT, node, message, effects);
    }

    /// The keys of the children of a run that have not told their end.
    fn awaited(&self, node: usize, run_index: u32, run: &Run) -> impl Iterator<Item = String> {
        let (definition, items) = (&self.graph.nodes[node], item_count(run));
        let kind = if run.may_have_children() { definition.shape.children } else { AwaitedChildren::None };
        let keys = children::keys(kind, &definition.id, run_index, items);
        keys.filter(|key| !run.has_received(&children::signal(key)))
    }

    fn children_count(&self, node: usize, run: &Run) -> usize {
        children::count(self.graph.nodes[node].shape.children, item_count(run))
    }
}

impl Run {
    /// Whether an attempt of this run may have started children that are not over: it has begun, and its wait has not ended.
    fn may_have_children(&self) -> bool {
        match &self.phase {
            Phase::Queued(Work::Begin) => self.attempt > 1,
            Phase::Running { work: Work::Begin, .. }
            | Phase::Retrying { .. }
            | Phase::Waiting { .. }
            | Phase::Interrupted { .. } => true,
            // Its children have told their ends, unless what ended was the wait for a decision about an attempt.
            Phase::Queued(Work::Resume { wait_state, .. }) | Phase::Running { work: Work::Resume { wait_state, .. }, .. } => {
                after_crash::is_state(wait_state)
            }
        }
    }

    fn has_received(&self, signal: &str) -> bool {
        match &self.phase {
            Phase::Waiting { received, .. } => received.iter().any(|(name, _)| name == signal),
            Phase::Queued(_) | Phase::Running { .. } | Phase::Retrying { .. } | Phase::Interrupted { .. } => false,
        }
    }
}

fn item_count(run: &Run) -> usize {
    run.inputs.first().map_or(0, |input| input.items.len())
}
