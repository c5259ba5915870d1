//! Parent of every execution actor. Parent of this one: the root supervisor. It brings executions back: all that were live
//! when this process took their shard, one when it is due or addressed, and one whose actor died, after a pause.
//!
//! Bounds: [`ACTIVATIONS_AT_ONCE`] journals are read at a time, and an execution in memory holds one of the engine's permits.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    engine::Engine,
    execution::{ExecutionActor, ExecutionArgs, ExecutionMsg, Recover},
    metering::{RestartReason, metered},
    places::Hold,
};
use crate::{failpoint, model::ids::ExecutionId};

/// Executions whose journals are read at the same time.
const ACTIVATIONS_AT_ONCE: usize = 32;
/// Executions that one look at the store finds.
const LIVE_PAGE_ROWS: u32 = 500;
/// Tries to bring one execution back before it is left for the next start.
const ATTEMPTS_MAX: u32 = 8;
/// Pause before the first of those tries, in milliseconds; it doubles.
const PAUSE_MS: u64 = 100;

/// Messages of the execution supervisor.
pub enum ExecutionSupervisorMsg {
    /// Shard keeper -> supervisor: bring back what is live in these shards.
    Recover { shards: Vec<u16> },
    /// The listing task -> supervisor: as `Activate`; new executions of bounded workflows wait meanwhile.
    Revive { execution: ExecutionId, hold: Arc<Hold> },
    /// Shard keeper -> supervisor: these shards belong to somebody else.
    Release { shards: Vec<u16> },
    /// Anybody -> supervisor: bring this execution into memory, if it is not there.
    Activate { execution: ExecutionId },
    /// The activating task -> supervisor.
    Activated { execution: ExecutionId, failure: Option<String> },
}

super::metering::metered!(ExecutionSupervisorMsg);

/// The supervisor's memory.
pub struct ExecutionSupervisorState {
    engine: Arc<Engine>,
    /// Executions that are being brought back.
    activating: HashSet<ExecutionId>,
    /// Executions that were addressed while they were being brought back, or while their actor was about to stop.
    again: HashSet<ExecutionId>,
    /// How often and why executions died or could not be brought back.
    troubles: HashMap<ExecutionId, Trouble>,
    /// Aborted when the supervisor ends.
    tasks: JoinSet<()>,
    readers: Arc<Semaphore>,
}

struct Trouble {
    count: u32,
    cause: String,
}

/// The actor.
pub struct ExecutionSupervisor;

impl Actor for ExecutionSupervisor {
    type Msg = ExecutionSupervisorMsg;
    type State = ExecutionSupervisorState;
    type Arguments = Arc<Engine>;

    async fn pre_start(
        &self,
        myself: ActorRef<ExecutionSupervisorMsg>,
        engine: Arc<Engine>,
    ) -> Result<ExecutionSupervisorState, ActorProcessingErr> {
        myself.cast(ExecutionSupervisorMsg::Recover { shards: engine.ownership.shards() })?;
        Ok(ExecutionSupervisorState {
            engine,
            activating: HashSet::new(),
            again: HashSet::new(),
            troubles: HashMap::new(),
            tasks: JoinSet::new(),
            readers: Arc::new(Semaphore::new(ACTIVATIONS_AT_ONCE)),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<ExecutionSupervisorMsg>,
        msg: ExecutionSupervisorMsg,
        state: &mut ExecutionSupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        while state.tasks.try_join_next().is_some() {}
        match msg {
            ExecutionSupervisorMsg::Recover { shards } => state.recover(&myself, shards),
            ExecutionSupervisorMsg::Release { shards } => state.release(&shards),
            ExecutionSupervisorMsg::Activate { execution } => state.activate(&myself, execution, None),
            ExecutionSupervisorMsg::Revive { execution, hold } => state.activate(&myself, execution, Some(hold)),
            ExecutionSupervisorMsg::Activated { execution, failure } => state.activated(&myself, execution, failure),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<ExecutionSupervisorMsg>,
        event: SupervisionEvent,
        state: &mut ExecutionSupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, cause) => {
                if let Some(execution) = state.engine.directory.forget_actor(child.get_id()) {
                    tracing::error!(execution.id = %execution, cause = %cause, "execution actor died");
                    super::observatory::count_restart("execution", RestartReason::Failed);
                    state.try_later(&myself, execution, cause.to_string());
                }
            }
            SupervisionEvent::ActorTerminated(child, _, _) => {
                if let Some(execution) = state.engine.directory.forget_actor(child.get_id()) {
                    state.troubles.remove(&execution);
                    state.left(&myself, execution);
                }
            }
            SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_)
            | SupervisionEvent::PidLifecycleEvent(_) => {}
        }
        Ok(())
    }
}

impl ExecutionSupervisorState {
    /// Looks for the live executions of the shards, a page at a time, and activates each.
    fn recover(&mut self, myself: &ActorRef<ExecutionSupervisorMsg>, shards: Vec<u16>) {
        if shards.is_empty() {
            return;
        }
        let (store, myself) = (Arc::clone(&self.engine.store), myself.clone());
        let hold = self.engine.places.hold();
        self.tasks.spawn(async move {
            let mut after = None;
            loop {
                match store.list_live(&shards, after, LIVE_PAGE_ROWS).await {
                    Ok(page) => {
                        failpoint!("supervisor.during_takeover");
                        let Some(last) = page.last() else { return };
                        after = Some(*last);
                        for execution in page {
                            let _ = myself.cast(ExecutionSupervisorMsg::Revive { execution, hold: Arc::clone(&hold) });
                        }
                    }
                    Err(error) => {
                        tracing::warn!(error = %error, "live executions not listed, trying again");
                        tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
                    }
                }
            }
        });
    }

    /// Stops what runs in shards that were lost. Its next write would have been refused anyway. A shard may come back before an
    /// actor has stopped: then the execution is brought back when it has.
    fn release(&self, shards: &[u16]) {
        for (execution, actor) in self.engine.directory.all() {
            if shards.contains(&execution.shard()) {
                self.engine.directory.leaves(execution, actor.get_id());
                actor.stop(Some("the shard has another owner".to_owned()));
            }
        }
    }

    fn activate(&mut self, myself: &ActorRef<ExecutionSupervisorMsg>, execution: ExecutionId, hold: Option<Arc<Hold>>) {
        if let Some(actor) = self.engine.directory.find(execution)
            && actor.cast(ExecutionMsg::Nudge).is_ok()
        {
            return;
        }
        if self.engine.directory.is_leaving(execution) || !self.activating.insert(execution) {
            self.again.insert(execution);
            return;
        }
        let (engine, myself, readers) = (Arc::clone(&self.engine), myself.clone(), Arc::clone(&self.readers));
        let last_cause = self.troubles.get(&execution).map(|trouble| trouble.cause.clone());
        self.tasks.spawn(async move {
            let found = Stored { execution, last_cause, hold };
            let failure = bring_back(&engine, &myself, &readers, found).await.err();
            let _ = myself.cast(ExecutionSupervisorMsg::Activated { execution, failure });
        });
    }

    fn activated(&mut self, myself: &ActorRef<ExecutionSupervisorMsg>, execution: ExecutionId, failure: Option<String>) {
        self.activating.remove(&execution);
        let is_wanted_again = self.again.remove(&execution);
        match failure {
            Some(cause) => self.try_later(myself, execution, cause),
            // Whoever knocked during the activation may have come after its look at the inbox.
            None if is_wanted_again => self.activate(myself, execution, None),
            None => {}
        }
    }

    /// An actor has left memory. Whoever knocked while it did so was not heard.
    fn left(&mut self, myself: &ActorRef<ExecutionSupervisorMsg>, execution: ExecutionId) {
        let is_open = !self.engine.is_draining.load(Ordering::Relaxed) && !self.activating.contains(&execution);
        if is_open && self.again.remove(&execution) {
            self.activate(myself, execution, None);
        }
    }

    fn try_later(&mut self, myself: &ActorRef<ExecutionSupervisorMsg>, execution: ExecutionId, cause: String) {
        let trouble = self.troubles.entry(execution).or_insert(Trouble { count: 0, cause: String::new() });
        trouble.count += 1;
        trouble.cause = cause;
        if trouble.count > ATTEMPTS_MAX {
            tracing::error!(execution.id = %execution, cause = trouble.cause, "execution cannot be brought back");
            self.troubles.remove(&execution);
            return;
        }
        let pause = Duration::from_millis(PAUSE_MS << trouble.count);
        // The timer casts; a supervisor that is gone meanwhile looks at the store when it comes back.
        drop(myself.send_after(pause, move || ExecutionSupervisorMsg::Activate { execution }));
    }
}

/// An execution to bring back.
struct Stored {
    execution: ExecutionId,
    last_cause: Option<String>,
    hold: Option<Arc<Hold>>,
}

/// Starts the actor of a stored execution. It reads its journal before it counts as started.
async fn bring_back(
    engine: &Arc<Engine>,
    supervisor: &ActorRef<ExecutionSupervisorMsg>,
    readers: &Semaphore,
    stored: Stored,
) -> Result<(), String> {
    let Stored { execution: id, last_cause, hold } = stored;
    let permit = engine.live.comes_back().await;
    let _reader = readers.acquire().await.map_err(|error| error.to_string())?;
    if engine.directory.find(id).is_some() {
        return Ok(());
    }
    let args = ExecutionArgs::Recover(Box::new(Recover { id, engine: Arc::clone(engine), permit, last_cause, hold }));
    let actor = metered(ExecutionActor, "execution").serving(id);
    Actor::spawn_linked(None, actor, args, supervisor.get_cell()).await.map(|_| ()).map_err(|error| error.to_string())
}

/// Says that there is something in an execution's inbox. A lost nudge is found by the timekeeper's look at the inboxes.
pub fn nudge(engine: &Engine, execution: ExecutionId) {
    if let Some(actor) = engine.directory.find(execution)
        && actor.cast(ExecutionMsg::Nudge).is_ok()
    {
        return;
    }
    if let Some(supervisor) = engine.supervisor.get() {
        let _ = supervisor.cast(ExecutionSupervisorMsg::Activate { execution });
    }
}
