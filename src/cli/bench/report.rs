//! What a benchmark found out. **Shape**: the JSON of `-o json`; a figure that this machine does not tell is null.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{fleet::Tally, machine::Machine, scenario::Scenario};

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) versions: Versions,
    pub(super) machine: Machine,
    pub(super) settings: Settings,
    pub(super) limits: Limits,
    pub(super) starts: Starts,
    pub(super) memory: Memory,
    pub(super) scenarios: Vec<Cell>,
    pub(super) start_cost: Option<StartCost>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Versions {
    pub(super) citadel: &'static str,
    /// `release` or `debug`: figures of a debug build say nothing.
    pub(super) build: &'static str,
    pub(super) target: String,
    pub(super) database: String,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Settings {
    pub(super) store: &'static str,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) clients: Vec<usize>,
    pub(super) seconds: u64,
    pub(super) warmup_seconds: u64,
    /// What the server logged.
    pub(super) log_filter: String,
}

/// What the machine does when there is next to nothing to do, in the same run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Limits {
    /// The HTTP stack of the server answering a constant, at each number of clients.
    pub(super) constant: Vec<Constant>,
    /// One execution per commit on the same kind of store, by that many writers at a time.
    pub(super) single_row_commits: Vec<Commits>,
    /// Blocks of 8 KiB that are written and synced one after the other in the data directory.
    pub(super) fdatasync_per_second: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Constant {
    pub(super) clients: usize,
    pub(super) load: Load,
    pub(super) server_cpu_us_per_request: Option<f64>,
    pub(super) generator_cpu_us_per_request: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Commits {
    pub(super) writers: u32,
    pub(super) per_second: f64,
}

/// From the start of the process to its first `/readyz` with 200, in milliseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Starts {
    /// With an empty directory: schema, keys and sandbox are made. Null if a cache directory was set that is not empty.
    pub(super) cold_ms: Option<f64>,
    /// With the compiled sandbox in the cache.
    pub(super) cached_ms: Option<f64>,
}

/// Memory of the server in RAM.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Memory {
    /// Ready, and nothing asked yet.
    pub(super) idle_bytes: Option<u64>,
    /// After each scenario, with the executions that the process has run until then: flat, if none leaves anything behind.
    pub(super) growth: Vec<Growth>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Growth {
    pub(super) executions: u64,
    pub(super) resident_bytes: Option<u64>,
}

/// One scenario at one number of clients.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Cell {
    pub(super) scenario: Scenario,
    pub(super) clients: usize,
    pub(super) load: Load,
    /// Executions that were acknowledged: one per 2xx.
    pub(super) executions: u64,
    /// Whether all of them came to rest soon after the load; if not, the CPU time lacks the rest of their work.
    pub(super) at_rest: bool,
    /// Calls of the effects' target.
    pub(super) effects: u64,
    /// User and system time of the server process.
    pub(super) server_cpu_us_per_execution: Option<f64>,
    /// The same of this process; where there are effects, it is their target, too.
    pub(super) generator_cpu_us_per_request: Option<f64>,
    pub(super) server_resident_before_bytes: Option<u64>,
    pub(super) server_resident_after_bytes: Option<u64>,
    /// Share of what the HTTP stack does with a constant at this number of clients.
    pub(super) of_constant: f64,
}

/// What became of the requests of one load.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Load {
    pub(super) seconds: f64,
    pub(super) requests: u64,
    pub(super) succeeded: u64,
    /// Answers with a 2xx.
    pub(super) requests_per_second: f64,
    /// Of the answers with a 2xx.
    pub(super) latency_ms: Latency,
    /// Other answers by their status, and `no_answer`.
    pub(super) errors: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// What finished executions in the store cost.
#[derive(Debug, Clone, Serialize)]
pub(super) struct StartCost {
    /// Finished executions that the full store was given.
    pub(super) executions: u64,
    pub(super) fill_seconds: f64,
    pub(super) cells: Vec<StartCostCell>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct StartCostCell {
    pub(super) scenario: Scenario,
    pub(super) clients: usize,
    pub(super) empty: Load,
    pub(super) full: Load,
    /// Rate on the full store by the rate on the empty one.
    pub(super) ratio: f64,
}

impl From<&Tally> for Load {
    fn from(tally: &Tally) -> Self {
        let seconds = tally.elapsed.as_secs_f64();
        let percentile = |percent| millis(tally.latencies.percentile(percent));
        Self {
            seconds,
            requests: tally.requests(),
            succeeded: tally.succeeded(),
            requests_per_second: ratio(number(tally.succeeded()), seconds),
            latency_ms: Latency {
                p50: percentile(50),
                p90: percentile(90),
                p99: percentile(99),
                max: millis(tally.latencies.max()),
            },
            errors: tally.errors.clone(),
        }
    }
}

/// A time in milliseconds, with whole microseconds.
pub(super) fn millis(time: Duration) -> f64 {
    f64::from(u32::try_from(time.as_micros()).unwrap_or(u32::MAX)) / 1e3
}

/// CPU time that was used between two looks, in microseconds for each of `count`.
pub(super) fn micros_each(before: Option<Duration>, after: Option<Duration>, count: u64) -> Option<f64> {
    let used = after?.saturating_sub(before?);
    (count > 0).then(|| used.as_secs_f64() * 1e6 / number(count))
}

/// `part / whole`, and zero of nothing.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// A count for a division. Counts of a benchmark stay below four billion.
pub(super) fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divides_by_nothing_without_a_fuss() {
        assert_eq!((ratio(3.0, 2.0), ratio(3.0, 0.0)), (1.5, 0.0));
        let second = Duration::from_secs(1);
        assert_eq!(micros_each(Some(second), Some(3 * second), 4), Some(500_000.0));
        assert_eq!(micros_each(Some(second), Some(second), 0), None);
        assert_eq!(micros_each(None, Some(second), 1), None);
    }

    #[test]
    fn shows_times_with_whole_microseconds() {
        assert_eq!(millis(Duration::from_nanos(305_999)), 0.305);
    }
}
