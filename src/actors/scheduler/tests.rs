//! Schedulers on a store in memory, with a clock of their own: what fires when time goes on, jumps, or has stood still, and what
//! happens to ticks that meet executions. Nothing runs the executions: they stay queued until a test ends them.

use std::{
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{work::work_off, *};
use crate::{
    actors::{
        metering::metered,
        monitor::ScheduleCounts,
        testing::eventually,
        variables::VariablesHandle,
        workflows::{WorkflowsHandle, WorkflowsParts},
    },
    model::{
        definition::parse::parse_value,
        event::{Event, Recorded},
        execution::ExecutionStatus,
        ids::{NodeInstanceId, SHARD_COUNT, WorkflowId, WorkspaceId},
    },
    nodes::{
        registry::Registry,
        schedule::{SCHEDULE, ScheduleSpec},
        testing::node,
    },
    runtimes::javascript::JavaScript,
    store::{
        Append, ExecutionFilter, InboxKind, InsertSchedule, JournalRow, NewSchedule, PageRequest, ScheduleContent, StateChange,
        blobs::BlobStore,
        faulty::{Fault, FaultyStore},
        payload::PayloadCodec,
    },
};

const HERE: WorkspaceId = WorkspaceId::DEFAULT;
/// 2026-01-01T00:00:00Z, a multiple of every interval below.
const START_MS: u64 = 1_767_225_600_000;
const SECOND_MS: u64 = 1_000;
const DAY_MS: u64 = 24 * 3_600 * SECOND_MS;

struct Rig {
    store: Arc<FaultyStore>,
    workflows: WorkflowsHandle,
    codec: PayloadCodec,
    workflow: WorkflowId,
    /// What the schedulers take for the time.
    clock: Arc<AtomicU64>,
    metrics: Arc<EngineMetrics>,
    nudged: Arc<Mutex<Vec<ExecutionId>>>,
}

impl Rig {
    async fn new() -> Self {
        let store = Arc::new(FaultyStore::new());
        let workflows = WorkflowsHandle::open(WorkflowsParts {
            store: Arc::clone(&store) as Arc<dyn Store>,
            registry: Arc::new(Registry::builtin()),
            javascript: JavaScript::for_tests(),
            env: json!({}),
        });
        let workflows = workflows.await.unwrap();
        let definition = parse_value(json!({ "name": "ticking", "nodes": [{ "id": "start", "type": "manual" }] })).unwrap();
        let created = workflows.create(HERE, definition, None).await.unwrap();
        let codec = PayloadCodec::new(BlobStore::in_memory());
        Self {
            store,
            workflows,
            codec,
            workflow: created.workflow.row.id,
            clock: Arc::new(AtomicU64::new(START_MS)),
            metrics: Arc::new(EngineMetrics::new(std::iter::empty())),
            nudged: Arc::default(),
        }
    }

    fn counts(&self) -> ScheduleCounts {
        self.metrics.read(START_MS).schedules
    }

    /// The parts of a scheduler. `owns` says whether it goes first.
    fn parts(&self, owns: bool, now_ms: Arc<dyn Fn() -> u64 + Send + Sync>) -> Arc<SchedulerParts> {
        let nudged = Arc::clone(&self.nudged);
        Arc::new(SchedulerParts {
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            launcher: Launcher {
                workflows: self.workflows.clone(),
                variables: VariablesHandle::new(Arc::clone(&self.store) as Arc<dyn Store>),
                codec: self.codec.clone(),
            },
            metrics: Arc::clone(&self.metrics),
            nudge: Arc::new(move |execution| nudged.lock().unwrap().push(execution)),
            owns: Arc::new(move |_| owns),
            is_draining: Arc::new(|| false),
            now_ms,
        })
    }

    /// Stores a schedule whose first tick is the first after the start.
    async fn schedule(&self, params: Value) -> ScheduleId {
        self.schedule_at(params, None).await
    }

    async fn schedule_at(&self, params: Value, start_node: Option<&str>) -> ScheduleId {
        let id = ScheduleId::from_uuid(clock::new_uuid());
        let spec = ScheduleSpec::read(&node(SCHEDULE, params), "UTC").unwrap();
        let next = spec.rules(id, &spec.cadence().unwrap()).first_after(START_MS);
        let node = start_node.map(str::to_owned);
        let content = ScheduleContent { node, spec: Bytes::from(spec.to_json()), input: None, next };
        let (workspace, workflow) = (HERE, self.workflow);
        let new = NewSchedule { id, workspace, workflow, content, paused_at: None, created_at: START_MS };
        let stored = self.store.inner.insert_schedule(&new, 100).await.unwrap();
        assert!(matches!(stored, InsertSchedule::Inserted(_)));
        id
    }

    async fn row(&self, id: ScheduleId) -> ScheduleRow {
        self.store.inner.find_schedule(HERE, id).await.unwrap().unwrap()
    }

    /// Sets the clock to so many seconds after the start and lets a scheduler do all that is due.
    async fn at(&self, second: u64) {
        self.clock.store(START_MS + second * SECOND_MS, Relaxed);
        let clock = Arc::clone(&self.clock);
        let parts = self.parts(true, Arc::new(move || clock.load(Relaxed)));
        for _ in 0..100 {
            let due = self.store.inner.due_schedules((parts.now_ms)(), 100).await.unwrap();
            if due.is_empty() {
                return;
            }
            for row in due {
                let turn = work_off(&parts, row).await;
                assert!(matches!(turn, Turn::Ended(_)), "somebody else is at work");
            }
        }
        panic!("there is always more to do");
    }

    async fn at_each(&self, seconds: Range<u64>) {
        for second in seconds {
            self.at(second).await;
        }
    }

    /// The ticks that have fired, in seconds after the start, as their executions say. Each has to be there once.
    async fn fired(&self) -> Vec<u64> {
        let page = PageRequest { after: None, limit: 10_000 };
        let rows = self.store.inner.list_executions(HERE, &ExecutionFilter::default(), &page).await.unwrap();
        let mut seconds = Vec::new();
        for row in rows {
            let journal = self.store.inner.load_journal(row.id, 0, 1).await.unwrap();
            let events: Vec<Recorded> = serde_json::from_slice(&self.codec.decode(&journal[0].body).await.unwrap()).unwrap();
            let Event::Created { items, .. } = &events[0].event else { panic!("the first event is the creation") };
            let scheduled_at: jiff::Timestamp = items[0].json["scheduled_at"].as_str().unwrap().parse().unwrap();
            seconds.push((u64::try_from(scheduled_at.as_millisecond()).unwrap() - START_MS) / SECOND_MS);
        }
        seconds.sort_unstable();
        seconds
    }

    /// Ends an execution, as its owner would.
    async fn end(&self, execution: ExecutionId) {
        let all: Vec<u16> = (0..SHARD_COUNT).collect();
        let owner = NodeInstanceId::from_uuid(uuid::Uuid::from_u128(1));
        let leases = self.store.inner.take_shards(owner, &all, DAY_MS).await.unwrap();
        let epoch = leases[0].epoch;
        let body = self.codec.encode(b"[]".to_vec()).await.unwrap();
        let state = StateChange {
            status: ExecutionStatus::Succeeded,
            wake_at: None,
            finished_at: Some(START_MS),
            error_code: None,
            expires_at: None,
        };
        let append = Append {
            execution,
            epoch,
            created_at: START_MS,
            entry: JournalRow { seq: 1, count: 1, epoch, at: START_MS, body },
            create: None,
            state: Some(state),
            consumed: Vec::new(),
            notify: Vec::new(),
            snapshot: None,
        };
        self.store.inner.append_batch(&[append]).await.unwrap();
    }
}

#[tokio::test]
async fn fires_every_tick_once_while_time_goes_on() {
    let rig = Rig::new().await;
    let id = rig.schedule(json!({ "every": "10s" })).await;
    rig.at_each(0..65).await;
    assert_eq!(rig.fired().await, [10, 20, 30, 40, 50, 60]);
    let row = rig.row(id).await;
    assert_eq!((row.fired, row.passed, row.last_scheduled_at), (6, 0, Some(START_MS + 60 * SECOND_MS)));
    assert_eq!(rig.nudged.lock().unwrap().len(), 6);
    assert_eq!((rig.counts().fired.total, rig.counts().missed.total), (6, 0));
}

#[tokio::test]
async fn a_cron_expression_fires_like_any_other() {
    let rig = Rig::new().await;
    rig.schedule(json!({ "cron": "*/15 * * * * *" })).await;
    rig.at_each(0..46).await;
    assert_eq!(rig.fired().await, [15, 30, 45]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_fires_no_tick_again() {
    let rig = Rig::new().await;
    rig.schedule(json!({ "every": "10s" })).await;
    rig.at_each(0..35).await;
    rig.at_each(5..35).await;
    assert_eq!(rig.fired().await, [10, 20, 30]);
    rig.at(40).await;
    assert_eq!(rig.fired().await, [10, 20, 30, 40]);
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_and_back_doubles_nothing() {
    let rig = Rig::new().await;
    let id = rig.schedule(json!({ "every": "1h", "catch_up": "none" })).await;
    rig.at(3_600).await;
    rig.at(100 * 3_600 + 5).await;
    assert_eq!(rig.fired().await, [3_600, 100 * 3_600], "the tick in time fires, the others are missed");
    assert_eq!(rig.row(id).await.passed, 98);
    rig.at(2 * 3_600).await;
    rig.at(50 * 3_600).await;
    assert_eq!(rig.fired().await.len(), 2, "their time comes again, but they had their chance");
    rig.at(101 * 3_600).await;
    assert_eq!(rig.fired().await, [3_600, 100 * 3_600, 101 * 3_600]);
}

#[tokio::test]
async fn a_scheduler_that_was_down_catches_up_as_the_schedule_says() {
    for (params, expected, missed) in [
        (json!({ "every": "10m", "catch_up": "none" }), vec![], 7),
        (json!({ "every": "10m" }), vec![4_200], 6),
        (json!({ "every": "10m", "catch_up": "all", "catch_up_max": 3 }), vec![3_000, 3_600, 4_200], 4),
        (json!({ "every": "10m", "catch_up": "all" }), vec![600, 1_200, 1_800, 2_400, 3_000, 3_600, 4_200], 0),
        (json!({ "at": "2026-01-01T00:30:00Z" }), vec![1_800], 0),
        (json!({ "at": "2026-01-01T00:30:00Z", "catch_up": "none" }), vec![], 1),
    ] {
        let rig = Rig::new().await;
        let id = rig.schedule(params.clone()).await;
        rig.at(75 * 60).await;
        assert_eq!(rig.fired().await, expected, "{params}");
        assert_eq!(rig.row(id).await.passed, missed, "{params}");
        assert_eq!(rig.counts().missed.total, missed);
    }
}

#[tokio::test]
async fn a_short_stop_misses_nothing() {
    let rig = Rig::new().await;
    rig.schedule(json!({ "every": "1s", "catch_up": "none" })).await;
    rig.at(5).await;
    rig.at(60).await;
    assert_eq!(rig.fired().await, (1..=60).collect::<Vec<_>>());
}

#[tokio::test]
async fn skip_leaves_ticks_out_while_an_execution_goes_on() {
    let rig = Rig::new().await;
    let id = rig.schedule(json!({ "every": "10s", "overlap": "skip" })).await;
    rig.at_each(0..35).await;
    assert_eq!(rig.fired().await, [10]);
    assert_eq!(rig.row(id).await.passed, 2);
    rig.end(execution_of(id, START_MS + 10 * SECOND_MS)).await;
    rig.at_each(35..55).await;
    assert_eq!(rig.fired().await, [10, 40]);
}

#[tokio::test]
async fn queue_fires_one_after_the_other() {
    let rig = Rig::new().await;
    let id = rig.schedule(json!({ "every": "100s", "overlap": "queue", "catch_up": "none" })).await;
    rig.at_each(99..350).await;
    assert_eq!(rig.fired().await, [100], "200 and 300 wait, however long");
    assert!(rig.row(id).await.content.next.unwrap().waits);
    rig.end(execution_of(id, START_MS + 100 * SECOND_MS)).await;
    rig.at_each(350..353).await;
    assert_eq!(rig.fired().await, [100, 200]);
    rig.end(execution_of(id, START_MS + 200 * SECOND_MS)).await;
    rig.at_each(353..356).await;
    assert_eq!(rig.fired().await, [100, 200, 300]);
    rig.end(execution_of(id, START_MS + 300 * SECOND_MS)).await;
    assert!(!rig.row(id).await.content.next.unwrap().waits, "nothing waits any more");
    rig.at_each(356..401).await;
    assert_eq!(rig.fired().await, [100, 200, 300, 400]);
}

#[tokio::test]
async fn cancel_old_asks_earlier_executions_to_end() {
    let rig = Rig::new().await;
    let id = rig.schedule(json!({ "every": "10s", "overlap": "cancel_old" })).await;
    rig.at_each(0..25).await;
    assert_eq!(rig.fired().await, [10, 20]);
    let asked = async |second: u64| {
        let inbox = rig.store.inner.list_inbox(execution_of(id, START_MS + second * SECOND_MS), 9).await.unwrap();
        assert!(inbox.iter().all(|row| row.kind == InboxKind::Cancel));
        inbox.len()
    };
    assert_eq!((asked(10).await, asked(20).await), (1, 0));
    rig.at(30).await;
    assert_eq!((asked(10).await, asked(20).await, asked(30).await), (1, 1, 0));
}

#[tokio::test]
async fn a_tick_that_cannot_start_is_passed_over_with_a_reason() {
    let rig = Rig::new().await;
    let id = rig.schedule_at(json!({ "every": "10s" }), Some("gone")).await;
    rig.at_each(0..25).await;
    assert!(rig.fired().await.is_empty());
    let row = rig.row(id).await;
    assert_eq!(row.passed, 2);
    assert!(row.last_error.unwrap().contains("no node `gone`"));
}

/// A clock that goes with tokio's, which is paused: hours take no time.
fn virtual_clock() -> Arc<dyn Fn() -> u64 + Send + Sync> {
    let start = Instant::now();
    Arc::new(move || START_MS + u64::try_from(start.elapsed().as_millis()).unwrap())
}

/// Starts a scheduler.
async fn start(rig: &Rig, owns: bool, now_ms: &Arc<dyn Fn() -> u64 + Send + Sync>) -> ActorRef<SchedulerMsg> {
    // Compiled already, so that no other thread is waited for.
    rig.workflows.to_start(HERE, rig.workflow).await.unwrap();
    let parts = rig.parts(owns, Arc::clone(now_ms));
    Actor::spawn(None, metered(Scheduler, "test-scheduler"), parts).await.unwrap().0
}

#[tokio::test(start_paused = true)]
async fn a_running_scheduler_is_in_time() {
    let rig = Rig::new().await;
    let id = rig.schedule(json!({ "every": "1s" })).await;
    rig.schedule(json!({ "every": "7s" })).await;
    let scheduler = start(&rig, true, &virtual_clock()).await;
    for _ in 0..120 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(rig.counts().lag_ms <= 10, "{:?}", rig.counts());
    }
    scheduler.stop(None);
    let fired = rig.row(id).await.fired;
    assert!((59..=60).contains(&fired), "{fired} ticks in a minute");
    let ticks = rig.fired().await;
    assert_eq!(ticks.iter().filter(|second| **second % 7 != 0).count(), (1..=fired).filter(|second| second % 7 != 0).count());
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_takes_up_where_its_store_was_away() {
    let rig = Rig::new().await;
    let id = rig.schedule(json!({ "every": "1s", "catch_up": "none" })).await;
    let scheduler = start(&rig, true, &virtual_clock()).await;
    for (method, fault) in
        [("fire_schedule", Fault::Unavailable), ("due_schedules", Fault::Unavailable), ("find_workflow", Fault::Unavailable)]
    {
        tokio::time::sleep(Duration::from_secs(5)).await;
        rig.store.set(method, Some(fault));
        tokio::time::sleep(Duration::from_secs(20)).await;
        rig.store.set(method, None);
    }
    tokio::time::sleep(Duration::from_secs(40)).await;
    let passed = rig.row(id).await;
    assert_eq!(passed.passed, 0, "{passed:?}");
    scheduler.stop(None);
    let fired = rig.fired().await;
    assert_eq!(fired, (1..=u64::try_from(fired.len()).unwrap()).collect::<Vec<_>>());
    assert!(fired.len() >= 113, "{}", fired.len());
}

#[tokio::test(start_paused = true)]
async fn two_schedulers_fire_each_tick_once_and_one_goes_on_alone() {
    let rig = Rig::new().await;
    let id = rig.schedule(json!({ "every": "1s" })).await;
    let now_ms = virtual_clock();
    let (first, second) = (start(&rig, true, &now_ms).await, start(&rig, true, &now_ms).await);
    tokio::time::sleep(Duration::from_millis(30_500)).await;
    assert_eq!(rig.fired().await, (1..=30).collect::<Vec<_>>());
    first.kill();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(rig.fired().await, (1..=60).collect::<Vec<_>>());
    assert_eq!(rig.row(id).await.fired, 60);
    second.stop(None);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_own_the_execution_comes_later_but_comes() {
    let rig = Rig::new().await;
    rig.schedule(json!({ "every": "2s" })).await;
    let scheduler = start(&rig, false, &virtual_clock()).await;
    eventually("a tick has fired", || rig.counts().fired.total > 0).await;
    let lag_ms = rig.counts().lag_ms;
    assert!((BACKUP_MS..BACKUP_MS + 50).contains(&lag_ms), "{lag_ms}");
    scheduler.stop(None);
}

#[tokio::test(start_paused = true)]
async fn a_draining_process_leaves_its_ticks_to_others() {
    let rig = Rig::new().await;
    rig.schedule(json!({ "every": "1s" })).await;
    rig.workflows.to_start(HERE, rig.workflow).await.unwrap();
    let draining = Arc::new(AtomicBool::new(false));
    let parts = rig.parts(true, virtual_clock());
    let flag = Arc::clone(&draining);
    let parts = Arc::new(SchedulerParts { is_draining: Arc::new(move || flag.load(Relaxed)), ..Arc::into_inner(parts).unwrap() });
    let (scheduler, _) = Actor::spawn(None, metered(Scheduler, "test-scheduler"), parts).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    draining.store(true, Relaxed);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.fired().await, [1, 2, 3]);
    scheduler.stop(None);
}

#[tokio::test(start_paused = true)]
async fn schedules_in_memory_obeyed_and_violated() {
    let rig = Rig::new().await;
    let more = 3 * u64::from(DUE_ROWS_MAX) + 50;
    for _ in 0..more {
        let id = ScheduleId::from_uuid(clock::new_uuid());
        let spec = ScheduleSpec::read(&node(SCHEDULE, json!({ "at": "2026-01-01T00:00:05Z" })), "UTC").unwrap();
        let next = spec.rules(id, &spec.cadence().unwrap()).first_after(START_MS);
        let content = ScheduleContent { node: None, spec: Bytes::from(spec.to_json()), input: None, next };
        let (workspace, workflow) = (HERE, rig.workflow);
        let new = NewSchedule { id, workspace, workflow, content, paused_at: None, created_at: START_MS };
        rig.store.inner.insert_schedule(&new, 10_000).await.unwrap();
    }
    let scheduler = start(&rig, true, &virtual_clock()).await;
    tokio::time::sleep(Duration::from_millis(5_000 - AHEAD_MS)).await;
    eventually("every schedule has fired", || rig.counts().fired.total == more).await;
    scheduler.stop(None);
    assert!(rig.counts().lag_ms < TICK_MS, "what is left waits for no look: {:?}", rig.counts());
    assert_eq!(rig.counts().missed.total, 0);
}
