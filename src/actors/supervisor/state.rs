//! What a supervisor knows of its children, and what it does about their ends.

use std::{collections::VecDeque, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use ractor::{ActorCell, ActorRef, ActorStatus, SpawnErr};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::{
    BACKOFF_MS_MAX, BACKOFF_MS_MIN, ChildSpec, ChildView, FirstStartFailed, KILL_MS_MAX, MELTDOWN, Meltdown, OnMeltdown,
    SHUTDOWN, START_MS_MAX, STEADY_MS, STOP_MS_MIN, SupervisorArgs, SupervisorMsg, Tolerance,
};
use crate::actors::{metering::RestartReason, observatory};

/// The children and the memory of their ends.
pub struct SupervisorState {
    slots: Vec<Slot>,
    tolerance: Tolerance,
    stop_within: Duration,
    on_meltdown: Option<OnMeltdown>,
    /// When children ended, within the tolerance's window.
    ends: VecDeque<Instant>,
    meltdown: Option<Meltdown>,
}

/// One child over all its lives.
struct Slot {
    spec: ChildSpec,
    phase: Phase,
    restarts: u64,
    /// Ends since it last ran steadily.
    ends_in_a_row: u32,
    last_cause: Option<String>,
    last_reason: RestartReason,
}

enum Phase {
    /// Not started yet, or given up.
    Down,
    Up {
        child: ActorCell,
        since: Instant,
    },
    /// A timer runs.
    Pausing {
        _timer: AbortOnDropHandle<()>,
    },
    /// A task awaits its start, so that a slow start does not hold up the others' restarts.
    Starting {
        _task: AbortOnDropHandle<()>,
    },
}

impl SupervisorState {
    pub(super) fn new(args: SupervisorArgs) -> Self {
        let slot = |spec| Slot {
            spec,
            phase: Phase::Down,
            restarts: 0,
            ends_in_a_row: 0,
            last_cause: None,
            last_reason: RestartReason::NotStarted,
        };
        Self {
            slots: args.children.into_iter().map(slot).collect(),
            tolerance: args.tolerance,
            stop_within: args.stop_within,
            on_meltdown: args.on_meltdown,
            ends: VecDeque::new(),
            meltdown: None,
        }
    }

    /// Starts every child for the first time.
    pub(super) async fn start_all(&mut self, myself: &ActorRef<SupervisorMsg>) -> Result<(), FirstStartFailed> {
        for slot in &mut self.slots {
            let failed = |source| FirstStartFailed { slot: slot.spec.slot, source };
            let child = start(&slot.spec, myself.get_cell()).await.map_err(failed)?;
            slot.phase = Phase::Up { child, since: Instant::now() };
        }
        Ok(())
    }

    /// Starts a child again, in a task that casts the outcome back.
    pub(super) fn restart(&mut self, myself: &ActorRef<SupervisorMsg>, index: usize) {
        let slot = &mut self.slots[index];
        slot.restarts += 1;
        observatory::count_restart(slot.spec.kind, slot.last_reason);
        let (spec, supervisor) = (slot.spec.clone(), myself.clone());
        slot.phase = Phase::Starting {
            _task: owned(async move {
                let outcome = start(&spec, supervisor.get_cell()).await;
                let _ = supervisor.cast(SupervisorMsg::Started { index, outcome }); // Fails if the supervisor is ending.
            }),
        };
    }

    /// Takes in a restarted child.
    pub(super) fn started(&mut self, myself: &ActorRef<SupervisorMsg>, index: usize, outcome: Result<ActorCell, SpawnErr>) {
        match outcome {
            // Its end may have been reported before this message, when it belonged to no slot: so it is looked at here.
            Ok(child) if child.get_status() >= ActorStatus::Stopping => {
                self.pause(myself, index, RestartReason::NotStarted, "ended while it started".to_owned());
            }
            Ok(child) => {
                let slot = &mut self.slots[index];
                info!(actor.slot = slot.spec.slot, actor.restarts = slot.restarts, "service restarted");
                slot.phase = Phase::Up { child, since: Instant::now() };
            }
            Err(failed) => self.pause(myself, index, RestartReason::NotStarted, failed.to_string()),
        }
    }

    /// A child has ended. One that belongs to no slot was never taken in.
    pub(super) fn ended(&mut self, myself: &ActorRef<SupervisorMsg>, ended: &ActorCell, reason: RestartReason, cause: String) {
        let is_it = |slot: &Slot| matches!(&slot.phase, Phase::Up { child, .. } if child.get_id() == ended.get_id());
        let Some(index) = self.slots.iter().position(is_it) else { return };
        self.pause(myself, index, reason, cause);
    }

    pub(super) fn snapshot(&self) -> Vec<ChildView> {
        let view = |slot: &Slot| ChildView {
            kind: slot.spec.kind,
            slot: slot.spec.slot,
            status: match slot.phase {
                Phase::Up { .. } => "up",
                Phase::Starting { .. } => "starting",
                Phase::Down | Phase::Pausing { .. } => "down",
            },
            restarts: slot.restarts,
            last_cause: slot.last_cause.clone(),
        };
        self.slots.iter().map(view).collect()
    }

    /// Stops every child, the last one first.
    pub(super) async fn stop_all(&mut self, myself: &ActorRef<SupervisorMsg>) {
        let deadline = Instant::now() + self.stop_within;
        for slot in self.slots.iter_mut().rev() {
            if let Phase::Up { child, .. } = std::mem::replace(&mut slot.phase, Phase::Down) {
                stop(&child, slot.spec.slot, deadline).await;
            }
        }
        // A child whose start was under way is linked already, but no slot has it.
        for child in myself.get_cell().get_children() {
            stop(&child, "starting", deadline).await;
        }
    }

    pub(super) fn report_meltdown(&mut self) {
        if let (Some(meltdown), Some(on_meltdown)) = (self.meltdown.take(), self.on_meltdown.take()) {
            on_meltdown(meltdown);
        }
    }

    /// Plans the restart of a child that ended or did not start, or gives up.
    fn pause(&mut self, myself: &ActorRef<SupervisorMsg>, index: usize, reason: RestartReason, cause: String) {
        let slot = &mut self.slots[index];
        let now = Instant::now();
        let was_steady = matches!(slot.phase, Phase::Up { since, .. } if now - since >= Duration::from_millis(STEADY_MS));
        slot.phase = Phase::Down;
        slot.ends_in_a_row = if was_steady { 1 } else { slot.ends_in_a_row.saturating_add(1) };
        slot.last_cause = Some(cause.clone());
        slot.last_reason = reason;
        let (name, pause) = (slot.spec.slot, backoff(slot.ends_in_a_row));
        if self.is_too_much(now) {
            error!(actor.slot = name, cause, "services end too often, giving up");
            self.meltdown = Some(Meltdown { slot: name, cause });
            myself.stop(Some(MELTDOWN.to_owned()));
            return;
        }
        warn!(actor.slot = name, cause, pause_ms = pause.as_millis(), "service ended, restarting it");
        let supervisor = myself.clone();
        self.slots[index].phase = Phase::Pausing {
            _timer: owned(async move {
                tokio::time::sleep(pause).await;
                let _ = supervisor.cast(SupervisorMsg::Restart { index }); // Fails if the supervisor is ending.
            }),
        };
    }

    /// Counts one more end and says whether that exceeds the tolerance.
    fn is_too_much(&mut self, now: Instant) -> bool {
        let Tolerance::Limited { ends_max, window } = self.tolerance else { return false };
        self.ends.push_back(now);
        while self.ends.front().is_some_and(|end| now - *end > window) {
            self.ends.pop_front();
        }
        self.ends.len() > ends_max
    }
}

/// Starts one child; a start that hangs or panics is a failed one.
async fn start(spec: &ChildSpec, supervisor: ActorCell) -> Result<ActorCell, SpawnErr> {
    let started = AssertUnwindSafe(async { (spec.start)(supervisor).await }).catch_unwind();
    match timeout(Duration::from_millis(START_MS_MAX), started).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(SpawnErr::StartupFailed("the start function panicked".into())),
        Err(_) => Err(SpawnErr::StartupFailed("the start took too long".into())),
    }
}

/// Stops one child, by force if it is late.
async fn stop(child: &ActorCell, slot: &'static str, deadline: Instant) {
    child.stop(Some(SHUTDOWN.to_owned()));
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(STOP_MS_MIN));
    if child.wait(Some(left)).await.is_ok() {
        return;
    }
    warn!(actor.slot = slot, "service does not stop in time, killing it");
    child.kill();
    if child.wait(Some(Duration::from_millis(KILL_MS_MAX))).await.is_err() {
        error!(actor.slot = slot, "service cannot be killed, leaving it");
    }
}

/// The pause before the restart that follows the `ends_in_a_row`th end.
fn backoff(ends_in_a_row: u32) -> Duration {
    let doubled = BACKOFF_MS_MIN.saturating_mul(2_u64.saturating_pow(ends_in_a_row.saturating_sub(1)));
    Duration::from_millis(doubled.min(BACKOFF_MS_MAX))
}

/// Spawns a task that ends with its slot's phase.
#[expect(clippy::disallowed_methods, reason = "the handle aborts the task when the phase is over")]
fn owned(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}
