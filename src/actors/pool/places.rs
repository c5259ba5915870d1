//! The count of places, shared by all incarnations of a pool, and the guards that keep it right: a place comes back when its
//! [`Slot`] is dropped, and a request is answered even if the pool dies with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{PoolMsg, PoolRefused};
use crate::actors::supervisor::ServiceRef;

/// How many places are lent out, for how much memory. Outlives the pool's actor: what a dead incarnation lent out still counts.
///
/// A place is given back, under the lock, before the current incarnation is looked up to be told: else a pool that restarts in
/// between could miss both.
#[derive(Debug)]
pub(super) struct Places {
    slots_max: usize,
    memory_bytes_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    slots: usize,
    memory_bytes: usize,
}

impl Places {
    pub(super) fn new(slots_max: usize, memory_bytes_max: usize) -> Self {
        Self { slots_max, memory_bytes_max, held: Mutex::default() }
    }

    /// Places that are lent out, and the memory that their work may take.
    pub(super) fn held(&self) -> (usize, usize) {
        let held = self.lock();
        (held.slots, held.memory_bytes)
    }

    /// Whether work that may take so much memory could begin.
    pub(super) fn has_room(&self, memory_bytes: usize) -> bool {
        self.fits(&self.lock(), memory_bytes)
    }

    fn take(&self, memory_bytes: usize) -> bool {
        let mut held = self.lock();
        let fits = self.fits(&held, memory_bytes);
        if fits {
            held.slots += 1;
            held.memory_bytes += memory_bytes;
        }
        fits
    }

    fn give_back(&self, memory_bytes: usize) {
        let mut held = self.lock();
        held.slots -= 1;
        held.memory_bytes -= memory_bytes;
    }

    fn fits(&self, held: &Held, memory_bytes: usize) -> bool {
        let is_alone = held.memory_bytes == 0;
        held.slots < self.slots_max && (is_alone || held.memory_bytes.saturating_add(memory_bytes) <= self.memory_bytes_max)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Every change is complete before anything could panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a pool. Give it back by dropping it, from anywhere.
pub struct Slot {
    places: Arc<Places>,
    pool: ServiceRef<PoolMsg>,
    memory_bytes: usize,
}

impl Slot {
    /// Takes a place if there is room for work that may take so much memory.
    pub(super) fn take(places: &Arc<Places>, pool: &ServiceRef<PoolMsg>, memory_bytes: usize) -> Option<Self> {
        places.take(memory_bytes).then(|| Self { places: Arc::clone(places), pool: pool.clone(), memory_bytes })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.places.give_back(self.memory_bytes);
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
