//! Random sequences of operations: what memory answers, SQLite and PostgreSQL answer, too. A difference is shrunk to the
//! shortest sequence that shows it. The seed is fixed, so a failure can be repeated.

use std::{future::Future, sync::Arc};

use citadel::store::{
    Store,
    memory::MemoryStore,
    open::{OpenOptions, open},
};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};

use self::{operation::Operation, player::Player};
use crate::harness::with_postgres_database;

mod audit;
mod operation;
mod player;
mod schedules;

const SEQUENCES: u32 = 32;
const OPERATIONS_MAX: usize = 80;

#[test]
fn sqlite_agrees_with_memory() {
    check(|operations| async move {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("citadel.db").display());
        compare(&open(&OpenOptions::new(url)).await.unwrap(), &operations).await
    });
}

#[test]
fn postgres_agrees_with_memory() {
    check(|operations| async move {
        let mut outcome = Ok(());
        with_postgres_database(async |url| {
            outcome = compare(&open(&OpenOptions::new(url)).await.unwrap(), &operations).await;
        })
        .await;
        outcome
    });
}

/// Sequences that hardly ever succeed would agree about nothing.
#[test]
fn the_sequences_do_something() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut runner = runner();
    let mut answers: Vec<String> = Vec::new();
    for _ in 0..SEQUENCES {
        let operations = operation::sequence(OPERATIONS_MAX).new_tree(&mut runner).unwrap().current();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        answers.extend(runtime.block_on(Player::new(store).play(&operations)));
    }
    for wanted in [
        "Committed",
        "Fenced",
        "conflict",
        "Created",
        "Exists",
        "Taken",
        "Stored",
        "Duplicate",
        "Finished",
        "Activated",
        "HookTaken",
        "Stale",
        "Inserted",
        "Published",
        "Fired",
        "Moved",
        "Some(Snapshot",
        "AuditRow",
    ] {
        let count = answers.iter().filter(|answer| answer.contains(wanted)).count();
        assert!(count >= 3, "{count} of {} answers say {wanted}", answers.len());
    }
}

fn check<F: Future<Output = Result<(), String>>>(test: impl Fn(Vec<Operation>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let strategy = operation::sequence(1..OPERATIONS_MAX);
    let outcome = runner().run(&strategy, |operations| runtime.block_on(test(operations)).map_err(TestCaseError::fail));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn runner() -> TestRunner {
    let config = Config { cases: SEQUENCES, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Plays the operations on the store and on memory, and tells the first answer that differs.
async fn compare(store: &Arc<dyn Store>, operations: &[Operation]) -> Result<(), String> {
    let expected = Player::new(Arc::new(MemoryStore::new())).play(operations).await;
    let answers = Player::new(Arc::clone(store)).play(operations).await;
    store.close().await;
    for ((operation, expected), answer) in operations.iter().zip(expected).zip(answers) {
        if expected != answer {
            return Err(format!("{operation:?}\n  memory: {expected}\n  {}: {answer}", store.kind()));
        }
    }
    Ok(())
}
