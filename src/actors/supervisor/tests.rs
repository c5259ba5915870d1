//! Restarts, their pauses, meltdowns and the order of stops. The clock is paused: pauses cost no time.

use std::sync::Mutex;

use tokio::{sync::oneshot, time::Instant};

use super::*;
use crate::actors::{observatory::snapshot, testing::eventually};

/// What happened to the services of one test, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<(String, Instant)>>>);

impl Diary {
    fn note(&self, entry: String) {
        self.0.lock().unwrap().push((entry, Instant::now()));
    }

    fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(entry, _)| entry.clone()).collect()
    }

    fn count(&self, entry: &str) -> usize {
        self.entries().iter().filter(|other| *other == entry).count()
    }
}

enum Order {
    Panic,
    Fail,
    Stop,
    /// Never comes back from the handler.
    Hang,
}

metered!(Order);

/// When a service refuses to live.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    /// Its start fails.
    FailsToStart,
    /// Its start fails, except the first.
    FailsToRestart,
    /// It dies just after its start.
    DiesAtOnce,
}

#[derive(Clone)]
struct Service {
    name: &'static str,
    diary: Diary,
    health: Health,
}

impl Actor for Service {
    type Msg = Order;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Order>, (): ()) -> Result<(), ActorProcessingErr> {
        let start = format!("start {}", self.name);
        let is_first = self.diary.count(&start) == 0;
        self.diary.note(start);
        match self.health {
            Health::FailsToStart => Err("no luck".into()),
            Health::FailsToRestart if !is_first => Err("no luck again".into()),
            Health::Good | Health::DiesAtOnce | Health::FailsToRestart => Ok(()),
        }
    }

    async fn post_start(&self, _: ActorRef<Order>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        if self.health == Health::DiesAtOnce { Err("stillborn".into()) } else { Ok(()) }
    }

    async fn handle(&self, myself: ActorRef<Order>, order: Order, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Panic => std::panic::resume_unwind(Box::new("a bug")),
            Order::Fail => return Err("a failure".into()),
            Order::Stop => myself.stop(None),
            Order::Hang => std::future::pending().await,
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Order>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.diary.note(format!("stop {}", self.name));
        Ok(())
    }
}

/// One service with its reference and its specification.
fn service(name: &'static str, diary: &Diary, health: Health) -> (ServiceRef<Order>, ChildSpec) {
    let (reference, diary) = (ServiceRef::new(), diary.clone());
    let child = reference.child("test-service", name, move || (Service { name, diary: diary.clone(), health }, ()));
    (reference, child)
}

fn args(children: Vec<ChildSpec>, tolerance: Tolerance) -> SupervisorArgs {
    SupervisorArgs { children, tolerance, stop_within: Duration::from_secs(10), on_meltdown: None }
}

fn limited(ends_max: usize) -> Tolerance {
    Tolerance::Limited { ends_max, window: Duration::from_secs(60) }
}

/// Sends an order and waits for the next life of the service.
async fn end_by(order: Order, reference: &ServiceRef<Order>) {
    let before = reference.get().unwrap();
    before.cast(order).unwrap();
    eventually("the service is back", || reference.get().unwrap().get_id() != before.get_id()).await;
}

#[tokio::test(start_paused = true)]
async fn restarts_a_service_however_it_ends() {
    let diary = Diary::default();
    let (reference, child) = service("a", &diary, Health::Good);
    let (other, other_child) = service("b", &diary, Health::Good);
    let root = RootHandle::start(args(vec![child, other_child], Tolerance::Unlimited)).await.unwrap();
    let untouched = other.get().unwrap().get_id();
    end_by(Order::Panic, &reference).await;
    end_by(Order::Stop, &reference).await;
    end_by(Order::Fail, &reference).await;

    let mut children = Vec::new();
    while children.first().is_none_or(|child: &ChildView| child.status != "up") {
        children = root.snapshot().await.unwrap();
    }
    let a = ChildView { kind: "test-service", slot: "a", status: "up", restarts: 3, last_cause: Some("a failure".to_owned()) };
    let b = ChildView { kind: "test-service", slot: "b", status: "up", restarts: 0, last_cause: None };
    assert_eq!(children, [a, b]);
    assert_eq!(other.get().unwrap().get_id(), untouched, "one for one");
    let kind = snapshot().kinds.into_iter().find(|kind| kind.kind == "test-service").unwrap();
    assert!(kind.restarts >= 3, "the observatory counts them, too");
    root.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_up_to_a_limit_and_shrink_after_a_steady_life() {
    let diary = Diary::default();
    let (reference, child) = service("a", &diary, Health::Good);
    let root = RootHandle::start(args(vec![child], Tolerance::Unlimited)).await.unwrap();
    let mut pauses_ms = Vec::new();
    for _ in 0..8 {
        let ended = Instant::now();
        end_by(Order::Fail, &reference).await;
        pauses_ms.push(ended.elapsed().as_millis() / 50 * 50);
    }
    assert_eq!(pauses_ms, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    tokio::time::sleep(Duration::from_millis(STEADY_MS)).await;
    let ended = Instant::now();
    end_by(Order::Fail, &reference).await;
    assert!(ended.elapsed() < Duration::from_millis(2 * BACKOFF_MS_MIN));
    root.stop().await;
}

#[tokio::test(start_paused = true)]
async fn melts_down_after_too_many_ends_and_stops_the_others_first() {
    let diary = Diary::default();
    let (steady, steady_child) = service("steady", &diary, Health::Good);
    let (reference, child) = service("sick", &diary, Health::Good);
    let (told, tell) = oneshot::channel();
    let at_meltdown = diary.clone();
    let on_meltdown: OnMeltdown = Box::new(move |meltdown| told.send((meltdown, at_meltdown.entries())).unwrap());
    let args = SupervisorArgs { on_meltdown: Some(on_meltdown), ..args(vec![steady_child, child], limited(3)) };
    let root = RootHandle::start(args).await.unwrap();
    for _ in 0..3 {
        end_by(Order::Fail, &reference).await;
    }
    reference.get().unwrap().cast(Order::Panic).unwrap();
    let (meltdown, entries) = tell.await.unwrap();
    assert_eq!(meltdown, Meltdown { slot: "sick", cause: "a bug".to_owned() });
    assert_eq!(entries.last().unwrap(), "stop steady", "the children had stopped when the process was told");
    root.ended().await;
    assert_eq!(steady.get().unwrap().get_status(), ractor::ActorStatus::Stopped);
    assert_eq!(diary.count("start sick"), 4);
}

#[tokio::test(start_paused = true)]
async fn ends_that_are_far_apart_are_no_meltdown() {
    let diary = Diary::default();
    let (reference, child) = service("a", &diary, Health::Good);
    let root = RootHandle::start(args(vec![child], limited(2))).await.unwrap();
    for _ in 0..10 {
        end_by(Order::Fail, &reference).await;
        tokio::time::sleep(Duration::from_secs(31)).await;
    }
    assert_eq!(root.snapshot().await.unwrap()[0].restarts, 10);
    root.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failed_restarts_count_as_ends() {
    for health in [Health::FailsToRestart, Health::DiesAtOnce] {
        let diary = Diary::default();
        let (reference, child) = service("a", &diary, health);
        let root = RootHandle::start(args(vec![child], limited(4))).await.unwrap();
        let _ = reference.get().unwrap().cast(Order::Fail);
        tokio::time::timeout(Duration::from_secs(60), root.ended()).await.expect("a meltdown");
        assert_eq!(diary.count("start a"), 5, "the first start, four restarts, and then the meltdown");
    }
}

#[tokio::test(start_paused = true)]
async fn does_not_start_if_a_service_cannot_and_stops_those_before_it() {
    let diary = Diary::default();
    let children = [("a", Health::Good), ("b", Health::Good), ("c", Health::FailsToStart), ("d", Health::Good)];
    let children = children.map(|(name, health)| service(name, &diary, health).1).to_vec();
    let failed = RootHandle::start(args(children, Tolerance::Unlimited)).await.err().unwrap();
    let SpawnErr::StartupFailed(source) = failed else { panic!("{failed}") };
    let failed = source.downcast_ref::<FirstStartFailed>().unwrap();
    assert_eq!(failed.slot, "c");
    assert!(failed.source.to_string().contains("no luck"), "{}", failed.source);
    assert_eq!(diary.entries(), ["start a", "start b", "start c", "stop b", "stop a"]);
}

#[tokio::test(start_paused = true)]
async fn stops_in_reverse_order_and_kills_what_does_not_stop_in_time() {
    let diary = Diary::default();
    let (_a, a_child) = service("a", &diary, Health::Good);
    let (stuck, stuck_child) = service("stuck", &diary, Health::Good);
    let (_c, c_child) = service("c", &diary, Health::Good);
    let root = RootHandle::start(args(vec![a_child, stuck_child, c_child], Tolerance::Unlimited)).await.unwrap();
    stuck.get().unwrap().cast(Order::Hang).unwrap();
    let before = Instant::now();
    root.stop().await;
    assert_eq!(diary.entries()[3..], ["stop c", "stop a"], "the stuck one was killed, the next one had its time");
    assert_eq!(stuck.get().unwrap().get_status(), ractor::ActorStatus::Stopped);
    let took = before.elapsed();
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(12), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_meltdown_below_is_one_end_above() {
    let diary = Diary::default();
    let (reference, child) = service("sick", &diary, Health::Good);
    let inner = ServiceRef::new();
    let inner_child = inner.child("supervisor", "inner", move || (Supervisor, args(vec![child.clone()], limited(0))));
    let root = RootHandle::start(args(vec![inner_child], limited(1))).await.unwrap();
    let first_inner = inner.get().unwrap();
    end_by(Order::Panic, &reference).await;
    assert_eq!(first_inner.get_status(), ractor::ActorStatus::Stopped);
    eventually("the root has a new inner supervisor", || inner.get().unwrap().get_id() != first_inner.get_id()).await;
    let children = root.snapshot().await.unwrap();
    assert_eq!((children[0].slot, children[0].last_cause.as_deref()), ("inner", Some(MELTDOWN)));

    reference.get().unwrap().cast(Order::Panic).unwrap();
    root.ended().await;
    assert_eq!(diary.count("start sick"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_panics_is_a_failed_one() {
    let sick = ChildSpec::new("test-service", "sick", |_| async { std::panic::resume_unwind(Box::new("a bug in a start")) });
    let failed = RootHandle::start(args(vec![sick], Tolerance::Unlimited)).await.err().unwrap();
    let SpawnErr::StartupFailed(source) = failed else { panic!("{failed}") };
    assert_eq!(source.downcast_ref::<FirstStartFailed>().unwrap().slot, "sick");
}
