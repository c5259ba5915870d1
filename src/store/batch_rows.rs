//! The rows and requests of batches.

use bytes::Bytes;

use super::Payload;
use crate::model::{
    batch::{BatchAction, BatchStatus},
    ids::{BatchId, WorkspaceId},
};

/// A batch to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBatch {
    pub id: BatchId,
    pub workspace: WorkspaceId,
    pub action: BatchAction,
    /// Number of executions.
    pub total: u32,
    /// SHA-256 of the request.
    pub request_hash: [u8; 32],
    pub created_at: u64,
    /// The executions and how to act on them.
    pub body: Payload,
}

/// A batch's row, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    pub id: BatchId,
    pub workspace: WorkspaceId,
    pub action: BatchAction,
    pub status: BatchStatus,
    pub request_hash: [u8; 32],
    pub created_at: u64,
    pub total: u32,
    pub progress: BatchProgress,
}

/// How far a batch is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchProgress {
    /// Executions that have been looked at: the first ones of the body.
    pub done: u32,
    pub succeeded: u32,
    pub failed: u32,
    /// The first failures, as JSON text.
    pub errors: Bytes,
    /// When the last one was done, or the batch was cancelled.
    pub finished_at: Option<u64>,
}

/// What became of a batch that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertBatch {
    Inserted,
    /// There is one with this id.
    Exists,
    /// The workspace has as many running ones as it may have.
    TooMany,
}

/// The place of a row in the list of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchCursor {
    pub created_at: u64,
    pub id: BatchId,
}

/// Batches that one insertion clears away.
pub const BATCHES_CLEARED: u32 = 100;
