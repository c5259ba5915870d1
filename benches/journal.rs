//! Durable transitions per second: the journal lane with group commit against one commit per transition, on SQLite and on
//! PostgreSQL, at 1, 16, 64 and 512 transitions in flight. Run by `make bench`; `CITADEL_TEST_POSTGRES_URL` names the PostgreSQL.
//!
//! A transition is one journal row of about 300 bytes; every tenth creates or finishes an execution and writes its state row.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its table and stops at the first error")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use citadel::{
    actors::{
        journal_lane::{Ack, JournalLane, LaneArgs, LaneHandle, Verdict},
        metering::metered,
        supervisor::ServiceRef,
    },
    clock,
    model::{
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, NodeInstanceId, SHARD_COUNT, WorkflowId, WorkspaceId},
    },
    store::{
        Append, AppendOutcome, Encoding, JournalRow, NewExecution, Payload, ShardLease, StateChange, Store,
        open::{OpenOptions, open},
    },
};
use ractor::Actor;
use tokio::task::JoinSet;

const CLIENTS: [u32; 4] = [1, 16, 64, 512];
const SECONDS_PER_CELL: u64 = 3;
const STEPS_PER_EXECUTION: u32 = 10;
const LEASE_MS: u64 = 3_600_000;

/// Where a transition goes.
#[derive(Clone)]
enum Way {
    /// Through the lane, which commits in groups.
    Lane(LaneHandle),
    /// One commit each.
    Naive(Arc<dyn Store>),
}

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}", directory.path().join("bench.db").display());
    measure("sqlite", &sqlite).await;
    #[expect(clippy::disallowed_methods, reason = "a benchmark has no configuration of its own")]
    let postgres = std::env::var("CITADEL_TEST_POSTGRES_URL");
    match postgres {
        Ok(url) => measure("postgres", &url).await,
        Err(_) => println!("postgres: not measured, CITADEL_TEST_POSTGRES_URL is not set: use `make bench`"),
    }
}

/// Measures both ways on one store and prints a line per number of clients.
async fn measure(name: &str, url: &str) {
    let store = open(&OpenOptions::new(url)).await.unwrap();
    let owner = NodeInstanceId::from_uuid(clock::new_uuid());
    let shards: Vec<u16> = (0..SHARD_COUNT).collect();
    let leases = Arc::new(store.take_shards(owner, &shards, LEASE_MS).await.unwrap());
    let lane = ServiceRef::new();
    let args = LaneArgs { store: Arc::clone(&store) };
    let (actor, ended) = Actor::spawn(None, metered(JournalLane, "lane"), args).await.unwrap();
    lane.set(actor.clone());
    println!(
        "{name:<9} {:>8} {:>14} {:>14} {:>7} {:>12} {:>12}",
        "clients", "lane/s", "naive/s", "ratio", "lane p50", "lane p99"
    );
    for clients in CLIENTS {
        let (naive, _) = drive(&Way::Naive(Arc::clone(&store)), clients, &leases).await;
        let handle = LaneHandle::new(lane.clone(), usize::MAX, usize::MAX);
        let (grouped, mut waits) = drive(&Way::Lane(handle), clients, &leases).await;
        waits.sort_unstable();
        let quantile = |q: usize| waits[(waits.len() - 1) * q / 100];
        let ratio = grouped / naive;
        println!(
            "{name:<9} {clients:>8} {grouped:>14.0} {naive:>14.0} {ratio:>7.1} {:>9} us {:>9} us",
            quantile(50),
            quantile(99)
        );
    }
    actor.stop(None);
    ended.await.unwrap();
    store.close().await;
}

/// Keeps `clients` transitions in flight. Answers with transitions per second and every wait in microseconds.
async fn drive(way: &Way, clients: u32, leases: &Arc<Vec<ShardLease>>) -> (f64, Vec<u128>) {
    let done = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let until = began + Duration::from_secs(SECONDS_PER_CELL);
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (way, done, leases) = (way.clone(), Arc::clone(&done), Arc::clone(leases));
        tasks.spawn(async move {
            let mut waits = Vec::new();
            while Instant::now() < until {
                let execution = ExecutionId::from_uuid(clock::new_uuid());
                let epoch = leases.iter().find(|lease| lease.shard == execution.shard()).unwrap().epoch;
                for step in 0..STEPS_PER_EXECUTION {
                    let sent = Instant::now();
                    way.commit(transition(execution, epoch, step)).await;
                    waits.push(sent.elapsed().as_micros());
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
            waits
        });
    }
    let waits = tasks.join_all().await.into_iter().flatten().collect();
    let transitions = u32::try_from(done.load(Ordering::Relaxed)).unwrap();
    (f64::from(transitions) / began.elapsed().as_secs_f64(), waits)
}

impl Way {
    async fn commit(&self, append: Append) {
        match self {
            Self::Lane(lane) => {
                let (tell, told) = tokio::sync::oneshot::channel();
                lane.append(append, Ack::new(move |verdict| tell.send(verdict).unwrap()));
                assert_eq!(told.await.unwrap(), Verdict::Committed);
            }
            Self::Naive(store) => {
                assert_eq!(store.append_batch(&[append]).await.unwrap(), [AppendOutcome::Committed]);
            }
        }
    }
}

/// The `step`th transition of an execution: the first creates its row, the last finishes it.
fn transition(execution: ExecutionId, epoch: i64, step: u32) -> Append {
    let at = clock::now_ms();
    let is_last = step + 1 == STEPS_PER_EXECUTION;
    let state = StateChange {
        status: if is_last { ExecutionStatus::Succeeded } else { ExecutionStatus::Running },
        wake_at: None,
        finished_at: is_last.then_some(at),
        error_code: None,
        expires_at: None,
    };
    let create = NewExecution {
        workspace: WorkspaceId::DEFAULT,
        workflow: WorkflowId::from_uuid(execution.uuid()),
        version: 1,
        trigger: TriggerKind::Manual,
        parent: None,
        retry_of: None,
        business_key: None,
    };
    Append {
        execution,
        epoch,
        created_at: at,
        entry: JournalRow { seq: step, count: 1, epoch, at, body: body() },
        create: (step == 0).then_some(create),
        state: (step == 0 || is_last).then_some(state),
        consumed: Vec::new(),
        notify: Vec::new(),
        snapshot: None,
    }
}

/// What one finished node leaves behind.
fn body() -> Payload {
    let text = r#"[{"at":1790000000000,"type":"node_succeeded","node":"notify","run":0,"attempt":1,"started_at":1790000000000,"outputs":[{"port":"main","items":[{"json":{"id":123456,"name":"Ada Lovelace","email":"ada@example.org","amount":19.95,"note":"the quick brown fox jumps over the lazy dog"},"source":{"node":"hook","run":0,"item":0}}]}]}]"#;
    Payload { encoding: Encoding::Raw, bytes: Bytes::from_static(text.as_bytes()) }
}
