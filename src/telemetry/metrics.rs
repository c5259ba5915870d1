//! The recorder behind the `metrics` facade, and what each figure means. `/metrics` renders it; nothing listens by itself.

use std::sync::OnceLock;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of durations, in seconds: from a pure node to an execution that waits for people.
const SECONDS: [f64; 16] =
    [0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3_600.0];
/// Bounds of batch sizes.
const ROWS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1_000.0, 2_000.0];

/// The facade has one recorder per process, so this has to be one per process, too.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Makes the recorder of this process, once, and answers the way to render it. Whoever keeps it calls `run_upkeep` every few
/// seconds, so that samples do not pile up while nobody asks.
pub fn install() -> PrometheusHandle {
    RECORDER
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_rows".to_owned()), &ROWS))
                .expect("there are bounds")
                .build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another recorder was installed before: /metrics will show little");
            }
            describe();
            handle
        })
        .clone()
}

/// Says what each figure is, and begins those that have no other beginning.
fn describe() {
    describe_gauge!("citadel_build_info", "Always 1; the version is a label");
    describe_counter!("citadel_executions_started_total", "Executions that were created durably, by what started them");
    describe_counter!("citadel_executions_finished_total", "Executions that have ended, by how");
    describe_histogram!("citadel_execution_duration_seconds", "From the creation of an execution to its end");
    describe_histogram!("citadel_node_duration_seconds", "One attempt of a node, without the wait for its place");
    describe_counter!("citadel_node_failures_total", "Failed attempts, by node type and failure code");
    describe_gauge!("citadel_queue_depth", "What waits in a queue: io and wasm for a place, lane for the journal's commit");
    describe_gauge!("citadel_queue_oldest_age_seconds", "How long that has waited which waits longest");
    describe_histogram!("citadel_schedule_lag_seconds", "How late schedules fired");
    describe_counter!("citadel_schedule_missed_total", "Firings of schedules that were skipped");
    describe_counter!("citadel_actor_messages_total", "Messages put into mailboxes (in) and taken out to be handled (out)");
    describe_counter!("citadel_actor_restarts_total", "Actors that a supervisor started again, by why");
    describe_gauge!("citadel_actor_mailbox_depth", "Messages that wait in the mailboxes of a kind of actors");
    describe_gauge!("citadel_actors_live", "Actors of a kind");
    describe_counter!("citadel_webhook_requests_total", "Answered requests to webhooks, by status");
    describe_counter!("citadel_egress_denied_total", "Outgoing connections that the egress policy refused");
    describe_counter!("citadel_audit_rows_total", "Rows of the audit log that were written");
    describe_counter!("citadel_audit_lost_total", "Rows of the audit log that are in the log of the process only");
    describe_counter!(
        "citadel_rate_limits_unshared_total",
        "Checks of rates that a server made alone, since Redis did not answer"
    );
    describe_gauge!("citadel_cluster_nodes", "Nodes, by state");
    describe_gauge!("citadel_executions_live", "Executions in memory");
    describe_gauge!("citadel_pool_memory_bytes", "What the limits of all work with a place of a pool add up to");
    describe_gauge!("citadel_pool_slots", "Places of a pool, in use and free");
    describe_histogram!("citadel_lane_batch_rows", "Appends of one commit of the journal");
    describe_histogram!("citadel_lane_commit_seconds", "One commit of the journal");
    describe_gauge!("citadel_store_connections", "Connections to the database, in use and idle");
    describe_gauge!("citadel_http_connections", "Open connections to the HTTP server");
    describe_counter!("citadel_http_rejected_total", "Requests that were refused by a limit or for want of capacity, by code");
    describe_gauge!("process_resident_memory_bytes", "Memory that the process has in use");
    gauge!("citadel_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    counter!("citadel_egress_denied_total").increment(0);
    counter!("citadel_audit_rows_total").increment(0);
    counter!("citadel_audit_lost_total").increment(0);
    counter!("citadel_rate_limits_unshared_total").increment(0);
    gauge!("citadel_http_connections").increment(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_per_process() {
        install();
        counter!("citadel_test_total").increment(2);
        install();
        counter!("citadel_test_total").increment(3);
        let text = install().render();
        assert!(text.contains("citadel_test_total 5"), "{text}");
        assert!(text.contains("# TYPE citadel_build_info gauge"), "{text}");
    }
}
