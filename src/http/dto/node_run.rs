//! Runs of nodes.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Time, execution::ErrorBody};
use crate::model::{
    event::Wait,
    execution::NodeRunStatus,
    history::NodeRunView,
    item::{Item, Items, Port, PortItems},
    log::CodeUsage,
};

/// One run of one node. `items` of the outputs and the state of a wait are shown only where data was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeRunBody {
    node_id: String,
    node_name: Option<String>,
    run_index: u32,
    status: NodeRunStatus,
    attempts: u32,
    started_at: Option<Time>,
    finished_at: Option<Time>,
    duration_ms: Option<u64>,
    error: Option<ErrorBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<WaitBody>,
    outputs: Vec<OutputBody>,
    /// What code has used, in a node that runs some.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageBody>,
}

/// What the code of one attempt has used, all its runs together.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageBody {
    wall_ms: f64,
    cpu_ms: f64,
    memory_peak_bytes: u64,
    /// Whether a sandbox had to be made first.
    cold: bool,
}

impl From<CodeUsage> for UsageBody {
    fn from(usage: CodeUsage) -> Self {
        let ms = |us: u64| Duration::from_micros(us).as_secs_f64() * 1_000.0;
        let CodeUsage { wall_us, cpu_us, memory_peak_bytes, cold } = usage;
        Self { wall_ms: ms(wall_us), cpu_ms: ms(cpu_us), memory_peak_bytes, cold }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OutputBody {
    #[schema(value_type = String)]
    port: Port,
    item_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Item>>)]
    items: Option<Items>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WaitBody {
    until: Option<Time>,
    signals: Vec<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    state: Value,
}

impl NodeRunBody {
    /// Shows a run, with its data or without.
    pub fn new(run: NodeRunView, with_data: bool) -> Self {
        let wait = run.wait.map(|wait| WaitBody::new(wait, with_data));
        Self {
            node_id: run.node_id.to_string(),
            node_name: run.node_name,
            run_index: run.run_index,
            status: run.status,
            attempts: run.attempts,
            started_at: run.started_at.map(Time),
            finished_at: run.finished_at.map(Time),
            duration_ms: run.finished_at.zip(run.started_at).map(|(end, start)| end.saturating_sub(start)),
            error: run.error.map(ErrorBody::from),
            wait,
            outputs: run.outputs.into_iter().map(|output| OutputBody::new(output, with_data)).collect(),
            usage: run.usage.map(UsageBody::from),
        }
    }
}

impl WaitBody {
    pub(super) fn new(wait: Wait, with_data: bool) -> Self {
        let state = if with_data { wait.state } else { Value::Null };
        Self { until: wait.until.map(Time), signals: wait.signals, state }
    }
}

impl OutputBody {
    pub(super) fn new(output: PortItems, with_data: bool) -> Self {
        Self { port: output.port, item_count: output.items.len(), items: with_data.then_some(output.items) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::error::NodeError;

    fn run() -> NodeRunView {
        NodeRunView {
            node_id: "a".into(),
            node_name: Some("Ask".to_owned()),
            run_index: 1,
            status: NodeRunStatus::Waiting,
            attempts: 2,
            started_at: Some(1_700_000_000_000),
            finished_at: Some(1_700_000_000_250),
            error: Some(NodeError::transient("timeout", "took too long")),
            outputs: PortItems::main(vec![Item::from_value(json!({ "secret": 1 }))]),
            wait: Some(Wait { until: None, signals: vec!["go".to_owned()], state: json!({ "secret": 2 }) }),
            usage: Some(CodeUsage { wall_us: 1_500, cpu_us: 1_250, memory_peak_bytes: 65_536, cold: true }),
        }
    }

    #[test]
    fn shows_data_only_when_asked() {
        assert!(!serde_json::to_string(&NodeRunBody::new(run(), false)).unwrap().contains("secret"));
        insta::assert_json_snapshot!(NodeRunBody::new(run(), true));
    }
}
