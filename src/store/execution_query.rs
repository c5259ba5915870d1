//! The queries on executions that both databases understand, built from what the caller asks for. Values are bound, never
//! written into the text.

use std::collections::BTreeSet;

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
///
/// Several statuses are as many lists, each of which its index gives in order: one walk over all executions would look at every
/// success in between.
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
    let statuses: BTreeSet<i16> = filter.statuses.iter().map(|status| status.code()).collect();
    let is_every = statuses.len() == ExecutionStatus::ALL.len();
    let mut query = QueryBuilder::new("");
    match statuses.iter().copied().collect::<Vec<_>>().as_slice() {
        several @ [_, _, ..] if !is_every => {
            for (place, status) in several.iter().enumerate() {
                query.push(if place == 0 { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" });
                push_list(&mut query, workspace, filter, Some(*status), page);
                query.push(format!(") AS part{place}"));
            }
            query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(page.limit));
        }
        [status] => push_list(&mut query, workspace, filter, Some(*status), page),
        _ => push_list(&mut query, workspace, filter, None, page),
    }
    query
}

/// A page of the executions with one status, or with any.
fn push_list<DB: Database>(
    query: &mut QueryBuilder<DB>,
    workspace: WorkspaceId,
    filter: &ExecutionFilter,
    status: Option<i16>,
    page: &PageRequest<ExecutionCursor>,
) where
    for<'q> Uuid: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> i16: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    query.push(SELECT).push(" WHERE workspace_id = ").push_bind(workspace.uuid());
    if let Some(workflow) = filter.workflow {
        query.push(" AND workflow_id = ").push_bind(workflow.uuid());
    }
    if let Some(status) = status {
        query.push(" AND status = ").push_bind(status);
        if status != ExecutionStatus::Succeeded.code() {
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
    if let Some(key) = &filter.business_key {
        query.push(" AND business_key = ").push_bind(key.clone());
    }
    if let Some(after) = page.after {
        query.push(" AND (created_at, id) < (").push_bind(millis(after.created_at)).push(", ");
        query.push_bind(after.id.uuid()).push(")");
    }
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(page.limit));
}
