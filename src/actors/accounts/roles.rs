//! Roles of a workspace: sets of permissions with a name. Those that every workspace has are in the program and stay as they are.

use super::{
    AccountsService, Caller,
    access::{names_of, permissions_of},
    people_error::{Made, PeopleError, Thing, invalid, within},
};
use crate::{
    auth::permissions::{BuiltInRole, PermissionSet},
    clock,
    model::limits::VARIABLE_DESCRIPTION_CHARS_MAX,
    store::{DeleteRole, InsertRole, NewRole, ROLES_MAX, RoleChange, RoleRow, UpdateRole},
};

/// Characters of a role's name.
pub const ROLE_NAME_CHARS_MAX: usize = 64;

/// What a role is to be.
#[derive(Debug, Clone)]
pub struct RoleDraft<'a> {
    pub permissions: &'a [String],
    pub description: Option<&'a str>,
}

/// A role as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    BuiltIn(BuiltInRole),
    Custom(RoleRow),
}

impl AccountsService {
    /// Makes a role.
    ///
    /// Errors: `Invalid`, `Above`, `BuiltIn`, `Exists`, `Full`, `Store`.
    pub async fn create_role(
        &self,
        caller: &Caller,
        name: &str,
        draft: &RoleDraft<'_>,
        idempotency_key: Option<&str>,
    ) -> Result<Made<RoleRow>, PeopleError> {
        check_role_name(name)?;
        let content = change(caller, draft)?;
        let new = NewRole { workspace: caller.workspace, name: name.to_owned(), content };
        match self.inner.store.insert_role(&new).await? {
            InsertRole::Inserted(made) => Ok(Made { made, replayed: false }),
            InsertRole::Full => Err(PeopleError::Full(Thing::Role)),
            InsertRole::Exists => {
                let is_same = |row: &RoleRow| {
                    row.version == 1 && row.permissions == new.content.permissions && row.description == new.content.description
                };
                let stored = self.inner.store.find_role(caller.workspace, name).await?;
                let stored = stored.filter(|row| idempotency_key.is_some() && is_same(row));
                stored.map(|made| Made { made, replayed: true }).ok_or(PeopleError::Exists(Thing::Role))
            }
        }
    }

    /// Every role of the caller's workspace: those that every workspace has, then the others by name.
    ///
    /// Errors: those of the store.
    pub async fn list_roles(&self, caller: &Caller) -> Result<Vec<Role>, PeopleError> {
        let custom = self.inner.store.list_roles(caller.workspace, None, ROLES_MAX).await?;
        Ok(BuiltInRole::ALL.into_iter().map(Role::BuiltIn).chain(custom.into_iter().map(Role::Custom)).collect())
    }

    /// Errors: `NotFound`, `Store`.
    pub async fn find_role(&self, caller: &Caller, name: &str) -> Result<Role, PeopleError> {
        if let Some(role) = BuiltInRole::find(name) {
            return Ok(Role::BuiltIn(role));
        }
        let row = self.inner.store.find_role(caller.workspace, name).await?;
        row.map(Role::Custom).ok_or(PeopleError::NotFound(Thing::Role))
    }

    /// Changes a role, if it is at `expected_version`. Whoever has it may do something else from now on.
    ///
    /// Errors: `NotFound`, `Invalid`, `Above`, `BuiltIn`, `Stale`, `Store`.
    pub async fn update_role(
        &self,
        caller: &Caller,
        name: &str,
        expected_version: Option<u32>,
        draft: &RoleDraft<'_>,
    ) -> Result<RoleRow, PeopleError> {
        let change = change(caller, draft)?;
        self.check_changeable(caller, name).await?;
        let outcome = self.inner.store.update_role(caller.workspace, name, expected_version, &change).await?;
        self.inner.cache.clear();
        match outcome {
            UpdateRole::Updated(row) => Ok(row),
            UpdateRole::Stale { version } => Err(PeopleError::Stale { version }),
            UpdateRole::NotFound => Err(PeopleError::NotFound(Thing::Role)),
        }
    }

    /// Deletes a role that nobody has, if it is at `expected_version`.
    ///
    /// Errors: `NotFound`, `Above`, `BuiltIn`, `Stale`, `InUse`, `Store`.
    pub async fn delete_role(&self, caller: &Caller, name: &str, expected_version: Option<u32>) -> Result<(), PeopleError> {
        self.check_changeable(caller, name).await?;
        match self.inner.store.delete_role(caller.workspace, name, expected_version).await? {
            DeleteRole::Deleted => Ok(()),
            DeleteRole::Stale { version } => Err(PeopleError::Stale { version }),
            DeleteRole::NotFound => Err(PeopleError::NotFound(Thing::Role)),
            DeleteRole::InUse => Err(PeopleError::InUse(Thing::Role)),
        }
    }

    /// Nobody changes a role that may do more than they may: those who have it would be theirs to cut down.
    async fn check_changeable(&self, caller: &Caller, name: &str) -> Result<(), PeopleError> {
        match self.find_role(caller, name).await? {
            Role::BuiltIn(_) => Err(PeopleError::BuiltIn),
            Role::Custom(row) => within(caller, permissions_of(&row.permissions)),
        }
    }
}

/// Permissions by their names, of which the caller has all.
///
/// Errors: `Invalid`, `Above`.
pub(super) fn read_permissions(caller: &Caller, names: &[String]) -> Result<PermissionSet, PeopleError> {
    let mut permissions = PermissionSet::NONE;
    for (place, name) in names.iter().enumerate() {
        let unknown = |_| invalid(format!("/permissions/{place}"), "unknown_permission", "there is no such permission");
        permissions = permissions.union(PermissionSet::of(&[name.parse().map_err(unknown)?]));
    }
    within(caller, permissions)?;
    Ok(permissions)
}

fn change(caller: &Caller, draft: &RoleDraft<'_>) -> Result<RoleChange, PeopleError> {
    let permissions = names_of(read_permissions(caller, draft.permissions)?);
    if draft.description.is_some_and(|text| text.chars().count() > VARIABLE_DESCRIPTION_CHARS_MAX) {
        let detail = format!("a description has {VARIABLE_DESCRIPTION_CHARS_MAX} characters at most");
        return Err(invalid("/description", "too_long", detail));
    }
    Ok(RoleChange { permissions, description: draft.description.map(str::to_owned), at: clock::now_ms() })
}

fn check_role_name(name: &str) -> Result<(), PeopleError> {
    if BuiltInRole::find(name).is_some() {
        return Err(PeopleError::BuiltIn);
    }
    let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && name.chars().all(is_fit) && name.len() <= ROLE_NAME_CHARS_MAX {
        return Ok(());
    }
    let detail = format!("a name has up to {ROLE_NAME_CHARS_MAX} of a-z, 0-9, `-` and `_`, and begins with a letter");
    Err(invalid("/name", "invalid_name", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_obey_and_violate_their_limits() {
        for name in ["a", "deployer-2", "x_y", &"x".repeat(ROLE_NAME_CHARS_MAX)] {
            assert!(check_role_name(name).is_ok(), "{name}");
        }
        for name in ["", "2a", "A", "a b", "ä", "-a", &"x".repeat(ROLE_NAME_CHARS_MAX + 1)] {
            assert!(matches!(check_role_name(name), Err(PeopleError::Invalid(_))), "{name}");
        }
        assert!(matches!(check_role_name("owner"), Err(PeopleError::BuiltIn)));
    }
}
