//! Batches: kept, moved on by one at a time, listed, cleared away.

use std::sync::Arc;

use bytes::Bytes;
use citadel::{
    model::{
        batch::{BatchAction, BatchStatus},
        ids::{BatchId, WorkspaceId},
    },
    store::{BatchCursor, BatchProgress, BatchRow, InsertBatch, NewBatch, PageRequest, Store},
};

use crate::{
    harness::cases,
    samples::{NOON, batch, new_batch, stranger},
};

cases! {
    keeps_every_field_of_a_batch,
    stores_a_batch_once,
    advances_from_where_it_is_only,
    a_cancelled_batch_stays_as_it_is,
    lists_batches_newest_first_by_pages,
    lists_open_batches_oldest_first,
    clears_away_what_ended_long_ago,
    open_batches_limit_obeyed_and_violated,
}

const HERE: WorkspaceId = WorkspaceId::DEFAULT;
const MANY: u32 = 1_000;

async fn insert(store: &dyn Store, batch: &NewBatch) {
    assert_eq!(store.insert_batch(batch, MANY, 0).await.unwrap(), InsertBatch::Inserted);
}

fn ids(rows: &[BatchRow]) -> Vec<BatchId> {
    rows.iter().map(|row| row.id).collect()
}

/// The state after so many executions.
fn progress(done: u32) -> BatchProgress {
    BatchProgress { done, succeeded: done, ..BatchProgress::default() }
}

fn finished(done: u32, at: u64) -> BatchProgress {
    BatchProgress { finished_at: Some(at), ..progress(done) }
}

async fn keeps_every_field_of_a_batch(store: Arc<dyn Store>) {
    let new = NewBatch { action: BatchAction::Delete, total: 7, ..new_batch(1, NOON) };
    insert(&*store, &new).await;
    let row = BatchRow {
        id: batch(1),
        workspace: HERE,
        action: BatchAction::Delete,
        status: BatchStatus::Running,
        request_hash: [7; 32],
        created_at: NOON,
        total: 7,
        progress: BatchProgress::default(),
    };
    assert_eq!(store.find_batch(HERE, batch(1)).await.unwrap(), Some(row.clone()));
    assert_eq!(store.find_batch(stranger(), batch(1)).await.unwrap(), None);
    assert_eq!(store.get_batch_body(batch(1)).await.unwrap(), Some(new.body));
    assert_eq!(store.get_batch_body(batch(2)).await.unwrap(), None);
    let last =
        BatchProgress { done: 7, succeeded: 4, failed: 3, errors: Bytes::from_static(b"[{}]"), finished_at: Some(NOON + 1) };
    assert!(store.advance_batch(batch(1), 0, &last).await.unwrap());
    let ended = BatchRow { status: BatchStatus::Finished, progress: last, ..row };
    assert_eq!(store.find_batch(HERE, batch(1)).await.unwrap(), Some(ended));
}

async fn stores_a_batch_once(store: Arc<dyn Store>) {
    insert(&*store, &new_batch(1, NOON)).await;
    let other = NewBatch { total: 9, ..new_batch(1, NOON) };
    assert_eq!(store.insert_batch(&other, MANY, 0).await.unwrap(), InsertBatch::Exists);
    assert_eq!(store.insert_batch(&other, 0, 0).await.unwrap(), InsertBatch::Exists, "it is no other one that is too many");
    assert_eq!(store.find_batch(HERE, batch(1)).await.unwrap().unwrap().total, 3);
}

async fn advances_from_where_it_is_only(store: Arc<dyn Store>) {
    insert(&*store, &new_batch(1, NOON)).await;
    assert!(store.advance_batch(batch(1), 0, &progress(2)).await.unwrap());
    assert!(!store.advance_batch(batch(1), 0, &progress(2)).await.unwrap(), "somebody else was faster");
    assert!(!store.advance_batch(batch(2), 0, &progress(2)).await.unwrap());
    assert!(store.advance_batch(batch(1), 2, &finished(3, NOON)).await.unwrap());
    assert!(!store.advance_batch(batch(1), 3, &finished(3, NOON)).await.unwrap());
    assert_eq!(store.find_batch(HERE, batch(1)).await.unwrap().unwrap().progress, finished(3, NOON));
}

async fn a_cancelled_batch_stays_as_it_is(store: Arc<dyn Store>) {
    insert(&*store, &new_batch(1, NOON)).await;
    assert!(store.advance_batch(batch(1), 0, &progress(1)).await.unwrap());
    assert!(!store.cancel_batch(stranger(), batch(1), NOON + 1).await.unwrap());
    assert!(store.cancel_batch(HERE, batch(1), NOON + 1).await.unwrap());
    assert!(!store.cancel_batch(HERE, batch(1), NOON + 2).await.unwrap());
    assert!(!store.advance_batch(batch(1), 1, &progress(2)).await.unwrap());
    let row = store.find_batch(HERE, batch(1)).await.unwrap().unwrap();
    assert_eq!((row.status, row.progress), (BatchStatus::Cancelled, finished(1, NOON + 1)));
}

async fn lists_batches_newest_first_by_pages(store: Arc<dyn Store>) {
    for number in 0..7 {
        insert(&*store, &new_batch(number, NOON + u64::try_from(number / 2).unwrap())).await;
    }
    insert(&*store, &NewBatch { workspace: stranger(), ..new_batch(9, NOON) }).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let rows = store.list_batches(HERE, &PageRequest { after, limit: 3 }).await.unwrap();
        let Some(last) = rows.last() else { break };
        after = Some(BatchCursor { created_at: last.created_at, id: last.id });
        seen.extend(ids(&rows));
    }
    assert_eq!(seen, (0..7).rev().map(batch).collect::<Vec<_>>());
}

async fn lists_open_batches_oldest_first(store: Arc<dyn Store>) {
    for number in 0..5_u64 {
        insert(&*store, &new_batch(number.into(), NOON - number)).await;
    }
    insert(&*store, &NewBatch { workspace: stranger(), ..new_batch(9, NOON - 9) }).await;
    store.advance_batch(batch(3), 0, &finished(3, NOON)).await.unwrap();
    store.cancel_batch(HERE, batch(1), NOON).await.unwrap();
    assert_eq!(ids(&store.list_open_batches(9).await.unwrap()), [9, 4, 2, 0].map(batch));
    assert_eq!(ids(&store.list_open_batches(2).await.unwrap()), [9, 4].map(batch));
}

async fn clears_away_what_ended_long_ago(store: Arc<dyn Store>) {
    for number in 1..=4 {
        insert(&*store, &new_batch(number, NOON)).await;
    }
    insert(&*store, &NewBatch { workspace: stranger(), ..new_batch(5, NOON) }).await;
    for (number, at) in [(1, NOON + 1), (2, NOON + 2), (5, NOON + 1)] {
        assert!(store.advance_batch(batch(number), 0, &finished(3, at)).await.unwrap());
    }
    store.cancel_batch(HERE, batch(3), NOON + 1).await.unwrap();
    assert_eq!(store.insert_batch(&new_batch(6, NOON), MANY, NOON + 2).await.unwrap(), InsertBatch::Inserted);
    let left = store.list_batches(HERE, &PageRequest { after: None, limit: 9 }).await.unwrap();
    assert_eq!(ids(&left), [6, 4, 2].map(batch));
    assert!(store.find_batch(stranger(), batch(5)).await.unwrap().is_some());
}

async fn open_batches_limit_obeyed_and_violated(store: Arc<dyn Store>) {
    for number in 1..=2 {
        assert_eq!(store.insert_batch(&new_batch(number, NOON), 2, 0).await.unwrap(), InsertBatch::Inserted);
    }
    assert_eq!(store.insert_batch(&new_batch(3, NOON), 2, 0).await.unwrap(), InsertBatch::TooMany);
    assert_eq!(store.find_batch(HERE, batch(3)).await.unwrap(), None);
    let elsewhere = NewBatch { workspace: stranger(), ..new_batch(3, NOON) };
    assert_eq!(store.insert_batch(&elsewhere, 2, 0).await.unwrap(), InsertBatch::Inserted);
    store.cancel_batch(HERE, batch(1), NOON).await.unwrap();
    assert_eq!(store.insert_batch(&new_batch(4, NOON), 2, 0).await.unwrap(), InsertBatch::Inserted);
}
