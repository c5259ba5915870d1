//! What a creation may find taken: its idempotency key, or its business key. Called inside of the creation's transaction.

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{error::failed, journal::APPENDING};
use crate::{
    model::ids::ExecutionId,
    store::{
        Append, IdempotencyKey, Result,
        columns::{KeyColumns, millis},
        journal::exclusive,
    },
};

/// Takes the key, unless it is live.
pub(super) async fn claim_key(connection: &mut SqliteConnection, execution: ExecutionId, key: &IdempotencyKey) -> Result<bool> {
    const SQL: &str = "INSERT INTO idempotency (workspace_id, scope, key, request_hash, execution_id, expires_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (workspace_id, scope, key) DO UPDATE
        SET request_hash = excluded.request_hash, execution_id = excluded.execution_id, expires_at = excluded.expires_at
        WHERE idempotency.expires_at <= ?7";
    let claimed = sqlx::query(SQL)
        .bind(key.workspace.uuid())
        .bind(key.scope.clone())
        .bind(key.key.clone())
        .bind(key.request_hash.to_vec())
        .bind(execution.uuid())
        .bind(millis(key.expires_at))
        .bind(millis(key.now_ms))
        .execute(connection)
        .await
        .map_err(failed(APPENDING))?;
    Ok(claimed.rows_affected() > 0)
}

/// The execution that a live key leads to, and the hash of the request that made it.
pub(super) async fn find_holder(connection: &mut SqliteConnection, key: &IdempotencyKey) -> Result<(ExecutionId, [u8; 32])> {
    const SQL: &str = "SELECT execution_id, request_hash FROM idempotency
        WHERE workspace_id = ?1 AND scope = ?2 AND key = ?3 LIMIT 1";
    let holder: KeyColumns = sqlx::query_as(SQL)
        .bind(key.workspace.uuid())
        .bind(key.scope.clone())
        .bind(key.key.clone())
        .fetch_one(connection)
        .await
        .map_err(failed(APPENDING))?;
    holder.read()
}

/// Has a key that was just claimed lead to another execution.
pub(super) async fn lead_to(connection: &mut SqliteConnection, execution: ExecutionId, key: &IdempotencyKey) -> Result<()> {
    const SQL: &str = "UPDATE idempotency SET execution_id = ?4 WHERE workspace_id = ?1 AND scope = ?2 AND key = ?3";
    sqlx::query(SQL)
        .bind(key.workspace.uuid())
        .bind(key.scope.clone())
        .bind(key.key.clone())
        .bind(execution.uuid())
        .execute(connection)
        .await
        .map_err(failed(APPENDING))?;
    Ok(())
}

/// The newest live execution with the workspace, workflow and business key of the one that is to be created.
pub(super) async fn find_taken(connection: &mut SqliteConnection, append: &Append) -> Result<Option<ExecutionId>> {
    const SQL: &str = "SELECT id FROM executions
        WHERE workspace_id = ?1 AND workflow_id = ?2 AND business_key = ?3 AND status < 10
        ORDER BY created_at DESC, id DESC LIMIT 1";
    let (new, business_key) = exclusive(append)?;
    let taken: Option<Uuid> = sqlx::query_scalar(SQL)
        .bind(new.workspace.uuid())
        .bind(new.workflow.uuid())
        .bind(business_key.to_owned())
        .fetch_optional(connection)
        .await
        .map_err(failed(APPENDING))?;
    Ok(taken.map(ExecutionId::from_uuid))
}
