//! What workspaces have stored.

use uuid::Uuid;

use super::{SqliteStore, error::failed};
use crate::{
    model::ids::WorkspaceId,
    store::{Encoding, Result, WORKSPACES_COUNTED, WorkspaceUsage, payload::INLINE_BYTES_MAX},
};

const COUNTING: &str = "counting what workspaces have stored";

pub(super) async fn workspace_usage(store: &SqliteStore) -> Result<Vec<WorkspaceUsage>> {
    const SQL: &str = "SELECT executions.workspace_id, SUM(CASE stored.encoding WHEN ?1 THEN ?2 ELSE length(stored.body) END)
        FROM (SELECT execution_id, encoding, body FROM journal UNION ALL SELECT execution_id, encoding, body FROM snapshots) AS stored
        JOIN executions ON executions.id = stored.execution_id
        GROUP BY executions.workspace_id ORDER BY executions.workspace_id LIMIT ?3";
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(SQL)
        .bind(Encoding::Blob.code())
        .bind(i64::try_from(INLINE_BYTES_MAX).unwrap_or(i64::MAX))
        .bind(WORKSPACES_COUNTED)
        .fetch_all(&store.readers)
        .await
        .map_err(failed(COUNTING))?;
    let usage = |(id, bytes)| WorkspaceUsage { workspace: WorkspaceId::from_uuid(id), bytes: u64::try_from(bytes).unwrap_or(0) };
    Ok(rows.into_iter().map(usage).collect())
}
