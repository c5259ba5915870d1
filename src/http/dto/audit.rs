//! Rows of the audit log.

use serde::Serialize;
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

use super::Time;
use crate::{
    http::error::ApiError,
    model::{
        audit::Digest,
        ids::{AuditId, WorkspaceId},
    },
    store::{AuditChain, AuditRow},
};

/// What happened: a row of the audit log.
///
/// `hash` is the SHA-256 of `prev_hash`, as 32 bytes, and of a JSON array without blanks of the fields from `workspace_id` to
/// `details`, in the order of this schema.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct AuditBody {
    workspace_id: WorkspaceId,
    /// Its place in the log of the workspace, from 1 on.
    seq: u64,
    at: Time,
    id: AuditId,
    /// Who it was: the id of a user, a token or an execution, `anonymous`, or `system` for the server itself.
    actor: String,
    /// The token that was shown.
    token: Option<String>,
    /// What it was: `workflow.updated`.
    action: String,
    /// What it happened to: an id or a name.
    target: Option<String>,
    /// Where the request came from.
    address: Option<String>,
    request_id: Option<String>,
    /// SHA-256 of what the thing was before, where it has a content that is no secret.
    before: Option<Digest>,
    /// SHA-256 of what it is now.
    after: Option<Digest>,
    #[schema(value_type = std::collections::BTreeMap<String, serde_json::Value>)]
    details: Box<RawValue>,
    /// The hash of the row before it; zeros in the first one.
    prev_hash: Digest,
    hash: Digest,
}

/// Where the log of the workspace begins and ends.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditChain)]
pub(in crate::http) struct AuditChainBody {
    workspace_id: WorkspaceId,
    rows: u64,
    /// The first row that is kept; above 1 once rows have become too old.
    first_seq: u64,
    /// The hash of the row before that; zeros if there never was one.
    base_hash: Digest,
    /// The last row; 0 if there never was one.
    last_seq: u64,
    last_hash: Digest,
}

impl TryFrom<AuditRow> for AuditBody {
    type Error = ApiError;

    fn try_from(row: AuditRow) -> Result<Self, ApiError> {
        let AuditRow { workspace, seq, record, prev_hash, hash } = row;
        Ok(Self {
            workspace_id: workspace,
            seq,
            at: Time(record.at),
            id: record.id,
            actor: record.actor,
            token: record.token,
            action: record.action,
            target: record.target,
            address: record.address,
            request_id: record.request_id,
            before: record.before,
            after: record.after,
            details: details(record.details)?,
            prev_hash,
            hash,
        })
    }
}

/// What somebody has written into the database instead of JSON is shown as text, so that the row can be named.
fn details(stored: String) -> Result<Box<RawValue>, ApiError> {
    let text = Value::from(stored.as_str()).to_string();
    RawValue::from_string(stored).or_else(|_| RawValue::from_string(text)).map_err(ApiError::internal)
}

impl AuditChainBody {
    pub(in crate::http) fn new(workspace: WorkspaceId, chain: AuditChain) -> Self {
        Self {
            workspace_id: workspace,
            rows: chain.next_seq.saturating_sub(chain.first_seq),
            first_seq: chain.first_seq,
            base_hash: chain.base_hash,
            last_seq: chain.next_seq.saturating_sub(1),
            last_hash: chain.last_hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::{
        clock,
        model::audit::{AuditEntry, AuditEvent, AuditRecord, HASHED_FIELDS, Origin, hashed_text, hashed_text_of},
    };

    #[test]
    fn shows_the_fields_that_the_hash_covers_in_their_order() {
        let entry = AuditEntry::from(AuditEvent::VariableCreated("a".to_owned())).with("b", 1).with("a", "ü");
        let workspace = WorkspaceId::DEFAULT;
        let record = AuditRecord::new(AuditId::from_uuid(Uuid::from_u128(1)), 5, &Origin::system(workspace), &entry);
        let text = hashed_text(workspace, 3, &clock::rfc3339(5), &record).unwrap();
        let row = AuditRow { workspace, seq: 3, record, prev_hash: Digest::ZERO, hash: Digest([1; 32]) };
        let shown: Value = serde_json::from_str(&serde_json::to_string(&AuditBody::try_from(row).unwrap()).unwrap()).unwrap();
        assert_eq!(hashed_text_of(&shown), text);
        let names: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, [&HASHED_FIELDS[..], &["prev_hash", "hash"]].concat());
    }
}
