//! What goes: finished executions, on request or when they have expired, and expired idempotency keys and sessions.

use std::sync::LazyLock;

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    SqliteStore,
    chunks::{Binding, Chunks},
    error::failed,
};
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

static DELETE_EXECUTIONS: LazyLock<Chunks> = LazyLock::new(|| Chunks::any_of("DELETE FROM executions WHERE ", "id = ?"));
static DELETE_ENTRIES: LazyLock<Chunks> = LazyLock::new(|| Chunks::any_of("DELETE FROM journal WHERE ", "execution_id = ?"));
static DELETE_SNAPSHOTS: LazyLock<Chunks> = LazyLock::new(|| Chunks::any_of("DELETE FROM snapshots WHERE ", "execution_id = ?"));
static DELETE_MESSAGES: LazyLock<Chunks> =
    LazyLock::new(|| Chunks::any_of("DELETE FROM inbox WHERE ", "(shard, execution_id) = (?, ?)"));

pub(super) async fn delete_execution(store: &SqliteStore, workspace: WorkspaceId, id: ExecutionId) -> Result<bool> {
    const SQL: &str = "SELECT id FROM executions WHERE id = ?1 AND workspace_id = ?2 AND status >= 10 LIMIT 1";
    let mut tx = store.begin(DELETING).await?;
    let finished = sqlx::query_scalar(SQL).bind(id.uuid()).bind(workspace.uuid());
    let finished: Option<Uuid> = finished.fetch_optional(&mut *tx).await.map_err(failed(DELETING))?;
    if finished.is_none() {
        return Ok(false);
    }
    delete_rows(&mut tx, &[id]).await?;
    tx.commit().await.map_err(failed(DELETING))?;
    Ok(true)
}

pub(super) async fn prune(store: &SqliteStore, now_ms: u64, limit: u32) -> Result<u64> {
    const EXPIRED: &str = "SELECT id FROM executions WHERE status >= 10 AND expires_at < ?1 ORDER BY expires_at, id LIMIT ?2";
    const KEYS: &str = "DELETE FROM idempotency WHERE (workspace_id, scope, key) IN
        (SELECT workspace_id, scope, key FROM idempotency WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
    const SESSIONS: &str =
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
    let (now_ms, limit) = (millis(now_ms), i64::from(limit));
    let mut tx = store.begin(DELETING).await?;
    for statement in [KEYS, SESSIONS] {
        sqlx::query(statement).bind(now_ms).bind(limit).execute(&mut *tx).await.map_err(failed(DELETING))?;
    }
    let expired = sqlx::query_scalar(EXPIRED).bind(now_ms).bind(limit);
    let expired: Vec<Uuid> = expired.fetch_all(&mut *tx).await.map_err(failed(DELETING))?;
    let expired: Vec<ExecutionId> = expired.into_iter().map(ExecutionId::from_uuid).collect();
    delete_rows(&mut tx, &expired).await?;
    tx.commit().await.map_err(failed(DELETING))?;
    // Rows of the pragma are steps of the work: all of them have to be fetched.
    sqlx::query(VACUUM).fetch_all(&store.writer).await.map_err(failed("giving pages back"))?;
    Ok(u64::try_from(expired.len()).unwrap_or(u64::MAX))
}

/// Deletes executions with their journals, snapshots and inboxes.
async fn delete_rows(connection: &mut SqliteConnection, ids: &[ExecutionId]) -> Result<()> {
    let failed = failed(DELETING);
    DELETE_ENTRIES.run(connection, ids, |query, id| query.bind(id.uuid())).await.map_err(&failed)?;
    DELETE_SNAPSHOTS.run(connection, ids, |query, id| query.bind(id.uuid())).await.map_err(&failed)?;
    let bind_inbox = |query: Binding, id: &ExecutionId| query.bind(shard_of(*id)).bind(id.uuid());
    DELETE_MESSAGES.run(connection, ids, bind_inbox).await.map_err(&failed)?;
    DELETE_EXECUTIONS.run(connection, ids, |query, id| query.bind(id.uuid())).await.map_err(&failed)?;
    Ok(())
}
