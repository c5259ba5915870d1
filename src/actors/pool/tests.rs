//! Bounds, order, returned places, and restarts in the middle of it all.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ractor::concurrency::JoinHandle;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::actors::testing::eventually;

const LIMITS: PoolLimits = PoolLimits { slots_max: 2, workspace_slots_max: usize::MAX, queue_max: 4, memory_bytes_max: 100 };

/// Starts an incarnation as the supervisor would.
async fn start(pool: &PoolHandle) -> JoinHandle<()> {
    let (actor, ended) = Actor::spawn(None, metered(PoolActor, "test-pool"), pool.clone()).await.unwrap();
    pool.service.set(actor);
    ended
}

async fn started() -> PoolHandle {
    started_with(LIMITS).await
}

async fn started_with(limits: PoolLimits) -> PoolHandle {
    let pool = PoolHandle::new("test", limits);
    start(&pool).await;
    pool
}

fn stop(pool: &PoolHandle) {
    pool.service.get().unwrap().stop(None);
}

/// The answers in the order they were given, each with its request's number.
type Answers = mpsc::UnboundedReceiver<(u32, Result<Slot, PoolRefused>)>;

fn want(priority: Priority) -> Want {
    Want { priority, workspace: WorkspaceId::DEFAULT, share: Uuid::nil(), memory_bytes: 0 }
}

/// Asks once per share, each time for so much memory; the requests are numbered from 0.
fn request_of(pool: &PoolHandle, shares: &[u128], memory_bytes: usize) -> Answers {
    request_all(pool, shares.iter().map(|share| Want { share: Uuid::from_u128(*share), memory_bytes, ..want(Priority::New) }))
}

fn workspace(number: u128) -> WorkspaceId {
    WorkspaceId::from_uuid(Uuid::from_u128(number))
}

/// Asks once per workspace; the requests are numbered from 0.
fn request_for(pool: &PoolHandle, workspaces: &[u128]) -> Answers {
    let wants = workspaces.iter().map(|number| Want { workspace: workspace(*number), ..want(Priority::New) });
    request_all(pool, wants)
}

/// Asks for each; the requests are numbered from 0.
fn request_all(pool: &PoolHandle, wants: impl IntoIterator<Item = Want>) -> Answers {
    let (answer, answers) = mpsc::unbounded_channel();
    for (number, want) in (0..).zip(wants) {
        let answer = answer.clone();
        pool.acquire(want, move |slot| {
            let _ = answer.send((number, slot));
        });
    }
    answers
}

/// Asks once per priority; the requests are numbered from 0.
fn request(pool: &PoolHandle, priorities: &[Priority]) -> Answers {
    request_all(pool, priorities.iter().map(|priority| want(*priority)))
}

/// The next answer, which has to be a place.
async fn granted(answers: &mut Answers) -> (u32, Slot) {
    let (number, slot) = answers.recv().await.unwrap();
    (number, slot.unwrap_or_else(|refused| panic!("request {number}: {refused}")))
}

#[tokio::test]
async fn lends_its_places_and_serves_resumed_work_first() {
    use Priority::{New, Resumed};
    let pool = started().await;
    let mut answers = request(&pool, &[New, New, New, Resumed, New, Resumed]);
    let (first, a) = granted(&mut answers).await;
    let (second, _b) = granted(&mut answers).await;
    assert_eq!([first, second], [0, 1]);
    let view = pool.snapshot().await.unwrap();
    assert_eq!((view.name, view.slots, view.busy, view.queued), ("test", 2, 2, 4));
    assert!(answers.try_recv().is_err(), "no third place");

    let mut order = Vec::new();
    let mut last = a;
    for _ in 0..4 {
        drop(last);
        let (number, slot) = granted(&mut answers).await;
        order.push(number);
        last = slot;
    }
    assert_eq!(order, [3, 5, 2, 4]);
    drop(last);
    assert_eq!(pool.snapshot().await.unwrap().busy, 1);
    stop(&pool);
}

#[tokio::test]
async fn shares_have_their_turns() {
    let pool = started().await;
    let mut busy = request_of(&pool, &[9, 9], 0);
    let (mut last, other) = (granted(&mut busy).await.1, granted(&mut busy).await.1);
    let mut answers = request_of(&pool, &[1, 1, 1, 2], 0);
    assert_eq!(pool.snapshot().await.unwrap().queued, 4);
    let mut order = Vec::new();
    for _ in 0..4 {
        drop(last);
        let (number, slot) = granted(&mut answers).await;
        order.push(number);
        last = slot;
    }
    assert_eq!(order, [0, 3, 1, 2], "the second share does not wait for all of the first");
    drop((last, other));
    stop(&pool);
}

/// Gives back the last place again and again: in which order the requests are served.
async fn order_of(answers: &mut Answers, count: usize, mut last: Slot) -> Vec<u32> {
    let mut order = Vec::new();
    for _ in 0..count {
        drop(last);
        let (number, slot) = granted(answers).await;
        order.push(number);
        last = slot;
    }
    order
}

#[tokio::test]
async fn workspaces_have_their_turns_whatever_their_workflows_and_priorities() {
    let pool = started_with(PoolLimits { queue_max: 10, ..LIMITS }).await;
    let mut busy = request_for(&pool, &[9, 9]);
    let (last, _other) = (granted(&mut busy).await.1, granted(&mut busy).await.1);
    let of = |number: u128, share: u128, priority: Priority| Want {
        workspace: workspace(number),
        share: Uuid::from_u128(share),
        ..want(priority)
    };
    // The first has four workflows, and work that it has begun; the second has one of either.
    let mut answers = request_all(
        &pool,
        [
            of(1, 1, Priority::New),
            of(1, 2, Priority::New),
            of(1, 3, Priority::Resumed),
            of(1, 4, Priority::Resumed),
            of(2, 5, Priority::New),
            of(2, 6, Priority::Resumed),
        ],
    );
    assert_eq!(pool.snapshot().await.unwrap().queued, 6);
    assert_eq!(order_of(&mut answers, 6, last).await, [2, 5, 3, 4, 0, 1]);
    stop(&pool);
}

#[tokio::test]
async fn one_that_floods_costs_another_one_turn_at_most() {
    let pool = started_with(PoolLimits { queue_max: 2_000, ..LIMITS }).await;
    let mut flood = request_for(&pool, &[1; 1_000]);
    let mut held = vec![granted(&mut flood).await.1, granted(&mut flood).await.1];
    for round in 0..50 {
        let mut other = request_for(&pool, &[2]);
        // By its answer, the pool knows of all of them.
        pool.snapshot().await.unwrap();
        for returned in 1.. {
            held.pop();
            // By its answer, the pool has handed out what was returned.
            assert!(pool.snapshot().await.unwrap().queued > 0);
            held.extend(flood.try_recv().ok().map(|(_, slot)| slot.unwrap()));
            if let Ok((_, slot)) = other.try_recv() {
                held.push(slot.unwrap());
                break;
            }
            assert!(returned < 2, "round {round}: the flood was served twice before");
        }
    }
    stop(&pool);
}

#[tokio::test]
async fn workspace_places_obeyed_and_violated() {
    let pool = started_with(PoolLimits { slots_max: 3, workspace_slots_max: 2, queue_max: 10, ..LIMITS }).await;
    let mut flood = request_for(&pool, &[1, 1, 1, 1]);
    let (_, first) = granted(&mut flood).await;
    let (_, _second) = granted(&mut flood).await;
    let view = pool.snapshot().await.unwrap();
    assert_eq!((view.busy, view.queued), (2, 2), "there is a place, but not for this workspace");
    let (_, other) = granted(&mut request_for(&pool, &[2])).await;
    assert!(flood.try_recv().is_err());
    drop(other);
    assert_eq!(
        (pool.snapshot().await.unwrap().busy, flood.try_recv().is_err()),
        (2, true),
        "a place of others is of no use to it"
    );
    drop(first);
    assert_eq!(granted(&mut flood).await.0, 2);
    stop(&pool);
}

#[tokio::test]
async fn who_waits_most_gives_way_where_too_many_wait() {
    let pool = started().await;
    let mut flood = request_for(&pool, &[1; 6]);
    let (_, first) = granted(&mut flood).await;
    let (_, _second) = granted(&mut flood).await;
    // Four of the first workspace wait, as many as may. The second one gets in twice: then both have as many.
    let mut others = request_for(&pool, &[2, 2, 2]);
    for expected in [5, 4] {
        let (number, answer) = flood.recv().await.unwrap();
        assert_eq!((number, answer.err()), (expected, Some(PoolRefused::Full)));
    }
    let (number, answer) = others.recv().await.unwrap();
    assert_eq!((number, answer.err()), (2, Some(PoolRefused::Full)));
    assert_eq!(pool.snapshot().await.unwrap().queued, 4);
    drop(first);
    assert_eq!(granted(&mut flood).await.0, 2);
    stop(&pool);
}

#[tokio::test]
async fn memory_bytes_obeyed_and_violated() {
    let pool = started().await;
    let mut answers = request_of(&pool, &[1, 1], 60);
    let (_, first) = granted(&mut answers).await;
    let view = pool.snapshot().await.unwrap();
    assert_eq!((view.busy, view.queued, view.memory_bytes, view.memory_bytes_max), (1, 1, 60, Some(100)));
    assert!(answers.try_recv().is_err(), "there is a place, but no memory");
    drop(first);
    let (_, second) = granted(&mut answers).await;
    let mut small = request_of(&pool, &[2], 40);
    let (_, third) = granted(&mut small).await;
    assert_eq!(pool.places.held(), (2, 100));
    drop((second, third));
    let (_, large) = granted(&mut request_of(&pool, &[1], 1_000)).await;
    assert!(request_of(&pool, &[1], 1).try_recv().is_err());
    assert_eq!(pool.snapshot().await.unwrap().queued, 1, "what wants more than there is has the pool for itself");
    drop(large);
    stop(&pool);
}

#[tokio::test]
async fn refuses_when_as_many_wait_as_may() {
    let pool = started().await;
    let mut answers = request(&pool, &[Priority::New; 6]);
    let (_, _a) = granted(&mut answers).await;
    let (_, _b) = granted(&mut answers).await;
    let mut late = request(&pool, &[Priority::New]);
    assert_eq!(late.recv().await.unwrap().1.err(), Some(PoolRefused::Full));
    assert_eq!(pool.snapshot().await.unwrap().queued, 4);
    // What has begun takes the place of what has not.
    let _resumed = request(&pool, &[Priority::Resumed]);
    let (number, refused) = answers.recv().await.unwrap();
    assert_eq!((number, refused.err()), (5, Some(PoolRefused::Full)));
    assert_eq!(pool.snapshot().await.unwrap().queued, 4);
    stop(&pool);
}

#[tokio::test]
async fn refuses_at_the_door_while_the_mailbox_is_full() {
    let pool = started().await;
    // One thread, so that the pool does not run before the first await.
    let mut answers = request(&pool, &[Priority::New; 7]);
    let (number, refused) = answers.try_recv().unwrap();
    assert_eq!((number, refused.err()), (6, Some(PoolRefused::Full)), "queue_max + slots_max requests are in the mailbox");
    stop(&pool);
}

#[tokio::test]
async fn a_place_whose_requester_is_gone_comes_back_by_itself() {
    let pool = started().await;
    let held = request(&pool, &[Priority::New; 2]);
    let (answer, cancelled) = oneshot::channel();
    pool.acquire(want(Priority::Resumed), move |slot| drop(answer.send(slot)));
    drop(cancelled);
    let mut patient = request(&pool, &[Priority::New]);
    drop(held); // Both places come back; the cancelled request gets one of them first.
    let (_, slot) = granted(&mut patient).await;
    drop(slot);
    eventually("all places are free", || pool.places.held() == (0, 0)).await;
    stop(&pool);
}

#[tokio::test]
async fn tells_how_long_the_oldest_request_waits() {
    let pool = started().await;
    let _answers = request(&pool, &[Priority::New; 3]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while pool.snapshot().await.unwrap().oldest_wait_ms < 20 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop(&pool);
}

#[tokio::test]
async fn a_request_is_answered_even_if_the_pool_is_down() {
    let pool = PoolHandle::new("test", LIMITS);
    let mut before = request(&pool, &[Priority::New]);
    assert_eq!(before.recv().await.unwrap().1.err(), Some(PoolRefused::Down), "never started");
    assert_eq!(pool.snapshot().await.err(), Some(AskError::Gone));

    let ended = start(&pool).await;
    let mut answers = request(&pool, &[Priority::New; 3]);
    let (_, _a) = granted(&mut answers).await;
    let (_, _b) = granted(&mut answers).await;
    stop(&pool);
    ended.await.unwrap();
    assert_eq!(answers.recv().await.unwrap().1.err(), Some(PoolRefused::Down), "lost in the queue");
    let mut after = request(&pool, &[Priority::New]);
    assert_eq!(after.recv().await.unwrap().1.err(), Some(PoolRefused::Down), "between two lives");
}

#[tokio::test]
async fn a_new_incarnation_counts_what_the_old_one_lent_out() {
    let pool = PoolHandle::new("test", LIMITS);
    let ended = start(&pool).await;
    let mut answers = request(&pool, &[Priority::New; 2]);
    let (_, a) = granted(&mut answers).await;
    let (_, b) = granted(&mut answers).await;
    pool.service.get().unwrap().kill();
    ended.await.unwrap();
    drop(a); // Comes back while nobody is there to be told.
    start(&pool).await;

    let mut answers = request(&pool, &[Priority::New; 2]);
    let (_, c) = granted(&mut answers).await;
    assert_eq!(pool.snapshot().await.unwrap().busy, 2);
    assert!(answers.try_recv().is_err(), "the old incarnation's other place is still lent out");
    drop(b);
    let (number, d) = granted(&mut answers).await;
    assert_eq!(number, 1);
    drop((c, d));
    eventually("all places are free", || pool.places.held() == (0, 0)).await;
    stop(&pool);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_exceeds_its_bound_nor_wedges_under_restarts() {
    const WORKERS: usize = 4;
    const ROUNDS: usize = 300;
    let pool = PoolHandle::new("test", LIMITS);
    start(&pool).await;
    let (inside, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        let (pool, inside, done) = (pool.clone(), Arc::clone(&inside), Arc::clone(&done));
        workers.spawn(async move {
            let mut rounds = 0;
            while rounds < ROUNDS {
                let (answer, answered) = oneshot::channel();
                pool.acquire(want(Priority::New), move |slot| drop(answer.send(slot)));
                let Ok(_slot) = answered.await.unwrap() else {
                    tokio::task::yield_now().await; // Down: the next incarnation comes.
                    continue;
                };
                assert!(inside.fetch_add(1, SeqCst) < LIMITS.slots_max, "more work than places");
                tokio::task::yield_now().await;
                inside.fetch_sub(1, SeqCst);
                done.fetch_add(1, SeqCst);
                rounds += 1;
            }
        });
    }
    for restart in 1..=20 {
        eventually("work goes on", || done.load(SeqCst) >= restart * WORKERS * ROUNDS / 25).await;
        pool.service.get().unwrap().kill();
        start(&pool).await;
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    assert_eq!(done.load(SeqCst), WORKERS * ROUNDS);
    eventually("all places are free", || pool.places.held() == (0, 0)).await;
    stop(&pool);
}
