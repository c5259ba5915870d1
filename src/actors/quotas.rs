//! What one workspace may use, where the operator bounds it: executions that run at once, starts in a minute, stored bytes. Asked
//! by whoever starts an execution for somebody outside; what follows from an execution that was admitted is never refused.
//! Bounds are per workspace, and the same for all of them.

mod start_rates;
mod storage;

use std::sync::Arc;

pub use self::start_rates::StartRates;
pub use self::storage::{Storage, watch_storage};
use super::live::LiveSlots;
use crate::{
    config::{Excess, LimitsConfig, Switch},
    model::ids::WorkspaceId,
    store::shared_buckets::SharedBuckets,
};

/// Why a workspace gets no more for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    #[error("the workspace has {limit} running executions, and may have no more")]
    Executions { limit: usize },
    #[error("the workspace has started {per_minute} executions within a minute, and may start no more")]
    Starts { per_minute: u32, retry_after_ms: u64 },
    #[error("the workspace has stored {limit_bytes} bytes, and may store no more")]
    Storage { limit_bytes: u64 },
}

/// The quotas of every workspace.
pub struct Quotas {
    executions_max: Option<usize>,
    excess: Excess,
    starts: Option<StartRates>,
    pub storage: Option<Arc<Storage>>,
}

impl Quotas {
    /// Those that the operator wants. Starts are a rate: they are bounded while `enabled` is on, and counted with others in `shared`.
    pub fn new(config: &LimitsConfig, enabled: Switch, shared: Option<Arc<SharedBuckets>>) -> Self {
        Self {
            executions_max: config.workspace_executions_max,
            excess: config.workspace_excess,
            starts: config.workspace_starts_per_minute.map(|per_minute| StartRates::new(per_minute, enabled, shared)),
            storage: config.workspace_bytes_max.map(|limit_bytes| Arc::new(Storage::new(limit_bytes))),
        }
    }

    /// Executions of a workspace that may run at once where the others wait; `None` where nothing waits for that.
    pub fn places(&self) -> Option<usize> {
        self.executions_max.filter(|_| self.excess == Excess::Queue)
    }

    /// Counts a start, or refuses it.
    ///
    /// Errors: see [`QuotaError`].
    pub async fn admit(&self, workspace: WorkspaceId, live: &LiveSlots) -> Result<(), QuotaError> {
        if let Some(storage) = &self.storage {
            storage.check(workspace)?;
        }
        if let Some(limit) = self.executions_max.filter(|_| self.excess == Excess::Refuse)
            && live.of(workspace) >= limit
        {
            return Err(QuotaError::Executions { limit });
        }
        match &self.starts {
            Some(starts) => starts.take(workspace).await,
            None => Ok(()),
        }
    }
}
