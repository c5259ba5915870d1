//! The list of workflows for both databases, built from what the caller asks for. Values are bound, never written into the text.

use sqlx::{Database, Encode, QueryBuilder, Type};
use uuid::Uuid;

use super::{PageRequest, WorkflowCursor, WorkflowFilter, columns::millis};
use crate::model::ids::WorkspaceId;

const SELECT: &str =
    "SELECT id, workspace_id, name, latest_version, active_version, created_at, updated_at FROM workflows WHERE workspace_id = ";

/// How a database says that a name has a part, which is bound between the two texts in lower case.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameHas {
    pub(super) before: &'static str,
    pub(super) after: &'static str,
}

/// A page of the workflows of a workspace, newest first. Tags are looked up by their key; names are compared one by one, on the
/// way through the index of the list.
pub(super) fn list<DB: Database>(
    workspace: WorkspaceId,
    filter: &WorkflowFilter,
    page: &PageRequest<WorkflowCursor>,
    name_has: NameHas,
) -> QueryBuilder<DB>
where
    for<'q> Uuid: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    let mut query = QueryBuilder::new(SELECT);
    query.push_bind(workspace.uuid());
    if let Some(tag) = &filter.tag {
        query.push(" AND EXISTS (SELECT 1 FROM workflow_tags WHERE workspace_id = ").push_bind(workspace.uuid());
        query.push(" AND tag = ").push_bind(tag.clone()).push(" AND workflow_id = workflows.id)");
    }
    if let Some(part) = &filter.name_part {
        query.push(name_has.before).push_bind(part.to_ascii_lowercase()).push(name_has.after);
    }
    match filter.active {
        Some(true) => query.push(" AND active_version IS NOT NULL"),
        Some(false) => query.push(" AND active_version IS NULL"),
        None => &mut query,
    };
    if let Some(after) = page.after {
        query.push(" AND (created_at, id) < (").push_bind(millis(after.created_at)).push(", ");
        query.push_bind(after.id.uuid()).push(")");
    }
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(page.limit));
    query
}
