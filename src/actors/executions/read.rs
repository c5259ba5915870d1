//! Looking at executions: what the store and the journal say, and waiting for an end.

use std::time::Duration;

use tokio::time::Instant;

use super::{ExecutionsHandle, FinishedExecution};
use crate::{
    actors::execution::read_events,
    model::{
        event::{Event, Recorded, Response},
        execution::ExecutionStatus,
        history,
        ids::{ExecutionId, WorkspaceId},
    },
    store::{ExecutionRow, StoreError},
};

/// Pause between two looks at the store while waiting, in milliseconds: ends in this process are told at once.
const POLL_MS: u64 = 500;

/// An execution and everything that happened to it.
#[derive(Debug)]
pub struct History {
    pub row: ExecutionRow,
    pub events: Vec<Recorded>,
}

/// Why an execution cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the execution could not be read")]
    Unavailable(#[source] StoreError),
    #[error("the journal of {execution} cannot be read")]
    Journal {
        execution: ExecutionId,
        #[source]
        source: ractor::ActorProcessingErr,
    },
}

impl ExecutionsHandle {
    /// Row and events of an execution; `None` if it is not in the workspace.
    pub async fn history(&self, workspace: WorkspaceId, id: ExecutionId) -> Result<Option<History>, ReadError> {
        let found = self.engine.store.find_execution(workspace, id).await.map_err(ReadError::Unavailable)?;
        let Some(row) = found else { return Ok(None) };
        let events = read_events(&self.engine, id).await.map_err(|source| ReadError::Journal { execution: id, source })?;
        Ok(Some(History { row, events }))
    }

    /// The status of an execution; `None` if it is not in the workspace.
    pub async fn status(&self, workspace: WorkspaceId, id: ExecutionId) -> Result<Option<ExecutionStatus>, StoreError> {
        Ok(self.engine.store.find_execution(workspace, id).await?.map(|row| row.state.status))
    }

    /// Whether there is an execution of this id, in any workspace.
    pub async fn exists(&self, id: ExecutionId) -> Result<bool, StoreError> {
        Ok(self.engine.store.get_execution(id).await?.is_some())
    }

    /// Waits until an execution has ended; `None` if it has not within `timeout`, or is not in the workspace.
    pub async fn wait(
        &self,
        workspace: WorkspaceId,
        id: ExecutionId,
        timeout: Duration,
    ) -> Result<Option<FinishedExecution>, ReadError> {
        let deadline = Instant::now() + timeout;
        let mut ends = self.engine.ends.listen(id);
        let ended = loop {
            let row = self.engine.store.find_execution(workspace, id).await.map_err(ReadError::Unavailable)?;
            let Some(row) = row else { break false };
            if row.state.status.is_terminal() {
                break true;
            }
            if Instant::now() >= deadline {
                break false;
            }
            let pause = (Instant::now() + Duration::from_millis(POLL_MS)).min(deadline);
            // Both answers lead to another look at the store.
            let _ = tokio::time::timeout_at(pause, ends.changed()).await;
        };
        self.engine.ends.leave(id, ends);
        if ended { self.finished(workspace, id).await } else { Ok(None) }
    }

    /// What a `respond` node of the execution has answered.
    pub(super) async fn response(&self, workspace: WorkspaceId, id: ExecutionId) -> Result<Option<Response>, ReadError> {
        let events = self.history(workspace, id).await?.map_or_else(Vec::new, |history| history.events);
        Ok(events.into_iter().find_map(|recorded| match recorded.event {
            Event::NodeSucceeded { response, .. } => response,
            _ => None,
        }))
    }

    /// How an execution ended; `None` if it has not.
    pub async fn finished(&self, workspace: WorkspaceId, id: ExecutionId) -> Result<Option<FinishedExecution>, ReadError> {
        let Some(History { row, events }) = self.history(workspace, id).await? else { return Ok(None) };
        let end = events.iter().find_map(|recorded| match &recorded.event {
            Event::Finished { status, error } => Some((*status, error.clone())),
            _ => None,
        });
        let Some((status, error)) = end else { return Ok(None) };
        let compiled = self.engine.workflows.compiled(workspace, row.new.workflow, row.new.version).await;
        // A version that is gone takes the shape of the result with it, not the fact of the end.
        let result = compiled.map_or_else(|_| Vec::new(), |plan| history::result_items(&plan.graph, &events));
        Ok(Some(FinishedExecution { status, error, result }))
    }
}
