//! What is journaled: everything that ever happened to one execution. The stored form never changes its meaning:
//! recorded journals of each release fold to the same state for ever.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    error::NodeError,
    execution::{ExecutionStatus, TriggerKind},
    ids::ExecutionId,
    item::{Item, Items, PortItems},
    log::RunLog,
    trace::TraceParent,
};

/// One event with the time at which it was applied. **Shape** in the journal: an array of these per row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Unix milliseconds, by the clock of the process that owned the execution.
    pub at: u64,
    #[serde(flatten)]
    pub event: Event,
}

/// Which attempt of which run of which node an event speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    pub node: Arc<str>,
    pub run: u32,
    /// From 1 on.
    pub attempt: u32,
}

/// An event of an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The first event.
    Created {
        trigger: TriggerKind,
        start_node: Arc<str>,
        items: Items,
        /// Sub-workflows above this execution.
        nesting: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
        /// What it was given beside the items; absent where that is nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<Arc<StartContext>>,
    },
    /// The execution got a place among those of its workflow that may run at once, after it had to wait for one.
    Admitted,
    /// An attempt of an effect is about to begin.
    NodeStarted {
        #[serde(flatten)]
        attempt: Attempt,
    },
    /// Some items of an attempt are done and will not be done again.
    NodeProgressed {
        #[serde(flatten)]
        attempt: Attempt,
        /// Index of the input item, and what became of it.
        done: Vec<(u32, Item)>,
    },
    NodeSucceeded {
        #[serde(flatten)]
        attempt: Attempt,
        started_at: u64,
        outputs: Vec<PortItems>,
        /// What the node answers to whoever started the execution and waits (a `respond` node).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        response: Option<Response>,
        /// What the attempt wrote on its console, and what its code used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log: Option<Box<RunLog>>,
    },
    NodeFailed {
        #[serde(flatten)]
        attempt: Attempt,
        started_at: u64,
        error: NodeError,
        /// Uniform over `u64`, drawn by the shell: the jitter of the next delay.
        chance: u64,
        /// What the attempt wrote on its console before it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log: Option<Box<RunLog>>,
    },
    /// A crash cut an attempt off, and a signal has to say whether it is repeated.
    AttemptInterrupted {
        #[serde(flatten)]
        attempt: Attempt,
    },
    /// A run whose result an earlier execution has: it is over without having run. Follows the creation of a retry.
    NodeReused {
        node: Arc<str>,
        run: u32,
        outputs: Vec<PortItems>,
    },
    /// The delay before an attempt is over.
    RetryDue {
        #[serde(flatten)]
        attempt: Attempt,
    },
    /// A node run waits for a time, for signals, or for both.
    WaitStarted {
        #[serde(flatten)]
        attempt: Attempt,
        started_at: u64,
        wait: Wait,
    },
    /// The time of a wait has come.
    WaitElapsed {
        #[serde(flatten)]
        attempt: Attempt,
    },
    SignalReceived {
        name: String,
        payload: Value,
    },
    CancelRequested {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The wall time of the execution is used up.
    TimedOut,
    Finished {
        status: ExecutionStatus,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<ExecutionError>,
    },
}

/// What an execution keeps of the moment of its start, so that a replay sees the same.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StartContext {
    /// `$vars`: the variables that its workflow uses, as they were.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    /// The trace of the request that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
}

impl StartContext {
    /// As an event keeps it.
    pub fn into_event(self) -> Option<Arc<Self>> {
        (self != Self::default()).then(|| Arc::new(self))
    }
}

impl Event {
    /// Adds what the attempt wrote to the event of its end; others have no place for it.
    #[must_use]
    pub fn with_log(mut self, written: Option<RunLog>) -> Self {
        if let Self::NodeSucceeded { log, .. } | Self::NodeFailed { log, .. } = &mut self {
            *log = written.map(Box::new);
        }
        self
    }

    /// What an attempt wrote, with the attempt.
    pub fn log(&self) -> Option<(&Attempt, &RunLog)> {
        if let Self::NodeSucceeded { attempt, log: Some(log), .. } | Self::NodeFailed { attempt, log: Some(log), .. } = self {
            return Some((attempt, &**log));
        }
        None
    }
}

/// The execution that started this one as a sub-workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub execution: ExecutionId,
    /// The signal that the end of this execution sends to it; `None` if it does not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
}

/// An answer to an HTTP caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    pub status: u16,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A string is sent as it is (text/plain unless a header says otherwise), anything else as JSON.
    pub body: Value,
}

/// What a node run waits for. It ends when every signal has arrived or when the time has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Wait {
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Names of signals, each of which has to arrive once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<String>,
    /// What the node type wants to know when the wait ends, and what the API shows of it (an approval's title and form).
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub state: Value,
}

/// Why an execution failed or was cancelled. **Shape**: `{ code, message, node_id? }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionError {
    pub code: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::log::{LogLevel, LogLine};

    #[test]
    fn reads_the_results_of_journals_without_logs() {
        let stored = json!({
            "at": 5, "type": "node_succeeded", "node": "a", "run": 0, "attempt": 1, "started_at": 4, "outputs": [],
        });
        let read: Recorded = serde_json::from_value(stored.clone()).unwrap();
        assert!(read.event.log().is_none());
        assert_eq!(serde_json::to_value(&read).unwrap(), stored, "and writes them as they were");
        let line = LogLine { at: 4, level: LogLevel::Warn, text: "hm".to_owned() };
        let log = RunLog { lines: vec![line], truncated: true, usage: None };
        let with_log = Recorded { event: read.event.with_log(Some(log.clone())), ..read };
        let again: Recorded = serde_json::from_value(serde_json::to_value(&with_log).unwrap()).unwrap();
        assert_eq!(again.event.log().map(|(_, log)| log), Some(&log));
    }
}
