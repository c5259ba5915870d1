//! What a creation may find taken: its idempotency key, or its business key. Called inside of the creation's transaction.

use sqlx::PgConnection;
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

/// Takes the key, unless it is live. Waits for another process that is about to take it.
pub(super) async fn claim_key(connection: &mut PgConnection, execution: ExecutionId, key: &IdempotencyKey) -> Result<bool> {
    const SQL: &str = "INSERT INTO idempotency (workspace_id, scope, key, request_hash, execution_id, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (workspace_id, scope, key) DO UPDATE
        SET request_hash = excluded.request_hash, execution_id = excluded.execution_id, expires_at = excluded.expires_at
        WHERE idempotency.expires_at <= $7";
    let claimed = sqlx::query(SQL)
        .bind(key.workspace.uuid())
        .bind(&key.scope)
        .bind(&key.key)
        .bind(&key.request_hash[..])
        .bind(execution.uuid())
        .bind(millis(key.expires_at))
        .bind(millis(key.now_ms))
        .execute(connection)
        .await
        .map_err(failed(APPENDING))?;
    Ok(claimed.rows_affected() > 0)
}

/// The execution that a live key leads to, and the hash of the request that made it.
pub(super) async fn find_holder(connection: &mut PgConnection, key: &IdempotencyKey) -> Result<(ExecutionId, [u8; 32])> {
    const SQL: &str = "SELECT execution_id, request_hash FROM idempotency
        WHERE workspace_id = $1 AND scope = $2 AND key = $3 LIMIT 1";
    let holder: KeyColumns = sqlx::query_as(SQL)
        .bind(key.workspace.uuid())
        .bind(&key.scope)
        .bind(&key.key)
        .fetch_one(connection)
        .await
        .map_err(failed(APPENDING))?;
    holder.read()
}

/// Has a key that was just claimed lead to another execution.
pub(super) async fn lead_to(connection: &mut PgConnection, execution: ExecutionId, key: &IdempotencyKey) -> Result<()> {
    const SQL: &str = "UPDATE idempotency SET execution_id = $4 WHERE workspace_id = $1 AND scope = $2 AND key = $3";
    sqlx::query(SQL)
        .bind(key.workspace.uuid())
        .bind(&key.scope)
        .bind(&key.key)
        .bind(execution.uuid())
        .execute(connection)
        .await
        .map_err(failed(APPENDING))?;
    Ok(())
}

/// The newest live execution with the workspace, workflow and business key of the one that is to be created. Until the end of the
/// transaction no other process gets past this for the same three, so what is not there now will not come in between.
pub(super) async fn find_taken(connection: &mut PgConnection, append: &Append) -> Result<Option<ExecutionId>> {
    // A lock of its own, since there is no row to lock yet. Two keys with the same hash wait for each other, no more. The look is
    // a second statement: its snapshot is taken once the lock is held.
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1 || ':' || $2 || ':' || $3, 0)) LIMIT 1";
    const SQL: &str = "SELECT id FROM executions
        WHERE workspace_id = $1 AND workflow_id = $2 AND business_key = $3 AND status < 10
        ORDER BY created_at DESC, id DESC LIMIT 1";
    let (new, business_key) = exclusive(append)?;
    sqlx::query(LOCK)
        .bind(new.workspace.to_string())
        .bind(new.workflow.to_string())
        .bind(business_key)
        .execute(&mut *connection)
        .await
        .map_err(failed(APPENDING))?;
    let taken: Option<Uuid> = sqlx::query_scalar(SQL)
        .bind(new.workspace.uuid())
        .bind(new.workflow.uuid())
        .bind(business_key)
        .fetch_optional(connection)
        .await
        .map_err(failed(APPENDING))?;
    Ok(taken.map(ExecutionId::from_uuid))
}
