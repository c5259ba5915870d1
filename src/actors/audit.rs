//! The audit log: what was changed, by whom and from where, as a chain of rows per workspace (see `model::audit`). Everything that
//! changes something calls [`AuditHandle::record`] once the change is stored.
//!
//! Rows wait in a queue of this process, outside of the actor that writes them: whatever ends the actor, they are written by the
//! next one. A store that cannot be reached is tried again for as long as it takes. Bounds: [`QUEUE_MAX`] rows wait; a row that
//! finds no place is in the log of the process instead, and counted.

mod refusals;
mod writer;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::counter;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use self::{
    refusals::Refusals,
    writer::{AuditMsg, AuditWriter},
};
use super::supervisor::{ChildSpec, ServiceRef};
pub use crate::model::audit::{AuditEntry, AuditEvent, Origin, Who};
use crate::{
    clock,
    model::{
        audit::{AuditRecord, Digest},
        ids::{AuditId, WorkspaceId},
    },
    store::{AuditChain, AuditFilter, AuditOrder, AuditRow, PageRequest, Result, Store},
};

/// Rows that may wait for the store.
const QUEUE_MAX: usize = 10_000;
/// How long a change waits for its row. The row is written in any case.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// Pause between two looks whether everything is written.
const FLUSH_POLL: Duration = Duration::from_millis(10);

/// The way to the audit log. Cheap to clone.
#[derive(Clone)]
pub struct AuditHandle {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    queue: Mutex<VecDeque<Waiting>>,
    writer: ServiceRef<AuditMsg>,
    refusals: Refusals,
}

/// A row on its way.
struct Waiting {
    workspace: WorkspaceId,
    record: AuditRecord,
    /// Told when the row is stored.
    told: Option<oneshot::Sender<()>>,
}

/// The SHA-256 of what a thing is, for [`AuditEntry::changed`]. Not for secrets, nor for anything that holds one.
pub fn digest(content: &[u8]) -> Digest {
    Digest(Sha256::digest(content).into())
}

impl AuditHandle {
    pub fn new(store: Arc<dyn Store>) -> Self {
        let inner = Inner { store, queue: Mutex::default(), writer: ServiceRef::new(), refusals: Refusals::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Says how to start the writer.
    pub fn child(&self) -> ChildSpec {
        let handle = self.clone();
        self.inner.writer.child("audit", "audit", move || (AuditWriter, handle.clone()))
    }

    /// Keeps what has happened, and waits until it is stored. Call it once the change is. A store that does not answer delays the
    /// row, and the caller by [`WRITTEN_WITHIN`] at most: the change has been made, so it is not failed for that.
    pub async fn record(&self, origin: Origin, entry: impl Into<AuditEntry>) {
        let (tell, told) = oneshot::channel();
        let action = self.put(&origin, &entry.into(), Some(tell));
        // A sender that was dropped was refused, which the log says already.
        if tokio::time::timeout(WRITTEN_WITHIN, told).await.is_err() {
            tracing::warn!(action, "a row of the audit log waits for the store");
        }
    }

    /// Keeps what has happened without waiting for the store.
    pub fn note(&self, origin: &Origin, entry: impl Into<AuditEntry>) {
        self.put(origin, &entry.into(), None);
    }

    /// Rows of a workspace by their numbers, behind `page.after`.
    ///
    /// Errors: those of the store.
    pub async fn list(
        &self,
        workspace: WorkspaceId,
        filter: &AuditFilter,
        order: AuditOrder,
        page: &PageRequest<u64>,
    ) -> Result<Vec<AuditRow>> {
        self.inner.store.list_audit(workspace, filter, order, page).await
    }

    /// Where the chain of a workspace begins and ends.
    ///
    /// Errors: those of the store.
    pub async fn chain(&self, workspace: WorkspaceId) -> Result<AuditChain> {
        self.inner.store.find_audit_chain(workspace).await
    }

    /// Waits until every row is written, for as long as it may take. Answers how many are not.
    pub async fn flush(&self, within: Duration) -> usize {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let left = self.queue().len();
            if left == 0 || tokio::time::Instant::now() >= deadline {
                return left;
            }
            tokio::time::sleep(FLUSH_POLL).await;
        }
    }

    /// Puts a row into the queue and wakes the writer. Answers what happened, in a word.
    fn put(&self, origin: &Origin, entry: &AuditEntry, told: Option<oneshot::Sender<()>>) -> &'static str {
        let action = entry.event.action();
        let record = AuditRecord::new(AuditId::from_uuid(clock::new_uuid()), clock::now_ms(), origin, entry);
        let waiting = Waiting { workspace: origin.workspace, record, told };
        let refused = {
            let mut queue = self.queue();
            if queue.len() >= QUEUE_MAX {
                Some(waiting)
            } else {
                queue.push_back(waiting);
                None
            }
        };
        match refused {
            Some(waiting) => lose(waiting, "too many rows wait for the store"),
            None => self.wake(),
        }
        action
    }

    /// Between the death of a writer and the next one nobody is woken: that one looks by itself.
    fn wake(&self) {
        if let Some(writer) = self.inner.writer.get() {
            let _ = writer.cast(AuditMsg::Wake);
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves a row to the log of the process, since there is no other place for it.
fn lose(waiting: Waiting, why: &'static str) {
    counter!("citadel_audit_lost_total").increment(1);
    let Waiting { workspace, record, .. } = waiting;
    let AuditRecord { actor, action, target, address, request_id, details, .. } = record;
    tracing::error!(
        workspace.id = %workspace, actor, action, target, address, request.id = request_id, details, why,
        "a row of the audit log is lost"
    );
}

#[cfg(test)]
mod tests;
