//! Workflows, their versions, and what they publish.

use super::{State, take};
use crate::{
    model::ids::{WorkflowId, WorkspaceId},
    store::{
        Activation, HookRow, NewHook, NewVersion, NewWorkflow, PageRequest, Publication, Result, UpdateWorkflow, VersionRow,
        VersionSummary, WorkflowCursor, WorkflowFilter, WorkflowRow, journal::conflict,
    },
};

impl State {
    pub(super) fn insert_workflow(&mut self, workflow: &NewWorkflow) -> Result<WorkflowRow> {
        if !self.workspaces.contains(&workflow.workspace) {
            return Err(conflict("workflows_workspace"));
        }
        if self.workflows.contains_key(&workflow.id) {
            return Err(conflict("workflows_key"));
        }
        let row = WorkflowRow {
            id: workflow.id,
            workspace: workflow.workspace,
            name: workflow.version.name.clone(),
            latest_version: 1,
            active_version: None,
            created_at: workflow.version.created_at,
            updated_at: workflow.version.created_at,
        };
        self.workflows.insert(row.id, row.clone());
        self.insert_version(workflow.workspace, row.id, 1, &workflow.version);
        Ok(row)
    }

    pub(super) fn update_workflow(
        &mut self,
        workspace: WorkspaceId,
        id: WorkflowId,
        expected_version: u32,
        version: &NewVersion,
    ) -> UpdateWorkflow {
        let Some(row) = self.workflow_mut(workspace, id) else {
            return UpdateWorkflow::NotFound;
        };
        if row.latest_version != expected_version {
            return UpdateWorkflow::Stale { latest_version: row.latest_version };
        }
        row.latest_version += 1;
        row.name.clone_from(&version.name);
        row.updated_at = version.created_at;
        let updated = row.clone();
        self.insert_version(workspace, id, updated.latest_version, version);
        UpdateWorkflow::Updated(updated)
    }

    pub(super) fn find_workflow(&self, workspace: WorkspaceId, id: WorkflowId) -> Option<WorkflowRow> {
        self.workflows.get(&id).filter(|row| row.workspace == workspace).cloned()
    }

    pub(super) fn list_workflows(
        &self,
        workspace: WorkspaceId,
        filter: &WorkflowFilter,
        page: &PageRequest<WorkflowCursor>,
    ) -> Vec<WorkflowRow> {
        let has_tag = |id: WorkflowId, tag: &String| self.tags.contains(&(workspace, tag.clone(), id));
        let has_part = |row: &WorkflowRow, part: &String| row.name.to_ascii_lowercase().contains(&part.to_ascii_lowercase());
        let mut rows: Vec<&WorkflowRow> = self
            .workflows
            .values()
            .filter(|row| row.workspace == workspace)
            .filter(|row| filter.tag.as_ref().is_none_or(|tag| has_tag(row.id, tag)))
            .filter(|row| filter.name_part.as_ref().is_none_or(|part| has_part(row, part)))
            .filter(|row| filter.active.is_none_or(|active| active == row.active_version.is_some()))
            .filter(|row| page.after.is_none_or(|after| (row.created_at, row.id) < (after.created_at, after.id)))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
        rows.into_iter().take(take(page.limit)).cloned().collect()
    }

    pub(super) fn delete_workflow(&mut self, workspace: WorkspaceId, id: WorkflowId) -> bool {
        if self.find_workflow(workspace, id).is_none() {
            return false;
        }
        self.workflows.remove(&id);
        self.versions.retain(|(workflow, _), _| *workflow != id);
        self.tags.retain(|(_, _, workflow)| *workflow != id);
        self.credential_uses.retain(|(_, _, workflow, _)| *workflow != id);
        self.remove_hooks(id);
        self.schedules.retain(|_, row| row.workflow != id);
        self.publications += 1;
        true
    }

    pub(super) fn find_workflow_version(&self, workspace: WorkspaceId, id: WorkflowId, version: u32) -> Option<VersionRow> {
        self.find_workflow(workspace, id)?;
        self.versions.get(&(id, version)).cloned()
    }

    pub(super) fn list_workflow_versions(
        &self,
        workspace: WorkspaceId,
        id: WorkflowId,
        below: Option<u32>,
        limit: u32,
    ) -> Vec<VersionSummary> {
        if self.find_workflow(workspace, id).is_none() {
            return Vec::new();
        }
        self.versions
            .range((id, 0)..(id, below.unwrap_or(u32::MAX)))
            .rev()
            .take(take(limit))
            .map(|(_, row)| VersionSummary { version: row.version, created_at: row.created_at })
            .collect()
    }

    pub(super) fn activate_workflow(
        &mut self,
        workspace: WorkspaceId,
        id: WorkflowId,
        publication: &Publication,
    ) -> Result<Activation> {
        let Publication { version, hooks, schedules, now_ms } = publication;
        if self.find_workflow_version(workspace, id, *version).is_none() {
            return Ok(Activation::NotFound);
        }
        if let Some((hook, holder)) = hooks.iter().find_map(|hook| Some((hook, self.holder(id, hook)?))) {
            return Ok(Activation::HookTaken { hook: hook.clone(), workflow: holder });
        }
        if (1..hooks.len()).any(|i| hooks[..i].iter().any(|earlier| key(earlier) == key(&hooks[i]))) {
            return Err(conflict("hooks_key"));
        }
        self.remove_hooks(id);
        for hook in hooks {
            self.hooks.insert(key(hook), HookRow { workspace, workflow: id, version: *version, hook: hook.clone() });
        }
        self.publish_schedules(workspace, id, *version, schedules, *now_ms);
        let row = self.workflow_mut(workspace, id).expect("found above, under the same lock");
        row.active_version = Some(*version);
        row.updated_at = *now_ms;
        let activated = row.clone();
        self.publications += 1;
        Ok(Activation::Activated(activated))
    }

    pub(super) fn deactivate_workflow(&mut self, workspace: WorkspaceId, id: WorkflowId, now_ms: u64) -> bool {
        let Some(row) = self.workflow_mut(workspace, id) else {
            return false;
        };
        row.active_version = None;
        row.updated_at = now_ms;
        self.remove_hooks(id);
        self.schedules.retain(|_, row| row.workflow != id || row.version.is_none());
        self.publications += 1;
        true
    }

    pub(super) fn publication_rev(&self) -> u64 {
        self.publications
    }

    pub(super) fn list_hooks(&self, limit: u32) -> Vec<HookRow> {
        self.hooks.values().take(take(limit)).cloned().collect()
    }

    fn workflow_mut(&mut self, workspace: WorkspaceId, id: WorkflowId) -> Option<&mut WorkflowRow> {
        self.workflows.get_mut(&id).filter(|row| row.workspace == workspace)
    }

    fn insert_version(&mut self, workspace: WorkspaceId, workflow: WorkflowId, version: u32, new: &NewVersion) {
        self.tags.retain(|(_, _, tagged)| *tagged != workflow);
        self.tags.extend(new.tags.iter().map(|tag| (workspace, tag.clone(), workflow)));
        self.credential_uses.extend(new.credentials.iter().map(|name| (workspace, name.clone(), workflow, version)));
        let row = VersionRow { workflow, version, definition: new.definition.clone(), created_at: new.created_at };
        self.versions.insert((workflow, version), row);
    }

    fn remove_hooks(&mut self, workflow: WorkflowId) {
        self.hooks.retain(|_, row| row.workflow != workflow);
    }

    /// The other workflow that has published the hook's path and method.
    fn holder(&self, id: WorkflowId, hook: &NewHook) -> Option<WorkflowId> {
        self.hooks.get(&key(hook)).map(|row| row.workflow).filter(|holder| *holder != id)
    }
}

fn key(hook: &NewHook) -> (String, String) {
    (hook.path.clone(), hook.method.clone())
}
