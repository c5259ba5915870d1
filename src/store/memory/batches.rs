//! Batches: one action on many executions.

use std::cmp::Reverse;

use super::{State, take};
use crate::{
    model::{
        batch::BatchStatus,
        ids::{BatchId, WorkspaceId},
    },
    store::{BATCHES_CLEARED, BatchCursor, BatchProgress, BatchRow, InsertBatch, NewBatch, PageRequest, Payload},
};

/// A row with its body.
pub(super) struct StoredBatch {
    pub(super) row: BatchRow,
    body: Payload,
}

impl State {
    pub(super) fn insert_batch(&mut self, batch: &NewBatch, open_max: u32, ended_before: u64) -> InsertBatch {
        if self.batches.contains_key(&batch.id) {
            return InsertBatch::Exists;
        }
        if self.batches_of(batch.workspace).filter(|row| row.status == BatchStatus::Running).count() >= take(open_max) {
            return InsertBatch::TooMany;
        }
        let ended = |row: &&BatchRow| row.progress.finished_at.is_some_and(|at| at < ended_before);
        let mut old: Vec<(u64, BatchId)> =
            self.batches_of(batch.workspace).filter(ended).map(|row| (row.created_at, row.id)).collect();
        old.sort_unstable();
        for (_, id) in old.into_iter().take(take(BATCHES_CLEARED)) {
            self.batches.remove(&id);
        }
        let row = BatchRow {
            id: batch.id,
            workspace: batch.workspace,
            action: batch.action,
            status: BatchStatus::Running,
            request_hash: batch.request_hash,
            created_at: batch.created_at,
            total: batch.total,
            progress: BatchProgress::default(),
        };
        self.batches.insert(batch.id, StoredBatch { row, body: batch.body.clone() });
        InsertBatch::Inserted
    }

    pub(super) fn find_batch(&self, workspace: WorkspaceId, id: BatchId) -> Option<BatchRow> {
        self.batches.get(&id).map(|stored| stored.row.clone()).filter(|row| row.workspace == workspace)
    }

    pub(super) fn get_batch_body(&self, id: BatchId) -> Option<Payload> {
        self.batches.get(&id).map(|stored| stored.body.clone())
    }

    pub(super) fn list_batches(&self, workspace: WorkspaceId, page: &PageRequest<BatchCursor>) -> Vec<BatchRow> {
        let is_after = |row: &&BatchRow| page.after.is_none_or(|after| (row.created_at, row.id) < (after.created_at, after.id));
        let mut rows: Vec<&BatchRow> = self.batches_of(workspace).filter(is_after).collect();
        rows.sort_by_key(|row| Reverse((row.created_at, row.id)));
        rows.into_iter().take(take(page.limit)).cloned().collect()
    }

    pub(super) fn list_open_batches(&self, limit: u32) -> Vec<BatchRow> {
        let rows = self.batches.values().map(|stored| &stored.row);
        let mut open: Vec<&BatchRow> = rows.filter(|row| row.status == BatchStatus::Running).collect();
        open.sort_by_key(|row| (row.created_at, row.id));
        open.into_iter().take(take(limit)).cloned().collect()
    }

    pub(super) fn advance_batch(&mut self, id: BatchId, done: u32, progress: &BatchProgress) -> bool {
        let stored = self.batches.get_mut(&id);
        let stored = stored.filter(|stored| stored.row.status == BatchStatus::Running && stored.row.progress.done == done);
        let Some(StoredBatch { row, .. }) = stored else { return false };
        row.progress = progress.clone();
        if progress.finished_at.is_some() {
            row.status = BatchStatus::Finished;
        }
        true
    }

    pub(super) fn cancel_batch(&mut self, workspace: WorkspaceId, id: BatchId, now_ms: u64) -> bool {
        let stored = self.batches.get_mut(&id);
        let stored = stored.filter(|stored| stored.row.workspace == workspace && stored.row.status == BatchStatus::Running);
        let Some(StoredBatch { row, .. }) = stored else { return false };
        row.status = BatchStatus::Cancelled;
        row.progress.finished_at = Some(now_ms);
        true
    }

    fn batches_of(&self, workspace: WorkspaceId) -> impl Iterator<Item = &BatchRow> {
        self.batches.values().map(|stored| &stored.row).filter(move |row| row.workspace == workspace)
    }
}
