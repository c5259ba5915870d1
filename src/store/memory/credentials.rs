//! Credentials, and the master keys that seal them.

use std::collections::BTreeMap;

use super::{State, take};
use crate::{
    model::ids::{CredentialId, WorkflowId, WorkspaceId},
    store::{
        AdmitMasterKey, CREDENTIALS_MAX, CredentialChange, CredentialRow, CredentialUser, DeleteCredential, Grant,
        InsertCredential, MASTER_KEY_ID_BYTES, MasterKeyRow, NewCredential, Reseal, Result, SealedPart, SealedValue,
        UpdateCredential, journal::conflict,
    },
};

/// A credential, and until when somebody renews its grant.
pub(super) struct StoredCredential {
    pub(super) row: CredentialRow,
    refreshing_until: u64,
}

impl State {
    pub(super) fn insert_credential(&mut self, new: &NewCredential) -> Result<InsertCredential> {
        if self.find_credential_by_name(new.workspace, &new.name).is_some() {
            return Ok(InsertCredential::Exists);
        }
        let count = self.credentials.values().filter(|stored| stored.row.workspace == new.workspace).count();
        if count >= take(CREDENTIALS_MAX) {
            return Ok(InsertCredential::Full);
        }
        if !self.workspaces.contains(&new.workspace) {
            return Err(conflict("credentials_workspace"));
        }
        if self.credentials.contains_key(&new.id) {
            return Err(conflict("credentials_key"));
        }
        self.require_key(&new.fields.value, "credentials_value_key")?;
        let row = CredentialRow {
            id: new.id,
            workspace: new.workspace,
            name: new.name.clone(),
            kind: new.kind.clone(),
            description: new.description.clone(),
            version: 1,
            created_at: new.at,
            updated_at: new.at,
            used_at: None,
            fields: new.fields.clone(),
            value_version: 1,
            grant_rev: 0,
            grant: None,
        };
        self.credentials.insert(new.id, StoredCredential { row: row.clone(), refreshing_until: 0 });
        Ok(InsertCredential::Inserted(row))
    }

    pub(super) fn update_credential(
        &mut self,
        workspace: WorkspaceId,
        id: CredentialId,
        expected_version: u32,
        change: &CredentialChange,
    ) -> Result<UpdateCredential> {
        let Some(row) = self.find_credential(workspace, id) else { return Ok(UpdateCredential::NotFound) };
        if row.version != expected_version {
            return Ok(UpdateCredential::Stale { version: row.version });
        }
        if let Some(fields) = &change.fields {
            self.require_key(&fields.value, "credentials_value_key")?;
        }
        let stored = self.credentials.get_mut(&id).expect("it has been found");
        stored.row.version += 1;
        stored.row.updated_at = change.at;
        stored.row.description.clone_from(&change.description);
        if let Some(fields) = &change.fields {
            stored.row.fields = fields.clone();
            stored.row.value_version = stored.row.version;
            stored.row.grant_rev += 1;
            stored.row.grant = None;
            stored.refreshing_until = 0;
        }
        Ok(UpdateCredential::Updated(stored.row.clone()))
    }

    pub(super) fn delete_credential(
        &mut self,
        workspace: WorkspaceId,
        id: CredentialId,
        expected: Option<u32>,
    ) -> DeleteCredential {
        match self.find_credential(workspace, id) {
            None => DeleteCredential::NotFound,
            Some(row) if expected.is_some_and(|expected| expected != row.version) => {
                DeleteCredential::Stale { version: row.version }
            }
            Some(_) => {
                self.credentials.remove(&id);
                DeleteCredential::Deleted
            }
        }
    }

    pub(super) fn find_credential(&self, workspace: WorkspaceId, id: CredentialId) -> Option<CredentialRow> {
        self.credentials.get(&id).map(|stored| &stored.row).filter(|row| row.workspace == workspace).cloned()
    }

    pub(super) fn find_credential_by_name(&self, workspace: WorkspaceId, name: &str) -> Option<CredentialRow> {
        let mut rows = self.credentials.values().map(|stored| &stored.row);
        rows.find(|row| row.workspace == workspace && row.name == name).cloned()
    }

    pub(super) fn list_credentials(
        &self,
        workspace: WorkspaceId,
        kind: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Vec<CredentialRow> {
        let is_listed = |row: &&CredentialRow| {
            row.workspace == workspace
                && kind.is_none_or(|kind| row.kind == kind)
                && after.is_none_or(|after| row.name.as_str() > after)
        };
        let mut rows: Vec<&CredentialRow> = self.credentials.values().map(|stored| &stored.row).filter(is_listed).collect();
        rows.sort_by(|left, right| left.name.cmp(&right.name));
        rows.into_iter().take(take(limit)).cloned().collect()
    }

    pub(super) fn list_credential_users(
        &self,
        workspace: WorkspaceId,
        name: &str,
        after: Option<WorkflowId>,
        limit: u32,
    ) -> Vec<CredentialUser> {
        let mut users: BTreeMap<WorkflowId, CredentialUser> = BTreeMap::new();
        for (_, _, id, version) in self.credential_uses.iter().filter(|(of, used, _, _)| *of == workspace && used == name) {
            let Some(workflow) = self.workflows.get(id).filter(|_| after.is_none_or(|after| *id > after)) else { continue };
            let (in_latest, in_active) = (workflow.latest_version == *version, workflow.active_version == Some(*version));
            if !in_latest && !in_active {
                continue;
            }
            let first = CredentialUser { workflow: *id, name: workflow.name.clone(), in_latest: false, in_active: false };
            let user = users.entry(*id).or_insert(first);
            user.in_latest |= in_latest;
            user.in_active |= in_active;
        }
        users.into_values().take(take(limit)).collect()
    }

    pub(super) fn use_credential(&mut self, id: CredentialId, at: u64) -> bool {
        let stored = self.credentials.get_mut(&id).filter(|stored| stored.row.used_at.unwrap_or(0) < at);
        stored.map(|stored| stored.row.used_at = Some(at)).is_some()
    }

    pub(super) fn begin_grant(&mut self, id: CredentialId, rev: u32, lease_ms: u64, now_ms: u64) -> bool {
        let free = |stored: &&mut StoredCredential| stored.row.grant_rev == rev && stored.refreshing_until < now_ms;
        let stored = self.credentials.get_mut(&id).filter(free);
        stored.map(|stored| stored.refreshing_until = now_ms.saturating_add(lease_ms)).is_some()
    }

    pub(super) fn end_grant(&mut self, id: CredentialId, rev: u32) -> bool {
        let begun = |stored: &&mut StoredCredential| stored.row.grant_rev == rev && stored.refreshing_until > 0;
        self.credentials.get_mut(&id).filter(begun).map(|stored| stored.refreshing_until = 0).is_some()
    }

    pub(super) fn put_grant(&mut self, id: CredentialId, rev: u32, grant: &Grant) -> Result<bool> {
        if self.credentials.get(&id).is_none_or(|stored| stored.row.grant_rev != rev) {
            return Ok(false);
        }
        self.require_key(&grant.value, "credentials_grant_key")?;
        let stored = self.credentials.get_mut(&id).expect("it has been found");
        stored.row.grant_rev += 1;
        stored.row.grant = Some(grant.clone());
        stored.refreshing_until = 0;
        Ok(true)
    }

    pub(super) fn list_master_keys(&self) -> Vec<MasterKeyRow> {
        let mut keys: Vec<MasterKeyRow> = self.master_keys.values().cloned().collect();
        keys.sort_by_key(|key| (key.created_at, key.id));
        keys
    }

    pub(super) fn admit_master_key(&mut self, key: &MasterKeyRow, held: &[[u8; MASTER_KEY_ID_BYTES]]) -> AdmitMasterKey {
        if let Some(missing) = self.list_master_keys().iter().find(|used| !held.contains(&used.id)) {
            return AdmitMasterKey::Missing(missing.id);
        }
        self.master_keys.entry(key.id).or_insert_with(|| key.clone());
        AdmitMasterKey::Admitted
    }

    pub(super) fn retire_master_keys(&mut self, keep: &[u8; MASTER_KEY_ID_BYTES]) -> Option<u64> {
        if !self.list_sealed_by_others(keep, None, 1).is_empty() {
            return None;
        }
        let before = self.master_keys.len();
        self.master_keys.retain(|id, _| id == keep);
        Some(u64::try_from(before - self.master_keys.len()).unwrap_or(u64::MAX))
    }

    pub(super) fn list_sealed_by_others(
        &self,
        key: &[u8; MASTER_KEY_ID_BYTES],
        after: Option<CredentialId>,
        limit: u32,
    ) -> Vec<CredentialRow> {
        let by_other = |row: &&CredentialRow| {
            row.fields.value.key != *key || row.grant.as_ref().is_some_and(|grant| grant.value.key != *key)
        };
        let rows = self.credentials.values().map(|stored| &stored.row);
        rows.filter(|row| after.is_none_or(|after| row.id > after)).filter(by_other).take(take(limit)).cloned().collect()
    }

    pub(super) fn reseal(&mut self, reseal: &Reseal) -> Result<bool> {
        self.require_key(&reseal.new, "credentials_value_key")?;
        let Some(stored) = self.credentials.get_mut(&reseal.credential) else { return Ok(false) };
        let value = match reseal.part {
            SealedPart::Fields => Some(&mut stored.row.fields.value),
            SealedPart::Grant => stored.row.grant.as_mut().map(|grant| &mut grant.value),
        };
        let Some(value) = value.filter(|value| value.bytes == reseal.old) else { return Ok(false) };
        *value = reseal.new.clone();
        Ok(true)
    }

    /// What foreign keys do in the databases.
    fn require_key(&self, value: &SealedValue, constraint: &'static str) -> Result<()> {
        if self.master_keys.contains_key(&value.key) { Ok(()) } else { Err(conflict(constraint)) }
    }
}
