//! The count of places, shared by all incarnations of a pool, and the guards that keep it right: a place comes back when its
//! [`Slot`] is dropped, and a request is answered even if the pool dies with it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use super::{PoolMsg, PoolRefused};
use crate::actors::supervisor::ServiceRef;

/// How many places are lent out. Outlives the pool's actor: what a dead incarnation lent out still counts.
///
/// Orderings are sequentially consistent: a place must be given back before the current incarnation is looked up to be told,
/// else a pool that restarts in between could miss both.
#[derive(Debug)]
pub(super) struct Places {
    slots_max: usize,
    busy: AtomicUsize,
}

impl Places {
    pub(super) fn new(slots_max: usize) -> Self {
        Self { slots_max, busy: AtomicUsize::new(0) }
    }

    pub(super) fn busy(&self) -> usize {
        self.busy.load(SeqCst)
    }

    pub(super) fn are_all_busy(&self) -> bool {
        self.busy() >= self.slots_max
    }

    fn take(&self) -> bool {
        let one_more = |busy| (busy < self.slots_max).then_some(busy + 1);
        self.busy.fetch_update(SeqCst, SeqCst, one_more).is_ok()
    }
}

/// A place in a pool. Give it back by dropping it, from anywhere.
pub struct Slot {
    places: Arc<Places>,
    pool: ServiceRef<PoolMsg>,
}

impl Slot {
    /// Takes a place if one is free.
    pub(super) fn take(places: &Arc<Places>, pool: &ServiceRef<PoolMsg>) -> Option<Self> {
        places.take().then(|| Self { places: Arc::clone(places), pool: pool.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.places.busy.fetch_sub(1, SeqCst);
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
