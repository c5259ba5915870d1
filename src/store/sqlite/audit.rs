//! The audit log. The one connection that writes makes appends take turns.

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{SqliteStore, error::failed};
use crate::{
    model::{audit::AuditRecord, ids::WorkspaceId},
    store::{
        AuditChain, AuditFilter, AuditOrder, AuditRow, PageRequest, Result, audit_chain, audit_query,
        columns::{self, AuditChainColumns, AuditColumns, millis},
    },
};

const READING: &str = "reading the audit log";
const WRITING: &str = "writing the audit log";

pub(super) async fn append_audit(store: &SqliteStore, workspace: WorkspaceId, records: &[AuditRecord]) -> Result<AuditChain> {
    let mut tx = store.begin(WRITING).await?;
    let mut new = Vec::with_capacity(records.len());
    for record in records {
        if !is_stored(&mut tx, record).await? {
            new.push(record.clone());
        }
    }
    let mut chain = find_within(&mut tx, workspace).await?;
    if new.is_empty() {
        return Ok(chain);
    }
    for row in audit_chain::link(workspace, &mut chain, &new)? {
        insert(&mut tx, &row).await?;
    }
    put_chain(&mut tx, workspace, &chain).await?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(chain)
}

pub(super) async fn find_audit_chain(store: &SqliteStore, workspace: WorkspaceId) -> Result<AuditChain> {
    let mut connection = store.readers.acquire().await.map_err(failed(READING))?;
    find_within(&mut connection, workspace).await
}

pub(super) async fn list_audit(
    store: &SqliteStore,
    workspace: WorkspaceId,
    filter: &AuditFilter,
    order: AuditOrder,
    page: &PageRequest<u64>,
) -> Result<Vec<AuditRow>> {
    let mut query = audit_query::list(workspace, filter, order, page);
    let rows: Vec<AuditColumns> = query.build_query_as().fetch_all(&store.readers).await.map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn prune_audit(store: &SqliteStore, before: u64, limit: u32) -> Result<u64> {
    const BEGINS_BEFORE: &str = "SELECT audit_chains.workspace_id FROM audit_chains
        JOIN audit ON audit.workspace_id = audit_chains.workspace_id AND audit.seq = audit_chains.first_seq
        WHERE audit.at < ?1 ORDER BY audit_chains.workspace_id LIMIT 1";
    const DELETE: &str = "DELETE FROM audit WHERE workspace_id = ?1 AND seq < ?2";
    let mut tx = store.begin(WRITING).await?;
    let found = sqlx::query_scalar(BEGINS_BEFORE).bind(millis(before)).fetch_optional(&mut *tx);
    let found: Option<Uuid> = found.await.map_err(failed(READING))?;
    let Some(workspace) = found.map(WorkspaceId::from_uuid) else { return Ok(0) };
    let page = PageRequest { after: None, limit };
    let mut query = audit_query::list(workspace, &AuditFilter::default(), AuditOrder::OldestFirst, &page);
    let rows: Vec<AuditColumns> = query.build_query_as().fetch_all(&mut *tx).await.map_err(failed(READING))?;
    let mut rows: Vec<AuditRow> = columns::all(rows)?;
    rows.truncate(audit_chain::expired(&rows, before));
    let Some(last) = rows.last() else { return Ok(0) };
    let mut chain = find_within(&mut tx, workspace).await?;
    (chain.first_seq, chain.base_hash) = (last.seq + 1, last.hash);
    // The trigger lets go of what is before the chain's beginning.
    put_chain(&mut tx, workspace, &chain).await?;
    let delete = sqlx::query(DELETE).bind(workspace.uuid()).bind(millis(chain.first_seq));
    let deleted = delete.execute(&mut *tx).await.map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(deleted.rows_affected())
}

async fn is_stored(connection: &mut SqliteConnection, record: &AuditRecord) -> Result<bool> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM audit WHERE id = ?1) LIMIT 1";
    sqlx::query_scalar(SQL).bind(record.id.uuid()).fetch_one(connection).await.map_err(failed(READING))
}

async fn find_within(connection: &mut SqliteConnection, workspace: WorkspaceId) -> Result<AuditChain> {
    const SQL: &str = "SELECT first_seq, next_seq, base_hash, last_hash FROM audit_chains WHERE workspace_id = ?1 LIMIT 1";
    let query = sqlx::query_as(SQL).bind(workspace.uuid());
    let columns: Option<AuditChainColumns> = query.fetch_optional(connection).await.map_err(failed(READING))?;
    columns.map_or(Ok(AuditChain::NEW), AuditChain::try_from)
}

async fn put_chain(connection: &mut SqliteConnection, workspace: WorkspaceId, chain: &AuditChain) -> Result<()> {
    const SQL: &str = "INSERT INTO audit_chains (workspace_id, first_seq, next_seq, base_hash, last_hash)
        VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (workspace_id) DO UPDATE SET first_seq = excluded.first_seq, next_seq = excluded.next_seq,
        base_hash = excluded.base_hash, last_hash = excluded.last_hash";
    let query = sqlx::query(SQL).bind(workspace.uuid()).bind(millis(chain.first_seq)).bind(millis(chain.next_seq));
    let query = query.bind(chain.base_hash.0.to_vec()).bind(chain.last_hash.0.to_vec());
    query.execute(connection).await.map_err(failed(WRITING))?;
    Ok(())
}

async fn insert(connection: &mut SqliteConnection, row: &AuditRow) -> Result<()> {
    const SQL: &str = "INSERT INTO audit (workspace_id, seq, at, id, actor, token, action, target, address, request_id,
        before_digest, after_digest, prev_hash, hash, details)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
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
