//! Bounds, order, returned places, and restarts in the middle of it all.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ractor::concurrency::JoinHandle;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::actors::testing::eventually;

const LIMITS: PoolLimits = PoolLimits { slots_max: 2, queue_max: 4, memory_bytes_max: 100 };

/// Starts an incarnation as the supervisor would.
async fn start(pool: &PoolHandle) -> JoinHandle<()> {
    let (actor, ended) = Actor::spawn(None, metered(PoolActor, "test-pool"), pool.clone()).await.unwrap();
    pool.service.set(actor);
    ended
}

async fn started() -> PoolHandle {
    let pool = PoolHandle::new("test", LIMITS);
    start(&pool).await;
    pool
}

fn stop(pool: &PoolHandle) {
    pool.service.get().unwrap().stop(None);
}

/// The answers in the order they were given, each with its request's number.
type Answers = mpsc::UnboundedReceiver<(u32, Result<Slot, PoolRefused>)>;

fn want(priority: Priority) -> Want {
    Want { priority, share: Uuid::nil(), memory_bytes: 0 }
}

/// Asks once per share, each time for so much memory; the requests are numbered from 0.
fn request_of(pool: &PoolHandle, shares: &[u128], memory_bytes: usize) -> Answers {
    let (answer, answers) = mpsc::unbounded_channel();
    for (number, share) in (0..).zip(shares) {
        let answer = answer.clone();
        let want = Want { share: Uuid::from_u128(*share), memory_bytes, ..want(Priority::New) };
        pool.acquire(want, move |slot| {
            let _ = answer.send((number, slot));
        });
    }
    answers
}

/// Asks once per priority; the requests are numbered from 0.
fn request(pool: &PoolHandle, priorities: &[Priority]) -> Answers {
    let (answer, answers) = mpsc::unbounded_channel();
    for (number, priority) in (0..).zip(priorities) {
        let answer = answer.clone();
        pool.acquire(want(*priority), move |slot| {
            let _ = answer.send((number, slot));
        });
    }
    answers
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
    assert!(!pool.places.has_room(1), "what wants more than there is has the pool for itself");
    drop(large);
    stop(&pool);
}

#[tokio::test]
async fn refuses_when_as_many_wait_as_may() {
    let pool = started().await;
    let mut answers = request(&pool, &[Priority::New; 6]);
    let (_, _a) = granted(&mut answers).await;
    let (_, _b) = granted(&mut answers).await;
    let mut late = request(&pool, &[Priority::Resumed]);
    assert_eq!(late.recv().await.unwrap().1.err(), Some(PoolRefused::Full));
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
