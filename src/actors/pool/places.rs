//! The count of places, shared by all incarnations of a pool, and the guards that keep it right: a place comes back when its
//! [`Slot`] is dropped, and a request is answered even if the pool dies with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{PoolLimits, PoolMsg, PoolRefused, Want};
use crate::{actors::supervisor::ServiceRef, model::ids::WorkspaceId};

/// How many places are lent out, to whom, for how much memory. Outlives the pool's actor: what a dead incarnation lent out still counts.
///
/// A place is given back, under the lock, before the current incarnation is looked up to be told: else a pool that restarts in
/// between could miss both.
#[derive(Debug)]
pub(super) struct Places {
    limits: PoolLimits,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    slots: usize,
    memory_bytes: usize,
    /// Places by workspace; those without any are not in it.
    by_workspace: HashMap<WorkspaceId, usize>,
}

impl Places {
    pub(super) fn new(limits: PoolLimits) -> Self {
        Self { limits, held: Mutex::default() }
    }

    /// Places that are lent out, and the memory that their work may take.
    pub(super) fn held(&self) -> (usize, usize) {
        let held = self.lock();
        (held.slots, held.memory_bytes)
    }

    /// Whether a workspace has fewer places than it may have, wherever else it has to wait for.
    pub(super) fn may_have_more(&self, workspace: WorkspaceId) -> bool {
        self.lock().of(workspace) < self.limits.workspace_slots_max
    }

    fn take(&self, want: &Want) -> bool {
        let mut held = self.lock();
        let fits = self.fits(&held, want);
        if fits {
            held.slots += 1;
            held.memory_bytes += want.memory_bytes;
            *held.by_workspace.entry(want.workspace).or_default() += 1;
        }
        fits
    }

    fn give_back(&self, workspace: WorkspaceId, memory_bytes: usize) {
        let mut held = self.lock();
        held.slots -= 1;
        held.memory_bytes -= memory_bytes;
        let left = held.of(workspace).saturating_sub(1);
        if left == 0 {
            held.by_workspace.remove(&workspace);
        } else {
            held.by_workspace.insert(workspace, left);
        }
    }

    fn fits(&self, held: &Held, want: &Want) -> bool {
        let PoolLimits { slots_max, workspace_slots_max, memory_bytes_max, queue_max: _ } = self.limits;
        let is_alone = held.memory_bytes == 0;
        let has_memory = is_alone || held.memory_bytes.saturating_add(want.memory_bytes) <= memory_bytes_max;
        has_memory && held.slots < slots_max && held.of(want.workspace) < workspace_slots_max
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Every change is complete before anything could panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn of(&self, workspace: WorkspaceId) -> usize {
        self.by_workspace.get(&workspace).copied().unwrap_or(0)
    }
}

/// A place in a pool. Give it back by dropping it, from anywhere.
pub struct Slot {
    places: Arc<Places>,
    pool: ServiceRef<PoolMsg>,
    workspace: WorkspaceId,
    memory_bytes: usize,
}

impl Slot {
    /// Takes a place if there is room for what is wanted.
    pub(super) fn take(places: &Arc<Places>, pool: &ServiceRef<PoolMsg>, want: &Want) -> Option<Self> {
        let Want { workspace, memory_bytes, .. } = *want;
        places.take(want).then(|| Self { places: Arc::clone(places), pool: pool.clone(), workspace, memory_bytes })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.places.give_back(self.workspace, self.memory_bytes);
        if let Some(pool) = self.pool.get() {
            let _ = pool.cast(PoolMsg::Freed); // A pool that is down will count for itself when it is up again.
        }
    }
}

/// Where the answer to one request goes.
type Target = Box<dyn FnOnce(Result<Slot, PoolRefused>) + Send>;

/// The answer to one request, given exactly once: a dropped one answers [`PoolRefused::Down`].
pub struct Grant(Option<Target>);

impl Grant {
    pub(super) fn new(target: impl FnOnce(Result<Slot, PoolRefused>) + Send + 'static) -> Self {
        Self(Some(Box::new(target)))
    }

    pub(super) fn answer(mut self, answer: Result<Slot, PoolRefused>) {
        if let Some(target) = self.0.take() {
            target(answer);
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(target) = self.0.take() {
            target(Err(PoolRefused::Down));
        }
    }
}
