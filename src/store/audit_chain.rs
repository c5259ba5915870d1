//! Puts records into the chain of their workspace. Every backend does it here, while it holds the chain's end, so that there is one
//! way to number and to hash.

use sha2::{Digest as _, Sha256};

use super::{AuditChain, AuditRow, Result, StoreError};
use crate::{
    clock,
    model::{
        audit::{AuditRecord, Digest, hashed_text},
        ids::WorkspaceId,
    },
};

/// The rows of the records, behind the end of the chain, which moves on.
///
/// Errors: `Corrupt` if the details of a record are no JSON.
pub(super) fn link(workspace: WorkspaceId, chain: &mut AuditChain, records: &[AuditRecord]) -> Result<Vec<AuditRow>> {
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        let (seq, prev_hash) = (chain.next_seq, chain.last_hash);
        let text = hashed_text(workspace, seq, &clock::rfc3339(record.at), record)
            .map_err(|source| StoreError::Corrupt { what: "audit record", source: Box::new(source) })?;
        let hash = Digest(Sha256::new().chain_update(prev_hash.0).chain_update(text).finalize().into());
        (chain.next_seq, chain.last_hash) = (seq + 1, hash);
        rows.push(AuditRow { workspace, seq, record: record.clone(), prev_hash, hash });
    }
    Ok(rows)
}

/// How many of the first rows, which are in order, are from before a time. A row behind a younger one stays: nothing may be missing
/// inside of a chain.
pub(super) fn expired(rows: &[AuditRow], before: u64) -> usize {
    rows.iter().take_while(|row| row.record.at < before).count()
}
