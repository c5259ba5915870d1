//! Works off batches: one action on many executions. Parent: the root supervisor. The rows are the truth, and what a batch does to an
//! execution can be done again: a chunk that a crash has cut off is done from its beginning, and nothing happens twice.
//!
//! A process works off the batches whose id lies in a shard that it owns, chunk by chunk in turn. Bounds: [`OPEN_ROWS_MAX`] batches
//! at a time, [`ACTS_AT_ONCE`] executions at once.

mod act;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::Serialize;
use tokio::task::JoinHandle;

use self::act::Acted;
use super::{
    engine::Engine,
    executions::{BatchBody, ExecutionsHandle},
};
use crate::{
    clock, failpoint,
    model::ids::{BatchId, ExecutionId},
    store::{BatchProgress, BatchRow, StoreError},
};

/// Pause between two looks for batches, in milliseconds; a new one knocks by itself.
const LOOK_EVERY_MS: u64 = 5_000;
/// Batches that one look takes.
const OPEN_ROWS_MAX: u32 = 100;
/// Pause before the next try, where the process had no room for any execution of any batch, in milliseconds.
const NO_ROOM_MS: u64 = 500;
/// Executions between two records of how far a batch is.
const CHUNK_ITEMS: usize = 50;
/// Executions that are acted on at the same time.
const ACTS_AT_ONCE: usize = 8;
/// Failures that a batch keeps.
const ERRORS_MAX: usize = 20;

/// Messages of the runner.
pub enum BatchRunnerMsg {
    /// Timer, handle -> runner: look for batches.
    Look,
    /// The working task -> runner: there is nothing left to do.
    Rested,
}

super::metering::metered!(BatchRunnerMsg);

/// The runner's memory.
pub struct BatchRunnerState {
    engine: Arc<Engine>,
    task: Option<AbortOnDrop>,
    /// Whether somebody knocked during the work.
    look_again: bool,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One execution that went wrong. **Shape** in the store and in the API: `{ execution_id, code, message }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ItemError {
    execution_id: ExecutionId,
    code: &'static str,
    message: String,
}

/// The actor.
pub struct BatchRunner;

impl Actor for BatchRunner {
    type Msg = BatchRunnerMsg;
    type State = BatchRunnerState;
    type Arguments = Arc<Engine>;

    async fn pre_start(
        &self,
        myself: ActorRef<BatchRunnerMsg>,
        engine: Arc<Engine>,
    ) -> Result<BatchRunnerState, ActorProcessingErr> {
        myself.cast(BatchRunnerMsg::Look)?;
        // The interval ends with the actor.
        drop(myself.send_interval(Duration::from_millis(LOOK_EVERY_MS), || BatchRunnerMsg::Look));
        Ok(BatchRunnerState { engine, task: None, look_again: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<BatchRunnerMsg>,
        msg: BatchRunnerMsg,
        state: &mut BatchRunnerState,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            BatchRunnerMsg::Look if state.task.is_some() => state.look_again = true,
            BatchRunnerMsg::Look => state.work(myself),
            BatchRunnerMsg::Rested => {
                state.task = None;
                if std::mem::take(&mut state.look_again) {
                    state.work(myself);
                }
            }
        }
        Ok(())
    }
}

impl BatchRunnerState {
    fn work(&mut self, myself: ActorRef<BatchRunnerMsg>) {
        let engine = Arc::clone(&self.engine);
        #[expect(clippy::disallowed_methods, reason = "the actor's state owns the task and aborts it")]
        let task = tokio::spawn(async move {
            if let Err(error) = work_off(&engine).await {
                tracing::warn!(error = %error, "batches left for the next look");
            }
            // The runner is gone only when the process stops.
            let _ = myself.cast(BatchRunnerMsg::Rested);
        });
        self.task = Some(AbortOnDrop(task));
    }
}

/// Does a chunk of each batch in turn, until none is left.
async fn work_off(engine: &Arc<Engine>) -> Result<(), StoreError> {
    let executions = ExecutionsHandle::new(Arc::clone(engine));
    let mut bodies: HashMap<BatchId, Arc<BatchBody>> = HashMap::new();
    loop {
        let mut open = engine.store.list_open_batches(OPEN_ROWS_MAX).await?;
        open.retain(|batch| engine.ownership.epoch(ExecutionId::from_uuid(batch.id.uuid()).shard()).is_some());
        bodies.retain(|id, _| open.iter().any(|batch| batch.id == *id));
        if open.is_empty() {
            return Ok(());
        }
        let mut progressed = false;
        for batch in open {
            let body = match bodies.get(&batch.id) {
                Some(body) => Arc::clone(body),
                None => match read_body(engine, batch.id).await? {
                    Some(body) => Arc::clone(bodies.entry(batch.id).or_insert(body)),
                    None => continue, // It was cleared away just now.
                },
            };
            if engine.is_draining.load(Ordering::Relaxed) {
                return Ok(());
            }
            progressed |= do_chunk(engine, &executions, &batch, &body).await?;
        }
        if !progressed {
            tokio::time::sleep(Duration::from_millis(NO_ROOM_MS)).await;
        }
    }
}

async fn read_body(engine: &Engine, id: BatchId) -> Result<Option<Arc<BatchBody>>, StoreError> {
    let Some(payload) = engine.store.get_batch_body(id).await? else { return Ok(None) };
    let bytes = engine.codec.decode(&payload).await?;
    let body = serde_json::from_slice(&bytes);
    body.map(|body| Some(Arc::new(body))).map_err(|error| StoreError::Corrupt { what: "batch", source: Box::new(error) })
}

/// Acts on the next executions of a batch, and records how far it is then. `false` if nothing could be done.
async fn do_chunk(
    engine: &Arc<Engine>,
    executions: &ExecutionsHandle,
    batch: &BatchRow,
    body: &BatchBody,
) -> Result<bool, StoreError> {
    let begin = usize::try_from(batch.progress.done).unwrap_or(usize::MAX).min(body.ids.len());
    let chunk: Vec<ExecutionId> = body.ids[begin..].iter().copied().take(CHUNK_ITEMS).collect();
    let acts = chunk.clone().into_iter().map(|id| act::act(executions, batch, body, id));
    let mut acted: Vec<Acted> = stream::iter(acts).buffered(ACTS_AT_ONCE).collect().await;
    // The batch is as far as its first execution that has to wait; what was done of later ones is found done.
    let ready = acted.iter().position(|acted| *acted == Acted::Later).unwrap_or(acted.len());
    acted.truncate(ready);
    if acted.is_empty() && !chunk.is_empty() {
        return Ok(false);
    }
    failpoint!("batch.before_record");
    let progress = advance(batch, &chunk, acted, body.ids.len());
    if engine.store.advance_batch(batch.id, batch.progress.done, &progress).await? && progress.finished_at.is_some() {
        tracing::info!(batch.id = %batch.id, succeeded = progress.succeeded, failed = progress.failed, "batch finished");
    }
    Ok(true)
}

/// How far a batch is after a chunk.
fn advance(batch: &BatchRow, chunk: &[ExecutionId], acted: Vec<Acted>, total: usize) -> BatchProgress {
    let mut progress = batch.progress.clone();
    let mut errors: Vec<serde_json::Value> = serde_json::from_slice(&progress.errors).unwrap_or_default();
    for (id, acted) in chunk.iter().zip(acted) {
        progress.done += 1;
        match acted {
            Acted::Done => progress.succeeded += 1,
            Acted::Failed { code, message } => {
                progress.failed += 1;
                if errors.len() < ERRORS_MAX {
                    errors.push(serde_json::json!(ItemError { execution_id: *id, code, message }));
                }
            }
            Acted::Later => unreachable!("the chunk was cut before it"),
        }
    }
    progress.errors = Bytes::from(serde_json::Value::Array(errors).to_string());
    let is_last = usize::try_from(progress.done).is_ok_and(|done| done >= total);
    progress.finished_at = is_last.then(clock::now_ms);
    progress
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::{
        batch::{BatchAction, BatchStatus},
        ids::WorkspaceId,
    };

    #[test]
    fn counts_and_keeps_the_first_failures() {
        let batch = BatchRow {
            id: BatchId::from_uuid(Uuid::nil()),
            workspace: WorkspaceId::DEFAULT,
            action: BatchAction::Retry,
            status: BatchStatus::Running,
            request_hash: [0; 32],
            created_at: 0,
            total: 60,
            progress: BatchProgress::default(),
        };
        let chunk: Vec<ExecutionId> = (0..50).map(|number| ExecutionId::from_uuid(Uuid::from_u128(number))).collect();
        let failed = || Acted::Failed { code: "boom", message: "m".to_owned() };
        let acted = (0..50).map(|number| if number % 2 == 0 { Acted::Done } else { failed() }).collect();
        let progress = advance(&batch, &chunk, acted, 60);
        assert_eq!((progress.done, progress.succeeded, progress.failed, progress.finished_at), (50, 25, 25, None));
        let errors: Vec<serde_json::Value> = serde_json::from_slice(&progress.errors).unwrap();
        assert_eq!((errors.len(), &errors[0]["code"]), (ERRORS_MAX, &serde_json::json!("boom")));
        assert_eq!(errors[0]["execution_id"], serde_json::json!(chunk[1]));
        let next = BatchRow { progress, ..batch };
        let progress = advance(&next, &chunk[..10], vec![Acted::Done; 10], 60);
        assert_eq!((progress.done, progress.succeeded, progress.failed), (60, 35, 25));
        assert!(progress.finished_at.is_some());
    }
}
