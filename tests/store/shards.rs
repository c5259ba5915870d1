//! Leases of shards, and a sign of life.

use std::{sync::Arc, time::Duration};

use citadel::store::{ShardLease, Store};

use crate::{
    harness::cases,
    samples::{LEASE_MS, all_shards, commit, creation, execution, later, owner},
};

cases! {
    answers_when_it_can_be_read,
    takes_free_shards_with_a_new_epoch,
    a_held_shard_stays_with_its_owner,
    an_expired_shard_can_be_taken,
    a_released_shard_can_be_taken,
    renews_what_it_still_has,
    a_takeover_fences_the_former_owner,
    unknown_shards_are_ignored,
    a_shard_goes_to_one_of_many,
    appends_and_leases_do_not_wait_in_circles,
    hands_over_the_named_shards_only,
    knows_who_lives,
}

async fn answers_when_it_can_be_read(store: Arc<dyn Store>) {
    store.ping().await.unwrap();
    assert!(["memory", "sqlite", "postgres"].contains(&store.kind()));
}

async fn takes_free_shards_with_a_new_epoch(store: Arc<dyn Store>) {
    let leases = store.take_shards(owner(1), &[7, 3, 7], LEASE_MS).await.unwrap();
    assert_eq!(leases, [ShardLease { shard: 3, epoch: 1 }, ShardLease { shard: 7, epoch: 1 }]);
    // Its own again: the epoch grows, so that it fences its own past.
    let leases = store.take_shards(owner(1), &[3], LEASE_MS).await.unwrap();
    assert_eq!(leases, [ShardLease { shard: 3, epoch: 2 }]);
    assert_eq!(store.take_shards(owner(1), &all_shards(), LEASE_MS).await.unwrap().len(), 256);
}

async fn a_held_shard_stays_with_its_owner(store: Arc<dyn Store>) {
    store.take_shards(owner(1), &[1, 2], LEASE_MS).await.unwrap();
    let leases = store.take_shards(owner(2), &[1, 2, 3], LEASE_MS).await.unwrap();
    assert_eq!(leases, [ShardLease { shard: 3, epoch: 1 }]);
}

async fn an_expired_shard_can_be_taken(store: Arc<dyn Store>) {
    store.take_shards(owner(1), &[1], 1).await.unwrap();
    let lease = take_when_free(&*store, 1).await;
    assert_eq!(lease, ShardLease { shard: 1, epoch: 2 });
    assert_eq!(store.renew_shards(owner(1), LEASE_MS).await.unwrap(), []);
}

async fn a_released_shard_can_be_taken(store: Arc<dyn Store>) {
    store.take_shards(owner(1), &[1, 2], LEASE_MS).await.unwrap();
    assert_eq!(store.release_shards(owner(1)).await.unwrap(), 2);
    assert_eq!(store.release_shards(owner(1)).await.unwrap(), 0);
    assert_eq!(store.renew_shards(owner(1), LEASE_MS).await.unwrap(), []);
    assert_eq!(store.take_shards(owner(2), &[1], LEASE_MS).await.unwrap(), [ShardLease { shard: 1, epoch: 2 }]);
}

async fn renews_what_it_still_has(store: Arc<dyn Store>) {
    store.take_shards(owner(1), &[1, 2], 1).await.unwrap();
    let lease = take_when_free(&*store, 2).await;
    assert_eq!(lease, ShardLease { shard: 2, epoch: 2 });
    // Shard 1 has expired as well, but nobody has taken it.
    assert_eq!(store.renew_shards(owner(1), LEASE_MS).await.unwrap(), [ShardLease { shard: 1, epoch: 1 }]);
    assert_eq!(store.take_shards(owner(2), &[1], LEASE_MS).await.unwrap(), []);
    assert_eq!(store.renew_shards(owner(3), LEASE_MS).await.unwrap(), []);
}

async fn a_takeover_fences_the_former_owner(store: Arc<dyn Store>) {
    let shard = execution(1).shard();
    let first = store.take_shards(owner(1), &[shard], LEASE_MS).await.unwrap()[0].epoch;
    commit(&*store, &creation(execution(1), first)).await;
    store.release_shards(owner(1)).await.unwrap();
    // A release fences nobody: the journal lane may still have rows in flight.
    commit(&*store, &later(execution(1), first, 1)).await;
    let second = store.take_shards(owner(2), &[shard], LEASE_MS).await.unwrap()[0].epoch;
    let outcomes = store.append_batch(&[later(execution(1), first, 2)]).await.unwrap();
    assert_eq!(outcomes, [citadel::store::AppendOutcome::Fenced]);
    commit(&*store, &later(execution(1), second, 2)).await;
}

async fn unknown_shards_are_ignored(store: Arc<dyn Store>) {
    assert_eq!(store.take_shards(owner(1), &[256, u16::MAX], LEASE_MS).await.unwrap(), []);
    assert_eq!(store.take_shards(owner(1), &[], LEASE_MS).await.unwrap(), []);
    let leases = store.take_shards(owner(1), &[255, 256], u64::MAX).await.unwrap();
    assert_eq!(leases, [ShardLease { shard: 255, epoch: 1 }]);
    assert_eq!(store.take_shards(owner(2), &[255], LEASE_MS).await.unwrap(), []);
}

async fn a_shard_goes_to_one_of_many(store: Arc<dyn Store>) {
    let shards = all_shards();
    let reversed: Vec<u16> = shards.iter().rev().copied().collect();
    let (one, two, three) = tokio::join!(
        store.take_shards(owner(1), &shards, LEASE_MS),
        store.take_shards(owner(2), &reversed, LEASE_MS),
        store.take_shards(owner(3), &shards[64..], LEASE_MS),
    );
    let mut taken: Vec<ShardLease> = [one, two, three].into_iter().flat_map(Result::unwrap).collect();
    taken.sort_unstable();
    assert_eq!(taken, shards.iter().map(|shard| ShardLease { shard: *shard, epoch: 1 }).collect::<Vec<_>>());
}

/// Everything that locks shards, over all of them and at once. A circle would end one of them with an error.
async fn appends_and_leases_do_not_wait_in_circles(store: Arc<dyn Store>) {
    const ROUNDS: u128 = 20;
    let shards = all_shards();
    let append = async |writer: u128| {
        for round in 0..ROUNDS {
            // Whatever the epoch is by now: fenced requests lock their shards, too, unless they are behind.
            let epoch = store.renew_shards(owner(1), LEASE_MS).await.unwrap().first().map_or(0, |lease| lease.epoch);
            let first = (writer * ROUNDS + round) * 100;
            let batch: Vec<_> = (first..first + 50).map(|number| creation(execution(number), epoch)).collect();
            store.append_batch(&batch).await.unwrap();
        }
    };
    let lease = async || {
        for _ in 0..ROUNDS {
            store.take_shards(owner(1), &shards, LEASE_MS).await.unwrap();
            store.renew_shards(owner(1), LEASE_MS).await.unwrap();
        }
        store.release_shards(owner(1)).await.unwrap();
    };
    tokio::join!(append(1), append(2), append(3), lease(), lease());
}

/// Takes a shard for owner 2 as soon as its lease has run out.
async fn take_when_free(store: &dyn Store, shard: u16) -> ShardLease {
    let taking = async {
        loop {
            if let [lease] = store.take_shards(owner(2), &[shard], LEASE_MS).await.unwrap()[..] {
                return lease;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), taking).await.expect("a lease of a millisecond runs out")
}

async fn hands_over_the_named_shards_only(store: Arc<dyn Store>) {
    store.take_shards(owner(1), &[1, 2, 3], LEASE_MS).await.unwrap();
    store.take_shards(owner(2), &[4], LEASE_MS).await.unwrap();
    assert_eq!(store.hand_over_shards(owner(1), &[2, 3, 4, 5]).await.unwrap(), 2);
    assert_eq!(store.hand_over_shards(owner(1), &[2]).await.unwrap(), 0);
    assert_eq!(store.renew_shards(owner(1), LEASE_MS).await.unwrap(), [ShardLease { shard: 1, epoch: 1 }]);
    // Fences nobody until the next one takes it.
    let contested = (0..).map(execution).find(|id| id.shard() == 2).unwrap();
    commit(&*store, &creation(contested, 1)).await;
    let taken = store.take_shards(owner(2), &[1, 2, 3], LEASE_MS).await.unwrap();
    assert_eq!(taken, [ShardLease { shard: 2, epoch: 2 }, ShardLease { shard: 3, epoch: 2 }]);
}

async fn knows_who_lives(store: Arc<dyn Store>) {
    assert_eq!(store.announce_node(owner(2), LEASE_MS).await.unwrap(), [owner(2)]);
    assert_eq!(store.announce_node(owner(1), LEASE_MS).await.unwrap(), [owner(1), owner(2)]);
    assert_eq!(store.announce_node(owner(1), LEASE_MS).await.unwrap(), [owner(1), owner(2)], "once each");
    store.release_shards(owner(2)).await.unwrap();
    assert_eq!(store.announce_node(owner(1), LEASE_MS).await.unwrap(), [owner(1)], "who leaves says so");
    store.announce_node(owner(3), 1).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while store.announce_node(owner(1), LEASE_MS).await.unwrap() != [owner(1)] {
        assert!(tokio::time::Instant::now() < deadline, "a silent process lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
