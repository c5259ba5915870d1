//! Rows and requests about the audit log.

use crate::model::{
    audit::{AuditRecord, Digest},
    ids::WorkspaceId,
};

/// A row at its place in the chain of its workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    pub workspace: WorkspaceId,
    /// Counts the rows of the chain, from 1 on.
    pub seq: u64,
    pub record: AuditRecord,
    pub prev_hash: Digest,
    pub hash: Digest,
}

/// Where the stored rows of a chain begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditChain {
    /// The number of the first row that is kept, and the hash of the one before it: what retention took away.
    pub first_seq: u64,
    pub base_hash: Digest,
    /// The number of the next row, and the hash of the last one.
    pub next_seq: u64,
    pub last_hash: Digest,
}

/// Which rows are wanted; everything that is not given matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// What happened: `workflow.updated`.
    pub action: Option<String>,
    /// Which kind of thing it happened to: the part of the action before the dot.
    pub kind: Option<String>,
    pub actor: Option<String>,
    pub target: Option<String>,
    pub request_id: Option<String>,
    /// From this time on, and before that one.
    pub from: Option<u64>,
    pub until: Option<u64>,
}

/// In which order rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditOrder {
    NewestFirst,
    /// As the chain goes.
    OldestFirst,
}

impl AuditChain {
    /// The chain of a workspace that has no row yet.
    pub const NEW: Self = Self { first_seq: 1, base_hash: Digest::ZERO, next_seq: 1, last_hash: Digest::ZERO };
}
