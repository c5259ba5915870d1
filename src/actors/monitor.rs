//! What the process is doing, in numbers: for `/metrics`, `/stats` and whoever watches. Reads counters and asks pools; never
//! looks at a table, and nothing may be decided by what it says.

mod metrics;
pub mod process;
mod tally;

use std::sync::{Arc, atomic::Ordering};

use futures_util::future::join_all;

pub use self::{
    metrics::{EngineCounts, EngineMetrics, ScheduleCounts},
    tally::{Counts, Tally},
};
use super::{engine::Engine, journal_lane::LaneView, places::QueueView, pool::PoolView};
use crate::{clock, store::ConnectionPool};

/// The way to the numbers. Cheap to clone.
#[derive(Clone)]
pub struct MonitorHandle {
    engine: Arc<Engine>,
    /// Unix milliseconds.
    started_at: u64,
    live_max: usize,
}

/// The numbers that go up and down.
#[derive(Debug, Clone)]
pub struct Gauges {
    /// Executions in memory, and how many there may be.
    pub live: usize,
    pub live_max: usize,
    pub queue: QueueView,
    pub lane: LaneView,
    /// Those that answer: a pool that is being restarted is missing.
    pub pools: Vec<PoolView>,
    pub connections: Vec<ConnectionPool>,
}

impl MonitorHandle {
    /// `live_max` is the number of permits that the engine began with.
    pub fn new(engine: Arc<Engine>, live_max: usize) -> Self {
        Self { engine, started_at: clock::now_ms(), live_max }
    }

    /// When the process began to count, in Unix milliseconds.
    pub fn started_at(&self) -> u64 {
        self.started_at
    }

    /// Whether the process is on its way out.
    pub fn is_draining(&self) -> bool {
        self.engine.is_draining.load(Ordering::Relaxed)
    }

    /// What was counted since the start.
    pub fn counts(&self) -> EngineCounts {
        self.engine.metrics.read(clock::now_ms())
    }

    /// What is in use at this moment.
    pub async fn gauges(&self) -> Gauges {
        let pools = join_all(self.engine.pools.values().map(super::pool::PoolHandle::snapshot)).await;
        Gauges {
            live: self.engine.directory.len(),
            live_max: self.live_max,
            queue: self.engine.places.view(clock::now_ms()),
            lane: self.engine.lane.view(),
            pools: pools.into_iter().flatten().collect(),
            connections: self.engine.store.connections(),
        }
    }
}
