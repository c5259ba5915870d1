//! How the values of a credential are sealed: as JSON, bound to their workspace, their credential, their kind and their number.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::error::CredentialError;
use crate::{
    auth::{
        keyring::{Keyring, OpenError},
        sealed,
    },
    model::ids::{CredentialId, WorkspaceId},
    store::{CredentialRow, SealedFields, SealedPart, SealedValue},
};

/// The fields of a credential, by name.
pub type Fields = BTreeMap<String, Zeroizing<String>>;

/// The tokens of a grant.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(super) struct Tokens {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    /// What the service says that may be done with it.
    pub(super) scope: Option<String>,
}

/// What the fields of a version belong to.
fn fields_context((workspace, id, version): (WorkspaceId, CredentialId, u32)) -> String {
    format!("{workspace}|{id}|fields|{version}")
}

fn grant_context((workspace, id, rev): (WorkspaceId, CredentialId, u32)) -> String {
    format!("{workspace}|{id}|grant|{rev}")
}

/// What a sealed value of a row belongs to.
pub(super) fn context_of(row: &CredentialRow, part: SealedPart) -> String {
    match part {
        SealedPart::Fields => fields_context((row.workspace, row.id, row.value_version)),
        SealedPart::Grant => grant_context((row.workspace, row.id, row.grant_rev)),
    }
}

/// Seals fields for a version of a credential.
pub(super) fn seal_fields(keys: &Keyring, place: (WorkspaceId, CredentialId, u32), fields: &Fields) -> SealedFields {
    let texts: BTreeMap<&str, &str> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let text = Zeroizing::new(serde_json::to_vec(&texts).expect("texts can be written as JSON"));
    let value = sealed_value(keys, sealed::seal(keys, &text, &fields_context(place)));
    SealedFields { names: fields.keys().cloned().collect(), value }
}

/// Reads the fields of a row.
///
/// Errors: `Unreadable`.
pub(super) fn open_fields(keys: &Keyring, row: &CredentialRow) -> Result<Fields, CredentialError> {
    let unreadable = |source| CredentialError::Unreadable { id: row.id, source };
    let text = sealed::open(keys, &row.fields.value.bytes, &context_of(row, SealedPart::Fields)).map_err(unreadable)?;
    let fields: BTreeMap<String, Zeroizing<String>> = serde_json::from_slice::<BTreeMap<String, String>>(&text)
        .map_err(|_| unreadable(OpenError::UnknownForm))?
        .into_iter()
        .map(|(name, value)| (name, Zeroizing::new(value)))
        .collect();
    Ok(fields)
}

/// Seals tokens as the grant of a number.
pub(super) fn seal_tokens(keys: &Keyring, place: (WorkspaceId, CredentialId, u32), tokens: &Tokens) -> SealedValue {
    let text = Zeroizing::new(serde_json::to_vec(tokens).expect("texts can be written as JSON"));
    sealed_value(keys, sealed::seal(keys, &text, &grant_context(place)))
}

/// Reads the tokens of a row; `None` if nothing was granted.
///
/// Errors: `Unreadable`.
pub(super) fn open_tokens(keys: &Keyring, row: &CredentialRow) -> Result<Option<Tokens>, CredentialError> {
    let Some(grant) = &row.grant else { return Ok(None) };
    let unreadable = |source| CredentialError::Unreadable { id: row.id, source };
    let text = sealed::open(keys, &grant.value.bytes, &context_of(row, SealedPart::Grant)).map_err(unreadable)?;
    serde_json::from_slice(&text).map(Some).map_err(|_| unreadable(OpenError::UnknownForm))
}

/// A value that the master key in use has sealed, for the store.
pub(super) fn sealed_value(keys: &Keyring, bytes: Vec<u8>) -> SealedValue {
    SealedValue { key: *keys.current().as_bytes(), bytes: Bytes::from(bytes) }
}
