//! The requests of one priority that wait: those of a workflow in their order, the workflows in turn, so that one that floods the
//! pool does not hold up the others.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;
use uuid::Uuid;

use super::Grant;

/// A request that waits.
pub(super) struct Waiting {
    pub(super) share: Uuid,
    pub(super) memory_bytes: usize,
    pub(super) grant: Grant,
    pub(super) since: Instant,
}

/// A queue that is fair between shares.
#[derive(Default)]
pub(super) struct FairQueue {
    shares: HashMap<Uuid, VecDeque<Waiting>>,
    /// Each share that waits, once, in the order of their turns.
    turns: VecDeque<Uuid>,
    len: usize,
}

impl FairQueue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        let share = waiting.share;
        let queue = self.shares.entry(share).or_default();
        if queue.is_empty() {
            self.turns.push_back(share);
        }
        queue.push_back(waiting);
        self.len += 1;
    }

    /// The request that is next.
    pub(super) fn first(&self) -> Option<&Waiting> {
        self.shares.get(self.turns.front()?)?.front()
    }

    /// Takes the request that is next; its share has its next turn after all others.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let share = self.turns.pop_front()?;
        let queue = self.shares.get_mut(&share)?;
        let waiting = queue.pop_front()?;
        if queue.is_empty() {
            self.shares.remove(&share);
        } else {
            self.turns.push_back(share);
        }
        self.len -= 1;
        Some(waiting)
    }

    /// Since when the request has waited that waits longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.shares.values().filter_map(|queue| queue.front()).map(|waiting| waiting.since).min()
    }
}
