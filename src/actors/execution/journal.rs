//! What an execution has decided and not committed yet, and how it becomes one append.

use ractor::{ActorProcessingErr, ActorRef};

use super::{ExecutionMsg, Live, Milestone, Reached, family, snapshots::Pace};
use crate::{
    actors::{
        engine::LiveEvent,
        execution_supervisor::nudge,
        journal_lane::{Ack, Verdict},
    },
    failpoint,
    model::{
        event::{Event, ExecutionError, Parent, Recorded},
        execution::{ExecutionStatus, TriggerKind},
        ids::InboxId,
        machine::Effect,
    },
    nodes::Runner,
    store::{Append, JournalRow, NewExecution, StateChange},
};

/// Events that may be pending before a commit comes first.
pub(super) const EVENTS_PENDING_MAX: usize = 500;

/// Where an execution comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    pub new: NewExecution,
    pub parent: Option<Parent>,
}

/// The uncommitted end of an execution's journal.
pub(super) struct Journal {
    origin: Origin,
    created_at: u64,
    /// Number of the first pending event.
    next_seq: u32,
    events: Vec<Recorded>,
    /// Inbox rows that the pending events have used up.
    pub(super) consumed: Vec<InboxId>,
    /// The status that the state row has, or will have after the append in flight.
    row_status: ExecutionStatus,
    in_flight: Option<InFlight>,
    /// Whether something waits for the commit of the pending events.
    pub(super) flush_wanted: bool,
    pub(super) pace: Pace,
}

struct InFlight {
    events: Vec<Recorded>,
}

impl Journal {
    /// The journal of a new execution.
    pub(super) fn new(origin: Origin, created_at: u64) -> Self {
        Self {
            origin,
            created_at,
            next_seq: 0,
            events: Vec::new(),
            consumed: Vec::new(),
            row_status: ExecutionStatus::Running,
            in_flight: None,
            flush_wanted: false,
            pace: Pace::default(),
        }
    }

    /// The journal of a stored execution, whose row has this status; the first pending event has the number `next_seq`.
    pub(super) fn recovered(origin: Origin, created_at: u64, next_seq: u32, row: ExecutionStatus) -> Self {
        Self { row_status: row, next_seq, ..Self::new(origin, created_at) }
    }

    pub(super) fn add(&mut self, recorded: Recorded) {
        self.events.push(recorded);
    }

    pub(super) fn pending(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing is pending or in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.events.is_empty() && self.in_flight.is_none()
    }

    /// Whether the creation is committed.
    pub(super) fn is_durable(&self) -> bool {
        self.next_seq > 0 && (self.in_flight.is_none() || self.in_flight_first() > 0)
    }

    fn in_flight_first(&self) -> u32 {
        self.in_flight.as_ref().map_or(self.next_seq, |flight| self.next_seq - count_of(&flight.events))
    }

    /// The execution that started this one.
    pub(super) fn parent(&self) -> Option<&Parent> {
        self.origin.parent.as_ref()
    }

    /// Whether the row says, or will say after the append in flight, that the execution waits for a place.
    pub(super) fn is_row_queued(&self) -> bool {
        self.row_status == ExecutionStatus::Queued
    }

    /// Whether nothing has happened but the creation, and the execution waits for a place since then.
    pub(super) fn is_untouched(&self) -> bool {
        self.next_seq <= 1 && (self.next_seq == 0 || self.is_row_queued())
    }

    /// Unix milliseconds.
    pub(super) fn created_at(&self) -> u64 {
        self.created_at
    }

    /// Number of the first event that is not sent to the lane.
    pub(super) fn next_seq(&self) -> u32 {
        self.next_seq
    }

    pub(super) fn trigger(&self) -> TriggerKind {
        self.origin.new.trigger
    }

    pub(super) fn workspace(&self) -> crate::model::ids::WorkspaceId {
        self.origin.new.workspace
    }
}

impl Live {
    /// Sends what is pending to the lane, if anything waits for it and no append is in flight.
    pub(super) async fn flush(&mut self, myself: &ActorRef<ExecutionMsg>) -> Result<(), ActorProcessingErr> {
        // A start that has to wait is stored at once: that is what it is acknowledged for.
        let is_due = self.journal.flush_wanted
            || self.machine.ended().is_some()
            || self.journal.pending() >= EVENTS_PENDING_MAX
            || (self.journal.next_seq == 0 && self.is_queued());
        if !is_due || self.journal.in_flight.is_some() || self.journal.events.is_empty() {
            return Ok(());
        }
        let epoch =
            self.engine.ownership.epoch(self.id.shard()).ok_or("this process does not own the execution's shard any more")?;
        let events = std::mem::take(&mut self.journal.events);
        let json = serde_json::to_vec(&events)?;
        let count = count_of(&events);
        let snapshot = self.snapshot_after(self.journal.next_seq + count, json.len()).await;
        let body = self.engine.codec.encode(json).await?;
        let at = events.last().map_or(0, |recorded| recorded.at);
        let notify = match self.end() {
            Some(end) => end.messages(&self.engine.codec).await?,
            None => Vec::new(),
        };
        let append = Append {
            execution: self.id,
            epoch,
            created_at: self.journal.created_at,
            entry: JournalRow { seq: self.journal.next_seq, count, epoch, at, body },
            create: (self.journal.next_seq == 0).then(|| self.journal.origin.new.clone()),
            state: self.state_change(&events, at),
            consumed: std::mem::take(&mut self.journal.consumed),
            notify,
            snapshot,
        };
        self.journal.next_seq += count;
        self.journal.flush_wanted = false;
        self.journal.in_flight = Some(InFlight { events });
        self.committing.append(&mut self.after_commit);
        let actor = myself.clone();
        // An actor that is gone needs no verdict: its successor reads the journal.
        let ack = Ack::new(move |verdict| drop(actor.cast(ExecutionMsg::Committed(verdict))));
        self.engine.lane.append(append, ack);
        Ok(())
    }

    /// How the state row changes with the pending events; `None` leaves it.
    fn state_change(&mut self, events: &[Recorded], at: u64) -> Option<StateChange> {
        let is_new = self.journal.next_seq == 0;
        let finished = events.iter().find_map(|recorded| match &recorded.event {
            Event::Finished { status, error } => Some((*status, error.as_ref())),
            _ => None,
        });
        let running = StateChange {
            status: ExecutionStatus::Running,
            wake_at: None,
            finished_at: None,
            error_code: None,
            expires_at: None,
        };
        let change = match finished {
            Some((status, error)) => StateChange {
                status,
                finished_at: Some(at),
                error_code: error.map(|error| error.code.clone()),
                expires_at: Some(at.saturating_add(self.keep_ms(status))),
                ..running
            },
            None if self.machine.is_waiting() => {
                StateChange { status: ExecutionStatus::Waiting, wake_at: self.machine.next_wake(), ..running }
            }
            None if self.is_queued() => StateChange { status: ExecutionStatus::Queued, ..running },
            None => running,
        };
        let is_same = !is_new && change.status == self.journal.row_status && change.status == ExecutionStatus::Running;
        self.journal.row_status = change.status;
        (!is_same).then_some(change)
    }

    fn keep_ms(&self, status: ExecutionStatus) -> u64 {
        let own = self.plan.definition.settings.retention.as_ref();
        let (own, default) = match status {
            ExecutionStatus::Succeeded => (own.and_then(|keep| keep.success), self.engine.settings.keep_success),
            _ => (own.and_then(|keep| keep.failure), self.engine.settings.keep_failure),
        };
        own.map_or_else(|| u64::try_from(default.as_millis()).unwrap_or(u64::MAX), |keep| keep.0)
    }

    /// Acts on a verdict. `false` if the actor is on its way out.
    pub(super) async fn committed(
        &mut self,
        verdict: Verdict,
        myself: &ActorRef<ExecutionMsg>,
    ) -> Result<bool, ActorProcessingErr> {
        let Some(flight) = self.journal.in_flight.take() else { return Ok(true) };
        match verdict {
            Verdict::Committed => {}
            Verdict::Failed => return Err("the journal could not be written".into()),
            Verdict::Fenced | Verdict::Conflict => {
                tracing::warn!(execution.id = %self.id, ?verdict, "journal append refused, leaving the execution to its owner");
                self.stop(myself);
                if verdict == Verdict::Conflict {
                    // What is stored under this id may be in nobody's hands: whoever looked for it found this actor.
                    nudge(&self.engine, self.id);
                }
                self.tell_waiter(|_| Some(Reached::Refused(verdict)));
                return Ok(false);
            }
        }
        failpoint!("execution.after_commit");
        for effect in std::mem::take(&mut self.committing) {
            self.perform(effect, myself).await?;
        }
        self.announce(flight.events);
        self.look_at_parent(myself);
        if self.machine.ended().is_some() && self.journal.is_idle() {
            self.leave(myself);
            return Ok(false);
        }
        Ok(true)
    }

    /// Counts a creation and an end that are durable now.
    fn count(&self, events: &[Recorded]) {
        let metrics = &self.engine.metrics;
        if let Some(Recorded { at, event: Event::Created { trigger, .. } }) = events.first() {
            metrics.execution_started(*trigger, *at);
        }
        if let Some(Recorded { at, event: Event::Finished { status, .. } }) = events.last() {
            metrics.execution_finished(*status, self.journal.created_at, *at);
        }
    }

    /// Tells everybody who waited for these events.
    fn announce(&mut self, events: Vec<Recorded>) {
        self.count(&events);
        for reply in self.durable_waiters.drain(..) {
            // The caller may have gone: then nobody needs the answer.
            let _ = reply.send(());
        }
        let response = events.iter().find_map(|recorded| match &recorded.event {
            Event::NodeSucceeded { response, .. } => response.clone(),
            _ => None,
        });
        let ended = self.machine.ended().filter(|_| self.journal.events.is_empty());
        let (machine, failure) = (&self.machine, self.machine.failure().cloned());
        let reached = |until| match (until, response, ended) {
            (Milestone::Durable, ..) => Some(Reached::Durable),
            (Milestone::Responded, Some(response), _) => Some(Reached::Responded(response)),
            (Milestone::Responded | Milestone::Finished, _, Some(status)) => {
                Some(Reached::Finished { status, error: failure, result: machine.result() })
            }
            (Milestone::Responded | Milestone::Finished, _, None) => None,
        };
        if let Some(waiter) = self.waiter.take() {
            match reached(waiter.until) {
                // The caller may have gone: then nobody needs the answer.
                Some(reached) => drop(waiter.reply.send(reached)),
                None => self.waiter = Some(waiter),
            }
        }
        if let Some(status) = ended {
            self.engine.ends.ended(self.id, status);
            tracing::info!(execution.id = %self.id, workflow.id = %self.plan.workflow, status = status.as_str(), "execution finished");
        }
        self.engine.followers.committed(self.id, self.journal.next_seq);
        let seq = self.journal.next_seq - count_of(&events);
        let (workspace, execution) = (self.journal.workspace(), self.id);
        self.engine.live_events.publish(|| LiveEvent { workspace, execution, seq, events: std::sync::Arc::new(events) });
        if ended.is_some() {
            failpoint!("execution.before_nudges");
            family::nudge_all(&self.engine, self.id, self.journal.parent(), self.machine.abandoned_children());
        }
    }

    fn tell_waiter(&mut self, make: impl FnOnce(Milestone) -> Option<Reached>) {
        if let Some(waiter) = self.waiter.take()
            && let Some(reached) = make(waiter.until)
        {
            // The caller may have gone: then nobody needs the answer.
            let _ = waiter.reply.send(reached);
        }
    }

    /// Whether an event must be committed before anything depends on it; what pure nodes do rides with the next commit.
    pub(super) fn wants_commit(&self, event: &Event) -> bool {
        match event {
            Event::Created { .. } => self.waiter.as_ref().is_none_or(|waiter| waiter.until == Milestone::Durable),
            Event::NodeSucceeded { attempt, response, .. } => {
                response.is_some() || matches!(self.plan.runner(&attempt.node), Some(Runner::Effect(_)))
            }
            // What is reused rides with the creation.
            Event::NodeReused { .. } => false,
            Event::Admitted
            | Event::NodeStarted { .. }
            | Event::NodeProgressed { .. }
            | Event::NodeFailed { .. }
            | Event::AttemptInterrupted { .. }
            | Event::RetryDue { .. }
            | Event::WaitStarted { .. }
            | Event::WaitElapsed { .. }
            | Event::SignalReceived { .. }
            | Event::CancelRequested { .. }
            | Event::TimedOut
            | Event::Finished { .. } => true,
        }
    }

    /// Stops the actor after its last commit.
    pub(super) fn leave(&mut self, myself: &ActorRef<ExecutionMsg>) {
        let open: Vec<Effect> = std::mem::take(&mut self.after_commit);
        debug_assert!(open.is_empty(), "an execution leaves with nothing to do");
        self.park();
        self.stop(myself);
    }

    /// Stops the actor. What is sent to it from now on is not lost: the supervisor brings the execution back.
    fn stop(&self, myself: &ActorRef<ExecutionMsg>) {
        self.engine.directory.leaves(self.id, myself.get_id());
        myself.stop(None);
    }

    /// Tells the timekeeper when to bring this execution back, where that is before it looks by itself.
    fn park(&self) {
        use crate::actors::timekeeper::TimekeeperMsg;
        let next = self.machine.next_wake();
        if let (Some(at), Some(timekeeper)) = (next, self.engine.timekeeper.get()) {
            // A lost hint is found by the timekeeper's next look at the store.
            let _ = timekeeper.cast(TimekeeperMsg::Parked { execution: self.id, wake_at: at });
        }
    }
}

/// The error of an execution that was given up.
pub(super) fn poisoned(cause: &str) -> ExecutionError {
    ExecutionError {
        code: crate::model::error::codes::POISONED.to_owned(),
        message: format!("the execution crashed its actor again and again and was given up: {cause}"),
        node_id: None,
        details: None,
    }
}

fn count_of(events: &[Recorded]) -> u32 {
    u32::try_from(events.len()).expect("pending events are bounded")
}
