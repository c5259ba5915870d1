//! Writes the rows that wait: one actor per process. Parent: the root supervisor (started again whatever it died of). It writes all
//! rows of one workspace that stand at the head of the queue in one commit, in a task, and takes them off the queue once they are
//! stored. Bounds: [`BATCH_MAX`] rows of one commit; its mailbox holds one wake-up per row at most.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinHandle;

use super::{AuditHandle, Waiting, lose};
use crate::{
    model::{audit::AuditRecord, ids::WorkspaceId},
    store::{Store, StoreError},
};

/// Rows of one commit.
const BATCH_MAX: usize = 200;
/// First and largest pause between two tries of a store that cannot be reached, in milliseconds.
const RETRY_PAUSE_MS: (u64, u64) = (50, 2_000);

/// Messages of the writer.
pub(super) enum AuditMsg {
    /// Handle -> writer: a row waits.
    Wake,
    /// The writing task -> writer: nothing waited any more when it looked.
    Written,
}

crate::actors::metering::metered!(AuditMsg);

/// The writer's memory.
pub(super) struct AuditState {
    handle: AuditHandle,
    /// The running write; aborted when the writer ends. What it was at is still in the queue, and a row is stored once.
    writing: Option<AbortOnDrop>,
}

pub(super) struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The actor.
pub(super) struct AuditWriter;

impl Actor for AuditWriter {
    type Msg = AuditMsg;
    type State = AuditState;
    type Arguments = AuditHandle;

    async fn pre_start(&self, myself: ActorRef<AuditMsg>, handle: AuditHandle) -> Result<AuditState, ActorProcessingErr> {
        myself.cast(AuditMsg::Wake)?;
        Ok(AuditState { handle, writing: None })
    }

    async fn handle(&self, myself: ActorRef<AuditMsg>, msg: AuditMsg, state: &mut AuditState) -> Result<(), ActorProcessingErr> {
        if matches!(msg, AuditMsg::Written) {
            state.writing = None;
        }
        if state.writing.is_none() && !state.handle.queue().is_empty() {
            let handle = state.handle.clone();
            #[expect(clippy::disallowed_methods, reason = "the writer's state owns the task and aborts it")]
            let task = tokio::spawn(async move {
                write_all(&handle).await;
                // The writer is gone only when the process stops.
                let _ = myself.cast(AuditMsg::Written);
            });
            state.writing = Some(AbortOnDrop(task));
        }
        Ok(())
    }
}

/// Writes until nothing waits.
async fn write_all(handle: &AuditHandle) {
    let store = &handle.inner.store;
    while let Some((workspace, records)) = next_batch(handle) {
        let written = append_until_answered(store, workspace, &records).await;
        if written.is_ok() || records.len() == 1 {
            settle(handle, &records, written);
            continue;
        }
        // One bad row does not take its neighbours along.
        for record in &records {
            let alone = std::slice::from_ref(record);
            settle(handle, alone, append_until_answered(store, workspace, alone).await);
        }
    }
}

/// Takes rows off the queue and tells whoever waits for them.
fn settle(handle: &AuditHandle, records: &[AuditRecord], written: Result<(), StoreError>) {
    let done = take_off(handle, records);
    match written {
        Ok(()) => {
            counter!("citadel_audit_rows_total").increment(u64::try_from(done.len()).unwrap_or(u64::MAX));
            for told in done.into_iter().filter_map(|waiting| waiting.told) {
                // Who was told to wait may have left.
                let _ = told.send(());
            }
        }
        Err(error) => {
            tracing::error!(error = %error, "the store refuses rows of the audit log");
            done.into_iter().for_each(|waiting| lose(waiting, "the store refuses it"));
        }
    }
}

/// A writer that was killed may be at its last step while the next one begins: what it has taken off is not taken off again.
fn take_off(handle: &AuditHandle, records: &[AuditRecord]) -> Vec<Waiting> {
    let mut queue = handle.queue();
    let mut done = Vec::with_capacity(records.len());
    for record in records {
        if queue.front().is_some_and(|waiting| waiting.record.id == record.id) {
            done.extend(queue.pop_front());
        }
    }
    done
}

/// The rows at the head of the queue that belong to one workspace. They stay there until they are stored.
fn next_batch(handle: &AuditHandle) -> Option<(WorkspaceId, Vec<AuditRecord>)> {
    let queue = handle.queue();
    let workspace = queue.front()?.workspace;
    let batch = queue.iter().take_while(|waiting| waiting.workspace == workspace).take(BATCH_MAX);
    Some((workspace, batch.map(|waiting| waiting.record.clone()).collect()))
}

/// Tries again for as long as the store cannot be reached. A commit whose answer was lost leaves the rows out the next time.
async fn append_until_answered(
    store: &Arc<dyn Store>,
    workspace: WorkspaceId,
    records: &[AuditRecord],
) -> Result<(), StoreError> {
    let mut pause_ms = RETRY_PAUSE_MS.0;
    loop {
        match store.append_audit(workspace, records).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Unavailable { doing, source }) => {
                tracing::warn!(doing, error = %source, pause_ms, "the audit log cannot be written, trying again");
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                pause_ms = (pause_ms * 2).min(RETRY_PAUSE_MS.1);
            }
            Err(error) => return Err(error),
        }
    }
}
