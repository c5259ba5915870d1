//! Appends: every check first, so that a refused batch leaves no trace.

use super::{State, executions::StoredExecution, take};
use crate::{
    model::ids::{ExecutionId, ScheduleId, WorkspaceId},
    store::{
        Append, AppendOutcome, ExclusiveOutcome, ExecutionRow, IdempotencyKey, InboxRow, JournalRow, KeyedOutcome, OnTaken,
        Result, Snapshot,
        journal::{Epochs, check_batch, conflict, constraints, exclusive, first_state, keyed},
    },
};

/// What an idempotency key leads to.
pub(super) struct StoredKey {
    pub(super) execution: ExecutionId,
    pub(super) request_hash: [u8; 32],
    pub(super) expires_at: u64,
}

impl State {
    pub(super) fn append_batch(&mut self, batch: &[Append]) -> Result<Vec<AppendOutcome>> {
        check_batch(batch)?;
        let epochs = self.epochs();
        let admitted: Vec<&Append> = batch.iter().filter(|append| epochs.admits(append)).collect();
        for append in &admitted {
            self.check(append)?;
        }
        // A message goes to whoever could receive it before this batch, as one SQL statement sees it.
        let notes: Vec<&InboxRow> =
            admitted.iter().flat_map(|append| &append.notify).filter(|note| self.is_live(note.execution)).collect();
        for append in &admitted {
            self.write(append);
        }
        for note in notes {
            self.insert_inbox(note);
        }
        Ok(epochs.outcomes(batch))
    }

    pub(super) fn find_snapshot(&self, execution: ExecutionId) -> Option<Snapshot> {
        self.snapshots.get(&execution).cloned()
    }

    pub(super) fn create_keyed(&mut self, append: &Append, key: &IdempotencyKey) -> Result<KeyedOutcome> {
        self.create(append, Some(key), None).map(keyed)
    }

    pub(super) fn create_exclusive(
        &mut self,
        append: &Append,
        key: Option<&IdempotencyKey>,
        on_taken: OnTaken,
    ) -> Result<ExclusiveOutcome> {
        exclusive(append)?;
        self.create(append, key, Some(on_taken))
    }

    /// Creates one execution; with `on_taken` only if its business key is free.
    fn create(&mut self, append: &Append, key: Option<&IdempotencyKey>, on_taken: Option<OnTaken>) -> Result<ExclusiveOutcome> {
        if let Some(stored) = key.and_then(|key| self.keys.get(&key_of(key)).filter(|stored| stored.expires_at > key.now_ms)) {
            return Ok(ExclusiveOutcome::Exists { execution: stored.execution, request_hash: stored.request_hash });
        }
        let taken = match on_taken {
            Some(on_taken) => self.find_taken(append)?.map(|execution| (execution, on_taken)),
            None => None,
        };
        if let Some((execution, on_taken)) = taken {
            if let (OnTaken::Adopt, Some(key)) = (on_taken, key) {
                self.keep_key(key, execution);
            }
            return Ok(ExclusiveOutcome::Taken { execution });
        }
        match self.append_batch(std::slice::from_ref(append))?[..] {
            [AppendOutcome::Committed] => {
                if let Some(key) = key {
                    self.keep_key(key, append.execution);
                }
                Ok(ExclusiveOutcome::Created)
            }
            _ => Ok(ExclusiveOutcome::Fenced),
        }
    }

    pub(super) fn create_queued(&mut self, append: &Append, schedule: Option<ScheduleId>) -> Result<bool> {
        if self.executions.contains_key(&append.execution) {
            return Ok(false);
        }
        let epoch = self.shards[usize::from(append.execution.shard())].epoch;
        self.append_batch(&[Append { epoch, ..append.clone() }])?;
        if let Some(stored) = self.executions.get_mut(&append.execution) {
            stored.schedule = schedule;
        }
        Ok(true)
    }

    /// The newest live execution with the workspace, workflow and business key of the one that is to be created.
    fn find_taken(&self, append: &Append) -> Result<Option<ExecutionId>> {
        let (new, business_key) = exclusive(append)?;
        let is_same = |row: &&ExecutionRow| {
            let stored = &row.new;
            (stored.workspace, stored.workflow) == (new.workspace, new.workflow)
                && stored.business_key.as_deref() == Some(business_key)
        };
        let rows = self.executions.values().map(|stored| &stored.row);
        let live = rows.filter(|row| !row.state.status.is_terminal()).filter(is_same);
        Ok(live.max_by_key(|row| (row.created_at, row.id)).map(|row| row.id))
    }

    fn keep_key(&mut self, key: &IdempotencyKey, execution: ExecutionId) {
        let stored = StoredKey { execution, request_hash: key.request_hash, expires_at: key.expires_at };
        self.keys.insert(key_of(key), stored);
    }

    pub(super) fn load_journal(&self, execution: ExecutionId, from_seq: u32, limit: u32) -> Vec<JournalRow> {
        let upto = self.journal.range((execution, 0)..=(execution, from_seq)).next_back();
        let first = upto.map_or(from_seq, |((_, seq), _)| *seq);
        let rows = self.journal.range((execution, first)..=(execution, u32::MAX)).map(|(_, row)| row);
        rows.filter(|row| row.seq.saturating_add(row.count) > from_seq).take(take(limit)).cloned().collect()
    }

    pub(super) fn find_journal_epoch(&self, execution: ExecutionId, seq: u32) -> Option<i64> {
        self.journal.get(&(execution, seq)).map(|row| row.epoch)
    }

    fn epochs(&self) -> Epochs {
        Epochs::new(self.shards.iter().map(|shard| shard.epoch).collect()).expect("there is an epoch per shard")
    }

    fn check(&self, append: &Append) -> Result<()> {
        match append.create {
            Some(_) if self.executions.contains_key(&append.execution) => Err(conflict(constraints::EXECUTIONS_KEY)),
            None if !self.is_live(append.execution) => Err(conflict(constraints::EXECUTIONS_LIVE)),
            _ if self.journal.contains_key(&(append.execution, append.entry.seq)) => Err(conflict(constraints::JOURNAL_KEY)),
            _ => Ok(()),
        }
    }

    fn write(&mut self, append: &Append) {
        let id = append.execution;
        if let Some(new) = &append.create {
            let row = ExecutionRow { id, new: new.clone(), state: first_state(append).clone(), created_at: append.created_at };
            self.executions.insert(id, StoredExecution { row, activations: 0, activation_seq: 0, schedule: None });
        } else if let (Some(state), Some(stored)) = (&append.state, self.executions.get_mut(&id)) {
            stored.row.state = state.clone();
        }
        self.journal.insert((id, append.entry.seq), JournalRow { epoch: append.epoch, ..append.entry.clone() });
        for message in &append.consumed {
            self.inbox.remove(&(id, *message));
        }
        if let Some(snapshot) = &append.snapshot {
            self.snapshots.insert(id, snapshot.clone());
        }
    }
}

/// Where a key is kept.
fn key_of(key: &IdempotencyKey) -> (WorkspaceId, String, String) {
    (key.workspace, key.scope.clone(), key.key.clone())
}
