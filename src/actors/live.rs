//! Bounds how many executions are in memory, and shares that between workspaces: none can take so much that another one finds
//! nothing. Not an actor: a semaphore and a count per workspace, asked when an execution comes into memory and told when its
//! [`LivePermit`] is dropped.
//!
//! A new execution gets in while those of its workspace are fewer than [`SHARE`] times what is free. So one workspace alone gets
//! eight ninths of all, two that want everything get eight seventeenths each, and always something is left for one that comes
//! later. What was admitted once and comes back from the store only waits for its turn. Source: A. K. Choudhury and E. L. Hahne,
//! Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, 1998.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::ids::WorkspaceId;

/// How often what is free a workspace may have.
const SHARE: usize = 8;

/// The executions in memory. Clones share them.
#[derive(Clone)]
pub struct LiveSlots(Arc<Inner>);

struct Inner {
    permits: Arc<Semaphore>,
    slots_max: usize,
    /// Executions of each workspace that has any.
    shares: Mutex<HashMap<WorkspaceId, usize>>,
}

/// The right of one execution to be in memory. Given back when it is dropped.
pub struct LivePermit {
    slots: LiveSlots,
    /// `None` until it is known whose execution it is.
    workspace: Option<WorkspaceId>,
    _permit: OwnedSemaphorePermit,
}

impl LiveSlots {
    /// Room for `slots_max` executions.
    pub fn new(slots_max: usize) -> Self {
        let permits = Arc::new(Semaphore::new(slots_max));
        Self(Arc::new(Inner { permits, slots_max, shares: Mutex::default() }))
    }

    /// How many there may be.
    pub fn slots_max(&self) -> usize {
        self.0.slots_max
    }

    /// How many of a workspace there are.
    pub fn of(&self, workspace: WorkspaceId) -> usize {
        self.lock().get(&workspace).copied().unwrap_or(0)
    }

    /// Lets a new execution in; `None` if there is no room, or what is left is for others.
    pub fn try_enter(&self, workspace: WorkspaceId) -> Option<LivePermit> {
        let mut shares = self.lock();
        let free = self.0.permits.available_permits();
        if shares.get(&workspace).copied().unwrap_or(0) >= free.saturating_mul(SHARE) {
            return None;
        }
        let permit = Arc::clone(&self.0.permits).try_acquire_owned().ok()?;
        *shares.entry(workspace).or_default() += 1;
        Some(LivePermit { slots: self.clone(), workspace: Some(workspace), _permit: permit })
    }

    /// Lets an execution in that was admitted before, if there is room at once.
    pub fn try_return(&self, workspace: WorkspaceId) -> Option<LivePermit> {
        let permit = Arc::clone(&self.0.permits).try_acquire_owned().ok()?;
        Some(self.permit(permit).belongs_to(workspace))
    }

    /// As [`Self::try_return`], in its turn. Whose it is may be said later.
    pub async fn comes_back(&self) -> LivePermit {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await;
        self.permit(permit.expect("the semaphore is never closed"))
    }

    fn permit(&self, permit: OwnedSemaphorePermit) -> LivePermit {
        LivePermit { slots: self.clone(), workspace: None, _permit: permit }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceId, usize>> {
        // Every change is complete before anything could panic.
        self.0.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LivePermit {
    /// Says whose execution it is for.
    #[must_use]
    pub fn belongs_to(mut self, workspace: WorkspaceId) -> Self {
        if self.workspace.is_none() {
            *self.slots.lock().entry(workspace).or_default() += 1;
            self.workspace = Some(workspace);
        }
        self
    }
}

impl Drop for LivePermit {
    fn drop(&mut self) {
        let Some(workspace) = self.workspace else { return };
        let mut shares = self.slots.lock();
        if let Some(count) = shares.get_mut(&workspace) {
            *count -= 1;
            if *count == 0 {
                shares.remove(&workspace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn workspace(number: u128) -> WorkspaceId {
        WorkspaceId::from_uuid(Uuid::from_u128(number))
    }

    /// Takes all that a workspace gets.
    fn flood(slots: &LiveSlots, number: u128) -> Vec<LivePermit> {
        std::iter::from_fn(|| slots.try_enter(workspace(number))).collect()
    }

    #[test]
    fn slots_obeyed_and_violated() {
        let slots = LiveSlots::new(3);
        let all = flood(&slots, 1);
        assert_eq!((all.len(), slots.of(workspace(1))), (3, 3), "a few are not worth sharing");
        assert!(slots.try_enter(workspace(1)).is_none() && slots.try_return(workspace(1)).is_none());
        drop(all);
        assert_eq!(slots.of(workspace(1)), 0);
        assert!(slots.lock().is_empty(), "nothing is kept of a workspace that rests");
        assert!(LiveSlots::new(0).try_enter(workspace(1)).is_none());
    }

    #[test]
    fn one_that_floods_leaves_something_for_the_others() {
        let slots = LiveSlots::new(9_000);
        let first = flood(&slots, 1);
        assert_eq!(first.len(), 8_000);
        let second = flood(&slots, 2);
        assert!((850..=1_000).contains(&second.len()), "{}", second.len());
        let third = slots.try_enter(workspace(3));
        assert!(third.is_some(), "there is always one for whoever has none");
    }

    #[test]
    fn those_that_flood_get_the_same_in_the_long_run() {
        let slots = LiveSlots::new(900);
        let (mut first, mut second) = (flood(&slots, 1), Vec::new());
        for _ in 0..20 {
            // Executions end, and both ask for all that becomes free.
            first.drain(..first.len() / 3);
            second.drain(..second.len() / 3);
            for _ in 0..900 {
                first.extend(slots.try_enter(workspace(1)));
                second.extend(slots.try_enter(workspace(2)));
            }
        }
        let (first, second) = (first.len(), second.len());
        assert!(first.abs_diff(second) < 50 && first + second > 800, "{first} and {second}");
    }

    #[tokio::test]
    async fn what_was_admitted_before_waits_for_room_only() {
        let slots = LiveSlots::new(9);
        let mut running = flood(&slots, 1);
        assert_eq!(running.len(), 8);
        running.push(slots.comes_back().await.belongs_to(workspace(1)));
        assert_eq!(slots.of(workspace(1)), 9);
        let mut waiting = std::pin::pin!(slots.comes_back());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        running.pop();
        drop(waiting.await);
    }
}
