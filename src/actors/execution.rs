//! One actor per live execution: it folds the journal into the machine, runs pure nodes itself, and starts a node actor per
//! effect. Parent: `ExecutionSupervisor` (restart from the journal). Children: `NodeActor`.
//!
//! Journal first, act after: what leaves the process waits until everything decided before it is committed. One append is in
//! flight at most. An execution that only waits stops its actor; the store keeps when it is due.
//! Bounds: effects in flight by the machine, events per append by [`journal::EVENTS_PENDING_MAX`].

mod decide;
mod error_workflow;
mod family;
mod inbox;
mod journal;
mod past;
mod perform;
mod recover;
mod snapshots;
mod turn;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

pub use self::{
    decide::{check_outputs, panicked},
    journal::Origin,
    past::read_events,
};
use self::{journal::Journal, turn::Standing};
use super::{
    engine::{DirectoryEntry, Engine},
    journal_lane::Verdict,
    live::LivePermit,
    node_run::{NodeEnded, NodeMsg},
    places::{Hold, Turn},
};
use crate::{
    clock, failpoint,
    model::{
        error::NodeError,
        event::{Attempt, Event, ExecutionError, Recorded, Response},
        execution::ExecutionStatus,
        ids::ExecutionId,
        item::Item,
        machine::{Effect, Machine},
        trace::TraceParent,
    },
    nodes::plan::CompiledWorkflow,
    runtimes::{javascript::GuestSession, scope::RunData},
    store::InboxRow,
};

/// An execution that waits longer than this leaves memory, in milliseconds.
const PASSIVATE_AFTER_MS: u64 = 5_000;
/// Timers further away than this are left to the timekeeper's sweep, in milliseconds.
pub const TIMER_HORIZON_MS: u64 = 60_000;

/// Messages of an execution.
pub enum ExecutionMsg {
    /// Lane -> execution: the append in flight has its verdict.
    Committed(Verdict),
    /// Node actor -> execution. Carries its attempt, so a late one is ignored.
    NodeEnded(Box<NodeEnded>),
    /// Node actor -> execution: these items of an attempt are done.
    NodeProgressed { attempt: Attempt, done: Vec<(u32, Item)> },
    /// Timer or timekeeper -> execution: look at the time.
    Wake,
    /// Anybody -> execution: there is something in the inbox.
    Nudge,
    /// The reading task -> execution.
    InboxRead(Vec<InboxRow>),
    /// The reading task -> execution: how it stands with the parent; `None` if that could not be read.
    ParentSeen(Option<ExecutionStatus>),
    /// The starting task -> execution: the error workflow is started, or will not be.
    MayEnd { status: ExecutionStatus, error: Option<ExecutionError> },
    /// The waiting task -> execution: there is a place, and this permit to run.
    TurnCame(LivePermit),
    /// Handle -> execution: answer as soon as the creation is durable.
    EnsureDurable { reply: oneshot::Sender<()> },
}

super::metering::metered!(ExecutionMsg);

/// What an execution actor begins with.
pub enum ExecutionArgs {
    /// A new execution.
    Fresh(Box<Fresh>),
    /// One that is in the store.
    Recover(Box<Recover>),
}

/// One that is in the store.
pub struct Recover {
    pub id: ExecutionId,
    pub engine: Arc<Engine>,
    pub permit: LivePermit,
    /// Why it died last, if it did here.
    pub last_cause: Option<String>,
    /// Kept until it has asked for a place, where it needs one.
    pub hold: Option<Arc<Hold>>,
}

/// A new execution.
pub struct Fresh {
    pub id: ExecutionId,
    pub engine: Arc<Engine>,
    pub plan: Arc<CompiledWorkflow>,
    /// `None` if it has to wait for a place.
    pub permit: Option<LivePermit>,
    /// Its turn, if something bounds how many run at once.
    pub turn: Option<Turn>,
    pub origin: Origin,
    /// The `Created` event.
    pub created: Recorded,
    /// The status with which the creation is in the store already (a keyed start).
    pub stored_as: Option<ExecutionStatus>,
    /// What a retry takes over.
    pub reused: Vec<Recorded>,
    pub waiter: Option<Waiter>,
}

/// Somebody who waits for a start.
pub struct Waiter {
    pub until: Milestone,
    pub reply: oneshot::Sender<Reached>,
}

/// What a waiter waits for; always told after the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Milestone {
    Durable,
    Responded,
    Finished,
}

/// What a waiter is told.
#[derive(Debug)]
pub enum Reached {
    Durable,
    Responded(Response),
    Finished {
        status: ExecutionStatus,
        error: Option<ExecutionError>,
        result: Vec<Item>,
    },
    /// The creation was refused: the id is taken, or the shard has another owner.
    Refused(Verdict),
}

/// An actor's memory; `live` is empty until a recovery has read the journal.
pub struct ExecutionState {
    engine: Arc<Engine>,
    id: ExecutionId,
    live: Option<Live>,
    entry: Option<DirectoryEntry>,
}

/// The activation of a recovered execution, as the store counts it.
#[derive(Debug, Clone, Copy)]
struct Activation {
    seq: u32,
    count: u32,
}

/// An execution in memory.
struct Live {
    id: ExecutionId,
    engine: Arc<Engine>,
    plan: Arc<CompiledWorkflow>,
    machine: Machine,
    data: Arc<RunData>,
    /// The trace that the start belongs to.
    trace: Option<TraceParent>,
    journal: Journal,
    /// Decided, not looked at yet.
    worklist: VecDeque<Effect>,
    /// To be done after the next commit.
    after_commit: Vec<Effect>,
    /// To be done after the commit in flight.
    committing: Vec<Effect>,
    nodes: HashMap<(Arc<str>, u32), ActorRef<NodeMsg>>,
    guest: Option<GuestSession>,
    waiter: Option<Waiter>,
    durable_waiters: Vec<oneshot::Sender<()>>,
    inbox: inbox::Inbox,
    family: family::Family,
    standing: Standing,
    /// One of the engine's permits, unless the execution waits for a place.
    permit: Option<LivePermit>,
    /// Kept from a recovery until the execution has asked for a place.
    hold: Option<Arc<Hold>>,
    is_recovered: bool,
    activation: Option<Activation>,
    /// Unix milliseconds of the timer that is set; an earlier one has rung.
    timer_at: Option<u64>,
}

/// The actor.
pub struct ExecutionActor;

impl Actor for ExecutionActor {
    type Msg = ExecutionMsg;
    type State = ExecutionState;
    type Arguments = ExecutionArgs;

    async fn pre_start(&self, myself: ActorRef<ExecutionMsg>, args: ExecutionArgs) -> Result<ExecutionState, ActorProcessingErr> {
        let (engine, id) = match &args {
            ExecutionArgs::Fresh(fresh) => (Arc::clone(&fresh.engine), fresh.id),
            ExecutionArgs::Recover(recover) => (Arc::clone(&recover.engine), recover.id),
        };
        let entry = engine.directory.enter(id, &myself).ok_or("the execution is in memory already")?;
        let live = match args {
            ExecutionArgs::Fresh(fresh) => Some(Live::fresh(*fresh)),
            ExecutionArgs::Recover(recover) => recover::load(*recover).await?,
        };
        Ok(ExecutionState { engine, id, live, entry: Some(entry) })
    }

    async fn post_start(&self, myself: ActorRef<ExecutionMsg>, state: &mut ExecutionState) -> Result<(), ActorProcessingErr> {
        state.engine.directory.started(state.id, myself.get_id());
        match &mut state.live {
            Some(live) => {
                if live.is_recovered {
                    failpoint!("execution.resume");
                    live.look_at_the_time();
                    live.read_inbox(&myself);
                    live.look_at_parent(&myself);
                }
                live.go_on(&myself).await?;
                live.hold = None;
                Ok(())
            }
            None => {
                // Nothing to run: it ended in between, or its shard went elsewhere.
                tracing::debug!(execution.id = %state.id, "nothing to resume");
                state.engine.directory.leaves(state.id, myself.get_id());
                myself.stop(None);
                Ok(())
            }
        }
    }

    async fn handle(
        &self,
        myself: ActorRef<ExecutionMsg>,
        msg: ExecutionMsg,
        state: &mut ExecutionState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(live) = &mut state.live else { return Ok(()) };
        failpoint!("execution.handle");
        match msg {
            ExecutionMsg::Committed(verdict) => {
                if !live.committed(verdict, &myself).await? {
                    return Ok(());
                }
            }
            ExecutionMsg::NodeEnded(ended) => live.node_ended(*ended),
            ExecutionMsg::NodeProgressed { attempt, .. } if live.machine.current(&attempt).is_none() => {}
            ExecutionMsg::NodeProgressed { attempt, done } => live.happened(Event::NodeProgressed { attempt, done }),
            ExecutionMsg::Wake => live.look_at_the_time(),
            ExecutionMsg::Nudge => live.read_inbox(&myself),
            ExecutionMsg::InboxRead(rows) => {
                live.inbox_read(rows).await?;
                if live.take_read_again() {
                    live.read_inbox(&myself);
                }
            }
            ExecutionMsg::ParentSeen(status) => live.parent_seen(status),
            ExecutionMsg::TurnCame(permit) => live.turn_came(permit),
            ExecutionMsg::MayEnd { status, error } => live.happened(Event::Finished { status, error }),
            ExecutionMsg::EnsureDurable { reply } => live.ensure_durable(reply),
        }
        live.go_on(&myself).await
    }

    async fn post_stop(&self, _myself: ActorRef<ExecutionMsg>, state: &mut ExecutionState) -> Result<(), ActorProcessingErr> {
        // Whoever addresses it now brings it back. A drain waits for those that are entered.
        state.entry = state.entry.take().filter(|_| state.engine.is_draining.load(Ordering::Relaxed));
        if let Some(live) = &state.live {
            live.left_in_order().await;
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<ExecutionMsg>,
        event: SupervisionEvent,
        state: &mut ExecutionState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, cause) => {
                let Some(live) = &mut state.live else { return Ok(()) };
                let dead = live.nodes.iter().find(|(_, actor)| actor.get_id() == child.get_id()).map(|(key, _)| key.clone());
                if let Some(key) = dead {
                    live.node_died(&key, &cause.to_string());
                    live.go_on(&myself).await?;
                }
                Ok(())
            }
            SupervisionEvent::ActorTerminated(..)
            | SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_)
            | SupervisionEvent::PidLifecycleEvent(_) => Ok(()),
        }
    }
}

impl Live {
    fn fresh(fresh: Fresh) -> Self {
        let machine = Machine::new(Arc::clone(&fresh.plan.graph));
        let first_events = u32::try_from(fresh.reused.len()).expect("what is taken over is limited").saturating_add(1);
        let journal = match fresh.stored_as {
            None => Journal::new(fresh.origin, fresh.created.at),
            Some(status) => Journal::recovered(fresh.origin, fresh.created.at, first_events, status),
        };
        let data = run_data(&fresh.engine, &fresh.plan, fresh.id, &fresh.created.event);
        let trace = trace_of(&fresh.created.event);
        let mut live = Self::with(fresh.id, fresh.engine, fresh.plan, machine, data, journal);
        live.waiter = fresh.waiter;
        live.permit = fresh.permit;
        live.trace = trace;
        if fresh.turn.is_some() {
            live.standing = Standing::Outside(fresh.turn);
        }
        for Recorded { at, event } in std::iter::once(fresh.created).chain(fresh.reused) {
            if fresh.stored_as.is_some() {
                let effects = live.machine.apply(&event, at);
                live.worklist.extend(effects);
            } else {
                live.happened_at(event, at);
            }
        }
        live
    }

    fn with(
        id: ExecutionId,
        engine: Arc<Engine>,
        plan: Arc<CompiledWorkflow>,
        machine: Machine,
        data: RunData,
        journal: Journal,
    ) -> Self {
        let is_free = engine.bounds(journal.workspace(), &plan).is_empty();
        let standing = if is_free { Standing::Free } else { Standing::Outside(None) };
        Self {
            id,
            engine,
            plan,
            machine,
            data: Arc::new(data),
            trace: None,
            journal,
            worklist: VecDeque::new(),
            after_commit: Vec::new(),
            committing: Vec::new(),
            nodes: HashMap::new(),
            guest: None,
            waiter: None,
            durable_waiters: Vec::new(),
            inbox: inbox::Inbox::default(),
            family: family::Family::default(),
            standing,
            permit: None,
            hold: None,
            is_recovered: false,
            activation: None,
            timer_at: None,
        }
    }

    /// Applies an event now; it is journaled with the next append.
    fn happened(&mut self, event: Event) {
        self.happened_at(event, clock::now_ms());
    }

    fn happened_at(&mut self, event: Event, at: u64) {
        let effects = self.machine.apply(&event, at);
        self.journal.flush_wanted |= self.wants_commit(&event);
        self.journal.add(Recorded { at, event });
        self.worklist.extend(effects);
    }

    fn node_ended(&mut self, ended: NodeEnded) {
        self.nodes.remove(&(Arc::clone(&ended.attempt.node), ended.attempt.run));
        if let Some(guest) = ended.guest {
            self.guest = Some(guest);
        }
        if self.machine.current(&ended.attempt).is_some() {
            let event = self.event_of(ended.attempt, ended.started_at, ended.took, ended.result);
            self.happened(event.with_log(ended.log));
        }
    }

    /// A node actor itself died: that is a failed attempt of its node.
    fn node_died(&mut self, key: &(Arc<str>, u32), cause: &str) {
        self.nodes.remove(key);
        let Some(attempt) = self.machine.current_attempt(&key.0, key.1) else { return };
        let error = NodeError::transient(crate::model::error::codes::PANICKED, format!("the node's actor died: {cause}"));
        let node_type = self.plan.node_type(&attempt.node).unwrap_or_default();
        self.engine.metrics.attempt_ended(node_type, Duration::ZERO, Some(&error), clock::now_ms());
        self.happened(Event::NodeFailed { attempt, started_at: clock::now_ms(), error, chance: clock::chance(), log: None });
    }

    fn look_at_the_time(&mut self) {
        let now_ms = clock::now_ms();
        for event in self.machine.due(now_ms) {
            self.happened_at(event, now_ms);
        }
    }

    fn ensure_durable(&mut self, reply: oneshot::Sender<()>) {
        if self.journal.is_durable() {
            // The caller may have gone: then nobody needs the answer.
            let _ = reply.send(());
        } else {
            self.durable_waiters.push(reply);
            self.journal.flush_wanted = true;
        }
    }

    /// Whether nothing is open, and what comes next is far away or somebody else's to bring.
    fn rests(&self, now_ms: u64) -> bool {
        let soon = self.machine.next_wake().is_some_and(|at| at <= now_ms.saturating_add(PASSIVATE_AFTER_MS));
        self.machine.is_waiting() && !soon && self.journal.is_idle() && self.nodes.is_empty()
    }

    /// Whether the actor can stop.
    fn can_leave(&self, now_ms: u64) -> bool {
        let is_looking = self.inbox.is_reading || self.family.is_looking;
        let is_awaited = self.waiter.as_ref().is_some_and(|waiter| !waiter.reply.is_closed());
        let is_draining = self.engine.is_draining.load(Ordering::Relaxed) && self.journal.is_idle() && self.nodes.is_empty();
        !is_looking && (is_draining || (!is_awaited && self.rests(now_ms)))
    }

    /// Sets a timer for the next thing that time brings, if it is near and no timer rings before it.
    fn arm_timer(&mut self, myself: &ActorRef<ExecutionMsg>, now_ms: u64) {
        let Some(at) = self.machine.next_wake().filter(|at| *at <= now_ms.saturating_add(TIMER_HORIZON_MS)) else { return };
        if self.timer_at.is_some_and(|set| set > now_ms && set <= at) {
            return;
        }
        self.timer_at = Some(at);
        let pause = Duration::from_millis(at.saturating_sub(now_ms).saturating_add(1));
        // An early or doubled wake is harmless: the machine compares with the time.
        drop(myself.send_after(pause, || ExecutionMsg::Wake));
    }
}

/// The trace that a start belongs to.
fn trace_of(created: &Event) -> Option<TraceParent> {
    match created {
        Event::Created { context, .. } => context.as_ref()?.trace,
        _ => None,
    }
}

/// What expressions of this execution see of it.
fn run_data(engine: &Engine, plan: &CompiledWorkflow, id: ExecutionId, created: &Event) -> RunData {
    let (trigger, nesting, context) = match created {
        Event::Created { trigger, nesting, context, .. } => (json!(trigger), *nesting, context.as_deref()),
        _ => (json!(null), 0, None),
    };
    RunData {
        execution: json!({ "id": id, "trigger": trigger, "nesting": nesting }),
        workflow: plan.describe(),
        vars: Value::Object(context.map_or_else(Map::new, |context| context.vars.clone())),
        env: engine.settings.env.clone(),
        timezone: plan.definition.settings.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
    }
}
