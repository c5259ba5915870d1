//! Snapshots: written by an append, read by a recovery.

use uuid::Uuid;

use super::{
    PostgresStore,
    error::failed,
    rows::{Statement, sender},
};
use crate::{
    model::ids::ExecutionId,
    store::{
        Append, Result, Snapshot,
        columns::{SnapshotColumns, number},
    },
};

/// The snapshots of a batch as columns.
#[derive(Default)]
pub(super) struct Snapshots<'a> {
    shard: Vec<i16>,
    epoch: Vec<i64>,
    execution: Vec<Uuid>,
    seq: Vec<i32>,
    version: Vec<i32>,
    encoding: Vec<i16>,
    body: Vec<&'a [u8]>,
}

impl<'a> Snapshots<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.execution.is_empty()
    }

    pub(super) fn push(&mut self, append: &'a Append, snapshot: &'a Snapshot) -> Result<()> {
        let (shard, epoch) = sender(append);
        self.shard.push(shard);
        self.epoch.push(epoch);
        self.execution.push(append.execution.uuid());
        self.seq.push(number(snapshot.seq)?);
        self.version.push(number(snapshot.version)?);
        self.encoding.push(snapshot.body.encoding.code());
        self.body.push(&snapshot.body.bytes);
        Ok(())
    }

    pub(super) fn bind<'q>(&'q self, statement: Statement<'q>) -> Statement<'q> {
        statement
            .bind(&self.shard)
            .bind(&self.epoch)
            .bind(&self.execution)
            .bind(&self.seq)
            .bind(&self.version)
            .bind(&self.encoding)
            .bind(&self.body)
    }
}

pub(super) async fn find_snapshot(store: &PostgresStore, execution: ExecutionId) -> Result<Option<Snapshot>> {
    const SQL: &str = "SELECT seq, version, encoding, body FROM snapshots WHERE execution_id = $1 LIMIT 1";
    let found = sqlx::query_as(SQL).bind(execution.uuid()).fetch_optional(&store.pool);
    let found: Option<SnapshotColumns> = found.await.map_err(failed("reading a snapshot"))?;
    found.map(Snapshot::try_from).transpose()
}
