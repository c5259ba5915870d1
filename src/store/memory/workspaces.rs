//! Workspaces.

use std::collections::BTreeMap;

use super::{State, take};
use crate::{
    model::ids::{UserId, WorkspaceId},
    store::{
        DeleteWorkspace, InsertWorkspace, JoinedWorkspace, OWNER_ROLE, Result, WORKSPACES_MAX, WorkspaceRow, journal::conflict,
    },
};

/// The workspaces by their ids. There is one from the start on.
pub(super) struct Workspaces(BTreeMap<WorkspaceId, WorkspaceRow>);

impl Workspaces {
    pub(super) fn new() -> Self {
        let first = WorkspaceRow { id: WorkspaceId::DEFAULT, name: "default".to_owned(), created_at: 0 };
        Self(BTreeMap::from([(first.id, first)]))
    }

    pub(super) fn contains(&self, id: &WorkspaceId) -> bool {
        self.0.contains_key(id)
    }
}

impl State {
    pub(super) fn insert_workspace(&mut self, workspace: &WorkspaceRow, owner: UserId) -> Result<InsertWorkspace> {
        if self.workspaces.0.len() >= take(WORKSPACES_MAX) {
            return Ok(InsertWorkspace::Full);
        }
        if self.workspaces.contains(&workspace.id) {
            return Err(conflict("workspaces_key"));
        }
        if !self.users.contains_key(&owner) {
            return Err(conflict("members_user"));
        }
        self.workspaces.0.insert(workspace.id, workspace.clone());
        self.put_member(workspace.id, owner, OWNER_ROLE, workspace.created_at);
        Ok(InsertWorkspace::Inserted)
    }

    pub(super) fn find_workspace(&self, id: WorkspaceId) -> Option<WorkspaceRow> {
        self.workspaces.0.get(&id).cloned()
    }

    pub(super) fn list_workspaces(&self, user: UserId, after: Option<WorkspaceId>, limit: u32) -> Vec<JoinedWorkspace> {
        let joined = self
            .members
            .iter()
            .filter(|((workspace, member), _)| *member == user && after.is_none_or(|after| *workspace > after));
        let shown = joined.filter_map(|((workspace, _), member)| {
            Some(JoinedWorkspace { workspace: self.find_workspace(*workspace)?, role: member.role.clone() })
        });
        shown.take(take(limit)).collect()
    }

    pub(super) fn rename_workspace(&mut self, id: WorkspaceId, name: &str) -> Option<WorkspaceRow> {
        let row = self.workspaces.0.get_mut(&id)?;
        name.clone_into(&mut row.name);
        Some(row.clone())
    }

    pub(super) fn delete_workspace(&mut self, id: WorkspaceId) -> DeleteWorkspace {
        if !self.workspaces.contains(&id) {
            return DeleteWorkspace::NotFound;
        }
        let is_used = self.workflows.values().any(|row| row.workspace == id)
            || self.executions.values().any(|stored| stored.row.new.workspace == id)
            || self.variables.keys().any(|(workspace, _)| *workspace == id)
            || self.credentials.values().any(|stored| stored.row.workspace == id);
        if is_used || id == WorkspaceId::DEFAULT {
            return DeleteWorkspace::InUse;
        }
        self.members.retain(|(workspace, _), _| *workspace != id);
        let moving: Vec<UserId> = self.users.values().filter(|user| user.workspace == id).map(|user| user.id).collect();
        for user in moving {
            let next = self.longest_joined(user).unwrap_or(WorkspaceId::DEFAULT);
            if let Some(account) = self.users.get_mut(&user) {
                account.workspace = next;
            }
        }
        self.roles.retain(|(workspace, _), _| *workspace != id);
        self.api_keys.retain(|_, key| key.workspace != id);
        self.invitations.retain(|_, row| row.workspace != id);
        self.batches.retain(|_, stored| stored.row.workspace != id);
        self.workspaces.0.remove(&id);
        DeleteWorkspace::Deleted
    }
}
