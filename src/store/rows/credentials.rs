//! Rows and requests about credentials and the master keys that seal them. Nothing here can be read without a master key.

use bytes::Bytes;

use crate::model::ids::{CredentialId, WorkflowId, WorkspaceId};

/// Credentials of one workspace.
pub const CREDENTIALS_MAX: u32 = 1_000;
/// Bytes of a master key's id.
pub const MASTER_KEY_ID_BYTES: usize = 8;

/// A value that one master key opens. Made by `auth::sealed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedValue {
    /// The id of the master key.
    pub key: [u8; MASTER_KEY_ID_BYTES],
    pub bytes: Bytes,
}

/// The sealed fields of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedFields {
    /// The names of the fields.
    pub names: Vec<String>,
    pub value: SealedValue,
}

/// A credential to store, at version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCredential {
    pub id: CredentialId,
    pub workspace: WorkspaceId,
    /// Never empty.
    pub name: String,
    /// Its type.
    pub kind: String,
    pub description: Option<String>,
    pub fields: SealedFields,
    pub at: u64,
}

/// What a credential becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialChange {
    pub description: Option<String>,
    /// `None` leaves them as they are. New ones take the grant away, which belonged to the old ones.
    pub fields: Option<SealedFields>,
    pub at: u64,
}

/// A credential's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRow {
    pub id: CredentialId,
    pub workspace: WorkspaceId,
    pub name: String,
    pub kind: String,
    pub description: Option<String>,
    /// Counts its writes, from 1 on.
    pub version: u32,
    pub created_at: u64,
    pub updated_at: u64,
    /// When a node last asked for it, to the minute or so.
    pub used_at: Option<u64>,
    pub fields: SealedFields,
    /// The version that the fields were written at.
    pub value_version: u32,
    /// Counts the changes of the grant, from 0 on.
    pub grant_rev: u32,
    pub grant: Option<Grant>,
}

/// What another service granted: tokens, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub value: SealedValue,
    /// When the access token ends, if that is known.
    pub expires_at: Option<u64>,
}

/// What became of a new credential.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and nearly always it has the row")]
pub enum InsertCredential {
    Inserted(CredentialRow),
    /// There is one of that name.
    Exists,
    /// The workspace has [`CREDENTIALS_MAX`]. Callers that come at the same time may exceed that by their number.
    Full,
}

/// What became of a credential's update.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and nearly always it has the row")]
pub enum UpdateCredential {
    Updated(CredentialRow),
    Stale { version: u32 },
    NotFound,
}

/// What became of a credential's deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteCredential {
    Deleted,
    Stale { version: u32 },
    NotFound,
}

/// A workflow whose latest or active version names a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialUser {
    pub workflow: WorkflowId,
    pub name: String,
    /// Whether the latest version names it.
    pub in_latest: bool,
    /// Whether the active version names it.
    pub in_active: bool,
}

/// A master key in use. **Shape**: an id and a value that only the same key has; neither tells anything about the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKeyRow {
    pub id: [u8; MASTER_KEY_ID_BYTES],
    pub check_value: [u8; 32],
    pub created_at: u64,
}

/// What became of a process that wants to work with a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmitMasterKey {
    Admitted,
    /// A key is in use that the process does not have.
    Missing([u8; MASTER_KEY_ID_BYTES]),
}

/// Which sealed value of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedPart {
    Fields,
    Grant,
}

/// A sealed value that takes the place of one that means the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reseal {
    pub credential: CredentialId,
    pub part: SealedPart,
    pub old: Bytes,
    pub new: SealedValue,
}
