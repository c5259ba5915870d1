//! Executions.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Time;
use crate::{
    actors::executions::FinishedExecution,
    model::{
        error::NodeError,
        event::ExecutionError,
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, WorkflowId},
        item::Item,
    },
    store::ExecutionRow,
};

/// An execution. `result` and the error's message are in the answer for one execution only, not in lists.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ExecutionBody {
    id: ExecutionId,
    workflow_id: WorkflowId,
    workflow_version: u32,
    status: ExecutionStatus,
    trigger: TriggerKind,
    business_key: Option<String>,
    parent_id: Option<ExecutionId>,
    retry_of: Option<ExecutionId>,
    created_at: Time,
    /// When a waiting execution goes on by itself.
    wake_at: Option<Time>,
    finished_at: Option<Time>,
    duration_ms: Option<u64>,
    error: Option<ErrorBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Vec<Item>>,
}

/// The answer to a start that was not waited for.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct StartedBody {
    pub(in crate::http) id: ExecutionId,
    pub(in crate::http) workflow_id: WorkflowId,
    pub(in crate::http) workflow_version: u32,
    pub(in crate::http) status: ExecutionStatus,
}

/// Why an execution or a node run failed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

impl From<ExecutionRow> for ExecutionBody {
    fn from(row: ExecutionRow) -> Self {
        let (new, state) = (row.new, row.state);
        let code_only = |code| ErrorBody { code, message: None, node_id: None, details: None };
        Self {
            id: row.id,
            workflow_id: new.workflow,
            workflow_version: new.version,
            status: state.status,
            trigger: new.trigger,
            business_key: new.business_key,
            parent_id: new.parent,
            retry_of: new.retry_of,
            created_at: Time(row.created_at),
            wake_at: state.wake_at.filter(|_| state.status == ExecutionStatus::Waiting).map(Time),
            finished_at: state.finished_at.map(Time),
            duration_ms: state.finished_at.map(|at| at.saturating_sub(row.created_at)),
            error: state.error_code.map(code_only),
            result: None,
        }
    }
}

impl ExecutionBody {
    /// Adds how the execution ended.
    pub(in crate::http) fn with_end(mut self, end: FinishedExecution) -> Self {
        self.status = end.status;
        self.error = end.error.map(ErrorBody::from);
        self.result = Some(end.result);
        self
    }
}

impl From<ExecutionError> for ErrorBody {
    fn from(error: ExecutionError) -> Self {
        let node_id = error.node_id.map(|id| id.to_string());
        Self { code: error.code, message: Some(error.message), node_id, details: error.details }
    }
}

impl From<NodeError> for ErrorBody {
    fn from(error: NodeError) -> Self {
        Self { code: error.code, message: Some(error.message), node_id: None, details: error.details }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{
        model::ids::WorkspaceId,
        store::{NewExecution, StateChange},
    };

    fn row() -> ExecutionRow {
        ExecutionRow {
            id: ExecutionId::from_uuid(Uuid::from_u128(1)),
            new: NewExecution {
                workspace: WorkspaceId::DEFAULT,
                workflow: WorkflowId::from_uuid(Uuid::from_u128(2)),
                version: 3,
                trigger: TriggerKind::Webhook,
                parent: None,
                retry_of: None,
                business_key: Some("order-7".to_owned()),
            },
            state: StateChange {
                status: ExecutionStatus::Failed,
                wake_at: Some(1),
                finished_at: Some(1_700_000_001_500),
                error_code: Some("timeout".to_owned()),
                expires_at: None,
            },
            created_at: 1_700_000_000_000,
        }
    }

    #[test]
    fn shows_a_row_and_then_how_it_ended() {
        let end = FinishedExecution {
            status: ExecutionStatus::Failed,
            error: Some(ExecutionError {
                code: "timeout".to_owned(),
                message: "took too long".to_owned(),
                node_id: Some("a".into()),
                details: None,
            }),
            result: vec![Item::from_value(json!({ "x": 1 }))],
        };
        insta::assert_json_snapshot!([ExecutionBody::from(row()), ExecutionBody::from(row()).with_end(end)]);
    }
}
