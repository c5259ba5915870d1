//! Rows of executions: lists by cursor, and what is live and due.

use uuid::Uuid;

use super::{SqliteStore, error::failed, shards::shard_list};
use crate::{
    model::ids::{ExecutionId, WorkspaceId},
    store::{
        DueExecution, ExecutionCursor, ExecutionFilter, ExecutionRow, PageRequest, Result, StoreError,
        columns::{self, DueColumns, ExecutionColumns, millis, number},
        execution_query,
    },
};

const READING: &str = "reading executions";

pub(super) async fn find_execution(store: &SqliteStore, workspace: WorkspaceId, id: ExecutionId) -> Result<Option<ExecutionRow>> {
    let mut query = execution_query::find(workspace, id);
    let row: Option<ExecutionColumns> = query.build_query_as().fetch_optional(&store.readers).await.map_err(failed(READING))?;
    row.map(ExecutionRow::try_from).transpose()
}

pub(super) async fn get_execution(store: &SqliteStore, id: ExecutionId) -> Result<Option<ExecutionRow>> {
    let mut query = execution_query::get(id);
    let row: Option<ExecutionColumns> = query.build_query_as().fetch_optional(&store.readers).await.map_err(failed(READING))?;
    row.map(ExecutionRow::try_from).transpose()
}

pub(super) async fn list_executions(
    store: &SqliteStore,
    workspace: WorkspaceId,
    filter: &ExecutionFilter,
    page: &PageRequest<ExecutionCursor>,
) -> Result<Vec<ExecutionRow>> {
    let mut query = execution_query::list(workspace, filter, page);
    let rows: Vec<ExecutionColumns> = query.build_query_as().fetch_all(&store.readers).await.map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn list_live(
    store: &SqliteStore,
    shards: &[u16],
    after: Option<ExecutionId>,
    limit: u32,
) -> Result<Vec<ExecutionId>> {
    const SQL: &str = "SELECT id FROM executions
        WHERE status < 2 AND shard IN (SELECT value FROM json_each(?1)) AND id > ?2
        ORDER BY id LIMIT ?3";
    let ids: Vec<Uuid> = sqlx::query_scalar(SQL)
        .bind(shard_list(shards))
        .bind(columns::after(after))
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(READING))?;
    Ok(ids.into_iter().map(ExecutionId::from_uuid).collect())
}

pub(super) async fn list_queued(store: &SqliteStore, shards: &[u16], limit: u32) -> Result<Vec<ExecutionId>> {
    const SQL: &str = "SELECT id FROM executions
        WHERE status = 0 AND shard IN (SELECT value FROM json_each(?1)) ORDER BY id LIMIT ?2";
    let ids: Vec<Uuid> = sqlx::query_scalar(SQL)
        .bind(shard_list(shards))
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(READING))?;
    Ok(ids.into_iter().map(ExecutionId::from_uuid).collect())
}

pub(super) async fn list_due(store: &SqliteStore, shards: &[u16], until_ms: u64, limit: u32) -> Result<Vec<DueExecution>> {
    const SQL: &str = "SELECT id, wake_at FROM executions
        WHERE status = 2 AND shard IN (SELECT value FROM json_each(?1)) AND wake_at <= ?2
        ORDER BY wake_at, id LIMIT ?3";
    let rows: Vec<DueColumns> = sqlx::query_as(SQL)
        .bind(shard_list(shards))
        .bind(millis(until_ms))
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn record_activation(store: &SqliteStore, id: ExecutionId, seq: u32) -> Result<u32> {
    const SQL: &str = "UPDATE executions
        SET activations = CASE WHEN activation_seq = ?2 THEN activations + 1 ELSE 1 END, activation_seq = ?2
        WHERE id = ?1 RETURNING activations";
    let activations: Option<i32> = sqlx::query_scalar(SQL)
        .bind(id.uuid())
        .bind(number(seq)?)
        .fetch_optional(&store.writer)
        .await
        .map_err(failed("counting an activation"))?;
    u32::try_from(activations.unwrap_or(0))
        .map_err(|error| StoreError::Corrupt { what: "count of activations", source: error.into() })
}

pub(super) async fn clear_activations(store: &SqliteStore, id: ExecutionId, seq: u32, count: u32) -> Result<bool> {
    const SQL: &str =
        "UPDATE executions SET activations = 0 WHERE id = ?1 AND activation_seq = ?2 AND activations = ?3 AND activations > 0";
    let cleared = sqlx::query(SQL)
        .bind(id.uuid())
        .bind(number(seq)?)
        .bind(number(count)?)
        .execute(&store.writer)
        .await
        .map_err(failed("forgetting activations"))?;
    Ok(cleared.rows_affected() > 0)
}
