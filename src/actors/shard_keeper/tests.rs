//! Leases that are kept, endangered, lost and taken again. The clock is paused; the store is the one in memory, with faults. Its
//! leases run by the machine's clock and so do not end within a test: what ends is what the keeper thinks of them.

use std::sync::Mutex;

use ractor::concurrency::JoinHandle;

use super::*;
use crate::{
    actors::{observatory::snapshot, testing::eventually},
    clock,
    model::ids::SHARD_COUNT,
    store::faulty::{Fault, FaultyStore},
};

const TAKE: &str = "take_shards";
const RENEW: &str = "renew_shards";
const HOUR_MS: u64 = 3_600_000;

/// What is left to a process once another one lives: the first of its shards.
fn self_only(wanted: &[u16]) -> Vec<u16> {
    wanted[..1].to_vec()
}

fn all_shards() -> Vec<u16> {
    (0..SHARD_COUNT).collect()
}

struct Rig {
    store: Arc<FaultyStore>,
    owner: NodeInstanceId,
    ownership: Arc<Ownership>,
    wanted: Vec<u16>,
    events: Arc<Mutex<Vec<ShardEvent>>>,
    busy: Arc<Mutex<BTreeSet<u16>>>,
}

impl Rig {
    fn new(wanted: Vec<u16>) -> Self {
        let owner = NodeInstanceId::from_uuid(clock::new_uuid());
        let (store, ownership) = (Arc::new(FaultyStore::new()), Arc::new(Ownership::new()));
        Self { store, owner, ownership, wanted, events: Arc::default(), busy: Arc::default() }
    }

    async fn start(&self) -> Result<(ActorRef<ShardKeeperMsg>, JoinHandle<()>), ractor::SpawnErr> {
        let (wanted, events, busy) = (self.wanted.clone(), Arc::clone(&self.events), Arc::clone(&self.busy));
        let args = ShardKeeperArgs {
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            owner: self.owner,
            ownership: Arc::clone(&self.ownership),
            wanted: Arc::new(move |live| if live.len() > 1 { self_only(&wanted) } else { wanted.clone() }),
            busy: Arc::new(move || busy.lock().unwrap().clone()),
            on_change: Arc::new(move |event| events.lock().unwrap().push(event)),
        };
        Actor::spawn(None, metered(ShardKeeper, "test-keeper"), args).await
    }

    /// Takes what was told since the last call.
    fn told(&self) -> Vec<ShardEvent> {
        std::mem::take(&mut self.events.lock().unwrap())
    }

    fn set_faults(&self, fault: Option<Fault>) {
        self.store.set(TAKE, fault);
        self.store.set(RENEW, fault);
    }
}

fn leases(shards: &[u16], epoch: i64) -> Vec<ShardLease> {
    shards.iter().map(|shard| ShardLease { shard: *shard, epoch }).collect()
}

/// Lets the clock run; a little longer than said, so that what is due at its end is done.
async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms + 5)).await;
}

#[tokio::test(start_paused = true)]
async fn takes_every_shard_and_keeps_it() {
    let rig = Rig::new(all_shards());
    let (keeper, ended) = rig.start().await.unwrap();
    assert_eq!(rig.told(), [ShardEvent::Gained(leases(&all_shards(), 1))]);
    assert_eq!(rig.ownership.shards(), all_shards());
    for _ in 0..240 {
        pass(500).await;
        assert_eq!(rig.ownership.epoch(255), Some(1));
    }
    assert!(rig.told().is_empty(), "two minutes without a change");
    assert_eq!(rig.ownership.epoch(SHARD_COUNT), None, "there is no such shard");

    keeper.stop(None);
    ended.await.unwrap();
    assert_eq!(rig.told(), [ShardEvent::Lost(all_shards())]);
    assert_eq!(rig.ownership.epoch(0), None);
    let successor = NodeInstanceId::from_uuid(clock::new_uuid());
    let taken = rig.store.inner.take_shards(successor, &all_shards(), HOUR_MS).await.unwrap();
    assert_eq!(taken, leases(&all_shards(), 2), "released, so the successor need not wait for the leases' end");
}

#[tokio::test(start_paused = true)]
async fn does_not_start_without_the_store() {
    let rig = Rig::new(all_shards());
    for fault in [Fault::Unavailable, Fault::Hang] {
        rig.store.set(TAKE, Some(fault));
        let ractor::SpawnErr::StartupFailed(failed) = rig.start().await.err().unwrap() else { panic!("another error") };
        assert!(failed.downcast_ref::<LeaseError>().is_some(), "{failed}");
        assert!(rig.told().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn survives_a_store_that_fails_for_less_than_a_lease() {
    for fault in [Fault::Unavailable, Fault::Hang] {
        let rig = Rig::new(all_shards());
        let (keeper, _ended) = rig.start().await.unwrap();
        rig.told();
        rig.set_faults(Some(fault));
        pass(11_000).await;
        assert_eq!(rig.ownership.epoch(0), Some(1), "one second before the margin");
        rig.set_faults(None);
        pass(5_000).await;
        assert_eq!(rig.ownership.epoch(0), Some(1), "renewed since");
        assert!(rig.told().is_empty());
        keeper.stop(None);
    }
    let errors = snapshot().kinds.into_iter().find(|kind| kind.kind == "test-keeper").unwrap().errors;
    assert!(errors >= 2, "failed calls are counted");
}

#[tokio::test(start_paused = true)]
async fn offers_nothing_within_the_margin_and_takes_again_under_a_higher_epoch() {
    for fault in [Fault::Unavailable, Fault::Hang] {
        let rig = Rig::new(vec![7, 9]);
        let (keeper, _ended) = rig.start().await.unwrap();
        assert_eq!(rig.told(), [ShardEvent::Gained(leases(&[7, 9], 1))]);
        rig.set_faults(Some(fault));
        pass(LEASE_MS - MARGIN_MS - 100).await;
        assert_eq!(rig.ownership.epoch(7), Some(1));
        pass(200).await;
        assert_eq!((rig.ownership.epoch(7), rig.ownership.shards()), (None, vec![]), "within the margin");
        assert_eq!(rig.ownership.draw_execution_id(), None);
        let view = rig.ownership.snapshot();
        assert_eq!((view.shards_held, view.offered), (2, false));
        assert!(view.lease_left_ms <= MARGIN_MS);
        assert!(rig.told().is_empty(), "not lost yet: what runs may go on");

        pass(MARGIN_MS + LOOK_EVERY_MS).await;
        assert_eq!(rig.told(), [ShardEvent::Lost(vec![7, 9])]);
        assert_eq!(rig.ownership.snapshot().shards_held, 0);
        pass(60_000).await;
        assert!(rig.told().is_empty(), "lost once, and no more");

        rig.set_faults(None);
        eventually("the shards are back", || rig.ownership.epoch(7).is_some()).await;
        assert_eq!(rig.told(), [ShardEvent::Gained(leases(&[7, 9], 2))]);
        assert_eq!(rig.ownership.epoch(9), Some(2));
        keeper.stop(None);
    }
}

#[tokio::test(start_paused = true)]
async fn notices_what_another_owner_took_and_gets_it_back_when_it_is_free() {
    let rig = Rig::new(vec![1, 2, 3]);
    let (keeper, _ended) = rig.start().await.unwrap();
    rig.told();
    let rival = NodeInstanceId::from_uuid(clock::new_uuid());
    rig.store.inner.release_shards(rig.owner).await.unwrap();
    rig.store.inner.take_shards(rival, &[2], HOUR_MS).await.unwrap();

    pass(RENEW_EVERY_MS + LOOK_EVERY_MS).await;
    let expected = [ShardEvent::Lost(vec![1, 2, 3]), ShardEvent::Gained(leases(&[1, 3], 2))];
    assert_eq!(rig.told(), expected);
    assert_eq!([1, 2, 3].map(|shard| rig.ownership.epoch(shard)), [Some(2), None, Some(2)]);

    pass(20_000).await;
    assert!(rig.told().is_empty(), "the rival's shard is tried, the others are kept");
    rig.store.inner.release_shards(rival).await.unwrap();
    pass(TAKE_EVERY_MS + LOOK_EVERY_MS).await;
    assert_eq!(rig.told(), [ShardEvent::Gained(leases(&[2], 3))]);
    keeper.stop(None);
}

#[tokio::test(start_paused = true)]
async fn adopts_a_take_whose_answer_was_lost() {
    let rig = Rig::new(vec![1, 2]);
    let (keeper, _ended) = rig.start().await.unwrap();
    rig.told();
    // As if a take of shard 2 had reached the store after its call was given up.
    rig.store.inner.take_shards(rig.owner, &[2], LEASE_MS).await.unwrap();
    pass(RENEW_EVERY_MS + LOOK_EVERY_MS).await;
    assert_eq!(rig.told(), [ShardEvent::Lost(vec![2]), ShardEvent::Gained(leases(&[2], 2))]);
    assert_eq!(rig.ownership.epoch(1), Some(1));
    keeper.stop(None);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_keeper_takes_everything_under_new_epochs() {
    let rig = Rig::new(vec![4, 5]);
    let (keeper, ended) = rig.start().await.unwrap();
    rig.told();
    keeper.kill();
    ended.await.unwrap();
    assert_eq!(rig.ownership.epoch(4), Some(1), "a dead keeper's leases hold until their margin");
    let (keeper, _ended) = rig.start().await.unwrap();
    assert_eq!(rig.told(), [ShardEvent::Lost(vec![4, 5]), ShardEvent::Gained(leases(&[4, 5], 2))]);
    keeper.stop(None);
}

#[tokio::test(start_paused = true)]
async fn a_late_renewal_does_not_revive_lost_leases() {
    let rig = Rig::new(vec![4]);
    let (keeper, _ended) = rig.start().await.unwrap();
    rig.told();
    rig.set_faults(Some(Fault::Unavailable));
    pass(LEASE_MS + LOOK_EVERY_MS).await;
    assert_eq!(rig.told(), [ShardEvent::Lost(vec![4])]);
    let answer = Answer::Renewed(Ok(leases(&[4], 1)));
    keeper.cast(ShardKeeperMsg::Answered { sent: Instant::now(), answer }).unwrap();
    pass(1).await;
    assert_eq!(rig.ownership.epoch(4), None);
    assert!(rig.told().is_empty());
    keeper.stop(None);
}

#[tokio::test(start_paused = true)]
async fn draws_ids_of_executions_that_it_owns() {
    let rig = Rig::new(vec![200]);
    assert_eq!(rig.ownership.draw_execution_id(), None, "owns nothing yet");
    let (keeper, _ended) = rig.start().await.unwrap();
    for _ in 0..20 {
        assert_eq!(rig.ownership.draw_execution_id().unwrap().shard(), 200);
    }
    keeper.stop(None);
}

#[tokio::test(start_paused = true)]
async fn gives_another_process_its_share_once_nothing_of_it_is_in_memory() {
    let rig = Rig::new(vec![1, 2, 3]);
    let (keeper, _ended) = rig.start().await.unwrap();
    rig.told();
    rig.busy.lock().unwrap().insert(3);
    let other = NodeInstanceId::from_uuid(clock::new_uuid());
    rig.store.inner.announce_node(other, HOUR_MS).await.unwrap();

    pass(RENEW_EVERY_MS + LOOK_EVERY_MS).await;
    assert!(rig.told().is_empty(), "not before everything that drew its id there is in memory");
    assert_eq!(rig.ownership.epoch(2), Some(1), "what is there goes on");
    for _ in 0..20 {
        assert_eq!(rig.ownership.draw_execution_id().unwrap().shard(), 1, "nothing new begins there");
    }
    pass(CLOSE_MS + LOOK_EVERY_MS).await;
    assert_eq!(rig.told(), [ShardEvent::Lost(vec![2])]);
    assert_eq!(rig.store.inner.take_shards(other, &[1, 2, 3], HOUR_MS).await.unwrap(), leases(&[2], 2));
    pass(20_000).await;
    assert!(rig.told().is_empty(), "shard 3 is in use");
    assert_eq!(rig.ownership.epoch(3), Some(1));

    rig.busy.lock().unwrap().clear();
    pass(2 * LOOK_EVERY_MS).await;
    assert_eq!(rig.told(), [ShardEvent::Lost(vec![3])]);
    assert_eq!(rig.ownership.shards(), [1]);
    rig.store.inner.release_shards(other).await.unwrap();
    pass(RENEW_EVERY_MS + 2 * LOOK_EVERY_MS).await;
    assert_eq!(rig.told(), [ShardEvent::Gained(vec![ShardLease { shard: 2, epoch: 3 }, ShardLease { shard: 3, epoch: 2 }])]);
    assert!((0..50).any(|_| rig.ownership.draw_execution_id().unwrap().shard() != 1), "they are open again");
    keeper.stop(None);
}

#[tokio::test(start_paused = true)]
async fn keeps_what_it_could_not_hand_over() {
    let rig = Rig::new(vec![1, 2]);
    let (keeper, _ended) = rig.start().await.unwrap();
    rig.told();
    rig.store.set("hand_over_shards", Some(Fault::Unavailable));
    rig.store.inner.announce_node(NodeInstanceId::from_uuid(clock::new_uuid()), HOUR_MS).await.unwrap();
    pass(RENEW_EVERY_MS + CLOSE_MS + 2 * LOOK_EVERY_MS).await;
    assert_eq!(rig.told()[0], ShardEvent::Lost(vec![2]));
    rig.store.set("hand_over_shards", None);
    pass(RENEW_EVERY_MS + CLOSE_MS + 2 * LOOK_EVERY_MS).await;
    assert_eq!(rig.told().last(), Some(&ShardEvent::Lost(vec![2])));
    assert_eq!(rig.ownership.shards(), [1]);
    keeper.stop(None);
}

#[tokio::test(start_paused = true)]
async fn leases_that_join_others_end_with_them() {
    let ownership = Ownership::new();
    let first = Instant::now();
    assert_eq!(ownership.add(&leases(&[1], 1), first).gained, leases(&[1], 1));
    tokio::time::advance(Duration::from_secs(6)).await;
    let changes = ownership.add(&leases(&[2], 5), Instant::now());
    assert_eq!(changes, Changes { lost: vec![], gained: leases(&[2], 5) });
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!([1, 2].map(|shard| ownership.epoch(shard)), [None, None], "twelve seconds after the first was sent");
    assert_eq!(ownership.missing(&[1, 2, 3]), [3], "held all the same");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(ownership.is_over());
    assert_eq!(ownership.clear().lost, [1, 2]);
    assert!(ownership.is_empty() && !ownership.is_over());
}
