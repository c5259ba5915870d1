//! API keys.

use super::{State, take};
use crate::{
    model::{
        change::Change,
        ids::{KeyId, UserId, WorkspaceId},
    },
    store::{
        API_KEYS_MAX, ApiKeyChange, ApiKeyCursor, ApiKeyRow, PageRequest, PreviousSecret, Result, RotateApiKey, journal::conflict,
    },
};

impl State {
    pub(super) fn insert_api_key(&mut self, key: &ApiKeyRow) -> Result<bool> {
        if self.api_keys.values().filter(|other| other.workspace == key.workspace).count() >= take(API_KEYS_MAX) {
            return Ok(false);
        }
        if !self.workspaces.contains(&key.workspace) {
            return Err(conflict("api_keys_workspace"));
        }
        if !self.users.contains_key(&key.user) {
            return Err(conflict("api_keys_user"));
        }
        if self.api_keys.contains_key(&key.id) {
            return Err(conflict("api_keys_key"));
        }
        self.api_keys.insert(key.id, key.clone());
        Ok(true)
    }

    pub(super) fn get_api_key(&self, id: KeyId) -> Option<ApiKeyRow> {
        self.api_keys.get(&id).cloned()
    }

    pub(super) fn find_api_key(&self, workspace: WorkspaceId, id: KeyId) -> Option<ApiKeyRow> {
        self.get_api_key(id).filter(|key| key.workspace == workspace)
    }

    pub(super) fn list_api_keys(
        &self,
        workspace: WorkspaceId,
        user: Option<UserId>,
        page: &PageRequest<ApiKeyCursor>,
    ) -> Vec<ApiKeyRow> {
        let is_after = |key: &ApiKeyRow| page.after.is_none_or(|after| (key.created_at, key.id) < (after.created_at, after.id));
        let keys = self.api_keys.values();
        let keys = keys.filter(|key| key.workspace == workspace && user.is_none_or(|user| key.user == user) && is_after(key));
        let mut keys: Vec<ApiKeyRow> = keys.cloned().collect();
        keys.sort_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
        keys.truncate(take(page.limit));
        keys
    }

    pub(super) fn update_api_key(&mut self, workspace: WorkspaceId, id: KeyId, change: &ApiKeyChange) -> Option<ApiKeyRow> {
        let key = self.api_key_mut(workspace, id)?;
        key.name.clone_from(&change.name);
        if let Change::To(permissions) = &change.permissions {
            key.permissions.clone_from(permissions);
        }
        key.expires_at = change.expires_at.over(key.expires_at);
        Some(key.clone())
    }

    pub(super) fn rotate_api_key(&mut self, workspace: WorkspaceId, id: KeyId, rotation: &RotateApiKey) -> Option<ApiKeyRow> {
        let key = self.api_key_mut(workspace, id).filter(|key| key.secret.hash == rotation.from)?;
        key.previous = Some(PreviousSecret { hash: rotation.from, until: rotation.previous_until });
        key.secret = rotation.to.clone();
        Some(key.clone())
    }

    pub(super) fn delete_api_key(&mut self, workspace: WorkspaceId, id: KeyId) -> bool {
        self.find_api_key(workspace, id).is_some() && self.api_keys.remove(&id).is_some()
    }

    pub(super) fn touch_api_key(&mut self, id: KeyId, now_ms: u64, unless_after: u64) -> bool {
        let Some(key) = self.api_keys.get_mut(&id) else { return false };
        let is_due = key.used_at.is_none_or(|used_at| used_at < unless_after);
        if is_due {
            key.used_at = Some(now_ms);
        }
        is_due
    }

    fn api_key_mut(&mut self, workspace: WorkspaceId, id: KeyId) -> Option<&mut ApiKeyRow> {
        self.api_keys.get_mut(&id).filter(|key| key.workspace == workspace)
    }
}
