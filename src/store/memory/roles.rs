//! Roles of a workspace, beside those that every workspace has.

use super::{State, take};
use crate::{
    model::ids::WorkspaceId,
    store::{DeleteRole, InsertRole, NewRole, ROLES_MAX, Result, RoleChange, RoleRow, UpdateRole, journal::conflict},
};

impl State {
    pub(super) fn insert_role(&mut self, new: &NewRole) -> Result<InsertRole> {
        if !self.workspaces.contains(&new.workspace) {
            return Err(conflict("roles_workspace"));
        }
        let key = (new.workspace, new.name.clone());
        if self.roles.contains_key(&key) {
            return Ok(InsertRole::Exists);
        }
        if self.roles.keys().filter(|(workspace, _)| *workspace == new.workspace).count() >= take(ROLES_MAX) {
            return Ok(InsertRole::Full);
        }
        let row = RoleRow {
            workspace: new.workspace,
            name: new.name.clone(),
            version: 1,
            permissions: new.content.permissions.clone(),
            description: new.content.description.clone(),
            created_at: new.content.at,
            updated_at: new.content.at,
        };
        self.roles.insert(key, row.clone());
        Ok(InsertRole::Inserted(row))
    }

    pub(super) fn update_role(
        &mut self,
        workspace: WorkspaceId,
        name: &str,
        expected_version: Option<u32>,
        change: &RoleChange,
    ) -> UpdateRole {
        let Some(row) = self.roles.get_mut(&(workspace, name.to_owned())) else { return UpdateRole::NotFound };
        if expected_version.is_some_and(|expected| expected != row.version) {
            return UpdateRole::Stale { version: row.version };
        }
        row.version += 1;
        row.updated_at = change.at;
        row.permissions.clone_from(&change.permissions);
        row.description.clone_from(&change.description);
        UpdateRole::Updated(row.clone())
    }

    pub(super) fn delete_role(&mut self, workspace: WorkspaceId, name: &str, expected_version: Option<u32>) -> DeleteRole {
        let key = (workspace, name.to_owned());
        match self.roles.get(&key) {
            None => DeleteRole::NotFound,
            Some(row) if expected_version.is_some_and(|expected| expected != row.version) => {
                DeleteRole::Stale { version: row.version }
            }
            Some(_) if self.is_role_used(workspace, name) => DeleteRole::InUse,
            Some(_) => {
                self.roles.remove(&key);
                DeleteRole::Deleted
            }
        }
    }

    pub(super) fn find_role(&self, workspace: WorkspaceId, name: &str) -> Option<RoleRow> {
        self.roles.get(&(workspace, name.to_owned())).cloned()
    }

    pub(super) fn list_roles(&self, workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Vec<RoleRow> {
        let is_listed = |row: &&RoleRow| row.workspace == workspace && after.is_none_or(|after| row.name.as_str() > after);
        self.roles.values().filter(is_listed).take(take(limit)).cloned().collect()
    }
}
