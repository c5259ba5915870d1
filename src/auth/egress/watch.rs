//! Who is told when the policy refuses something, and on whose behalf it was tried.

use std::sync::Arc;

use super::EgressDenied;
use crate::model::{audit::Origin, ids::WorkflowId};

/// On whose behalf a connection is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnBehalf {
    pub origin: Origin,
    pub workflow: Option<WorkflowId>,
    /// The node of the workflow; empty where there is none.
    pub node: Arc<str>,
}

/// Told of every refusal. Called where the refusal happens: it must neither block nor panic.
pub trait DenialWatch: Send + Sync + 'static {
    /// `on_behalf` is missing where the server itself goes out.
    fn denied(&self, on_behalf: Option<&OnBehalf>, denied: &EgressDenied);
}

impl From<Origin> for OnBehalf {
    /// For what no workflow does, such as the test of a credential.
    fn from(origin: Origin) -> Self {
        Self { origin, workflow: None, node: Arc::from("") }
    }
}
