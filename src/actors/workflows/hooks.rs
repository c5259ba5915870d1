//! What is published of a workflow: activation takes its webhooks from one version and puts them into the table of routes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{CompiledWorkflow, HookLookup, HookTable, PublishedHook, WorkflowError, WorkflowsHandle};
use crate::{
    clock,
    model::{
        error::NodeError,
        ids::{WorkflowId, WorkspaceId},
    },
    nodes::webhook::{
        WebhookParams,
        verify::{Verifier, params::Verification},
    },
    runtimes::{
        javascript::{GuestSession, JavaScript},
        scope::RunData,
    },
    store::{Activation, NewHook, StoreError, WorkflowRow},
};

/// The node type whose nodes are published.
const WEBHOOK: &str = "webhook";

/// Webhooks of one server. More are not served: activation would have to refuse them.
const HOOKS_MAX: u32 = 100_000;

impl WorkflowsHandle {
    /// Publishes a version, the latest one where none is given, in place of what was published before.
    ///
    /// Errors: `NotFound`, `VersionNotFound`, `Unusable`, `HookTaken`, `Store`.
    pub async fn activate(
        &self,
        workspace: WorkspaceId,
        id: WorkflowId,
        version: Option<u32>,
    ) -> Result<WorkflowRow, WorkflowError> {
        let version = match version {
            Some(version) => version,
            None => self.get_row(workspace, id).await?.latest_version,
        };
        let compiled = self.compiled(workspace, id, version).await?;
        let hooks = hooks_of(&compiled);
        match self.inner.store.activate_workflow(workspace, id, version, &hooks, clock::now_ms()).await? {
            Activation::Activated(row) => {
                self.refresh_hooks().await?;
                Ok(row)
            }
            Activation::NotFound => Err(WorkflowError::NotFound),
            Activation::HookTaken { hook, workflow } => Err(WorkflowError::HookTaken { hook, workflow }),
        }
    }

    /// Takes down what is published.
    ///
    /// Errors: `NotFound`, `Store`.
    pub async fn deactivate(&self, workspace: WorkspaceId, id: WorkflowId) -> Result<WorkflowRow, WorkflowError> {
        if !self.inner.store.deactivate_workflow(workspace, id, clock::now_ms()).await? {
            return Err(WorkflowError::NotFound);
        }
        self.refresh_hooks().await?;
        self.get_row(workspace, id).await
    }

    /// The published webhook of a request.
    pub fn find_hook(&self, method: &str, segments: &[String]) -> HookLookup {
        self.inner.hooks.load().find(method, segments)
    }

    /// What has to be known to answer a request to a webhook: its version, compiled, and what its parameters say.
    ///
    /// Errors: as [`Self::compiled`]; `Secret` if a secret of its verification cannot be evaluated.
    pub async fn open_hook(&self, hook: &PublishedHook) -> Result<(Arc<CompiledWorkflow>, Arc<OpenHook>), WorkflowError> {
        let row = &hook.row;
        let compiled = self.compiled(row.workspace, row.workflow, row.version).await?;
        let opened = hook.opened.get_or_try_init(|| self.read_hook(&compiled, &row.hook.node)).await?;
        Ok((compiled, Arc::clone(opened)))
    }

    /// Reads the table of published webhooks again. Called after every change here, and to see what other nodes changed.
    ///
    /// Errors: those of the store.
    pub async fn refresh_hooks(&self) -> Result<(), StoreError> {
        let _turn = self.inner.hooks_refresh.lock().await;
        let rows = self.inner.store.list_hooks(HOOKS_MAX).await?;
        if u32::try_from(rows.len()).is_ok_and(|count| count >= HOOKS_MAX) {
            tracing::error!(hooks.max = HOOKS_MAX, "there are more webhooks than one server publishes");
        }
        self.inner.hooks.store(Arc::new(HookTable::new(rows)));
        Ok(())
    }

    /// Reads a webhook's parameters and evaluates the secrets of its verification. They depend on nothing that changes while
    /// the process runs, so once is enough.
    async fn read_hook(&self, compiled: &CompiledWorkflow, node: &str) -> Result<Arc<OpenHook>, WorkflowError> {
        let node = compiled.definition.nodes.iter().find(|known| &*known.id == node).ok_or(WorkflowError::NotFound)?;
        let unusable = |problems| WorkflowError::Unusable { workflow: compiled.workflow, version: compiled.version, problems };
        let mut params = WebhookParams::read(node).map_err(unusable)?;
        let Some(verification) = params.verification.take() else {
            return Ok(Arc::new(OpenHook { params, verifier: None }));
        };
        let (javascript, data) = (Arc::clone(&self.inner.javascript), self.run_data(compiled));
        // An expression may run in the sandbox, which blocks.
        let evaluated = tokio::task::spawn_blocking(move || resolve(&verification, &data, javascript)).await;
        let verifier = match evaluated {
            Ok(resolved) => resolved.map_err(WorkflowError::Secret)?,
            Err(error) => return Err(WorkflowError::Interrupted(error)),
        };
        Ok(Arc::new(OpenHook { params, verifier: Some(verifier) }))
    }

    /// What the secrets' expressions see.
    fn run_data(&self, compiled: &CompiledWorkflow) -> RunData {
        RunData {
            execution: Value::Null,
            workflow: compiled.describe(),
            vars: json!({}),
            env: self.inner.env.clone(),
            timezone: compiled.definition.settings.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
        }
    }
}

/// What a webhook's parameters say. Has no `Debug`: the verifier holds secrets.
pub struct OpenHook {
    /// Without `verification`, which has become the verifier.
    pub params: WebhookParams,
    pub verifier: Option<Verifier>,
}

fn resolve(verification: &Verification, data: &RunData, javascript: Arc<JavaScript>) -> Result<Verifier, NodeError> {
    verification.resolve(data, clock::now_ms(), &mut GuestSession::new(javascript))
}

/// The webhooks of a version. Names of path segments are left out: two hooks must not differ by them alone.
fn hooks_of(compiled: &CompiledWorkflow) -> Vec<NewHook> {
    let nodes = compiled.definition.nodes.iter().filter(|node| node.node_type == WEBHOOK && !node.disabled);
    let read = nodes.filter_map(|node| Some((node, WebhookParams::read(node).ok()?)));
    read.map(|(node, params)| NewHook { path: params.path.pattern(), method: params.method, node: node.id.to_string() }).collect()
}
