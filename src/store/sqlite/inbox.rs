//! Messages that wait for executions.

use uuid::Uuid;

use super::{SqliteStore, error::failed, journal::bind_note, shards::shard_list};
use crate::{
    model::ids::{ExecutionId, InboxId},
    store::{
        INBOX_ROWS_MAX, InboxRow, PutInbox, Result,
        columns::{self, InboxColumns, shard_of},
    },
};

const PUTTING: &str = "putting a message in an inbox";
const READING: &str = "reading an inbox";

pub(super) async fn put_inbox(store: &SqliteStore, row: &InboxRow) -> Result<PutInbox> {
    const STATUS: &str = "SELECT status FROM executions WHERE id = ?1 LIMIT 1";
    const INSERT: &str = "INSERT INTO inbox (id, shard, execution_id, at, kind, encoding, name, dedupe_key, body)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    const WAITING: &str = "SELECT count(*) FROM inbox WHERE shard = ?1 AND execution_id = ?2 LIMIT 1";
    let id = row.execution.uuid();
    let mut tx = store.begin(PUTTING).await?;
    let status: Option<i16> = sqlx::query_scalar(STATUS).bind(id).fetch_optional(&mut *tx).await.map_err(failed(PUTTING))?;
    let Some(status) = status else {
        return Ok(PutInbox::NoExecution);
    };
    if columns::status(status)?.is_terminal() {
        return Ok(PutInbox::Finished);
    }
    let inserted = bind_note(sqlx::query(INSERT), row).execute(&mut *tx).await.map_err(failed(PUTTING))?;
    if inserted.rows_affected() == 0 {
        return Ok(PutInbox::Duplicate); // Before the question of room: a duplicate is one in a full inbox, too.
    }
    let waiting = sqlx::query_scalar(WAITING).bind(shard_of(row.execution)).bind(id);
    let waiting: i64 = waiting.fetch_one(&mut *tx).await.map_err(failed(PUTTING))?;
    if waiting > i64::from(INBOX_ROWS_MAX) {
        return Ok(PutInbox::Full); // The transaction rolls back.
    }
    tx.commit().await.map_err(failed(PUTTING))?;
    Ok(PutInbox::Stored)
}

pub(super) async fn list_inbox(store: &SqliteStore, execution: ExecutionId, limit: u32) -> Result<Vec<InboxRow>> {
    const SQL: &str = "SELECT id, execution_id, at, kind, encoding, name, dedupe_key, body FROM inbox
        WHERE shard = ?1 AND execution_id = ?2 ORDER BY at, id LIMIT ?3";
    let rows: Vec<InboxColumns> = sqlx::query_as(SQL)
        .bind(shard_of(execution))
        .bind(execution.uuid())
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn list_inbox_owners(
    store: &SqliteStore,
    shards: &[u16],
    after: Option<ExecutionId>,
    limit: u32,
) -> Result<Vec<ExecutionId>> {
    const SQL: &str = "SELECT DISTINCT execution_id FROM inbox
        WHERE shard IN (SELECT value FROM json_each(?1)) AND execution_id > ?2
        ORDER BY execution_id LIMIT ?3";
    let ids: Vec<Uuid> = sqlx::query_scalar(SQL)
        .bind(shard_list(shards))
        .bind(columns::after(after))
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(READING))?;
    Ok(ids.into_iter().map(ExecutionId::from_uuid).collect())
}

pub(super) async fn delete_inbox(store: &SqliteStore, execution: ExecutionId, id: InboxId) -> Result<bool> {
    const SQL: &str = "DELETE FROM inbox WHERE shard = ?1 AND execution_id = ?2 AND id = ?3";
    let deleted = sqlx::query(SQL)
        .bind(shard_of(execution))
        .bind(execution.uuid())
        .bind(id.uuid())
        .execute(&store.writer)
        .await
        .map_err(failed("deleting a message"))?;
    Ok(deleted.rows_affected() > 0)
}
