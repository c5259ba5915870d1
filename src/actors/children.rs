//! Starts sub-workflows for the `workflow` node, by the same way as every other start.

use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;

use super::{
    engine::Engine,
    execution_supervisor::nudge,
    executions::{ExecutionsHandle, StartError, StartRequest},
    workflows::{WorkflowError, WorkflowsHandle},
};
use crate::{
    model::{
        error::{NodeError, codes},
        event::Parent,
        execution::TriggerKind,
        ids::ExecutionId,
        limits,
    },
    nodes::services::{ChildRequest, Children},
};

/// The engine's side of [`Children`]. The engine comes in once it is up, and weakly: nodes are part of what it is made of.
pub struct ChildStarter {
    workflows: WorkflowsHandle,
    engine: OnceLock<Weak<Engine>>,
}

impl ChildStarter {
    pub fn new(workflows: WorkflowsHandle) -> Arc<Self> {
        Arc::new(Self { workflows, engine: OnceLock::new() })
    }

    /// Connects the engine; once.
    pub fn connect(&self, engine: &Arc<Engine>) {
        assert!(self.engine.set(Arc::downgrade(engine)).is_ok(), "the engine is connected once");
    }
}

#[async_trait]
impl Children for ChildStarter {
    async fn start(&self, child: ChildRequest) -> Result<ExecutionId, NodeError> {
        if child.nesting > limits::NESTING_MAX {
            let message = format!("sub-workflows are nested more than {} deep", limits::NESTING_MAX);
            return Err(NodeError::permanent(codes::NESTING_LIMIT, message));
        }
        let engine = self.engine.get().and_then(Weak::upgrade);
        let engine = engine.ok_or_else(|| NodeError::transient(codes::OVERLOADED, "the engine is starting or stopping"))?;
        let nudged = Arc::clone(&engine);
        let executions = ExecutionsHandle::new(engine);
        let workflow = self.workflows.resolve(child.workspace, &child.workflow).await.map_err(|error| match error {
            WorkflowError::Store(error) => NodeError::transient(codes::CHILD_FAILED, error.to_string()),
            error => NodeError::permanent(codes::INVALID_PARAMETER, format!("cannot start `{}`: {error}", child.workflow)),
        })?;
        let request = StartRequest {
            workspace: child.workspace,
            workflow,
            trigger: TriggerKind::Workflow,
            start_node: None,
            items: child.items.to_vec(),
            business_key: None,
            idempotency: None,
            wait: None,
            trace: child.trace,
        };
        let parent = Parent { execution: child.parent, signal: child.notify };
        match executions.start_child(request, parent, child.nesting, &child.key).await {
            Ok(started) => Ok(started.execution),
            Err(StartError::Exists { execution }) => {
                // Whoever made it may have died before it ran.
                nudge(&nudged, execution);
                Ok(execution)
            }
            Err(
                error @ (StartError::Overloaded { .. } | StartError::Draining | StartError::Unavailable(_) | StartError::Unknown),
            ) => Err(NodeError::transient(codes::OVERLOADED, error.to_string())),
            Err(error) => Err(NodeError::permanent(codes::CHILD_FAILED, error.to_string())),
        }
    }
}
