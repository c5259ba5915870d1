//! What the routes of monitoring share: the figures of the process, who may read them, and a sample of the actors that all
//! watchers of a second have in common.

mod exposition;
mod watch;

use std::sync::Arc;

use dashmap::DashMap;
use metrics::{Counter, counter, gauge};
use metrics_exporter_prometheus::PrometheusHandle;

pub(super) use self::watch::{WATCHERS_MAX, Watcher};
use self::{exposition::write_actors, watch::ActorWatch};
use crate::actors::{
    monitor::{Gauges, MonitorHandle, process},
    observatory::{self, KindTotals},
};
use crate::http::health::Phase;

/// Monitoring, as the handlers see it. Cheap to clone.
#[derive(Clone)]
pub struct Monitor {
    pub(super) handle: MonitorHandle,
    metrics: PrometheusHandle,
    /// Whether `/metrics` needs no token.
    pub(super) is_public: bool,
    pub(super) actors: ActorWatch,
    /// Answers to webhooks by status.
    hooks: Arc<DashMap<u16, Counter>>,
}

impl Monitor {
    pub fn new(handle: MonitorHandle, metrics: PrometheusHandle, is_public: bool) -> Self {
        Self { handle, metrics, is_public, actors: ActorWatch::default(), hooks: Arc::default() }
    }

    /// Counts an answer to a webhook. There are as many counters as there are statuses.
    pub(super) fn count_hook(&self, status: u16) {
        let make = || counter!("citadel_webhook_requests_total", "code" => status.to_string());
        if let Some(counter) = self.hooks.get(&status) {
            return counter.increment(1);
        }
        self.hooks.entry(status).or_insert_with(make).increment(1);
    }

    /// Every figure in the text format of Prometheus. What is only true at this moment is read now.
    pub(super) async fn render(&self, phase: Phase) -> String {
        set_gauges(&self.handle.gauges().await, phase);
        let totals = observatory::totals();
        set_actors(&totals);
        let mut text = self.metrics.render();
        write_actors(&mut text, &totals);
        text
    }
}

fn set_gauges(gauges: &Gauges, phase: Phase) {
    gauge!("citadel_executions_live").set(count(gauges.live));
    for pool in &gauges.pools {
        gauge!("citadel_pool_slots", "pool" => pool.name, "state" => "in_use").set(count(pool.busy));
        gauge!("citadel_pool_slots", "pool" => pool.name, "state" => "free").set(count(pool.slots.saturating_sub(pool.busy)));
        gauge!("citadel_pool_memory_bytes", "pool" => pool.name).set(count(pool.memory_bytes));
        set_queue(pool.name, pool.queued, pool.oldest_wait_ms);
    }
    set_queue("executions", gauges.queue.depth, gauges.queue.oldest_wait_ms);
    set_queue("lane", gauges.lane.depth, gauges.lane.oldest_wait_ms);
    for pool in &gauges.connections {
        gauge!("citadel_store_connections", "pool" => pool.name, "state" => "in_use").set(pool.in_use);
        gauge!("citadel_store_connections", "pool" => pool.name, "state" => "idle").set(pool.idle);
    }
    for (state, known) in [("starting", Phase::Starting), ("serving", Phase::Serving), ("draining", Phase::Draining)] {
        gauge!("citadel_cluster_nodes", "state" => state).set(u32::from(known == phase));
    }
    if let Some(bytes) = process::resident_bytes() {
        gauge!("process_resident_memory_bytes").set(count(usize::try_from(bytes).unwrap_or(usize::MAX)));
    }
}

fn set_queue(queue: &'static str, depth: usize, oldest_wait_ms: u64) {
    gauge!("citadel_queue_depth", "queue" => queue).set(count(depth));
    gauge!("citadel_queue_oldest_age_seconds", "queue" => queue).set(std::time::Duration::from_millis(oldest_wait_ms));
}

fn set_actors(totals: &[KindTotals]) {
    for kind in totals {
        gauge!("citadel_actors_live", "kind" => kind.kind).set(count(kind.live));
        gauge!("citadel_actor_mailbox_depth", "kind" => kind.kind).set(count(kind.depth));
        counter!("citadel_actor_messages_total", "kind" => kind.kind, "direction" => "in").absolute(kind.received);
        counter!("citadel_actor_messages_total", "kind" => kind.kind, "direction" => "out").absolute(kind.wait.count);
        for (reason, restarts) in &kind.restarts {
            counter!("citadel_actor_restarts_total", "kind" => kind.kind, "reason" => *reason).absolute(*restarts);
        }
    }
}

/// A count as Prometheus has its numbers.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, far above every limit")]
fn count(value: usize) -> f64 {
    value as f64
}
