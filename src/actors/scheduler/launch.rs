//! Makes the execution of a tick: which version, where it starts, with what. Called by the scheduler and for backfills; whoever
//! owns its shard begins it.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    actors::{
        variables::VariablesHandle,
        workflows::{WorkflowError, WorkflowsHandle},
    },
    model::{
        event::{Event, Recorded, StartContext},
        execution::TriggerKind,
        schedule::execution_of,
    },
    nodes::{plan::CompiledWorkflow, schedule::start_items},
    store::{Append, JournalRow, NewExecution, ScheduleRow, StoreError, payload::PayloadCodec},
};

/// Makes executions of ticks. Cheap to clone.
#[derive(Clone)]
pub struct Launcher {
    pub workflows: WorkflowsHandle,
    pub variables: VariablesHandle,
    pub codec: PayloadCodec,
}

/// Why a tick has no execution.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Workflow(WorkflowError),
    #[error("the workflow has no node `{node}` to start at")]
    UnknownStartNode { node: String },
    #[error("the workflow has no enabled trigger")]
    NoTrigger,
    #[error("the input of the schedule cannot be read")]
    Input(#[source] serde_json::Error),
    #[error("the execution cannot be stored")]
    Store(#[source] StoreError),
}

impl LaunchError {
    /// Whether another try would fail, too, until somebody changes something.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Workflow(WorkflowError::Store(_) | WorkflowError::Interrupted(_)) | Self::Store(_) => false,
            Self::Workflow(_) | Self::UnknownStartNode { .. } | Self::NoTrigger | Self::Input(_) => true,
        }
    }
}

impl Launcher {
    /// The creation of a tick's execution, for `Store::create_queued` and `Store::fire_schedule`.
    ///
    /// Errors: see [`LaunchError`].
    pub async fn creation(&self, row: &ScheduleRow, scheduled_at: u64, fired_at: u64) -> Result<Append, LaunchError> {
        let workflow = match row.version {
            Some(version) => self.workflows.compiled(row.workspace, row.workflow, version).await,
            None => self.workflows.to_start(row.workspace, row.workflow).await,
        };
        let workflow = workflow.map_err(LaunchError::Workflow)?;
        let start_node = start_node(&workflow, row.content.node.as_deref())?;
        let input = row.content.input.as_deref().map(serde_json::from_slice).transpose().map_err(LaunchError::Input)?;
        let items = Arc::new(start_items(input.unwrap_or(Value::Null), scheduled_at, fired_at));
        let vars = if workflow.variables.is_none() {
            Map::new()
        } else {
            let values = self.variables.values(row.workspace).await.map_err(LaunchError::Store)?;
            workflow.variables.select(&values)
        };
        let context = StartContext { vars, trace: None }.into_event();
        let event = Event::Created { trigger: TriggerKind::Schedule, start_node, items, nesting: 0, parent: None, context };
        let json = serde_json::to_vec(&[Recorded { at: fired_at, event }]).expect("an event can be written");
        let body = self.codec.encode(json).await.map_err(LaunchError::Store)?;
        let new = NewExecution {
            workspace: row.workspace,
            workflow: row.workflow,
            version: workflow.version,
            trigger: TriggerKind::Schedule,
            parent: None,
            retry_of: None,
            business_key: None,
        };
        Ok(Append {
            execution: execution_of(row.id, scheduled_at),
            // The store writes the owner's.
            epoch: 0,
            created_at: fired_at,
            entry: JournalRow { seq: 0, count: 1, epoch: 0, at: fired_at, body },
            create: Some(new),
            state: None,
            consumed: Vec::new(),
            notify: Vec::new(),
            snapshot: None,
        })
    }
}

/// The node that a schedule starts its workflow at.
///
/// Errors: `UnknownStartNode`, `NoTrigger`.
pub fn start_node(workflow: &CompiledWorkflow, wanted: Option<&str>) -> Result<Arc<str>, LaunchError> {
    match wanted {
        Some(node) => {
            let found = workflow.graph.node(node).map(|found| Arc::clone(&found.id));
            found.ok_or_else(|| LaunchError::UnknownStartNode { node: node.to_owned() })
        }
        None => workflow.graph.default_trigger().map(|node| Arc::clone(&node.id)).ok_or(LaunchError::NoTrigger),
    }
}
