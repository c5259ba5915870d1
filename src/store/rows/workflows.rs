//! Rows and requests about workflows, their versions, and what is published of them.

use bytes::Bytes;

use crate::model::ids::{WorkflowId, WorkspaceId};

/// A workflow to store, with its first version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWorkflow {
    pub id: WorkflowId,
    pub workspace: WorkspaceId,
    pub version: NewVersion,
}

/// A version to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVersion {
    pub name: String,
    /// May name one twice.
    pub tags: Vec<String>,
    /// The names of credentials that its nodes name; may name one twice.
    pub credentials: Vec<String>,
    /// The definition as JSON text.
    pub definition: Bytes,
    pub created_at: u64,
}

/// Which workflows a list shows. Every field narrows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkflowFilter {
    /// A tag of the latest version.
    pub tag: Option<String>,
    /// A part of the name; `A` to `Z` match in both cases.
    pub name_part: Option<String>,
    /// Whether a version is active.
    pub active: Option<bool>,
}

/// A workflow's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRow {
    pub id: WorkflowId,
    pub workspace: WorkspaceId,
    /// The name of the latest version.
    pub name: String,
    pub latest_version: u32,
    pub active_version: Option<u32>,
    pub created_at: u64,
    pub updated_at: u64,
}

/// One immutable version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    pub workflow: WorkflowId,
    pub version: u32,
    pub definition: Bytes,
    pub created_at: u64,
}

/// A version without its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionSummary {
    pub version: u32,
    pub created_at: u64,
}

/// What became of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateWorkflow {
    Updated(WorkflowRow),
    /// The latest version is another one.
    Stale {
        latest_version: u32,
    },
    NotFound,
}

/// A tag and how many workflows have it in their latest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagCount {
    pub tag: String,
    pub workflows: u32,
}

/// A webhook to publish. Paths are unique per method over the whole server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHook {
    /// Without a leading slash; segments `:name` match anything.
    pub path: String,
    /// Upper case, or `ANY`.
    pub method: String,
    pub node: String,
}

/// A published webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRow {
    pub workspace: WorkspaceId,
    pub workflow: WorkflowId,
    pub version: u32,
    pub hook: NewHook,
}

/// What became of an activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activation {
    Activated(WorkflowRow),
    NotFound,
    /// Another workflow has published this hook.
    HookTaken {
        hook: NewHook,
        workflow: WorkflowId,
    },
}
