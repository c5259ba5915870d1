//! Tries one node: runs it once on given items, by the same node actor, pool, limits and policies as in an execution. But there
//! is no execution: nothing is journaled, repeated or brought back, and what the node does outside really happens.
//!
//! One actor per trial. Parent: the execution supervisor, which lets it go. Child: a `NodeActor`, which takes it for its
//! execution. Bounds: [`TRIALS_MAX`] at a time, the caller's time, [`OUTPUT_SHOWN_BYTES_MAX`] of output.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    engine::Engine,
    execution::{ExecutionMsg, check_outputs},
    metering::metered,
    node_run::{NodeActor, NodeArgs, NodeWork},
};
use crate::{
    clock,
    model::{
        catalog::Role,
        definition::{EdgeDefinition, NodeDefinition, WorkflowDefinition, WorkflowSettings},
        error::{NodeError, codes},
        event::{Attempt, Response, Wait},
        ids::{ExecutionId, WorkflowId, WorkspaceId},
        item::{Input, Item, MAIN, Origin, Outputs, PortItems, RunOutput},
        limits,
        problem::Problem,
    },
    nodes::{
        Outcome, Runner,
        docs::{EXAMPLE_NODE, START_NODE},
        plan::{self, CompiledWorkflow},
        registry::Registry,
    },
    runtimes::{javascript::GuestSession, scope::RunData},
    store::StoreError,
};

/// Trials at a time.
pub const TRIALS_MAX: usize = 16;
/// Bytes of JSON that the outputs of a trial may have: they are all in one answer.
pub const OUTPUT_SHOWN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a trial gets beyond the node's time, in milliseconds: for its place in a pool and its report.
const GRACE_MS: u64 = 2_000;

/// A node to try.
pub struct TrialRequest {
    pub workspace: WorkspaceId,
    pub node_type: String,
    pub params: Map<String, Value>,
    pub credential: Option<String>,
    pub items: Vec<Item>,
    pub timeout: Duration,
}

/// What came of a trial.
#[derive(Debug)]
pub struct TrialReport {
    pub result: Result<TrialOutcome, NodeError>,
    /// How long the node ran, without the wait for its place.
    pub took: Duration,
}

/// How a node ended that did not fail.
#[derive(Debug, Default)]
pub struct TrialOutcome {
    pub outputs: Vec<PortItems>,
    /// What it answers to the caller of a webhook.
    pub response: Option<Response>,
    /// What it would wait for. A trial does not wait.
    pub wait: Option<Wait>,
}

/// Why nothing was tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error("too many nodes are being tried")]
    Overloaded,
    #[error("the server is shutting down")]
    Draining,
    #[error("there is no such node type")]
    UnknownType,
    /// With pointers relative to the node.
    #[error("the node has problems")]
    Invalid(Vec<Problem>),
    #[error("the variables could not be read")]
    Unavailable(#[source] StoreError),
    #[error("the trial was interrupted")]
    Interrupted,
}

/// The way to trials. Cheap to clone.
#[derive(Clone)]
pub struct TrialsHandle {
    engine: Arc<Engine>,
    registry: Arc<Registry>,
    places: Arc<Semaphore>,
}

impl TrialsHandle {
    pub fn new(engine: Arc<Engine>, registry: Arc<Registry>) -> Self {
        Self { engine, registry, places: Arc::new(Semaphore::new(TRIALS_MAX)) }
    }

    /// Runs a node once.
    ///
    /// Errors: see [`TrialError`]; a failure of the node is in the report.
    pub async fn run(&self, request: TrialRequest) -> Result<TrialReport, TrialError> {
        if self.engine.is_draining.load(Ordering::Relaxed) {
            return Err(TrialError::Draining);
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| TrialError::Overloaded)?;
        let plan = Arc::new(self.compile(&request).await?);
        let node = plan.graph.node(EXAMPLE_NODE).ok_or(TrialError::Interrupted)?;
        if node.shape.role == Role::Trigger {
            let outcome = TrialOutcome { outputs: PortItems::main(request.items), ..TrialOutcome::default() };
            return Ok(TrialReport { result: Ok(outcome), took: Duration::ZERO });
        }
        let timeout_ms = u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX).min(limits::NODE_MS_DEFAULT);
        let work = self.work(&plan, node.shape.inputs, timeout_ms, request).await?;
        let report = self.follow(&plan, work, timeout_ms, place).await?;
        let node_type = plan.node_type(EXAMPLE_NODE).unwrap_or_default();
        self.engine.metrics.attempt_ended(node_type, report.took, report.result.as_ref().err(), clock::now_ms());
        Ok(report)
    }

    /// The node in a workflow of its own, checked like any other. Compiling may take a moment.
    async fn compile(&self, request: &TrialRequest) -> Result<CompiledWorkflow, TrialError> {
        if self.registry.get(&request.node_type).is_none() {
            return Err(TrialError::UnknownType);
        }
        let tried = node(EXAMPLE_NODE, &request.node_type, request.params.clone(), request.credential.clone());
        let inputs = self.registry.prepare(&tried).map_err(TrialError::Invalid)?.shape.inputs;
        let definition = definition(tried, inputs);
        let at = format!("/nodes/{}", definition.nodes.len() - 1);
        let (registry, id) = (Arc::clone(&self.registry), WorkflowId::from_uuid(clock::new_uuid()));
        let compiled = tokio::task::spawn_blocking(move || plan::compile(&registry, definition, id, 1)).await;
        compiled.map_err(|_| TrialError::Interrupted)?.map_err(|problems| {
            let relative = |problem: Problem| match problem.pointer.strip_prefix(&at) {
                Some(pointer) => Problem { pointer: pointer.to_owned(), ..problem },
                None => problem,
            };
            TrialError::Invalid(problems.into_iter().map(relative).collect())
        })
    }

    async fn work(
        &self,
        plan: &CompiledWorkflow,
        inputs: u32,
        timeout_ms: u64,
        request: TrialRequest,
    ) -> Result<NodeWork, TrialError> {
        let engine = &self.engine;
        let vars = if plan.variables.is_none() {
            Map::new()
        } else {
            plan.variables.select(&*engine.variables.values(request.workspace).await.map_err(TrialError::Unavailable)?)
        };
        let execution = ExecutionId::from_uuid(clock::new_uuid());
        let data = RunData {
            execution: json!({ "id": execution, "trigger": "manual", "nesting": 0 }),
            workflow: plan.describe(),
            vars: Value::Object(vars),
            env: engine.settings.env.clone(),
            timezone: "UTC".to_owned(),
        };
        let (inputs, outputs) = inputs_of(request.items, inputs);
        Ok(NodeWork {
            execution,
            workspace: request.workspace,
            workflow: plan.workflow,
            attempt: Attempt { node: EXAMPLE_NODE.into(), run: 0, attempt: 1 },
            nesting: 0,
            trace: None,
            inputs,
            done: BTreeMap::new(),
            outputs,
            data: Arc::new(data),
            now_ms: clock::now_ms(),
            guest: GuestSession::new(Arc::clone(&engine.services.javascript)),
            credential: request.credential,
            timeout_ms,
            is_repeated: false,
        })
    }

    /// Starts the actor and waits for its report.
    async fn follow(
        &self,
        plan: &CompiledWorkflow,
        work: NodeWork,
        timeout_ms: u64,
        place: OwnedSemaphorePermit,
    ) -> Result<TrialReport, TrialError> {
        let (engine, execution) = (Arc::clone(&self.engine), work.execution);
        let runner = plan.runner(EXAMPLE_NODE).cloned().ok_or(TrialError::Interrupted)?;
        let supervisor = engine.supervisor.get().ok_or(TrialError::Draining)?;
        let (reply, report) = oneshot::channel();
        let args = TrialArgs { engine, runner, work, reply, place };
        let actor = metered(TrialActor, "trial").serving(execution).short_lived();
        let spawned = Actor::spawn_linked(None, actor, args, supervisor.get_cell()).await;
        let (actor, _) = spawned.map_err(|_| TrialError::Interrupted)?;
        match tokio::time::timeout(Duration::from_millis(timeout_ms.saturating_add(GRACE_MS)), report).await {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(_)) => Err(TrialError::Interrupted),
            Err(_) => {
                actor.kill();
                let error = NodeError::transient(codes::TIMEOUT, format!("the trial took longer than {timeout_ms} ms"));
                Ok(TrialReport { result: Err(error), took: Duration::from_millis(timeout_ms) })
            }
        }
    }
}

fn node(id: &str, node_type: &str, params: Map<String, Value>, credential: Option<String>) -> NodeDefinition {
    let node = json!({ "id": id, "type": node_type, "params": params, "credential": credential });
    serde_json::from_value(node).expect("these are the fields of a node")
}

/// The node behind a trigger, which leads to each of its inputs; a trigger stands alone.
fn definition(tried: NodeDefinition, inputs: u32) -> WorkflowDefinition {
    let start = (inputs > 0).then(|| node(START_NODE, "manual", Map::new(), None));
    let edge = |input| EdgeDefinition { from: START_NODE.into(), to: EXAMPLE_NODE.into(), port: MAIN, input };
    WorkflowDefinition {
        name: format!("trial of {}", tried.node_type),
        description: None,
        tags: Vec::new(),
        edges: (0..inputs).map(edge).collect(),
        nodes: start.into_iter().chain([tried]).collect(),
        settings: WorkflowSettings::default(),
    }
}

/// The items at the first input, as the output of the trigger.
fn inputs_of(items: Vec<Item>, count: u32) -> (Vec<Input>, Outputs) {
    let items = Arc::new(items);
    let origin = Origin {
        node: START_NODE.into(),
        run: 0,
        first: 0,
        count: u32::try_from(items.len()).expect("a request's body bounds its items"),
    };
    let first = Input { items: Arc::clone(&items), origins: vec![origin] };
    let inputs =
        std::iter::once(first).chain(std::iter::repeat_n(Input::default(), usize::try_from(count.max(1) - 1).unwrap_or(0)));
    let output = RunOutput { run: 0, ports: vec![PortItems { port: MAIN, items }] };
    (inputs.collect(), Arc::new(BTreeMap::from([(START_NODE.into(), output)])))
}

/// What a trial's actor begins with.
pub struct TrialArgs {
    engine: Arc<Engine>,
    runner: Runner,
    work: NodeWork,
    reply: oneshot::Sender<TrialReport>,
    place: OwnedSemaphorePermit,
}

/// A trial's memory.
pub struct TrialState {
    /// Taken by the report.
    reply: Option<oneshot::Sender<TrialReport>>,
    _place: OwnedSemaphorePermit,
}

/// The actor.
pub struct TrialActor;

impl Actor for TrialActor {
    type Msg = ExecutionMsg;
    type State = TrialState;
    type Arguments = TrialArgs;

    async fn pre_start(&self, myself: ActorRef<ExecutionMsg>, args: TrialArgs) -> Result<TrialState, ActorProcessingErr> {
        let TrialArgs { engine, runner, work, reply, place } = args;
        let node = metered(NodeActor, "node").serving(work.execution).short_lived();
        let args = NodeArgs { engine, execution: myself.clone(), runner, work };
        Actor::spawn_linked(None, node, args, myself.get_cell()).await?;
        Ok(TrialState { reply: Some(reply), _place: place })
    }

    async fn handle(
        &self,
        myself: ActorRef<ExecutionMsg>,
        msg: ExecutionMsg,
        state: &mut TrialState,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            ExecutionMsg::NodeEnded(ended) => {
                state.report(TrialReport { result: ended.result.and_then(outcome_of), took: ended.took });
                myself.stop(None);
            }
            // An execution's concerns: a trial has no journal, no timers, no inbox, no family and no turn.
            ExecutionMsg::NodeProgressed { .. }
            | ExecutionMsg::Committed(_)
            | ExecutionMsg::Wake
            | ExecutionMsg::Nudge
            | ExecutionMsg::InboxRead(_)
            | ExecutionMsg::ParentSeen(_)
            | ExecutionMsg::MayEnd { .. }
            | ExecutionMsg::TurnCame(_)
            | ExecutionMsg::EnsureDurable { .. } => {}
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<ExecutionMsg>,
        event: SupervisionEvent,
        state: &mut TrialState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(_, cause) => {
                let error = NodeError::transient(codes::PANICKED, format!("the node's actor died: {cause}"));
                state.report(TrialReport { result: Err(error), took: Duration::ZERO });
                myself.stop(None);
            }
            SupervisionEvent::ActorTerminated(..)
            | SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_)
            | SupervisionEvent::PidLifecycleEvent(_) => {}
        }
        Ok(())
    }
}

impl TrialState {
    fn report(&mut self, report: TrialReport) {
        if let Some(reply) = self.reply.take() {
            // The caller may have gone: then nobody needs the report.
            let _ = reply.send(report);
        }
    }
}

/// Errors: what breaks a limit.
fn outcome_of(outcome: Outcome) -> Result<TrialOutcome, NodeError> {
    let outcome = match outcome {
        Outcome::Done(outputs) => TrialOutcome { outputs, ..TrialOutcome::default() },
        Outcome::Respond(outputs, response) => TrialOutcome { outputs, response: Some(response), ..TrialOutcome::default() },
        Outcome::Wait(wait) => TrialOutcome { wait: Some(wait), ..TrialOutcome::default() },
    };
    check_outputs(&outcome.outputs)?;
    let items = outcome.outputs.iter().flat_map(|port| port.items.iter());
    let bytes: usize = items.map(|item| limits::json_bytes(&item.json).unwrap_or(usize::MAX)).fold(0, usize::saturating_add);
    if bytes > OUTPUT_SHOWN_BYTES_MAX {
        let message = format!("the node put out {bytes} bytes of JSON, a trial shows {OUTPUT_SHOWN_BYTES_MAX}: try fewer items");
        return Err(NodeError::permanent(codes::OUTPUT_LIMIT, message));
    }
    Ok(outcome)
}
