//! Workflows and their versions.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Time;
use crate::{
    actors::workflows::Workflow,
    http::error::ApiError,
    model::{definition::WorkflowDefinition, ids::WorkflowId},
    store::{VersionRow, VersionSummary, WorkflowRow},
};

/// A workflow. `version` is the latest one, `definition` its definition; lists leave the definition out.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct WorkflowBody {
    id: WorkflowId,
    name: String,
    version: u32,
    active: bool,
    active_version: Option<u32>,
    created_at: Time,
    updated_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<WorkflowDefinition>)]
    definition: Option<Box<RawValue>>,
}

/// A version; lists leave the definition out.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct VersionBody {
    workflow_id: WorkflowId,
    version: u32,
    created_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<WorkflowDefinition>)]
    definition: Option<Box<RawValue>>,
}

impl From<WorkflowRow> for WorkflowBody {
    fn from(row: WorkflowRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            version: row.latest_version,
            active: row.active_version.is_some(),
            active_version: row.active_version,
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
            definition: None,
        }
    }
}

impl TryFrom<Workflow> for WorkflowBody {
    type Error = ApiError;

    fn try_from(workflow: Workflow) -> Result<Self, ApiError> {
        Ok(Self { definition: Some(raw(&workflow.definition)?), ..Self::from(workflow.row) })
    }
}

impl VersionBody {
    /// A version without its definition.
    pub(in crate::http) fn summary(workflow_id: WorkflowId, row: VersionSummary) -> Self {
        Self { workflow_id, version: row.version, created_at: Time(row.created_at), definition: None }
    }
}

impl TryFrom<VersionRow> for VersionBody {
    type Error = ApiError;

    fn try_from(row: VersionRow) -> Result<Self, ApiError> {
        let definition = Some(raw(&row.definition)?);
        Ok(Self { workflow_id: row.workflow, version: row.version, created_at: Time(row.created_at), definition })
    }
}

/// The stored text as a part of a larger document.
fn raw(definition: &[u8]) -> Result<Box<RawValue>, ApiError> {
    serde_json::from_slice(definition).map_err(ApiError::internal)
}
