//! Tags of workflows: those of each workflow's latest version.

use super::{SqliteStore, error::failed};
use crate::{
    model::ids::{WorkflowId, WorkspaceId},
    store::{
        Result, TagCount,
        columns::{self, TagColumns},
    },
};

const READING: &str = "reading tags";
const WRITING: &str = "writing tags";

pub(super) async fn list_tags(
    store: &SqliteStore,
    workspace: WorkspaceId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<TagCount>> {
    const SQL: &str = "SELECT tag, count(*) AS workflows FROM workflow_tags
        WHERE workspace_id = ?1 AND tag > ?2 GROUP BY tag ORDER BY tag LIMIT ?3";
    // No tag is empty, so everything is above the empty one.
    let rows: Vec<TagColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(after.unwrap_or_default().to_owned())
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

/// Replaces the tags of a workflow, within the transaction that stores its version.
pub(super) async fn replace_tags(
    connection: &mut sqlx::SqliteConnection,
    workspace: WorkspaceId,
    workflow: WorkflowId,
    tags: &[String],
) -> Result<()> {
    const DELETE: &str = "DELETE FROM workflow_tags WHERE workflow_id = ?1";
    const INSERT: &str = "INSERT INTO workflow_tags (workspace_id, tag, workflow_id) VALUES (?1, ?2, ?3)
        ON CONFLICT (workspace_id, tag, workflow_id) DO NOTHING";
    sqlx::query(DELETE).bind(workflow.uuid()).execute(&mut *connection).await.map_err(failed(WRITING))?;
    for tag in tags {
        let query = sqlx::query(INSERT).bind(workspace.uuid()).bind(tag.clone()).bind(workflow.uuid());
        query.execute(&mut *connection).await.map_err(failed(WRITING))?;
    }
    Ok(())
}
