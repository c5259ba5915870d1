//! Snapshots: written by an append, read by a recovery.

use std::sync::LazyLock;

use super::{
    SqliteStore,
    chunks::{Binding, Chunks},
    error::failed,
};
use crate::{
    model::ids::ExecutionId,
    store::{
        Append, Result, Snapshot,
        columns::{SnapshotColumns, number},
    },
};

/// Takes the place of the execution's earlier one.
pub(super) static KEEP_SNAPSHOTS: LazyLock<Chunks> = LazyLock::new(|| {
    Chunks::new(
        "INSERT INTO snapshots (execution_id, seq, version, encoding, body) VALUES ",
        "(?, ?, ?, ?, ?)",
        " ON CONFLICT (execution_id) DO UPDATE SET seq = excluded.seq, version = excluded.version, \
         encoding = excluded.encoding, body = excluded.body",
    )
});

/// A snapshot with its numbers as SQLite keeps them.
pub(super) struct Kept<'a> {
    execution: ExecutionId,
    snapshot: &'a Snapshot,
    seq: i32,
    version: i32,
}

impl<'a> Kept<'a> {
    /// The snapshot of an append, if it has one.
    pub(super) fn of(append: &'a Append) -> Result<Option<Self>> {
        let Some(snapshot) = &append.snapshot else { return Ok(None) };
        let (seq, version) = (number(snapshot.seq)?, number(snapshot.version)?);
        Ok(Some(Self { execution: append.execution, snapshot, seq, version }))
    }
}

pub(super) fn bind_snapshot(query: Binding, kept: &Kept<'_>) -> Binding {
    query
        .bind(kept.execution.uuid())
        .bind(kept.seq)
        .bind(kept.version)
        .bind(kept.snapshot.body.encoding.code())
        .bind(kept.snapshot.body.bytes.to_vec())
}

pub(super) async fn find_snapshot(store: &SqliteStore, execution: ExecutionId) -> Result<Option<Snapshot>> {
    const SQL: &str = "SELECT seq, version, encoding, body FROM snapshots WHERE execution_id = ?1 LIMIT 1";
    let found = sqlx::query_as(SQL).bind(execution.uuid()).fetch_optional(&store.readers);
    let found: Option<SnapshotColumns> = found.await.map_err(failed("reading a snapshot"))?;
    found.map(Snapshot::try_from).transpose()
}
