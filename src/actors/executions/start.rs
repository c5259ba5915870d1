//! Starting an execution: admission, the first event, and waiting for what the caller wants to know.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ractor::{Actor, ActorRef};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::{
    ExecutionsHandle,
    claims::{Claimed, Claims, Idempotency},
};
use crate::{
    actors::{
        execution::{ExecutionActor, ExecutionArgs, ExecutionMsg, Fresh, Milestone, Origin, Reached, Waiter},
        execution_supervisor::nudge,
        journal_lane::Verdict,
        live::LivePermit,
        metering::metered,
        places::{Applicant, Class, Turn},
        quotas::QuotaError,
    },
    clock,
    model::{
        children,
        event::{Event, ExecutionError, Parent, Recorded, Response, StartContext},
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, WorkspaceId},
        item::Item,
        limits,
        trace::TraceParent,
    },
    nodes::plan::CompiledWorkflow,
    store::{Append, NewExecution, OnTaken, StoreError},
};

/// What a refused caller should wait, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;
/// How long a start may take to become durable, in milliseconds.
const DURABLE_MS_MAX: u64 = 40_000;

/// An execution to start.
#[derive(Clone)]
pub struct StartRequest {
    pub workspace: WorkspaceId,
    pub workflow: Arc<CompiledWorkflow>,
    pub trigger: TriggerKind,
    /// The first trigger where none is named.
    pub start_node: Option<String>,
    pub items: Vec<Item>,
    pub business_key: Option<String>,
    pub idempotency: Option<Idempotency>,
    pub wait: Option<Wait>,
    /// The trace that the request belongs to.
    pub trace: Option<TraceParent>,
}

/// What a start waits for beyond being durable.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    pub until: WaitUntil,
    pub timeout: Duration,
}

/// The moment that a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitUntil {
    Finished,
    /// A `respond` node has answered, or the execution has finished without one.
    Responded,
}

/// A durable execution.
#[derive(Debug)]
pub struct Started {
    pub execution: ExecutionId,
    /// Whether the idempotency key had made it before.
    pub replayed: bool,
    /// `None` if nothing was waited for, or the wait was over first.
    pub answer: Option<Answer>,
}

/// What a caller waited for.
#[derive(Debug)]
pub enum Answer {
    Finished(FinishedExecution),
    Responded(Response),
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedExecution {
    pub status: ExecutionStatus,
    pub error: Option<ExecutionError>,
    pub result: Vec<Item>,
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the server has too much to do")]
    Overloaded { retry_after_ms: u64 },
    #[error(transparent)]
    Quota(#[from] QuotaError),
    #[error("the server is shutting down")]
    Draining,
    #[error("the workflow has no node `{node}` to start at")]
    UnknownStartNode { node: String },
    #[error("the workflow has no trigger")]
    NoTrigger,
    #[error("the idempotency key was used for another request")]
    KeyMismatch,
    #[error("the input has more than {limit_bytes} bytes of JSON or nests deeper than {depth} levels")]
    InputTooLarge { limit_bytes: usize, depth: usize },
    #[error("the execution could not be stored")]
    Unavailable(#[source] StoreError),
    #[error("the execution could not be stored in time: whether it was is unknown")]
    Unknown,
    #[error("an execution with this id exists already")]
    Exists { execution: ExecutionId },
    #[error("a live execution has the business key")]
    KeyTaken { execution: ExecutionId },
}

/// What a new execution was let in with.
struct Admission {
    permit: Option<LivePermit>,
    turn: Option<Turn>,
}

/// A start, prepared.
pub(super) struct Prepared {
    pub(super) id: ExecutionId,
    /// Whether the id follows from another one's, so that its shard may be another process's.
    pub(super) is_derived: bool,
    pub(super) origin: Origin,
    pub(super) created: Recorded,
    /// What a retry takes over.
    pub(super) reused: Vec<Recorded>,
}

/// A start with all that it takes.
pub(super) struct Launch {
    pub(super) prepared: Prepared,
    pub(super) plan: Arc<CompiledWorkflow>,
    pub(super) claims: Claims,
    pub(super) wait: Option<Wait>,
}

/// Whose execution a start goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joined {
    /// The one that it has stored itself.
    Own,
    /// That of an earlier start.
    Others,
}

/// Where a start comes from, and what it must not meet.
#[derive(Default)]
pub(super) struct Lineage {
    pub(super) parent: Option<Parent>,
    pub(super) nesting: u32,
    pub(super) on_taken: Option<OnTaken>,
}

impl ExecutionsHandle {
    /// Starts an execution. It is durable when this returns.
    ///
    /// Errors: see [`StartError`]; with `Unknown` and `Unavailable` the execution may have been started.
    pub async fn start(&self, request: StartRequest) -> Result<Started, StartError> {
        let id = self.draw_id()?;
        self.start_as(id, request, Lineage::default()).await
    }

    pub(super) fn draw_id(&self) -> Result<ExecutionId, StartError> {
        self.engine.ownership.draw_execution_id().ok_or(StartError::Overloaded { retry_after_ms: RETRY_AFTER_MS })
    }

    /// Starts a sub-workflow whose id follows from its parent and its key.
    ///
    /// Errors: `Exists` if it was started before.
    pub async fn start_child(
        &self,
        request: StartRequest,
        parent: Parent,
        nesting: u32,
        key: &str,
    ) -> Result<Started, StartError> {
        self.start_derived(children::id(parent.execution, key), request, parent, nesting).await
    }

    /// Starts an execution under an id that follows from another execution's.
    ///
    /// Errors: `Exists` if it was started before.
    pub async fn start_derived(
        &self,
        id: ExecutionId,
        request: StartRequest,
        parent: Parent,
        nesting: u32,
    ) -> Result<Started, StartError> {
        self.start_as(id, request, Lineage { parent: Some(parent), nesting, ..Lineage::default() }).await
    }

    pub(super) async fn start_as(&self, id: ExecutionId, request: StartRequest, lineage: Lineage) -> Result<Started, StartError> {
        self.check_open()?;
        let StartRequest { workspace, workflow, trigger, start_node, items, business_key, idempotency, wait, trace } = request;
        let Lineage { parent, nesting, on_taken } = lineage;
        check_input(&items)?;
        let start_node = find_start_node(&workflow, start_node)?;
        let new = NewExecution {
            workspace,
            workflow: workflow.workflow,
            version: workflow.version,
            trigger,
            parent: parent.as_ref().map(|parent| parent.execution),
            retry_of: None,
            business_key,
        };
        let context = StartContext { vars: self.variables_of(workspace, &workflow).await?, trace }.into_event();
        let event = Event::Created { trigger, start_node, items: Arc::new(items), nesting, parent: parent.clone(), context };
        let created = Recorded { at: clock::now_ms(), event };
        let is_derived = parent.is_some();
        let prepared = Prepared { id, is_derived, origin: Origin { new, parent }, created, reused: Vec::new() };
        self.launch(Launch { prepared, plan: workflow, claims: Claims { idempotency, on_taken }, wait }).await
    }

    /// Errors: `Draining`, or `Overloaded` while the journal cannot keep up.
    pub(super) fn check_open(&self) -> Result<(), StartError> {
        if self.engine.is_draining.load(Ordering::Relaxed) {
            return Err(StartError::Draining);
        }
        if self.engine.lane.is_full() {
            return Err(StartError::Overloaded { retry_after_ms: RETRY_AFTER_MS });
        }
        Ok(())
    }

    /// Brings an execution to life, and waits as long as the caller wants, or until it is durable.
    pub(super) async fn launch(&self, launch: Launch) -> Result<Started, StartError> {
        let Launch { prepared, plan, claims, wait } = launch;
        let (id, workspace) = (prepared.id, prepared.origin.new.workspace);
        if prepared.is_derived && self.engine.ownership.epoch(id.shard()).is_none() {
            return self.leave_to_owner(&prepared).await;
        }
        // What follows from an execution that was admitted is never refused for its workspace's sake.
        if !prepared.is_derived {
            self.engine.quotas.admit(workspace, &self.engine.live).await?;
        }
        let admitted = self.admit(id, workspace, &plan, prepared.created.at);
        let Admission { permit, turn } = admitted.ok_or(StartError::Overloaded { retry_after_ms: RETRY_AFTER_MS })?;
        let is_stored = claims.idempotency.is_some() || claims.on_taken.is_some();
        let status = if permit.is_some() { ExecutionStatus::Running } else { ExecutionStatus::Queued };
        if is_stored {
            match self.claim(&prepared, status, claims).await? {
                Claimed::Stored => {}
                Claimed::StoredUnheard => {
                    nudge(&self.engine, id);
                    return self.join(workspace, id, Joined::Own, wait).await;
                }
                Claimed::Joins(execution) => return self.join(workspace, execution, Joined::Others, wait).await,
            }
        }
        let (reply, reached) = oneshot::channel();
        let until = wait.map_or(Milestone::Durable, |wait| match wait.until {
            WaitUntil::Finished => Milestone::Finished,
            WaitUntil::Responded => Milestone::Responded,
        });
        let fresh = Fresh {
            id,
            engine: Arc::clone(&self.engine),
            plan,
            permit,
            turn,
            origin: prepared.origin,
            created: prepared.created,
            reused: prepared.reused,
            stored_as: is_stored.then_some(status),
            // A stored start is durable: there is nothing to tell but a later moment.
            waiter: (!is_stored || wait.is_some()).then_some(Waiter { until, reply }),
        };
        let supervisor = self.engine.supervisor.get().ok_or(StartError::Draining)?;
        let actor = metered(ExecutionActor, "execution").serving(id);
        let spawned = Actor::spawn_linked(None, actor, ExecutionArgs::Fresh(Box::new(fresh)), supervisor.get_cell()).await;
        let actor = match spawned {
            Ok((actor, _)) => actor,
            // Whoever looks for what lies in the store has found it first.
            Err(_) if is_stored => return self.join(workspace, id, Joined::Own, wait).await,
            Err(_) => return Err(StartError::Exists { execution: id }),
        };
        if is_stored && wait.is_none() {
            return Ok(Started { execution: id, replayed: false, answer: None });
        }
        self.follow(id, &actor, reached, wait).await
    }

    /// Stores an execution whose id lies in another process's shard: that one finds it within a second.
    async fn leave_to_owner(&self, prepared: &Prepared) -> Result<Started, StartError> {
        let append = Append { state: None, ..self.creation(prepared, ExecutionStatus::Queued, 0).await? };
        let is_new = self.engine.store.create_queued(&append, None).await.map_err(StartError::Unavailable)?;
        if !is_new {
            return Err(StartError::Exists { execution: prepared.id });
        }
        self.engine.metrics.execution_started(prepared.origin.new.trigger, prepared.created.at);
        if self.engine.ownership.epoch(prepared.id.shard()).is_some() {
            // The shard has come here meanwhile.
            nudge(&self.engine, prepared.id);
        }
        Ok(Started { execution: prepared.id, replayed: false, answer: None })
    }

    /// Lets a new execution in: with a permit to run, or to wait for a place where its workflow or workspace bounds how many run
    /// at once. `None` if there is too much of either.
    fn admit(&self, id: ExecutionId, workspace: WorkspaceId, workflow: &CompiledWorkflow, created_at: u64) -> Option<Admission> {
        let engine = &self.engine;
        let bounds = engine.bounds(workspace, workflow);
        let turn = if bounds.is_empty() {
            None
        } else {
            Some(engine.places.try_enter(&Applicant { bounds, class: Class::New, created_at, execution: id })?)
        };
        let permit = match &turn {
            Some(turn) if !turn.has_come() => None,
            Some(_) | None => Some(engine.live.try_enter(workspace)?),
        };
        Some(Admission { permit, turn })
    }

    /// The variables that a workflow uses, as they are now.
    pub(super) async fn variables_of(
        &self,
        workspace: WorkspaceId,
        workflow: &CompiledWorkflow,
    ) -> Result<Map<String, Value>, StartError> {
        if workflow.variables.is_none() {
            return Ok(Map::new());
        }
        let values = self.engine.variables.values(workspace).await.map_err(StartError::Unavailable)?;
        Ok(workflow.variables.select(&values))
    }

    /// Waits for a fresh execution, until the caller's time is up; then at least until it is durable.
    async fn follow(
        &self,
        id: ExecutionId,
        actor: &ActorRef<ExecutionMsg>,
        mut reached: oneshot::Receiver<Reached>,
        wait: Option<Wait>,
    ) -> Result<Started, StartError> {
        let timeout = wait.map_or(Duration::from_millis(DURABLE_MS_MAX), |wait| wait.timeout);
        let started = |answer| Ok(Started { execution: id, replayed: false, answer });
        match tokio::time::timeout(timeout, &mut reached).await {
            Ok(Ok(Reached::Durable)) => started(None),
            Ok(Ok(Reached::Responded(response))) => started(Some(Answer::Responded(response))),
            Ok(Ok(Reached::Finished { status, error, result })) => {
                started(Some(Answer::Finished(FinishedExecution { status, error, result })))
            }
            Ok(Ok(Reached::Refused(Verdict::Conflict))) => Err(StartError::Exists { execution: id }),
            Ok(Ok(Reached::Refused(_)) | Err(_)) => Err(StartError::Unknown),
            Err(_) if wait.is_none() => Err(StartError::Unknown),
            Err(_) => match self.make_durable(actor).await {
                Ok(()) => started(None),
                // It may have ended just now: then it is durable.
                Err(error) => reached.try_recv().map_err(|_| error).and_then(|_| started(None)),
            },
        }
    }

    async fn make_durable(&self, actor: &ActorRef<ExecutionMsg>) -> Result<(), StartError> {
        let (reply, durable) = oneshot::channel();
        // An actor that is gone has committed all it had, or its reply is dropped with the message.
        let _ = actor.cast(ExecutionMsg::EnsureDurable { reply });
        match tokio::time::timeout(Duration::from_millis(DURABLE_MS_MAX), durable).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(StartError::Unknown),
        }
    }

    /// Answers a start whose execution is stored already: a repeated one as the first one was answered.
    async fn join(
        &self,
        workspace: WorkspaceId,
        execution: ExecutionId,
        joined: Joined,
        wait: Option<Wait>,
    ) -> Result<Started, StartError> {
        let replayed = joined == Joined::Others;
        let Some(wait) = wait else { return Ok(Started { execution, replayed, answer: None }) };
        let finished = self.wait(workspace, execution, wait.timeout).await.unwrap_or_default();
        let response = match wait.until {
            WaitUntil::Responded => self.response(workspace, execution).await.unwrap_or_default(),
            WaitUntil::Finished => None,
        };
        let answer = response.map(Answer::Responded).or(finished.map(Answer::Finished));
        Ok(Started { execution, replayed, answer })
    }
}

fn find_start_node(workflow: &CompiledWorkflow, wanted: Option<String>) -> Result<Arc<str>, StartError> {
    match wanted {
        Some(node) => match workflow.graph.node(&node) {
            Some(found) => Ok(Arc::clone(&found.id)),
            None => Err(StartError::UnknownStartNode { node }),
        },
        None => workflow.graph.default_trigger().map(|node| Arc::clone(&node.id)).ok_or(StartError::NoTrigger),
    }
}

fn check_input(items: &[Item]) -> Result<(), StartError> {
    let too_large = StartError::InputTooLarge { limit_bytes: limits::OUTPUT_BYTES_MAX, depth: limits::JSON_DEPTH_MAX };
    let bytes = items.iter().try_fold(0_usize, |sum, item| limits::json_bytes(&item.json).map(|bytes| sum + bytes));
    match bytes {
        Some(bytes) if bytes <= limits::OUTPUT_BYTES_MAX && items.len() <= limits::ITEMS_MAX => Ok(()),
        Some(_) | None => Err(too_large),
    }
}
