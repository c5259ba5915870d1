//! Following an execution: its journal from a place on, and what is committed later, without a gap and without a double.
//!
//! Everything comes from the journal. What this process commits is told at once, so the follower looks again right then; ends
//! and events of other processes are found by looking every [`POLL_MS`]. A slow reader keeps nothing but its place.
//! Bounds: [`PAGE_ROWS`] journal rows and the events of one of them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{ExecutionsHandle, ReadError};
use crate::{
    actors::{engine::Engine, followers::News},
    model::{
        event::Recorded,
        execution::ExecutionStatus,
        ids::{ExecutionId, WorkspaceId},
    },
    store::{ExecutionRow, JournalRow},
};

/// Pause between two looks at the journal without news, in milliseconds.
const POLL_MS: u64 = 2_000;
/// Journal rows that one look takes: with what a row may hold inline, 4 MiB.
const PAGE_ROWS: u32 = 16;

/// What a follower comes across.
#[derive(Debug)]
pub enum Followed {
    Event {
        seq: u32,
        recorded: Recorded,
    },
    /// There will be no more.
    End(FollowedEnd),
}

/// How a followed execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedEnd {
    /// `None` if the execution was deleted.
    pub status: Option<ExecutionStatus>,
    pub error_code: Option<String>,
}

/// Follows one execution.
pub struct EventFollower {
    engine: Arc<Engine>,
    workspace: WorkspaceId,
    execution: ExecutionId,
    /// Number of the next event to give out.
    next_seq: u32,
    /// Events of the row in hand, the next one first.
    events: VecDeque<Recorded>,
    /// Rows that are not unpacked yet.
    rows: VecDeque<JournalRow>,
    news: News,
    is_over: bool,
}

impl ExecutionsHandle {
    /// Follows an execution from the event number `from_seq` on; `None` if it is not in the workspace.
    pub async fn follow_events(
        &self,
        workspace: WorkspaceId,
        execution: ExecutionId,
        from_seq: u32,
    ) -> Result<Option<EventFollower>, ReadError> {
        let found = self.engine.store.find_execution(workspace, execution).await.map_err(ReadError::Unavailable)?;
        Ok(found.map(|_| EventFollower {
            engine: Arc::clone(&self.engine),
            workspace,
            execution,
            next_seq: from_seq,
            events: VecDeque::new(),
            rows: VecDeque::new(),
            news: self.engine.followers.listen(execution),
            is_over: false,
        }))
    }
}

impl EventFollower {
    /// The next event or the end; waits for it. `None` after the end. A caller that gives up waiting can ask again.
    pub async fn next(&mut self) -> Result<Option<Followed>, ReadError> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            if let Some((seq, recorded)) = self.next_stored().await? {
                return Ok(Some(Followed::Event { seq, recorded }));
            }
            if let Some(end) = self.find_end().await? {
                self.is_over = true;
                return Ok(Some(Followed::End(end)));
            }
            if self.rows.is_empty() {
                // Both answers lead to another look at the journal.
                let _ = tokio::time::timeout(Duration::from_millis(POLL_MS), self.news.next()).await;
            }
        }
    }

    /// The next event that is in the journal by now, with its number; `None` if there is none yet.
    pub async fn next_stored(&mut self) -> Result<Option<(u32, Recorded)>, ReadError> {
        loop {
            if let Some(recorded) = self.events.pop_front() {
                let seq = self.next_seq;
                self.next_seq += 1;
                return Ok(Some((seq, recorded)));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Unpacks the next row. `false` if there is none yet.
    async fn read(&mut self) -> Result<bool, ReadError> {
        if self.rows.is_empty() {
            self.load().await?;
        }
        let Some(row) = self.rows.front() else { return Ok(false) };
        let unreadable = |source: ractor::ActorProcessingErr| ReadError::Journal { execution: self.execution, source };
        let skipped = self.next_seq.checked_sub(row.seq).and_then(|events| usize::try_from(events).ok());
        let skipped = skipped.ok_or_else(|| unreadable(format!("there is a gap before {}", row.seq).into()))?;
        let bytes = self.engine.codec.decode(&row.body).await.map_err(|error| unreadable(error.into()))?;
        let events: Vec<Recorded> = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.into()))?;
        self.events = events.into_iter().skip(skipped).collect();
        self.rows.pop_front();
        Ok(!self.events.is_empty())
    }

    async fn load(&mut self) -> Result<(), ReadError> {
        let rows = self.engine.store.load_journal(self.execution, self.next_seq, PAGE_ROWS).await;
        self.rows = rows.map_err(ReadError::Unavailable)?.into();
        Ok(())
    }

    /// How the execution ended, if it has and nothing is left to give out.
    async fn find_end(&mut self) -> Result<Option<FollowedEnd>, ReadError> {
        let row = self.engine.store.find_execution(self.workspace, self.execution).await.map_err(ReadError::Unavailable)?;
        let Some(ExecutionRow { state, .. }) = row else {
            return Ok(Some(FollowedEnd { status: None, error_code: None }));
        };
        if !state.status.is_terminal() {
            return Ok(None);
        }
        // The end may have been committed after the last look at the journal, but nothing comes after it.
        self.load().await?;
        let end = FollowedEnd { status: Some(state.status), error_code: state.error_code };
        Ok(self.rows.is_empty().then_some(end))
    }
}
