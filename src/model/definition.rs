//! A workflow definition as users write it, in JSON or YAML. [`parse`] reads one and reports every problem of its form.

pub mod parse;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{duration::DurationMs, item::Port};

/// A whole workflow. **Shape**: see `workflow.schema.json` beside this file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowDefinition {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    pub nodes: Vec<NodeDefinition>,
    #[serde(default)]
    pub edges: Vec<EdgeDefinition>,
    #[serde(default)]
    pub settings: WorkflowSettings,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeDefinition {
    pub id: Arc<str>,
    #[serde(rename = "type")]
    pub node_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub disabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Wall time of one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationMs>,
    #[serde(default, skip_serializing_if = "OnError::is_default")]
    pub on_error: OnError,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Where a drawing puts the node: `[x, y]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<[f64; 2]>,
    /// Run for the first item only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub execute_once: bool,
    /// Put out one empty item where the node put out none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub always_output: bool,
}

/// One edge: from a port of a node to an input of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeDefinition {
    pub from: Arc<str>,
    pub to: Arc<str>,
    #[serde(default = "main_port", skip_serializing_if = "is_main")]
    pub port: Port,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub input: u32,
}

/// What happens when a node's last attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The execution fails.
    #[default]
    Stop,
    /// The input items go on, as if the node had passed them through.
    Continue,
    /// The input items go to the port `error`, with what went wrong.
    Branch,
}

/// When and how often a failed attempt is repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryPolicy {
    /// All attempts, the first one too.
    pub max_attempts: u32,
    pub backoff: Backoff,
    pub initial: DurationMs,
    pub max: DurationMs,
    /// Draws each delay from the upper half of its range, so that failed runs do not come back together.
    pub jitter: bool,
    /// What to do with an attempt that a crash cut off.
    pub after_crash: AfterCrash,
}

/// How the delay grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    Fixed,
    Linear,
    #[default]
    Exponential,
}

/// What recovery does with an attempt that has a start record and no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterCrash {
    /// Repeat it with the same idempotency key.
    #[default]
    Retry,
    /// Fail it with the code `interrupted`.
    Fail,
    /// Wait for a signal that says which of the two: see [`super::after_crash`].
    Ask,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            backoff: Backoff::Exponential,
            initial: DurationMs(1_000),
            max: DurationMs(60_000),
            jitter: true,
            after_crash: AfterCrash::Retry,
        }
    }
}

impl RetryPolicy {
    /// The policy of a node that sets none: one attempt, repeated only after a crash.
    pub fn once() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// The delay before attempt `attempt + 1`, in milliseconds. `chance` is uniform over `u64` and used for jitter only.
    pub fn delay_ms(&self, attempt: u32, chance: u64) -> u64 {
        let step = attempt.max(1);
        let grown = match self.backoff {
            Backoff::Fixed => self.initial.0,
            Backoff::Linear => self.initial.0.saturating_mul(u64::from(step)),
            Backoff::Exponential => self.initial.0.saturating_mul(1_u64.checked_shl(step - 1).unwrap_or(u64::MAX)),
        };
        let delay_ms = grown.min(self.max.0);
        if !self.jitter || delay_ms < 2 {
            return delay_ms;
        }
        let half_ms = delay_ms / 2;
        delay_ms - half_ms + chance % (half_ms + 1)
    }
}

/// Settings of the whole workflow.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WorkflowSettings {
    /// IANA zone of `$now` and `$today`; UTC where none is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Wall time of one execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationMs>,
    /// Executions of this workflow that may run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_workflow: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

/// How long finished executions are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<DurationMs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<DurationMs>,
}

impl OnError {
    fn is_default(&self) -> bool {
        *self == Self::Stop
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn is_main(port: &Port) -> bool {
    port == "main"
}

fn main_port() -> Port {
    super::item::MAIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(policy: &RetryPolicy, attempt: u32, expected_ms: std::ops::RangeInclusive<u64>) {
        for chance in [0, 1, 12_345, u64::MAX] {
            assert!(expected_ms.contains(&policy.delay_ms(attempt, chance)), "attempt {attempt}");
        }
    }

    #[test]
    fn backs_off_up_to_the_maximum_with_bounded_jitter() {
        let policy = RetryPolicy::default();
        check(&policy, 1, 500..=1_000);
        check(&policy, 3, 2_000..=4_000);
        check(&policy, 200, 30_000..=60_000);
        check(&RetryPolicy { jitter: false, backoff: Backoff::Linear, ..policy }, 4, 4_000..=4_000);
    }
}
