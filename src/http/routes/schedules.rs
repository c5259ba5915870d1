//! Schedules: those that workflows publish and those that stand alone.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use serde::Deserialize;

use crate::{
    actors::{
        audit::{AuditEntry, AuditEvent, digest},
        schedules::BackfillRequest,
    },
    auth::permissions::permit::{ScheduleRead, ScheduleWrite},
    clock,
    http::{
        AppState,
        cursor::Place,
        dto::{BackfillBody, BackfilledBody, Items, Page, ScheduleBody, ScheduleDraftBody, Time, page_limit, parse_time},
        error::ApiError,
        extract::{IdempotencyKey, IfMatch, Json, May, OptionalIfMatch, Path, Query, REPLAYED, etag},
        openapi::Problems,
        problem,
    },
    model::{
        audit::Digest,
        ids::{ScheduleId, WorkflowId},
        limits::{BACKFILL_TICKS_MAX, NEXT_TICKS_MAX},
        problem::{Problem, counted},
    },
    store::{PageRequest, ScheduleCursor, ScheduleRow},
};

/// Coming ticks that are shown where the query does not say.
const NEXT_TICKS_DEFAULT: u32 = 10;
/// Past ticks that a backfill fires where the request does not say.
const BACKFILL_TICKS_DEFAULT: u32 = 100;

/// Which schedules to list, and from where on.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Items of the page; 50 where it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Those of this workflow only.
    workflow_id: Option<WorkflowId>,
}

/// How many ticks to show.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NextQuery {
    /// 10 where it is not given.
    #[param(minimum = 1, maximum = 100)]
    count: Option<u32>,
}

/// A schedule with its tag.
type Tagged = ([(HeaderName, HeaderValue); 1], Answer<ScheduleBody>);

/// Creates a schedule that stands alone.
///
/// It starts whatever version of the workflow is active at each tick, or the latest one if none is.
#[utoipa::path(
    post, path = "/schedules", tag = "schedules", security(("bearer" = ["schedule:write"])), params(IdempotencyKey),
    responses(
        (status = 201, description = "The schedule.", body = ScheduleBody, headers(("ETag"), ("Location"))),
        Problems<(problem::WORKFLOW_NOT_FOUND, problem::INVALID_SCHEDULE, problem::UNKNOWN_START_NODE, problem::SCHEDULE_LIMIT)>,
    ),
)]
pub(in crate::http) async fn create_schedule(
    State(app): State<AppState>,
    caller: May<ScheduleWrite>,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<ScheduleDraftBody>,
) -> Result<(StatusCode, HeaderMap, Answer<ScheduleBody>), ApiError> {
    let created = app.schedules.create(caller.workspace(), body.into(), key.as_deref()).await?;
    let location = HeaderValue::try_from(format!("/api/v1/schedules/{}", created.row.id)).map_err(ApiError::internal)?;
    let mut headers = HeaderMap::from_iter([(header::ETAG, etag(created.row.rev)), (header::LOCATION, location)]);
    if created.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    } else {
        let entry = AuditEntry::from(AuditEvent::ScheduleCreated(created.row.id));
        app.audit.record(caller.origin(), entry.changed(None, Some(content(&created.row)))).await;
    }
    Ok((StatusCode::CREATED, headers, Answer(created.row.try_into()?)))
}

/// Lists the schedules, newest first.
#[utoipa::path(
    get, path = "/schedules", tag = "schedules", security(("bearer" = ["schedule:read"])), params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<ScheduleBody>)),
)]
pub(in crate::http) async fn list_schedules(
    State(app): State<AppState>,
    caller: May<ScheduleRead>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<ScheduleBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let list = format!("{}/schedules?{:?}", caller.workspace(), query.workflow_id);
    let after = query.cursor.map(|cursor| app.cursors.read(&list, &cursor)).transpose()?;
    let after = after.map(|place| ScheduleCursor { created_at: place.created_at, id: ScheduleId::from_uuid(place.id) });
    let rows = app.schedules.list(caller.workspace(), query.workflow_id, &PageRequest { after, limit: limit + 1 }).await?;
    let cursor = |row: &ScheduleRow| app.cursors.write(&list, Place { created_at: row.created_at, id: row.id.uuid() });
    Page::try_new(rows, limit, cursor, ScheduleBody::try_from).map(Answer)
}

/// Shows a schedule.
#[utoipa::path(
    get, path = "/schedules/{id}", tag = "schedules", security(("bearer" = ["schedule:read"])), params(ScheduleId),
    responses(
        (status = 200, description = "The schedule.", body = ScheduleBody, headers(("ETag"))),
        Problems<problem::SCHEDULE_NOT_FOUND>,
    ),
)]
pub(in crate::http) async fn get_schedule(
    State(app): State<AppState>,
    caller: May<ScheduleRead>,
    Path(id): Path<ScheduleId>,
) -> Result<Tagged, ApiError> {
    tagged(app.schedules.get(caller.workspace(), id).await?)
}

/// Changes a schedule that stands alone.
///
/// It goes on with its next tick from now. A schedule of a workflow is changed by activating another version.
#[utoipa::path(
    put, path = "/schedules/{id}", tag = "schedules", security(("bearer" = ["schedule:write"])), params(ScheduleId, IfMatch),
    responses(
        (status = 200, description = "The schedule.", body = ScheduleBody, headers(("ETag"))),
        Problems<(
            (problem::SCHEDULE_NOT_FOUND, problem::WORKFLOW_NOT_FOUND), problem::SCHEDULE_PUBLISHED, problem::SCHEDULE_STALE,
            problem::INVALID_SCHEDULE, problem::UNKNOWN_START_NODE, problem::IF_MATCH_REQUIRED,
        )>,
    ),
)]
pub(in crate::http) async fn update_schedule(
    State(app): State<AppState>,
    caller: May<ScheduleWrite>,
    Path(id): Path<ScheduleId>,
    if_match: IfMatch,
    Json(body): Json<ScheduleDraftBody>,
) -> Result<Tagged, ApiError> {
    let before = app.schedules.get(caller.workspace(), id).await?;
    let row = app.schedules.update(caller.workspace(), id, if_match.version(), body.into()).await?;
    let entry = AuditEntry::from(AuditEvent::ScheduleUpdated(id)).changed(Some(content(&before)), Some(content(&row)));
    app.audit.record(caller.origin(), entry).await;
    tagged(row)
}

/// Deletes a schedule that stands alone. Its executions stay.
#[utoipa::path(
    delete, path = "/schedules/{id}", tag = "schedules", security(("bearer" = ["schedule:write"])), params(ScheduleId, OptionalIfMatch),
    responses(
        (status = 204, description = "It is gone."),
        Problems<(problem::SCHEDULE_NOT_FOUND, problem::SCHEDULE_PUBLISHED, problem::SCHEDULE_STALE)>,
    ),
)]
pub(in crate::http) async fn delete_schedule(
    State(app): State<AppState>,
    caller: May<ScheduleWrite>,
    Path(id): Path<ScheduleId>,
    OptionalIfMatch(if_match): OptionalIfMatch,
) -> Result<StatusCode, ApiError> {
    let before = app.schedules.get(caller.workspace(), id).await?;
    app.schedules.delete(caller.workspace(), id, if_match.and_then(IfMatch::version)).await?;
    let entry = AuditEntry::from(AuditEvent::ScheduleDeleted(id)).changed(Some(content(&before)), None);
    app.audit.record(caller.origin(), entry).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the next ticks, as if the schedule were not paused.
#[utoipa::path(
    get, path = "/schedules/{id}/next", tag = "schedules", security(("bearer" = ["schedule:read"])), params(ScheduleId, NextQuery),
    responses(
        (status = 200, description = "Times, the next one first; fewer than asked for where no more come.", body = Items<Time>),
        Problems<problem::SCHEDULE_NOT_FOUND>,
    ),
)]
pub(in crate::http) async fn list_next_ticks(
    State(app): State<AppState>,
    caller: May<ScheduleRead>,
    Path(id): Path<ScheduleId>,
    Query(query): Query<NextQuery>,
) -> Result<Answer<Items<Time>>, ApiError> {
    let count = query.count.unwrap_or(NEXT_TICKS_DEFAULT);
    if !(1..=NEXT_TICKS_MAX).contains(&count) {
        return Err(ApiError::new(&problem::INVALID_QUERY, format!("`count` is a number from 1 to {NEXT_TICKS_MAX}")));
    }
    let ticks = app.schedules.next(caller.workspace(), id, count).await?;
    Ok(Answer(Items { items: ticks.into_iter().map(Time).collect() }))
}

/// Keeps a schedule from firing until it is resumed.
///
/// Ticks that pass meanwhile are not made up for; a backfill can fire them. Activating another version leaves the schedule paused.
#[utoipa::path(
    post, path = "/schedules/{id}/pause", tag = "schedules", security(("bearer" = ["schedule:write"])), params(ScheduleId),
    responses(
        (status = 200, description = "The schedule.", body = ScheduleBody, headers(("ETag"))),
        Problems<problem::SCHEDULE_NOT_FOUND>,
    ),
)]
pub(in crate::http) async fn pause_schedule(
    State(app): State<AppState>,
    caller: May<ScheduleWrite>,
    Path(id): Path<ScheduleId>,
) -> Result<Tagged, ApiError> {
    let row = app.schedules.pause(caller.workspace(), id).await?;
    app.audit.record(caller.origin(), AuditEvent::SchedulePaused(id)).await;
    tagged(row)
}

/// Lets a paused schedule go on, with its next tick from now.
#[utoipa::path(
    post, path = "/schedules/{id}/resume", tag = "schedules", security(("bearer" = ["schedule:write"])), params(ScheduleId),
    responses(
        (status = 200, description = "The schedule.", body = ScheduleBody, headers(("ETag"))),
        Problems<problem::SCHEDULE_NOT_FOUND>,
    ),
)]
pub(in crate::http) async fn resume_schedule(
    State(app): State<AppState>,
    caller: May<ScheduleWrite>,
    Path(id): Path<ScheduleId>,
) -> Result<Tagged, ApiError> {
    let row = app.schedules.resume(caller.workspace(), id).await?;
    app.audit.record(caller.origin(), AuditEvent::ScheduleResumed(id)).await;
    tagged(row)
}

/// Fires ticks of the past.
///
/// A tick that has fired before, and whose execution is still stored, does not fire again. Overlaps do not matter here, nor does
/// whether the schedule is paused.
#[utoipa::path(
    post, path = "/schedules/{id}/backfill", tag = "schedules", security(("bearer" = ["schedule:write"])), params(ScheduleId),
    responses(
        (status = 200, description = "The ticks, the oldest first, and what became of each.", body = BackfilledBody),
        Problems<(problem::SCHEDULE_NOT_FOUND, problem::UNKNOWN_START_NODE)>,
    ),
)]
pub(in crate::http) async fn backfill_schedule(
    State(app): State<AppState>,
    caller: May<ScheduleWrite>,
    Path(id): Path<ScheduleId>,
    Json(body): Json<BackfillBody>,
) -> Result<Answer<BackfilledBody>, ApiError> {
    let request = read_backfill(&body, clock::now_ms())?;
    let (from, to) = (request.from, request.to);
    let backfill = app.schedules.backfill(caller.workspace(), id, request).await?;
    if !body.dry_run {
        let entry = AuditEntry::from(AuditEvent::ScheduleBackfilled(id));
        let entry = entry.with("from", clock::rfc3339(from)).with("to", clock::rfc3339(to));
        app.audit.record(caller.origin(), entry).await;
    }
    Ok(Answer(BackfilledBody::new(backfill, body.dry_run)))
}

/// Errors: `invalid_body` with every field that is wrong.
fn read_backfill(body: &BackfillBody, now_ms: u64) -> Result<BackfillRequest, ApiError> {
    let mut problems = Vec::new();
    let mut refuse = |pointer: &str, code: &str, detail: String| problems.push(Problem::new(pointer, code, detail));
    let no_time = || "must be a time such as 2026-01-31T12:00:00Z".to_owned();
    let (from, to) = (parse_time(&body.from), body.to.as_deref().map_or(Some(now_ms), parse_time));
    if from.is_none() {
        refuse("/from", "invalid_format", no_time());
    }
    match to {
        None => refuse("/to", "invalid_format", no_time()),
        Some(to) if to > now_ms => refuse("/to", "out_of_range", "must not be in the future".to_owned()),
        Some(to) if from.is_some_and(|from| from >= to) => refuse("/to", "out_of_range", "must be later than `from`".to_owned()),
        Some(_) => {}
    }
    let max = body.max.unwrap_or(BACKFILL_TICKS_DEFAULT);
    if !(1..=BACKFILL_TICKS_MAX).contains(&max) {
        refuse("/max", "out_of_range", format!("must be from 1 to {BACKFILL_TICKS_MAX}"));
    }
    match (from, to) {
        (Some(from), Some(to)) if problems.is_empty() => Ok(BackfillRequest { from, to, max, is_dry_run: body.dry_run }),
        _ => {
            let detail = format!("{}: see `errors`", counted(problems.len(), "problem"));
            Err(ApiError::new(&problem::INVALID_BODY, detail).with_errors(problems))
        }
    }
}

/// What the audit log keeps of a schedule's rules and its input.
fn content(row: &ScheduleRow) -> Digest {
    let input = row.content.input.as_deref().unwrap_or_default();
    digest(&[&row.content.spec[..], b"\n", input].concat())
}

fn tagged(row: ScheduleRow) -> Result<Tagged, ApiError> {
    Ok(([(header::ETAG, etag(row.rev))], Answer(row.try_into()?)))
}
