//! Batches: one action on many executions.

use sqlx::{Postgres, QueryBuilder};

use super::{PostgresStore, error::failed};
use crate::{
    model::ids::{BatchId, WorkspaceId},
    store::{
        BATCHES_CLEARED, BatchCursor, BatchProgress, BatchRow, InsertBatch, NewBatch, PageRequest, Payload, Result,
        columns::{self, BatchBodyColumns, BatchColumns, millis, number},
    },
};

const READING: &str = "reading batches";
const WRITING: &str = "writing a batch";

const SELECT: &str = "SELECT id, workspace_id, created_at, finished_at, total, done, succeeded, failed, action, status, request_hash, errors \
     FROM batches";

pub(super) async fn insert_batch(
    store: &PostgresStore,
    batch: &NewBatch,
    open_max: u32,
    ended_before: u64,
) -> Result<InsertBatch> {
    const EXISTS: &str = "SELECT count(*) FROM batches WHERE id = $1 LIMIT 1";
    const OPEN: &str = "SELECT count(*) FROM batches WHERE workspace_id = $1 AND status < 10 LIMIT 1";
    const CLEAR: &str = "DELETE FROM batches WHERE id IN (
            SELECT id FROM batches WHERE workspace_id = $1 AND status >= 10 AND finished_at < $2
            ORDER BY created_at, id LIMIT $3
        )";
    const INSERT: &str = "INSERT INTO batches (
            id, workspace_id, created_at, total, done, succeeded, failed, action, status, encoding, request_hash, errors, body
        ) VALUES ($1, $2, $3, $4, 0, 0, 0, $5, 0, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
    let total = number(batch.total)?;
    let workspace = batch.workspace.uuid();
    let mut tx = store.begin(WRITING).await?;
    let exists: i64 = sqlx::query_scalar(EXISTS).bind(batch.id.uuid()).fetch_one(&mut *tx).await.map_err(failed(WRITING))?;
    if exists > 0 {
        return Ok(InsertBatch::Exists);
    }
    let open: i64 = sqlx::query_scalar(OPEN).bind(workspace).fetch_one(&mut *tx).await.map_err(failed(WRITING))?;
    if open >= i64::from(open_max) {
        return Ok(InsertBatch::TooMany);
    }
    let clear = sqlx::query(CLEAR).bind(workspace).bind(millis(ended_before)).bind(i64::from(BATCHES_CLEARED));
    clear.execute(&mut *tx).await.map_err(failed(WRITING))?;
    let inserted = sqlx::query(INSERT)
        .bind(batch.id.uuid())
        .bind(workspace)
        .bind(millis(batch.created_at))
        .bind(total)
        .bind(batch.action.code())
        .bind(batch.body.encoding.code())
        .bind(&batch.request_hash[..])
        .bind(&b""[..])
        .bind(&batch.body.bytes[..])
        .execute(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    if inserted.rows_affected() == 0 {
        return Ok(InsertBatch::Exists); // Somebody else came in between; the transaction rolls back.
    }
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(InsertBatch::Inserted)
}

pub(super) async fn find_batch(store: &PostgresStore, workspace: WorkspaceId, id: BatchId) -> Result<Option<BatchRow>> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(SELECT);
    query.push(" WHERE workspace_id = ").push_bind(workspace.uuid()).push(" AND id = ").push_bind(id.uuid()).push(" LIMIT 1");
    let row: Option<BatchColumns> = query.build_query_as().fetch_optional(&store.pool).await.map_err(failed(READING))?;
    row.map(BatchRow::try_from).transpose()
}

pub(super) async fn get_batch_body(store: &PostgresStore, id: BatchId) -> Result<Option<Payload>> {
    const SQL: &str = "SELECT encoding, body FROM batches WHERE id = $1 LIMIT 1";
    let row: Option<BatchBodyColumns> =
        sqlx::query_as(SQL).bind(id.uuid()).fetch_optional(&store.pool).await.map_err(failed(READING))?;
    row.map(Payload::try_from).transpose()
}

pub(super) async fn list_batches(
    store: &PostgresStore,
    workspace: WorkspaceId,
    page: &PageRequest<BatchCursor>,
) -> Result<Vec<BatchRow>> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(SELECT);
    query.push(" WHERE workspace_id = ").push_bind(workspace.uuid());
    if let Some(after) = page.after {
        query.push(" AND (created_at, id) < (").push_bind(millis(after.created_at)).push(", ");
        query.push_bind(after.id.uuid()).push(")");
    }
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(page.limit));
    let rows: Vec<BatchColumns> = query.build_query_as().fetch_all(&store.pool).await.map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn list_open_batches(store: &PostgresStore, limit: u32) -> Result<Vec<BatchRow>> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(SELECT);
    query.push(" WHERE status < 10 ORDER BY created_at, id LIMIT ").push_bind(i64::from(limit));
    let rows: Vec<BatchColumns> = query.build_query_as().fetch_all(&store.pool).await.map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn advance_batch(store: &PostgresStore, id: BatchId, done: u32, progress: &BatchProgress) -> Result<bool> {
    const SQL: &str = "UPDATE batches SET done = $3, succeeded = $4, failed = $5, errors = $6, finished_at = $7,
            status = CASE WHEN $7::bigint IS NULL THEN 0 ELSE 10 END
        WHERE id = $1 AND done = $2 AND status < 10";
    let advanced = sqlx::query(SQL)
        .bind(id.uuid())
        .bind(number(done)?)
        .bind(number(progress.done)?)
        .bind(number(progress.succeeded)?)
        .bind(number(progress.failed)?)
        .bind(&progress.errors[..])
        .bind(progress.finished_at.map(millis))
        .execute(&store.pool)
        .await
        .map_err(failed(WRITING))?;
    Ok(advanced.rows_affected() > 0)
}

pub(super) async fn cancel_batch(store: &PostgresStore, workspace: WorkspaceId, id: BatchId, now_ms: u64) -> Result<bool> {
    const SQL: &str = "UPDATE batches SET status = 11, finished_at = $3 WHERE workspace_id = $1 AND id = $2 AND status < 10";
    let cancelled = sqlx::query(SQL)
        .bind(workspace.uuid())
        .bind(id.uuid())
        .bind(millis(now_ms))
        .execute(&store.pool)
        .await
        .map_err(failed(WRITING))?;
    Ok(cancelled.rows_affected() > 0)
}
