//! Messages that wait for executions.

use uuid::Uuid;

use super::{PostgresStore, error::failed};
use crate::{
    model::ids::{ExecutionId, InboxId},
    store::{
        INBOX_ROWS_MAX, InboxRow, PutInbox, Result,
        columns::{self, InboxColumns, PutColumns, millis, shard_of},
    },
};

const PUTTING: &str = "putting a message in an inbox";
const READING: &str = "reading an inbox";

pub(super) async fn put_inbox(store: &PostgresStore, row: &InboxRow) -> Result<PutInbox> {
    // Messages to one execution come one after the other: who counts has to see what the one before has stored, which takes a
    // statement that begins after the lock is held. Not a lock of the execution's row: an append holds that while it waits for
    // a message with the same key, so the two could wait for each other.
    const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";
    const SQL: &str = "WITH target AS MATERIALIZED (
            SELECT status,
                (SELECT count(*) FROM inbox WHERE shard = $2 AND execution_id = $3) AS waiting,
                EXISTS (
                    SELECT FROM inbox
                    WHERE shard = $2 AND execution_id = $3 AND (id = $1 OR (name = $7 AND dedupe_key = $8))
                ) AS duplicate
            FROM executions WHERE id = $3
        ),
        stored AS (
            INSERT INTO inbox (id, shard, execution_id, at, kind, encoding, name, dedupe_key, body)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM target WHERE status < 10 AND waiting < $10 AND NOT duplicate
            ON CONFLICT DO NOTHING RETURNING 1
        )
        SELECT status, waiting, duplicate, EXISTS (SELECT FROM stored) AS stored FROM target LIMIT 1";
    let mut tx = store.begin(PUTTING).await?;
    sqlx::query(LOCK).bind(lock_of(row.execution)).execute(&mut *tx).await.map_err(failed(PUTTING))?;
    let put: Option<PutColumns> = sqlx::query_as(SQL)
        .bind(row.id.uuid())
        .bind(shard_of(row.execution))
        .bind(row.execution.uuid())
        .bind(millis(row.at))
        .bind(row.kind.code())
        .bind(row.body.encoding.code())
        .bind(&row.name)
        .bind(&row.dedupe_key)
        .bind(&row.body.bytes[..])
        .bind(i64::from(INBOX_ROWS_MAX))
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(PUTTING))?;
    tx.commit().await.map_err(failed(PUTTING))?;
    let Some(put) = put else {
        return Ok(PutInbox::NoExecution);
    };
    if columns::status(put.status)?.is_terminal() {
        Ok(PutInbox::Finished)
    } else if put.stored {
        Ok(PutInbox::Stored)
    } else if !put.duplicate && put.waiting >= i64::from(INBOX_ROWS_MAX) {
        Ok(PutInbox::Full)
    } else {
        Ok(PutInbox::Duplicate) // Also one that an append has stored at the same time.
    }
}

/// The lock of an execution's inbox: half of its id. Two executions that share it wait for each other needlessly, no more.
fn lock_of(execution: ExecutionId) -> i64 {
    let (_, half) = execution.uuid().as_u64_pair();
    i64::from_ne_bytes(half.to_ne_bytes())
}

pub(super) async fn list_inbox(store: &PostgresStore, execution: ExecutionId, limit: u32) -> Result<Vec<InboxRow>> {
    const SQL: &str = "SELECT id, execution_id, at, kind, encoding, name, dedupe_key, body FROM inbox
        WHERE shard = $1 AND execution_id = $2 ORDER BY at, id LIMIT $3";
    let rows: Vec<InboxColumns> = sqlx::query_as(SQL)
        .bind(shard_of(execution))
        .bind(execution.uuid())
        .bind(i64::from(limit))
        .fetch_all(&store.pool)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn list_inbox_owners(
    store: &PostgresStore,
    shards: &[u16],
    after: Option<ExecutionId>,
    limit: u32,
) -> Result<Vec<ExecutionId>> {
    const SQL: &str = "SELECT owner.execution_id FROM UNNEST($1::smallint[]) AS wanted (shard) CROSS JOIN LATERAL (
            SELECT DISTINCT execution_id FROM inbox
            WHERE inbox.shard = wanted.shard AND execution_id > $2 ORDER BY execution_id LIMIT $3
        ) AS owner
        ORDER BY owner.execution_id LIMIT $3";
    let ids: Vec<Uuid> = sqlx::query_scalar(SQL)
        .bind(columns::shards(shards))
        .bind(columns::after(after))
        .bind(i64::from(limit))
        .fetch_all(&store.pool)
        .await
        .map_err(failed(READING))?;
    Ok(ids.into_iter().map(ExecutionId::from_uuid).collect())
}

pub(super) async fn delete_inbox(store: &PostgresStore, execution: ExecutionId, id: InboxId) -> Result<bool> {
    const SQL: &str = "DELETE FROM inbox WHERE shard = $1 AND execution_id = $2 AND id = $3";
    let deleted = sqlx::query(SQL)
        .bind(shard_of(execution))
        .bind(execution.uuid())
        .bind(id.uuid())
        .execute(&store.pool)
        .await
        .map_err(failed("deleting a message"))?;
    Ok(deleted.rows_affected() > 0)
}
