//! The journal's partitions in PostgreSQL: made ahead, made again, dropped only when nobody needs them.

use std::collections::BTreeSet;

use citadel::{
    clock,
    model::execution::ExecutionStatus,
    store::{
        Append,
        open::{OpenOptions, open},
    },
};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{
    harness::with_postgres_database,
    samples::{NOON, commit, creation, execution, finished, own_all},
};

const DAY_MS: u64 = 24 * 3_600_000;
/// A day long before today.
const OLD: u64 = NOON - 400 * DAY_MS;

#[tokio::test]
async fn today_and_the_next_days_have_partitions_from_the_start() {
    with_postgres_database(async |url| {
        open(&OpenOptions::new(&*url)).await.unwrap().close().await;
        let today = day(clock::now_ms());
        assert_eq!(days(&url).await, BTreeSet::from([today, today + 1, today + 2]));
    })
    .await;
}

#[tokio::test]
async fn a_partition_that_another_process_dropped_is_made_again() {
    with_postgres_database(async |url| {
        let (one, two) = (open(&OpenOptions::new(&*url)).await.unwrap(), open(&OpenOptions::new(&*url)).await.unwrap());
        let epoch = own_all(&*one).await;
        commit(&*one, &old_and_done(1, epoch)).await;
        assert!(days(&url).await.contains(&day(OLD)));
        assert_eq!(two.prune(NOON, 100).await.unwrap(), 1);
        assert!(!days(&url).await.contains(&day(OLD)));
        // The first process does not know that yet.
        commit(&*one, &old_and_done(2, epoch)).await;
        assert_eq!(one.load_journal(execution(2), 0, 9).await.unwrap().len(), 1);
        one.close().await;
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_drop_gives_way_to_a_long_reader() {
    with_postgres_database(async |url| {
        let store = open(&OpenOptions::new(&*url)).await.unwrap();
        let epoch = own_all(&*store).await;
        commit(&*store, &old_and_done(1, epoch)).await;
        let mut reader = PgConnection::connect(&url).await.unwrap();
        reader.execute("BEGIN; SELECT count(*) FROM journal").await.unwrap();
        assert_eq!(store.prune(NOON, 100).await.unwrap(), 1);
        assert!(days(&url).await.contains(&day(OLD)));
        reader.execute("COMMIT").await.unwrap();
        reader.close().await.unwrap();
        assert_eq!(store.prune(NOON, 100).await.unwrap(), 0);
        assert!(!days(&url).await.contains(&day(OLD)));
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_day_is_kept_until_it_is_over() {
    with_postgres_database(async |url| {
        let store = open(&OpenOptions::new(&*url)).await.unwrap();
        let epoch = own_all(&*store).await;
        commit(&*store, &old_and_done(1, epoch)).await;
        assert_eq!(store.prune(OLD + 1, 100).await.unwrap(), 1);
        assert!(days(&url).await.contains(&day(OLD)));
        store.prune(OLD + DAY_MS, 100).await.unwrap();
        assert!(!days(&url).await.contains(&day(OLD)));
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn bodies_are_not_compressed_twice() {
    with_postgres_database(async |url| {
        open(&OpenOptions::new(&*url)).await.unwrap().close().await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let storage: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT attstorage::text FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
             WHERE attname = 'body' AND relname ~ '^(journal|inbox|snapshots)'",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        assert_eq!(storage, ["e"]); // External.
        connection.close().await.unwrap();
    })
    .await;
}

/// An execution of the old day that finished and has expired at once.
fn old_and_done(number: u128, epoch: i64) -> Append {
    let state = Some(finished(ExecutionStatus::Succeeded, OLD));
    Append { created_at: OLD, state, ..creation(execution(number), epoch) }
}

fn day(ms: u64) -> i32 {
    i32::try_from(ms / DAY_MS).unwrap()
}

/// The days that have a partition.
async fn days(url: &str) -> BTreeSet<i32> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let names: Vec<String> =
        sqlx::query_scalar("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'journal'::regclass")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    connection.close().await.unwrap();
    names.iter().map(|name| name.strip_prefix("journal_day_").unwrap().parse().unwrap()).collect()
}
