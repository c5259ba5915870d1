//! Versions and their compiled forms.

use std::sync::Arc;

use super::{CompiledWorkflow, WorkflowDefinition, WorkflowError, WorkflowsHandle};
use crate::{
    model::{
        definition::parse::parse_json,
        ids::{WorkflowId, WorkspaceId},
        limits::PROBLEMS_MAX,
        problem::Problem,
    },
    nodes::plan,
    store::{PageRequest, VersionRow, VersionSummary, WorkflowCursor, WorkflowFilter, WorkflowRow},
};

/// Workflows that are looked at, at most, to find one by its name.
const NAMES_MAX: usize = 100_000;
/// Workflows per look at the store.
const NAMES_PAGE: u32 = 1_000;

impl WorkflowsHandle {
    /// One version.
    ///
    /// Errors: `NotFound`, `VersionNotFound`, `Store`.
    pub async fn get_version(&self, workspace: WorkspaceId, id: WorkflowId, version: u32) -> Result<VersionRow, WorkflowError> {
        match self.inner.store.find_workflow_version(workspace, id, version).await? {
            Some(row) => Ok(row),
            None => self.get_row(workspace, id).await.and(Err(WorkflowError::VersionNotFound { version })),
        }
    }

    /// Versions below `below`, newest first.
    ///
    /// Errors: `NotFound`, `Store`.
    pub async fn list_versions(
        &self,
        workspace: WorkspaceId,
        id: WorkflowId,
        below: Option<u32>,
        limit: u32,
    ) -> Result<Vec<VersionSummary>, WorkflowError> {
        self.get_row(workspace, id).await?;
        Ok(self.inner.store.list_workflow_versions(workspace, id, below, limit).await?)
    }

    /// A version, compiled.
    ///
    /// Errors: `NotFound`, `VersionNotFound`, `Unusable`, `Store`.
    pub async fn compiled(
        &self,
        workspace: WorkspaceId,
        id: WorkflowId,
        version: u32,
    ) -> Result<Arc<CompiledWorkflow>, WorkflowError> {
        if let Some(compiled) = self.inner.compiled.get(id, version) {
            return Ok(compiled);
        }
        let row = self.get_version(workspace, id, version).await?;
        let unusable = |problems| WorkflowError::Unusable { workflow: id, version, problems };
        let definition = parse_json(&row.definition).map_err(unusable)?;
        let compiled = self.compile_or(definition, id, version, unusable).await?;
        self.inner.compiled.put(Arc::clone(&compiled), row.definition.len());
        Ok(compiled)
    }

    /// The version that a start without a version means: the active one, or the latest where none is active.
    ///
    /// Errors: as [`Self::compiled`].
    pub async fn to_start(&self, workspace: WorkspaceId, id: WorkflowId) -> Result<Arc<CompiledWorkflow>, WorkflowError> {
        let row = self.get_row(workspace, id).await?;
        self.compiled(workspace, id, row.active_version.unwrap_or(row.latest_version)).await
    }

    /// The workflow that a sub-workflow node names: by its id, or by its name if it is active.
    ///
    /// Errors: as [`Self::compiled`].
    pub async fn resolve(&self, workspace: WorkspaceId, id_or_name: &str) -> Result<Arc<CompiledWorkflow>, WorkflowError> {
        match id_or_name.parse::<WorkflowId>() {
            Ok(id) => self.to_start(workspace, id).await,
            Err(_) => {
                let row = self.find_active(workspace, id_or_name).await?.ok_or(WorkflowError::NotFound)?;
                self.to_start(workspace, row.id).await
            }
        }
    }

    /// Compiles a definition that is about to be stored, and has its code checked.
    ///
    /// Errors: `Invalid`, `Interrupted`.
    pub(super) async fn compile(
        &self,
        definition: WorkflowDefinition,
        id: WorkflowId,
        version: u32,
    ) -> Result<Arc<CompiledWorkflow>, WorkflowError> {
        let registry = Arc::clone(&self.inner.registry);
        let work = tokio::task::spawn_blocking(move || plan::compile_with_checks(&registry, definition, id, version));
        let (compiled, checks) = work.await.map_err(WorkflowError::Interrupted)?;
        let found = self.inner.code_checking.run(checks).await.map_err(WorkflowError::Interrupted)?;
        match compiled {
            Ok(compiled) if found.is_empty() => Ok(Arc::new(compiled)),
            Ok(_) => Err(WorkflowError::Invalid(found)),
            Err(mut problems) => {
                problems.extend(found);
                problems.truncate(PROBLEMS_MAX);
                Err(WorkflowError::Invalid(problems))
            }
        }
    }

    /// Compiles on the blocking pool: a large workflow takes many milliseconds.
    async fn compile_or(
        &self,
        definition: WorkflowDefinition,
        id: WorkflowId,
        version: u32,
        or: impl FnOnce(Vec<Problem>) -> WorkflowError,
    ) -> Result<Arc<CompiledWorkflow>, WorkflowError> {
        let registry = Arc::clone(&self.inner.registry);
        let work = tokio::task::spawn_blocking(move || plan::compile(&registry, definition, id, version));
        work.await.map_err(WorkflowError::Interrupted)?.map(Arc::new).map_err(or)
    }

    /// The newest active workflow of this name.
    async fn find_active(&self, workspace: WorkspaceId, name: &str) -> Result<Option<WorkflowRow>, WorkflowError> {
        let filter = WorkflowFilter { active: Some(true), name_part: Some(name.to_owned()), tag: None };
        let mut page = PageRequest { after: None, limit: NAMES_PAGE };
        let mut seen = 0;
        while seen < NAMES_MAX {
            let rows = self.inner.store.list_workflows(workspace, &filter, &page).await?;
            let Some(last) = rows.last() else { return Ok(None) };
            page.after = Some(WorkflowCursor { created_at: last.created_at, id: last.id });
            seen += rows.len();
            if let Some(found) = rows.into_iter().find(|row| row.active_version.is_some() && row.name == name) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
