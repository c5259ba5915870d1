//! Appends: every check first, so that a refused batch leaves no trace.

use super::{State, executions::StoredExecution, take};
use crate::{
    model::ids::{ExecutionId, ScheduleId},
    store::{
        Append, AppendOutcome, ExecutionRow, IdempotencyKey, InboxRow, JournalRow, KeyedOutcome, Result,
        journal::{Epochs, check_batch, conflict, constraints, first_state},
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

    pub(super) fn create_keyed(&mut self, append: &Append, key: &IdempotencyKey) -> Result<KeyedOutcome> {
        let id = (key.workspace, key.scope.clone(), key.key.clone());
        if let Some(stored) = self.keys.get(&id).filter(|stored| stored.expires_at > key.now_ms) {
            return Ok(KeyedOutcome::Exists { execution: stored.execution, request_hash: stored.request_hash });
        }
        match self.append_batch(std::slice::from_ref(append))?[..] {
            [AppendOutcome::Committed] => {
                let (execution, request_hash, expires_at) = (append.execution, key.request_hash, key.expires_at);
                self.keys.insert(id, StoredKey { execution, request_hash, expires_at });
                Ok(KeyedOutcome::Created)
            }
            _ => Ok(KeyedOutcome::Fenced),
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
