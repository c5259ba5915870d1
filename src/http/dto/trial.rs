//! What came of trying a node.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Time;
use crate::{
    actors::trial::{TrialOutcome, TrialReport},
    model::{error::NodeError, event::Response, item::PortItems},
};

/// The report of a trial. **Shape**: `{ outputs: [{ port, items }], error, duration_ms, response?, wait? }`.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct TrialBody {
    outputs: Vec<PortItems>,
    /// Why the node failed; null if it did not.
    error: Option<NodeError>,
    duration_ms: u64,
    /// What the node answers to the caller of a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response>,
    /// What the node would wait for in an execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<TrialWait>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TrialWait {
    until: Option<Time>,
    signals: Vec<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    state: Value,
}

impl From<TrialReport> for TrialBody {
    fn from(report: TrialReport) -> Self {
        let (outcome, error) = match report.result {
            Ok(outcome) => (outcome, None),
            Err(error) => (TrialOutcome::default(), Some(error)),
        };
        let wait =
            |wait: crate::model::event::Wait| TrialWait { until: wait.until.map(Time), signals: wait.signals, state: wait.state };
        Self {
            outputs: outcome.outputs,
            error,
            duration_ms: u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
            response: outcome.response,
            wait: outcome.wait.map(wait),
        }
    }
}
