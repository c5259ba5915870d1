//! Messages that wait for executions.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{State, take};
use crate::{
    model::ids::{ExecutionId, InboxId},
    store::{INBOX_ROWS_MAX, InboxRow, PutInbox},
};

impl State {
    pub(super) fn put_inbox(&mut self, row: &InboxRow) -> PutInbox {
        if !self.executions.contains_key(&row.execution) {
            return PutInbox::NoExecution;
        }
        if !self.is_live(row.execution) {
            return PutInbox::Finished;
        }
        if self.is_duplicate(row) {
            return PutInbox::Duplicate;
        }
        if self.inbox_of(row.execution).count() >= take(INBOX_ROWS_MAX) {
            return PutInbox::Full;
        }
        self.insert_inbox(row);
        PutInbox::Stored
    }

    pub(super) fn list_inbox(&self, execution: ExecutionId, limit: u32) -> Vec<InboxRow> {
        let mut rows: Vec<&InboxRow> = self.inbox_of(execution).collect();
        rows.sort_by_key(|row| (row.at, row.id));
        rows.into_iter().take(take(limit)).cloned().collect()
    }

    pub(super) fn list_inbox_owners(&self, shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionId> {
        let owners: BTreeSet<ExecutionId> = self.inbox.keys().map(|(execution, _)| *execution).collect();
        owners
            .into_iter()
            .filter(|id| shards.contains(&id.shard()) && after.is_none_or(|after| *id > after))
            .take(take(limit))
            .collect()
    }

    pub(super) fn delete_inbox(&mut self, execution: ExecutionId, id: InboxId) -> bool {
        self.inbox.remove(&(execution, id)).is_some()
    }

    /// Stores the row unless it is there already.
    pub(super) fn insert_inbox(&mut self, row: &InboxRow) {
        if !self.is_duplicate(row) {
            self.inbox.insert((row.execution, row.id), row.clone());
        }
    }

    fn is_duplicate(&self, row: &InboxRow) -> bool {
        self.inbox_of(row.execution).any(|stored| {
            stored.id == row.id || (row.dedupe_key.is_some() && stored.dedupe_key == row.dedupe_key && stored.name == row.name)
        })
    }

    fn inbox_of(&self, execution: ExecutionId) -> impl Iterator<Item = &InboxRow> {
        let (first, last) = (InboxId::from_uuid(Uuid::nil()), InboxId::from_uuid(Uuid::max()));
        self.inbox.range((execution, first)..=(execution, last)).map(|(_, row)| row)
    }
}
