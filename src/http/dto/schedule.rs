//! Schedules, and what a backfill does.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Time;
use crate::{
    actors::schedules::{Backfill, BackfilledTick, ScheduleDraft, TickOutcome},
    http::error::ApiError,
    model::{
        ids::{ExecutionId, ScheduleId, WorkflowId},
        schedule::Overlap,
    },
    nodes::schedule::{ScheduleSpec, spec::CatchUpMode},
    store::ScheduleRow,
};

/// A schedule. One of `cron`, `every` and `at` is set.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ScheduleBody {
    id: ScheduleId,
    workflow_id: WorkflowId,
    /// The version of the workflow that publishes it; null if it stands alone and starts whatever is active.
    workflow_version: Option<u32>,
    source: ScheduleSource,
    /// The trigger that it starts at; null for the workflow's first one.
    start_node: Option<String>,
    cron: Option<String>,
    /// A duration such as `15m`.
    every: Option<String>,
    at: Option<String>,
    timezone: String,
    catch_up: CatchUpMode,
    catch_up_max: Option<u32>,
    overlap: Overlap,
    /// A duration such as `30s`.
    jitter: Option<String>,
    /// What its executions get.
    input: Option<Value>,
    paused: bool,
    paused_at: Option<Time>,
    /// The next tick; null while it is paused, and when no tick comes any more.
    next_at: Option<Time>,
    /// The last tick that fired, and when it did.
    last_scheduled_at: Option<Time>,
    last_fired_at: Option<Time>,
    /// Ticks that fired, and ticks that were passed over.
    fired: u64,
    passed: u64,
    /// Why ticks were passed over since the last one that fired, if something is wrong.
    last_error: Option<String>,
    /// Grows with every change; the `ETag`.
    revision: u32,
    created_at: Time,
    updated_at: Time,
}

/// Where a schedule is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ScheduleSource {
    /// A node of its workflow's active version.
    Workflow,
    /// A request.
    Api,
}

/// A schedule to write. One of `cron`, `every` and `at` is needed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ScheduleDraftBody {
    workflow_id: WorkflowId,
    /// A cron expression of 5 fields, or of 6 with seconds in front.
    #[schema(value_type = Option<String>, example = "0 9 * * MON-FRI")]
    cron: Option<Value>,
    /// An interval of at least 1s, counted from 1970 in UTC.
    #[schema(value_type = Option<String>, example = "15m")]
    every: Option<Value>,
    /// One point in time.
    #[schema(value_type = Option<String>, example = "2030-01-31T12:00:00")]
    at: Option<Value>,
    /// IANA zone of `cron` and `at`; else the workflow's, else UTC.
    #[schema(value_type = Option<String>, example = "Europe/Berlin")]
    timezone: Option<Value>,
    /// What happens to ticks that were missed by more than a minute; `last` where it is not given.
    #[schema(value_type = Option<CatchUpMode>)]
    catch_up: Option<Value>,
    /// Missed ticks that `all` fires; 100 where it is not given.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    catch_up_max: Option<Value>,
    /// What a tick does while an earlier execution goes on; `allow` where it is not given.
    #[schema(value_type = Option<Overlap>)]
    overlap: Option<Value>,
    /// Delays each tick by chance, by less than this.
    #[schema(value_type = Option<String>, example = "30s")]
    jitter: Option<Value>,
    /// The trigger to start at; the workflow's first one where it is not given.
    start_node: Option<String>,
    /// What its executions get: an object is one item, an array one item each.
    #[serde(default)]
    input: Value,
    /// Whether it is created paused; a change leaves that as it is.
    #[serde(default)]
    paused: bool,
}

/// Which ticks of the past to fire: those at `from` or later and before `to`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct BackfillBody {
    #[schema(value_type = Time)]
    pub(in crate::http) from: String,
    /// Now, where it is not given.
    #[schema(value_type = Option<Time>)]
    pub(in crate::http) to: Option<String>,
    /// The oldest so many; 100 where it is not given.
    #[schema(minimum = 1, maximum = 1000)]
    pub(in crate::http) max: Option<u32>,
    /// Whether only to say which ticks there are.
    #[serde(default)]
    pub(in crate::http) dry_run: bool,
}

/// What a backfill did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct BackfilledBody {
    dry_run: bool,
    items: Vec<TickBody>,
    /// Where to go on from, if there were more ticks than `max`.
    next_from: Option<Time>,
}

/// One tick of the past.
#[derive(Debug, Serialize, ToSchema)]
struct TickBody {
    scheduled_at: Time,
    execution_id: ExecutionId,
    status: TickStatus,
}

/// What became of a tick: `planned` by a dry run, `started` now, or `exists` from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TickStatus {
    Planned,
    Started,
    Exists,
}

impl TryFrom<ScheduleRow> for ScheduleBody {
    type Error = ApiError;

    fn try_from(row: ScheduleRow) -> Result<Self, ApiError> {
        let spec: ScheduleSpec = serde_json::from_slice(&row.content.spec).map_err(ApiError::internal)?;
        let input = row.content.input.as_deref().map(serde_json::from_slice).transpose().map_err(ApiError::internal)?;
        let next = row.content.next.filter(|_| row.paused_at.is_none());
        Ok(Self {
            id: row.id,
            workflow_id: row.workflow,
            workflow_version: row.version,
            source: if row.version.is_some() { ScheduleSource::Workflow } else { ScheduleSource::Api },
            start_node: row.content.node,
            cron: spec.cron,
            every: spec.every.map(|every| every.to_string()),
            at: spec.at,
            timezone: spec.timezone,
            catch_up: spec.catch_up,
            catch_up_max: spec.catch_up_max,
            overlap: spec.overlap,
            jitter: spec.jitter.map(|jitter| jitter.to_string()),
            input,
            paused: row.paused_at.is_some(),
            paused_at: row.paused_at.map(Time),
            next_at: next.map(|tick| Time(tick.scheduled_at)),
            last_scheduled_at: row.last_scheduled_at.map(Time),
            last_fired_at: row.last_fired_at.map(Time),
            fired: row.fired,
            passed: row.passed,
            last_error: row.last_error,
            revision: row.rev,
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        })
    }
}

impl From<ScheduleDraftBody> for ScheduleDraft {
    fn from(body: ScheduleDraftBody) -> Self {
        let ScheduleDraftBody { workflow_id, cron, every, at, timezone, catch_up, catch_up_max, overlap, jitter, .. } = body;
        let fields = [
            ("cron", cron),
            ("every", every),
            ("at", at),
            ("timezone", timezone),
            ("catch_up", catch_up),
            ("catch_up_max", catch_up_max),
            ("overlap", overlap),
            ("jitter", jitter),
        ];
        let timing: Map<String, Value> = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        Self { workflow: workflow_id, timing, start_node: body.start_node, input: body.input, paused: body.paused }
    }
}

impl BackfilledBody {
    pub(in crate::http) fn new(backfill: Backfill, dry_run: bool) -> Self {
        let items = backfill.ticks.into_iter().map(TickBody::from).collect();
        Self { dry_run, items, next_from: backfill.next_from.map(Time) }
    }
}

impl From<BackfilledTick> for TickBody {
    fn from(tick: BackfilledTick) -> Self {
        let status = match tick.outcome {
            TickOutcome::Planned => TickStatus::Planned,
            TickOutcome::Started => TickStatus::Started,
            TickOutcome::Exists => TickStatus::Exists,
        };
        Self { scheduled_at: Time(tick.scheduled_at), execution_id: tick.execution, status }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{
        model::{ids::WorkspaceId, schedule::Tick},
        store::ScheduleContent,
    };

    fn row() -> ScheduleRow {
        let spec = json!({
            "cron": "0 9 * * *", "timezone": "Europe/Berlin", "catch_up": "all", "catch_up_max": 5, "overlap": "skip", "jitter": "90s"
        });
        ScheduleRow {
            id: ScheduleId::from_uuid(Uuid::from_u128(1)),
            workspace: WorkspaceId::DEFAULT,
            workflow: WorkflowId::from_uuid(Uuid::from_u128(2)),
            version: None,
            content: ScheduleContent {
                node: Some("start".to_owned()),
                spec: Bytes::from(spec.to_string()),
                input: Some(Bytes::from_static(br#"{"region":"eu"}"#)),
                next: Some(Tick { scheduled_at: 1_700_000_100_000, due_at: 1_700_000_110_000, waits: false }),
            },
            rev: 3,
            paused_at: None,
            last_scheduled_at: Some(1_700_000_000_000),
            last_fired_at: Some(1_700_000_000_250),
            fired: 12,
            passed: 1,
            last_error: None,
            created_at: 1_600_000_000_000,
            updated_at: 1_650_000_000_000,
        }
    }

    #[test]
    fn shows_a_row_and_no_next_tick_while_it_is_paused() {
        let published = ScheduleRow { version: Some(7), paused_at: Some(1_700_000_000_500), ..row() };
        let shown = [row(), published].map(|row| ScheduleBody::try_from(row).unwrap());
        insta::assert_json_snapshot!(shown);
    }

    #[test]
    fn hands_over_what_was_written_of_the_timing() {
        let workflow = WorkflowId::from_uuid(Uuid::from_u128(2));
        let body = json!({ "workflow_id": workflow, "every": 5, "overlap": "skip", "input": [1] });
        let draft = ScheduleDraft::from(serde_json::from_value::<ScheduleDraftBody>(body).unwrap());
        assert_eq!(Value::Object(draft.timing), json!({ "every": 5, "overlap": "skip" }));
        assert_eq!((draft.input, draft.paused, draft.start_node), (json!([1]), false, None));
    }
}
