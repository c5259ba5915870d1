//! The rows of batches.

use bytes::Bytes;
use uuid::Uuid;

use super::{count, hash, optional_time, payload, rows, time, unknown};
use crate::{
    model::{
        batch::{BatchAction, BatchStatus},
        ids::{BatchId, WorkspaceId},
    },
    store::{BatchProgress, BatchRow, Payload, Result, StoreError},
};

rows! {
    BatchColumns {
        id: Uuid, workspace_id: Uuid, created_at: i64, finished_at: Option<i64>, total: i32, done: i32, succeeded: i32,
        failed: i32, action: i16, status: i16, request_hash: Vec<u8>, errors: Vec<u8>,
    }
    BatchBodyColumns { encoding: i16, body: Vec<u8> }
}

impl TryFrom<BatchColumns> for BatchRow {
    type Error = StoreError;

    fn try_from(columns: BatchColumns) -> Result<Self> {
        let what = "batch";
        let action = BatchAction::from_code(columns.action).ok_or_else(|| unknown(what, "action", columns.action))?;
        let status = BatchStatus::from_code(columns.status).ok_or_else(|| unknown(what, "status", columns.status))?;
        Ok(Self {
            id: BatchId::from_uuid(columns.id),
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            action,
            status,
            request_hash: hash(what, "request_hash", &columns.request_hash)?,
            created_at: time(what, "created_at", columns.created_at)?,
            total: count(what, "total", columns.total)?,
            progress: BatchProgress {
                done: count(what, "done", columns.done)?,
                succeeded: count(what, "succeeded", columns.succeeded)?,
                failed: count(what, "failed", columns.failed)?,
                errors: Bytes::from(columns.errors),
                finished_at: optional_time(what, "finished_at", columns.finished_at)?,
            },
        })
    }
}

impl TryFrom<BatchBodyColumns> for Payload {
    type Error = StoreError;

    fn try_from(columns: BatchBodyColumns) -> Result<Self> {
        payload("batch", columns.encoding, columns.body)
    }
}
