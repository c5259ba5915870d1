//! The engine's own figures. Handles are registered once: an event costs a few atomic additions, and never a label.
//! Executions and nodes write them; `/metrics` reads them through the recorder of the process, `/stats` from here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use dashmap::DashMap;
use metrics::{Counter, Histogram, counter, histogram};
use serde::Serialize;

use super::tally::{Counts, Tally};
use crate::model::{
    error::{NodeError, codes},
    execution::{ExecutionStatus, TriggerKind},
};

/// The node type whose failures have codes that the author of a workflow chose.
const STOP_ERROR: &str = "stop_error";
/// Pairs of a node type and a failure code that are told apart.
const FAILURES_MAX: usize = 500;
/// The code of those beyond.
const OTHER: &str = "other";
/// What executions end as.
const ENDS: [ExecutionStatus; 3] = [ExecutionStatus::Succeeded, ExecutionStatus::Failed, ExecutionStatus::Cancelled];

/// The counters of one process.
pub struct EngineMetrics {
    /// In the order of [`TriggerKind::ALL`].
    started: [Counted; TriggerKind::ALL.len()],
    /// In the order of [`ENDS`].
    finished: [Counted; ENDS.len()],
    execution_seconds: Histogram,
    node_seconds: HashMap<&'static str, Histogram>,
    failures: DashMap<(&'static str, String), Counter>,
    node_runs: Tally,
    node_failures: Tally,
    fired: Tally,
    missed: Counted,
    lag_seconds: Histogram,
    lag_ms: AtomicU64,
}

/// What the counters say. Part of `/stats`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineCounts {
    pub started: BTreeMap<&'static str, Counts>,
    pub finished: BTreeMap<&'static str, Counts>,
    pub node_runs: Counts,
    pub node_failures: Counts,
    pub schedules: ScheduleCounts,
}

/// How well this process fires schedules. **Shape**: `{ fired, missed, lag_ms }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ScheduleCounts {
    /// Ticks that fired here.
    pub fired: Counts,
    /// Ticks that were passed over here: missed ones, and those that met an execution that had not ended.
    pub missed: Counts,
    /// How late the last tick fired, in milliseconds.
    pub lag_ms: u64,
}

/// A counter for time series and one for people.
struct Counted {
    counter: Counter,
    tally: Tally,
}

impl Counted {
    fn new(counter: Counter) -> Self {
        // So that the series is there before its first event.
        counter.increment(0);
        Self { counter, tally: Tally::default() }
    }

    fn count(&self, now_ms: u64) {
        self.counter.increment(1);
        self.tally.count(now_ms);
    }
}

impl EngineMetrics {
    /// Registers every figure. The recorder has to be there already: see `telemetry`.
    pub fn new(node_types: impl Iterator<Item = &'static str>) -> Self {
        let started =
            |trigger: TriggerKind| Counted::new(counter!("citadel_executions_started_total", "trigger" => trigger.as_str()));
        let finished =
            |status: ExecutionStatus| Counted::new(counter!("citadel_executions_finished_total", "status" => status.as_str()));
        let seconds = |node_type| (node_type, histogram!("citadel_node_duration_seconds", "type" => node_type));
        Self {
            started: TriggerKind::ALL.map(started),
            finished: ENDS.map(finished),
            execution_seconds: histogram!("citadel_execution_duration_seconds"),
            node_seconds: node_types.map(seconds).collect(),
            failures: DashMap::new(),
            node_runs: Tally::default(),
            node_failures: Tally::default(),
            fired: Tally::default(),
            missed: Counted::new(counter!("citadel_schedule_missed_total")),
            lag_seconds: histogram!("citadel_schedule_lag_seconds"),
            lag_ms: AtomicU64::new(0),
        }
    }

    /// The creation of an execution is durable.
    pub fn execution_started(&self, trigger: TriggerKind, now_ms: u64) {
        if let Some(index) = TriggerKind::ALL.iter().position(|known| *known == trigger) {
            self.started[index].count(now_ms);
        }
    }

    /// The end of an execution is durable.
    pub fn execution_finished(&self, status: ExecutionStatus, created_at: u64, now_ms: u64) {
        if let Some(index) = ENDS.iter().position(|known| *known == status) {
            self.finished[index].count(now_ms);
            self.execution_seconds.record(Duration::from_millis(now_ms.saturating_sub(created_at)));
        }
    }

    /// An attempt of a node has ended.
    pub fn attempt_ended(&self, node_type: &str, took: Duration, failure: Option<&NodeError>, now_ms: u64) {
        let Some((node_type, seconds)) = self.node_seconds.get_key_value(node_type) else { return };
        seconds.record(took);
        self.node_runs.count(now_ms);
        if let Some(error) = failure {
            self.node_failures.count(now_ms);
            self.count_failure(node_type, &error.code);
        }
    }

    /// A tick of a schedule has fired, so much after it was due.
    pub fn schedule_fired(&self, lag_ms: u64, now_ms: u64) {
        self.fired.count(now_ms);
        self.lag_ms.store(lag_ms, Relaxed);
        self.lag_seconds.record(Duration::from_millis(lag_ms));
    }

    /// Ticks of a schedule were passed over.
    pub fn schedule_missed(&self, ticks: u32, now_ms: u64) {
        self.missed.counter.increment(u64::from(ticks));
        self.missed.tally.count_many(ticks, now_ms);
    }

    pub fn read(&self, now_ms: u64) -> EngineCounts {
        let started = TriggerKind::ALL.iter().zip(&self.started);
        let finished = ENDS.iter().zip(&self.finished);
        EngineCounts {
            started: started.map(|(trigger, counted)| (trigger.as_str(), counted.tally.read(now_ms))).collect(),
            finished: finished.map(|(status, counted)| (status.as_str(), counted.tally.read(now_ms))).collect(),
            node_runs: self.node_runs.read(now_ms),
            node_failures: self.node_failures.read(now_ms),
            schedules: ScheduleCounts {
                fired: self.fired.read(now_ms),
                missed: self.missed.tally.read(now_ms),
                lag_ms: self.lag_ms.load(Relaxed),
            },
        }
    }

    /// Codes are a closed set but for those of `stop_error`; the bound is for what nobody has thought of.
    fn count_failure(&self, node_type: &'static str, code: &str) {
        let code = if node_type == STOP_ERROR { codes::STOPPED } else { code };
        let key = (node_type, code.to_owned());
        if let Some(counter) = self.failures.get(&key) {
            counter.increment(1);
            return;
        }
        let key = if self.failures.len() < FAILURES_MAX { key } else { (node_type, OTHER.to_owned()) };
        let make = || counter!("citadel_node_failures_total", "type" => node_type, "code" => key.1.clone());
        self.failures.entry(key.clone()).or_insert_with(make).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> EngineMetrics {
        EngineMetrics::new(["set", STOP_ERROR].into_iter())
    }

    #[test]
    fn counts_by_kind_only() {
        let metrics = metrics();
        metrics.execution_started(TriggerKind::Webhook, 1_000);
        metrics.execution_finished(ExecutionStatus::Failed, 500, 1_000);
        metrics.execution_finished(ExecutionStatus::Running, 500, 1_000);
        metrics.attempt_ended("set", Duration::ZERO, None, 1_000);
        metrics.attempt_ended("set", Duration::ZERO, Some(&NodeError::permanent("timeout", "x")), 1_000);
        metrics.attempt_ended("no-such-type", Duration::ZERO, None, 1_000);
        let seen = metrics.read(1_000);
        assert_eq!((seen.started["webhook"].total, seen.started["manual"].total), (1, 0));
        assert_eq!(seen.finished.values().map(|counts| counts.total).collect::<Vec<_>>(), [0, 1, 0]);
        assert_eq!((seen.node_runs.total, seen.node_failures.total), (2, 1));
    }

    #[test]
    fn failure_codes_limit_obeyed_and_violated() {
        let metrics = metrics();
        for number in 0..FAILURES_MAX + 50 {
            let error = NodeError::permanent(&format!("code-{number}"), "x");
            metrics.attempt_ended("set", Duration::ZERO, Some(&error), 0);
            metrics.attempt_ended(STOP_ERROR, Duration::ZERO, Some(&error), 0);
        }
        assert_eq!(metrics.failures.iter().filter(|entry| entry.key().0 == STOP_ERROR).count(), 1);
        assert!(metrics.failures.contains_key(&("set", OTHER.to_owned())));
        assert_eq!(metrics.failures.len(), FAILURES_MAX + 1);
    }
}
