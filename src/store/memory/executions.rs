//! Rows of executions: lists by cursor, what is live and due, and what goes.

use super::{State, take};
use crate::{
    model::{
        execution::ExecutionStatus,
        ids::{ExecutionId, ScheduleId, WorkspaceId},
    },
    store::{DueExecution, ExecutionCursor, ExecutionFilter, ExecutionRow, PageRequest},
};

/// A row with what its owner counts beside it.
pub(super) struct StoredExecution {
    pub(super) row: ExecutionRow,
    pub(super) activations: u32,
    pub(super) activation_seq: u32,
    /// The schedule whose tick it is.
    pub(super) schedule: Option<ScheduleId>,
}

impl State {
    pub(super) fn find_execution(&self, workspace: WorkspaceId, id: ExecutionId) -> Option<ExecutionRow> {
        self.get_execution(id).filter(|row| row.new.workspace == workspace)
    }

    pub(super) fn get_execution(&self, id: ExecutionId) -> Option<ExecutionRow> {
        self.executions.get(&id).map(|stored| stored.row.clone())
    }

    pub(super) fn list_executions(
        &self,
        workspace: WorkspaceId,
        filter: &ExecutionFilter,
        page: &PageRequest<ExecutionCursor>,
    ) -> Vec<ExecutionRow> {
        let mut rows: Vec<&ExecutionRow> = self
            .executions
            .values()
            .map(|stored| &stored.row)
            .filter(|row| row.new.workspace == workspace && matches(filter, row))
            .filter(|row| page.after.is_none_or(|after| (row.created_at, row.id) < (after.created_at, after.id)))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
        rows.into_iter().take(take(page.limit)).cloned().collect()
    }

    pub(super) fn list_live(&self, shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionId> {
        self.executions
            .values()
            .map(|stored| &stored.row)
            .filter(|row| matches!(row.state.status, ExecutionStatus::Queued | ExecutionStatus::Running))
            .filter(|row| shards.contains(&row.id.shard()) && after.is_none_or(|after| row.id > after))
            .take(take(limit))
            .map(|row| row.id)
            .collect()
    }

    pub(super) fn list_queued(&self, shards: &[u16], limit: u32) -> Vec<ExecutionId> {
        self.executions
            .values()
            .map(|stored| &stored.row)
            .filter(|row| row.state.status == ExecutionStatus::Queued && shards.contains(&row.id.shard()))
            .take(take(limit))
            .map(|row| row.id)
            .collect()
    }

    pub(super) fn list_due(&self, shards: &[u16], until_ms: u64, limit: u32) -> Vec<DueExecution> {
        let mut due: Vec<DueExecution> = self
            .executions
            .values()
            .map(|stored| &stored.row)
            .filter(|row| row.state.status == ExecutionStatus::Waiting && shards.contains(&row.id.shard()))
            .filter_map(|row| row.state.wake_at.map(|wake_at| DueExecution { id: row.id, wake_at }))
            .filter(|due| due.wake_at <= until_ms)
            .collect();
        due.sort_by_key(|due| (due.wake_at, due.id));
        due.truncate(take(limit));
        due
    }

    pub(super) fn record_activation(&mut self, id: ExecutionId, seq: u32) -> u32 {
        let Some(stored) = self.executions.get_mut(&id) else {
            return 0;
        };
        stored.activations = if stored.activation_seq == seq { stored.activations + 1 } else { 1 };
        stored.activation_seq = seq;
        stored.activations
    }

    pub(super) fn clear_activations(&mut self, id: ExecutionId, seq: u32, count: u32) -> bool {
        let found = self.executions.get_mut(&id);
        let counted = found.filter(|stored| count > 0 && (stored.activation_seq, stored.activations) == (seq, count));
        counted.map(|stored| stored.activations = 0).is_some()
    }

    pub(super) fn delete_execution(&mut self, workspace: WorkspaceId, id: ExecutionId) -> bool {
        let is_finished = self.find_execution(workspace, id).is_some_and(|row| row.state.status.is_terminal());
        if is_finished {
            self.remove_execution(id);
        }
        is_finished
    }

    pub(super) fn prune(&mut self, now_ms: u64, limit: u32) -> u64 {
        let mut expired: Vec<(u64, ExecutionId)> = self
            .executions
            .values()
            .map(|stored| &stored.row)
            .filter(|row| row.state.status.is_terminal())
            .filter_map(|row| row.state.expires_at.map(|expires_at| (expires_at, row.id)))
            .filter(|(expires_at, _)| *expires_at < now_ms)
            .collect();
        expired.sort_unstable();
        expired.truncate(take(limit));
        for (_, id) in &expired {
            self.remove_execution(*id);
        }
        self.keys.retain(|_, key| key.expires_at > now_ms);
        self.sessions.retain(|_, session| session.expires_at > now_ms);
        u64::try_from(expired.len()).unwrap_or(u64::MAX)
    }

    /// Whether the execution is there and has not finished.
    pub(super) fn is_live(&self, id: ExecutionId) -> bool {
        self.executions.get(&id).is_some_and(|stored| !stored.row.state.status.is_terminal())
    }

    fn remove_execution(&mut self, id: ExecutionId) {
        self.executions.remove(&id);
        self.journal.retain(|(execution, _), _| *execution != id);
        self.inbox.retain(|(execution, _), _| *execution != id);
        self.snapshots.remove(&id);
    }
}

fn matches(filter: &ExecutionFilter, row: &ExecutionRow) -> bool {
    filter.workflow.is_none_or(|workflow| row.new.workflow == workflow)
        && (filter.statuses.is_empty() || filter.statuses.contains(&row.state.status))
        && filter.trigger.is_none_or(|trigger| row.new.trigger == trigger)
        && filter.created_from.is_none_or(|from| row.created_at >= from)
        && filter.created_until.is_none_or(|until| row.created_at < until)
        && filter.error_code.as_ref().is_none_or(|code| row.state.error_code.as_ref() == Some(code))
        && filter.retry_of.is_none_or(|origin| row.new.retry_of == Some(origin))
        && filter.business_key.as_ref().is_none_or(|key| row.new.business_key.as_ref() == Some(key))
}
