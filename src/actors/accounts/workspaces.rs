//! Workspaces: those that somebody is in, and the one that the caller acts in.

use super::{
    AccountsService, Caller,
    people_error::{Made, PeopleError, Thing, check_name, id_under, person},
};
use crate::{
    clock,
    model::ids::WorkspaceId,
    store::{DeleteWorkspace, InsertWorkspace, JoinedWorkspace, OWNER_ROLE, StoreError, WorkspaceRow},
};

impl AccountsService {
    /// Makes a workspace, whose owner the caller is.
    ///
    /// Errors: `Invalid`, `Refused`, `Full`, `KeyMismatch`, `Store`.
    pub async fn create_workspace(
        &self,
        caller: &Caller,
        name: &str,
        idempotency_key: Option<&str>,
    ) -> Result<Made<WorkspaceRow>, PeopleError> {
        let (owner, name) = (person(caller)?, check_name(name)?);
        let id = WorkspaceId::from_uuid(id_under(caller.workspace, "workspace", idempotency_key));
        let row = WorkspaceRow { id, name, created_at: clock::now_ms() };
        match self.inner.store.insert_workspace(&row, owner).await {
            Ok(InsertWorkspace::Inserted) => Ok(Made { made: row, replayed: false }),
            Ok(InsertWorkspace::Full) => Err(PeopleError::Full(Thing::Workspace)),
            Err(StoreError::Conflict { .. }) if idempotency_key.is_some() => {
                let stored = self.inner.store.find_workspace(id).await?.filter(|stored| stored.name == row.name);
                stored.map(|made| Made { made, replayed: true }).ok_or(PeopleError::KeyMismatch)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Workspaces above `after` that the caller may name in a request, the oldest first.
    ///
    /// Errors: those of the store.
    pub async fn list_workspaces(
        &self,
        caller: &Caller,
        after: Option<WorkspaceId>,
        limit: u32,
    ) -> Result<Vec<JoinedWorkspace>, PeopleError> {
        if let Some(user) = caller.user {
            return Ok(self.inner.store.list_workspaces(user, after, limit).await?);
        }
        let role = OWNER_ROLE.to_owned();
        let own = self.inner.store.find_workspace(caller.workspace).await?;
        let own = own.filter(|row| after.is_none_or(|after| row.id > after));
        Ok(own.into_iter().map(|workspace| JoinedWorkspace { workspace, role: role.clone() }).collect())
    }

    /// The workspace that the caller acts in.
    ///
    /// Errors: `NotFound`, `Store`.
    pub async fn find_workspace(&self, caller: &Caller) -> Result<WorkspaceRow, PeopleError> {
        let row = self.inner.store.find_workspace(caller.workspace).await?;
        row.ok_or(PeopleError::NotFound(Thing::Workspace))
    }

    /// Gives the workspace another name.
    ///
    /// Errors: `NotFound`, `Invalid`, `Store`.
    pub async fn rename_workspace(&self, caller: &Caller, name: &str) -> Result<WorkspaceRow, PeopleError> {
        let row = self.inner.store.rename_workspace(caller.workspace, &check_name(name)?).await?;
        row.ok_or(PeopleError::NotFound(Thing::Workspace))
    }

    /// Deletes the workspace, if nothing but people, roles, keys and invitations is in it.
    ///
    /// Errors: `NotFound`, `InUse`, `Store`.
    pub async fn delete_workspace(&self, caller: &Caller) -> Result<(), PeopleError> {
        let outcome = self.inner.store.delete_workspace(caller.workspace).await?;
        self.inner.cache.clear();
        match outcome {
            DeleteWorkspace::Deleted => Ok(()),
            DeleteWorkspace::NotFound => Err(PeopleError::NotFound(Thing::Workspace)),
            DeleteWorkspace::InUse => Err(PeopleError::InUse(Thing::Workspace)),
        }
    }
}
