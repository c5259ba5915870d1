//! Takes, renews and releases the leases of this process's shards. Parent: the root (a restart takes all shards again, under new
//! epochs). Children: none; one task at a time talks to the store. Bounds: one store call, one timer.
//! Never decides who should own a shard: it takes what `wanted` says as far as the store lets it, and gives away what `wanted` names
//! no more as soon as nothing of it is in memory.

mod ownership;
mod share;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use self::ownership::Changes;
pub use self::{
    ownership::{Ownership, OwnershipView},
    share::fair_share,
};
use super::{metering::metered, observatory};
use crate::{
    model::ids::NodeInstanceId,
    store::{ShardLease, Store, StoreError},
};

/// How long a lease lasts, in milliseconds.
pub const LEASE_MS: u64 = 15_000;
/// How often leases are renewed, in milliseconds: two renewals may fail before one is lost.
pub const RENEW_EVERY_MS: u64 = 5_000;
/// How long before a lease ends nothing new is started under it, in milliseconds.
pub const MARGIN_MS: u64 = 3_000;
/// How often the keeper looks whether something is due, in milliseconds; also the pause after a failed call of the store.
const LOOK_EVERY_MS: u64 = 500;
/// The pause before shards are tried again that others hold, in milliseconds.
const TAKE_EVERY_MS: u64 = 1_000;
/// How long a shard is closed to what is new before it may be given away, in milliseconds: an execution that has drawn its id there
/// is in memory by then.
const CLOSE_MS: u64 = 1_000;
/// How long one call of the store may take, in milliseconds: less than [`RENEW_EVERY_MS`], so that a hanging one is repeated.
const STORE_MS_MAX: u64 = 4_000;

/// What happened to the ownership. The table has changed already when this is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardEvent {
    /// These shards are owned from now on, under new epochs: start what waits in them.
    Gained(Vec<ShardLease>),
    /// These shards are owned no more: stop what runs in them, and acknowledge nothing.
    Lost(Vec<u16>),
}

/// Why the store did not grant anything.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not answer; whether the lease changed is unknown.
    #[error("the store did not answer within {STORE_MS_MAX} ms")]
    Timeout,
}

/// Says which shards a process should own among the live ones.
pub type WantedShards = dyn Fn(&[NodeInstanceId]) -> Vec<u16> + Send + Sync;

/// What a keeper needs. Cloned for every restart.
#[derive(Clone)]
pub struct ShardKeeperArgs {
    pub store: Arc<dyn Store>,
    pub owner: NodeInstanceId,
    /// Written by the keeper only.
    pub ownership: Arc<Ownership>,
    /// The shards that this process should own among the live ones.
    pub wanted: Arc<WantedShards>,
    /// The shards that have an execution in memory: they are not given away.
    pub busy: Arc<dyn Fn() -> BTreeSet<u16> + Send + Sync>,
    /// Told of every change, in order, from the keeper's task, already during its start. Must neither block nor panic.
    pub on_change: Arc<dyn Fn(ShardEvent) + Send + Sync>,
}

/// What the keeper is told.
pub enum ShardKeeperMsg {
    /// Timer -> keeper. Look whether something is due.
    Look,
    /// Store task -> keeper. The processes that live, this one among them.
    Live(Vec<NodeInstanceId>),
    /// Store task -> keeper. The answer to the call that was sent at `sent`.
    Answered { sent: Instant, answer: Answer },
}

metered!(ShardKeeperMsg);

/// What the store said.
pub enum Answer {
    /// All that is still held.
    Renewed(Result<Vec<ShardLease>, LeaseError>),
    /// What was taken beside it.
    Taken(Result<Vec<ShardLease>, LeaseError>),
    /// What was given away is free.
    HandedOver(Result<u64, LeaseError>),
}

/// What a keeper remembers.
pub struct ShardKeeperState {
    args: ShardKeeperArgs,
    /// What the live processes leave to this one.
    wanted: Vec<u16>,
    /// Held shards that are not wanted, and since when they are closed.
    closing: Vec<u16>,
    closed_at: Instant,
    /// When the next call is due, if none runs.
    due: Instant,
    call: Option<AbortOnDropHandle<()>>,
    /// Whether the last call failed: only the first failure of a row is logged.
    failing: bool,
    _timer: AbortOnDropHandle<()>,
}

/// The keeper's shell.
pub struct ShardKeeper;

impl Actor for ShardKeeper {
    type Msg = ShardKeeperMsg;
    type State = ShardKeeperState;
    type Arguments = ShardKeeperArgs;

    /// Takes the shards for the first time, so that a store that refuses keeps the server from starting.
    ///
    /// Errors: [`LeaseError`].
    async fn pre_start(
        &self,
        myself: ActorRef<ShardKeeperMsg>,
        args: ShardKeeperArgs,
    ) -> Result<ShardKeeperState, ActorProcessingErr> {
        let sent = Instant::now();
        let wanted = (args.wanted)(&announce(&args).await?);
        let taken = take(&args, &wanted).await?;
        let timer = owned(look_regularly(myself));
        let closing = args.ownership.close_all_but(&wanted);
        let mut state =
            ShardKeeperState { args, wanted, closing, closed_at: sent, due: sent, call: None, failing: false, _timer: timer };
        // Replaces what an earlier incarnation held: its epochs are outdated by now.
        let changes = state.args.ownership.replace(&taken, sent);
        state.report(changes);
        state.plan_next(sent);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<ShardKeeperMsg>,
        message: ShardKeeperMsg,
        state: &mut ShardKeeperState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ShardKeeperMsg::Look => state.look(&myself),
            ShardKeeperMsg::Live(live) => state.want((state.args.wanted)(&live)),
            ShardKeeperMsg::Answered { sent, answer } => state.answered(&myself, sent, answer),
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<ShardKeeperMsg>, state: &mut ShardKeeperState) -> Result<(), ActorProcessingErr> {
        state.call = None; // A renewal must not follow the release.
        let changes = state.args.ownership.clear();
        state.report(changes);
        let released = within(state.args.store.release_shards(state.args.owner)).await;
        if let Err(failed) = released {
            warn!(error = %failed, "shards are not released, others take them when their leases end");
        }
        Ok(())
    }
}

impl ShardKeeperState {
    fn look(&mut self, myself: &ActorRef<ShardKeeperMsg>) {
        if self.args.ownership.is_over() {
            warn!("leases ended before the store renewed them");
            let changes = self.args.ownership.clear();
            self.report(changes);
        }
        if self.call.is_some() {
            return;
        }
        if Instant::now() < self.due {
            return self.give_away(myself);
        }
        if self.args.ownership.is_empty() {
            self.call_take(myself);
        } else {
            self.call_renew(myself);
        }
    }

    fn answered(&mut self, myself: &ActorRef<ShardKeeperMsg>, sent: Instant, answer: Answer) {
        self.call = None;
        match answer {
            // Everything was lost while the answer was under way: only a take gives an epoch that is fresh for sure.
            Answer::Renewed(Ok(_)) if self.args.ownership.is_empty() => self.due = Instant::now(),
            Answer::Renewed(Ok(held)) => {
                self.succeeded();
                let changes = self.args.ownership.replace(&held, sent);
                self.report(changes);
                self.want(self.wanted.clone());
                if self.args.ownership.missing(&self.wanted).is_empty() {
                    self.plan_next(sent);
                } else {
                    self.call_take(myself);
                }
            }
            Answer::Taken(Ok(taken)) => {
                self.succeeded();
                let changes = self.args.ownership.add(&taken, sent);
                self.report(changes);
                self.plan_next(sent);
            }
            Answer::HandedOver(Ok(shards)) => {
                info!(shards, "shards handed over");
            }
            Answer::Renewed(Err(failed)) | Answer::Taken(Err(failed)) | Answer::HandedOver(Err(failed)) => {
                self.failed(myself, &failed);
                self.due = Instant::now() + Duration::from_millis(LOOK_EVERY_MS);
            }
        }
    }

    fn call_renew(&mut self, myself: &ActorRef<ShardKeeperMsg>) {
        let (args, keeper) = (self.args.clone(), myself.clone());
        self.call = Some(owned(async move {
            let sent = Instant::now();
            let renewal = within(args.store.renew_shards(args.owner, LEASE_MS));
            let (renewed, live) = tokio::join!(renewal, announce(&args));
            tell_live(&keeper, live);
            let answer = Answer::Renewed(renewed);
            let _ = keeper.cast(ShardKeeperMsg::Answered { sent, answer }); // Fails if the keeper is ending.
        }));
    }

    fn call_take(&mut self, myself: &ActorRef<ShardKeeperMsg>) {
        let (args, keeper) = (self.args.clone(), myself.clone());
        let missing = self.args.ownership.missing(&self.wanted);
        self.call = Some(owned(async move {
            let sent = Instant::now();
            let (taken, live) = tokio::join!(take(&args, &missing), announce(&args));
            tell_live(&keeper, live);
            let answer = Answer::Taken(taken);
            let _ = keeper.cast(ShardKeeperMsg::Answered { sent, answer }); // Fails if the keeper is ending.
        }));
    }

    /// Takes in what this process should own, and begins nothing new in the rest.
    fn want(&mut self, wanted: Vec<u16>) {
        self.wanted = wanted;
        let closing = self.args.ownership.close_all_but(&self.wanted);
        if closing.iter().any(|shard| !self.closing.contains(shard)) {
            self.closed_at = Instant::now();
        }
        self.closing = closing;
    }

    /// Gives up what others should own and nothing of which is in memory.
    fn give_away(&mut self, myself: &ActorRef<ShardKeeperMsg>) {
        if self.closing.is_empty() || Instant::now() < self.closed_at + Duration::from_millis(CLOSE_MS) {
            return;
        }
        let busy = (self.args.busy)();
        let (idle, closing) = std::mem::take(&mut self.closing).into_iter().partition(|shard| !busy.contains(shard));
        self.closing = closing;
        let idle: Vec<u16> = idle;
        if idle.is_empty() {
            return;
        }
        let changes = self.args.ownership.remove(&idle);
        self.report(changes);
        let (args, keeper) = (self.args.clone(), myself.clone());
        self.call = Some(owned(async move {
            let sent = Instant::now();
            let answer = Answer::HandedOver(within(args.store.hand_over_shards(args.owner, &idle)).await);
            let _ = keeper.cast(ShardKeeperMsg::Answered { sent, answer }); // Fails if the keeper is ending.
        }));
    }

    /// Plans the next call after a success that was sent at `sent`.
    fn plan_next(&mut self, sent: Instant) {
        let is_complete = self.args.ownership.missing(&self.wanted).is_empty();
        self.due = sent + Duration::from_millis(if is_complete { RENEW_EVERY_MS } else { TAKE_EVERY_MS });
    }

    fn report(&self, changes: Changes) {
        if !changes.lost.is_empty() {
            info!(shards = changes.lost.len(), "shards lost");
            (self.args.on_change)(ShardEvent::Lost(changes.lost));
        }
        if !changes.gained.is_empty() {
            info!(shards = changes.gained.len(), "shards gained");
            (self.args.on_change)(ShardEvent::Gained(changes.gained));
        }
    }

    fn succeeded(&mut self) {
        if std::mem::take(&mut self.failing) {
            info!("the store grants leases again");
        }
    }

    fn failed(&mut self, myself: &ActorRef<ShardKeeperMsg>, failed: &LeaseError) {
        observatory::count_error(myself.get_id());
        if !std::mem::replace(&mut self.failing, true) {
            warn!(error = %failed, "the store does not grant leases, trying again");
        }
    }
}

/// Takes shards in the store.
async fn take(args: &ShardKeeperArgs, shards: &[u16]) -> Result<Vec<ShardLease>, LeaseError> {
    within(args.store.take_shards(args.owner, shards, LEASE_MS)).await
}

/// Says in the store that this process lives, for as long as a lease. Answers every one that does.
async fn announce(args: &ShardKeeperArgs) -> Result<Vec<NodeInstanceId>, LeaseError> {
    within(args.store.announce_node(args.owner, LEASE_MS)).await
}

/// Tells the keeper who lives. If that is not known, it goes on with what it knew.
fn tell_live(keeper: &ActorRef<ShardKeeperMsg>, live: Result<Vec<NodeInstanceId>, LeaseError>) {
    match live {
        Ok(live) => drop(keeper.cast(ShardKeeperMsg::Live(live))), // Fails if the keeper is ending.
        Err(failed) => tracing::debug!(error = %failed, "who else lives is not known"),
    }
}

/// Bounds one call of the store.
async fn within<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, LeaseError> {
    match timeout(Duration::from_millis(STORE_MS_MAX), call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(LeaseError::Timeout),
    }
}

/// Tells the keeper to look, until the keeper is gone.
async fn look_regularly(keeper: ActorRef<ShardKeeperMsg>) {
    loop {
        tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
        if keeper.cast(ShardKeeperMsg::Look).is_err() {
            return;
        }
    }
}

/// Spawns a task that ends with its handle.
#[expect(clippy::disallowed_methods, reason = "the keeper's state holds the handle, which aborts the task")]
fn owned(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}
