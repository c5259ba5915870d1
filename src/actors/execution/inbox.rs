//! Signals and cancel requests: rows in the store that this execution reads, uses up in a commit, and never uses twice.

use std::{collections::HashSet, sync::Arc};

use ractor::{ActorProcessingErr, ActorRef};
use serde_json::Value;

use super::{ExecutionMsg, Live};
use crate::{
    model::{event::Event, ids::InboxId},
    store::{InboxKind, InboxRow},
};

/// Inbox rows that one read takes.
const INBOX_READ_MAX: u32 = 100;

/// What this execution knows of its inbox.
#[derive(Default)]
pub(super) struct Inbox {
    /// Whether a read is under way.
    pub(super) is_reading: bool,
    /// Whether somebody knocked during the read.
    read_again: bool,
    /// Rows that were used or are kept in `early`.
    seen: HashSet<InboxId>,
    /// Signals that nobody waits for yet.
    early: Vec<InboxRow>,
}

impl Live {
    /// Reads the inbox in a task; the rows come back as a message.
    pub(super) fn read_inbox(&mut self, myself: &ActorRef<ExecutionMsg>) {
        if self.inbox.is_reading {
            self.inbox.read_again = true;
            return;
        }
        self.inbox.is_reading = true;
        let (store, id, actor) = (Arc::clone(&self.engine.store), self.id, myself.clone());
        #[expect(clippy::disallowed_methods, reason = "one bounded read, whose answer a dead actor does not need")]
        tokio::spawn(async move {
            let rows = store.list_inbox(id, INBOX_READ_MAX).await.unwrap_or_else(|error| {
                tracing::warn!(execution.id = %id, error = %error, "inbox not read, the next nudge tries again");
                Vec::new()
            });
            let _ = actor.cast(ExecutionMsg::InboxRead(rows));
        });
    }

    /// Takes in what was read.
    pub(super) async fn inbox_read(&mut self, rows: Vec<InboxRow>) -> Result<(), ActorProcessingErr> {
        self.inbox.is_reading = false;
        if self.machine.ended().is_some() {
            // Its last commit is under way, and the store keeps what nobody takes.
            return Ok(());
        }
        for row in rows {
            if !self.inbox.seen.insert(row.id) {
                continue;
            }
            match row.kind {
                InboxKind::Cancel => {
                    let reason = self.payload_of(&row).await?;
                    self.journal.consumed.push(row.id);
                    self.happened(Event::CancelRequested { reason: reason.as_str().map(str::to_owned) });
                }
                InboxKind::Signal => self.inbox.early.push(row),
            }
        }
        self.take_early_signals().await
    }

    /// Whether a nudge came during the last read. Asked once.
    pub(super) fn take_read_again(&mut self) -> bool {
        std::mem::take(&mut self.inbox.read_again)
    }

    /// Gives the machine the signals that somebody waits for by now.
    pub(super) async fn take_early_signals(&mut self) -> Result<(), ActorProcessingErr> {
        while let Some(place) = self.inbox.early.iter().position(|row| self.machine.wants_signal(&row.name)) {
            let row = self.inbox.early.remove(place);
            let payload = self.payload_of(&row).await?;
            self.journal.consumed.push(row.id);
            self.happened(Event::SignalReceived { name: row.name, payload });
        }
        Ok(())
    }

    async fn payload_of(&self, row: &InboxRow) -> Result<Value, ActorProcessingErr> {
        let bytes = self.engine.codec.decode(&row.body).await?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}
