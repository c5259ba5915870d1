//! How well ticks are fired: numbers for the metrics page, for statistics and for tests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// Counted since the process started.
#[derive(Debug, Default)]
pub struct ScheduleFigures {
    fired: AtomicU64,
    missed: AtomicU64,
    lag_ms: AtomicU64,
}

/// The numbers at one moment. **Shape**: `{"fired", "missed", "lag_ms"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ScheduleFiguresView {
    /// Ticks that this process fired.
    pub fired: u64,
    /// Ticks that this process passed over: missed ones, and those that met an execution that had not ended.
    pub missed: u64,
    /// How late the last tick fired, in milliseconds.
    pub lag_ms: u64,
}

impl ScheduleFigures {
    pub fn snapshot(&self) -> ScheduleFiguresView {
        ScheduleFiguresView {
            fired: self.fired.load(Relaxed),
            missed: self.missed.load(Relaxed),
            lag_ms: self.lag_ms.load(Relaxed),
        }
    }

    /// A tick fired, so much after it was due.
    pub(super) fn fired(&self, lag_ms: u64) {
        self.fired.fetch_add(1, Relaxed);
        self.lag_ms.store(lag_ms, Relaxed);
        metrics::histogram!("citadel_schedule_lag_seconds").record(std::time::Duration::from_millis(lag_ms));
    }

    /// Ticks were passed over.
    pub(super) fn missed(&self, ticks: u32) {
        if ticks > 0 {
            self.missed.fetch_add(u64::from(ticks), Relaxed);
            metrics::counter!("citadel_schedule_missed_total").increment(u64::from(ticks));
        }
    }
}
