//! The journal lane: one actor per process that group-commits every transition. Parent: the root supervisor.
//!
//! It takes everything that waits, up to [`BATCH_ROWS_MAX`] rows or [`BATCH_BYTES_MAX`] bytes, writes it in one commit and then
//! answers every waiter. There is no timer: an idle lane commits at once, a busy one batches by itself. Nothing is ever
//! acknowledged before its commit. Bounds: the gauge refuses new work at the edges, see [`LaneHandle::is_full`].

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::{Histogram, histogram};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::Serialize;
use tokio::task::JoinHandle;

use super::supervisor::ServiceRef;
use crate::{
    failpoint,
    store::{Append, AppendOutcome, Store, StoreError},
};

/// Rows of one commit, messages to other executions and snapshots among them; a single append may have more.
const BATCH_ROWS_MAX: usize = 2_000;
/// Payload bytes of one commit.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long an unreachable store is tried again before the waiters are told, in milliseconds.
const RETRY_MS_MAX: u64 = 30_000;
/// First and largest pause between two tries, in milliseconds.
const RETRY_PAUSE_MS: (u64, u64) = (50, 2_000);

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Committed,
    /// The shard belongs to somebody else now.
    Fenced,
    /// Another row is in its place.
    Conflict,
    /// The store could not be reached in time, or the lane died: whether the row is there is unknown.
    Failed,
}

/// Tells a waiter its verdict, exactly once: a dropped one says [`Verdict::Failed`].
pub struct Ack(Option<Box<dyn FnOnce(Verdict) + Send>>);

impl Ack {
    pub fn new(tell: impl FnOnce(Verdict) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    fn give(mut self, verdict: Verdict) {
        if let Some(tell) = self.0.take() {
            tell(verdict);
        }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(Verdict::Failed);
        }
    }
}

/// An append and who waits for it.
pub struct LaneRequest {
    append: Append,
    ack: Ack,
    /// Takes its share off the gauge when it is dropped.
    load: Load,
}

/// Messages of the lane.
pub enum LaneMsg {
    /// Execution -> lane.
    Append(Box<LaneRequest>),
    /// The writing task -> lane: the batch is committed or given up.
    BatchDone,
}

super::metering::metered!(LaneMsg);

/// What the lane is given.
pub struct LaneArgs {
    pub store: Arc<dyn Store>,
}

/// The lane's memory.
pub struct LaneState {
    store: Arc<dyn Store>,
    queue: VecDeque<LaneRequest>,
    /// The running write; aborted when the lane ends, which drops its acks.
    writing: Option<AbortOnDrop>,
    batch_rows: Histogram,
    commit_seconds: Histogram,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The actor.
pub struct JournalLane;

impl Actor for JournalLane {
    type Msg = LaneMsg;
    type State = LaneState;
    type Arguments = LaneArgs;

    async fn pre_start(&self, _myself: ActorRef<LaneMsg>, args: LaneArgs) -> Result<LaneState, ActorProcessingErr> {
        Ok(LaneState {
            store: args.store,
            queue: VecDeque::new(),
            writing: None,
            batch_rows: histogram!("citadel_lane_batch_rows"),
            commit_seconds: histogram!("citadel_lane_commit_seconds"),
        })
    }

    async fn handle(&self, myself: ActorRef<LaneMsg>, msg: LaneMsg, state: &mut LaneState) -> Result<(), ActorProcessingErr> {
        match msg {
            LaneMsg::Append(request) => state.queue.push_back(*request),
            LaneMsg::BatchDone => state.writing = None,
        }
        if state.writing.is_none() && !state.queue.is_empty() {
            state.write_next(myself);
        }
        Ok(())
    }
}

impl LaneState {
    fn write_next(&mut self, myself: ActorRef<LaneMsg>) {
        let batch = self.take_batch();
        self.batch_rows.record(u32::try_from(batch.len()).expect("batches are bounded"));
        let (store, commit_seconds) = (Arc::clone(&self.store), self.commit_seconds.clone());
        #[expect(clippy::disallowed_methods, reason = "the lane's state owns the task and aborts it")]
        let task = tokio::spawn(async move {
            let began = Instant::now();
            commit(&*store, batch).await;
            commit_seconds.record(began.elapsed());
            // The lane is gone only when the process stops: then nobody waits for the next batch.
            let _ = myself.cast(LaneMsg::BatchDone);
        });
        self.writing = Some(AbortOnDrop(task));
    }

    fn take_batch(&mut self) -> Vec<LaneRequest> {
        let (mut rows, mut bytes, mut requests) = (0, 0, 0);
        for LaneRequest { append, .. } in &self.queue {
            rows += 1 + append.notify.len() + usize::from(append.snapshot.is_some());
            bytes += size_of_bodies(append);
            if requests > 0 && (rows > BATCH_ROWS_MAX || bytes > BATCH_BYTES_MAX) {
                break;
            }
            requests += 1;
        }
        if let Some(oldest) = self.queue.front() {
            oldest.load.gauge.oldest_is(oldest.load.since);
        }
        self.queue.drain(..requests).collect()
    }
}

/// Commits a batch and gives every verdict. One bad row does not fail its neighbours: on a conflict the batch is halved.
async fn commit(store: &dyn Store, batch: Vec<LaneRequest>) {
    let mut open = vec![batch];
    while let Some(mut batch) = open.pop() {
        failpoint!("lane.before_commit");
        let appends: Vec<Append> = batch.iter().map(|request| request.append.clone()).collect();
        match append_until_answered(store, &appends).await {
            Ok(outcomes) => {
                failpoint!("lane.after_commit");
                for (request, outcome) in batch.into_iter().zip(outcomes) {
                    request.ack.give(match outcome {
                        AppendOutcome::Committed => Verdict::Committed,
                        AppendOutcome::Fenced => Verdict::Fenced,
                    });
                }
            }
            Err(StoreError::Conflict { .. }) if batch.len() > 1 => {
                let second = batch.split_off(batch.len() / 2);
                open.push(second);
                open.push(batch);
            }
            Err(StoreError::Conflict { constraint }) => {
                for request in batch {
                    let verdict = settle_conflict(store, &request.append, &constraint).await;
                    request.ack.give(verdict);
                }
            }
            Err(error) => {
                tracing::error!(error = %error, rows = batch.len(), "journal batch given up");
                drop(batch);
            }
        }
    }
}

/// Tries again while the store cannot be reached. A commit whose answer was lost comes back as a conflict with itself.
async fn append_until_answered(store: &dyn Store, appends: &[Append]) -> Result<Vec<AppendOutcome>, StoreError> {
    let began = Instant::now();
    let mut pause_ms = RETRY_PAUSE_MS.0;
    loop {
        match store.append_batch(appends).await {
            Err(StoreError::Unavailable { doing, source }) if began.elapsed() < Duration::from_millis(RETRY_MS_MAX) => {
                tracing::warn!(doing, error = %source, pause_ms, "journal commit failed, trying again");
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                pause_ms = (pause_ms * 2).min(RETRY_PAUSE_MS.1);
            }
            answer => return answer,
        }
    }
}

/// A row that is there under the same epoch is this very row, written by a try whose answer was lost.
async fn settle_conflict(store: &dyn Store, append: &Append, constraint: &str) -> Verdict {
    match is_written(store, append).await {
        Ok(true) => Verdict::Committed,
        Ok(false) => {
            tracing::warn!(execution.id = %append.execution, seq = append.entry.seq, constraint, "journal row refused");
            Verdict::Conflict
        }
        Err(error) => {
            tracing::error!(execution.id = %append.execution, error = %error, "outcome of a journal row unknown");
            Verdict::Failed
        }
    }
}

/// Whether the row is there. An id that follows from something may have been begun before under the same epoch: a creation is the
/// one that is there only if it is the same, event by event.
async fn is_written(store: &dyn Store, append: &Append) -> Result<bool, StoreError> {
    let (execution, seq) = (append.execution, append.entry.seq);
    if append.create.is_some() {
        return Ok(store.load_journal(execution, seq, 1).await?.first() == Some(&append.entry));
    }
    Ok(store.find_journal_epoch(execution, seq).await? == Some(append.epoch))
}

/// Payload bytes of an append.
fn size_of_bodies(append: &Append) -> usize {
    let notes: usize = append.notify.iter().map(|note| note.body.bytes.len()).sum();
    append.entry.body.bytes.len() + notes + append.snapshot.as_ref().map_or(0, |snapshot| snapshot.body.bytes.len())
}

/// How much waits for the lane, and how much may.
#[derive(Debug)]
struct Gauge {
    rows: AtomicUsize,
    bytes: AtomicUsize,
    rows_max: usize,
    bytes_max: usize,
    /// When the gauge was made; what `oldest_us` counts from.
    origin: Instant,
    /// When the request came that has waited longest; without a meaning while nothing waits.
    oldest_us: AtomicU64,
}

impl Gauge {
    fn oldest_is(&self, since: Instant) {
        let us = since.saturating_duration_since(self.origin).as_micros();
        self.oldest_us.store(u64::try_from(us).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The lane at one moment. **Shape**: `{"depth", "depth_max", "bytes", "oldest_wait_ms"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneView {
    /// Requests that wait or are being written, and how many may before new work is refused.
    pub depth: usize,
    pub depth_max: usize,
    /// Their payloads.
    pub bytes: usize,
    /// How long the request has waited that waits longest; zero if none does.
    pub oldest_wait_ms: u64,
}

/// One request's share of the gauge.
struct Load {
    gauge: Arc<Gauge>,
    bytes: usize,
    since: Instant,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.gauge.rows.fetch_sub(1, Ordering::Relaxed);
        self.gauge.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The way to the lane.
#[derive(Clone)]
pub struct LaneHandle {
    actor: ServiceRef<LaneMsg>,
    gauge: Arc<Gauge>,
}

impl LaneHandle {
    /// `rows_max` requests and `bytes_max` payload bytes may wait before [`LaneHandle::is_full`] says so.
    pub fn new(actor: ServiceRef<LaneMsg>, rows_max: usize, bytes_max: usize) -> Self {
        let gauge = Gauge {
            rows: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            rows_max,
            bytes_max,
            origin: Instant::now(),
            oldest_us: AtomicU64::new(0),
        };
        Self { actor, gauge: Arc::new(gauge) }
    }

    /// Whether edges must refuse new work. Running executions go on: their rows are bounded by their number.
    pub fn is_full(&self) -> bool {
        let rows = self.gauge.rows.load(Ordering::Relaxed);
        rows >= self.gauge.rows_max || self.gauge.bytes.load(Ordering::Relaxed) >= self.gauge.bytes_max
    }

    /// Requests that wait or are being written.
    pub fn depth(&self) -> usize {
        self.gauge.rows.load(Ordering::Relaxed)
    }

    /// The lane's figures, for people and dashboards.
    pub fn view(&self) -> LaneView {
        let (depth, oldest_us) = (self.depth(), self.gauge.oldest_us.load(Ordering::Relaxed));
        let waited = self.gauge.origin.elapsed().saturating_sub(Duration::from_micros(oldest_us));
        LaneView {
            depth,
            depth_max: self.gauge.rows_max,
            bytes: self.gauge.bytes.load(Ordering::Relaxed),
            oldest_wait_ms: if depth == 0 { 0 } else { u64::try_from(waited.as_millis()).unwrap_or(u64::MAX) },
        }
    }

    /// Hands an append to the lane. The ack is told in any case.
    pub fn append(&self, append: Append, ack: Ack) {
        let bytes = size_of_bodies(&append);
        let since = Instant::now();
        if self.gauge.rows.fetch_add(1, Ordering::Relaxed) == 0 {
            self.gauge.oldest_is(since);
        }
        self.gauge.bytes.fetch_add(bytes, Ordering::Relaxed);
        let load = Load { gauge: Arc::clone(&self.gauge), bytes, since };
        failpoint!("lane.before_send");
        if let Some(actor) = self.actor.get() {
            // A refused message is dropped with its ack, which then says `Failed`.
            let _ = actor.cast(LaneMsg::Append(Box::new(LaneRequest { append, ack, load })));
        }
    }
}
