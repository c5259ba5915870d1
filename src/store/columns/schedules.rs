//! The rows of schedules.

use bytes::Bytes;
use uuid::Uuid;

use super::{count, optional_time, rows, time, unknown};
use crate::{
    model::{
        ids::{ScheduleId, WorkflowId, WorkspaceId},
        schedule::Tick,
    },
    store::{Result, ScheduleContent, ScheduleRow, StoreError},
};

/// The columns of [`ScheduleColumns`], for a query.
macro_rules! schedule_columns {
    () => {
        "id, workspace_id, workflow_id, version, node, spec, input, rev, paused_at, next_at, due_at, waits, last_scheduled_at, \
         last_fired_at, fired, passed, last_error, created_at, updated_at"
    };
}
pub(in crate::store) use schedule_columns;

rows! {
    ScheduleColumns {
        id: Uuid, workspace_id: Uuid, workflow_id: Uuid, version: Option<i32>, node: Option<String>, spec: Vec<u8>,
        input: Option<Vec<u8>>, rev: i32, paused_at: Option<i64>, next_at: Option<i64>, due_at: Option<i64>, waits: i16,
        last_scheduled_at: Option<i64>, last_fired_at: Option<i64>, fired: i64, passed: i64, last_error: Option<String>,
        created_at: i64, updated_at: i64,
    }
}

impl TryFrom<ScheduleColumns> for ScheduleRow {
    type Error = StoreError;

    fn try_from(columns: ScheduleColumns) -> Result<Self> {
        let what = "schedule";
        let next = match (columns.next_at, columns.due_at) {
            (Some(next_at), Some(due_at)) => Some(Tick {
                scheduled_at: time(what, "next_at", next_at)?,
                due_at: time(what, "due_at", due_at)?,
                waits: columns.waits != 0,
            }),
            (None, None) => None,
            (Some(stray), None) | (None, Some(stray)) => return Err(unknown(what, "next_at and due_at", stray)),
        };
        Ok(Self {
            id: ScheduleId::from_uuid(columns.id),
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            workflow: WorkflowId::from_uuid(columns.workflow_id),
            version: columns.version.map(|version| count(what, "version", version)).transpose()?,
            content: ScheduleContent {
                node: columns.node,
                spec: Bytes::from(columns.spec),
                input: columns.input.map(Bytes::from),
                next,
            },
            rev: count(what, "rev", columns.rev)?,
            paused_at: optional_time(what, "paused_at", columns.paused_at)?,
            last_scheduled_at: optional_time(what, "last_scheduled_at", columns.last_scheduled_at)?,
            last_fired_at: optional_time(what, "last_fired_at", columns.last_fired_at)?,
            fired: time(what, "fired", columns.fired)?,
            passed: time(what, "passed", columns.passed)?,
            last_error: columns.last_error,
            created_at: time(what, "created_at", columns.created_at)?,
            updated_at: time(what, "updated_at", columns.updated_at)?,
        })
    }
}

/// The next tick as `next_at`, `due_at` and `waits`.
pub(in crate::store) fn tick_columns(next: Option<Tick>) -> (Option<i64>, Option<i64>, i16) {
    match next {
        Some(tick) => (Some(super::millis(tick.scheduled_at)), Some(super::millis(tick.due_at)), i16::from(tick.waits)),
        None => (None, None, 0),
    }
}
