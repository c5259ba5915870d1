//! What was refused: by the egress policy, or for want of a permission. Whoever is refused may try again and again, and code may try
//! every address of a network: a refusal that is like one of the last minute is counted instead of written, and so is what exceeds
//! [`ROWS_PER_WINDOW`].

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use super::{AuditEntry, AuditEvent, AuditHandle, Origin};
use crate::{
    auth::egress::{DenialWatch, EgressDenied, OnBehalf},
    clock,
    model::ids::WorkspaceId,
};

/// How long a refusal stands for those that are like it, in milliseconds.
const WINDOW_MS: u64 = 60_000;
/// Refusals of one workspace that are written within a window.
const ROWS_PER_WINDOW: usize = 100;
/// Workspaces that are remembered. Further ones have no rows until the windows of others are over.
const WORKSPACES_MAX: usize = 10_000;

/// What was refused lately, by workspace.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<WorkspaceId, Window>>);

/// A minute of a workspace.
struct Window {
    began_at: u64,
    /// What makes refusals alike, of those that were written.
    seen: BTreeSet<String>,
    /// Those that were not written.
    unwritten: u64,
}

impl Refusals {
    /// Whether to write this one, and then how many were not written since the last one that was.
    fn admit(&self, workspace: WorkspaceId, likeness: String, now_ms: u64) -> Option<u64> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |window: &Window| now_ms.saturating_sub(window.began_at) >= WINDOW_MS;
        if windows.len() >= WORKSPACES_MAX && !windows.contains_key(&workspace) {
            windows.retain(|_, window| !is_over(window));
            if windows.len() >= WORKSPACES_MAX {
                return None;
            }
        }
        let new = || Window { began_at: now_ms, seen: BTreeSet::new(), unwritten: 0 };
        let window = windows.entry(workspace).or_insert_with(new);
        if is_over(window) {
            *window = Window { unwritten: window.unwritten, ..new() };
        }
        if window.seen.len() >= ROWS_PER_WINDOW || !window.seen.insert(likeness) {
            window.unwritten += 1;
            return None;
        }
        Some(std::mem::take(&mut window.unwritten))
    }
}

impl AuditHandle {
    /// Keeps a refusal without waiting for the store, unless one of the same `likeness` was kept a moment ago.
    pub fn note_refusal(&self, origin: &Origin, entry: impl Into<AuditEntry>, likeness: String) {
        let Some(unwritten) = self.inner.refusals.admit(origin.workspace, likeness, clock::now_ms()) else { return };
        let entry: AuditEntry = entry.into();
        self.note(origin, if unwritten > 0 { entry.with("unwritten", unwritten) } else { entry });
    }
}

impl DenialWatch for AuditHandle {
    fn denied(&self, on_behalf: Option<&OnBehalf>, denied: &EgressDenied) {
        let own = OnBehalf::from(Origin::system(WorkspaceId::DEFAULT));
        let OnBehalf { origin, workflow, node } = on_behalf.unwrap_or(&own);
        let (host, reason) = (denied.host().unwrap_or_default(), denied.reason());
        let likeness = format!("{workflow:?} {node} {host} {reason}");
        let mut entry = AuditEntry::from(AuditEvent::EgressDenied(host.to_owned())).with("reason", reason);
        if let Some(address) = denied.address() {
            entry = entry.with("address", address.to_string());
        }
        if let Some(workflow) = workflow {
            entry = entry.with("workflow_id", workflow.to_string()).with("node_id", &**node);
        }
        self.note_refusal(origin, entry, likeness);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(number: usize) -> WorkspaceId {
        WorkspaceId::from_uuid(uuid::Uuid::from_u128(u128::try_from(number).unwrap()))
    }

    #[test]
    fn one_refusal_of_a_minute_stands_for_those_that_are_like_it() {
        let refusals = Refusals::default();
        let admit = |likeness: &str, now_ms| refusals.admit(WorkspaceId::DEFAULT, likeness.to_owned(), now_ms);
        assert_eq!(admit("a", 0), Some(0));
        assert_eq!(admit("a", 1), None);
        assert_eq!(admit("a", WINDOW_MS - 1), None);
        assert_eq!(admit("b", WINDOW_MS - 1), Some(2));
        assert_eq!(admit("b", WINDOW_MS - 1), None);
        assert_eq!(admit("a", WINDOW_MS), Some(1), "another minute begins, and what was not written is not forgotten");
    }

    #[test]
    fn rows_of_a_minute_obey_and_violate_their_limit() {
        let refusals = Refusals::default();
        let admit = |host: usize, workspace| refusals.admit(workspace, host.to_string(), 0);
        assert!((0..ROWS_PER_WINDOW).all(|host| admit(host, workspace(1)) == Some(0)));
        assert_eq!(admit(ROWS_PER_WINDOW, workspace(1)), None);
        assert_eq!(admit(0, workspace(2)), Some(0), "a workspace that floods takes nothing from another one");
    }

    #[test]
    fn workspaces_obey_and_violate_their_limit() {
        let refusals = Refusals::default();
        let admit = |number, likeness: &str, now_ms| refusals.admit(workspace(number), likeness.to_owned(), now_ms);
        assert!((0..WORKSPACES_MAX).all(|number| admit(number, "a", 0) == Some(0)));
        assert_eq!(admit(WORKSPACES_MAX, "a", WINDOW_MS - 1), None);
        assert_eq!(admit(0, "b", WINDOW_MS - 1), Some(0));
        assert_eq!(admit(WORKSPACES_MAX, "a", WINDOW_MS), Some(0));
        assert_eq!(refusals.0.lock().unwrap().len(), 1);
    }
}
