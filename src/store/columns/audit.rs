//! The rows of the audit log.

use uuid::Uuid;

use super::{hash, rows, time, unknown};
use crate::{
    model::{
        audit::{AuditRecord, Digest},
        ids::{AuditId, WorkspaceId},
    },
    store::{AuditChain, AuditRow, Result, StoreError},
};

rows! {
    AuditColumns {
        workspace_id: Uuid, seq: i64, at: i64, id: Uuid, actor: String, token: Option<String>, action: String,
        target: Option<String>, address: Option<String>, request_id: Option<String>, before_digest: Option<Vec<u8>>,
        after_digest: Option<Vec<u8>>, prev_hash: Vec<u8>, hash: Vec<u8>, details: String,
    }
    AuditChainColumns { first_seq: i64, next_seq: i64, base_hash: Vec<u8>, last_hash: Vec<u8> }
}

const ROW: &str = "audit row";
const CHAIN: &str = "audit chain";

impl TryFrom<AuditColumns> for AuditRow {
    type Error = StoreError;

    fn try_from(columns: AuditColumns) -> Result<Self> {
        Ok(Self {
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            seq: number(ROW, "seq", columns.seq)?,
            record: AuditRecord {
                id: AuditId::from_uuid(columns.id),
                at: time(ROW, "at", columns.at)?,
                actor: columns.actor,
                token: columns.token,
                action: columns.action,
                target: columns.target,
                address: columns.address,
                request_id: columns.request_id,
                before: columns.before_digest.map(whatever),
                after: columns.after_digest.map(whatever),
                details: columns.details,
            },
            prev_hash: whatever(columns.prev_hash),
            hash: whatever(columns.hash),
        })
    }
}

impl TryFrom<AuditChainColumns> for AuditChain {
    type Error = StoreError;

    fn try_from(columns: AuditChainColumns) -> Result<Self> {
        Ok(Self {
            first_seq: number(CHAIN, "first_seq", columns.first_seq)?,
            base_hash: digest(CHAIN, "base_hash", &columns.base_hash)?,
            next_seq: number(CHAIN, "next_seq", columns.next_seq)?,
            last_hash: digest(CHAIN, "last_hash", &columns.last_hash)?,
        })
    }
}

fn digest(what: &'static str, column: &'static str, bytes: &[u8]) -> Result<Digest> {
    hash(what, column, bytes).map(Digest)
}

/// What is no digest was written by somebody else: as another one it breaks the chain at its row, and the others can be read.
fn whatever(bytes: Vec<u8>) -> Digest {
    bytes.try_into().map_or(Digest::ZERO, Digest)
}

fn number(what: &'static str, column: &'static str, value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| unknown(what, column, value))
}
