//! What the numbers say right after a burst, and that nothing stays behind, however actors end. Each test has its own kinds,
//! since the registry is shared by all of them.

use std::sync::Mutex;

use ractor::{RpcReplyPort, concurrency::JoinHandle};
use tokio::sync::Semaphore;

use super::*;
use crate::actors::{
    ask::ask,
    observatory::{ACTORS_SHOWN_MAX, KindView, count_error, find, live_count_of, snapshot, totals, view},
    testing::eventually,
};

const REPLY_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

enum Job {
    Note,
    /// Keeps the handler busy until there is a permit.
    Wait(Arc<Semaphore>),
    Ask(RpcReplyPort<()>),
    ReportError,
    Fail,
    Panic,
    Stop,
}

metered!(Job);

/// Notes every call of ractor, and does the jobs.
#[derive(Clone, Default)]
struct Worker {
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl Worker {
    fn note(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
    }
}

impl Actor for Worker {
    type Msg = Job;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Job>, (): ()) -> Result<(), ActorProcessingErr> {
        self.note("pre_start");
        Ok(())
    }

    async fn post_start(&self, _: ActorRef<Job>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.note("post_start");
        Ok(())
    }

    async fn handle(&self, myself: ActorRef<Job>, job: Job, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match job {
            Job::Note => {}
            Job::Wait(gate) => gate.acquire().await.unwrap().forget(),
            Job::Ask(reply) => reply.send(()).unwrap(),
            Job::ReportError => count_error(myself.get_id()),
            Job::Fail => return Err("a handler failed".into()),
            // Unwinds like a panic, but does not print a backtrace a thousand times.
            Job::Panic => std::panic::resume_unwind(Box::new("a handler panicked")),
            Job::Stop => myself.stop(None),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(&self, _: ActorRef<Job>, _: SupervisionEvent, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.note("handle_supervisor_evt");
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Job>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.note("post_stop");
        Ok(())
    }
}

async fn spawn(kind: &'static str) -> (ActorRef<Job>, JoinHandle<()>) {
    Actor::spawn(None, metered(Worker::default(), kind), ()).await.unwrap()
}

fn kind_view(kind: &str) -> KindView {
    snapshot().kinds.into_iter().find(|view| view.kind == kind).unwrap()
}

#[tokio::test]
async fn counts_what_waits_and_what_was_done() {
    const KIND: &str = "test-burst";
    let gate = Arc::new(Semaphore::new(0));
    let actor = metered(Worker::default(), KIND).serving("exe_1");
    let (actor, _ended) = Actor::spawn(None, actor, ()).await.unwrap();
    let meter = find(actor.get_id()).unwrap();
    actor.cast(Job::Wait(Arc::clone(&gate))).unwrap();
    eventually("the first job runs", || meter.busy_for().is_some()).await;
    for _ in 0..2_000 {
        actor.cast(Job::Note).unwrap();
    }

    let view = snapshot().actors.into_iter().find(|view| view.id == actor.get_id().to_string()).unwrap();
    assert_eq!((view.kind, view.depth, view.handled, view.status), (KIND, 2_000, 0, "running"));
    assert_eq!(view.serves.as_deref(), Some("exe_1"));
    assert!(view.busy_for_ms.is_some());

    gate.add_permits(1);
    ask(&actor, Job::Ask, REPLY_WITHIN).await.unwrap();
    eventually("all are counted", || meter.handled() == 2_002).await;
    assert_eq!((meter.depth(), meter.busy_for(), meter.errors()), (0, None, 0));
    let own = meter.own.as_deref().unwrap();
    assert_eq!(own.handled(), 2_002);
    assert!(own.wait_us(50).unwrap() <= own.wait_us(99).unwrap());
    assert!(own.handle_us(50).is_some());
    let kind = kind_view(KIND);
    assert_eq!((kind.live, kind.started, kind.depth, kind.handled), (1, 1, 0, 2_002));
    let totals = totals().into_iter().find(|totals| totals.kind == KIND).unwrap();
    assert_eq!((totals.live, totals.depth, totals.received), (1, 0, 2_002));
    assert_eq!((totals.wait.count, totals.handle.count), (2_002, 2_002));
    assert_eq!(totals.restarts, [("failed", 0), ("ended", 0), ("not_started", 0)]);
    actor.stop(None);
}

#[tokio::test]
async fn leaves_nothing_behind_however_actors_end() {
    const KIND: &str = "test-ends";
    let never = Arc::new(Semaphore::new(0));
    let mut meters = Vec::new();
    for _ in 0..1_000 {
        for end in [Some(Job::Stop), Some(Job::Fail), Some(Job::Panic), None] {
            let (actor, ended) = spawn(KIND).await;
            meters.push(find(actor.get_id()).unwrap());
            let is_killed = end.is_none();
            actor.cast(end.unwrap_or_else(|| Job::Wait(Arc::clone(&never)))).unwrap();
            for _ in 0..3 {
                let _ = actor.cast(Job::Note); // Some are discarded with the mailbox.
            }
            if is_killed {
                actor.kill();
            }
            ended.await.unwrap();
        }
    }
    eventually("every actor is deregistered", || live_count_of(KIND) == 0).await;
    assert_eq!(meters.iter().map(|meter| meter.depth()).sum::<usize>(), 0);
    let kind = kind_view(KIND);
    assert_eq!((kind.live, kind.started, kind.depth), (0, 4_000, 0));
    assert_eq!(kind.errors, 2_000, "failures and panics are errors, stops and kills are not");
}

#[tokio::test]
async fn a_failed_start_leaves_nothing_behind() {
    struct Refusing;
    impl Actor for Refusing {
        type Msg = Job;
        type State = ();
        type Arguments = bool;
        async fn pre_start(&self, _: ActorRef<Job>, panics: bool) -> Result<(), ActorProcessingErr> {
            if panics {
                std::panic::resume_unwind(Box::new("a start panicked"));
            }
            Err("a start failed".into())
        }
    }
    for panics in [false, true] {
        Actor::spawn(None, metered(Refusing, "test-start"), panics).await.unwrap_err();
    }
    assert_eq!(live_count_of("test-start"), 0);
}

#[tokio::test]
async fn a_stopped_actor_is_gone_before_its_supervisor_looks() {
    let gate = Arc::new(Semaphore::new(0));
    let (parent, _ended) = spawn("test-parent").await;
    parent.cast(Job::Wait(Arc::clone(&gate))).unwrap();
    let child = metered(Worker::default(), "test-child");
    let (child, ended) = Actor::spawn_linked(None, child, (), parent.get_cell()).await.unwrap();
    let view = snapshot().actors.into_iter().find(|view| view.id == child.get_id().to_string()).unwrap();
    assert_eq!(view.parent, Some(parent.get_id().to_string()));
    child.stop(None);
    ended.await.unwrap();
    assert!(find(child.get_id()).is_none());
    parent.kill();
}

#[tokio::test]
async fn shows_one_actor_with_its_children() {
    let (parent, _ended) = spawn("test-family").await;
    let serving = ExecutionId::from_uuid(uuid::Uuid::from_u128(7));
    let child = metered(Worker::default(), "test-family").serving(serving);
    let (child, child_ended) = Actor::spawn_linked(None, child, (), parent.get_cell()).await.unwrap();
    let id = parent.get_id().to_string();
    let (shown, children) = view(&id).unwrap();
    assert_eq!((shown.id.as_str(), shown.kind, children.len()), (id.as_str(), "test-family", 1));
    assert_eq!((children[0].parent.as_deref(), children[0].serves.clone()), (Some(id.as_str()), Some(serving.to_string())));
    child.stop(None);
    child_ended.await.unwrap();
    assert_eq!(view(&id).unwrap().1, []);
    assert_eq!(view(&child.get_id().to_string()), None);
    for nonsense in ["", "0.", "0.x", "1.2", "x"] {
        assert_eq!(view(nonsense), None, "{nonsense}");
    }
    parent.stop(None);
}

#[tokio::test]
async fn a_crowd_does_not_hide_the_frame_of_the_tree() {
    let (rare, _ended) = spawn("test-rare").await;
    let mut crowd = Vec::new();
    for _ in 0..=ACTORS_SHOWN_MAX {
        crowd.push(spawn("test-crowd").await.0);
    }
    let shown = snapshot();
    assert!(shown.actors_live > ACTORS_SHOWN_MAX && shown.actors.len() == ACTORS_SHOWN_MAX);
    assert!(shown.actors.iter().any(|actor| actor.kind == "test-rare"));
    rare.stop(None);
    crowd.iter().for_each(|actor| actor.stop(None));
}

#[tokio::test]
async fn refuses_at_a_full_mailbox_and_at_a_dead_actor() {
    let gate = Arc::new(Semaphore::new(0));
    let (actor, ended) = spawn("test-refusal").await;
    let meter = find(actor.get_id()).unwrap();
    try_cast(&actor, Job::Wait(Arc::clone(&gate)), 1).unwrap();
    eventually("the first job runs", || meter.busy_for().is_some()).await;
    for _ in 0..5 {
        try_cast(&actor, Job::Note, 5).unwrap();
    }
    let refused = try_cast(&actor, Job::Note, 5).unwrap_err();
    assert!(matches!(refused, Refused::Full(Job::Note)));
    assert_eq!(meter.depth(), 5, "a refused message was never sent");
    assert!(matches!(refused.into_message(), Job::Note));

    gate.add_permits(1);
    eventually("the mailbox is empty", || meter.depth() == 0).await;
    try_cast(&actor, Job::Note, 5).unwrap();
    actor.stop(None);
    ended.await.unwrap();
    assert!(matches!(try_cast(&actor, Job::Note, 5), Err(Refused::Gone(Job::Note))));
}

#[tokio::test]
async fn refuses_to_send_to_what_is_not_metered() {
    let (bare, _ended) = Actor::spawn(None, Worker::default(), ()).await.unwrap();
    assert!(matches!(try_cast(&bare, Job::Note, 5), Err(Refused::Gone(Job::Note))));
    ask(&bare, Job::Ask, REPLY_WITHIN).await.expect("it still works by cast and call");
    bare.stop(None);
}

#[tokio::test]
async fn short_lived_actors_have_timings_in_their_kind_only() {
    const KIND: &str = "test-short";
    let (actor, ended) = Actor::spawn(None, metered(Worker::default(), KIND).short_lived(), ()).await.unwrap();
    let meter = find(actor.get_id()).unwrap();
    assert!(meter.own.is_none());
    ask(&actor, Job::Ask, REPLY_WITHIN).await.unwrap();
    actor.stop(None);
    ended.await.unwrap();
    let kind = kind_view(KIND);
    assert_eq!((kind.handled, kind.live), (1, 0));
    assert!(kind.handle_p50_us.is_some() && kind.wait_p50_us.is_some());
}

#[tokio::test]
async fn counts_failures_that_an_actor_survives() {
    let (actor, _ended) = spawn("test-survived").await;
    actor.cast(Job::ReportError).unwrap();
    ask(&actor, Job::Ask, REPLY_WITHIN).await.unwrap();
    assert_eq!(find(actor.get_id()).unwrap().errors(), 1);
    assert_eq!(kind_view("test-survived").errors, 1);
    actor.stop(None);
}

#[tokio::test]
async fn passes_every_call_through() {
    let worker = Worker::default();
    let calls = Arc::clone(&worker.calls);
    let (parent, ended) = Actor::spawn(None, metered(worker, "test-calls"), ()).await.unwrap();
    let child = metered(Worker::default(), "test-calls");
    let (child, child_ended) = Actor::spawn_linked(None, child, (), parent.get_cell()).await.unwrap();
    child.cast(Job::Fail).unwrap();
    child_ended.await.unwrap();
    eventually("the parent heard of start and end", || calls.lock().unwrap().len() == 4).await;
    parent.stop(None);
    ended.await.unwrap();
    let expected = ["pre_start", "post_start", "handle_supervisor_evt", "handle_supervisor_evt", "post_stop"];
    assert_eq!(*calls.lock().unwrap(), expected);
}
