//! The audit log. Whoever appends to a chain or takes rows off it holds the lock of the chain's row: processes take turns, and each
//! sees the end that the one before it has left.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{PostgresStore, error::failed};
use crate::{
    model::{audit::AuditRecord, ids::WorkspaceId},
    store::{
        AuditChain, AuditFilter, AuditOrder, AuditRow, PageRequest, Result, audit_chain, audit_query,
        columns::{self, AuditChainColumns, AuditColumns, millis},
    },
};

const READING: &str = "reading the audit log";
const WRITING: &str = "writing the audit log";

pub(super) async fn append_audit(store: &PostgresStore, workspace: WorkspaceId, records: &[AuditRecord]) -> Result<AuditChain> {
    const STORED: &str = "SELECT id FROM audit WHERE id = ANY($1) LIMIT $2";
    if records.is_empty() {
        return find_audit_chain(store, workspace).await;
    }
    let mut tx = store.begin(WRITING).await?;
    let mut chain = lock_chain(&mut tx, workspace).await?;
    // Under the lock: a call that is repeated waits for the one whose outcome is unknown.
    let ids: Vec<Uuid> = records.iter().map(|record| record.id.uuid()).collect();
    let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let stored = sqlx::query_scalar(STORED).bind(ids).bind(count).fetch_all(&mut *tx);
    let stored: Vec<Uuid> = stored.await.map_err(failed(READING))?;
    let new: Vec<AuditRecord> = records.iter().filter(|record| !stored.contains(&record.id.uuid())).cloned().collect();
    for row in audit_chain::link(workspace, &mut chain, &new)? {
        insert(&mut tx, &row).await?;
    }
    put_chain(&mut tx, workspace, &chain).await?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(chain)
}

pub(super) async fn find_audit_chain(store: &PostgresStore, workspace: WorkspaceId) -> Result<AuditChain> {
    const SQL: &str = "SELECT first_seq, next_seq, base_hash, last_hash FROM audit_chains WHERE workspace_id = $1 LIMIT 1";
    let query = sqlx::query_as(SQL).bind(workspace.uuid());
    let columns: Option<AuditChainColumns> = query.fetch_optional(&store.pool).await.map_err(failed(READING))?;
    columns.map_or(Ok(AuditChain::NEW), AuditChain::try_from)
}

pub(super) async fn list_audit(
    store: &PostgresStore,
    workspace: WorkspaceId,
    filter: &AuditFilter,
    order: AuditOrder,
    page: &PageRequest<u64>,
) -> Result<Vec<AuditRow>> {
    let mut query = audit_query::list(workspace, filter, order, page);
    let rows: Vec<AuditColumns> = query.build_query_as().fetch_all(&store.pool).await.map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn prune_audit(store: &PostgresStore, before: u64, limit: u32) -> Result<u64> {
    // A chain that another process is at is left to it.
    const BEGINS_BEFORE: &str = "SELECT audit_chains.workspace_id FROM audit_chains
        JOIN audit ON audit.workspace_id = audit_chains.workspace_id AND audit.seq = audit_chains.first_seq
        WHERE audit.at < $1 ORDER BY audit_chains.workspace_id LIMIT 1 FOR UPDATE OF audit_chains SKIP LOCKED";
    const DELETE: &str = "DELETE FROM audit WHERE workspace_id = $1 AND seq < $2";
    let mut tx = store.begin(WRITING).await?;
    let found = sqlx::query_scalar(BEGINS_BEFORE).bind(millis(before)).fetch_optional(&mut *tx);
    let found: Option<Uuid> = found.await.map_err(failed(READING))?;
    let Some(workspace) = found.map(WorkspaceId::from_uuid) else { return Ok(0) };
    let mut chain = lock_chain(&mut tx, workspace).await?;
    let page = PageRequest { after: None, limit };
    let mut query = audit_query::list(workspace, &AuditFilter::default(), AuditOrder::OldestFirst, &page);
    let rows: Vec<AuditColumns> = query.build_query_as().fetch_all(&mut *tx).await.map_err(failed(READING))?;
    let mut rows: Vec<AuditRow> = columns::all(rows)?;
    rows.truncate(audit_chain::expired(&rows, before));
    let Some(last) = rows.last() else { return Ok(0) };
    (chain.first_seq, chain.base_hash) = (last.seq + 1, last.hash);
    // The trigger lets go of what is before the chain's beginning.
    put_chain(&mut tx, workspace, &chain).await?;
    let delete = sqlx::query(DELETE).bind(workspace.uuid()).bind(millis(chain.first_seq));
    let deleted = delete.execute(&mut *tx).await.map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(deleted.rows_affected())
}

/// Waits for its turn at a chain and answers its end; makes the chain if there is none.
async fn lock_chain(connection: &mut PgConnection, workspace: WorkspaceId) -> Result<AuditChain> {
    const MAKE: &str = "INSERT INTO audit_chains (workspace_id, first_seq, next_seq, base_hash, last_hash)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (workspace_id) DO NOTHING";
    const LOCK: &str =
        "SELECT first_seq, next_seq, base_hash, last_hash FROM audit_chains WHERE workspace_id = $1 LIMIT 1 FOR UPDATE";
    let lock = sqlx::query_as(LOCK).bind(workspace.uuid());
    let locked: Option<AuditChainColumns> = lock.fetch_optional(&mut *connection).await.map_err(failed(WRITING))?;
    if let Some(chain) = locked {
        return chain.try_into();
    }
    let AuditChain { first_seq, base_hash, next_seq, last_hash } = AuditChain::NEW;
    let make = sqlx::query(MAKE).bind(workspace.uuid()).bind(millis(first_seq)).bind(millis(next_seq));
    let make = make.bind(base_hash.0.to_vec()).bind(last_hash.0.to_vec());
    make.execute(&mut *connection).await.map_err(failed(WRITING))?;
    // It is there now, made here or by a process that was faster.
    let chain: AuditChainColumns =
        sqlx::query_as(LOCK).bind(workspace.uuid()).fetch_one(connection).await.map_err(failed(WRITING))?;
    chain.try_into()
}

async fn put_chain(connection: &mut PgConnection, workspace: WorkspaceId, chain: &AuditChain) -> Result<()> {
    const SQL: &str = "UPDATE audit_chains SET first_seq = $2, next_seq = $3, base_hash = $4, last_hash = $5
        WHERE workspace_id = $1";
    let query = sqlx::query(SQL).bind(workspace.uuid()).bind(millis(chain.first_seq)).bind(millis(chain.next_seq));
    let query = query.bind(chain.base_hash.0.to_vec()).bind(chain.last_hash.0.to_vec());
    query.execute(connection).await.map_err(failed(WRITING))?;
    Ok(())
}

async fn insert(connection: &mut PgConnection, row: &AuditRow) -> Result<()> {
    const SQL: &str = "INSERT INTO audit (workspace_id, seq, at, id, actor, token, action, target, address, request_id,
        before_digest, after_digest, prev_hash, hash, details)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    let record = &row.record;
    sqlx::query(SQL)
        .bind(row.workspace.uuid())
        .bind(millis(row.seq))
        .bind(millis(record.at))
        .bind(record.id.uuid())
        .bind(record.actor.clone())
        .bind(record.token.clone())
        .bind(record.action.clone())
        .bind(record.target.clone())
        .bind(record.address.clone())
        .bind(record.request_id.clone())
        .bind(record.before.map(|digest| digest.0.to_vec()))
        .bind(record.after.map(|digest| digest.0.to_vec()))
        .bind(row.prev_hash.0.to_vec())
        .bind(row.hash.0.to_vec())
        .bind(record.details.clone())
        .execute(connection)
        .await
        .map_err(failed(WRITING))?;
    Ok(())
}
