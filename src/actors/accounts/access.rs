//! What people may do: their role in a workspace, as permissions. Roles are looked up by whoever remembers callers for a moment.

use super::AccountsService;
use crate::{
    auth::permissions::{BuiltInRole, PermissionSet},
    model::ids::{UserId, WorkspaceId},
    store::{AccessRow, RoleGrant, StoreError},
};

/// What somebody may do in a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub workspace: WorkspaceId,
    pub role: String,
    pub permissions: PermissionSet,
}

impl AccountsService {
    /// What a person may do in the wanted workspace, or at home where none is wanted. `None` for somebody who is no member there, or
    /// disabled.
    ///
    /// Errors: those of the store.
    pub async fn find_access(&self, user: UserId, wanted: Option<WorkspaceId>) -> Result<Option<Access>, StoreError> {
        Ok(self.inner.store.find_access(user, wanted).await?.map(Access::from))
    }
}

impl From<AccessRow> for Access {
    fn from(row: AccessRow) -> Self {
        let permissions = match BuiltInRole::find(&row.role) {
            Some(role) => role.permissions(),
            None => permissions_of(row.permissions.as_deref().unwrap_or_default()),
        };
        Self { workspace: row.workspace, role: row.role, permissions }
    }
}

/// The set of stored permissions. One that this release does not know opens nothing.
pub(super) fn permissions_of(names: &[String]) -> PermissionSet {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// A set of permissions as it is stored.
pub(super) fn names_of(permissions: PermissionSet) -> Vec<String> {
    permissions.iter().map(|permission| permission.as_str().to_owned()).collect()
}

/// A role as the store takes it.
pub(super) fn grant(role: &str) -> RoleGrant {
    RoleGrant { name: role.to_owned(), is_custom: BuiltInRole::find(role).is_none() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::permissions::Permission;

    fn access(role: &str, permissions: Option<&[&str]>) -> PermissionSet {
        let permissions = permissions.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Access::from(AccessRow { workspace: WorkspaceId::DEFAULT, role: role.to_owned(), permissions }).permissions
    }

    #[test]
    fn a_role_is_its_permissions_and_an_unknown_one_is_nothing() {
        assert_eq!(access("owner", None), PermissionSet::ALL);
        assert_eq!(access("viewer", Some(&["workflow:write"])), BuiltInRole::Viewer.permissions());
        let custom = access("deployer", Some(&["workflow:write", "moon:read"]));
        assert_eq!(custom, PermissionSet::of(&[Permission::WorkflowWrite]));
        assert_eq!(access("gone", None), PermissionSet::NONE);
    }
}
