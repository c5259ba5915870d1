//! The rows of credentials and master keys.

use bytes::Bytes;
use uuid::Uuid;

use super::{UnknownLength, count, hash, optional_time, rows, time};
use crate::{
    model::ids::{CredentialId, WorkflowId, WorkspaceId},
    store::{
        CredentialRow, CredentialUser, Grant, MASTER_KEY_ID_BYTES, MasterKeyRow, Result, SealedFields, SealedValue, StoreError,
    },
};

rows! {
    CredentialColumns {
        id: Uuid, workspace_id: Uuid, name: String, kind: String, description: Option<String>, version: i32, created_at: i64,
        updated_at: i64, used_at: Option<i64>, fields: String, value_version: i32, value_key: Vec<u8>, value: Vec<u8>,
        grant_rev: i32, grant_key: Option<Vec<u8>>, grant_value: Option<Vec<u8>>, grant_expires_at: Option<i64>,
    }
    CredentialUserColumns { workflow_id: Uuid, name: String, in_latest: bool, in_active: bool }
    MasterKeyColumns { id: Vec<u8>, check_value: Vec<u8>, created_at: i64 }
}

/// The columns of [`CredentialColumns`] between two parts of a statement.
macro_rules! with_credential_columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " id, workspace_id, name, kind, description, version, created_at, updated_at, used_at, fields, value_version, value_key,
            value, grant_rev, grant_key, grant_value, grant_expires_at ",
            $after
        )
    };
}
pub(in crate::store) use with_credential_columns;

/// The names of fields as they are stored.
pub(in crate::store) fn field_names(names: &[String]) -> String {
    serde_json::to_string(names).expect("texts can be written as JSON")
}

/// A master key's id as it is stored.
pub(in crate::store) fn key_id(what: &'static str, column: &'static str, bytes: &[u8]) -> Result<[u8; MASTER_KEY_ID_BYTES]> {
    bytes.try_into().map_err(|_| StoreError::Corrupt { what, source: Box::new(UnknownLength { column, length: bytes.len() }) })
}

impl TryFrom<CredentialColumns> for CredentialRow {
    type Error = StoreError;

    fn try_from(columns: CredentialColumns) -> Result<Self> {
        let what = "credential";
        let names = serde_json::from_str(&columns.fields);
        let value = SealedValue { key: key_id(what, "value_key", &columns.value_key)?, bytes: Bytes::from(columns.value) };
        let grant = match (columns.grant_key, columns.grant_value) {
            (Some(key), Some(bytes)) => Some(Grant {
                value: SealedValue { key: key_id(what, "grant_key", &key)?, bytes: Bytes::from(bytes) },
                expires_at: optional_time(what, "grant_expires_at", columns.grant_expires_at)?,
            }),
            (Some(_), None) | (None, Some(_) | None) => None,
        };
        Ok(Self {
            id: CredentialId::from_uuid(columns.id),
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            name: columns.name,
            kind: columns.kind,
            description: columns.description,
            version: count(what, "version", columns.version)?,
            created_at: time(what, "created_at", columns.created_at)?,
            updated_at: time(what, "updated_at", columns.updated_at)?,
            used_at: optional_time(what, "used_at", columns.used_at)?,
            fields: SealedFields {
                names: names.map_err(|source| StoreError::Corrupt { what, source: Box::new(source) })?,
                value,
            },
            value_version: count(what, "value_version", columns.value_version)?,
            grant_rev: count(what, "grant_rev", columns.grant_rev)?,
            grant,
        })
    }
}

impl TryFrom<CredentialUserColumns> for CredentialUser {
    type Error = StoreError;

    fn try_from(columns: CredentialUserColumns) -> Result<Self> {
        Ok(Self {
            workflow: WorkflowId::from_uuid(columns.workflow_id),
            name: columns.name,
            in_latest: columns.in_latest,
            in_active: columns.in_active,
        })
    }
}

impl TryFrom<MasterKeyColumns> for MasterKeyRow {
    type Error = StoreError;

    fn try_from(columns: MasterKeyColumns) -> Result<Self> {
        let what = "master key";
        Ok(Self {
            id: key_id(what, "id", &columns.id)?,
            check_value: hash(what, "check_value", &columns.check_value)?,
            created_at: time(what, "created_at", columns.created_at)?,
        })
    }
}
