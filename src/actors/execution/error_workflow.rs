//! Starts the workflow that a failed execution's workflow names in `settings.error_workflow`: exactly once, whatever crashes.
//!
//! The events that led to the failure are committed, then the error workflow is started under an id that follows from the failed
//! execution's, and only then is the end recorded. A crash in between decides the same failure from the same events, and the
//! repeated start finds the first one. Nothing of this keeps the execution from ending: tries are bounded.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ractor::ActorRef;
use serde_json::json;

use super::{ExecutionMsg, Live};
use crate::{
    actors::{
        engine::Engine,
        execution_supervisor::nudge,
        executions::{ExecutionsHandle, StartError, StartRequest},
        workflows::WorkflowError,
    },
    clock, failpoint,
    model::{
        children,
        event::{ExecutionError, Parent},
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, WorkspaceId},
        item::Item,
    },
    nodes::plan::CompiledWorkflow,
};

/// Tries to start the error workflow.
const TRIES_MAX: u32 = 6;
/// Pause after the first of them, in milliseconds; it doubles.
const PAUSE_MS: u64 = 200;

/// A failed execution whose workflow names an error workflow.
pub(super) struct Failure {
    pub(super) execution: ExecutionId,
    pub(super) workspace: WorkspaceId,
    pub(super) plan: Arc<CompiledWorkflow>,
    pub(super) trigger: TriggerKind,
    /// Unix milliseconds.
    pub(super) created_at: u64,
    pub(super) error: Option<ExecutionError>,
}

/// What became of the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is durable, or it never will be: the execution may end.
    Yes,
    /// The process is shutting down: the next owner settles it.
    LeftOpen,
}

/// Why one try failed.
enum Refusal {
    MayPass(String),
    Final(String),
    Draining,
}

/// The error workflow that an end of this kind starts.
pub(super) fn wanted(plan: &CompiledWorkflow, trigger: TriggerKind, status: ExecutionStatus) -> Option<&str> {
    // An error workflow that fails starts no other: two that name each other would never stop.
    let is_failure = status == ExecutionStatus::Failed && trigger != TriggerKind::Error;
    plan.definition.settings.error_workflow.as_deref().filter(|_| is_failure)
}

impl Failure {
    /// Starts the error workflow, if one is wanted. Whatever stays in the way is logged.
    pub(super) async fn settle(&self, engine: &Arc<Engine>) -> Settled {
        let Some(workflow) = wanted(&self.plan, self.trigger, ExecutionStatus::Failed) else { return Settled::Yes };
        let mut tries = 0;
        loop {
            tries += 1;
            match self.start(engine, workflow).await {
                Ok(started) => {
                    failpoint!("error_workflow.after_start");
                    tracing::info!(execution.id = %self.execution, started.id = %started, "error workflow started");
                    return Settled::Yes;
                }
                Err(Refusal::Draining) => return Settled::LeftOpen,
                Err(Refusal::MayPass(_)) if tries < TRIES_MAX => {
                    tokio::time::sleep(Duration::from_millis(PAUSE_MS << (tries - 1))).await;
                }
                Err(Refusal::MayPass(cause) | Refusal::Final(cause)) => {
                    tracing::warn!(execution.id = %self.execution, workflow, cause, tries, "error workflow not started");
                    return Settled::Yes;
                }
            }
        }
    }

    async fn start(&self, engine: &Arc<Engine>, workflow: &str) -> Result<ExecutionId, Refusal> {
        failpoint!("error_workflow.before_start");
        let found = engine.workflows.resolve(self.workspace, workflow).await.map_err(|error| match error {
            WorkflowError::Store(_) | WorkflowError::Interrupted(_) => Refusal::MayPass(error.to_string()),
            error => Refusal::Final(error.to_string()),
        })?;
        let request = StartRequest {
            workspace: self.workspace,
            workflow: found,
            trigger: TriggerKind::Error,
            start_node: None,
            items: vec![self.item()],
            business_key: None,
            idempotency: None,
            wait: None,
            trace: None,
        };
        let id = children::error_workflow_id(self.execution);
        let parent = Parent { execution: self.execution, signal: None };
        match ExecutionsHandle::new(Arc::clone(engine)).start_derived(id, request, parent, 0).await {
            Ok(started) => Ok(started.execution),
            Err(StartError::Exists { execution }) => {
                // Whoever made it may have died before it ran.
                nudge(engine, execution);
                Ok(execution)
            }
            Err(StartError::Draining) if engine.is_draining.load(Ordering::Relaxed) => Err(Refusal::Draining),
            Err(
                error @ (StartError::Overloaded { .. } | StartError::Draining | StartError::Unavailable(_) | StartError::Unknown),
            ) => Err(Refusal::MayPass(error.to_string())),
            Err(error) => Err(Refusal::Final(error.to_string())),
        }
    }

    /// **Shape**: `{ execution: { id, status, error, started_at, trigger }, workflow: { id, name, version } }`.
    fn item(&self) -> Item {
        Item::from_value(json!({
            "execution": {
                "id": self.execution,
                "status": ExecutionStatus::Failed,
                "error": self.error,
                "started_at": clock::rfc3339(self.created_at),
                "trigger": self.trigger,
            },
            "workflow": self.plan.describe(),
        }))
    }
}

impl Live {
    /// Whether an end has to wait for the start of an error workflow.
    pub(super) fn wants_error_workflow(&self, status: ExecutionStatus) -> bool {
        wanted(&self.plan, self.journal.trigger(), status).is_some()
    }

    /// Starts the error workflow in a task; after that the end may be recorded.
    pub(super) fn start_error_workflow(
        &self,
        status: ExecutionStatus,
        error: Option<ExecutionError>,
        myself: &ActorRef<ExecutionMsg>,
    ) {
        let failure = Failure {
            execution: self.id,
            workspace: self.journal.workspace(),
            plan: Arc::clone(&self.plan),
            trigger: self.journal.trigger(),
            created_at: self.machine.created_at(),
            error: error.clone(),
        };
        let (engine, actor) = (Arc::clone(&self.engine), myself.clone());
        #[expect(clippy::disallowed_methods, reason = "a bounded number of tries, whose answer a dead actor does not need")]
        tokio::spawn(async move {
            if failure.settle(&engine).await == Settled::Yes {
                let _ = actor.cast(ExecutionMsg::MayEnd { status, error });
            }
        });
    }
}
