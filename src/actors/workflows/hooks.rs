//! What is published of a workflow: activation takes its webhooks and schedules from one version, puts the webhooks into the table
//! of routes, and leaves the schedules to the scheduler.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CompiledWorkflow, HookLookup, HookTable, PublishedHook, WorkflowError, WorkflowsHandle};
use crate::{
    clock,
    model::{
        error::NodeError,
        ids::{ScheduleId, WorkflowId, WorkspaceId},
        problem::Problem,
    },
    nodes::{
        schedule::{SCHEDULE, ScheduleSpec, TIMEZONE_DEFAULT},
        webhook::{
            WebhookParams,
            verify::{Verifier, params::Verification},
        },
    },
    runtimes::{
        javascript::{GuestSession, JavaScript},
        scope::RunData,
    },
    store::{Activation, NewHook, Publication, PublishedSchedule, StoreError, WorkflowRow},
};

/// The node type whose nodes are published.
const WEBHOOK: &str = "webhook";

/// Webhooks of one server. More are not served: activation would have to refuse them.
const HOOKS_MAX: u32 = 100_000;

impl WorkflowsHandle {
    /// Publishes a version, the latest one where none is given, in place of what was published before.
    ///
    /// Errors: `NotFound`, `VersionNotFound`, `Unusable`, `Invalid` (an unknown time zone), `HookTaken`, `Store`.
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
        let now_ms = clock::now_ms();
        let schedules = schedules_of(&compiled, now_ms).map_err(WorkflowError::Invalid)?;
        let hooks = hooks_of(&compiled);
        let publication = Publication { version, hooks, schedules, now_ms };
        match self.inner.store.activate_workflow(workspace, id, &publication).await? {
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

    /// Reads the table of published webhooks again if something was published or taken down since it was read, here or by another
    /// process. Called regularly.
    ///
    /// Errors: those of the store.
    pub async fn follow_publications(&self) -> Result<(), StoreError> {
        if self.inner.store.publication_rev().await? == self.inner.publication_rev.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.refresh_hooks().await
    }

    /// Reads the table of published webhooks again. Called after every change here.
    ///
    /// Errors: those of the store.
    pub async fn refresh_hooks(&self) -> Result<(), StoreError> {
        let _turn = self.inner.hooks_refresh.lock().await;
        // Before the table: what is published in between is read again, rather than not at all.
        let rev = self.inner.store.publication_rev().await?;
        let rows = self.inner.store.list_hooks(HOOKS_MAX).await?;
        if u32::try_from(rows.len()).is_ok_and(|count| count >= HOOKS_MAX) {
            tracing::error!(hooks.max = HOOKS_MAX, "there are more webhooks than one server publishes");
        }
        self.inner.hooks.store(Arc::new(HookTable::new(rows)));
        self.inner.publication_rev.store(rev, Ordering::Relaxed);
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

/// The schedules of a version, with their first ticks after `now_ms`.
///
/// Errors: what was not known when the version was stored: the workflow's time zone is none.
fn schedules_of(compiled: &CompiledWorkflow, now_ms: u64) -> Result<Vec<PublishedSchedule>, Vec<Problem>> {
    let timezone = compiled.definition.settings.timezone.as_deref().unwrap_or(TIMEZONE_DEFAULT);
    let nodes = compiled.definition.nodes.iter().enumerate();
    let nodes = nodes.filter(|(_, node)| node.node_type == SCHEDULE && !node.disabled);
    let read = nodes.map(|(position, node)| {
        let under_node = |problem: Problem| problem.under(&format!("/nodes/{position}"));
        let spec =
            ScheduleSpec::read(node, timezone).map_err(|problems| problems.into_iter().map(under_node).collect::<Vec<_>>())?;
        let cadence = spec.cadence().map_err(|problem| vec![under_node(problem)])?;
        let id = published_id(compiled.workflow, &node.id);
        let next = spec.rules(id, &cadence).first_after(now_ms);
        Ok(PublishedSchedule { id, node: node.id.to_string(), spec: Bytes::from(spec.to_json()), next })
    });
    read.collect()
}

/// The id of a schedule that a node publishes: the same in every version, so that it goes on where it was.
fn published_id(workflow: WorkflowId, node: &str) -> ScheduleId {
    ScheduleId::from_uuid(Uuid::new_v5(&workflow.uuid(), format!("schedule:{node}").as_bytes()))
}
