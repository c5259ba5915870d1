//! Brings back executions that are due, those with something in their inbox that nobody told about, and those that another process
//! has created for this one; sees what others have published. Parent: the root supervisor. It keeps the next minute in memory and looks into the store for more; the store's rows are the truth.
//!
//! Bounds: [`DUE_ROWS_MAX`] due executions in memory; what is beyond is found by the next look.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinSet;

use super::{
    engine::Engine,
    execution::{ExecutionMsg, TIMER_HORIZON_MS},
    execution_supervisor::{ExecutionSupervisorMsg, nudge},
};
use crate::{
    clock,
    model::ids::ExecutionId,
    store::{DueExecution, Result},
};

/// Pause between two looks for due executions, in milliseconds: half of the horizon.
const LOOK_EVERY_MS: u64 = TIMER_HORIZON_MS / 2;
/// Pause between two looks at the inboxes, in milliseconds.
const INBOX_EVERY_MS: u64 = 1_000;
/// Pause between two nudges of one execution by a look at the inboxes, in milliseconds.
const NUDGE_EVERY_MS: u64 = 30_000;
/// Shortest pause between two looks at what others leave to this process, in milliseconds, and what chance adds to it: processes
/// that started together do not look together.
const OTHERS_EVERY_MS: u64 = 750;
const OTHERS_JITTER_MS: u64 = 500;
/// Longest pause between two ticks, in milliseconds.
const TICK_MS: u64 = 250;
/// Due executions that one look takes.
const DUE_ROWS_MAX: u32 = 10_000;
/// Inbox owners that one look takes.
const INBOX_OWNERS_MAX: u32 = 1_000;
/// Queued executions that one look takes.
const QUEUED_ROWS_MAX: u32 = 1_000;
/// Finished executions, or rows of the audit log, that one round of retention deletes.
const PRUNE_ROWS: u32 = 500;
/// Pause between two rounds of retention, in milliseconds; a full round is followed by the next at once.
const PRUNE_EVERY_MS: u64 = 60_000;

/// Messages of the timekeeper.
pub enum TimekeeperMsg {
    /// Timer -> timekeeper.
    Tick,
    /// Execution -> timekeeper: it left memory and is due then.
    Parked { execution: ExecutionId, wake_at: u64 },
    /// Shard keeper -> timekeeper: shards are owned now whose executions nobody here has looked for.
    ShardsGained,
    /// The reading task -> timekeeper.
    DueRead(Result<Vec<DueExecution>>),
    /// The reading task -> timekeeper.
    InboxRead(Result<Vec<ExecutionId>>),
    /// The reading task -> timekeeper.
    QueuedRead(Result<Vec<ExecutionId>>),
    /// The reading task -> timekeeper: what others have published is served here, too.
    PublicationsFollowed(Result<()>),
    /// The deleting task -> timekeeper.
    Pruned(Result<u64>),
    /// The deleting task -> timekeeper.
    AuditPruned(Result<u64>),
}

super::metering::metered!(TimekeeperMsg);

/// The timekeeper's memory.
pub struct TimekeeperState {
    engine: Arc<Engine>,
    /// By time.
    due: BTreeSet<(u64, ExecutionId)>,
    /// Unix milliseconds of the next looks; `None` while one is under way.
    next_look: Option<u64>,
    next_inbox: Option<u64>,
    next_queued: Option<u64>,
    next_publications: Option<u64>,
    next_prune: Option<u64>,
    next_audit_prune: Option<u64>,
    /// Whether shards were gained since the look that is under way began.
    look_again: bool,
    /// Where the next look at the inboxes begins.
    inbox_after: Option<ExecutionId>,
    /// When the owners of inboxes were nudged last: what nobody waits for yet lies there for long.
    nudged: HashMap<ExecutionId, u64>,
    /// Aborted when the timekeeper ends.
    tasks: JoinSet<()>,
}

/// The actor.
pub struct Timekeeper;

impl Actor for Timekeeper {
    type Msg = TimekeeperMsg;
    type State = TimekeeperState;
    type Arguments = Arc<Engine>;

    async fn pre_start(
        &self,
        myself: ActorRef<TimekeeperMsg>,
        engine: Arc<Engine>,
    ) -> std::result::Result<TimekeeperState, ActorProcessingErr> {
        myself.cast(TimekeeperMsg::Tick)?;
        Ok(TimekeeperState {
            engine,
            due: BTreeSet::new(),
            next_look: Some(0),
            next_inbox: Some(0),
            next_queued: Some(0),
            next_publications: Some(0),
            look_again: false,
            next_prune: Some(0),
            next_audit_prune: Some(0),
            inbox_after: None,
            nudged: HashMap::new(),
            tasks: JoinSet::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<TimekeeperMsg>,
        msg: TimekeeperMsg,
        state: &mut TimekeeperState,
    ) -> std::result::Result<(), ActorProcessingErr> {
        while state.tasks.try_join_next().is_some() {}
        let now_ms = clock::now_ms();
        match msg {
            TimekeeperMsg::Tick => {
                state.wake_due(now_ms);
                state.look(&myself, now_ms);
                // The next tick is lost only with the actor.
                drop(myself.send_after(state.pause(now_ms), || TimekeeperMsg::Tick));
            }
            TimekeeperMsg::Parked { execution, wake_at } => {
                if wake_at <= now_ms.saturating_add(TIMER_HORIZON_MS) {
                    state.due.insert((wake_at, execution));
                }
            }
            TimekeeperMsg::ShardsGained => match &mut state.next_look {
                Some(at) => *at = 0,
                None => state.look_again = true,
            },
            TimekeeperMsg::QueuedRead(read) => state.queued_read(read, now_ms),
            TimekeeperMsg::PublicationsFollowed(followed) => {
                state.next_publications = Some(next_look_at_others(now_ms));
                if let Err(error) = followed {
                    tracing::warn!(error = %error, "what others have published is not known");
                }
            }
            TimekeeperMsg::DueRead(read) => state.due_read(read, now_ms),
            TimekeeperMsg::InboxRead(read) => state.inbox_read(read, now_ms),
            TimekeeperMsg::Pruned(pruned) => state.pruned(pruned, now_ms),
            TimekeeperMsg::AuditPruned(pruned) => state.audit_pruned(pruned, now_ms),
        }
        Ok(())
    }
}

impl TimekeeperState {
    fn wake_due(&mut self, now_ms: u64) {
        while let Some((wake_at, execution)) = self.due.first().copied() {
            if wake_at > now_ms {
                return;
            }
            self.due.pop_first();
            match (self.engine.directory.find(execution), self.engine.supervisor.get()) {
                (Some(actor), _) if actor.cast(ExecutionMsg::Wake).is_ok() => {}
                (_, Some(supervisor)) => drop(supervisor.cast(ExecutionSupervisorMsg::Activate { execution })),
                // Found again by the next look.
                (_, None) => {}
            }
        }
    }

    fn look(&mut self, myself: &ActorRef<TimekeeperMsg>, now_ms: u64) {
        let shards = self.engine.ownership.shards();
        if self.next_look.is_some_and(|at| at <= now_ms) {
            self.next_look = None;
            self.sweep();
            let (store, shards) = (Arc::clone(&self.engine.store), shards.clone());
            let until_ms = now_ms.saturating_add(TIMER_HORIZON_MS);
            self.read(myself, async move { TimekeeperMsg::DueRead(store.list_due(&shards, until_ms, DUE_ROWS_MAX).await) });
        }
        if self.next_inbox.is_some_and(|at| at <= now_ms) {
            self.next_inbox = None;
            let (store, shards) = (Arc::clone(&self.engine.store), shards.clone());
            self.read(
                myself,
                async move { TimekeeperMsg::InboxRead(store.list_inbox_owners(&shards, None, INBOX_OWNERS_MAX).await) },
            );
        }
        if self.next_queued.is_some_and(|at| at <= now_ms) {
            self.next_queued = None;
            let store = Arc::clone(&self.engine.store);
            self.read(myself, async move { TimekeeperMsg::QueuedRead(store.list_queued(&shards, QUEUED_ROWS_MAX).await) });
        }
        if self.next_publications.is_some_and(|at| at <= now_ms) {
            self.next_publications = None;
            let workflows = self.engine.workflows.clone();
            self.read(myself, async move { TimekeeperMsg::PublicationsFollowed(workflows.follow_publications().await) });
        }
        if self.next_prune.is_some_and(|at| at <= now_ms) {
            self.next_prune = None;
            let store = Arc::clone(&self.engine.store);
            self.read(myself, async move { TimekeeperMsg::Pruned(store.prune(now_ms, PRUNE_ROWS).await) });
        }
        if self.next_audit_prune.is_some_and(|at| at <= now_ms) {
            self.next_audit_prune = None;
            let store = Arc::clone(&self.engine.store);
            let kept_ms = u64::try_from(self.engine.settings.keep_audit.as_millis()).unwrap_or(u64::MAX);
            let before = now_ms.saturating_sub(kept_ms);
            self.read(myself, async move { TimekeeperMsg::AuditPruned(store.prune_audit(before, PRUNE_ROWS).await) });
        }
    }

    fn read(&mut self, myself: &ActorRef<TimekeeperMsg>, read: impl Future<Output = TimekeeperMsg> + Send + 'static) {
        let myself = myself.clone();
        self.tasks.spawn(async move {
            let _ = myself.cast(read.await);
        });
    }

    /// Lets every execution in memory look at the time: they set timers for the next minute only.
    fn sweep(&self) {
        for (_, actor) in self.engine.directory.all() {
            let _ = actor.cast(ExecutionMsg::Wake);
        }
    }

    fn due_read(&mut self, read: Result<Vec<DueExecution>>, now_ms: u64) {
        self.next_look = Some(if std::mem::take(&mut self.look_again) { now_ms } else { now_ms.saturating_add(LOOK_EVERY_MS) });
        match read {
            Ok(rows) => self.due.extend(rows.into_iter().map(|row| (row.wake_at, row.id))),
            Err(error) => {
                tracing::warn!(error = %error, "due executions not read");
                self.next_look = Some(now_ms.saturating_add(INBOX_EVERY_MS));
            }
        }
    }

    /// Brings in what another process has left to this one: it could tell nobody here.
    fn queued_read(&mut self, read: Result<Vec<ExecutionId>>, now_ms: u64) {
        self.next_queued = Some(next_look_at_others(now_ms));
        match read {
            Ok(_) if self.engine.is_draining.load(Ordering::Relaxed) => {}
            Ok(queued) => {
                for execution in queued.into_iter().filter(|execution| self.engine.directory.find(*execution).is_none()) {
                    nudge(&self.engine, execution);
                }
            }
            Err(error) => tracing::warn!(error = %error, "queued executions not read"),
        }
    }

    fn inbox_read(&mut self, read: Result<Vec<ExecutionId>>, now_ms: u64) {
        self.next_inbox = Some(now_ms.saturating_add(INBOX_EVERY_MS));
        match read {
            Ok(owners) => self.nudge_all(&owners, now_ms),
            Err(error) => tracing::warn!(error = %error, "inboxes not read"),
        }
    }

    /// Nudges each owner, but none again and again.
    fn nudge_all(&mut self, owners: &[ExecutionId], now_ms: u64) {
        let is_full = owners.len() >= usize::try_from(INBOX_OWNERS_MAX).expect("a u32 fits");
        self.inbox_after = owners.last().copied().filter(|_| is_full);
        self.nudged.retain(|_, at| at.saturating_add(NUDGE_EVERY_MS) > now_ms);
        for execution in owners {
            if let Entry::Vacant(place) = self.nudged.entry(*execution) {
                place.insert(now_ms);
                nudge(&self.engine, *execution);
            }
        }
    }

    fn pruned(&mut self, pruned: Result<u64>, now_ms: u64) {
        let is_full = matches!(&pruned, Ok(count) if *count >= u64::from(PRUNE_ROWS));
        self.next_prune = Some(if is_full { now_ms } else { now_ms.saturating_add(PRUNE_EVERY_MS) });
        match pruned {
            Ok(0) => {}
            Ok(count) => tracing::info!(executions = count, "expired executions deleted"),
            Err(error) => tracing::warn!(error = %error, "expired executions not deleted"),
        }
    }

    /// A round looks after one chain: as long as it finds something, the next one follows at once.
    fn audit_pruned(&mut self, pruned: Result<u64>, now_ms: u64) {
        let goes_on = matches!(pruned, Ok(count) if count > 0);
        self.next_audit_prune = Some(if goes_on { now_ms } else { now_ms.saturating_add(PRUNE_EVERY_MS) });
        match pruned {
            Ok(0) => {}
            Ok(count) => tracing::info!(rows = count, "old rows of the audit log deleted"),
            Err(error) => tracing::warn!(error = %error, "old rows of the audit log not deleted"),
        }
    }

    fn pause(&self, now_ms: u64) -> Duration {
        let next = self.due.first().map_or(TICK_MS, |(at, _)| at.saturating_sub(now_ms).clamp(1, TICK_MS));
        Duration::from_millis(next)
    }
}

fn next_look_at_others(now_ms: u64) -> u64 {
    now_ms.saturating_add(OTHERS_EVERY_MS).saturating_add(clock::chance() % OTHERS_JITTER_MS)
}
