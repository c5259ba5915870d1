//! Settings of what one process, and one workspace in it, may use.

use std::num::{NonZeroU32, NonZeroUsize};

use serde::{Deserialize, Serialize};

use super::positive;

/// Limits of this process. Limits of single workflows are in `model::limits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsConfig {
    /// Whether rates are limited (logins, requests); sizes always are.
    pub enabled: bool,
    /// Requests that a token, or an address without one, may send in the long run, and at once.
    pub requests_per_second: NonZeroU32,
    pub requests_burst: NonZeroU32,
    /// Requests that one webhook takes in the long run, and at once.
    pub hooks_per_second: NonZeroU32,
    pub hooks_burst: NonZeroU32,
    /// Executions that may be in memory at once.
    pub executions_live_max: usize,
    /// Executions that may wait in memory because their workflow bounds how many run at once.
    pub executions_queued_max: usize,
    /// Effects that may wait for sockets and files at once.
    pub io_slots: usize,
    /// Sandboxes that may compute at once; unset: one per core.
    pub wasm_slots: Option<usize>,
    /// What the memory limits of code that runs at once may add up to, in bytes.
    pub wasm_memory_bytes: usize,
    /// Requests that may wait for the journal's next commit.
    pub lane_depth_max: usize,
    /// Bytes that may wait for the journal's next commit.
    pub lane_bytes_max: usize,
    /// Connections that the HTTP server keeps open; more wait in the operating system's queue.
    pub http_connections_max: usize,
    /// Streams of events (SSE) that the HTTP server serves at once.
    pub streams_max: usize,
    /// Executions of one workspace that may run at once in this process; unset: its fair share of `executions_live_max`.
    pub workspace_executions_max: Option<usize>,
    /// What becomes of those beyond that.
    pub workspace_excess: Excess,
    /// Executions that one workspace may start in a minute; unset: any number.
    pub workspace_starts_per_minute: Option<NonZeroU32>,
    /// What the executions of one workspace may have stored, in bytes; unset: anything.
    pub workspace_bytes_max: Option<u64>,
    /// Runs in sandboxes that one workspace may have at once; unset: as many as there are places.
    pub workspace_code_runs_max: Option<NonZeroUsize>,
    /// CPU time that the code of one workspace may use in a minute, in seconds; unset: any.
    pub workspace_code_seconds_per_minute: Option<NonZeroU32>,
}

/// What becomes of what is beyond a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Excess {
    /// It is refused, if somebody waits who can be told; what follows from running executions goes on.
    #[default]
    Refuse,
    /// It is stored and waits for its turn.
    Queue,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            // More than a small machine can answer: these stop a client that has gone wild, admission stops the rest.
            requests_per_second: positive(20_000),
            requests_burst: positive(40_000),
            hooks_per_second: positive(20_000),
            hooks_burst: positive(40_000),
            executions_live_max: 10_000,
            executions_queued_max: 10_000,
            io_slots: 256,
            wasm_slots: None,
            wasm_memory_bytes: 1024 * 1024 * 1024,
            lane_depth_max: 20_000,
            lane_bytes_max: 256 * 1024 * 1024,
            http_connections_max: 10_000,
            streams_max: 1_000,
            workspace_executions_max: None,
            workspace_excess: Excess::Refuse,
            workspace_starts_per_minute: None,
            workspace_bytes_max: None,
            workspace_code_runs_max: None,
            workspace_code_seconds_per_minute: None,
        }
    }
}
