//! Lends out a bounded number of places for work that must not run all at once: sandboxes, sockets, processes. Parent: the
//! service supervisor (restarts for ever). Children: none; whoever holds a [`Slot`] does the work itself.
//! Bounds: the places, and the requests that wait for one. Never awaits: it answers by calling the request's [`Grant`].

mod places;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use serde::Serialize;
use tokio::time::Instant;

use self::places::Places;
pub use self::places::{Grant, Slot};
use super::{
    ask::{AskError, ask},
    metering::{Refused, metered, try_cast},
    supervisor::{ChildSpec, ServiceRef},
};

/// How long a snapshot may take.
const SNAPSHOT_WITHIN: Duration = Duration::from_millis(500);

/// Who is served first among those that wait. Within one priority the first to ask is the first to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Work of executions that have begun: finishing them frees memory. New work waits as long as there is any of it.
    Resumed,
    /// The first effect of an execution.
    New,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolRefused {
    /// As many wait already as are allowed: try later.
    #[error("the pool is full")]
    Full,
    /// The pool is being restarted or stopped; a request that waited in it is lost.
    #[error("the pool is not running")]
    Down,
}

/// How much a pool takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Places that may be lent out at once.
    pub slots_max: usize,
    /// Requests that may wait for a place.
    pub queue_max: usize,
}

/// A pool at one moment. **Shape**: `{"name", "slots", "busy", "queued", "oldest_wait_ms"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolView {
    pub name: &'static str,
    pub slots: usize,
    pub busy: usize,
    pub queued: usize,
    /// How long the request has waited that waits longest; zero if none does.
    pub oldest_wait_ms: u64,
}

/// What a pool is told.
pub enum PoolMsg {
    /// Handle -> pool. Answers through the grant, at once or when a place is free.
    Acquire { priority: Priority, grant: Grant },
    /// Slot -> pool. A place is free; a hint, since the count itself is shared.
    Freed,
    /// Handle -> pool.
    Snapshot { reply: RpcReplyPort<PoolView> },
}

metered!(PoolMsg);

/// The requests that wait, by priority.
pub struct PoolState {
    pool: PoolHandle,
    resumed: VecDeque<Waiting>,
    new: VecDeque<Waiting>,
}

struct Waiting {
    grant: Grant,
    since: Instant,
}

/// The pool's shell.
pub struct PoolActor;

impl Actor for PoolActor {
    type Msg = PoolMsg;
    type State = PoolState;
    type Arguments = PoolHandle;

    /// Starts with an empty queue. Places that an earlier incarnation lent out stay counted until they come back.
    async fn pre_start(&self, _: ActorRef<PoolMsg>, pool: PoolHandle) -> Result<PoolState, ActorProcessingErr> {
        Ok(PoolState { pool, resumed: VecDeque::new(), new: VecDeque::new() })
    }

    async fn handle(&self, _: ActorRef<PoolMsg>, message: PoolMsg, state: &mut PoolState) -> Result<(), ActorProcessingErr> {
        match message {
            PoolMsg::Acquire { priority, grant } => {
                state.enqueue(priority, grant);
                state.serve();
            }
            PoolMsg::Freed => state.serve(),
            PoolMsg::Snapshot { reply } => {
                let _ = reply.send(state.snapshot()); // Fails if nobody waits any more.
            }
        }
        Ok(())
    }
}

impl PoolState {
    /// Lets a request wait, if it may.
    fn enqueue(&mut self, priority: Priority, grant: Grant) {
        // The queue is served before every message ends, so one that waits means that no place is free.
        if self.queued() >= self.pool.limits.queue_max && self.pool.places.are_all_busy() {
            grant.answer(Err(PoolRefused::Full));
            return;
        }
        let queue = match priority {
            Priority::Resumed => &mut self.resumed,
            Priority::New => &mut self.new,
        };
        queue.push_back(Waiting { grant, since: Instant::now() });
    }

    /// Hands out free places. Ends: every round takes one request out of the queue.
    fn serve(&mut self) {
        while self.queued() > 0 {
            let Some(slot) = Slot::take(&self.pool.places, &self.pool.service) else { return };
            let waiting = self.resumed.pop_front().or_else(|| self.new.pop_front()).expect("the queue is not empty");
            waiting.grant.answer(Ok(slot));
        }
    }

    fn queued(&self) -> usize {
        self.resumed.len() + self.new.len()
    }

    fn snapshot(&self) -> PoolView {
        let oldest = [self.resumed.front(), self.new.front()].into_iter().flatten().map(|waiting| waiting.since.elapsed()).max();
        PoolView {
            name: self.pool.name,
            slots: self.pool.limits.slots_max,
            busy: self.pool.places.busy(),
            queued: self.queued(),
            oldest_wait_ms: oldest.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// A pool, over all its incarnations.
#[derive(Clone)]
pub struct PoolHandle {
    name: &'static str,
    limits: PoolLimits,
    places: Arc<Places>,
    service: ServiceRef<PoolMsg>,
}

impl PoolHandle {
    /// A pool that has not started yet; see [`PoolHandle::child`].
    pub fn new(name: &'static str, limits: PoolLimits) -> Self {
        Self { name, limits, places: Arc::new(Places::new(limits.slots_max)), service: ServiceRef::new() }
    }

    /// The specification that a supervisor starts the pool by.
    pub fn child(&self) -> ChildSpec {
        let pool = self.clone();
        self.service.child("pool", self.name, move || (PoolActor, pool.clone()))
    }

    /// Asks for a place. `grant` is called exactly once, from the pool's task or from this call, with the place or the reason
    /// why there is none; it must neither block nor panic. A requester that is gone by then just drops the [`Slot`].
    pub fn acquire(&self, priority: Priority, grant: impl FnOnce(Result<Slot, PoolRefused>) + Send + 'static) {
        let message = PoolMsg::Acquire { priority, grant: Grant::new(grant) };
        let Some(pool) = self.service.get() else { return }; // Dropping the message answers `Down`.
        // The mailbox holds at most one `Freed` per place beside the requests.
        match try_cast(&pool, message, self.limits.queue_max.saturating_add(self.limits.slots_max)) {
            Err(Refused::Full(PoolMsg::Acquire { grant, .. })) => grant.answer(Err(PoolRefused::Full)),
            Ok(()) | Err(Refused::Full(_) | Refused::Gone(_)) => {}
        }
    }

    /// The pool's counts.
    ///
    /// Errors: `Gone` while the pool is down.
    pub async fn snapshot(&self) -> Result<PoolView, AskError> {
        let pool = self.service.get().ok_or(AskError::Gone)?;
        ask(&pool, |reply| PoolMsg::Snapshot { reply }, SNAPSHOT_WITHIN).await
    }
}
