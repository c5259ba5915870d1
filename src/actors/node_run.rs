//! One actor per attempt that leaves the process or needs a sandbox. Parent: the execution's actor. Children: none.
//!
//! It waits for a place in its pool, runs the node in a task under the node's time limit, tells the execution and stops.
//! A panic or a time-out of the node is a failed attempt. Killing the actor aborts the task and gives the place back.

mod secrecy;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinHandle;

use self::secrecy::Secrecy;
use super::{
    code_budget::CodeMeter,
    engine::Engine,
    execution::{ExecutionMsg, panicked},
    pool::{PoolRefused, Priority, Slot, Want},
};
use crate::{
    auth::egress::OnBehalf,
    clock, failpoint,
    model::{
        audit::Origin,
        error::{NodeError, codes},
        event::Attempt,
        ids::{ExecutionId, WorkflowId, WorkspaceId},
        item::{Input, Item, Outputs},
        log::RunLog,
        trace::TraceParent,
    },
    nodes::{
        EffectNode, Outcome, Pool, PureNode, Runner,
        context::{EffectContext, Log, NodeContext, Progress},
    },
    runtimes::{javascript::GuestSession, scope::RunData},
};

/// Items that are done before the execution is told of them.
const PROGRESS_ITEMS: usize = 100;

/// Messages of a node actor.
pub enum NodeMsg {
    /// Pool -> node: there is a place, or there never will be.
    Granted(Result<Slot, PoolRefused>),
    /// The task -> node: everything is reported.
    Done,
}

super::metering::metered!(NodeMsg);

/// What a node actor begins with.
pub struct NodeArgs {
    pub engine: Arc<Engine>,
    pub execution: ActorRef<ExecutionMsg>,
    pub runner: Runner,
    pub work: NodeWork,
}

/// Everything that one attempt works on.
pub struct NodeWork {
    pub execution: ExecutionId,
    pub workspace: WorkspaceId,
    pub workflow: WorkflowId,
    pub attempt: Attempt,
    pub nesting: u32,
    pub trace: Option<TraceParent>,
    pub inputs: Vec<Input>,
    pub done: BTreeMap<u32, Item>,
    pub outputs: Outputs,
    pub data: Arc<RunData>,
    pub now_ms: u64,
    pub guest: GuestSession,
    pub credential: Option<String>,
    pub timeout_ms: u64,
    /// Whether an earlier attempt or an earlier process began it.
    pub is_repeated: bool,
}

/// The end of an attempt.
pub struct NodeEnded {
    pub attempt: Attempt,
    /// Unix milliseconds.
    pub started_at: u64,
    /// How long it ran, once it had its place.
    pub took: Duration,
    pub result: Result<Outcome, NodeError>,
    /// What the attempt wrote on its console.
    pub log: Option<RunLog>,
    /// The sandbox of a pure run, for the next one.
    pub guest: Option<GuestSession>,
}

/// A node actor's memory.
pub struct NodeState {
    /// Taken when the run begins.
    args: Option<NodeArgs>,
    task: Option<AbortOnDrop>,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The actor.
pub struct NodeActor;

impl Actor for NodeActor {
    type Msg = NodeMsg;
    type State = NodeState;
    type Arguments = NodeArgs;

    async fn pre_start(&self, myself: ActorRef<NodeMsg>, args: NodeArgs) -> Result<NodeState, ActorProcessingErr> {
        let (pool, memory_bytes) = match &args.runner {
            Runner::Effect(node) => (node.pool(), node.memory_bytes()),
            Runner::Pure(_) | Runner::Engine => (Pool::Wasm, 0),
        };
        let priority = if args.work.is_repeated { Priority::Resumed } else { Priority::New };
        // A node actor that is gone drops the place, which then is free again.
        let NodeWork { workspace, workflow, .. } = args.work;
        let want = Want { priority, workspace, share: workflow.uuid(), memory_bytes };
        args.engine.pool(pool).acquire(want, move |place| drop(myself.cast(NodeMsg::Granted(place))));
        Ok(NodeState { args: Some(args), task: None })
    }

    async fn handle(&self, myself: ActorRef<NodeMsg>, msg: NodeMsg, state: &mut NodeState) -> Result<(), ActorProcessingErr> {
        match msg {
            NodeMsg::Granted(place) => {
                let Some(args) = state.args.take() else { return Ok(()) };
                #[expect(clippy::disallowed_methods, reason = "the actor's state owns the task and aborts it")]
                let task = tokio::spawn(async move {
                    run(args, place).await;
                    // An actor that was killed meanwhile has nothing left to stop.
                    let _ = myself.cast(NodeMsg::Done);
                });
                state.task = Some(AbortOnDrop(task));
            }
            NodeMsg::Done => myself.stop(None),
        }
        Ok(())
    }
}

/// Runs the attempt and tells the execution.
async fn run(args: NodeArgs, place: Result<Slot, PoolRefused>) {
    let NodeArgs { engine, execution, runner, work } = args;
    let (attempt, started_at, began) = (work.attempt.clone(), clock::now_ms(), Instant::now());
    let (result, log, guest) = match (place, runner) {
        (Ok(slot), Runner::Effect(node)) if node.pool().runs_code() => match engine.code_budget.begin(work.workspace) {
            Ok(meter) => {
                let (result, log) = run_effect(&engine, &execution, &*node, work, (slot, Some(meter))).await;
                (result, log, None)
            }
            Err(spent) => (Err(spent.into_node_error()), None, None),
        },
        (Ok(slot), Runner::Effect(node)) => {
            let (result, log) = run_effect(&engine, &execution, &*node, work, (slot, None)).await;
            (result, log, None)
        }
        (Ok(slot), Runner::Pure(node)) => {
            let (result, guest) = run_pure(node, work, slot).await;
            (result, None, guest)
        }
        (Ok(_), Runner::Engine) => {
            (Err(NodeError::permanent(codes::INVALID_DEFINITION, "this node cannot be run by itself")), None, None)
        }
        (Err(refused), _) => (Err(NodeError::transient(codes::OVERLOADED, refused.to_string())), None, None),
    };
    failpoint!("node.before_report");
    // An execution that is gone reads the journal when it comes back, and runs the attempt again.
    let took = began.elapsed();
    let _ = execution.cast(ExecutionMsg::NodeEnded(Box::new(NodeEnded { attempt, started_at, took, result, log, guest })));
}

/// What code uses is charged to its workspace.
async fn run_effect(
    engine: &Arc<Engine>,
    execution: &ActorRef<ExecutionMsg>,
    node: &dyn EffectNode,
    work: NodeWork,
    (_slot, meter): (Slot, Option<CodeMeter>),
) -> (Result<Outcome, NodeError>, Option<RunLog>) {
    let (timeout_ms, log) = (work.timeout_ms, Log::default());
    let (mut services, secrecy) = match &work.credential {
        Some(_) => {
            let (services, secrecy) = Secrecy::around(&engine.services);
            (services, Some(secrecy))
        }
        None => ((*engine.services).clone(), None),
    };
    let reporter = Arc::new(Reporter { execution: execution.clone(), attempt: work.attempt.clone(), done: Mutex::default() });
    // Whatever the node sends is sent in its name: a connection that is refused is in the audit log.
    services.egress = services.egress.on_behalf(OnBehalf {
        origin: Origin::execution(work.workspace, work.execution),
        workflow: Some(work.workflow),
        node: Arc::clone(&work.attempt.node),
    });
    let ctx = EffectContext {
        execution: work.execution,
        workspace: work.workspace,
        attempt: work.attempt,
        nesting: work.nesting,
        trace: work.trace,
        inputs: work.inputs,
        outputs: work.outputs,
        data: work.data,
        now_ms: work.now_ms,
        guest: work.guest,
        services: Arc::new(services),
        done: work.done,
        progress: progress_of(reporter.clone(), secrecy.clone()),
        log: log.clone(),
        credential: work.credential,
    };
    let run = AssertUnwindSafe(async {
        failpoint!("node.run");
        node.run(ctx).await
    })
    .catch_unwind();
    let result = match tokio::time::timeout(Duration::from_millis(timeout_ms), run).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(panicked(&*panic)),
        Err(_) => {
            let message = format!("the attempt took longer than {timeout_ms} ms: raise the node's `timeout`");
            Err(NodeError::transient(codes::TIMEOUT, message))
        }
    };
    if result.is_err() {
        reporter.send_rest();
    }
    if let Some(meter) = meter {
        charge(meter, &result, &log);
    }
    let Some(secrecy) = secrecy else { return (result, log.take()) };
    (secrecy.result(result), secrecy.log(log.take()))
}

/// Where code was cut off it is not known what it used, and its time counts.
fn charge(mut meter: CodeMeter, result: &Result<Outcome, NodeError>, log: &Log) {
    let was_cut_off = result.as_ref().is_err_and(|error| [codes::TIMEOUT, codes::PANICKED].contains(&error.code.as_str()));
    if !was_cut_off {
        meter.used(log.cpu());
    }
}

/// Reports items that are done, without the secrets that the attempt was given.
fn progress_of(reporter: Arc<Reporter>, secrecy: Option<Arc<Secrecy>>) -> Progress {
    Progress::new(move |index, item| match &secrecy {
        Some(secrecy) => reporter.add(index, secrecy.item(item)),
        None => reporter.add(index, item),
    })
}

/// Runs a pure node on a blocking thread, with its sandbox, which comes back afterwards.
async fn run_pure(node: Arc<dyn PureNode>, mut work: NodeWork, slot: Slot) -> (Result<Outcome, NodeError>, Option<GuestSession>) {
    let run = move || {
        let _slot = slot;
        let mut ctx = NodeContext {
            inputs: &work.inputs,
            run_index: work.attempt.run,
            outputs: &work.outputs,
            data: &work.data,
            now_ms: work.now_ms,
            guest: &mut work.guest,
        };
        let result = node.run(&mut ctx);
        (result, work.guest)
    };
    match tokio::task::spawn_blocking(run).await {
        Ok((result, guest)) => (result, Some(guest)),
        Err(error) if error.is_panic() => (Err(panicked(&*error.into_panic())), None),
        Err(_) => (Err(NodeError::transient(codes::CANCELLED, "the process is stopping")), None),
    }
}

/// Collects finished items and tells the execution of them in batches.
struct Reporter {
    execution: ActorRef<ExecutionMsg>,
    attempt: Attempt,
    done: Mutex<Vec<(u32, Item)>>,
}

impl Reporter {
    fn add(&self, index: u32, item: Item) {
        let mut done = self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        done.push((index, item));
        if done.len() >= PROGRESS_ITEMS {
            self.send(std::mem::take(&mut *done));
        }
    }

    fn send_rest(&self) {
        let rest = std::mem::take(&mut *self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        if !rest.is_empty() {
            self.send(rest);
        }
    }

    fn send(&self, done: Vec<(u32, Item)>) {
        // An execution that is gone repeats these items: they were not recorded.
        let _ = self.execution.cast(ExecutionMsg::NodeProgressed { attempt: self.attempt.clone(), done });
    }
}
