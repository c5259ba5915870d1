//! What can be read of an execution: what is open, what time brings, what waits, what came out. Nothing here changes it.

use std::sync::Arc;

use super::{Effect, End, Machine, Run, run::Phase};
use crate::model::{
    event::{Attempt, Event, ExecutionError},
    execution::ExecutionStatus,
    item::{Item, Outputs},
};

impl Machine {
    /// Whether an event comes in time. No other has any effect, whoever sends it: results count for what is handed out only.
    pub fn expects(&self, event: &Event) -> bool {
        match event {
            Event::Created { .. } => self.end == End::New,
            Event::NodeStarted { attempt }
            | Event::NodeProgressed { attempt, .. }
            | Event::NodeSucceeded { attempt, .. }
            | Event::NodeFailed { attempt, .. }
            | Event::AttemptInterrupted { attempt }
            | Event::WaitStarted { attempt, .. } => self.current(attempt).is_some_and(Run::is_in_flight),
            Event::NodeReused { node, run, .. } => self.current(&first_attempt(node, *run)).is_some_and(Run::is_untouched),
            Event::RetryDue { attempt } => self.current(attempt).is_some_and(Run::is_retrying),
            Event::WaitElapsed { attempt } => self.current(attempt).is_some_and(Run::is_waiting),
            Event::SignalReceived { name, .. } => self.wants_signal(name),
            Event::Admitted | Event::CancelRequested { .. } | Event::TimedOut => self.end == End::Live,
            Event::Finished { .. } => !matches!(self.end, End::Ended(_)),
        }
    }

    /// After a replay: everything that is still to do, as if it had just been decided.
    pub fn outstanding(&self) -> Vec<Effect> {
        if let End::Ending { status, error } = &self.end {
            return vec![Effect::Finish { status: *status, error: error.clone() }];
        }
        let effect_of = |(&(node, run_index), run): (&(usize, u32), &Run)| match &run.phase {
            Phase::Running { work, .. } => Some(work.effect(self.attempt_of(node, run_index, run.attempt))),
            Phase::Queued(_) | Phase::Retrying { .. } | Phase::Waiting { .. } | Phase::Interrupted { .. } => None,
        };
        self.runs.iter().filter_map(effect_of).collect()
    }

    /// When the next thing happens by itself, in Unix milliseconds.
    pub fn next_wake(&self) -> Option<u64> {
        if self.end != End::Live {
            return None;
        }
        self.runs.values().filter_map(Run::due_at).chain([self.deadline()]).min()
    }

    /// The events that time has brought by `now_ms`, soonest cause first.
    pub fn due(&self, now_ms: u64) -> Vec<Event> {
        if self.end != End::Live {
            return Vec::new();
        }
        if self.deadline() <= now_ms {
            return vec![Event::TimedOut];
        }
        let event_of = |(&(node, run_index), run): (&(usize, u32), &Run)| {
            let at = run.due_at().filter(|at| *at <= now_ms)?;
            let attempt = self.attempt_of(node, run_index, run.attempt);
            match run.phase {
                Phase::Waiting { .. } => Some((at, Event::WaitElapsed { attempt })),
                Phase::Retrying { .. } => Some((at, Event::RetryDue { attempt })),
                Phase::Queued(_) | Phase::Running { .. } | Phase::Interrupted { .. } => None,
            }
        };
        let mut due: Vec<(u64, Event)> = self.runs.iter().filter_map(event_of).collect();
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().map(|(_, event)| event).collect()
    }

    /// Whether somebody waits for a signal of this name.
    pub fn wants_signal(&self, name: &str) -> bool {
        self.end == End::Live && self.runs.values().any(|run| run.wants(name))
    }

    /// Whether any run waits for a signal.
    pub fn waits_for_signals(&self) -> bool {
        let waits = |run: &Run| match &run.phase {
            Phase::Waiting { wait, .. } => !wait.signals.is_empty(),
            Phase::Interrupted { .. } => true,
            Phase::Queued(_) | Phase::Running { .. } | Phase::Retrying { .. } => false,
        };
        self.runs.values().any(waits)
    }

    /// Whether nothing runs: only time or a signal can move the execution.
    pub fn is_waiting(&self) -> bool {
        let at_rest = |run: &Run| run.is_waiting() || run.is_retrying() || run.is_interrupted();
        self.end == End::Live && !self.runs.is_empty() && self.runs.values().all(at_rest)
    }

    /// The run of this attempt, if it is the current one.
    pub fn current(&self, attempt: &Attempt) -> Option<&Run> {
        let node = self.graph.position(&attempt.node)?;
        self.runs.get(&(node, attempt.run)).filter(|run| run.attempt == attempt.attempt)
    }

    /// The current attempt of a run that has not ended.
    pub fn current_attempt(&self, node: &str, run: u32) -> Option<Attempt> {
        let position = self.graph.position(node)?;
        self.runs.get(&(position, run)).map(|found| self.attempt_of(position, run, found.attempt))
    }

    /// Why the execution failed or was cancelled, once `Finished` is applied.
    pub fn failure(&self) -> Option<&ExecutionError> {
        self.failure.as_ref()
    }

    /// The latest outputs of every node.
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// Depth of sub-workflows above this execution.
    pub fn nesting(&self) -> u32 {
        self.nesting
    }

    /// Unix milliseconds of the `Created` event.
    pub fn created_at(&self) -> u64 {
        self.created_at
    }

    /// The final status, once `Finished` is applied.
    pub fn ended(&self) -> Option<ExecutionStatus> {
        match self.end {
            End::Ended(status) => Some(status),
            End::New | End::Live | End::Ending { .. } => None,
        }
    }

    /// The execution's result: the items of the leaf nodes that ran, by node id. Where none ran, the first port of the last node.
    pub fn result(&self) -> Vec<Item> {
        let leaf = |id: &str| self.graph.position(id).is_some_and(|position| self.graph.is_leaf(position));
        let mut leaves = self.outputs.iter().filter(|(id, _)| leaf(id)).peekable();
        if leaves.peek().is_some() {
            return leaves.flat_map(|(_, output)| output.items().cloned()).collect();
        }
        let last = self.last_node.and_then(|node| self.outputs.get(&self.graph.nodes[node].id));
        last.and_then(|output| output.ports.first()).map_or_else(Vec::new, |port| port.items.to_vec())
    }

    fn deadline(&self) -> u64 {
        self.created_at.saturating_add(self.graph.timeout_ms)
    }
}

fn first_attempt(node: &Arc<str>, run: u32) -> Attempt {
    Attempt { node: Arc::clone(node), run, attempt: 1 }
}
