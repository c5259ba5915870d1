//! Attempts that a crash cut off, where somebody has to say whether they are repeated: `retry.after_crash: ask`.

use serde_json::Value;

use super::{Machine, Phase, Work};
use crate::model::{
    after_crash::{self, Decision},
    definition::AfterCrash,
    event::Attempt,
};

impl Machine {
    /// What recovery does with an attempt that a crash cut off; `None` if it left no start record, so that it is repeated.
    pub fn after_crash(&self, attempt: &Attempt) -> Option<AfterCrash> {
        let recorded = self.current(attempt).is_some_and(|run| matches!(run.phase, Phase::Running { recorded: true, .. }));
        self.graph.node(&attempt.node).filter(|_| recorded).map(|node| node.retry.after_crash)
    }

    /// The attempt waits for a decision, and has no result until then.
    pub(super) fn interrupted(&mut self, attempt: &Attempt) {
        if let Some(node) = self.graph.position(&attempt.node) {
            let signal = after_crash::signal(&attempt.node, attempt.run);
            self.enter(node, attempt.run, Phase::Interrupted { signal });
        }
    }

    /// Repeats the attempt, or has it fail. What is no decision changes nothing: the run goes on waiting for one.
    pub(super) fn decided(&mut self, node: usize, run_index: u32, name: &str, payload: &Value) {
        match after_crash::read(payload) {
            Ok(Decision::Retry) => self.enqueue(node, run_index, Work::Begin),
            Ok(Decision::Fail) => {
                let signals = vec![(name.to_owned(), payload.clone())];
                self.enqueue(node, run_index, Work::Resume { wait_state: after_crash::state(), signals, timed_out: false });
            }
            Err(_) => {}
        }
    }
}
