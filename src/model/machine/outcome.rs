//! What the end of an attempt means: success, another attempt, a wait, or the node's `on_error`. Called with events that the
//! machine expects only.

use serde_json::{Value, json};

use super::{Effect, End, Machine, Phase, Run, Work, flow::sourced, limit_failure, node_failure};
use crate::model::{
    definition::OnError,
    error::NodeError,
    event::{Attempt, ExecutionError, Wait},
    execution::ExecutionStatus,
    item::{Item, MAIN, Port, PortItems, RunOutput},
};

impl Machine {
    pub(super) fn started(&mut self, attempt: &Attempt) {
        if let Some(run) = self.in_flight_mut(attempt)
            && let Phase::Running { recorded, .. } = &mut run.phase
        {
            *recorded = true;
        }
    }

    pub(super) fn succeeded(&mut self, attempt: &Attempt, outputs: &[PortItems], effects: &mut Vec<Effect>) {
        if let Some((node, _)) = self.take(attempt) {
            self.complete(node, attempt.run, outputs.to_vec(), effects);
        }
    }

    /// Ends a run with a result of an earlier execution. Its attempt was perhaps handed out: whoever has it finds it over.
    pub(super) fn reused(&mut self, node: &str, run_index: u32, outputs: &[PortItems], effects: &mut Vec<Effect>) {
        let Some(node) = self.graph.position(node) else { return };
        let Some(run) = self.runs.remove(&(node, run_index)) else { return };
        self.in_flight -= usize::from(run.is_in_flight());
        self.nodes[node].active -= 1;
        self.publish(node, RunOutput { run: run_index, ports: outputs.to_vec() }, effects);
    }

    pub(super) fn failed(&mut self, attempt: &Attempt, error: &NodeError, chance: u64, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(node) = self.graph.position(&attempt.node) else { return };
        let retry = self.graph.nodes[node].retry.clone();
        let Some(run) = self.in_flight_mut(attempt) else { return };
        if error.retryable && attempt.attempt < retry.max_attempts {
            let delay_ms = retry.delay_ms(attempt.attempt, chance).max(error.retry_after_ms.unwrap_or(0));
            run.attempt += 1;
            self.enter(node, attempt.run, Phase::Retrying { due_at: now_ms.saturating_add(delay_ms) });
            return;
        }
        let (_, run) = self.take(attempt).expect("the run was just found");
        match self.graph.nodes[node].on_error {
            OnError::Stop => {
                self.abandon(node, attempt.run, &run);
                let failure = node_failure(&attempt.node, error);
                self.finish(ExecutionStatus::Failed, Some(failure), effects);
            }
            OnError::Continue => {
                let result = |(index, item)| run.done.get(&index).cloned().unwrap_or(item);
                let items = input_items(&run).map(result).collect();
                self.complete(node, attempt.run, vec![PortItems::new(self.first_port(node), items)], effects);
            }
            OnError::Branch => {
                let ports = self.branch_ports(node, attempt, error, &run);
                self.complete(node, attempt.run, ports, effects);
            }
        }
    }

    /// Done items go out on the first port, the others on `error` with what went wrong. A failure without an item to blame gives
    /// an empty one: on a branch of its own an error must not get lost.
    fn branch_ports(&self, node: usize, attempt: &Attempt, error: &NodeError, run: &Run) -> Vec<PortItems> {
        let describe =
            json!({ "code": error.code, "message": error.message, "node_id": attempt.node, "attempt": attempt.attempt });
        let blame = |item: Item| Item { json: json!({ "json": item.json, "error": describe }), ..item };
        let not_done = input_items(run).filter(|(index, _)| !run.done.contains_key(index));
        let mut failed: Vec<Item> = not_done.map(|(_, item)| blame(item)).collect();
        if failed.is_empty() {
            failed.push(blame(Item::from_value(json!({}))));
        }
        let done = run.done.values().cloned().collect();
        vec![PortItems::new(self.first_port(node), done), PortItems::new("error".into(), failed)]
    }

    pub(super) fn retry_due(&mut self, attempt: &Attempt) {
        if let Some(node) = self.graph.position(&attempt.node) {
            self.enqueue(node, attempt.run, Work::Begin);
        }
    }

    pub(super) fn wait_started(&mut self, attempt: &Attempt, wait: &Wait) {
        let Some(node) = self.graph.position(&attempt.node) else { return };
        self.enter(node, attempt.run, Phase::Waiting { wait: wait.clone(), received: Vec::new() });
        if wait.until.is_none() && wait.signals.is_empty() {
            // It waits for nothing, so it is over: no event would ever end it.
            self.wake(node, attempt.run, false);
        }
    }

    pub(super) fn wait_elapsed(&mut self, attempt: &Attempt) {
        if let Some(node) = self.graph.position(&attempt.node) {
            self.wake(node, attempt.run, true);
        }
    }

    /// Gives a signal to the first run that waits for it.
    pub(super) fn signal_received(&mut self, name: &str, payload: &Value) {
        let Some((&(node, run_index), run)) = self.runs.iter_mut().find(|(_, run)| run.wants(name)) else { return };
        let (wait, received) = match &mut run.phase {
            Phase::Waiting { wait, received } => (wait, received),
            Phase::Interrupted { .. } => return self.decided(node, run_index, name, payload),
            Phase::Queued(_) | Phase::Running { .. } | Phase::Retrying { .. } => return,
        };
        received.push((name.to_owned(), payload.clone()));
        if wait.signals.iter().all(|wanted| received.iter().any(|(got, _)| got == wanted)) {
            self.wake(node, run_index, false);
        }
    }

    /// Ends a wait: the run goes on as soon as it has a place.
    fn wake(&mut self, node: usize, run_index: u32, timed_out: bool) {
        let Some(run) = self.runs.get_mut(&(node, run_index)) else { return };
        let Phase::Waiting { wait, received } = &mut run.phase else { return };
        let (wait_state, signals) = (std::mem::take(&mut wait.state), std::mem::take(received));
        self.enqueue(node, run_index, Work::Resume { wait_state, signals, timed_out });
    }

    /// Ends the execution: whatever is in flight is aborted, and nothing is decided any more.
    pub(super) fn finish(&mut self, status: ExecutionStatus, error: Option<ExecutionError>, effects: &mut Vec<Effect>) {
        self.abandon_all();
        self.abort_runs(effects);
        self.end = End::Ending { status, error: error.clone() };
        effects.push(Effect::Finish { status, error });
    }

    /// Forgets every run, and stops those that are in flight.
    pub(super) fn abort_runs(&mut self, effects: &mut Vec<Effect>) {
        for ((node, run_index), run) in std::mem::take(&mut self.runs) {
            if run.is_in_flight() {
                effects.push(Effect::Abort(self.attempt_of(node, run_index, run.attempt)));
            }
        }
        self.queue.clear();
        self.in_flight = 0;
    }

    /// Fails the execution because of one of its own limits.
    pub(super) fn fail_limit(&mut self, code: &str, node: usize, message: String, effects: &mut Vec<Effect>) {
        let failure = limit_failure(code, &self.graph.nodes[node].id, message);
        self.finish(ExecutionStatus::Failed, Some(failure), effects);
    }

    /// Removes the run of an attempt that is in flight, with its place in the counts.
    fn take(&mut self, attempt: &Attempt) -> Option<(usize, Run)> {
        let node = self.graph.position(&attempt.node)?;
        self.in_flight_mut(attempt)?;
        let run = self.runs.remove(&(node, attempt.run))?;
        self.in_flight -= 1;
        self.nodes[node].active -= 1;
        Some((node, run))
    }

    /// Moves a run to another phase and keeps the count of those in flight.
    pub(super) fn enter(&mut self, node: usize, run_index: u32, phase: Phase) {
        let run = self.runs.get_mut(&(node, run_index)).expect("only a live run changes its phase");
        self.in_flight -= usize::from(run.is_in_flight());
        run.phase = phase;
        self.in_flight += usize::from(run.is_in_flight());
    }

    /// Lets a run wait for a place among the effects in flight.
    pub(super) fn enqueue(&mut self, node: usize, run_index: u32, work: Work) {
        self.enter(node, run_index, Phase::Queued(work));
        self.queue.push_back((node, run_index));
    }

    /// Publishes what a run ends with, or one empty item in its place where `always_output` asks for it.
    pub(super) fn complete(&mut self, node: usize, run_index: u32, mut ports: Vec<PortItems>, effects: &mut Vec<Effect>) {
        if self.graph.nodes[node].always_output && ports.iter().all(|port| port.items.is_empty()) {
            let port = ports.first().map_or_else(|| self.first_port(node), |output| output.port.clone());
            ports = vec![PortItems::new(port, vec![Item::from_value(json!({}))])];
        }
        self.publish(node, RunOutput { run: run_index, ports }, effects);
    }

    pub(super) fn first_port(&self, node: usize) -> Port {
        self.graph.nodes[node].shape.ports.first().cloned().unwrap_or(MAIN)
    }
}

/// The items of all inputs of a run, one input after the other, each with its index.
fn input_items(run: &Run) -> impl Iterator<Item = (u32, Item)> {
    (0..).zip(run.inputs.iter().flat_map(sourced))
}
