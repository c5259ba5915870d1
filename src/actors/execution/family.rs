//! What an execution owes its family. Its end is told to the parent that waits for it, and ends the children that it waited for,
//! both in its own last commit: a crash cannot come between. Children of children follow by the same rule.
//!
//! One gap is left: a child that is created after its parent's last commit. So each child that somebody waits for looks at its
//! parent once its own creation is durable, and again whenever it comes back to memory.

use std::{sync::Arc, time::Duration};

use ractor::ActorRef;
use serde_json::{Value, json};

use super::{ExecutionMsg, Live};
use crate::{
    actors::{engine::Engine, execution_supervisor},
    clock,
    model::{
        children,
        event::{Event, ExecutionError, Parent},
        execution::ExecutionStatus,
        ids::{ExecutionId, InboxId},
        item::Item,
        machine::Machine,
    },
    store::{ExecutionRow, InboxKind, InboxRow, Payload, Result, payload::PayloadCodec},
};

/// Tries to read the parent's row before that is left to the next look.
const LOOKS_MAX: u32 = 5;
/// Pause after the first of them, in milliseconds; it doubles.
const PAUSE_MS: u64 = 100;

/// What this execution knows of its parent.
#[derive(Default)]
pub(super) struct Family {
    /// Whether the parent is being looked at.
    pub(super) is_looking: bool,
    /// Whether it has been, since this actor began.
    has_looked: bool,
}

/// How an execution ended, for whom it concerns.
pub(super) struct End<'a> {
    pub(super) execution: ExecutionId,
    pub(super) status: ExecutionStatus,
    pub(super) error: Option<&'a ExecutionError>,
    /// Its result, for a parent that waits for it.
    pub(super) items: Vec<Item>,
    pub(super) parent: Option<&'a Parent>,
    /// Keys of the children that it waited for.
    pub(super) abandoned: &'a [String],
}

impl<'a> End<'a> {
    /// The end of an execution whose machine knows that it has ended; `None` if it has not.
    pub(super) fn of(execution: ExecutionId, machine: &'a Machine, parent: Option<&'a Parent>) -> Option<Self> {
        let is_awaited = parent.is_some_and(|parent| parent.signal.is_some());
        Some(Self {
            execution,
            status: machine.ended()?,
            error: machine.failure(),
            items: if is_awaited { machine.result() } else { Vec::new() },
            parent,
            abandoned: machine.abandoned_children(),
        })
    }

    /// The messages that belong to the commit of the end.
    ///
    /// Errors: a message that could not be packed.
    pub(super) async fn messages(&self, codec: &PayloadCodec) -> Result<Vec<InboxRow>> {
        let mut messages = Vec::with_capacity(self.abandoned.len() + 1);
        if let Some(Parent { execution, signal: Some(signal) }) = self.parent {
            let told = json!({
                "execution_id": self.execution, "status": self.status, "error": self.error, "items": self.items,
            });
            messages.push(InboxRow {
                kind: InboxKind::Signal,
                name: signal.clone(),
                dedupe_key: Some(self.execution.to_string()),
                ..cancel_request(*execution, pack(codec, &told).await?)
            });
        }
        if !self.abandoned.is_empty() {
            let reason = format!("the parent {} ended as {}", self.execution, self.status.as_str());
            let body = pack(codec, &Value::String(reason)).await?;
            let child = |key: &String| cancel_request(children::id(self.execution, key), body.clone());
            messages.extend(self.abandoned.iter().map(child));
        }
        Ok(messages)
    }
}

/// Says that there are messages of an execution's end, once they are committed.
pub(super) fn nudge_all(engine: &Engine, execution: ExecutionId, parent: Option<&Parent>, abandoned: &[String]) {
    let parent = parent.filter(|parent| parent.signal.is_some()).map(|parent| parent.execution);
    for execution in abandoned.iter().map(|key| children::id(execution, key)).chain(parent) {
        execution_supervisor::nudge(engine, execution);
    }
}

/// As a user's request would be; one is enough.
fn cancel_request(execution: ExecutionId, body: Payload) -> InboxRow {
    InboxRow {
        id: InboxId::from_uuid(clock::new_uuid()),
        execution,
        kind: InboxKind::Cancel,
        name: String::new(),
        dedupe_key: Some("cancel".to_owned()),
        body,
        at: clock::now_ms(),
    }
}

async fn pack(codec: &PayloadCodec, body: &Value) -> Result<Payload> {
    codec.encode(serde_json::to_vec(body).expect("a JSON value can be written")).await
}

impl Live {
    /// The end of this execution, if it has ended.
    pub(super) fn end(&self) -> Option<End<'_>> {
        End::of(self.id, &self.machine, self.journal.parent())
    }

    /// Looks whether the parent that waits for this execution is over, once; the answer comes as a message.
    pub(super) fn look_at_parent(&mut self, myself: &ActorRef<ExecutionMsg>) {
        let is_due = !self.family.has_looked && self.journal.is_durable() && self.machine.ended().is_none();
        let Some(parent) = self.journal.parent().filter(|parent| is_due && parent.signal.is_some()) else { return };
        let (engine, actor, parent, child) = (Arc::clone(&self.engine), myself.clone(), parent.execution, self.id);
        (self.family.has_looked, self.family.is_looking) = (true, true);
        #[expect(clippy::disallowed_methods, reason = "a few bounded reads, whose answer a dead actor does not need")]
        tokio::spawn(async move {
            let found = read_status(&engine, parent).await.unwrap_or_else(|error| {
                tracing::warn!(execution.id = %child, error = %error, "parent not read, left to the next look");
                None
            });
            let _ = actor.cast(ExecutionMsg::ParentSeen(found));
        });
    }

    /// Ends with its parent. A parent that succeeded had stopped waiting: then the child is on its own.
    pub(super) fn parent_seen(&mut self, parent: Option<ExecutionStatus>) {
        self.family.is_looking = false;
        let is_over = matches!(parent, Some(ExecutionStatus::Failed | ExecutionStatus::Cancelled));
        let reason = self.journal.parent().map(|parent| format!("the parent {} had ended before", parent.execution));
        let event = Event::CancelRequested { reason };
        if is_over && self.machine.expects(&event) {
            self.happened(event);
        }
    }
}

/// The status of the parent; one that was deleted since is told as `cancelled`, `None` means unknown.
async fn read_status(engine: &Engine, parent: ExecutionId) -> Result<Option<ExecutionStatus>> {
    let mut tries = 0;
    loop {
        tries += 1;
        match engine.store.get_execution(parent).await {
            Ok(Some(ExecutionRow { state, .. })) => return Ok(Some(state.status)),
            // Only what has ended is ever deleted.
            Ok(None) => return Ok(Some(ExecutionStatus::Cancelled)),
            Err(error) if tries == LOOKS_MAX => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(PAUSE_MS << tries)).await,
        }
    }
}
