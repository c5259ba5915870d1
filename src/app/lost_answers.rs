//! Tests of the whole engine on a store whose answers get lost, and of executions that two hands reach for at once: what is stored
//! is told as started, and runs.

use std::{sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusBuilder;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde_json::json;
use tokio::sync::Notify;

use super::{RunningApp, start_on};
use crate::{
    actors::{
        engine::{DirectoryEntry, Engine},
        execution::ExecutionMsg,
        execution_supervisor::ExecutionSupervisorMsg,
        executions::{FinishedExecution, Idempotency, StartError, StartRequest, Wait, WaitUntil},
    },
    clock,
    config::Config,
    model::{
        children,
        definition::parse::parse_value,
        event::{Event, Parent, Recorded},
        execution::{ExecutionStatus, OnConflict, TriggerKind},
        ids::{ExecutionId, WorkspaceId},
        item::Item,
    },
    nodes::plan::CompiledWorkflow,
    store::{
        Append, ExecutionFilter, JournalRow, NewExecution, PageRequest, StateChange, Store,
        faulty::{Fault, FaultyStore},
    },
};

const WORKSPACE: WorkspaceId = WorkspaceId::DEFAULT;
/// Longest time that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// An engine on a store with faults, with one workflow.
struct Bench {
    app: RunningApp,
    store: Arc<FaultyStore>,
    workflow: Arc<CompiledWorkflow>,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.use_throwaway_directory(directory.path());
        let store = Arc::new(FaultyStore::new());
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let on_meltdown = |meltdown| panic!("the tree gave up: {meltdown:?}");
        let app = start_on(Arc::clone(&store) as Arc<dyn Store>, metrics, &config, on_meltdown).await.unwrap();
        let definition = parse_value(json!({
            "name": "mark",
            "nodes": [
                { "id": "start", "type": "manual" },
                { "id": "mark", "type": "set", "params": { "fields": { "seen": true } } },
            ],
            "edges": [{ "from": "start", "to": "mark" }],
        }));
        let created = app.workflows.create(WORKSPACE, definition.unwrap(), None).await.unwrap();
        let workflow = app.workflows.compiled(WORKSPACE, created.workflow.row.id, 1).await.unwrap();
        Self { app, store, workflow, _directory: directory }
    }

    fn request(&self) -> StartRequest {
        StartRequest {
            workspace: WORKSPACE,
            workflow: Arc::clone(&self.workflow),
            trigger: TriggerKind::Manual,
            start_node: None,
            items: Item::list_from_value(json!({ "n": 1 })),
            business_key: None,
            idempotency: None,
            wait: None,
            trace: None,
        }
    }

    /// The end of an execution; fails the test if nobody brings it about.
    async fn end_of(&self, id: ExecutionId) -> FinishedExecution {
        self.app.executions.wait(WORKSPACE, id, PATIENCE).await.unwrap().expect("it runs to its end")
    }

    /// Stores a running execution that nobody has in memory, as one that a process left behind which died. Not at a moment at
    /// which this one looks for such executions.
    async fn leave_behind(&self, id: ExecutionId) {
        let (at, epoch) = (clock::now_ms(), self.app.engine.ownership.epoch(id.shard()).unwrap());
        let event = Event::Created {
            trigger: TriggerKind::Manual,
            start_node: "start".into(),
            items: Arc::new(Item::list_from_value(json!({ "n": 7 }))),
            nesting: 0,
            parent: None,
            context: None,
        };
        let body = serde_json::to_vec(&[Recorded { at, event }]).unwrap();
        let body = self.app.engine.codec.encode(body).await.unwrap();
        let new = NewExecution {
            workspace: WORKSPACE,
            workflow: self.workflow.workflow,
            version: 1,
            trigger: TriggerKind::Manual,
            parent: None,
            retry_of: None,
            business_key: None,
        };
        let running = ExecutionStatus::Running;
        let append = Append {
            execution: id,
            epoch,
            created_at: at,
            entry: JournalRow { seq: 0, count: 1, epoch, at, body },
            create: Some(new),
            state: Some(StateChange { status: running, wake_at: None, finished_at: None, error_code: None, expires_at: None }),
            consumed: Vec::new(),
            notify: Vec::new(),
            snapshot: None,
        };
        self.store.inner.append_batch(&[append]).await.unwrap();
    }

    async fn stored(&self) -> Vec<ExecutionId> {
        let page = PageRequest { after: None, limit: 10 };
        let rows = self.store.inner.list_executions(WORKSPACE, &ExecutionFilter::default(), &page).await.unwrap();
        rows.iter().map(|row| row.id).collect()
    }

    /// Waits for the result of a start while this method's answers get lost, until one has stored an execution; then the method
    /// has another fault, or none. Answers the execution, too.
    async fn lose_answers<T>(
        &self,
        method: &'static str,
        then: Option<Fault>,
        start: impl Future<Output = T>,
    ) -> (T, ExecutionId) {
        let before = self.stored().await.len();
        self.store.set(method, Some(Fault::LoseAnswer));
        let stored = async {
            loop {
                if let [newest, ..] = self.stored().await[..]
                    && self.stored().await.len() > before
                {
                    self.store.set(method, then);
                    return newest;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::join!(start, stored)
    }

    /// An id that follows from another one.
    fn derived_id(&self) -> (ExecutionId, Parent) {
        let parent = Parent { execution: self.app.engine.ownership.draw_execution_id().unwrap(), signal: None };
        (children::id(parent.execution, "child"), parent)
    }

    async fn stop(self) {
        self.app.stop(Duration::from_secs(5)).await;
    }
}

fn seen(finished: &FinishedExecution) -> (ExecutionStatus, serde_json::Value) {
    (finished.status, finished.result[0].json.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_commit_was_answered_to_nobody_is_told_as_started() {
    let bench = Bench::start().await;
    bench.store.set("append_batch", Some(Fault::LoseAnswer));
    let started = bench.app.executions.start(bench.request()).await.unwrap();
    assert!(!started.replayed);
    assert_eq!(seen(&bench.end_of(started.execution).await), (ExecutionStatus::Succeeded, json!({ "n": 1, "seen": true })));
    let wait = Some(Wait { until: WaitUntil::Finished, timeout: PATIENCE });
    let answered = bench.app.executions.start(StartRequest { wait, ..bench.request() }).await.unwrap();
    assert!(answered.answer.is_some());
    bench.store.set("append_batch", None);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_start_whose_commit_was_answered_to_nobody_is_told_as_started_and_runs() {
    let bench = Bench::start().await;
    let keyed = || {
        let key = Idempotency { scope: "test".to_owned(), key: "k".to_owned(), request_hash: [7; 32] };
        StartRequest { idempotency: Some(key), ..bench.request() }
    };
    let (started, stored) = bench.lose_answers("create_keyed", None, Box::pin(bench.app.executions.start(keyed()))).await;
    let started = started.unwrap();
    assert_eq!((started.execution, started.replayed), (stored, false), "it is the first");
    assert_eq!(bench.end_of(started.execution).await.status, ExecutionStatus::Succeeded);
    let again = bench.app.executions.start(keyed()).await.unwrap();
    assert_eq!((again.execution, again.replayed), (started.execution, true));

    for on_conflict in [OnConflict::Reject, OnConflict::Return] {
        let wait = Some(Wait { until: WaitUntil::Finished, timeout: PATIENCE });
        let request = StartRequest { business_key: Some("b".to_owned()), wait, ..bench.request() };
        let start = Box::pin(bench.app.executions.start_by_key(request, on_conflict));
        let started = bench.lose_answers("create_exclusive", None, start).await.0.unwrap();
        assert!(!started.replayed && started.answer.is_some(), "{started:?}");
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_start_that_was_stored_before_the_store_went_away_runs_when_it_is_back() {
    let bench = Bench::start().await;
    let key = Idempotency { scope: "test".to_owned(), key: "k".to_owned(), request_hash: [7; 32] };
    let request = StartRequest { idempotency: Some(key), ..bench.request() };
    // Stored by the first try; the next ones find nobody.
    let start = Box::pin(bench.app.executions.start(request.clone()));
    let (refused, stored) = bench.lose_answers("create_keyed", Some(Fault::Unavailable), start).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, StartError::Unavailable(_)), "{refused:?}");
    bench.store.set("create_keyed", None);
    assert_eq!(bench.end_of(stored).await.status, ExecutionStatus::Succeeded);
    let again = bench.app.executions.start(request).await.unwrap();
    assert_eq!((again.execution, again.replayed), (stored, true));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_under_the_id_of_one_that_was_left_behind_sees_to_it_that_it_runs() {
    let bench = Bench::start().await;
    for _ in 0..10 {
        let (id, parent) = bench.derived_id();
        bench.leave_behind(id).await;
        let refused = bench.app.executions.start_derived(id, bench.request(), parent, 1).await.unwrap_err();
        assert!(matches!(refused, StartError::Exists { execution } if execution == id), "{refused:?}");
        // Its own input, not that of the start which came too late.
        assert_eq!(seen(&bench.end_of(id).await), (ExecutionStatus::Succeeded, json!({ "n": 7, "seen": true })));
    }
    bench.stop().await;
}

/// Stands for an execution's actor that is busy when its shard is lost.
struct Busy;

/// What holds the actor up in its handler.
#[derive(Default)]
struct Gate {
    reached: Notify,
    open: Notify,
}

impl Actor for Busy {
    type Msg = ExecutionMsg;
    type State = (Option<DirectoryEntry>, Arc<Gate>);
    type Arguments = (Arc<Engine>, ExecutionId, Arc<Gate>);

    async fn pre_start(
        &self,
        myself: ActorRef<ExecutionMsg>,
        (engine, id, gate): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let entry = engine.directory.enter(id, &myself);
        engine.directory.started(id, myself.get_id());
        Ok((entry, gate))
    }

    async fn handle(
        &self,
        _myself: ActorRef<ExecutionMsg>,
        _msg: ExecutionMsg,
        (_, gate): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        gate.reached.notify_one();
        gate.open.notified().await;
        Ok(())
    }

    async fn post_stop(&self, _myself: ActorRef<ExecutionMsg>, (entry, _): &mut Self::State) -> Result<(), ActorProcessingErr> {
        *entry = None;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_whose_shard_comes_back_before_its_actor_has_stopped_is_brought_back() {
    let bench = Bench::start().await;
    let engine = &bench.app.engine;
    let supervisor = engine.supervisor.get().unwrap();
    let (id, gate) = (bench.derived_id().0, Arc::new(Gate::default()));
    bench.leave_behind(id).await;
    let arguments = (Arc::clone(engine), id, Arc::clone(&gate));
    let (busy, _) = Actor::spawn_linked(None, Busy, arguments, supervisor.get_cell()).await.unwrap();
    busy.cast(ExecutionMsg::Nudge).unwrap();
    // From here on a stop has to wait for the handler.
    gate.reached.notified().await;
    assert!(engine.directory.find(id).is_some());

    let other = std::iter::repeat_with(|| bench.derived_id().0).find(|other| other.shard() != id.shard()).unwrap();
    bench.leave_behind(other).await;
    supervisor.cast(ExecutionSupervisorMsg::Release { shards: vec![id.shard()] }).unwrap();
    for execution in [id, other] {
        supervisor.cast(ExecutionSupervisorMsg::Activate { execution }).unwrap();
    }
    // When this one has ended, the supervisor has taken all three messages, and the first actor is still there.
    assert_eq!(bench.end_of(other).await.status, ExecutionStatus::Succeeded);
    assert!(engine.directory.is_leaving(id));
    gate.open.notify_one();
    assert_eq!(bench.end_of(id).await.status, ExecutionStatus::Succeeded);
    bench.stop().await;
}
