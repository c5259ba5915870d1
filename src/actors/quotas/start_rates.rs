//! How many executions a workspace may start in a minute: over all servers of the cluster where they share a Redis, else here.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};

use super::QuotaError;
use crate::{
    config::Switch,
    model::ids::WorkspaceId,
    store::shared_buckets::{Bucket, SharedBuckets, Taken},
};

/// A bucket per workspace. There are as many as there are workspaces, so none is ever thrown away.
pub struct StartRates {
    per_minute: NonZeroU32,
    enabled: Switch,
    here: RateLimiter<WorkspaceId, DefaultKeyedStateStore<WorkspaceId>, DefaultClock>,
    shared: Option<Arc<SharedBuckets>>,
}

impl StartRates {
    /// `per_minute` starts at once, and in a minute.
    pub fn new(per_minute: NonZeroU32, enabled: Switch, shared: Option<Arc<SharedBuckets>>) -> Self {
        Self { per_minute, enabled, here: RateLimiter::keyed(Quota::per_minute(per_minute)), shared }
    }

    /// Counts a start.
    ///
    /// Errors: `Starts`.
    pub async fn take(&self, workspace: WorkspaceId) -> Result<(), QuotaError> {
        if !self.enabled.is_on() {
            return Ok(());
        }
        if let Some(shared) = &self.shared {
            let (key, burst) = (format!("starts:{workspace}"), self.per_minute.get());
            match shared.take(Bucket { key: &key, per_second: f64::from(burst) / 60.0, burst }).await {
                Ok(Taken::Granted { .. }) => return Ok(()),
                Ok(Taken::Refused { wait_ms }) => return Err(self.refusal(wait_ms)),
                // Without Redis this server counts for itself.
                Err(_) => metrics::counter!("citadel_rate_limits_unshared_total").increment(1),
            }
        }
        self.here.check_key(&workspace).map_err(|early| {
            let wait: Duration = early.wait_time_from(DefaultClock::default().now());
            self.refusal(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
        })
    }

    fn refusal(&self, retry_after_ms: u64) -> QuotaError {
        QuotaError::Starts { per_minute: self.per_minute.get(), retry_after_ms }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn starts_obeyed_and_violated() {
        let enabled = Switch::new(true);
        let rates = StartRates::new(NonZeroU32::new(3).unwrap(), enabled.clone(), None);
        let (one, other) = (WorkspaceId::DEFAULT, WorkspaceId::from_uuid(Uuid::from_u128(2)));
        for _ in 0..3 {
            rates.take(one).await.unwrap();
        }
        let refused = rates.take(one).await.unwrap_err();
        let QuotaError::Starts { per_minute: 3, retry_after_ms } = refused else { panic!("{refused:?}") };
        assert!((15_000..=20_000).contains(&retry_after_ms), "{retry_after_ms}");
        assert_eq!(rates.take(other).await, Ok(()), "another workspace has its own");
        enabled.set(false);
        assert_eq!(rates.take(one).await, Ok(()), "rates are switched off");
    }
}
