//! The way to executions: start, cancel, signal, look, wait. HTTP, the command line and sub-workflows hold this handle.
//! A command is durable when its call returns; nudging the owner is a hint only.

mod batches;
mod claims;
mod follow;
mod read;
mod retry;
mod search;
mod start;

use std::sync::Arc;

use serde_json::Value;

pub use self::{
    batches::{BATCH_IDS_MAX, BATCH_ITEMS_MAX, BatchBody, BatchError, BatchRequest, BatchTargets, CreatedBatch, Selected},
    claims::{CANCEL_MS_MAX, Idempotency},
    follow::{EventFollower, Followed, FollowedEnd},
    read::{History, ReadError},
    retry::{RetryError, RetryRequest},
    search::{Found, SEARCH_ROWS_MAX, Search, SearchText},
    start::{Answer, FinishedExecution, StartError, StartRequest, Started, Wait, WaitUntil},
};
use super::{engine::Engine, execution_supervisor::nudge};
use crate::{
    clock,
    model::{
        after_crash,
        history::node_runs,
        ids::{ExecutionId, InboxId, WorkspaceId},
        problem::Problem,
    },
    nodes::approval::check_decision,
    store::{InboxKind, InboxRow, PutInbox, StoreError},
};

/// A cheap clone per holder.
#[derive(Clone)]
pub struct ExecutionsHandle {
    engine: Arc<Engine>,
}

/// Why a command was refused.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("there is no such execution")]
    NotFound,
    #[error("the execution has finished")]
    Finished,
    #[error("the execution has not finished")]
    Running,
    #[error("too many messages wait for the execution")]
    InboxFull,
    #[error("the payload is not what the execution waits for")]
    InvalidPayload(Vec<Problem>),
    #[error("the execution could not be read")]
    Unreadable(#[source] ReadError),
    #[error("the command could not be stored")]
    Unavailable(#[source] StoreError),
}

/// A message to a waiting execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    pub name: String,
    pub payload: Value,
    /// A second signal with the same name and key is dropped.
    pub dedupe_key: Option<String>,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalOutcome {
    Accepted,
    Duplicate,
}

impl ExecutionsHandle {
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// Asks an execution to end as `cancelled`. Durable when it returns.
    pub async fn cancel(&self, workspace: WorkspaceId, id: ExecutionId, reason: Option<String>) -> Result<(), CommandError> {
        let payload = reason.map_or(Value::Null, Value::String);
        self.put(workspace, id, InboxKind::Cancel, String::new(), &payload, Some("cancel".to_owned())).await.map(|_| ())
    }

    /// Sends a signal. It waits in the inbox until the execution asks for it. Durable when it returns.
    ///
    /// Errors: `InvalidPayload` if an approval or an interrupted attempt waits for it and could not read it; see [`CommandError`].
    pub async fn signal(&self, workspace: WorkspaceId, id: ExecutionId, signal: Signal) -> Result<SignalOutcome, CommandError> {
        self.check_payload(workspace, id, &signal).await?;
        self.put(workspace, id, InboxKind::Signal, signal.name, &signal.payload, signal.dedupe_key).await
    }

    /// Looks whether a run waits for this signal, and whether the payload is fit for it: a slip is better told than journaled.
    async fn check_payload(&self, workspace: WorkspaceId, id: ExecutionId, signal: &Signal) -> Result<(), CommandError> {
        let history = self.history(workspace, id).await.map_err(CommandError::Unreadable)?.ok_or(CommandError::NotFound)?;
        let new = &history.row.new;
        // A version that cannot be read has nobody who waits; the signal is kept all the same.
        let Ok(plan) = self.engine.workflows.compiled(workspace, new.workflow, new.version).await else { return Ok(()) };
        let runs = node_runs(&plan.graph, &plan.definition, &history.events);
        let wait = runs.iter().filter_map(|run| run.wait.as_ref()).find(|wait| wait.signals.contains(&signal.name));
        let checked = match wait {
            Some(wait) if after_crash::is_state(&wait.state) => after_crash::read(&signal.payload).map(|_| ()),
            Some(wait) => check_decision(&wait.state, &signal.payload),
            None => Ok(()),
        };
        checked.map_err(CommandError::InvalidPayload)
    }

    /// Deletes an execution that has finished, with its journal.
    ///
    /// Errors: `Running`, `NotFound`, `Unavailable`.
    pub async fn delete(&self, workspace: WorkspaceId, id: ExecutionId) -> Result<(), CommandError> {
        if self.engine.store.delete_execution(workspace, id).await.map_err(CommandError::Unavailable)? {
            return Ok(());
        }
        match self.status(workspace, id).await.map_err(CommandError::Unavailable)? {
            Some(_) => Err(CommandError::Running),
            None => Err(CommandError::NotFound),
        }
    }

    async fn put(
        &self,
        workspace: WorkspaceId,
        id: ExecutionId,
        kind: InboxKind,
        name: String,
        payload: &Value,
        dedupe_key: Option<String>,
    ) -> Result<SignalOutcome, CommandError> {
        let store = &self.engine.store;
        let found = store.find_execution(workspace, id).await.map_err(CommandError::Unavailable)?;
        let row = found.ok_or(CommandError::NotFound)?;
        if row.state.status.is_terminal() {
            return Err(CommandError::Finished);
        }
        let json = serde_json::to_vec(payload).expect("a JSON value can be written");
        let body = self.engine.codec.encode(json).await.map_err(CommandError::Unavailable)?;
        let at = clock::now_ms();
        let row = InboxRow { id: InboxId::from_uuid(clock::new_uuid()), execution: id, kind, name, dedupe_key, body, at };
        let outcome = match store.put_inbox(&row).await.map_err(CommandError::Unavailable)? {
            PutInbox::Stored => SignalOutcome::Accepted,
            PutInbox::Duplicate => SignalOutcome::Duplicate,
            PutInbox::NoExecution => return Err(CommandError::NotFound),
            PutInbox::Finished => return Err(CommandError::Finished),
            PutInbox::Full => return Err(CommandError::InboxFull),
        };
        nudge(&self.engine, id);
        Ok(outcome)
    }

    /// Refuses new starts from now on, and lets running executions stop at their next node.
    pub fn drain(&self) {
        self.engine.is_draining.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Executions in memory that wait for a place among those of their workflow.
    pub fn queued(&self) -> usize {
        self.engine.places.queued()
    }

    /// Executions in memory.
    pub fn live(&self) -> usize {
        self.engine.directory.len()
    }
}
