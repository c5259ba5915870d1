//! Snapshots: one per execution, as durable and as fenced as the journal row that it comes with, and gone with its execution.

use std::sync::Arc;

use bytes::Bytes;
use citadel::{
    model::{
        execution::ExecutionStatus,
        ids::{ExecutionId, WorkspaceId},
    },
    store::{Append, AppendOutcome, Encoding, KeyedOutcome, Payload, Snapshot, Store},
};

use crate::{
    harness::cases,
    samples::{
        NOON, broken, change, commit, creation, entry, execution, finished, idempotency_key, kept, later, own_all, owner,
        snapshot,
    },
};

cases! {
    keeps_the_latest_one,
    keeps_any_bytes,
    may_come_with_the_creation,
    comes_in_batches_of_every_size,
    a_fenced_request_leaves_the_earlier_one,
    a_conflict_leaves_the_earlier_one,
    goes_with_a_deleted_execution,
    goes_with_an_expired_execution,
}

async fn found(store: &dyn Store, id: ExecutionId) -> Option<Snapshot> {
    store.find_snapshot(id).await.unwrap()
}

async fn keeps_the_latest_one(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for number in 1..=2 {
        commit(&*store, &creation(execution(number), epoch)).await;
    }
    assert_eq!(found(&*store, execution(1)).await, None);
    commit(&*store, &kept(execution(1), epoch, 1)).await;
    assert_eq!(found(&*store, execution(1)).await, Some(snapshot(2)));
    commit(&*store, &later(execution(1), epoch, 2)).await;
    assert_eq!(found(&*store, execution(1)).await, Some(snapshot(2)));
    commit(&*store, &Append { snapshot: Some(Snapshot { version: 7, ..snapshot(4) }), ..later(execution(1), epoch, 3) }).await;
    assert_eq!(found(&*store, execution(1)).await, Some(Snapshot { version: 7, ..snapshot(4) }));
    assert_eq!(found(&*store, execution(2)).await, None);
    assert_eq!(found(&*store, execution(3)).await, None);
    // The journal stays complete.
    let all = store.load_journal(execution(1), 0, 9).await.unwrap();
    assert_eq!(all, (0..4).map(|seq| entry(seq, epoch)).collect::<Vec<_>>());
}

async fn keeps_any_bytes(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    let large: Bytes = (0..=255).cycle().take(256 * 1024).collect();
    let bodies = [(Encoding::Raw, Bytes::new()), (Encoding::Blob, Bytes::from_static(&[7; 32])), (Encoding::Zstd, large)];
    for (seq, (encoding, bytes)) in (1..).zip(bodies) {
        let next = Snapshot { body: Payload { encoding, bytes }, ..snapshot(seq + 1) };
        commit(&*store, &Append { snapshot: Some(next.clone()), ..later(execution(1), epoch, seq) }).await;
        assert_eq!(found(&*store, execution(1)).await, Some(next));
    }
}

async fn may_come_with_the_creation(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &Append { snapshot: Some(snapshot(1)), ..creation(execution(1), epoch) }).await;
    assert_eq!(found(&*store, execution(1)).await, Some(snapshot(1)));
    let keyed = Append { snapshot: Some(snapshot(1)), ..creation(execution(2), epoch) };
    assert_eq!(store.create_keyed(&keyed, &idempotency_key("a")).await.unwrap(), KeyedOutcome::Created);
    assert_eq!(found(&*store, execution(2)).await, Some(snapshot(1)));
}

async fn comes_in_batches_of_every_size(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for size in [1_u32, 2, 9, 65, 137] {
        let ids: Vec<ExecutionId> = (0..size).map(|number| execution(u128::from(size * 1_000 + number))).collect();
        let created: Vec<Append> = ids.iter().map(|id| creation(*id, epoch)).collect();
        store.append_batch(&created).await.unwrap();
        for round in 1..=2 {
            // All but every fourth have one in the first round, every fourth in the second.
            let is_kept = |place: usize| place.is_multiple_of(4) == (round == 2);
            let append = |(place, id): (usize, &ExecutionId)| {
                if is_kept(place) { kept(*id, epoch, round) } else { later(*id, epoch, round) }
            };
            let batch: Vec<Append> = ids.iter().enumerate().map(append).collect();
            assert_eq!(store.append_batch(&batch).await.unwrap(), vec![AppendOutcome::Committed; ids.len()]);
        }
        for (place, id) in ids.iter().enumerate() {
            let seq = if place.is_multiple_of(4) { 3 } else { 2 };
            assert_eq!(found(&*store, *id).await, Some(snapshot(seq)));
        }
    }
}

async fn a_fenced_request_leaves_the_earlier_one(store: Arc<dyn Store>) {
    let old = own_all(&*store).await;
    for number in 1..=2 {
        commit(&*store, &creation(execution(number), old)).await;
        commit(&*store, &kept(execution(number), old, 1)).await;
    }
    assert_ne!(execution(1).shard(), execution(2).shard());
    store.take_shards(owner(1), &[execution(1).shard()], 1_000).await.unwrap();
    let batch = [kept(execution(1), old, 2), kept(execution(2), old, 2)];
    assert_eq!(store.append_batch(&batch).await.unwrap(), [AppendOutcome::Fenced, AppendOutcome::Committed]);
    assert_eq!(found(&*store, execution(1)).await, Some(snapshot(2)));
    assert_eq!(found(&*store, execution(2)).await, Some(snapshot(3)));
}

async fn a_conflict_leaves_the_earlier_one(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for number in 1..=2 {
        commit(&*store, &creation(execution(number), epoch)).await;
        commit(&*store, &kept(execution(number), epoch, 1)).await;
    }
    let fork = Append { snapshot: Some(snapshot(9)), ..later(execution(2), epoch, 1) };
    assert_eq!(broken(store.append_batch(&[kept(execution(1), epoch, 2), fork]).await), "journal_key");
    for number in 1..=2 {
        assert_eq!(found(&*store, execution(number)).await, Some(snapshot(2)));
    }
    // Nothing comes to an execution that has finished.
    commit(&*store, &change(execution(1), epoch, 2, finished(ExecutionStatus::Failed, NOON))).await;
    assert_eq!(broken(store.append_batch(&[kept(execution(1), epoch, 3)]).await), "executions_live");
    assert_eq!(found(&*store, execution(1)).await, Some(snapshot(2)));
}

/// Two executions that have snapshots; the first has finished.
async fn one_of_two_is_over(store: &dyn Store) -> i64 {
    let epoch = own_all(store).await;
    for number in 1..=2 {
        commit(store, &creation(execution(number), epoch)).await;
        commit(store, &kept(execution(number), epoch, 1)).await;
    }
    commit(store, &change(execution(1), epoch, 2, finished(ExecutionStatus::Succeeded, NOON))).await;
    epoch
}

async fn goes_with_a_deleted_execution(store: Arc<dyn Store>) {
    let epoch = one_of_two_is_over(&*store).await;
    assert!(!store.delete_execution(WorkspaceId::DEFAULT, execution(2)).await.unwrap());
    assert!(store.delete_execution(WorkspaceId::DEFAULT, execution(1)).await.unwrap());
    assert_eq!(found(&*store, execution(1)).await, None);
    assert_eq!(found(&*store, execution(2)).await, Some(snapshot(2)));
    // Another execution with the same id does not find it.
    commit(&*store, &creation(execution(1), epoch)).await;
    assert_eq!(found(&*store, execution(1)).await, None);
}

async fn goes_with_an_expired_execution(store: Arc<dyn Store>) {
    one_of_two_is_over(&*store).await;
    assert_eq!(store.prune(NOON, 100).await.unwrap(), 0);
    assert_eq!(found(&*store, execution(1)).await, Some(snapshot(2)));
    assert_eq!(store.prune(NOON + 1, 100).await.unwrap(), 1);
    assert_eq!(found(&*store, execution(1)).await, None);
    assert_eq!(found(&*store, execution(2)).await, Some(snapshot(2)));
}
