//! Leases of shards. Every statement locks the rows it changes in the order of their numbers, as appends do, so that none of
//! them waits in a circle. `now()` is the beginning of the statement: a lease is never longer than it was asked for.

use super::{PostgresStore, error::failed};
use crate::{
    model::ids::NodeInstanceId,
    store::{
        Result, ShardLease,
        columns::{self, LeaseColumns, lease},
    },
};

const LEASING: &str = "leasing shards";

pub(super) async fn take_shards(
    store: &PostgresStore,
    owner: NodeInstanceId,
    shards: &[u16],
    lease_ms: u64,
) -> Result<Vec<ShardLease>> {
    const SQL: &str = "WITH clock AS (SELECT floor(extract(epoch FROM now()) * 1000)::bigint AS now_ms),
        free AS MATERIALIZED (
            SELECT shards.shard FROM shards, clock
            WHERE shards.shard = ANY($3) AND (owner IS NULL OR owner = $1 OR lease_until < now_ms)
            ORDER BY shards.shard FOR UPDATE OF shards
        )
        UPDATE shards SET owner = $1, epoch = epoch + 1, lease_until = now_ms + $2
        FROM free, clock WHERE shards.shard = free.shard
        RETURNING shards.shard, shards.epoch";
    let rows: Vec<LeaseColumns> = sqlx::query_as(SQL)
        .bind(owner.uuid())
        .bind(lease(lease_ms))
        .bind(columns::shards(shards))
        .fetch_all(&store.pool)
        .await
        .map_err(failed(LEASING))?;
    in_order(rows)
}

pub(super) async fn renew_shards(store: &PostgresStore, owner: NodeInstanceId, lease_ms: u64) -> Result<Vec<ShardLease>> {
    const SQL: &str = "WITH held AS MATERIALIZED (
            SELECT shard FROM shards WHERE owner = $1 ORDER BY shard FOR NO KEY UPDATE
        )
        UPDATE shards SET lease_until = floor(extract(epoch FROM now()) * 1000)::bigint + $2
        FROM held WHERE shards.shard = held.shard
        RETURNING shards.shard, shards.epoch";
    let rows: Vec<LeaseColumns> =
        sqlx::query_as(SQL).bind(owner.uuid()).bind(lease(lease_ms)).fetch_all(&store.pool).await.map_err(failed(LEASING))?;
    in_order(rows)
}

pub(super) async fn release_shards(store: &PostgresStore, owner: NodeInstanceId) -> Result<u64> {
    const SQL: &str = "WITH held AS MATERIALIZED (
            SELECT shard FROM shards WHERE owner = $1 ORDER BY shard FOR NO KEY UPDATE
        )
        UPDATE shards SET owner = NULL, lease_until = 0 FROM held WHERE shards.shard = held.shard";
    let released = sqlx::query(SQL).bind(owner.uuid()).execute(&store.pool).await.map_err(failed(LEASING))?;
    Ok(released.rows_affected())
}

fn in_order(rows: Vec<LeaseColumns>) -> Result<Vec<ShardLease>> {
    let mut leases: Vec<ShardLease> = columns::all(rows)?;
    leases.sort_unstable();
    Ok(leases)
}
