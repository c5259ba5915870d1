//! Exclusive creations: at most one live execution per workflow and business key.

use std::sync::Arc;

use citadel::{
    model::{execution::ExecutionStatus, ids::ExecutionId},
    store::{Append, ExclusiveOutcome, IdempotencyKey, KeyedOutcome, NewExecution, OnTaken, Store},
};

use crate::{
    harness::cases,
    samples::{
        NOON, broken, change, commit, creation, entry, execution, finished, idempotency_key, new_execution, own_all, stranger,
        waiting_until, workflow,
    },
};

cases! {
    a_business_key_is_taken_while_its_execution_lives,
    a_business_key_belongs_to_a_workflow_of_a_workspace,
    sees_executions_that_were_created_without_a_claim,
    an_adopting_creation_binds_its_key_to_the_live_execution,
    a_live_key_answers_before_the_business_key,
    a_fenced_or_refused_creation_leaves_both_keys_free,
    an_exclusive_creation_needs_a_business_key,
    of_many_at_once_one_is_created,
}

/// The creation of an execution with the business key `order`.
fn order(number: u128, epoch: i64) -> Append {
    let create = Some(NewExecution { business_key: Some("order".to_owned()), ..new_execution() });
    Append { create, ..creation(execution(number), epoch) }
}

async fn create(store: &dyn Store, append: &Append) -> ExclusiveOutcome {
    store.create_exclusive(append, None, OnTaken::Refuse).await.unwrap()
}

fn taken(number: u128) -> ExclusiveOutcome {
    ExclusiveOutcome::Taken { execution: execution(number) }
}

async fn a_business_key_is_taken_while_its_execution_lives(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    assert_eq!(create(&*store, &order(1, epoch)).await, ExclusiveOutcome::Created);
    assert_eq!(store.load_journal(execution(1), 0, 9).await.unwrap(), [entry(0, epoch)]);
    assert_eq!(create(&*store, &order(2, epoch)).await, taken(1));
    commit(&*store, &change(execution(1), epoch, 1, waiting_until(NOON))).await;
    assert_eq!(create(&*store, &order(2, epoch)).await, taken(1));
    assert_eq!(store.get_execution(execution(2)).await.unwrap(), None);
    commit(&*store, &change(execution(1), epoch, 2, finished(ExecutionStatus::Cancelled, NOON))).await;
    assert_eq!(create(&*store, &order(2, epoch)).await, ExclusiveOutcome::Created);
}

async fn a_business_key_belongs_to_a_workflow_of_a_workspace(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    assert_eq!(create(&*store, &order(1, epoch)).await, ExclusiveOutcome::Created);
    let business_key = Some("order".to_owned());
    let others = [
        NewExecution { workflow: workflow(2), business_key: business_key.clone(), ..new_execution() },
        NewExecution { workspace: stranger(), business_key, ..new_execution() },
        NewExecution { business_key: Some("Order".to_owned()), ..new_execution() },
    ];
    for (number, new) in (2..).zip(others) {
        let append = Append { create: Some(new), ..creation(execution(number), epoch) };
        assert_eq!(create(&*store, &append).await, ExclusiveOutcome::Created);
    }
}

async fn sees_executions_that_were_created_without_a_claim(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for number in 1..=2 {
        commit(&*store, &Append { created_at: NOON + 1, ..order(number, epoch) }).await;
    }
    commit(&*store, &order(3, epoch)).await;
    assert_eq!(create(&*store, &order(4, epoch)).await, taken(2), "the newest of them");
    // Whoever claims nothing is not held up either.
    commit(&*store, &order(5, epoch)).await;
}

async fn an_adopting_creation_binds_its_key_to_the_live_execution(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    assert_eq!(create(&*store, &order(1, epoch)).await, ExclusiveOutcome::Created);
    let key = idempotency_key("a");
    let adopt = async |number: u128, key: &IdempotencyKey| {
        store.create_exclusive(&order(number, epoch), Some(key), OnTaken::Adopt).await.unwrap()
    };
    assert_eq!(adopt(2, &key).await, taken(1));
    commit(&*store, &change(execution(1), epoch, 1, finished(ExecutionStatus::Succeeded, NOON))).await;
    let same = ExclusiveOutcome::Exists { execution: execution(1), request_hash: key.request_hash };
    assert_eq!(adopt(2, &key).await, same, "a repeated request is answered as the first one");
    assert_eq!(adopt(2, &idempotency_key("b")).await, ExclusiveOutcome::Created);
}

async fn a_live_key_answers_before_the_business_key(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let key = idempotency_key("a");
    let keyed = async |number: u128, key: &IdempotencyKey| {
        store.create_exclusive(&order(number, epoch), Some(key), OnTaken::Refuse).await.unwrap()
    };
    assert_eq!(keyed(1, &key).await, ExclusiveOutcome::Created);
    let exists = ExclusiveOutcome::Exists { execution: execution(1), request_hash: key.request_hash };
    assert_eq!(keyed(2, &key).await, exists);
    assert_eq!(keyed(2, &idempotency_key("b")).await, taken(1));
    let expired = IdempotencyKey { now_ms: key.expires_at, ..key };
    assert_eq!(keyed(2, &expired).await, taken(1));
    // Both kinds of creation share their keys.
    let again = store.create_keyed(&order(2, epoch), &idempotency_key("a")).await.unwrap();
    assert!(matches!(again, KeyedOutcome::Exists { .. }));
}

async fn a_fenced_or_refused_creation_leaves_both_keys_free(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let key = idempotency_key("a");
    let keyed = async |append: &Append| store.create_exclusive(append, Some(&key), OnTaken::Refuse).await;
    assert_eq!(keyed(&order(1, epoch + 1)).await.unwrap(), ExclusiveOutcome::Fenced);
    commit(&*store, &Append { state: Some(finished(ExecutionStatus::Failed, NOON)), ..order(1, epoch) }).await;
    let twice = Append { entry: entry(9, epoch), ..order(1, epoch) };
    assert_eq!(broken(keyed(&twice).await), "executions_key");
    assert_eq!(keyed(&order(2, epoch)).await.unwrap(), ExclusiveOutcome::Created);
}

async fn an_exclusive_creation_needs_a_business_key(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for append in [creation(execution(1), epoch), Append { create: None, ..order(1, epoch) }] {
        let refused = store.create_exclusive(&append, None, OnTaken::Refuse).await;
        assert_eq!(broken(refused), "executions_business_key");
    }
}

async fn of_many_at_once_one_is_created(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for round in 0..5 {
        let numbers: Vec<u128> = (10 * round..10 * round + 8).collect();
        let creations = numbers.iter().map(|number| {
            let (store, append) = (Arc::clone(&store), order(*number, epoch));
            async move { (append.execution, create(&*store, &append).await) }
        });
        let outcomes = futures_util::future::join_all(creations).await;
        let is_created = |(_, outcome): &&(ExecutionId, ExclusiveOutcome)| *outcome == ExclusiveOutcome::Created;
        let created: Vec<ExecutionId> = outcomes.iter().filter(is_created).map(|(id, _)| *id).collect();
        let [winner] = created[..] else { panic!("{outcomes:?}") };
        let rest = outcomes.iter().filter(|(id, _)| *id != winner);
        assert!(rest.clone().all(|(_, outcome)| *outcome == ExclusiveOutcome::Taken { execution: winner }), "{outcomes:?}");
        commit(&*store, &change(winner, epoch, 1, finished(ExecutionStatus::Succeeded, NOON))).await;
    }
}
