//! Works off what the machine has decided: pure nodes run here, everything else is started or kept for after the commit.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use ractor::{ActorProcessingErr, ActorRef};

use super::{ExecutionMsg, Live, journal::EVENTS_PENDING_MAX};
use crate::{
    clock,
    model::{
        after_crash,
        error::{NodeError, codes},
        event::{Attempt, Event},
        item::PortItems,
        limits,
        machine::{Effect, is_start_recorded},
    },
    nodes::{Outcome, PureNode, Runner, Woken, context::NodeContext},
    runtimes::javascript::GuestSession,
};

/// A pure run over more items than this goes to a pool, so that it does not keep a thread from other actors.
const INLINE_ITEMS_MAX: usize = 1_000;
/// Pure runs in a row before other actors get a turn.
const INLINE_RUNS_PER_TURN: u32 = 32;

impl Live {
    /// Does all that can be done now, commits it, and leaves memory when nothing is left.
    pub(super) async fn go_on(&mut self, myself: &ActorRef<ExecutionMsg>) -> Result<(), ActorProcessingErr> {
        let mut inline_runs: u32 = 0;
        while let Some(effect) = self.next_effect(myself) {
            match effect {
                // Decided, and over before its turn came: an end aborts what had not begun.
                Effect::Run(attempt) | Effect::Resume { attempt, .. } if self.machine.current(&attempt).is_none() => {}
                Effect::Run(attempt) => {
                    if self.run(attempt, myself).await? {
                        inline_runs += 1;
                        if inline_runs.is_multiple_of(INLINE_RUNS_PER_TURN) {
                            tokio::task::yield_now().await;
                        }
                    }
                }
                Effect::Resume { attempt, wait_state, signals, timed_out } => {
                    self.resume(attempt, Woken { state: wait_state, signals, timed_out });
                }
                Effect::Abort(attempt) => self.after_commit.push(Effect::Abort(attempt)),
                Effect::Finish { status, error } if self.wants_error_workflow(status) => {
                    // The failure is committed before anybody is started for it.
                    self.after_commit.push(Effect::Finish { status, error });
                    self.journal.flush_wanted = true;
                }
                Effect::Finish { status, error } => self.happened(Event::Finished { status, error }),
            }
            self.take_early_signals().await?;
        }
        // A sandbox is kept from one pure run to the next only, not while an execution waits.
        self.guest = None;
        self.flush(myself).await?;
        if self.journal.is_idle() {
            // Everything is committed already: what may be repeated has no start record to wait for.
            for effect in std::mem::take(&mut self.after_commit) {
                self.perform(effect, myself).await?;
            }
        }
        let now_ms = clock::now_ms();
        if self.rests(now_ms) {
            self.step_outside();
        }
        if self.can_leave(now_ms) {
            self.leave(myself);
        } else if self.journal.is_idle() && self.machine.ended().is_none() {
            self.arm_timer(myself, now_ms);
        }
        Ok(())
    }

    /// The next effect, unless so much is pending that a commit has to come first, or it has to wait for a place.
    fn next_effect(&mut self, myself: &ActorRef<ExecutionMsg>) -> Option<Effect> {
        let is_held_up = self.worklist.front().is_some_and(|effect| self.is_work(effect)) && !self.has_place(myself);
        if is_held_up || self.journal.pending() >= EVENTS_PENDING_MAX { None } else { self.worklist.pop_front() }
    }

    /// Starts an attempt. `true` if it ran here and is over.
    async fn run(&mut self, attempt: Attempt, myself: &ActorRef<ExecutionMsg>) -> Result<bool, ActorProcessingErr> {
        let Some(node) = self.plan.graph.node(&attempt.node) else { return Ok(false) };
        match self.plan.runner(&attempt.node) {
            Some(Runner::Pure(pure)) if self.is_light(&attempt, &**pure) => {
                let pure = Arc::clone(pure);
                self.run_here(attempt, &*pure);
                Ok(true)
            }
            // A pure node that needs a sandbox or has much to do: nothing outside happens, so nothing has to be committed first.
            Some(Runner::Pure(_)) => {
                self.start_node(attempt, myself).await?;
                Ok(false)
            }
            Some(Runner::Effect(_)) => {
                if is_start_recorded(node.shape.effect) {
                    self.happened(Event::NodeStarted { attempt: attempt.clone() });
                }
                self.after_commit.push(Effect::Run(attempt));
                self.journal.flush_wanted = true;
                Ok(false)
            }
            Some(Runner::Engine) | None => {
                let error = NodeError::permanent(codes::INVALID_DEFINITION, "this node cannot be run by itself");
                let event = self.event_of(attempt, clock::now_ms(), Duration::ZERO, Err(error));
                self.happened(event);
                Ok(true)
            }
        }
    }

    fn is_light(&self, attempt: &Attempt, pure: &dyn PureNode) -> bool {
        let items = self.machine.current(attempt).map_or(0, |run| run.inputs.iter().map(|input| input.items.len()).sum());
        !pure.needs_guest() && items <= INLINE_ITEMS_MAX
    }

    fn run_here(&mut self, attempt: Attempt, pure: &dyn PureNode) {
        let began = Instant::now();
        let result = self.with_context(&attempt, |ctx| pure.run(ctx));
        let event = self.event_of(attempt, clock::now_ms(), began.elapsed(), result);
        self.happened(event);
    }

    fn resume(&mut self, attempt: Attempt, woken: Woken) {
        if after_crash::is_state(&woken.state) {
            let error = after_crash::interrupted("it was decided to let it fail");
            let event = self.event_of(attempt, clock::now_ms(), Duration::ZERO, Err(error));
            self.happened(event);
            return;
        }
        let (runner, began) = (self.plan.runner(&attempt.node).cloned(), Instant::now());
        let result = self.with_context(&attempt, |ctx| match &runner {
            Some(Runner::Pure(node)) => node.resume(ctx, &woken).map(Outcome::Done),
            Some(Runner::Effect(node)) => node.resume(ctx, &woken).map(Outcome::Done),
            Some(Runner::Engine) | None => Err(NodeError::permanent(codes::INVALID_DEFINITION, "this node cannot wait")),
        });
        let event = self.event_of(attempt, clock::now_ms(), began.elapsed(), result);
        self.happened(event);
    }

    /// Calls a pure function of a node. Its panic is a failed attempt.
    fn with_context(
        &mut self,
        attempt: &Attempt,
        call: impl FnOnce(&mut NodeContext<'_>) -> Result<Outcome, NodeError>,
    ) -> Result<Outcome, NodeError> {
        let mut guest = self.guest.take().unwrap_or_else(|| GuestSession::new(Arc::clone(&self.engine.services.javascript)));
        let inputs = self.machine.current(attempt).map_or(&[][..], |run| &run.inputs);
        let mut ctx = NodeContext {
            inputs,
            run_index: attempt.run,
            outputs: self.machine.outputs(),
            data: &self.data,
            now_ms: clock::now_ms(),
            guest: &mut guest,
        };
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| call(&mut ctx))).unwrap_or_else(|panic| Err(panicked(&*panic)));
        self.guest = Some(guest);
        result
    }

    /// The event of an attempt's end, which is counted here. What breaks a limit is a failure.
    pub(super) fn event_of(
        &self,
        attempt: Attempt,
        started_at: u64,
        took: Duration,
        result: Result<Outcome, NodeError>,
    ) -> Event {
        let checked = result.and_then(|outcome| {
            match &outcome {
                Outcome::Done(ports) | Outcome::Respond(ports, _) => check_outputs(ports)?,
                Outcome::Wait(_) => {}
            }
            Ok(outcome)
        });
        let node_type = self.plan.node_type(&attempt.node).unwrap_or_default();
        self.engine.metrics.attempt_ended(node_type, took, checked.as_ref().err(), clock::now_ms());
        match checked {
            Ok(Outcome::Done(outputs)) => Event::NodeSucceeded { attempt, started_at, outputs, response: None, log: None },
            Ok(Outcome::Respond(outputs, response)) => {
                Event::NodeSucceeded { attempt, started_at, outputs, response: Some(response), log: None }
            }
            Ok(Outcome::Wait(wait)) => Event::WaitStarted { attempt, started_at, wait },
            Err(error) => Event::NodeFailed { attempt, started_at, error, chance: clock::chance(), log: None },
        }
    }
}

/// The failure of an attempt that panicked.
pub fn panicked(panic: &(dyn std::any::Any + Send)) -> NodeError {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    let message = text.unwrap_or_else(|| "no message".to_owned());
    NodeError::transient(codes::PANICKED, format!("the node panicked: {message}"))
}

/// Checks what a node put out.
///
/// Errors: `item_limit` or `output_limit`.
pub fn check_outputs(ports: &[PortItems]) -> Result<(), NodeError> {
    let items: usize = ports.iter().map(|port| port.items.len()).sum();
    if items > limits::ITEMS_MAX {
        let message = format!("the node put out {items} items, the limit is {}: split the work", limits::ITEMS_MAX);
        return Err(NodeError::permanent(codes::ITEM_LIMIT, message));
    }
    let mut rest = limits::OUTPUT_BYTES_MAX;
    for item in ports.iter().flat_map(|port| port.items.iter()) {
        rest = limits::json_bytes(&item.json).and_then(|bytes| rest.checked_sub(bytes)).ok_or_else(|| {
            let message = format!("the node put out more than {} bytes of JSON", limits::OUTPUT_BYTES_MAX);
            NodeError::permanent(codes::OUTPUT_LIMIT, message)
        })?;
    }
    Ok(())
}
