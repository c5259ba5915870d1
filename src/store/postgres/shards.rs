//! Leases of shards. Every statement locks the rows it changes in the order of their numbers, as appends do, so that none of
//! them waits in a circle. `now()` is the beginning of the statement: a lease is never longer than it was asked for.

use uuid::Uuid;

use super::{PostgresStore, error::failed};
use crate::{
    model::ids::NodeInstanceId,
    store::{
        NODES_MAX, Result, ShardLease,
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
        ),
        gone AS (DELETE FROM nodes WHERE id = $1)
        UPDATE shards SET owner = NULL, lease_until = 0 FROM held WHERE shards.shard = held.shard";
    let released = sqlx::query(SQL).bind(owner.uuid()).execute(&store.pool).await.map_err(failed(LEASING))?;
    Ok(released.rows_affected())
}

pub(super) async fn hand_over_shards(store: &PostgresStore, owner: NodeInstanceId, shards: &[u16]) -> Result<u64> {
    const SQL: &str = "WITH held AS MATERIALIZED (
            SELECT shard FROM shards WHERE owner = $1 AND shard = ANY($2) ORDER BY shard FOR NO KEY UPDATE
        )
        UPDATE shards SET owner = NULL, lease_until = 0 FROM held WHERE shards.shard = held.shard";
    let released =
        sqlx::query(SQL).bind(owner.uuid()).bind(columns::shards(shards)).execute(&store.pool).await.map_err(failed(LEASING))?;
    Ok(released.rows_affected())
}

pub(super) async fn announce_node(store: &PostgresStore, node: NodeInstanceId, lease_ms: u64) -> Result<Vec<NodeInstanceId>> {
    // Those that are gone are few and locked by nobody for long; another process may delete them at the same time.
    const GONE: &str = "DELETE FROM nodes USING (
            SELECT id FROM nodes WHERE lease_until < floor(extract(epoch FROM now()) * 1000)::bigint FOR UPDATE SKIP LOCKED
        ) AS gone WHERE nodes.id = gone.id";
    const HERE: &str = "INSERT INTO nodes (id, lease_until) VALUES ($1, floor(extract(epoch FROM now()) * 1000)::bigint + $2)
        ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until";
    const LIVE: &str = "SELECT id FROM nodes WHERE lease_until >= floor(extract(epoch FROM now()) * 1000)::bigint
        ORDER BY id LIMIT $1";
    let mut tx = store.begin(LEASING).await?;
    sqlx::query(GONE).execute(&mut *tx).await.map_err(failed(LEASING))?;
    sqlx::query(HERE).bind(node.uuid()).bind(lease(lease_ms)).execute(&mut *tx).await.map_err(failed(LEASING))?;
    let live: Vec<Uuid> = sqlx::query_scalar(LIVE).bind(NODES_MAX).fetch_all(&mut *tx).await.map_err(failed(LEASING))?;
    tx.commit().await.map_err(failed(LEASING))?;
    Ok(live.into_iter().map(NodeInstanceId::from_uuid).collect())
}

fn in_order(rows: Vec<LeaseColumns>) -> Result<Vec<ShardLease>> {
    let mut leases: Vec<ShardLease> = columns::all(rows)?;
    leases.sort_unstable();
    Ok(leases)
}
