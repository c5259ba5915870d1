//! What the end of an attempt means: success, another attempt, a wait, or the node's `on_error`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Effect, End, Machine, Phase, Run, limit_failure, node_failure};
use crate::model::{
    definition::OnError,
    error::NodeError,
    event::{Attempt, ExecutionError, Wait},
    execution::ExecutionStatus,
    item::{Input, Item, MAIN, PortItems, RunOutput},
};

impl Machine {
    pub(super) fn started(&mut self, attempt: &Attempt) {
        if let Some(run) = self.current_mut(attempt)
            && let Phase::Running { recorded } = &mut run.phase
        {
            *recorded = true;
        }
    }

    pub(super) fn succeeded(&mut self, attempt: &Attempt, outputs: &[PortItems], effects: &mut Vec<Effect>) {
        if let Some((node, _)) = self.take(attempt) {
            self.complete(node, attempt.run, outputs.to_vec(), effects);
        }
    }

    pub(super) fn failed(&mut self, attempt: &Attempt, error: &NodeError, chance: u64, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(node) = self.graph.position(&attempt.node) else { return };
        let retry = self.graph.nodes[node].retry.clone();
        let Some(run) = self.current_mut(attempt) else { return };
        if error.retryable && attempt.attempt < retry.max_attempts {
            let delay_ms = retry.delay_ms(attempt.attempt, chance).max(error.retry_after_ms.unwrap_or(0));
            run.attempt += 1;
            self.enter(node, attempt.run, Phase::Retrying { due_at: now_ms.saturating_add(delay_ms) });
            return;
        }
        let (_, run) = self.take(attempt).expect("the current run was just found");
        match self.graph.nodes[node].on_error {
            OnError::Stop => {
                let failure = node_failure(&attempt.node, error);
                self.finish(ExecutionStatus::Failed, Some(failure), effects);
            }
            OnError::Continue => {
                let items = all_items(&run, |input, index| pass_on(input, index, &run.done));
                self.complete(node, attempt.run, PortItems::main(items), effects);
            }
            OnError::Branch => {
                let ports = self.branch_ports(node, attempt, error, &run);
                self.complete(node, attempt.run, ports, effects);
            }
        }
    }

    /// Done items go out on the first port, the others on `error` with what went wrong.
    fn branch_ports(&self, node: usize, attempt: &Attempt, error: &NodeError, run: &Run) -> Vec<PortItems> {
        let describe =
            json!({ "code": error.code, "message": error.message, "node_id": attempt.node, "attempt": attempt.attempt });
        let failed = all_items(run, |input, index| {
            if run.done.contains_key(&u32::try_from(index).ok()?) {
                return None;
            }
            let json = json!({ "json": input.items[index].json, "error": describe });
            Some(Item { json, binary: input.items[index].binary.clone(), source: input.source_of(index) })
        });
        let main = self.graph.nodes[node].shape.ports.first().cloned().unwrap_or(MAIN);
        vec![PortItems::new(main, run.done.values().cloned().collect()), PortItems::new("error".into(), failed)]
    }

    pub(super) fn retry_due(&mut self, attempt: &Attempt) {
        let Some(node) = self.graph.position(&attempt.node) else { return };
        if self.current(attempt).is_some_and(|run| matches!(run.phase, Phase::Retrying { .. })) {
            self.enter(node, attempt.run, Phase::Queued);
            self.queue.push_back((node, attempt.run));
        }
    }

    pub(super) fn wait_started(&mut self, attempt: &Attempt, wait: &Wait) {
        let Some(node) = self.graph.position(&attempt.node) else { return };
        if self.current(attempt).is_some() {
            self.enter(node, attempt.run, Phase::Waiting { wait: wait.clone(), received: Vec::new() });
        }
    }

    pub(super) fn wait_elapsed(&mut self, attempt: &Attempt, effects: &mut Vec<Effect>) {
        let Some(node) = self.graph.position(&attempt.node) else { return };
        if self.current(attempt).is_some_and(|run| matches!(run.phase, Phase::Waiting { .. })) {
            self.wake((node, attempt.run), true, effects);
        }
    }

    pub(super) fn signal_received(&mut self, name: &str, payload: &Value, effects: &mut Vec<Effect>) {
        let Some((&key, run)) = self.runs.iter_mut().find(|(_, run)| run.wants(name)) else { return };
        let Phase::Waiting { wait, received } = &mut run.phase else { return };
        received.push((name.to_owned(), payload.clone()));
        if received.len() == wait.signals.len() {
            self.wake(key, false, effects);
        }
    }

    fn wake(&mut self, key: (usize, u32), timed_out: bool, effects: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        let Phase::Waiting { wait, received } = &mut run.phase else { return };
        let (wait_state, signals) = (std::mem::take(&mut wait.state), std::mem::take(received));
        run.phase = Phase::Resuming { wait_state: wait_state.clone(), received: signals.clone(), timed_out };
        let attempt = run.attempt;
        effects.push(Effect::Resume { attempt: self.attempt_of(key.0, key.1, attempt), wait_state, signals, timed_out });
    }

    /// Ends the execution: whatever is in flight is aborted, and nothing is decided any more.
    pub(super) fn finish(&mut self, status: ExecutionStatus, error: Option<ExecutionError>, effects: &mut Vec<Effect>) {
        for ((node, run_index), run) in std::mem::take(&mut self.runs) {
            if run.phase.is_in_flight() {
                effects.push(Effect::Abort(self.attempt_of(node, run_index, run.attempt)));
            }
        }
        self.queue.clear();
        self.in_flight = 0;
        self.end = End::Ending;
        effects.push(Effect::Finish { status, error });
    }

    /// Fails the execution because of one of its own limits.
    pub(super) fn fail_limit(&mut self, code: &str, node: usize, message: String, effects: &mut Vec<Effect>) {
        let failure = limit_failure(code, &self.graph.nodes[node].id, message);
        self.finish(ExecutionStatus::Failed, Some(failure), effects);
    }

    /// Removes the run of a current attempt, with its place in the counts.
    fn take(&mut self, attempt: &Attempt) -> Option<(usize, Run)> {
        let node = self.graph.position(&attempt.node)?;
        self.current(attempt)?;
        let run = self.runs.remove(&(node, attempt.run))?;
        self.in_flight -= usize::from(run.phase.is_in_flight());
        self.nodes[node].active -= 1;
        Some((node, run))
    }

    /// Moves a run to another phase and keeps the count of those in flight.
    pub(super) fn enter(&mut self, node: usize, run_index: u32, phase: Phase) {
        let run = self.runs.get_mut(&(node, run_index)).expect("only a live run changes its phase");
        self.in_flight -= usize::from(run.phase.is_in_flight());
        self.in_flight += usize::from(phase.is_in_flight());
        run.phase = phase;
    }

    fn complete(&mut self, node: usize, run_index: u32, mut ports: Vec<PortItems>, effects: &mut Vec<Effect>) {
        if self.graph.nodes[node].always_output && ports.iter().all(|port| port.items.is_empty()) {
            let port = self.graph.nodes[node].shape.ports.first().cloned().unwrap_or(MAIN);
            ports = vec![PortItems::new(port, vec![Item::from_value(json!({}))])];
        }
        self.publish(node, RunOutput { run: run_index, ports }, effects);
    }
}

/// Applies `make` to every item of the run's first input.
fn all_items(run: &Run, mut make: impl FnMut(&Input, usize) -> Option<Item>) -> Vec<Item> {
    let Some(input) = run.inputs.first() else { return Vec::new() };
    (0..input.items.len()).filter_map(|index| make(input, index)).collect()
}

/// What `on_error: continue` puts out for one item: its result if it is done, else the item itself.
fn pass_on(input: &Input, index: usize, done: &BTreeMap<u32, Item>) -> Option<Item> {
    let result = done.get(&u32::try_from(index).ok()?).cloned();
    Some(result.unwrap_or_else(|| Item { source: input.source_of(index), ..input.items[index].clone() }))
}
