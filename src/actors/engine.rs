//! What every execution actor shares: the store, the lane, the pools, the services, and who is alive.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use dashmap::DashMap;
use ractor::{ActorId, ActorRef};
use serde_json::Value;
use tokio::sync::{broadcast, watch};

use super::{
    audit::AuditHandle,
    batch_runner::BatchRunnerMsg,
    code_budget::CodeBudget,
    execution::ExecutionMsg,
    execution_supervisor::ExecutionSupervisorMsg,
    followers::Followers,
    journal_lane::LaneHandle,
    live::LiveSlots,
    monitor::EngineMetrics,
    places::{Bound, Places},
    pool::PoolHandle,
    quotas::Quotas,
    shard_keeper::Ownership,
    supervisor::ServiceRef,
    timekeeper::TimekeeperMsg,
    variables::VariablesHandle,
    workflows::WorkflowsHandle,
};
use crate::{
    model::{
        event::Recorded,
        execution::ExecutionStatus,
        ids::{ExecutionId, WorkspaceId},
    },
    nodes::{Pool, plan::CompiledWorkflow, services::Services},
    store::{Store, payload::PayloadCodec},
};

/// Live events that a slow listener may fall behind before it has to read the journal again.
const LIVE_EVENTS_KEPT: usize = 1_024;

/// The shared part of the engine. Made once by `app`, held by every actor of the tree.
pub struct Engine {
    pub store: Arc<dyn Store>,
    pub codec: PayloadCodec,
    pub services: Arc<Services>,
    pub workflows: WorkflowsHandle,
    pub variables: VariablesHandle,
    pub audit: AuditHandle,
    pub ownership: Arc<Ownership>,
    pub lane: LaneHandle,
    pub pools: BTreeMap<&'static str, PoolHandle>,
    pub directory: Directory,
    /// Who may run, of workflows and workspaces that bound that.
    pub places: Places,
    /// What the code of each workspace may use.
    pub code_budget: CodeBudget,
    /// One permit per execution in memory, but for those that wait for a place.
    pub live: LiveSlots,
    /// What one workspace may use.
    pub quotas: Quotas,
    pub ends: Ends,
    pub live_events: LiveEvents,
    pub followers: Followers,
    pub supervisor: ServiceRef<ExecutionSupervisorMsg>,
    pub timekeeper: ServiceRef<TimekeeperMsg>,
    pub batch_runner: ServiceRef<BatchRunnerMsg>,
    pub settings: EngineSettings,
    pub metrics: Arc<EngineMetrics>,
    /// Whether the process is on its way out: nothing new begins.
    pub is_draining: AtomicBool,
}

impl Engine {
    /// The pool of a class.
    pub fn pool(&self, pool: Pool) -> &PoolHandle {
        self.pools.get(pool.as_str()).expect("the app makes every pool")
    }

    /// The bounds that executions of a workflow wait for, in the order in which they are asked for a place; mostly none.
    pub fn bounds(&self, workspace: WorkspaceId, plan: &CompiledWorkflow) -> Vec<Bound> {
        let limit = plan.definition.settings.concurrency.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let of_workflow = limit.map(|limit| Bound { gate: plan.workflow.uuid(), version: plan.version, limit });
        let of_workspace = self.quotas.places().map(|limit| Bound { gate: workspace.uuid(), version: 0, limit });
        of_workflow.into_iter().chain(of_workspace).collect()
    }
}

/// What the operator decides about executions.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// `$env`: the allow-listed part of the environment.
    pub env: Value,
    /// How long finished executions are kept where the workflow does not say.
    pub keep_success: Duration,
    pub keep_failure: Duration,
    /// How long rows of the audit log are kept.
    pub keep_audit: Duration,
}

/// Which executions are in memory here.
#[derive(Clone, Default)]
pub struct Directory(Arc<DirectoryMaps>);

#[derive(Default)]
struct DirectoryMaps {
    by_execution: DashMap<ExecutionId, InMemory>,
    by_actor: DashMap<ActorId, ExecutionId>,
}

/// The actor of an execution.
struct InMemory {
    actor: ActorRef<ExecutionMsg>,
    /// Whether it is about to stop: what is sent to it now may be lost.
    is_leaving: bool,
}

/// Takes an execution out of the directory when its actor's state goes, however that comes about.
pub struct DirectoryEntry {
    directory: Directory,
    execution: ExecutionId,
    actor: ActorId,
}

impl Directory {
    /// Enters a starting actor. `None` if the execution is in memory already.
    pub fn enter(&self, execution: ExecutionId, actor: &ActorRef<ExecutionMsg>) -> Option<DirectoryEntry> {
        match self.0.by_execution.entry(execution) {
            dashmap::Entry::Occupied(_) => None,
            dashmap::Entry::Vacant(place) => {
                place.insert(InMemory { actor: actor.clone(), is_leaving: false });
                Some(DirectoryEntry { directory: self.clone(), execution, actor: actor.get_id() })
            }
        }
    }

    /// Remembers a started actor's execution until [`Directory::forget_actor`]: an actor that does not start is never asked for.
    pub fn started(&self, execution: ExecutionId, actor: ActorId) {
        self.0.by_actor.insert(actor, execution);
    }

    /// The actor of an execution that is in memory, and stays there for now.
    pub fn find(&self, execution: ExecutionId) -> Option<ActorRef<ExecutionMsg>> {
        let entry = self.0.by_execution.get(&execution)?;
        (!entry.is_leaving).then(|| entry.actor.clone())
    }

    /// Notes that an actor is about to stop: call it before it is told to. Until then, whoever sends it something reaches it.
    pub fn leaves(&self, execution: ExecutionId, actor: ActorId) {
        if let Some(mut entry) = self.0.by_execution.get_mut(&execution)
            && entry.actor.get_id() == actor
        {
            entry.is_leaving = true;
        }
    }

    /// Whether an execution is in memory with an actor that is about to stop.
    pub fn is_leaving(&self, execution: ExecutionId) -> bool {
        self.0.by_execution.get(&execution).is_some_and(|entry| entry.is_leaving)
    }

    /// The execution of an actor that has ended: asked once, by the supervisor.
    pub fn forget_actor(&self, actor: ActorId) -> Option<ExecutionId> {
        self.0.by_actor.remove(&actor).map(|(_, execution)| execution)
    }

    /// Everything that is in memory.
    pub fn all(&self) -> Vec<(ExecutionId, ActorRef<ExecutionMsg>)> {
        self.0.by_execution.iter().map(|entry| (*entry.key(), entry.actor.clone())).collect()
    }

    pub fn len(&self) -> usize {
        self.0.by_execution.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.by_execution.is_empty()
    }
}

impl Drop for DirectoryEntry {
    fn drop(&mut self) {
        self.directory.0.by_execution.remove_if(&self.execution, |_, entry| entry.actor.get_id() == self.actor);
    }
}

/// Tells those who wait for an execution's end. A hint: whoever waits reads the store again.
#[derive(Clone, Default)]
pub struct Ends(Arc<DashMap<ExecutionId, watch::Sender<Option<ExecutionStatus>>>>);

impl Ends {
    /// Listens for the end of an execution.
    pub fn listen(&self, execution: ExecutionId) -> watch::Receiver<Option<ExecutionStatus>> {
        self.0.entry(execution).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }

    /// Stops listening; the last listener takes the entry away.
    pub fn leave(&self, execution: ExecutionId, receiver: watch::Receiver<Option<ExecutionStatus>>) {
        drop(receiver);
        self.0.remove_if(&execution, |_, sender| sender.receiver_count() == 0);
    }

    pub fn ended(&self, execution: ExecutionId, status: ExecutionStatus) {
        if let Some(sender) = self.0.get(&execution) {
            sender.send_replace(Some(status));
        }
    }
}

/// Committed events as they happen, for progress views. Views may miss some: the journal has them all.
#[derive(Clone)]
pub struct LiveEvents(broadcast::Sender<LiveEvent>);

/// Events of one commit.
#[derive(Debug, Clone)]
pub struct LiveEvent {
    pub workspace: WorkspaceId,
    pub execution: ExecutionId,
    /// Number of the first event.
    pub seq: u32,
    pub events: Arc<Vec<Recorded>>,
}

impl Default for LiveEvents {
    fn default() -> Self {
        Self(broadcast::Sender::new(LIVE_EVENTS_KEPT))
    }
}

impl LiveEvents {
    pub fn subscribe(&self) -> broadcast::Receiver<LiveEvent> {
        self.0.subscribe()
    }

    /// Publishes what `make` returns, if anybody listens.
    pub fn publish(&self, make: impl FnOnce() -> LiveEvent) {
        if self.0.receiver_count() > 0 {
            // The last listener may have left in between: then nobody misses the event.
            let _ = self.0.send(make());
        }
    }
}
