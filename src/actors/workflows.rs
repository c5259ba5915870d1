//! Workflows: their versions, what is published of them, and their compiled forms. A service over the store; it has no actor,
//! since every operation is one atomic step of the store. Called by HTTP, by the command line, and by whoever starts executions.

mod code_checking;
mod compiled_cache;
mod document;
mod error;
mod hook_table;
mod hooks;
mod versions;

use std::sync::{Arc, atomic::AtomicU64};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Mutex;

use self::{code_checking::CodeChecking, compiled_cache::CompiledCache, hook_table::HookTable};
pub use self::{
    document::{Format, INVALID_JSON, INVALID_YAML, read_definition, read_document},
    error::WorkflowError,
    hook_table::{HookLookup, PublishedHook},
    hooks::OpenHook,
};
use crate::{
    clock,
    model::{
        definition::WorkflowDefinition,
        ids::{WorkflowId, WorkspaceId},
        problem::Problem,
    },
    nodes::{plan::CompiledWorkflow, registry::Registry},
    runtimes::javascript::JavaScript,
    store::{
        NewVersion, NewWorkflow, PageRequest, Store, StoreError, TagCount, UpdateWorkflow, WorkflowCursor, WorkflowFilter,
        WorkflowRow,
    },
};

/// Workflows. Cheap to clone.
#[derive(Clone)]
pub struct WorkflowsHandle {
    inner: Arc<Inner>,
}

/// What the service works with.
pub struct WorkflowsParts {
    pub store: Arc<dyn Store>,
    pub registry: Arc<Registry>,
    pub javascript: Arc<JavaScript>,
    /// What expressions see as `$env`.
    pub env: Value,
}

struct Inner {
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    javascript: Arc<JavaScript>,
    env: Value,
    compiled: CompiledCache,
    code_checking: CodeChecking,
    hooks: ArcSwap<HookTable>,
    /// The number of what was published when the table was read.
    publication_rev: AtomicU64,
    /// Held while the table is read and replaced, so that an older one never follows a newer one.
    hooks_refresh: Mutex<()>,
}

/// A workflow with the definition of its latest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    pub row: WorkflowRow,
    /// JSON text.
    pub definition: Bytes,
}

/// What became of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedWorkflow {
    pub workflow: Workflow,
    /// Whether an earlier request with the same key made it.
    pub replayed: bool,
}

impl WorkflowsHandle {
    /// A service over a store, with the webhooks that are published there.
    ///
    /// Errors: those of the store.
    pub async fn open(parts: WorkflowsParts) -> Result<Self, StoreError> {
        let WorkflowsParts { store, registry, javascript, env } = parts;
        let handle = Self {
            inner: Arc::new(Inner {
                store,
                registry,
                javascript,
                env,
                compiled: CompiledCache::default(),
                code_checking: CodeChecking::default(),
                hooks: ArcSwap::default(),
                publication_rev: AtomicU64::new(0),
                hooks_refresh: Mutex::new(()),
            }),
        };
        handle.refresh_hooks().await?;
        Ok(handle)
    }

    /// Everything that is wrong with a definition; empty if it can be stored.
    pub async fn validate(&self, definition: WorkflowDefinition) -> Result<Vec<Problem>, WorkflowError> {
        match self.compile(definition, WorkflowId::from_uuid(clock::new_uuid()), 1).await {
            Ok(_) => Ok(Vec::new()),
            Err(WorkflowError::Invalid(problems)) => Ok(problems),
            Err(error) => Err(error),
        }
    }

    /// Stores a new workflow. With a `key`, a repeated request answers with the workflow of the first one.
    ///
    /// Errors: `Invalid`, `KeyMismatch`, `Store`.
    pub async fn create(
        &self,
        workspace: WorkspaceId,
        definition: WorkflowDefinition,
        key: Option<&str>,
    ) -> Result<CreatedWorkflow, WorkflowError> {
        let id = key.map_or_else(|| WorkflowId::from_uuid(clock::new_uuid()), |key| keyed_id(workspace, key));
        let version = new_version(&definition);
        let text = version.definition.clone();
        let compiled = self.compile(definition, id, 1).await?;
        match self.inner.store.insert_workflow(&NewWorkflow { id, workspace, version }).await {
            Ok(row) => {
                self.inner.compiled.put(compiled, text.len());
                Ok(CreatedWorkflow { workflow: Workflow { row, definition: text }, replayed: false })
            }
            Err(StoreError::Conflict { .. }) if key.is_some() => self.replay(workspace, id, text).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Stores the next version, if the latest one is `expected_version`. What is published stays as it is.
    ///
    /// Errors: `Invalid`, `NotFound`, `Stale`, `Store`.
    pub async fn update(
        &self,
        workspace: WorkspaceId,
        id: WorkflowId,
        expected_version: u32,
        definition: WorkflowDefinition,
    ) -> Result<Workflow, WorkflowError> {
        let version = new_version(&definition);
        let next = expected_version.checked_add(1).ok_or(WorkflowError::NotFound)?;
        let compiled = self.compile(definition, id, next).await?;
        match self.inner.store.update_workflow(workspace, id, expected_version, &version).await? {
            UpdateWorkflow::Updated(row) => {
                self.inner.compiled.put(compiled, version.definition.len());
                Ok(Workflow { row, definition: version.definition })
            }
            UpdateWorkflow::Stale { latest_version } => Err(WorkflowError::Stale { latest_version }),
            UpdateWorkflow::NotFound => Err(WorkflowError::NotFound),
        }
    }

    /// A workflow with its latest definition.
    ///
    /// Errors: `NotFound`, `Store`.
    pub async fn get(&self, workspace: WorkspaceId, id: WorkflowId) -> Result<Workflow, WorkflowError> {
        let row = self.get_row(workspace, id).await?;
        let version = self.get_version(workspace, id, row.latest_version).await?;
        Ok(Workflow { row, definition: version.definition })
    }

    /// Workflows, newest first.
    ///
    /// Errors: `Store`.
    pub async fn list(
        &self,
        workspace: WorkspaceId,
        filter: &WorkflowFilter,
        page: &PageRequest<WorkflowCursor>,
    ) -> Result<Vec<WorkflowRow>, WorkflowError> {
        Ok(self.inner.store.list_workflows(workspace, filter, page).await?)
    }

    /// Tags in use above `after`, by their bytes.
    ///
    /// Errors: `Store`.
    pub async fn list_tags(
        &self,
        workspace: WorkspaceId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<TagCount>, WorkflowError> {
        Ok(self.inner.store.list_tags(workspace, after, limit).await?)
    }

    /// Deletes a workflow with its versions and webhooks. Its executions stay.
    ///
    /// Errors: `NotFound`, `Store`.
    pub async fn delete(&self, workspace: WorkspaceId, id: WorkflowId) -> Result<(), WorkflowError> {
        if !self.inner.store.delete_workflow(workspace, id).await? {
            return Err(WorkflowError::NotFound);
        }
        Ok(self.refresh_hooks().await?)
    }

    /// Answers a repeated creation: with the first one's workflow, if it was the same request.
    async fn replay(&self, workspace: WorkspaceId, id: WorkflowId, text: Bytes) -> Result<CreatedWorkflow, WorkflowError> {
        let first = self.get_version(workspace, id, 1).await?;
        if first.definition != text {
            return Err(WorkflowError::KeyMismatch);
        }
        Ok(CreatedWorkflow { workflow: self.get(workspace, id).await?, replayed: true })
    }

    async fn get_row(&self, workspace: WorkspaceId, id: WorkflowId) -> Result<WorkflowRow, WorkflowError> {
        self.inner.store.find_workflow(workspace, id).await?.ok_or(WorkflowError::NotFound)
    }
}

/// The id of the workflow that is created under an idempotency key: the same for every repetition.
fn keyed_id(workspace: WorkspaceId, key: &str) -> WorkflowId {
    WorkflowId::from_uuid(uuid::Uuid::new_v5(&workspace.uuid(), format!("workflow:{key}").as_bytes()))
}

fn new_version(definition: &WorkflowDefinition) -> NewVersion {
    let text = serde_json::to_vec(definition).expect("a definition has string keys only");
    NewVersion {
        name: definition.name.clone(),
        tags: definition.tags.clone(),
        credentials: definition.nodes.iter().filter_map(|node| node.credential.as_deref().map(str::to_owned)).collect(),
        definition: Bytes::from(text),
        created_at: clock::now_ms(),
    }
}
