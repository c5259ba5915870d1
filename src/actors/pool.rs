//! Lends out a bounded number of places for work that must not run all at once: sandboxes, sockets, processes. Parent: the
//! service supervisor (restarts for ever). Children: none; whoever holds a [`Slot`] does the work itself.
//! Bounds: the places, and the requests that wait for one. Never awaits: it answers by calling the request's [`Grant`].

mod places;
mod queue;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

pub use self::places::{Grant, Slot};
use self::{
    places::Places,
    queue::{FairQueue, Waiting},
};
use super::{
    ask::{AskError, ask},
    metering::{Refused, metered, try_cast},
    supervisor::{ChildSpec, ServiceRef},
};
use crate::model::ids::WorkspaceId;

/// How long a snapshot may take.
const SNAPSHOT_WITHIN: Duration = Duration::from_millis(500);

/// Who is served first among those of one workspace that wait. Within one priority the shares have their turns, and within a share the
/// first to ask is the first to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Work of executions that have begun: finishing them frees memory. New work waits as long as there is any of it.
    Resumed,
    /// The first effect of an execution.
    New,
}

/// What is asked of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    pub priority: Priority,
    /// Whose work it is. Workspaces that wait have their turns.
    pub workspace: WorkspaceId,
    /// Which of its works: a workflow's id, nil for what belongs to none. Those that wait have their turns within their workspace.
    pub share: Uuid,
    /// Memory that the work may take, in bytes; zero if it has no limit of its own.
    pub memory_bytes: usize,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolRefused {
    /// As many wait already as are allowed, and most of them are of this workspace: try later.
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
    /// Places that one workspace may have at once; for more it waits, whatever is free.
    pub workspace_slots_max: usize,
    /// Requests that may wait for a place.
    pub queue_max: usize,
    /// What the limits of all work with a place may add up to, in bytes. Work that wants more has the pool for itself.
    pub memory_bytes_max: usize,
}

/// A pool at one moment. **Shape**: `{"name", "slots", "busy", "memory_bytes", "memory_bytes_max", "queued", "oldest_wait_ms"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolView {
    pub name: &'static str,
    pub slots: usize,
    pub busy: usize,
    /// What the work with a place may take, and what it may add up to; null where memory is not bounded.
    pub memory_bytes: usize,
    pub memory_bytes_max: Option<usize>,
    pub queued: usize,
    /// How long the request has waited that waits longest; zero if none does.
    pub oldest_wait_ms: u64,
}

/// What a pool is told.
pub enum PoolMsg {
    /// Handle -> pool. Answers through the grant, at once or when a place is free.
    Acquire { want: Want, grant: Grant },
    /// Slot -> pool. A place is free; a hint, since the count itself is shared.
    Freed,
    /// Handle -> pool.
    Snapshot { reply: RpcReplyPort<PoolView> },
}

metered!(PoolMsg);

/// The requests that wait.
pub struct PoolState {
    pool: PoolHandle,
    queue: FairQueue,
}

/// The pool's shell.
pub struct PoolActor;

impl Actor for PoolActor {
    type Msg = PoolMsg;
    type State = PoolState;
    type Arguments = PoolHandle;

    /// Starts with an empty queue. Places that an earlier incarnation lent out stay counted until they come back.
    async fn pre_start(&self, _: ActorRef<PoolMsg>, pool: PoolHandle) -> Result<PoolState, ActorProcessingErr> {
        Ok(PoolState { pool, queue: FairQueue::default() })
    }

    async fn handle(&self, _: ActorRef<PoolMsg>, message: PoolMsg, state: &mut PoolState) -> Result<(), ActorProcessingErr> {
        match message {
            PoolMsg::Acquire { want, grant } => {
                state.queue.push(Waiting { want, grant, since: Instant::now() });
                state.serve();
                state.displace(want.workspace);
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
    /// Hands out places for as long as there is room for the request that is next: nothing smaller overtakes it, but for those of
    /// workspaces that have as many places as they may. Ends: every round takes one request out of the queue.
    fn serve(&mut self) {
        let places = &self.pool.places;
        while let Some(want) = self.queue.first(|workspace| places.may_have_more(workspace)) {
            let Some(slot) = Slot::take(places, &self.pool.service, &want) else { return };
            if let Some(waiting) = self.queue.pop(want.workspace) {
                waiting.grant.answer(Ok(slot));
            }
        }
    }

    /// Refuses a request where one more waits than may. Not the one that came last, but one of who has most of them: a workspace that
    /// fills the queue does not shut the others out.
    fn displace(&mut self, newcomer: WorkspaceId) {
        if self.queue.len() > self.pool.limits.queue_max
            && let Some(displaced) = self.queue.displace(newcomer)
        {
            displaced.grant.answer(Err(PoolRefused::Full));
        }
    }

    fn snapshot(&self) -> PoolView {
        let oldest = self.queue.oldest().map(|since| since.elapsed());
        let (busy, memory_bytes) = self.pool.places.held();
        let memory_bytes_max = self.pool.limits.memory_bytes_max;
        PoolView {
            name: self.pool.name,
            slots: self.pool.limits.slots_max,
            busy,
            memory_bytes,
            memory_bytes_max: (memory_bytes_max < usize::MAX).then_some(memory_bytes_max),
            queued: self.queue.len(),
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
        Self { name, limits, places: Arc::new(Places::new(limits)), service: ServiceRef::new() }
    }

    /// The specification that a supervisor starts the pool by.
    pub fn child(&self) -> ChildSpec {
        let pool = self.clone();
        self.service.child("pool", self.name, move || (PoolActor, pool.clone()))
    }

    /// Asks for a place. `grant` is called exactly once, from the pool's task or from this call, with the place or the reason
    /// why there is none; it must neither block nor panic. A requester that is gone by then just drops the [`Slot`].
    pub fn acquire(&self, want: Want, grant: impl FnOnce(Result<Slot, PoolRefused>) + Send + 'static) {
        let message = PoolMsg::Acquire { want, grant: Grant::new(grant) };
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
