//! Credentials and their types. Nothing here has a value of a credential in it.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Time;
use crate::{
    actors::credentials::master_keys::{KeyStatus, Rotated},
    auth::keyring::KeyId,
    clock,
    model::ids::{CredentialId, WorkflowId},
    nodes::credential_types::CredentialType,
    store::{CredentialRow, CredentialUser},
};

/// A credential, without its values.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Credential)]
pub(in crate::http) struct CredentialBody {
    id: CredentialId,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    description: Option<String>,
    /// The names of its fields.
    fields: Vec<String>,
    version: u32,
    created_at: Time,
    updated_at: Time,
    /// When a node last asked for it, to the minute.
    used_at: Option<Time>,
    /// The master key that its values are sealed with.
    key_id: String,
    grant: Option<GrantBody>,
}

/// The access token that a credential has at the moment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CredentialGrant)]
struct GrantBody {
    /// When the token ends; it is renewed before. Null if the service does not say.
    expires_at: Option<Time>,
    expired: bool,
}

impl From<CredentialRow> for CredentialBody {
    fn from(row: CredentialRow) -> Self {
        let now_ms = clock::now_ms();
        Self {
            id: row.id,
            name: row.name,
            kind: row.kind,
            description: row.description,
            fields: row.fields.names,
            version: row.version,
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
            used_at: row.used_at.map(Time),
            key_id: KeyId::from_bytes(row.fields.value.key).to_string(),
            grant: row.grant.map(|grant| GrantBody {
                expires_at: grant.expires_at.map(Time),
                expired: grant.expires_at.is_some_and(|end| end <= now_ms),
            }),
        }
    }
}

/// A type of credentials.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CredentialType)]
pub(in crate::http) struct CredentialTypeBody {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    /// The JSON Schema of its fields. Secret ones are `writeOnly`.
    #[schema(value_type = Object)]
    schema: Value,
    /// Whether a credential of it can be tested.
    testable: bool,
}

impl From<&'static CredentialType> for CredentialTypeBody {
    fn from(kind: &'static CredentialType) -> Self {
        Self {
            name: kind.name,
            title: kind.title,
            description: kind.description,
            schema: kind.schema(),
            testable: kind.probe != crate::nodes::credential_types::Probe::None,
        }
    }
}

/// A workflow that names a credential.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CredentialUser)]
pub(in crate::http) struct CredentialUserBody {
    workflow_id: WorkflowId,
    workflow_name: String,
    /// Whether the latest version names it.
    in_latest: bool,
    /// Whether the active version names it.
    in_active: bool,
}

impl CredentialUserBody {
    pub(in crate::http) fn new(user: CredentialUser) -> Self {
        Self { workflow_id: user.workflow, workflow_name: user.name, in_latest: user.in_latest, in_active: user.in_active }
    }
}

/// What came of a test.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CredentialTest)]
pub(in crate::http) struct CredentialTestBody {
    pub(in crate::http) ok: bool,
    /// What was tried, or what went wrong, for a person.
    pub(in crate::http) detail: String,
    /// The code of the failure: `http_status`, `egress_denied`, ...
    pub(in crate::http) code: Option<String>,
    pub(in crate::http) duration_ms: u64,
}

/// Where a person agrees.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CredentialAuthorization)]
pub(in crate::http) struct AuthorizationBody {
    /// To be opened in a browser.
    pub(in crate::http) url: String,
    pub(in crate::http) expires_at: Time,
    /// Where the service sends the person back to: it has to know this address.
    pub(in crate::http) redirect_uri: String,
}

/// The master keys of this installation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Secrets)]
pub(in crate::http) struct SecretsBody {
    keys: Vec<MasterKeyBody>,
}

/// A master key, without anything of the key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MasterKey)]
struct MasterKeyBody {
    id: String,
    /// Whether new values are sealed with it.
    current: bool,
    /// Whether something may be sealed with it. One that is not can be removed from the settings.
    in_use: bool,
    /// Whether this process has it.
    held: bool,
}

impl From<Vec<KeyStatus>> for SecretsBody {
    fn from(keys: Vec<KeyStatus>) -> Self {
        let body = |key: KeyStatus| MasterKeyBody {
            id: key.id.to_string(),
            current: key.is_current,
            in_use: key.in_use,
            held: key.is_held,
        };
        Self { keys: keys.into_iter().map(body).collect() }
    }
}

/// What a rotation has done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rotation)]
pub(in crate::http) struct RotationBody {
    /// Values that the current master key seals now.
    resealed: u64,
    /// Values that were left for the next call.
    skipped: u64,
    /// Whether nothing is left; else call again.
    done: bool,
    /// Master keys that went out of use.
    retired: u64,
}

impl From<Rotated> for RotationBody {
    fn from(rotated: Rotated) -> Self {
        Self { resealed: rotated.resealed, skipped: rotated.skipped, done: rotated.is_done, retired: rotated.retired }
    }
}
