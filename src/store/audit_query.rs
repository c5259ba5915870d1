//! The list of audit rows for both databases, built from what the caller asks for. Values are bound, never written into the text.

use sqlx::{Database, Encode, QueryBuilder, Type};
use uuid::Uuid;

use super::{AuditFilter, AuditOrder, PageRequest, columns::millis};
use crate::model::ids::WorkspaceId;

/// The columns of a row, as [`AuditColumns`](super::columns::AuditColumns) reads them.
const SELECT: &str = "SELECT workspace_id, seq, at, id, actor, token, action, target, address, request_id, before_digest, \
     after_digest, prev_hash, hash, details FROM audit WHERE workspace_id = ";

/// A page of the rows of a workspace, by their numbers.
pub(super) fn list<DB: Database>(
    workspace: WorkspaceId,
    filter: &AuditFilter,
    order: AuditOrder,
    page: &PageRequest<u64>,
) -> QueryBuilder<DB>
where
    for<'q> Uuid: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    let mut query = QueryBuilder::new(SELECT);
    query.push_bind(workspace.uuid());
    for (column, wanted) in [
        (" AND action = ", &filter.action),
        (" AND actor = ", &filter.actor),
        (" AND target = ", &filter.target),
        (" AND request_id = ", &filter.request_id),
    ] {
        if let Some(wanted) = wanted {
            query.push(column).push_bind(wanted.clone());
        }
    }
    if let Some(kind) = &filter.kind {
        // Actions are ordered by their bytes, and `/` is what follows the dot.
        query.push(" AND action >= ").push_bind(format!("{kind}.")).push(" AND action < ").push_bind(format!("{kind}/"));
    }
    if let Some(from) = filter.from {
        query.push(" AND at >= ").push_bind(millis(from));
    }
    if let Some(until) = filter.until {
        query.push(" AND at < ").push_bind(millis(until));
    }
    let (after, direction) = match order {
        AuditOrder::NewestFirst => (" AND seq < ", " ORDER BY seq DESC LIMIT "),
        AuditOrder::OldestFirst => (" AND seq > ", " ORDER BY seq LIMIT "),
    };
    if let Some(seq) = page.after {
        query.push(after).push_bind(millis(seq));
    }
    query.push(direction).push_bind(i64::from(page.limit));
    query
}
