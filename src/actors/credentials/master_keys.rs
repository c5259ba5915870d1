//! Master keys and the store: which key a process may work with, and the rotation of what is sealed. A process starts only if it has
//! every key in use: so no value is ever met that it cannot read, and a wrong key is noticed before anything is done with it.

use std::{path::Path, sync::Arc};

use super::{CredentialError, CredentialsHandle, Result, sealing};
use crate::{
    auth::{
        keyring::{KeyId, Keyring, KeyringError},
        sealed,
    },
    clock,
    model::ids::CredentialId,
    store::{AdmitMasterKey, CredentialRow, MasterKeyRow, Reseal, SealedPart, Store, StoreError},
};

/// Credentials that one call of [`CredentialsHandle::rotate`] works off.
pub const ROTATED_MAX: u32 = 1_000;
/// Rows that are read at once.
const PAGE: u32 = 100;

/// Why a process cannot work with its master keys.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error(
        "the database is sealed with the master key {id}, which this process does not have: set secrets.master_key to that key, or \
         put the file {file} back (during a rotation the old keys stay behind the new one until `citadel secrets rotate` is done)"
    )]
    Missing { id: KeyId, file: String },
    /// Another text has the same id, by a chance of one in 2^64.
    #[error("the master key {id} is not the one that the database is sealed with")]
    Other { id: KeyId },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A master key, as the operator may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyStatus {
    pub id: KeyId,
    /// Whether this process seals with it.
    pub is_current: bool,
    /// Whether something may be sealed with it.
    pub in_use: bool,
    /// Whether this process has it.
    pub is_held: bool,
}

/// What a rotation has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// The key that seals from now on.
    pub current: KeyId,
    /// Values that the current key seals now.
    pub resealed: u64,
    /// Values that were changed at the same moment, or that cannot be read: the next call comes back to them.
    pub skipped: u64,
    /// Whether nothing is sealed by other keys any more.
    pub is_done: bool,
    /// Keys that went out of use.
    pub retired: u64,
}

impl Rotated {
    fn of(current: KeyId) -> Self {
        Self { current, resealed: 0, skipped: 0, is_done: false, retired: 0 }
    }
}

/// Finds the master keys of a process (the setting, else the file, else for an empty database a new one) and puts the current one
/// into use.
///
/// Errors: see [`MasterKeyError`].
pub async fn open_keyring(
    store: &Arc<dyn Store>,
    setting: Option<&str>,
    file: &Path,
) -> std::result::Result<Keyring, MasterKeyError> {
    let in_use = store.list_master_keys().await?;
    let missing = |id: [u8; 8]| MasterKeyError::Missing { id: KeyId::from_bytes(id), file: file.display().to_string() };
    let keys = match (Keyring::load(setting, file)?, in_use.first()) {
        (Some(keys), _) => keys,
        (None, None) => Keyring::create(file)?,
        // A new key could read nothing of it.
        (None, Some(key)) => return Err(missing(key.id)),
    };
    for key in &in_use {
        let id = KeyId::from_bytes(key.id);
        if keys.holds(id) && !keys.matches(id, &key.check_value) {
            return Err(MasterKeyError::Other { id });
        }
    }
    let current = keys.current();
    let row = MasterKeyRow {
        id: *current.as_bytes(),
        check_value: keys.check_value(current).expect("a ring holds its current key"),
        created_at: clock::now_ms(),
    };
    let held: Vec<[u8; 8]> = keys.ids().map(|id| *id.as_bytes()).collect();
    match store.admit_master_key(&row, &held).await? {
        AdmitMasterKey::Admitted => Ok(keys),
        AdmitMasterKey::Missing(id) => Err(missing(id)),
    }
}

impl CredentialsHandle {
    /// The master keys that are held or in use.
    ///
    /// Errors: those of the store.
    pub async fn master_keys(&self) -> Result<Vec<KeyStatus>> {
        let in_use: Vec<KeyId> = self.store().list_master_keys().await?.iter().map(|key| KeyId::from_bytes(key.id)).collect();
        let keys = self.keys();
        let mut ids: Vec<KeyId> = keys.ids().collect();
        ids.extend(in_use.iter().copied().filter(|id| !keys.holds(*id)));
        let status =
            |id| KeyStatus { id, is_current: id == keys.current(), in_use: in_use.contains(&id), is_held: keys.holds(id) };
        Ok(ids.into_iter().map(status).collect())
    }

    /// Seals what other keys have sealed with the current one, [`ROTATED_MAX`] credentials at most, and takes the other keys out of
    /// use when nothing is left. Only data keys are wrapped anew: no value changes, and none is read. Can be repeated at any time.
    ///
    /// Errors: those of the store.
    pub async fn rotate(&self) -> Result<Rotated> {
        let current = *self.keys().current().as_bytes();
        let (mut rotated, mut after, mut seen) = (Rotated::of(self.keys().current()), None::<CredentialId>, 0);
        while seen < ROTATED_MAX {
            let rows = self.store().list_sealed_by_others(&current, after, PAGE.min(ROTATED_MAX - seen)).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.id);
            seen += u32::try_from(rows.len()).unwrap_or(u32::MAX);
            for row in &rows {
                self.reseal(row, &mut rotated).await?;
                // What is kept would have been sealed by a key that may go.
                self.written(row.workspace, &row.name);
            }
        }
        if let Some(retired) = self.store().retire_master_keys(&current).await? {
            (rotated.is_done, rotated.retired) = (true, retired);
        }
        Ok(rotated)
    }

    async fn reseal(&self, row: &CredentialRow, rotated: &mut Rotated) -> Result<()> {
        let values =
            [Some((SealedPart::Fields, &row.fields.value)), row.grant.as_ref().map(|grant| (SealedPart::Grant, &grant.value))];
        for (part, value) in values.into_iter().flatten().filter(|(_, value)| value.key != *self.keys().current().as_bytes()) {
            let renewed = match sealed::rewrap(self.keys(), &value.bytes, &sealing::context_of(row, part)) {
                Ok(renewed) => sealing::sealed_value(self.keys(), renewed),
                Err(source) => {
                    let error = CredentialError::Unreadable { id: row.id, source };
                    tracing::warn!(credential = %row.id, cause = %error, "a credential cannot be sealed by the current master key");
                    rotated.skipped += 1;
                    continue;
                }
            };
            let reseal = Reseal { credential: row.id, part, old: value.bytes.clone(), new: renewed };
            if self.store().reseal(&reseal).await? {
                rotated.resealed += 1;
            } else {
                rotated.skipped += 1;
            }
        }
        Ok(())
    }
}
