//! What a workspace has stored.

use crate::model::ids::WorkspaceId;

/// Workspaces that one look counts.
pub const WORKSPACES_COUNTED: u32 = 10_000;

/// What the journals and snapshots of a workspace's executions hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkspaceUsage {
    pub workspace: WorkspaceId,
    /// A document in the blob store counts as the longest that would not be there: rows do not say how long it is.
    pub bytes: u64,
}
