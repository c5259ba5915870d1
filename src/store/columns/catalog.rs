//! The rows of what people make: workflows, versions, hooks, variables.

use bytes::Bytes;
use uuid::Uuid;

use super::{count, rows, time, unknown};
use crate::{
    model::ids::{WorkflowId, WorkspaceId},
    store::{HookRow, NewHook, Result, StoreError, TagCount, VariableRow, VersionRow, VersionSummary, WorkflowRow},
};

rows! {
    WorkflowColumns {
        id: Uuid, workspace_id: Uuid, name: String, latest_version: i32, active_version: Option<i32>, created_at: i64,
        updated_at: i64,
    }
    VersionColumns { workflow_id: Uuid, version: i32, definition: Vec<u8>, created_at: i64 }
    VersionSummaryColumns { version: i32, created_at: i64 }
    TagColumns { tag: String, workflows: i64 }
    VariableColumns {
        workspace_id: Uuid, name: String, version: i32, created_at: i64, updated_at: i64, description: Option<String>,
        value: Vec<u8>,
    }
    HookColumns { workspace_id: Uuid, workflow_id: Uuid, version: i32, method: String, path: String, node: String }
}

impl TryFrom<WorkflowColumns> for WorkflowRow {
    type Error = StoreError;

    fn try_from(columns: WorkflowColumns) -> Result<Self> {
        let what = "workflow";
        Ok(Self {
            id: WorkflowId::from_uuid(columns.id),
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            name: columns.name,
            latest_version: count(what, "latest_version", columns.latest_version)?,
            active_version: columns.active_version.map(|version| count(what, "active_version", version)).transpose()?,
            created_at: time(what, "created_at", columns.created_at)?,
            updated_at: time(what, "updated_at", columns.updated_at)?,
        })
    }
}

impl TryFrom<VersionColumns> for VersionRow {
    type Error = StoreError;

    fn try_from(columns: VersionColumns) -> Result<Self> {
        let what = "workflow version";
        Ok(Self {
            workflow: WorkflowId::from_uuid(columns.workflow_id),
            version: count(what, "version", columns.version)?,
            definition: Bytes::from(columns.definition),
            created_at: time(what, "created_at", columns.created_at)?,
        })
    }
}

impl TryFrom<VersionSummaryColumns> for VersionSummary {
    type Error = StoreError;

    fn try_from(columns: VersionSummaryColumns) -> Result<Self> {
        let what = "workflow version";
        Ok(Self { version: count(what, "version", columns.version)?, created_at: time(what, "created_at", columns.created_at)? })
    }
}

impl TryFrom<TagColumns> for TagCount {
    type Error = StoreError;

    fn try_from(columns: TagColumns) -> Result<Self> {
        let workflows = u32::try_from(columns.workflows).map_err(|_| unknown("tag", "workflows", columns.workflows))?;
        Ok(Self { tag: columns.tag, workflows })
    }
}

impl TryFrom<VariableColumns> for VariableRow {
    type Error = StoreError;

    fn try_from(columns: VariableColumns) -> Result<Self> {
        let what = "variable";
        Ok(Self {
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            name: columns.name,
            version: count(what, "version", columns.version)?,
            created_at: time(what, "created_at", columns.created_at)?,
            updated_at: time(what, "updated_at", columns.updated_at)?,
            description: columns.description,
            value: Bytes::from(columns.value),
        })
    }
}

impl TryFrom<HookColumns> for HookRow {
    type Error = StoreError;

    fn try_from(columns: HookColumns) -> Result<Self> {
        Ok(Self {
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            workflow: WorkflowId::from_uuid(columns.workflow_id),
            version: count("hook", "version", columns.version)?,
            hook: NewHook { path: columns.path, method: columns.method, node: columns.node },
        })
    }
}
