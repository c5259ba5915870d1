//! What goes on by itself: runs that have a place, merges and loops that wait for nothing more, and at last the end.

use std::sync::Arc;

use super::{Effect, End, Machine};
use crate::model::{catalog::Role, execution::ExecutionStatus, graph::NodeSet, item::Input};

impl Machine {
    /// Hands out what has a place, moves on what need not wait longer, and ends the execution when nothing is left.
    pub(super) fn settle(&mut self, effects: &mut Vec<Effect>) {
        self.hand_out(effects);
        while self.end == End::Live {
            match self.next_ready() {
                Some(node) if self.nodes[node].session.is_some() => self.advance_loop(node, effects),
                Some(merge) => self.fire_merge(merge, effects),
                None if self.runs.is_empty() => self.finish(ExecutionStatus::Succeeded, None, effects),
                None => return,
            }
            self.hand_out(effects);
        }
    }

    /// The merge or loop that goes on next, merges first: one for which nothing more can come.
    fn next_ready(&self) -> Option<usize> {
        let has_tokens = |node: &usize| self.nodes[*node].tokens.iter().any(|edge| !edge.is_empty());
        let has_session = |node: &usize| self.nodes[*node].session.is_some();
        let all = 0..self.nodes.len();
        let waiting: Vec<usize> = all.clone().filter(has_tokens).chain(all.clone().filter(has_session)).collect();
        if waiting.is_empty() {
            return None;
        }
        let running: NodeSet = all.filter(|node| self.nodes[*node].active > 0).collect();
        let mut active = running.clone();
        active.extend(waiting.iter().copied());
        let ready = waiting.iter().find(|node| !self.waits_for(**node, &active));
        ready.or_else(|| self.one_of_a_tie(&waiting, running)).copied()
    }

    /// Loops can lie so that each waits for the other. One of those that wait for nothing that runs, not even behind others, has
    /// to go on: no event would ever end the tie. A merge does so first, and then the loop that began last, as if it lay inside
    /// of the others. What it puts out they collect. If one went on and ended before what it began, its own items would come to
    /// it as new ones, for ever.
    fn one_of_a_tie<'a>(&self, waiting: &'a [usize], running: NodeSet) -> Option<&'a usize> {
        let mut held = running;
        while let Some(node) = waiting.iter().find(|node| !held.contains(**node) && self.waits_for(**node, &held)) {
            held.insert(*node);
        }
        let begun_at_step = |node: &usize| self.nodes[*node].session.as_ref().map_or(u32::MAX, |session| session.begun_at_step);
        let free = waiting.iter().filter(|node| !held.contains(**node));
        // The first one of those that began at the same step.
        free.min_by_key(|node| std::cmp::Reverse(begun_at_step(node)))
    }

    /// Whether a waiting merge or loop has to wait on, if these nodes may still put something out.
    fn waits_for(&self, node: usize, active: &NodeSet) -> bool {
        let (state, definition) = (&self.nodes[node], &self.graph.nodes[node]);
        match definition.shape.role {
            Role::Merge => {
                let mut edges = state.tokens.iter().zip(&definition.incoming);
                edges.any(|(tokens, edge)| tokens.is_empty() && edge.feeders.meets(active))
            }
            Role::Loop { .. } => definition.body.meets(active),
            Role::Trigger | Role::Step => false,
        }
    }

    /// Takes one token from each edge that has one; edges into the same input are joined in the order of the definition.
    fn fire_merge(&mut self, merge: usize, effects: &mut Vec<Effect>) {
        let graph = Arc::clone(&self.graph);
        let mut inputs: Vec<Input> = (0..graph.nodes[merge].shape.inputs.max(1)).map(|_| Input::default()).collect();
        for (edge, tokens) in graph.nodes[merge].incoming.iter().zip(&mut self.nodes[merge].tokens) {
            let place = usize::try_from(edge.input).ok().and_then(|input| inputs.get_mut(input));
            if let (Some(token), Some(input)) = (tokens.pop_front(), place) {
                input.append(token);
            }
        }
        self.start_run(merge, inputs, effects);
    }
}
