//! What goes: finished executions, on request or when they have expired, and expired idempotency keys.

use super::{SqliteStore, error::failed};
use crate::{
    model::ids::{ExecutionId, WorkspaceId},
    store::{
        Result,
        columns::{millis, shard_of},
    },
};

/// Pages that one call gives back to the file system: 8 MiB, a few milliseconds of the writer's time.
const VACUUM: &str = "PRAGMA incremental_vacuum(2000)";
const DELETING: &str = "deleting executions";

pub(super) async fn delete_execution(store: &SqliteStore, workspace: WorkspaceId, id: ExecutionId) -> Result<bool> {
    const EXECUTION: &str = "DELETE FROM executions WHERE id = ?1 AND workspace_id = ?2 AND status >= 10";
    const JOURNAL: &str = "DELETE FROM journal WHERE execution_id = ?1";
    const INBOX: &str = "DELETE FROM inbox WHERE shard = ?2 AND execution_id = ?1";
    let mut tx = store.begin(DELETING).await?;
    let deleted =
        sqlx::query(EXECUTION).bind(id.uuid()).bind(workspace.uuid()).execute(&mut *tx).await.map_err(failed(DELETING))?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(JOURNAL).bind(id.uuid()).execute(&mut *tx).await.map_err(failed(DELETING))?;
    sqlx::query(INBOX).bind(id.uuid()).bind(shard_of(id)).execute(&mut *tx).await.map_err(failed(DELETING))?;
    tx.commit().await.map_err(failed(DELETING))?;
    Ok(true)
}

pub(super) async fn prune(store: &SqliteStore, now_ms: u64, limit: u32) -> Result<u64> {
    // The three statements name the same executions: the one that ends their rows comes last.
    const JOURNAL: &str = "DELETE FROM journal WHERE execution_id IN
        (SELECT id FROM executions WHERE status >= 10 AND expires_at < ?1 ORDER BY expires_at, id LIMIT ?2)";
    const INBOX: &str = "DELETE FROM inbox WHERE (shard, execution_id) IN
        (SELECT shard, id FROM executions WHERE status >= 10 AND expires_at < ?1 ORDER BY expires_at, id LIMIT ?2)";
    const EXECUTIONS: &str = "DELETE FROM executions WHERE id IN
        (SELECT id FROM executions WHERE status >= 10 AND expires_at < ?1 ORDER BY expires_at, id LIMIT ?2)";
    const KEYS: &str = "DELETE FROM idempotency WHERE (workspace_id, scope, key) IN
        (SELECT workspace_id, scope, key FROM idempotency WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
    let mut tx = store.begin(DELETING).await?;
    let mut deleted = 0;
    for sql in [KEYS, JOURNAL, INBOX, EXECUTIONS] {
        let done =
            sqlx::query(sql).bind(millis(now_ms)).bind(i64::from(limit)).execute(&mut *tx).await.map_err(failed(DELETING))?;
        deleted = done.rows_affected();
    }
    tx.commit().await.map_err(failed(DELETING))?;
    // Rows of the pragma are steps of the work: all of them have to be fetched.
    sqlx::query(VACUUM).fetch_all(&store.writer).await.map_err(failed("giving pages back"))?;
    Ok(deleted)
}
