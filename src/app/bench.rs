//! What `citadel bench` needs from below the HTTP API: a server that answers a constant, a store to write to row by row, a store
//! with a past, and databases of its own. Nothing here is part of a running server.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use axum::{Router, body::Bytes as Body, http::header, routing::post};
use bytes::Bytes;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    clock, http,
    model::{
        event::{Event, Recorded},
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, NodeInstanceId, SHARD_COUNT, WorkflowId, WorkspaceId},
        item::Item,
    },
    store::{
        Append, AppendOutcome, Encoding, JournalRow, NewExecution, Payload, ShardLease, StateChange, Store,
        open::{OpenOptions, open},
        scratch::{self, ScratchDatabase},
    },
};

/// The one route of the constant server.
pub const CONSTANT_PATH: &str = "/constant";
/// What it answers: about as long as the answer of the webhook that is measured.
pub const CONSTANT_ANSWER: &str = r#"{"order":{"id":123456,"total":151.0,"customer":"Ada Lovelace"},"branch":"high","ok":true}"#;

/// Connections of the constant server.
const CONNECTIONS_MAX: usize = 10_000;
/// Executions of one commit while a store is filled: fast, and soon enough interrupted.
const FILL_BATCH: u64 = 2_000;
/// How long the writer owns the shards, in milliseconds; longer than any measurement takes.
const LEASE_MS: u64 = 3_600_000;
/// How long the filled executions are kept, in milliseconds: longer than the benchmark takes.
const KEEP_MS: u64 = 7 * 24 * 3_600_000;

/// Serves one route that reads its request and answers a constant, on a free port of the loopback address: what the HTTP stack
/// does when there is nothing to do. Ends with the process.
///
/// Errors: there is no free port.
pub async fn serve_constant(announce: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on the loopback address")?;
    announce(listener.local_addr().context("cannot read the address of the listener")?);
    let answer = |_: Body| async { ([(header::CONTENT_TYPE, "application/json")], CONSTANT_ANSWER) };
    http::serve(listener, Router::new().route(CONSTANT_PATH, post(answer)), CONNECTIONS_MAX, CancellationToken::new()).await;
    Ok(())
}

/// An empty database on the PostgreSQL server that a URL names.
pub struct BenchDatabase(ScratchDatabase);

impl BenchDatabase {
    /// Errors: the server cannot be reached, or its user may not create databases.
    pub async fn create(server_url: &str) -> anyhow::Result<Self> {
        let made = ScratchDatabase::create(server_url, clock::new_uuid()).await;
        Ok(Self(made.context("cannot make a database for the benchmark")?))
    }

    /// Secret, since it may hold a password.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Errors: the server cannot be reached.
    pub async fn remove(self) -> anyhow::Result<()> {
        self.0.remove().await.context("cannot drop the benchmark's database")
    }
}

/// The software behind a store's URL, with its version.
///
/// Errors: it cannot be reached.
pub async fn database_version(url: &str) -> anyhow::Result<String> {
    scratch::database_version(url).await.context("cannot ask the database for its version")
}

/// Measures how many executions per second the store takes when each is a commit of its own, written by `writers` at a time.
///
/// Errors: the store cannot be used, or another process owns it.
pub async fn single_row_commits(url: &str, writers: u32, duration: Duration) -> anyhow::Result<f64> {
    let writer = Writer::open(url, writers).await?;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let writer = writer.clone();
        tasks.spawn(async move {
            let workflow = WorkflowId::from_uuid(clock::new_uuid());
            let mut commits: u32 = 0;
            while began.elapsed() < duration {
                writer.commit(&[writer.finished_execution(workflow)]).await?;
                commits += 1;
            }
            anyhow::Ok(commits)
        });
    }
    let mut commits = 0.0;
    while let Some(ended) = tasks.join_next().await {
        commits += f64::from(ended.context("a writer panicked")??);
    }
    let per_second = commits / began.elapsed().as_secs_f64();
    writer.close().await?;
    Ok(per_second)
}

/// Adds finished executions of a workflow to a store that no server uses. `progress` is told how many are there.
///
/// Errors: the store cannot be used, or another process owns it.
pub async fn fill(url: &str, workflow: WorkflowId, executions: u64, mut progress: impl FnMut(u64)) -> anyhow::Result<()> {
    let writer = Writer::open(url, 1).await?;
    let mut filled = 0;
    while filled < executions {
        let size = FILL_BATCH.min(executions - filled);
        let batch: Vec<Append> = (0..size).map(|_| writer.finished_execution(workflow)).collect();
        writer.commit(&batch).await?;
        filled += size;
        progress(filled);
    }
    writer.close().await
}

/// Writes executions that began and ended in one commit, as those of pure nodes do.
#[derive(Clone)]
struct Writer {
    store: Arc<dyn Store>,
    owner: NodeInstanceId,
    leases: Arc<Vec<ShardLease>>,
    body: Bytes,
}

impl Writer {
    async fn open(url: &str, connections: u32) -> anyhow::Result<Self> {
        let options = OpenOptions { connections_max: connections, ..OpenOptions::new(url) };
        let store = open(&options).await.context("cannot open the store")?;
        let owner = NodeInstanceId::from_uuid(clock::new_uuid());
        let shards: Vec<u16> = (0..SHARD_COUNT).collect();
        let leases = store.take_shards(owner, &shards, LEASE_MS).await.context("cannot take the shards")?;
        ensure!(leases.len() == shards.len(), "another process owns shards of the store");
        Ok(Self { store, owner, leases: leases.into(), body: journal_body()?.into() })
    }

    fn finished_execution(&self, workflow: WorkflowId) -> Append {
        let execution = ExecutionId::from_uuid(clock::new_uuid());
        let epoch = self.leases.iter().find(|lease| lease.shard == execution.shard()).map_or(0, |lease| lease.epoch);
        let at = clock::now_ms();
        let body = Payload { encoding: Encoding::Raw, bytes: self.body.clone() };
        Append {
            execution,
            epoch,
            created_at: at,
            entry: JournalRow { seq: 0, count: 2, epoch, at, body },
            create: Some(NewExecution {
                workspace: WorkspaceId::DEFAULT,
                workflow,
                version: 1,
                trigger: TriggerKind::Webhook,
                parent: None,
                retry_of: None,
                business_key: None,
            }),
            state: Some(StateChange {
                status: ExecutionStatus::Succeeded,
                wake_at: None,
                finished_at: Some(at),
                error_code: None,
                expires_at: Some(at.saturating_add(KEEP_MS)),
            }),
            consumed: Vec::new(),
            notify: Vec::new(),
            snapshot: None,
        }
    }

    async fn commit(&self, batch: &[Append]) -> anyhow::Result<()> {
        let outcomes = self.store.append_batch(batch).await.context("cannot write to the store")?;
        ensure!(outcomes.iter().all(|outcome| *outcome == AppendOutcome::Committed), "another process took shards of the store");
        Ok(())
    }

    async fn close(self) -> anyhow::Result<()> {
        self.store.release_shards(self.owner).await.context("cannot give the shards back")?;
        self.store.close().await;
        Ok(())
    }
}

/// A journal of about the size that a webhook with three pure nodes leaves once it is compressed; readable as any other.
fn journal_body() -> serde_json::Result<Vec<u8>> {
    let order = json!({
        "body": { "id": 123_456, "amount": 75.5, "customer": { "name": "Ada Lovelace", "email": "ada@example.org", "tier": "gold" } },
        "note": "the quick brown fox jumps over the lazy dog and runs away from it, again and again, until neither wants to play",
        "tags": ["alpha", "beta", "gamma", "delta"],
    });
    let items = Arc::new(vec![Item::from_value(order)]);
    let created = Event::Created {
        trigger: TriggerKind::Webhook,
        start_node: "hook".into(),
        items,
        nesting: 0,
        parent: None,
        context: None,
    };
    let finished = Event::Finished { status: ExecutionStatus::Succeeded, error: None };
    serde_json::to_vec(&[created, finished].map(|event| Recorded { at: clock::now_ms(), event }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ExecutionFilter, PageRequest};

    #[tokio::test]
    async fn fills_a_store_that_another_can_use_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("a.db").display());
        let workflow = WorkflowId::from_uuid(clock::new_uuid());
        let mut seen = Vec::new();
        fill(&url, workflow, FILL_BATCH + 3, |filled| seen.push(filled)).await.unwrap();
        assert_eq!(seen, [FILL_BATCH, FILL_BATCH + 3]);

        let store = open(&OpenOptions::new(url)).await.unwrap();
        let filter = ExecutionFilter { workflow: Some(workflow), ..ExecutionFilter::default() };
        let rows = store.list_executions(WorkspaceId::DEFAULT, &filter, &PageRequest { after: None, limit: 10_000 }).await;
        let rows = rows.unwrap();
        assert_eq!(u64::try_from(rows.len()).unwrap(), FILL_BATCH + 3);
        assert_eq!(rows[0].state.status, ExecutionStatus::Succeeded);
        let journal = store.load_journal(rows[0].id, 0, 10).await.unwrap();
        let events: Vec<Recorded> = serde_json::from_slice(&journal[0].body.bytes).unwrap();
        assert_eq!(u32::try_from(events.len()).unwrap(), journal[0].count);
        store.close().await;
    }

    #[tokio::test]
    async fn counts_commits_of_several_writers() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("a.db").display());
        assert!(single_row_commits(&url, 2, Duration::from_millis(50)).await.unwrap() > 0.0);
    }
}
