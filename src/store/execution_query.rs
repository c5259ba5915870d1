//! The queries on executions that both databases understand, built from what the caller asks for. Values are bound, never
//! written into the text.

use sqlx::{Database, Encode, QueryBuilder, Type};
use uuid::Uuid;

use super::{ExecutionCursor, ExecutionFilter, PageRequest, columns::millis};
use crate::model::{
    execution::ExecutionStatus,
    ids::{ExecutionId, WorkspaceId},
};

const SELECT: &str = "SELECT id, workspace_id, workflow_id, parent_id, retry_of, created_at, wake_at, finished_at, expires_at, \
     version, status, trigger_kind, business_key, error_code FROM executions";

/// One execution by its id, in any workspace.
pub(super) fn get<DB: Database>(id: ExecutionId) -> QueryBuilder<DB>
where
    for<'q> Uuid: Encode<'q, DB> + Type<DB>,
{
    let mut query = QueryBuilder::new(SELECT);
    query.push(" WHERE id = ").push_bind(id.uuid()).push(" LIMIT 1");
    query
}

/// One execution of a workspace.
pub(super) fn find<DB: Database>(workspace: WorkspaceId, id: ExecutionId) -> QueryBuilder<DB>
where
    for<'q> Uuid: Encode<'q, DB> + Type<DB>,
{
    let mut query = QueryBuilder::new(SELECT);
    query.push(" WHERE workspace_id = ").push_bind(workspace.uuid()).push(" AND id = ").push_bind(id.uuid()).push(" LIMIT 1");
    query
}

/// A page of the executions of a workspace, newest first.
pub(super) fn list<DB: Database>(
    workspace: WorkspaceId,
    filter: &ExecutionFilter,
    page: &PageRequest<ExecutionCursor>,
) -> QueryBuilder<DB>
where
    for<'q> Uuid: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> i16: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    let mut query = QueryBuilder::new(SELECT);
    query.push(" WHERE workspace_id = ").push_bind(workspace.uuid());
    if let Some(workflow) = filter.workflow {
        query.push(" AND workflow_id = ").push_bind(workflow.uuid());
    }
    if let Some(status) = filter.status {
        query.push(" AND status = ").push_bind(status.code());
        if status != ExecutionStatus::Succeeded {
            // Says again, as text, what the partial indexes are about: a bound value does not let the planner use them.
            query.push(" AND status <> 10");
        }
    }
    if let Some(trigger) = filter.trigger {
        query.push(" AND trigger_kind = ").push_bind(trigger.code());
    }
    if let Some(from) = filter.created_from {
        query.push(" AND created_at >= ").push_bind(millis(from));
    }
    if let Some(until) = filter.created_until {
        query.push(" AND created_at < ").push_bind(millis(until));
    }
    if let Some(code) = &filter.error_code {
        query.push(" AND error_code = ").push_bind(code.clone());
    }
    if let Some(origin) = filter.retry_of {
        query.push(" AND retry_of = ").push_bind(origin.uuid());
    }
    if let Some(after) = page.after {
        query.push(" AND (created_at, id) < (").push_bind(millis(after.created_at)).push(", ");
        query.push_bind(after.id.uuid()).push(")");
    }
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(page.limit));
    query
}
