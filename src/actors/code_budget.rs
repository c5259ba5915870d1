//! How much CPU time the code of one workspace may use: so many seconds in a minute, in this process. Not an actor: a table behind a
//! lock that is held for a lookup. Whoever runs code asks before it begins and tells what was used; [`CodeBudget::begin`] gives a meter
//! that does the second also where a run is cut off.
//!
//! A bucket per workspace: what was used fills it, time empties it. A run begins while it is not full, however long it takes then; so
//! one that takes all of a minute is followed by a minute without any.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::model::{
    error::{NodeError, codes},
    ids::WorkspaceId,
};

/// What the allowance is for.
const PERIOD: Duration = Duration::from_secs(60);

/// The budgets of all workspaces. Clones share them.
#[derive(Clone)]
pub struct CodeBudget {
    /// CPU time that a workspace may use in a [`PERIOD`]; `None` if as much as it likes.
    allowance: Option<Duration>,
    buckets: Arc<Mutex<HashMap<WorkspaceId, Bucket>>>,
}

/// What a workspace has used and not paid off by waiting.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    used: Duration,
    at: Instant,
}

/// A workspace has used up what it may for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the code of this workspace has used the {allowance_seconds} seconds of CPU time that it may use in a minute; there is some again in {} s",
    .retry_after_ms.div_ceil(1_000)
)]
pub struct BudgetSpent {
    pub allowance_seconds: u64,
    /// When there is some again, in milliseconds from now.
    pub retry_after_ms: u64,
}

impl BudgetSpent {
    /// The failure of a node run: another attempt may find some again.
    pub fn into_node_error(self) -> NodeError {
        NodeError { retry_after_ms: Some(self.retry_after_ms), ..NodeError::transient(codes::CODE_QUOTA, self.to_string()) }
    }
}

/// Measures one run. Dropping it charges its workspace: for what was used as far as it is known, else for all the time that has passed.
pub struct CodeMeter {
    budget: CodeBudget,
    workspace: WorkspaceId,
    began: Instant,
    used: Option<Duration>,
}

impl CodeBudget {
    /// `seconds_per_minute` of CPU time for each workspace; `None`: no bound.
    pub fn new(seconds_per_minute: Option<NonZeroU32>) -> Self {
        let allowance = seconds_per_minute.map(|seconds| Duration::from_secs(seconds.get().into()));
        Self { allowance, buckets: Arc::default() }
    }

    /// Lets a run begin.
    ///
    /// Errors: [`BudgetSpent`].
    pub fn begin(&self, workspace: WorkspaceId) -> Result<CodeMeter, BudgetSpent> {
        let now = Instant::now();
        self.check(workspace, now)?;
        Ok(CodeMeter { budget: self.clone(), workspace, began: now, used: None })
    }

    fn check(&self, workspace: WorkspaceId, now: Instant) -> Result<(), BudgetSpent> {
        let Some(allowance) = self.allowance else { return Ok(()) };
        let used = self.lock().get(&workspace).map_or(Duration::ZERO, |bucket| bucket.left(allowance, now));
        if used < allowance {
            return Ok(());
        }
        // Until it has run off to below the allowance; rounded up, so that who comes back then is let in.
        let wait = (used - allowance).mul_f64(PERIOD.as_secs_f64() / allowance.as_secs_f64());
        let retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        Err(BudgetSpent { allowance_seconds: allowance.as_secs(), retry_after_ms })
    }

    fn charge(&self, workspace: WorkspaceId, used: Duration, now: Instant) {
        let Some(allowance) = self.allowance else { return };
        let mut buckets = self.lock();
        if !buckets.contains_key(&workspace) {
            // Those that are empty are as good as none: so there are as many as workspaces ran code of late.
            buckets.retain(|_, bucket| !bucket.left(allowance, now).is_zero());
        }
        let bucket = buckets.entry(workspace).or_insert(Bucket { used: Duration::ZERO, at: now });
        *bucket = Bucket { used: bucket.left(allowance, now) + used, at: now };
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceId, Bucket>> {
        // Every change is complete before anything could panic.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    /// What is in it, after the time that has passed.
    fn left(&self, allowance: Duration, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.at);
        self.used.saturating_sub(passed.mul_f64(allowance.as_secs_f64() / PERIOD.as_secs_f64()))
    }
}

impl CodeMeter {
    /// Says what the run has used.
    pub fn used(&mut self, cpu: Duration) {
        self.used = Some(cpu);
    }
}

impl Drop for CodeMeter {
    fn drop(&mut self) {
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.began);
        self.budget.charge(self.workspace, self.used.unwrap_or(passed), now);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn workspace(number: u128) -> WorkspaceId {
        WorkspaceId::from_uuid(Uuid::from_u128(number))
    }

    fn budget(seconds: u32) -> CodeBudget {
        CodeBudget::new(NonZeroU32::new(seconds))
    }

    #[test]
    fn code_seconds_obeyed_and_violated() {
        let (budget, now) = (budget(30), Instant::now());
        budget.charge(workspace(1), Duration::from_millis(29_999), now);
        assert_eq!(budget.check(workspace(1), now), Ok(()));
        budget.charge(workspace(1), Duration::from_millis(10_001), now);
        // Ten seconds too many: half a second of them runs off in each second.
        let spent = BudgetSpent { allowance_seconds: 30, retry_after_ms: 20_001 };
        assert_eq!(budget.check(workspace(1), now), Err(spent));
        assert_eq!(budget.check(workspace(2), now), Ok(()), "others have their own");
        let back = now + Duration::from_millis(spent.retry_after_ms);
        assert!(budget.check(workspace(1), back - Duration::from_millis(2)).is_err());
        assert_eq!(budget.check(workspace(1), back), Ok(()));
    }

    #[test]
    fn without_a_bound_nothing_is_kept() {
        let (budget, now) = (CodeBudget::new(None), Instant::now());
        budget.charge(workspace(1), Duration::from_secs(1_000_000), now);
        assert_eq!(budget.check(workspace(1), now), Ok(()));
        assert!(budget.lock().is_empty());
    }

    #[test]
    fn keeps_only_who_has_used_something_of_late() {
        let (budget, now) = (budget(60), Instant::now());
        for number in 0..100 {
            budget.charge(workspace(number), Duration::from_secs(1), now);
        }
        budget.charge(workspace(100), Duration::from_secs(1), now + Duration::from_secs(2));
        assert_eq!(budget.lock().len(), 1);
    }

    #[test]
    fn a_run_that_is_cut_off_costs_the_time_that_it_took() {
        let budget = budget(1);
        let mut told = budget.begin(workspace(1)).unwrap();
        told.used(Duration::from_secs(2));
        drop(told);
        assert!(budget.begin(workspace(1)).is_err());
        let cut_off = budget.begin(workspace(2)).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        drop(cut_off);
        let used = budget.lock()[&workspace(2)].used;
        assert!(used >= Duration::from_millis(5), "{used:?}");
    }
}
