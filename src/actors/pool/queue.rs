//! The requests that wait in a pool. Whose turn it is: the workspaces in turn, so that one that floods the pool does not hold up the
//! others; within a workspace resumed work first; then its workflows in turn; within a workflow the first to ask.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;
use uuid::Uuid;

use super::{Grant, Priority, Want};
use crate::model::ids::WorkspaceId;

/// A request that waits.
pub(super) struct Waiting {
    pub(super) want: Want,
    pub(super) grant: Grant,
    pub(super) since: Instant,
}

/// Everything that waits.
#[derive(Default)]
pub(super) struct FairQueue {
    workspaces: HashMap<WorkspaceId, WorkspaceQueue>,
    /// Each workspace that waits, once, in the order of their turns.
    turns: VecDeque<WorkspaceId>,
    len: usize,
}

/// What one workspace waits for. Never empty while it is in a queue.
#[derive(Default)]
struct WorkspaceQueue {
    resumed: Shares,
    new: Shares,
}

/// Requests of one workspace and one priority: those of a workflow in their order, the workflows in turn.
#[derive(Default)]
struct Shares {
    shares: HashMap<Uuid, VecDeque<Waiting>>,
    turns: VecDeque<Uuid>,
    len: usize,
}

impl FairQueue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        let workspace = waiting.want.workspace;
        let queue = self.workspaces.entry(workspace).or_default();
        if queue.len() == 0 {
            self.turns.push_back(workspace);
        }
        queue.shares_of(waiting.want.priority).push(waiting);
        self.len += 1;
    }

    /// The request that is next, among the workspaces that may have one more place.
    pub(super) fn first(&self, may_have_more: impl Fn(WorkspaceId) -> bool) -> Option<Want> {
        let workspace = self.turns.iter().find(|workspace| may_have_more(**workspace))?;
        Some(self.workspaces.get(workspace)?.first()?.want)
    }

    /// Takes the request of a workspace that is next there; the workspace has its next turn after all others.
    pub(super) fn pop(&mut self, workspace: WorkspaceId) -> Option<Waiting> {
        let queue = self.workspaces.get_mut(&workspace)?;
        let waiting = queue.pop()?;
        // At the front, unless those before it have as many places as they may.
        let place = self.turns.iter().position(|other| *other == workspace)?;
        self.turns.remove(place);
        if queue.len() == 0 {
            self.workspaces.remove(&workspace);
        } else {
            self.turns.push_back(workspace);
        }
        self.len -= 1;
        Some(waiting)
    }

    /// Takes out the request that has to give way where too many wait: the last one of the workspace that has most, of that one if it
    /// has as many as any other.
    pub(super) fn displace(&mut self, newcomer: WorkspaceId) -> Option<Waiting> {
        let len_of = |workspace: &WorkspaceId| self.workspaces.get(workspace).map_or(0, WorkspaceQueue::len);
        // The last of equals is taken.
        let most = self.turns.iter().copied().max_by_key(|workspace| (len_of(workspace), *workspace == newcomer))?;
        let queue = self.workspaces.get_mut(&most)?;
        let displaced = queue.pop_last()?;
        if queue.len() == 0 {
            self.workspaces.remove(&most);
            self.turns.retain(|other| *other != most);
        }
        self.len -= 1;
        Some(displaced)
    }

    /// Since when the request has waited that waits longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.workspaces.values().filter_map(WorkspaceQueue::oldest).min()
    }
}

impl WorkspaceQueue {
    fn len(&self) -> usize {
        self.resumed.len + self.new.len
    }

    fn shares_of(&mut self, priority: Priority) -> &mut Shares {
        match priority {
            Priority::Resumed => &mut self.resumed,
            Priority::New => &mut self.new,
        }
    }

    fn first(&self) -> Option<&Waiting> {
        self.resumed.first().or_else(|| self.new.first())
    }

    fn pop(&mut self) -> Option<Waiting> {
        self.resumed.pop().or_else(|| self.new.pop())
    }

    /// New work gives way first: what has begun holds memory.
    fn pop_last(&mut self) -> Option<Waiting> {
        self.new.pop_last().or_else(|| self.resumed.pop_last())
    }

    fn oldest(&self) -> Option<Instant> {
        [&self.resumed, &self.new].into_iter().filter_map(Shares::oldest).min()
    }
}

impl Shares {
    fn push(&mut self, waiting: Waiting) {
        let share = waiting.want.share;
        let queue = self.shares.entry(share).or_default();
        if queue.is_empty() {
            self.turns.push_back(share);
        }
        queue.push_back(waiting);
        self.len += 1;
    }

    fn first(&self) -> Option<&Waiting> {
        self.shares.get(self.turns.front()?)?.front()
    }

    /// Takes the request that is next; its share has its next turn after all others.
    fn pop(&mut self) -> Option<Waiting> {
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

    /// Takes the last request of the share that has most.
    fn pop_last(&mut self) -> Option<Waiting> {
        let share = self.turns.iter().copied().max_by_key(|share| self.shares.get(share).map_or(0, VecDeque::len))?;
        let queue = self.shares.get_mut(&share)?;
        let waiting = queue.pop_back()?;
        if queue.is_empty() {
            self.shares.remove(&share);
            self.turns.retain(|other| *other != share);
        }
        self.len -= 1;
        Some(waiting)
    }

    fn oldest(&self) -> Option<Instant> {
        self.shares.values().filter_map(|queue| queue.front()).map(|waiting| waiting.since).min()
    }
}
