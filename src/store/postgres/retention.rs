//! What goes: finished executions, on request or when they have expired, and expired idempotency keys and sessions. The journals of expired
//! executions go with their day's partition.

use super::{PostgresStore, error::failed};
use crate::{
    model::ids::{ExecutionId, WorkspaceId},
    store::{Result, columns::millis},
};

const DELETING: &str = "deleting executions";

pub(super) async fn delete_execution(store: &PostgresStore, workspace: WorkspaceId, id: ExecutionId) -> Result<bool> {
    const SQL: &str = "WITH gone AS (
            DELETE FROM executions WHERE id = $1 AND workspace_id = $2 AND status >= 10
            RETURNING id, shard, LEAST(created_at / 86400000, 2147483646)::integer AS day
        ),
        entries AS (DELETE FROM journal USING gone WHERE journal.day = gone.day AND journal.execution_id = gone.id),
        snapshot AS (DELETE FROM snapshots USING gone WHERE snapshots.execution_id = gone.id),
        messages AS (DELETE FROM inbox USING gone WHERE inbox.shard = gone.shard AND inbox.execution_id = gone.id)
        SELECT EXISTS (SELECT FROM gone) LIMIT 1";
    sqlx::query_scalar(SQL).bind(id.uuid()).bind(workspace.uuid()).fetch_one(&store.pool).await.map_err(failed(DELETING))
}

pub(super) async fn prune(store: &PostgresStore, now_ms: u64, limit: u32) -> Result<u64> {
    // Rows that another process is about to delete are skipped, so that two that prune at once do not wait for each other.
    const SQL: &str = "WITH expired AS MATERIALIZED (
            SELECT id, shard FROM executions WHERE status >= 10 AND expires_at < $1
            ORDER BY expires_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
        ),
        expired_keys AS MATERIALIZED (
            SELECT workspace_id, scope, key FROM idempotency WHERE expires_at <= $1
            ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ),
        keys AS (
            DELETE FROM idempotency USING expired_keys AS expired
            WHERE idempotency.workspace_id = expired.workspace_id AND idempotency.scope = expired.scope
            AND idempotency.key = expired.key
        ),
        expired_sessions AS MATERIALIZED (
            SELECT id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ),
        sessions_gone AS (DELETE FROM sessions USING expired_sessions AS expired WHERE sessions.id = expired.id),
        kept AS (DELETE FROM snapshots USING expired WHERE snapshots.execution_id = expired.id),
        messages AS (DELETE FROM inbox USING expired WHERE inbox.shard = expired.shard AND inbox.execution_id = expired.id),
        gone AS (DELETE FROM executions USING expired WHERE executions.id = expired.id RETURNING 1)
        SELECT count(*) FROM gone LIMIT 1";
    let gone: i64 = sqlx::query_scalar(SQL)
        .bind(millis(now_ms))
        .bind(i64::from(limit))
        .fetch_one(&store.pool)
        .await
        .map_err(failed(DELETING))?;
    store.partitions.ensure_ahead(&store.pool).await?;
    store.partitions.drop_unused(&store.pool, now_ms).await?;
    Ok(u64::try_from(gone).unwrap_or(0))
}
