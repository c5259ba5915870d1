//! Leases of shards. One process owns them all, but by the same rules as in a cluster: its epochs fence its own past.

use std::fmt::Write as _;

use sqlx::SqlitePool;

use super::{SqliteStore, error::failed};
use crate::{
    model::ids::NodeInstanceId,
    store::{
        Result, ShardLease,
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
    sqlx::query(SQL).execute(writer).await.map(drop).map_err(failed(LEASING))
}

pub(super) async fn release_shards(store: &SqliteStore, owner: NodeInstanceId) -> Result<u64> {
    const SQL: &str = "UPDATE shards SET owner = NULL, lease_until = 0 WHERE owner = ?1";
    let released = sqlx::query(SQL).bind(owner.uuid()).execute(&store.writer).await.map_err(failed(LEASING))?;
    Ok(released.rows_affected())
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
