//! The counters of `/stats`.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::Time;
use crate::actors::{
    journal_lane::LaneView,
    monitor::{Counts, EngineCounts, Gauges, ScheduleCounts},
    places::QueueView,
    pool::PoolView,
};

/// What this process has done and is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct StatsBody {
    /// Since when is counted.
    since: Time,
    executions: Executions,
    node_runs: Counts,
    node_failures: Counts,
    rates: Rates,
    /// Attempts that wait for a place of a pool.
    queued: usize,
    /// Executions that wait for a place, where a workflow bounds how many run at once.
    queue: QueueView,
    schedules: ScheduleCounts,
    lane: LaneView,
    pools: Vec<PoolView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExecutionCounts)]
struct Executions {
    live: usize,
    live_max: usize,
    started: Counts,
    finished: Counts,
    /// Of the finished ones.
    failed: Counts,
    #[schema(value_type = BTreeMap<String, Counts>)]
    started_by_trigger: BTreeMap<&'static str, Counts>,
    #[schema(value_type = BTreeMap<String, Counts>)]
    finished_by_status: BTreeMap<&'static str, Counts>,
}

/// Per second, on an average of the last minute.
#[derive(Debug, Serialize, ToSchema)]
struct Rates {
    started_per_second: f64,
    finished_per_second: f64,
    failed_per_second: f64,
    node_runs_per_second: f64,
}

impl StatsBody {
    pub(in crate::http) fn new(counts: EngineCounts, gauges: Gauges, since: u64, now_ms: u64) -> Self {
        let started: Counts = counts.started.values().copied().sum();
        let finished: Counts = counts.finished.values().copied().sum();
        let failed = counts.finished.get("failed").copied().unwrap_or_default();
        let seconds = now_ms.saturating_sub(since).div_ceil(1_000).clamp(1, 60);
        let rate = |counts: Counts| {
            let per_second = |value: u64| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
            per_second(counts.last_minute) / per_second(seconds)
        };
        Self {
            since: Time(since),
            rates: Rates {
                started_per_second: rate(started),
                finished_per_second: rate(finished),
                failed_per_second: rate(failed),
                node_runs_per_second: rate(counts.node_runs),
            },
            executions: Executions {
                live: gauges.live,
                live_max: gauges.live_max,
                started,
                finished,
                failed,
                started_by_trigger: counts.started,
                finished_by_status: counts.finished,
            },
            node_runs: counts.node_runs,
            node_failures: counts.node_failures,
            queued: gauges.pools.iter().map(|pool| pool.queued).sum(),
            queue: gauges.queue,
            schedules: counts.schedules,
            lane: gauges.lane,
            pools: gauges.pools,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_over_a_minute_or_since_the_start() {
        let counts = |last_minute| Counts { total: 500, last_minute, last_hour: 400 };
        let counted = || EngineCounts {
            started: [("manual", counts(60)), ("webhook", counts(30))].into(),
            finished: [("succeeded", counts(45)), ("failed", counts(15)), ("cancelled", counts(0))].into(),
            node_runs: counts(120),
            node_failures: counts(15),
            schedules: ScheduleCounts { fired: counts(2), missed: counts(0), lag_ms: 4 },
        };
        let gauges = || Gauges {
            live: 3,
            live_max: 10,
            queue: QueueView { depth: 7, depth_max: 100, oldest_wait_ms: 900 },
            lane: LaneView { depth: 1, depth_max: 9, bytes: 100, oldest_wait_ms: 2 },
            pools: vec![PoolView {
                name: "io",
                slots: 4,
                busy: 4,
                memory_bytes: 0,
                memory_bytes_max: None,
                queued: 2,
                oldest_wait_ms: 5,
            }],
            connections: Vec::new(),
        };
        let at = |now_ms| serde_json::to_value(StatsBody::new(counted(), gauges(), 1_700_000_000_000, now_ms)).unwrap();
        insta::assert_json_snapshot!(at(1_700_000_600_000));
        assert_eq!(at(1_700_000_030_000)["rates"]["started_per_second"], 3.0);
        assert_eq!(at(1_700_000_000_000)["rates"]["started_per_second"], 90.0);
    }
}
