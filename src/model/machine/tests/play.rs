//! Plays events against a machine. After each of them a replay of all has to give the same machine, with the same work open, and
//! so has a stored snapshot.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::super::{Effect, Machine, SNAPSHOT_VERSION};
use crate::model::{
    event::{Attempt, Event, Recorded},
    execution::{ExecutionStatus, TriggerKind},
    graph::Graph,
    item::Item,
    limits,
};

/// When every play begins, in Unix milliseconds.
pub(in crate::model) const BEGIN_MS: u64 = 1_000_000;
/// Plays of more events than this do not replay after each of them: that takes quadratic time.
const REPLAYED_EVENTS_MAX: usize = 200;
/// Machines that take more than this to write down are not written and read again after each event: loops let items multiply.
const RESTORED_BYTES_MAX: usize = 100_000;

/// A machine with everything that happened to it, and what a shell would have in hand.
pub(in crate::model) struct Play {
    pub(in crate::model) graph: Arc<Graph>,
    pub(in crate::model) machine: Machine,
    pub(in crate::model) events: Vec<Recorded>,
    pub(in crate::model) now_ms: u64,
    /// Work that is handed out and has no result yet.
    pub(in crate::model) open: BTreeMap<(Arc<str>, u32), Effect>,
    /// The effect that ended the execution.
    pub(in crate::model) finish: Option<Effect>,
}

impl Play {
    pub(in crate::model) fn new(graph: &Arc<Graph>) -> Self {
        Self {
            graph: Arc::clone(graph),
            machine: Machine::new(Arc::clone(graph)),
            events: Vec::new(),
            now_ms: BEGIN_MS,
            open: BTreeMap::new(),
            finish: None,
        }
    }

    /// Applies one event now.
    #[track_caller]
    pub(in crate::model) fn apply(&mut self, event: Event) -> Vec<Effect> {
        if let Some(attempt) = reported(&event)
            && self.is_open(attempt)
        {
            self.open.remove(&key(attempt));
        }
        if let Event::NodeReused { node, run, .. } = &event {
            self.open.remove(&(Arc::clone(node), *run));
        }
        let effects = self.machine.apply(&event, self.now_ms);
        let is_end = matches!(event, Event::Finished { .. });
        self.events.push(Recorded { at: self.now_ms, event });
        for effect in &effects {
            self.take(effect);
        }
        if self.events.len() <= REPLAYED_EVENTS_MAX {
            self.check_replay(is_end);
        }
        effects
    }

    /// Applies an event that must not do anything; it is not kept.
    #[track_caller]
    pub(in crate::model) fn ignores(&mut self, event: &Event) {
        let before = snapshot(&self.machine);
        assert_eq!(self.machine.apply(event, self.now_ms), [], "{event:?}");
        assert_eq!(snapshot(&self.machine), before, "{event:?}");
    }

    /// Moves the clock and applies what is due then.
    #[track_caller]
    pub(in crate::model) fn advance(&mut self, ms: u64) -> Vec<Effect> {
        self.now_ms += ms;
        let due = self.machine.due(self.now_ms);
        due.into_iter().flat_map(|event| self.apply(event)).collect()
    }

    /// Whether this very attempt is handed out.
    pub(in crate::model) fn is_open(&self, attempt: &Attempt) -> bool {
        let open = self.open.get(&key(attempt)).map(attempt_of);
        open == Some(attempt)
    }

    /// Notes what a shell would now have in hand.
    #[track_caller]
    fn take(&mut self, effect: &Effect) {
        match effect {
            Effect::Run(attempt) | Effect::Resume { attempt, .. } => {
                let before = self.open.insert(key(attempt), effect.clone());
                assert_eq!(before, None, "handed out twice");
                assert!(self.open.len() <= limits::EFFECTS_IN_FLIGHT_MAX, "too much in flight");
            }
            Effect::Abort(attempt) => assert!(self.open.remove(&key(attempt)).is_some(), "aborted, but not open: {attempt:?}"),
            Effect::Finish { .. } => {
                assert!(self.open.is_empty(), "finished while {:?} is open", self.open);
                assert_eq!(self.finish.replace(effect.clone()), None, "finished twice");
            }
        }
    }

    #[track_caller]
    fn check_replay(&self, is_end: bool) {
        let mut replayed = Machine::new(Arc::clone(&self.graph));
        for recorded in &self.events {
            replayed.apply(&recorded.event, recorded.at);
        }
        let state = snapshot(&self.machine);
        assert_eq!(snapshot(&replayed), state);
        if state.len() <= RESTORED_BYTES_MAX {
            let restored = Machine::restore(Arc::clone(&self.graph), SNAPSHOT_VERSION, &self.machine.snapshot()).unwrap();
            assert_eq!(snapshot(&restored), state);
        }
        let is_over = is_end || self.machine.ended().is_some();
        let mut open: Vec<Effect> = self.open.values().chain(self.finish.iter().filter(|_| !is_over)).cloned().collect();
        let mut outstanding = replayed.outstanding();
        open.sort_by_key(|effect| format!("{effect:?}"));
        outstanding.sort_by_key(|effect| format!("{effect:?}"));
        assert_eq!(outstanding, open);
    }
}

/// Everything that a machine knows but its graph.
pub(in crate::model) fn snapshot(machine: &Machine) -> String {
    let Machine {
        graph: _,
        created_at,
        nesting,
        runs,
        nodes,
        outputs,
        last_node,
        trace,
        steps,
        queue,
        in_flight,
        end,
        failure,
        abandoned,
    } = machine;
    format!(
        "{created_at} {nesting} {runs:?} {nodes:?} {outputs:?} {last_node:?} {trace:?} {steps} {queue:?} {in_flight} {end:?} {failure:?} {abandoned:?}"
    )
}

/// `count` items that are numbered from 0 on.
pub(in crate::model) fn numbered(count: usize) -> Vec<Item> {
    (0..count).map(|n| Item::from_value(json!({ "n": n }))).collect()
}

/// The start of an execution at a node.
pub(in crate::model) fn created(start_node: &str, count: usize) -> Event {
    Event::Created {
        trigger: TriggerKind::Manual,
        start_node: start_node.into(),
        items: Arc::new(numbered(count)),
        nesting: 0,
        parent: None,
        context: None,
    }
}

/// The record of an end.
pub(in crate::model) fn finished(status: ExecutionStatus) -> Event {
    Event::Finished { status, error: None }
}

/// The attempt that a piece of work belongs to.
pub(in crate::model) fn attempt_of(effect: &Effect) -> &Attempt {
    match effect {
        Effect::Run(attempt) | Effect::Resume { attempt, .. } | Effect::Abort(attempt) => attempt,
        Effect::Finish { .. } => panic!("the end belongs to no attempt"),
    }
}

/// The attempt whose work this event ends.
fn reported(event: &Event) -> Option<&Attempt> {
    match event {
        Event::NodeSucceeded { attempt, .. }
        | Event::NodeFailed { attempt, .. }
        | Event::WaitStarted { attempt, .. }
        | Event::AttemptInterrupted { attempt } => Some(attempt),
        Event::Created { .. }
        | Event::Admitted
        | Event::NodeStarted { .. }
        | Event::NodeProgressed { .. }
        | Event::NodeReused { .. }
        | Event::RetryDue { .. }
        | Event::WaitElapsed { .. }
        | Event::SignalReceived { .. }
        | Event::CancelRequested { .. }
        | Event::TimedOut
        | Event::Finished { .. } => None,
    }
}

fn key(attempt: &Attempt) -> (Arc<str>, u32) {
    (Arc::clone(&attempt.node), attempt.run)
}
