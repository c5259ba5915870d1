//! Appending and reading journals.

use std::sync::Arc;

use citadel::{
    model::execution::ExecutionStatus,
    store::{
        Append, AppendOutcome, Encoding, IdempotencyKey, InboxKind, InboxRow, KeyedOutcome, NOTIFY_ROWS_MAX, Payload, Store,
    },
};

use crate::{
    harness::cases,
    samples::{
        NOON, broken, change, commit, creation, entry, execution, finished, idempotency_key, later, message, own_all, owner,
        payload, signal, state, waiting_until,
    },
};

cases! {
    keeps_rows_in_order,
    reads_on_from_the_middle_of_a_row,
    creates_and_finishes_in_one_batch,
    a_creation_without_a_state_is_queued,
    refuses_a_second_writer,
    refuses_to_create_an_execution_twice,
    a_finished_execution_stays_finished,
    refuses_to_append_to_nothing,
    a_conflict_writes_nothing,
    refuses_two_requests_for_one_execution,
    a_fenced_request_leaves_no_trace,
    an_empty_batch_is_nothing,
    writes_batches_of_every_size,
    keeps_any_bytes,
    says_under_which_epoch_a_row_was_written,
    consumes_messages_in_the_same_commit,
    notifies_live_executions_only,
    notifies_many_at_once,
    a_key_is_claimed_once,
    an_expired_key_is_claimed_again,
    a_fenced_claim_leaves_the_key_free,
    a_refused_claim_leaves_the_key_free,
    two_claims_at_once_are_one,
}

async fn keeps_rows_in_order(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    for seq in 1..6 {
        commit(&*store, &later(execution(1), epoch, seq)).await;
    }
    let all = store.load_journal(execution(1), 0, 100).await.unwrap();
    assert_eq!(all, (0..6).map(|seq| entry(seq, epoch)).collect::<Vec<_>>());
    let page = store.load_journal(execution(1), 2, 3).await.unwrap();
    assert_eq!(page, (2..5).map(|seq| entry(seq, epoch)).collect::<Vec<_>>());
    assert_eq!(store.load_journal(execution(1), 6, 100).await.unwrap(), []);
    assert_eq!(store.load_journal(execution(2), 0, 100).await.unwrap(), []);
}

async fn reads_on_from_the_middle_of_a_row(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    // Events 0 to 2, then 3, then 4 and 5.
    let mut rows = vec![entry(0, epoch), entry(3, epoch), entry(4, epoch)];
    (rows[0].count, rows[2].count) = (3, 2);
    commit(&*store, &Append { entry: rows[0].clone(), ..creation(execution(1), epoch) }).await;
    for row in &rows[1..] {
        commit(&*store, &Append { entry: row.clone(), ..later(execution(1), epoch, row.seq) }).await;
    }
    for (from_seq, expected) in
        [(0, &rows[..]), (1, &rows), (2, &rows), (3, &rows[1..]), (4, &rows[2..]), (5, &rows[2..]), (6, &[])]
    {
        assert_eq!(store.load_journal(execution(1), from_seq, 9).await.unwrap(), expected, "from {from_seq} on");
    }
    assert_eq!(store.load_journal(execution(1), 2, 1).await.unwrap(), rows[..1]);
}

async fn creates_and_finishes_in_one_batch(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let mut append = creation(execution(1), epoch);
    append.state = Some(finished(ExecutionStatus::Succeeded, NOON + 5));
    commit(&*store, &append).await;
    let row = store.get_execution(execution(1)).await.unwrap().unwrap();
    assert_eq!((Some(row.new), Some(row.state)), (append.create, append.state));
}

async fn a_creation_without_a_state_is_queued(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let mut append = creation(execution(1), epoch);
    append.state = None;
    commit(&*store, &append).await;
    let row = store.get_execution(execution(1)).await.unwrap().unwrap();
    assert_eq!(row.state, state(ExecutionStatus::Queued));
}

async fn refuses_a_second_writer(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    commit(&*store, &later(execution(1), epoch, 1)).await;
    let mut fork = later(execution(1), epoch, 1);
    fork.entry.body = payload("another history");
    assert_eq!(broken(store.append_batch(&[fork]).await), "journal_key");
    assert_eq!(store.load_journal(execution(1), 1, 9).await.unwrap(), [entry(1, epoch)]);
}

async fn refuses_to_create_an_execution_twice(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    let again = Append { entry: entry(9, epoch), ..creation(execution(1), epoch) };
    assert_eq!(broken(store.append_batch(&[again]).await), "executions_key");
}

async fn a_finished_execution_stays_finished(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    commit(&*store, &change(execution(1), epoch, 1, finished(ExecutionStatus::Cancelled, NOON))).await;
    let revival = change(execution(1), epoch, 2, finished(ExecutionStatus::Succeeded, NOON));
    assert_eq!(broken(store.append_batch(&[revival]).await), "executions_live");
    assert_eq!(broken(store.append_batch(&[later(execution(1), epoch, 2)]).await), "executions_live");
    let row = store.get_execution(execution(1)).await.unwrap().unwrap();
    assert_eq!(row.state.status, ExecutionStatus::Cancelled);
    assert_eq!(store.load_journal(execution(1), 0, 9).await.unwrap().len(), 2);
}

async fn refuses_to_append_to_nothing(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    assert_eq!(broken(store.append_batch(&[later(execution(1), epoch, 0)]).await), "executions_live");
    let changed = change(execution(1), epoch, 0, state(ExecutionStatus::Running));
    assert_eq!(broken(store.append_batch(&[changed]).await), "executions_live");
}

async fn a_conflict_writes_nothing(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for number in 1..=3 {
        commit(&*store, &creation(execution(number), epoch)).await;
    }
    assert_eq!(store.put_inbox(&signal(1, execution(2))).await.unwrap(), citadel::store::PutInbox::Stored);
    let mut consumer = change(execution(2), epoch, 1, waiting_until(NOON));
    consumer.consumed = vec![message(1)];
    consumer.notify = vec![signal(2, execution(3))];
    let batch = [later(execution(1), epoch, 1), consumer, creation(execution(4), epoch), later(execution(3), epoch, 0)];
    assert_eq!(broken(store.append_batch(&batch).await), "journal_key");
    for number in 1..=3 {
        assert_eq!(store.load_journal(execution(number), 0, 9).await.unwrap().len(), 1);
    }
    assert_eq!(store.get_execution(execution(4)).await.unwrap(), None);
    assert_eq!(store.get_execution(execution(2)).await.unwrap().unwrap().state.status, ExecutionStatus::Running);
    assert_eq!(store.list_inbox(execution(2), 9).await.unwrap(), [signal(1, execution(2))]);
    assert_eq!(store.list_inbox(execution(3), 9).await.unwrap(), []);
}

async fn refuses_two_requests_for_one_execution(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let batch = [creation(execution(1), epoch), later(execution(1), epoch, 1)];
    assert_eq!(broken(store.append_batch(&batch).await), "batch_executions");
    assert_eq!(store.get_execution(execution(1)).await.unwrap(), None);
    assert_eq!(broken(store.append_batch(&[creation(execution(1), -1)]).await), "epoch_range");
}

async fn a_fenced_request_leaves_no_trace(store: Arc<dyn Store>) {
    let old = own_all(&*store).await;
    for number in 1..=2 {
        commit(&*store, &creation(execution(number), old)).await;
    }
    store.put_inbox(&signal(1, execution(1))).await.unwrap();
    let shard = execution(1).shard();
    assert_ne!(shard, execution(2).shard());
    assert_ne!(shard, execution(3).shard());
    let lease = store.take_shards(owner(1), &[shard], 1_000).await.unwrap();
    assert_eq!(lease[0].epoch, old + 1);

    let mut stale = change(execution(1), old, 1, finished(ExecutionStatus::Succeeded, NOON));
    stale.consumed = vec![message(1)];
    stale.notify = vec![signal(2, execution(2))];
    let batch = [stale, later(execution(2), old, 1), creation(execution(3), old)];
    let outcomes = store.append_batch(&batch).await.unwrap();
    assert_eq!(outcomes, [AppendOutcome::Fenced, AppendOutcome::Committed, AppendOutcome::Committed]);

    assert_eq!(store.load_journal(execution(1), 0, 9).await.unwrap(), [entry(0, old)]);
    assert_eq!(store.get_execution(execution(1)).await.unwrap().unwrap().state, state(ExecutionStatus::Running));
    assert_eq!(store.list_inbox(execution(1), 9).await.unwrap(), [signal(1, execution(1))]);
    assert_eq!(store.list_inbox(execution(2), 9).await.unwrap(), []);
    assert_eq!(store.load_journal(execution(2), 0, 9).await.unwrap().len(), 2);
    commit(&*store, &later(execution(1), old + 1, 1)).await;
    assert_eq!(store.append_batch(&[later(execution(2), old + 7, 2)]).await.unwrap(), [AppendOutcome::Fenced]);
}

async fn an_empty_batch_is_nothing(store: Arc<dyn Store>) {
    assert_eq!(store.append_batch(&[]).await.unwrap(), []);
}

async fn writes_batches_of_every_size(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let mut number = 0;
    for size in [1, 2, 7, 8, 9, 63, 64, 65, 137, 500] {
        let ids: Vec<_> = (number..number + size).map(execution).collect();
        number += size;
        let created: Vec<_> = ids.iter().map(|id| creation(*id, epoch)).collect();
        assert_eq!(store.append_batch(&created).await.unwrap(), vec![AppendOutcome::Committed; ids.len()]);
        // Every third goes on, every third waits, every third finishes.
        let next = (0_u64..).zip(&ids).map(|(place, id)| match place % 3 {
            0 => later(*id, epoch, 1),
            1 => change(*id, epoch, 1, waiting_until(NOON + place)),
            _ => change(*id, epoch, 1, finished(ExecutionStatus::Failed, NOON + place)),
        });
        let next: Vec<_> = next.collect();
        assert_eq!(store.append_batch(&next).await.unwrap(), vec![AppendOutcome::Committed; ids.len()]);
        for append in &next {
            let row = store.get_execution(append.execution).await.unwrap().unwrap();
            assert_eq!(row.state, append.state.clone().unwrap_or(state(ExecutionStatus::Running)));
            assert_eq!(store.load_journal(append.execution, 1, 9).await.unwrap(), std::slice::from_ref(&append.entry));
        }
    }
}

async fn keeps_any_bytes(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    let bodies: [(Encoding, Vec<u8>); 4] = [
        (Encoding::Raw, Vec::new()),
        (Encoding::Zstd, (0..=255).collect()),
        (Encoding::Blob, vec![7; 32]),
        (Encoding::Zstd, (0..=255).cycle().take(256 * 1024).collect()),
    ];
    for (seq, (encoding, bytes)) in (1..).zip(bodies) {
        let mut append = later(execution(1), epoch, seq);
        append.entry.body = Payload { encoding, bytes: bytes.into() };
        append.entry.count = seq;
        commit(&*store, &append).await;
        assert_eq!(store.load_journal(execution(1), seq, 1).await.unwrap(), [append.entry]);
    }
}

async fn says_under_which_epoch_a_row_was_written(store: Arc<dyn Store>) {
    let first = own_all(&*store).await;
    commit(&*store, &creation(execution(1), first)).await;
    let second = own_all(&*store).await;
    let mut append = later(execution(1), second, 1);
    append.entry.epoch = 77; // The epoch that fenced the request counts.
    commit(&*store, &append).await;
    assert_eq!(store.find_journal_epoch(execution(1), 0).await.unwrap(), Some(first));
    assert_eq!(store.find_journal_epoch(execution(1), 1).await.unwrap(), Some(second));
    assert_eq!(store.find_journal_epoch(execution(1), 2).await.unwrap(), None);
    assert_eq!(store.find_journal_epoch(execution(2), 0).await.unwrap(), None);
}

async fn consumes_messages_in_the_same_commit(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    for number in 1..=3 {
        store.put_inbox(&signal(number, execution(1))).await.unwrap();
    }
    let mut append = later(execution(1), epoch, 1);
    append.consumed = vec![message(1), message(3), message(99)];
    commit(&*store, &append).await;
    assert_eq!(store.list_inbox(execution(1), 9).await.unwrap(), [signal(2, execution(1))]);
}

async fn notifies_live_executions_only(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let (live, done, child) = (execution(1), execution(2), execution(3));
    for id in [live, done, child] {
        commit(&*store, &creation(id, epoch)).await;
    }
    commit(&*store, &change(done, epoch, 1, finished(ExecutionStatus::Failed, NOON))).await;
    let keyed = |number| InboxRow { dedupe_key: Some("child 3".to_owned()), ..signal(number, live) };
    for (seq, note) in (1..).zip([keyed(1), keyed(2), signal(1, live), signal(3, live), signal(4, done), signal(5, execution(9))])
    {
        let mut append = later(child, epoch, seq);
        append.notify = vec![note];
        commit(&*store, &append).await;
    }
    assert_eq!(store.list_inbox(live, 9).await.unwrap(), [keyed(1), signal(3, live)]);
    assert_eq!(store.list_inbox(done, 9).await.unwrap(), []);
    assert_eq!(store.list_inbox(execution(9), 9).await.unwrap(), []);

    // A target that finishes in the same batch was live before it; its message may go.
    let mut last = change(child, epoch, 9, finished(ExecutionStatus::Succeeded, NOON));
    last.notify = vec![signal(6, live)];
    let batch = [change(live, epoch, 1, finished(ExecutionStatus::Succeeded, NOON)), last];
    assert_eq!(store.append_batch(&batch).await.unwrap(), [AppendOutcome::Committed; 2]);
    assert_eq!(store.list_inbox(live, 9).await.unwrap().len(), 3);
}

async fn notifies_many_at_once(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let children: Vec<_> = (1..=70).map(execution).collect();
    let created: Vec<_> = children.iter().map(|id| creation(*id, epoch)).collect();
    store.append_batch(&created).await.unwrap();
    commit(&*store, &creation(execution(0), epoch)).await;
    let cancel = |number: u128, target| InboxRow {
        kind: InboxKind::Cancel,
        name: String::new(),
        dedupe_key: Some("cancel".to_owned()),
        ..signal(number, target)
    };
    // Two for each child, of which the second is a duplicate, and some for executions that are not there.
    let twice = (1..).zip(children.iter().chain(&children)).map(|(number, child)| cancel(number, *child));
    let nobody = (1_000..1_010).map(|number| cancel(number, execution(number)));
    let mut end = change(execution(0), epoch, 1, finished(ExecutionStatus::Cancelled, NOON));
    end.notify = twice.chain(nobody).collect();
    commit(&*store, &end).await;
    for (number, child) in (1..).zip(&children) {
        assert_eq!(store.list_inbox(*child, 9).await.unwrap(), [cancel(number, *child)]);
    }
    // As many as an execution may ever have, and one more.
    commit(&*store, &creation(execution(200), epoch)).await;
    let mut most = later(execution(200), epoch, 1);
    most.notify = (0..NOTIFY_ROWS_MAX).map(|number| signal(u128::try_from(number).unwrap(), execution(300))).collect();
    commit(&*store, &most).await;
    let mut more = later(execution(200), epoch, 2);
    more.notify = most.notify.iter().cloned().chain([signal(0, execution(1))]).collect();
    assert_eq!(broken(store.append_batch(&[more]).await), "notify_rows");
    assert_eq!(store.list_inbox(execution(1), 9).await.unwrap().len(), 1);
}

async fn a_key_is_claimed_once(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let key = idempotency_key("a");
    assert_eq!(store.create_keyed(&creation(execution(1), epoch), &key).await.unwrap(), KeyedOutcome::Created);
    assert_eq!(store.load_journal(execution(1), 0, 9).await.unwrap(), [entry(0, epoch)]);
    let exists = KeyedOutcome::Exists { execution: execution(1), request_hash: key.request_hash };
    let other_body = IdempotencyKey { request_hash: [2; 32], ..key.clone() };
    assert_eq!(store.create_keyed(&creation(execution(2), epoch), &other_body).await.unwrap(), exists);
    assert_eq!(store.create_keyed(&creation(execution(2), epoch + 1), &key).await.unwrap(), exists);
    assert_eq!(store.get_execution(execution(2)).await.unwrap(), None);
    for (number, free) in (2..).zip([
        IdempotencyKey { scope: "hooks".to_owned(), ..key.clone() },
        IdempotencyKey { key: "b".to_owned(), ..key.clone() },
        IdempotencyKey { workspace: crate::samples::stranger(), ..key },
    ]) {
        assert_eq!(store.create_keyed(&creation(execution(number), epoch), &free).await.unwrap(), KeyedOutcome::Created);
    }
}

async fn an_expired_key_is_claimed_again(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let key = idempotency_key("a");
    store.create_keyed(&creation(execution(1), epoch), &key).await.unwrap();
    let just_before = IdempotencyKey { now_ms: key.expires_at - 1, ..key.clone() };
    let outcome = store.create_keyed(&creation(execution(2), epoch), &just_before).await.unwrap();
    assert!(matches!(outcome, KeyedOutcome::Exists { .. }));
    let renewed = IdempotencyKey { now_ms: key.expires_at, expires_at: key.expires_at + 9, request_hash: [3; 32], ..key };
    assert_eq!(store.create_keyed(&creation(execution(2), epoch), &renewed).await.unwrap(), KeyedOutcome::Created);
    let outcome = store.create_keyed(&creation(execution(3), epoch), &renewed).await.unwrap();
    assert_eq!(outcome, KeyedOutcome::Exists { execution: execution(2), request_hash: [3; 32] });
}

async fn a_fenced_claim_leaves_the_key_free(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let key = idempotency_key("a");
    assert_eq!(store.create_keyed(&creation(execution(1), epoch + 1), &key).await.unwrap(), KeyedOutcome::Fenced);
    assert_eq!(store.get_execution(execution(1)).await.unwrap(), None);
    assert_eq!(store.create_keyed(&creation(execution(1), epoch), &key).await.unwrap(), KeyedOutcome::Created);
}

async fn a_refused_claim_leaves_the_key_free(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    let key = idempotency_key("a");
    let again = Append { entry: entry(9, epoch), ..creation(execution(1), epoch) };
    assert_eq!(broken(store.create_keyed(&again, &key).await), "executions_key");
    assert_eq!(store.create_keyed(&creation(execution(2), epoch), &key).await.unwrap(), KeyedOutcome::Created);
}

async fn two_claims_at_once_are_one(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for round in 0..10 {
        let key = idempotency_key(&round.to_string());
        let (first, second) = (creation(execution(2 * round), epoch), creation(execution(2 * round + 1), epoch));
        let (one, two) = tokio::join!(store.create_keyed(&first, &key), store.create_keyed(&second, &key));
        let (winner, loser, answer) = match (one.unwrap(), two.unwrap()) {
            (KeyedOutcome::Created, answer) => (first.execution, second.execution, answer),
            (answer, KeyedOutcome::Created) => (second.execution, first.execution, answer),
            neither => panic!("{neither:?}"),
        };
        assert_eq!(answer, KeyedOutcome::Exists { execution: winner, request_hash: key.request_hash });
        assert!(store.get_execution(winner).await.unwrap().is_some());
        assert_eq!(store.get_execution(loser).await.unwrap(), None);
    }
}
