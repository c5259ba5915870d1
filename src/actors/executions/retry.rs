//! Retrying an execution that has ended: a new one, which takes over what need not happen again.

use std::sync::Arc;

use super::{
    ExecutionsHandle, ReadError,
    claims::{Claims, Idempotency},
    start::{Launch, Prepared, StartError, Started, Wait},
};
use crate::{
    actors::{execution::Origin, workflows::WorkflowError},
    clock,
    model::{
        event::{Event, Recorded, StartContext},
        execution::TriggerKind,
        ids::{ExecutionId, WorkflowId, WorkspaceId},
        limits,
        reuse::{self, Original, RetryFrom, RetryVersion, ReuseError, Target},
    },
    nodes::plan::CompiledWorkflow,
    store::NewExecution,
};

/// Which execution to retry, and how.
#[derive(Debug, Clone)]
pub struct RetryRequest {
    pub workspace: WorkspaceId,
    pub original: ExecutionId,
    pub from: RetryFrom,
    pub version: RetryVersion,
    /// The id of the new execution, where it follows from something; else one is drawn.
    pub id: Option<ExecutionId>,
    pub idempotency: Option<Idempotency>,
    pub wait: Option<Wait>,
}

/// Why nothing was retried.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("there is no such execution")]
    NotFound,
    #[error("the execution has not finished")]
    Running,
    #[error("what the execution has done cannot be taken over")]
    Refused(#[source] ReuseError),
    #[error("the results to take over have {bytes} bytes, at most {} can be", limits::REUSED_BYTES_MAX)]
    TooLarge { bytes: usize },
    #[error("the version cannot be had")]
    Version(#[source] WorkflowError),
    #[error("the execution could not be read")]
    Read(#[source] ReadError),
    #[error(transparent)]
    Start(StartError),
}

/// What is known of an execution that is to be retried.
struct Ended {
    new: NewExecution,
    events: Vec<Recorded>,
    plan: Arc<CompiledWorkflow>,
}

impl ExecutionsHandle {
    /// Starts a new execution from what an earlier one was started with. It is durable when this returns.
    ///
    /// Errors: see [`RetryError`]; `Start` as for other starts.
    pub async fn retry(&self, request: RetryRequest) -> Result<(Started, WorkflowId, u32), RetryError> {
        self.check_open().map_err(RetryError::Start)?;
        let ended = self.find_ended(request.workspace, request.original).await?;
        let target = self.find_target(&ended, request.version).await?;
        let version = target.version;
        let is_same_version = version == ended.new.version;
        let original = Original { graph: &ended.plan.graph, events: &ended.events };
        let planned = reuse::plan(original, Target { graph: &target.graph, from: &request.from, is_same_version });
        let at = clock::now_ms();
        let reused: Vec<Recorded> =
            planned.map_err(RetryError::Refused)?.into_iter().map(|event| Recorded { at, event }).collect();
        check_size(&reused)?;
        // As they are now: a value may have been mended since.
        let vars = self.variables_of(request.workspace, &target).await.map_err(RetryError::Start)?;
        let context = StartContext { vars, trace: None }.into_event();
        let again = again(&ended, request.original, version, context);
        let (created, new) = again.ok_or(RetryError::Refused(ReuseError::NoCreation))?;
        let (id, is_derived) = match request.id {
            Some(id) => (id, true),
            None => (self.draw_id().map_err(RetryError::Start)?, false),
        };
        let origin = Origin { new, parent: None };
        let prepared = Prepared { id, is_derived, origin, created: Recorded { at, event: created }, reused };
        let claims = Claims { idempotency: request.idempotency, ..Claims::default() };
        let launch = Launch { prepared, plan: target, claims, wait: request.wait };
        let started = self.launch(launch).await.map_err(RetryError::Start)?;
        Ok((started, ended.new.workflow, version))
    }

    async fn find_ended(&self, workspace: WorkspaceId, id: ExecutionId) -> Result<Ended, RetryError> {
        let row = self.engine.store.find_execution(workspace, id).await;
        let row = row.map_err(|error| RetryError::Read(ReadError::Unavailable(error)))?.ok_or(RetryError::NotFound)?;
        if !row.state.status.is_terminal() {
            return Err(RetryError::Running);
        }
        let history = self.history(workspace, id).await.map_err(RetryError::Read)?.ok_or(RetryError::NotFound)?;
        let new = history.row.new;
        let plan = self.engine.workflows.compiled(workspace, new.workflow, new.version).await.map_err(RetryError::Version)?;
        Ok(Ended { new, events: history.events, plan })
    }

    async fn find_target(&self, ended: &Ended, version: RetryVersion) -> Result<Arc<CompiledWorkflow>, RetryError> {
        let workflows = &self.engine.workflows;
        let (workspace, workflow) = (ended.new.workspace, ended.new.workflow);
        let version = match version {
            RetryVersion::Original => return Ok(Arc::clone(&ended.plan)),
            RetryVersion::Latest => workflows.get(workspace, workflow).await.map_err(RetryError::Version)?.row.latest_version,
            RetryVersion::Number(version) => version,
        };
        workflows.compiled(workspace, workflow, version).await.map_err(RetryError::Version)
    }
}

/// The creation of an execution that begins as the ended one did. It answers to nobody: the caller of the first one has gone, and a
/// parent has been told how that one ended.
fn again(
    ended: &Ended,
    original: ExecutionId,
    version: u32,
    context: Option<Arc<StartContext>>,
) -> Option<(Event, NewExecution)> {
    let Some(Recorded { event: Event::Created { start_node, items, nesting, .. }, .. }) = ended.events.first() else {
        return None;
    };
    let trigger = TriggerKind::Retry;
    let (start_node, items) = (Arc::clone(start_node), Arc::clone(items));
    let created = Event::Created { trigger, start_node, items, nesting: *nesting, parent: None, context };
    let new = NewExecution { version, trigger, parent: None, retry_of: Some(original), ..ended.new.clone() };
    Some((created, new))
}

/// Everything that is taken over is one row of the journal, with the creation.
fn check_size(reused: &[Recorded]) -> Result<(), RetryError> {
    let bytes = serde_json::to_vec(reused).expect("an event can be written").len();
    if bytes > limits::REUSED_BYTES_MAX { Err(RetryError::TooLarge { bytes }) } else { Ok(()) }
}
