//! Who the caller is, for the caller.

use super::{AccountsService, Caller};
use crate::{
    auth::permissions::BuiltInRole,
    store::{JoinedWorkspace, StoreError, UserRow},
};

/// Workspaces of one person that are shown.
const WORKSPACES_SHOWN_MAX: u32 = 1_000;

/// A caller, as they see themselves.
pub struct Profile {
    /// What the caller is in the workspace where it acts.
    pub role: String,
    /// `None` for the setup token.
    pub user: Option<UserRow>,
    /// The workspaces that the person is a member of, the oldest first.
    pub workspaces: Vec<JoinedWorkspace>,
}

impl AccountsService {
    /// Who the caller is.
    ///
    /// Errors: those of the store.
    pub async fn find_profile(&self, caller: &Caller) -> Result<Profile, StoreError> {
        let Some(id) = caller.user else {
            return Ok(Profile { role: BuiltInRole::Owner.as_str().to_owned(), user: None, workspaces: Vec::new() });
        };
        let user = self.inner.store.find_user(id).await?;
        let workspaces = self.inner.store.list_workspaces(id, None, WORKSPACES_SHOWN_MAX).await?;
        let here = workspaces.iter().find(|joined| joined.workspace.id == caller.workspace);
        let role = here.map(|joined| joined.role.clone()).unwrap_or_default();
        Ok(Profile { role, user, workspaces })
    }
}
