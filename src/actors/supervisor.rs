//! Starts a fixed list of services in order, starts each that ends again after a growing pause, and stops them in reverse order.
//! Parent: another supervisor, or none for the root. Children: the services. Restart rule: one for one; more ends than the
//! tolerance allows is a meltdown: the supervisor stops its children and then itself, which its parent counts as one end.
//! The root reports its meltdown to the process, which exits. Bounds: one timer or one starting task per child.

mod service_ref;
mod state;
#[cfg(test)]
mod tests;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent, concurrency::JoinHandle};
use serde::Serialize;

pub use self::service_ref::ServiceRef;
use self::state::SupervisorState;
use super::{
    ask::{AskError, ask},
    metering::{RestartReason, metered},
};

/// The pause before the first restart, in milliseconds; it doubles with every further one.
const BACKOFF_MS_MIN: u64 = 100;
/// The longest pause, in milliseconds: short enough that a child which always fails exceeds ten ends a minute.
const BACKOFF_MS_MAX: u64 = 5_000;
/// A child that lived this long starts over with the shortest pause.
const STEADY_MS: u64 = 60_000;
/// How long a child may take to start, in milliseconds.
const START_MS_MAX: u64 = 60_000;
/// How long a child may take to stop at least, in milliseconds, also when those before it have used up the time of all: one
/// stuck service must not keep another from writing down or releasing what it holds.
const STOP_MS_MIN: u64 = 1_000;
/// How long a killed child may take to end, in milliseconds. Only a handler that never yields needs more, and nothing ends that.
const KILL_MS_MAX: u64 = 1_000;
/// How long a snapshot may take.
const SNAPSHOT_WITHIN: Duration = Duration::from_millis(500);
/// The reason that children see when their supervisor stops.
const SHUTDOWN: &str = "shutdown";
/// The reason with which a supervisor ends that gives up.
const MELTDOWN: &str = "meltdown";

/// The future of a start.
type Starting = Pin<Box<dyn Future<Output = Result<ActorCell, SpawnErr>> + Send>>;

/// How to start one child.
#[derive(Clone)]
pub struct ChildSpec {
    kind: &'static str,
    slot: &'static str,
    start: Arc<dyn Fn(ActorCell) -> Starting + Send + Sync>,
}

impl ChildSpec {
    /// Specifies a child. `start` spawns it linked to the supervisor that it is given; `kind` is the one it is metered under,
    /// `slot` tells children of one kind apart. Most children are better specified by [`ServiceRef::child`].
    pub fn new<F, S>(kind: &'static str, slot: &'static str, start: F) -> Self
    where
        F: Fn(ActorCell) -> S + Send + Sync + 'static,
        S: Future<Output = Result<ActorCell, SpawnErr>> + Send + 'static,
    {
        Self { kind, slot, start: Arc::new(move |supervisor| Box::pin(start(supervisor))) }
    }
}

/// How often children may end before the supervisor gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// More than `ends_max` within `window` is a meltdown.
    Limited { ends_max: usize, window: Duration },
    /// Restarts for ever.
    Unlimited,
}

/// Why a supervisor gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meltdown {
    /// The child whose end was one too many.
    pub slot: &'static str,
    /// How it ended.
    pub cause: String,
}

/// Told of a meltdown after the children have stopped.
pub type OnMeltdown = Box<dyn FnOnce(Meltdown) + Send>;

/// A child could not start, when its supervisor started: so that one does not start, either.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the service {slot}")]
pub struct FirstStartFailed {
    pub slot: &'static str,
    #[source]
    pub source: SpawnErr,
}

/// What a supervisor needs.
pub struct SupervisorArgs {
    /// In the order of their start.
    pub children: Vec<ChildSpec>,
    pub tolerance: Tolerance,
    /// How long all children together may take to stop. Then those that are left have a second each before they are killed.
    pub stop_within: Duration,
    /// For the root; other supervisors escalate to their parent.
    pub on_meltdown: Option<OnMeltdown>,
}

/// One child. **Shape**: `{"kind", "slot", "status", "restarts", "last_cause"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChildView {
    pub kind: &'static str,
    pub slot: &'static str,
    /// `up`, `starting` or `down` (waiting for its restart).
    pub status: &'static str,
    pub restarts: u64,
    /// How it ended last.
    pub last_cause: Option<String>,
}

/// What a supervisor is told.
pub enum SupervisorMsg {
    /// Timer -> supervisor. The pause before a restart is over.
    Restart { index: usize },
    /// Starting task -> supervisor.
    Started { index: usize, outcome: Result<ActorCell, SpawnErr> },
    /// Handle -> supervisor. Replies with every child, in the order of their start.
    Snapshot { reply: RpcReplyPort<Vec<ChildView>> },
}

metered!(SupervisorMsg);

/// The supervisor's shell.
pub struct Supervisor;

impl Actor for Supervisor {
    type Msg = SupervisorMsg;
    type State = SupervisorState;
    type Arguments = SupervisorArgs;

    /// Starts the children, one after the other: a service may rely on those before it.
    ///
    /// Errors: [`FirstStartFailed`]; the children that had started are stopped again.
    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMsg>,
        args: SupervisorArgs,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let mut state = SupervisorState::new(args);
        if let Err(failed) = state.start_all(&myself).await {
            state.stop_all(&myself).await;
            return Err(failed.into());
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMsg>,
        message: SupervisorMsg,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMsg::Restart { index } => state.restart(&myself, index),
            SupervisorMsg::Started { index, outcome } => state.started(&myself, index, outcome),
            SupervisorMsg::Snapshot { reply } => {
                let _ = reply.send(state.snapshot()); // Fails if nobody waits any more.
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMsg>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, error) => {
                state.ended(&myself, &child, RestartReason::Failed, error.to_string());
            }
            SupervisionEvent::ActorTerminated(child, _, reason) => {
                let cause = reason.unwrap_or_else(|| "stopped".to_owned());
                state.ended(&myself, &child, RestartReason::Ended, cause);
            }
            SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_)
            | SupervisionEvent::PidLifecycleEvent(_) => {}
        }
        Ok(())
    }

    async fn post_stop(&self, myself: ActorRef<SupervisorMsg>, state: &mut SupervisorState) -> Result<(), ActorProcessingErr> {
        state.stop_all(&myself).await;
        state.report_meltdown();
        Ok(())
    }
}

/// The root of the tree, for the process that starts and stops it.
pub struct RootHandle {
    root: ActorRef<SupervisorMsg>,
    ended: JoinHandle<()>,
}

impl RootHandle {
    /// Starts a supervisor without a parent. Answers when every child has started.
    ///
    /// Errors: the source of the `SpawnErr` is [`FirstStartFailed`].
    pub async fn start(args: SupervisorArgs) -> Result<Self, SpawnErr> {
        let (root, ended) = Actor::spawn(None, metered(Supervisor, "supervisor").serving("root"), args).await?;
        Ok(Self { root, ended })
    }

    /// The root's children.
    ///
    /// Errors: `Gone` after its end.
    pub async fn snapshot(&self) -> Result<Vec<ChildView>, AskError> {
        ask(&self.root, |reply| SupervisorMsg::Snapshot { reply }, SNAPSHOT_WITHIN).await
    }

    /// Stops every child, in reverse order and with the deadline of the arguments, and then the root.
    pub async fn stop(self) {
        self.root.stop(Some(SHUTDOWN.to_owned()));
        self.ended().await;
    }

    /// Answers when the root has ended, by a meltdown for example.
    pub async fn ended(self) {
        let _ = self.ended.await; // Fails only while the runtime shuts down.
    }
}
