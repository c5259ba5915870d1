//! Leases of shards. One process owns them all, but by the same rules as in a cluster: its epochs fence its own past.

use std::fmt::Write as _;

use sqlx::SqlitePool;
use uuid::Uuid;

use super::{SqliteStore, error::failed};
use crate::{
    model::ids::NodeInstanceId,
    store::{
        NODES_MAX, Result, ShardLease,
        columns::{self, LeaseColumns, lease},
    },
};

const LEASING: &str = "leasing shards";

pub(super) async fn take_shards(
    store: &SqliteStore,
    owner: NodeInstanceId,
    shards: &[u16],
    lease_ms: u64,
) -> Result<Vec<ShardLease>> {
    const SQL: &str = "UPDATE shards
        SET owner = ?1, epoch = epoch + 1, lease_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?2
        WHERE shard IN (SELECT value FROM json_each(?3))
        AND (owner IS NULL OR owner = ?1 OR lease_until < CAST(unixepoch('subsec') * 1000 AS INTEGER))
        RETURNING shard, epoch";
    let rows: Vec<LeaseColumns> = sqlx::query_as(SQL)
        .bind(owner.uuid())
        .bind(lease(lease_ms))
        .bind(shard_list(shards))
        .fetch_all(&store.writer)
        .await
        .map_err(failed(LEASING))?;
    in_order(rows)
}

pub(super) async fn renew_shards(store: &SqliteStore, owner: NodeInstanceId, lease_ms: u64) -> Result<Vec<ShardLease>> {
    const SQL: &str = "UPDATE shards SET lease_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?2
        WHERE owner = ?1 RETURNING shard, epoch";
    let rows: Vec<LeaseColumns> =
        sqlx::query_as(SQL).bind(owner.uuid()).bind(lease(lease_ms)).fetch_all(&store.writer).await.map_err(failed(LEASING))?;
    in_order(rows)
}

/// Voids the leases of earlier processes: whoever holds the file's lock knows that none of them lives.
pub(super) async fn void_leases(writer: &SqlitePool) -> Result<()> {
    const SQL: &str = "UPDATE shards SET owner = NULL, lease_until = 0 WHERE owner IS NOT NULL";
    sqlx::query(SQL).execute(writer).await.map_err(failed(LEASING))?;
    sqlx::query("DELETE FROM nodes").execute(writer).await.map(drop).map_err(failed(LEASING))
}

pub(super) async fn release_shards(store: &SqliteStore, owner: NodeInstanceId) -> Result<u64> {
    const SQL: &str = "UPDATE shards SET owner = NULL, lease_until = 0 WHERE owner = ?1";
    const LEAVE: &str = "DELETE FROM nodes WHERE id = ?1";
    let mut tx = store.begin(LEASING).await?;
    let released = sqlx::query(SQL).bind(owner.uuid()).execute(&mut *tx).await.map_err(failed(LEASING))?;
    sqlx::query(LEAVE).bind(owner.uuid()).execute(&mut *tx).await.map_err(failed(LEASING))?;
    tx.commit().await.map_err(failed(LEASING))?;
    Ok(released.rows_affected())
}

pub(super) async fn hand_over_shards(store: &SqliteStore, owner: NodeInstanceId, shards: &[u16]) -> Result<u64> {
    const SQL: &str = "UPDATE shards SET owner = NULL, lease_until = 0
        WHERE owner = ?1 AND shard IN (SELECT value FROM json_each(?2))";
    let released =
        sqlx::query(SQL).bind(owner.uuid()).bind(shard_list(shards)).execute(&store.writer).await.map_err(failed(LEASING))?;
    Ok(released.rows_affected())
}

pub(super) async fn announce_node(store: &SqliteStore, node: NodeInstanceId, lease_ms: u64) -> Result<Vec<NodeInstanceId>> {
    const GONE: &str = "DELETE FROM nodes WHERE lease_until < CAST(unixepoch('subsec') * 1000 AS INTEGER)";
    const HERE: &str = "INSERT INTO nodes (id, lease_until) VALUES (?1, CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?2)
        ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until";
    const LIVE: &str = "SELECT id FROM nodes ORDER BY id LIMIT ?1";
    let mut tx = store.begin(LEASING).await?;
    sqlx::query(GONE).execute(&mut *tx).await.map_err(failed(LEASING))?;
    sqlx::query(HERE).bind(node.uuid()).bind(lease(lease_ms)).execute(&mut *tx).await.map_err(failed(LEASING))?;
    let live: Vec<Uuid> = sqlx::query_scalar(LIVE).bind(NODES_MAX).fetch_all(&mut *tx).await.map_err(failed(LEASING))?;
    tx.commit().await.map_err(failed(LEASING))?;
    Ok(live.into_iter().map(NodeInstanceId::from_uuid).collect())
}

/// The shards as a JSON array, for `json_each`: SQLite binds no arrays.
pub(super) fn shard_list(shards: &[u16]) -> String {
    let mut list = String::with_capacity(4 * shards.len() + 2);
    list.push('[');
    for (place, shard) in shards.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        write!(list, "{comma}{shard}").expect("writing to a string does not fail");
    }
    list.push(']');
    list
}

fn in_order(rows: Vec<LeaseColumns>) -> Result<Vec<ShardLease>> {
    let mut leases: Vec<ShardLease> = columns::all(rows)?;
    leases.sort_unstable();
    Ok(leases)
}
