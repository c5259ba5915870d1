//! A node run that has not ended: its inputs, and whether it waits for a place, for its time, for signals, or for its result.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Effect;
use crate::model::{
    event::{Attempt, Wait},
    item::{Input, Item},
};

/// A node run that has not ended.
#[derive(Debug)]
pub struct Run {
    pub attempt: u32,
    pub inputs: Vec<Input>,
    /// Items that are done already, by the index of the input item.
    pub done: BTreeMap<u32, Item>,
    pub(super) phase: Phase,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Waits for a place among the effects in flight.
    Queued(Work),
    /// Handed out; `recorded` once a start record is in the journal.
    Running {
        work: Work,
        recorded: bool,
    },
    /// Waits for its next attempt.
    Retrying {
        due_at: u64,
    },
    Waiting {
        wait: Wait,
        received: Vec<(String, Value)>,
    },
    /// A crash cut the attempt off; this signal says whether it is repeated.
    Interrupted {
        signal: String,
    },
}

/// What a run is handed out to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Work {
    /// An attempt from its beginning.
    Begin,
    /// What follows the wait of an attempt.
    Resume { wait_state: Value, signals: Vec<(String, Value)>, timed_out: bool },
}

impl Run {
    pub(super) fn new(inputs: Vec<Input>) -> Self {
        Self { attempt: 1, inputs, done: BTreeMap::new(), phase: Phase::Queued(Work::Begin) }
    }

    /// Whether the run is handed out: it takes one of the places of [`EFFECTS_IN_FLIGHT_MAX`], and only then it has a result.
    ///
    /// [`EFFECTS_IN_FLIGHT_MAX`]: crate::model::limits::EFFECTS_IN_FLIGHT_MAX
    pub(super) fn is_in_flight(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// Whether nothing has happened to the run but that it was handed out.
    pub(super) fn is_untouched(&self) -> bool {
        matches!(self.phase, Phase::Queued(Work::Begin) | Phase::Running { work: Work::Begin, recorded: false })
    }

    /// Whether the run waits for its next attempt.
    pub(super) fn is_retrying(&self) -> bool {
        matches!(self.phase, Phase::Retrying { .. })
    }

    /// Whether the run waits for a time or for signals.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. })
    }

    /// Whether the run waits for a decision about an attempt that a crash cut off.
    pub(super) fn is_interrupted(&self) -> bool {
        matches!(self.phase, Phase::Interrupted { .. })
    }

    /// When time moves the run, in Unix milliseconds.
    pub(super) fn due_at(&self) -> Option<u64> {
        match &self.phase {
            Phase::Retrying { due_at } => Some(*due_at),
            Phase::Waiting { wait, .. } => wait.until,
            Phase::Queued(_) | Phase::Running { .. } | Phase::Interrupted { .. } => None,
        }
    }

    /// Whether the run waits for a signal of this name that has not arrived yet.
    pub(super) fn wants(&self, name: &str) -> bool {
        match &self.phase {
            Phase::Waiting { wait, received } => {
                wait.signals.iter().any(|wanted| wanted == name) && !received.iter().any(|(got, _)| got == name)
            }
            Phase::Interrupted { signal } => signal == name,
            Phase::Queued(_) | Phase::Running { .. } | Phase::Retrying { .. } => false,
        }
    }
}

impl Work {
    /// What hands this work of an attempt out.
    pub(super) fn effect(&self, attempt: Attempt) -> Effect {
        match self.clone() {
            Self::Begin => Effect::Run(attempt),
            Self::Resume { wait_state, signals, timed_out } => Effect::Resume { attempt, wait_state, signals, timed_out },
        }
    }
}
