//! Messages that wait for executions.

use std::sync::Arc;

use citadel::{
    model::{execution::ExecutionStatus, ids::ExecutionId},
    store::{INBOX_ROWS_MAX, InboxKind, InboxRow, PutInbox, Store},
};

use crate::{
    harness::cases,
    samples::{NOON, all_shards, change, commit, creation, execution, finished, later, message, own_all, signal},
};

cases! {
    keeps_messages_oldest_first,
    a_message_needs_a_live_target,
    a_duplicate_is_dropped,
    an_inbox_has_a_limit,
    callers_at_the_same_time_do_not_overfill_an_inbox,
    lists_who_has_messages,
    deletes_one_message,
}

async fn keeps_messages_oldest_first(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    let cancel = InboxRow { kind: InboxKind::Cancel, name: String::new(), at: NOON, ..signal(1, execution(1)) };
    let keyed = InboxRow { dedupe_key: Some("k".to_owned()), at: NOON + 9, ..signal(2, execution(1)) };
    let late = InboxRow { at: NOON + 9, ..signal(3, execution(1)) };
    for row in [&late, &keyed, &cancel] {
        assert_eq!(store.put_inbox(row).await.unwrap(), PutInbox::Stored);
    }
    assert_eq!(store.list_inbox(execution(1), 9).await.unwrap(), [cancel.clone(), keyed, late]);
    assert_eq!(store.list_inbox(execution(1), 1).await.unwrap(), [cancel]);
    assert_eq!(store.list_inbox(execution(2), 9).await.unwrap(), []);
}

async fn a_message_needs_a_live_target(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    assert_eq!(store.put_inbox(&signal(1, execution(1))).await.unwrap(), PutInbox::NoExecution);
    commit(&*store, &creation(execution(1), epoch)).await;
    assert_eq!(store.put_inbox(&signal(1, execution(1))).await.unwrap(), PutInbox::Stored);
    commit(&*store, &change(execution(1), epoch, 1, finished(ExecutionStatus::Failed, NOON))).await;
    assert_eq!(store.put_inbox(&signal(2, execution(1))).await.unwrap(), PutInbox::Finished);
    assert_eq!(store.list_inbox(execution(1), 9).await.unwrap(), [signal(1, execution(1))]);
}

async fn a_duplicate_is_dropped(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for number in 1..=2 {
        commit(&*store, &creation(execution(number), epoch)).await;
    }
    let keyed = |number, target| InboxRow { dedupe_key: Some("k".to_owned()), ..signal(number, target) };
    let other_name = InboxRow { name: "rejected".to_owned(), ..keyed(3, execution(1)) };
    for (row, expected) in [
        (keyed(1, execution(1)), PutInbox::Stored),
        (keyed(2, execution(1)), PutInbox::Duplicate),
        (signal(1, execution(1)), PutInbox::Duplicate),
        (other_name, PutInbox::Stored),
        (keyed(4, execution(2)), PutInbox::Stored),
        (signal(5, execution(1)), PutInbox::Stored),
        (signal(6, execution(1)), PutInbox::Stored),
    ] {
        assert_eq!(store.put_inbox(&row).await.unwrap(), expected, "{row:?}");
    }
    // A key is free again once its message is used up.
    let mut append = later(execution(1), epoch, 1);
    append.consumed = vec![message(1)];
    commit(&*store, &append).await;
    assert_eq!(store.put_inbox(&keyed(2, execution(1))).await.unwrap(), PutInbox::Stored);
}

async fn an_inbox_has_a_limit(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    let keyed = |number: u32| InboxRow { dedupe_key: Some(number.to_string()), ..signal(number.into(), execution(1)) };
    // All but one come by notes of others, in one batch of each kind of statement.
    let batch: Vec<_> = (1..INBOX_ROWS_MAX).map(|number| creation(execution(1_000 + u128::from(number)), epoch)).collect();
    store.append_batch(&batch).await.unwrap();
    let notes = (1..INBOX_ROWS_MAX).zip(batch).map(|(number, child)| {
        let mut append = later(child.execution, epoch, 1);
        append.notify = vec![keyed(number)];
        append
    });
    store.append_batch(&notes.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(store.put_inbox(&keyed(INBOX_ROWS_MAX)).await.unwrap(), PutInbox::Stored);
    assert_eq!(store.put_inbox(&keyed(INBOX_ROWS_MAX + 1)).await.unwrap(), PutInbox::Full);
    assert_eq!(store.put_inbox(&keyed(7)).await.unwrap(), PutInbox::Duplicate);
    let waiting = store.list_inbox(execution(1), 2 * INBOX_ROWS_MAX).await.unwrap();
    assert_eq!(waiting, (1..=INBOX_ROWS_MAX).map(keyed).collect::<Vec<_>>());
    assert!(store.delete_inbox(execution(1), message(7)).await.unwrap());
    assert_eq!(store.put_inbox(&keyed(INBOX_ROWS_MAX + 1)).await.unwrap(), PutInbox::Stored);
}

async fn callers_at_the_same_time_do_not_overfill_an_inbox(store: Arc<dyn Store>) {
    const ROOM: u32 = 3;
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    commit(&*store, &creation(execution(2), epoch)).await;
    let mut filling = later(execution(2), epoch, 1);
    filling.notify = (1..=INBOX_ROWS_MAX - ROOM).map(|number| signal(number.into(), execution(1))).collect();
    commit(&*store, &filling).await;
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..20 {
        let store = Arc::clone(&store);
        callers.spawn(async move { store.put_inbox(&signal(10_000 + number, execution(1))).await.unwrap() });
    }
    let outcomes = callers.join_all().await;
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!(
        (count(PutInbox::Stored), count(PutInbox::Full)),
        (usize::try_from(ROOM).unwrap(), 20 - usize::try_from(ROOM).unwrap())
    );
    assert_eq!(store.list_inbox(execution(1), 2 * INBOX_ROWS_MAX).await.unwrap().len(), usize::try_from(INBOX_ROWS_MAX).unwrap());
}

async fn lists_who_has_messages(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let ids: Vec<ExecutionId> = (1..=6).map(execution).collect();
    for (number, id) in (1..).zip(&ids) {
        commit(&*store, &creation(*id, epoch)).await;
        store.put_inbox(&signal(2 * number, *id)).await.unwrap();
        store.put_inbox(&signal(2 * number + 1, *id)).await.unwrap();
    }
    commit(&*store, &creation(execution(7), epoch)).await;
    commit(&*store, &change(ids[0], epoch, 1, finished(ExecutionStatus::Succeeded, NOON))).await;
    assert_eq!(store.list_inbox_owners(&all_shards(), None, 100).await.unwrap(), ids);
    assert_eq!(store.list_inbox_owners(&all_shards(), Some(ids[1]), 2).await.unwrap(), ids[2..4]);
    let of_shard: Vec<ExecutionId> = ids.iter().copied().filter(|id| id.shard() == ids[3].shard()).collect();
    assert_eq!(store.list_inbox_owners(&[ids[3].shard()], None, 100).await.unwrap(), of_shard);
    assert_eq!(store.list_inbox_owners(&[], None, 100).await.unwrap(), []);
}

async fn deletes_one_message(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    for number in 1..=2 {
        store.put_inbox(&signal(number, execution(1))).await.unwrap();
    }
    assert!(!store.delete_inbox(execution(2), message(1)).await.unwrap());
    assert!(store.delete_inbox(execution(1), message(1)).await.unwrap());
    assert!(!store.delete_inbox(execution(1), message(1)).await.unwrap());
    assert_eq!(store.list_inbox(execution(1), 9).await.unwrap(), [signal(2, execution(1))]);
}
