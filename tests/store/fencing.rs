//! Takeovers under fire: former owners go on writing while their shard gets a new owner. Not one of their rows may appear after
//! the takeover, and not one that was acknowledged may be missing. Without the row lock this fails, which the second test shows.

use std::{str::FromStr as _, sync::Arc, time::Duration};

use citadel::{
    model::ids::ExecutionId,
    store::{
        Append, AppendOutcome, Store,
        open::MigrateMode,
        postgres::{Fence, PostgresStore},
    },
};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::task::JoinSet;

use crate::{
    harness::with_postgres_database,
    samples::{LEASE_MS, creation, execution, owner},
};

const TAKEOVERS: u64 = 40;
/// Former owners that write at the same time.
const ZOMBIES: u64 = 6;
/// New executions in each of their batches, half of them on the contested shard.
const BATCH_ROWS: usize = 20;
const CONTESTED: u16 = 7;
const QUIET: u16 = 8;

/// What the takeovers of one run did.
#[derive(Debug, Default)]
struct Damage {
    acknowledged: usize,
    /// Rows of the former epoch that appeared after the takeover.
    stale: i64,
    /// Acknowledged rows that are not there.
    lost: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_former_owner_writes_after_a_takeover() {
    let damage = run(Fence::RowLock, TAKEOVERS, |_| false).await;
    assert!(damage.acknowledged > 1_000, "{damage:?}");
    assert_eq!((damage.stale, damage.lost), (0, 0), "{damage:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_test_sees_what_the_row_lock_prevents() {
    let damage = run(Fence::WithoutRowLock, 10 * TAKEOVERS, |damage| damage.stale > 0).await;
    assert!(damage.stale > 0, "no stale row in {} takeovers without the lock: {damage:?}", 10 * TAKEOVERS);
}

async fn run(fence: Fence, takeovers: u64, enough: impl Fn(&Damage) -> bool) -> Damage {
    let mut damage = Damage::default();
    with_postgres_database(async |url| {
        let connect = PgConnectOptions::from_str(&url).unwrap();
        let connections_max = u32::try_from(ZOMBIES).unwrap() + 2;
        let store = PostgresStore::open_fenced(connect, connections_max, MigrateMode::Auto, fence).await.unwrap();
        let store = Arc::new(store);
        let mut witness = PgConnection::connect(&url).await.unwrap();
        let quiet = take(&store, QUIET).await;
        for round in 0..takeovers {
            take_over(&store, &mut witness, round, quiet, &mut damage).await;
            if enough(&damage) {
                break;
            }
        }
        witness.close().await.unwrap();
        store.close().await;
    })
    .await;
    damage
}

/// One round: owners that write without pause, a takeover, and a count before and after they notice.
async fn take_over(store: &Arc<PostgresStore>, witness: &mut PgConnection, round: u64, quiet: i64, damage: &mut Damage) {
    let epoch = take(store, CONTESTED).await;
    let mut zombies = JoinSet::new();
    for zombie in 0..ZOMBIES {
        let first_id = (u128::from(round) << 64) | (u128::from(zombie) << 32);
        zombies.spawn(write_until_fenced(Arc::clone(store), first_id, epoch, quiet));
    }
    // At another moment of their statements each time.
    tokio::time::sleep(Duration::from_millis(10 + round % 17)).await;
    assert_eq!(take(store, CONTESTED).await, epoch + 1);
    let at_takeover = rows_of_epoch(witness, epoch).await;
    let acknowledged: usize = zombies.join_all().await.into_iter().sum();
    let in_the_end = rows_of_epoch(witness, epoch).await;
    damage.acknowledged += acknowledged;
    damage.stale += in_the_end - at_takeover;
    damage.lost += (i64::try_from(acknowledged).unwrap() - in_the_end).max(0);
}

/// Creates executions on both shards until the contested one is fenced. Answers how many rows of that one were acknowledged.
async fn write_until_fenced(store: Arc<PostgresStore>, first_id: u128, epoch: i64, quiet: i64) -> usize {
    let mut acknowledged = 0;
    let mut number = first_id;
    loop {
        let mut next = |shard| next_id(&mut number, shard);
        let batch: Vec<Append> =
            (0..BATCH_ROWS / 2).flat_map(|_| [creation(next(CONTESTED), epoch), creation(next(QUIET), quiet)]).collect();
        let outcomes = store.append_batch(&batch).await.unwrap();
        // Whatever happens to one shard, its neighbour's rows are written.
        assert!(outcomes.iter().skip(1).step_by(2).all(|outcome| *outcome == AppendOutcome::Committed));
        let contested: Vec<_> = outcomes.into_iter().step_by(2).collect();
        if contested[0] == AppendOutcome::Fenced {
            assert!(contested.iter().all(|outcome| *outcome == AppendOutcome::Fenced));
            return acknowledged;
        }
        acknowledged += contested.len();
    }
}

/// Takes a shard with a new epoch. An owner may take its own again, so no lease has to run out between takeovers.
async fn take(store: &PostgresStore, shard: u16) -> i64 {
    let leases = store.take_shards(owner(1), &[shard], LEASE_MS).await.unwrap();
    leases[0].epoch
}

fn next_id(number: &mut u128, shard: u16) -> ExecutionId {
    loop {
        *number += 1;
        let id = execution(*number);
        if id.shard() == shard {
            return id;
        }
    }
}

/// Journal rows that were written on the contested shard under this epoch.
async fn rows_of_epoch(witness: &mut PgConnection, epoch: i64) -> i64 {
    const SQL: &str = "SELECT count(*) FROM journal JOIN executions ON executions.id = journal.execution_id
        WHERE executions.shard = $1 AND journal.epoch = $2";
    sqlx::query_scalar(SQL).bind(i16::try_from(CONTESTED).unwrap()).bind(epoch).fetch_one(witness).await.unwrap()
}
