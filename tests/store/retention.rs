//! What goes, and that nothing else does.

use std::sync::Arc;

use citadel::{
    model::{execution::ExecutionStatus, ids::WorkspaceId},
    store::{Append, IdempotencyKey, KeyedOutcome, SessionRow, Store},
};

use crate::{
    harness::cases,
    samples::{
        NOON, change, commit, creation, execution, finished, idempotency_key, own_all, session, session_row, signal, state,
        stranger, user_row, waiting_until,
    },
};

const DAY_MS: u64 = 24 * 3_600_000;

cases! {
    deletes_a_finished_execution_with_everything_of_it,
    prunes_what_has_expired,
    prunes_a_few_at_a_time,
    prunes_keys,
    prunes_sessions,
    keeps_the_journals_of_a_day_that_is_in_use,
}

async fn deletes_a_finished_execution_with_everything_of_it(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for number in 1..=2 {
        commit(&*store, &creation(execution(number), epoch)).await;
        store.put_inbox(&signal(number, execution(number))).await.unwrap();
    }
    assert!(!store.delete_execution(WorkspaceId::DEFAULT, execution(1)).await.unwrap());
    commit(&*store, &change(execution(1), epoch, 1, finished(ExecutionStatus::Failed, NOON))).await;
    assert!(!store.delete_execution(stranger(), execution(1)).await.unwrap());
    assert!(store.delete_execution(WorkspaceId::DEFAULT, execution(1)).await.unwrap());
    assert!(!store.delete_execution(WorkspaceId::DEFAULT, execution(1)).await.unwrap());
    assert_eq!(store.get_execution(execution(1)).await.unwrap(), None);
    assert_eq!(store.load_journal(execution(1), 0, 9).await.unwrap(), []);
    assert_eq!(store.list_inbox(execution(1), 9).await.unwrap(), []);
    assert_eq!(store.load_journal(execution(2), 0, 9).await.unwrap().len(), 1);
    assert_eq!(store.list_inbox(execution(2), 9).await.unwrap().len(), 1);
    // Its journal is really gone: the same id can be used again.
    commit(&*store, &creation(execution(1), epoch)).await;
}

async fn prunes_what_has_expired(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let states = [
        finished(ExecutionStatus::Succeeded, NOON - 1),
        finished(ExecutionStatus::Failed, NOON),
        citadel::store::StateChange { expires_at: None, ..finished(ExecutionStatus::Cancelled, NOON) },
        citadel::store::StateChange { expires_at: Some(NOON - 1), ..state(ExecutionStatus::Running) },
        citadel::store::StateChange { expires_at: Some(NOON - 1), ..waiting_until(NOON - 1) },
    ];
    for (number, state) in (0..).zip(states) {
        commit(&*store, &Append { state: Some(state), ..creation(execution(number), epoch) }).await;
    }
    store.put_inbox(&signal(4, execution(4))).await.unwrap();
    assert_eq!(store.prune(NOON, 100).await.unwrap(), 1);
    assert_eq!(store.prune(NOON, 100).await.unwrap(), 0);
    assert_eq!(store.get_execution(execution(0)).await.unwrap(), None);
    assert_eq!(store.load_journal(execution(0), 0, 9).await.unwrap(), []);
    for number in 1..5 {
        assert!(store.get_execution(execution(number)).await.unwrap().is_some());
        assert_eq!(store.load_journal(execution(number), 0, 9).await.unwrap().len(), 1);
    }
    assert_eq!(store.list_inbox(execution(4), 9).await.unwrap().len(), 1);
}

async fn prunes_a_few_at_a_time(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for number in 0..10_u64 {
        let state = finished(ExecutionStatus::Succeeded, NOON + number);
        commit(&*store, &Append { state: Some(state), ..creation(execution(number.into()), epoch) }).await;
    }
    assert_eq!(store.prune(NOON + 8, 3).await.unwrap(), 3);
    // The ones that expired first went first.
    assert_eq!(store.get_execution(execution(2)).await.unwrap(), None);
    assert!(store.get_execution(execution(3)).await.unwrap().is_some());
    assert_eq!(store.prune(NOON + 8, 100).await.unwrap(), 5);
    assert_eq!(store.prune(NOON + 8, 100).await.unwrap(), 0);
}

async fn prunes_keys(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let key = idempotency_key("a");
    let long = IdempotencyKey { expires_at: key.expires_at + 1, ..idempotency_key("b") };
    store.create_keyed(&creation(execution(1), epoch), &key).await.unwrap();
    store.create_keyed(&creation(execution(2), epoch), &long).await.unwrap();
    assert_eq!(store.prune(key.expires_at, 100).await.unwrap(), 0);
    // By a clock that runs behind, the pruned key would still be live; the other one is.
    assert_eq!(store.create_keyed(&creation(execution(3), epoch), &key).await.unwrap(), KeyedOutcome::Created);
    let outcome = store.create_keyed(&creation(execution(4), epoch), &long).await.unwrap();
    assert!(matches!(outcome, KeyedOutcome::Exists { .. }), "{outcome:?}");
}

async fn prunes_sessions(store: Arc<dyn Store>) {
    store.insert_first_user(&user_row(1)).await.unwrap();
    for (number, expires_at) in [(1, NOON - 1), (2, NOON), (3, NOON + 1)] {
        assert!(store.insert_session(&SessionRow { expires_at, ..session_row(number) }, None).await.unwrap());
    }
    store.prune(NOON, 1).await.unwrap();
    // The memory has no reason to go slowly.
    assert_eq!(store.find_session(session(1)).await.unwrap(), None);
    store.prune(NOON, 100).await.unwrap();
    for (number, is_left) in [(1, false), (2, false), (3, true)] {
        assert_eq!(store.find_session(session(number)).await.unwrap().is_some(), is_left, "{number}");
    }
}

async fn keeps_the_journals_of_a_day_that_is_in_use(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    // Three on a day long ago, in two workspaces, and one on the day after it.
    let old = NOON - 100 * DAY_MS;
    for (number, created_at) in [(1, old), (2, old + 1), (3, old + 2), (4, old + DAY_MS)] {
        commit(&*store, &Append { created_at, ..creation(execution(number), epoch) }).await;
    }
    let mut foreign = Append { created_at: old, ..creation(execution(5), epoch) };
    foreign.create.as_mut().unwrap().workspace = stranger();
    commit(&*store, &foreign).await;

    for number in 1..=3 {
        let done = Append { created_at: old, ..change(execution(number), epoch, 1, finished(ExecutionStatus::Succeeded, old)) };
        commit(&*store, &done).await;
    }
    assert_eq!(store.prune(NOON, 100).await.unwrap(), 3);
    for number in [4, 5] {
        assert_eq!(store.load_journal(execution(number), 0, 9).await.unwrap().len(), 1);
    }
    let last = Append { created_at: old, ..change(execution(5), epoch, 1, finished(ExecutionStatus::Succeeded, old)) };
    commit(&*store, &last).await;
    assert_eq!(store.prune(NOON, 100).await.unwrap(), 1);
    assert_eq!(store.load_journal(execution(4), 0, 9).await.unwrap().len(), 1);
    // A day that has lost its partition gets a new one, and an id that went can come back.
    for number in [1, 5] {
        let again = Append { created_at: old + 5, ..creation(execution(number), epoch) };
        commit(&*store, &again).await;
        assert_eq!(store.load_journal(execution(number), 0, 9).await.unwrap().len(), 1);
    }
}
