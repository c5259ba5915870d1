//! Starting executions by the API.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::{
    actors::executions::{Answer as Ended, Idempotency, StartRequest, Started, Wait, WaitUntil},
    auth::permissions::permit::WorkflowExecute,
    http::{
        AppState,
        dto::{ExecutionBody, StartedBody},
        error::ApiError,
        extract::{Body, IdempotencyKey, May, Path, PreferWait, REPLAYED, read_key, read_object, require_json, trace_of},
        openapi::{Problems, ServerSentEvent},
        problem,
        routes::execution_events::{Source, follow},
        stream::{Stopping, StreamSlot, StreamWish},
    },
    model::{
        execution::{ExecutionStatus, OnConflict, TriggerKind},
        ids::{ExecutionId, WorkflowId, WorkspaceId},
        item::Item,
        problem::Problem,
    },
};

/// The body of a start.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "input": { "name": "Citadel" } }))]
struct StartBody {
    /// An object is one item, an array one item each.
    #[serde(default)]
    input: Value,
    /// What the execution is about, for searches.
    #[schema(max_length = 255)]
    business_key: Option<String>,
    /// What to do about a live execution of this workflow with the same business key.
    #[serde(default)]
    on_conflict: OnConflict,
    /// The trigger to start at; the workflow's first one where none is given.
    start_node: Option<String>,
    /// The active version where none is given, or the latest if none is active.
    version: Option<u32>,
}

/// Characters of a business key.
const BUSINESS_KEY_CHARS_MAX: usize = 255;

/// Starts an execution.
///
/// Answers at once; with `Prefer: wait=N` it waits for the result, if it comes in time; with `Accept: text/event-stream` it streams
/// the events, as `/executions/{id}/events` does.
#[utoipa::path(
    post, path = "/workflows/{id}/executions", tag = "executions", security(("bearer" = ["workflow:execute"])), params(WorkflowId, IdempotencyKey, PreferWait),
    request_body = StartBody,
    responses(
        (
            status = 200, description = "The execution has ended, or its events follow.",
            content((ExecutionBody = "application/json"), (ServerSentEvent = "text/event-stream")), headers(("Location")),
        ),
        (status = 202, description = "The execution is durable and goes on.", body = StartedBody, headers(("Location"))),
        Problems<(
            problem::WORKFLOW_NOT_FOUND, problem::VERSION_NOT_FOUND, problem::UNKNOWN_START_NODE, problem::INVALID_DEFINITION,
            (problem::BUSINESS_KEY_TAKEN, problem::OVERLOADED, problem::Quotas), (problem::TOO_MANY_STREAMS, problem::DRAINING),
        )>,
    ),
)]
pub(in crate::http) async fn start_execution(
    State(app): State<AppState>,
    caller: May<WorkflowExecute>,
    Path(id): Path<WorkflowId>,
    PreferWait(wait): PreferWait,
    StreamWish(stream): StreamWish,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let idempotency = read_key(&headers)?.map(|key| Idempotency {
        scope: format!("start:{id}"),
        key,
        request_hash: Sha256::digest(&body).into(),
    });
    let (request, on_conflict) = read_start(&app, caller.workspace(), id, &headers, &body).await?;
    if let Some(stopping) = stream {
        // The place comes first: an execution that nobody can watch is not started for a stream.
        let slot = app.streams.take()?;
        let started = app.executions.start_by_key(StartRequest { idempotency, ..request }, on_conflict).await?;
        return stream_start(&app, caller.workspace(), &started, slot, stopping).await;
    }
    let wait = wait.map(|timeout| Wait { until: WaitUntil::Finished, timeout });
    let fresh = Fresh { workspace: caller.workspace(), id, version: request.workflow.version, waited: wait.is_some() };
    let started = app.executions.start_by_key(StartRequest { idempotency, wait, ..request }, on_conflict).await?;
    answer_start(&app, &fresh, started).await
}

/// Reads the body of a start and finds what it starts.
async fn read_start(
    app: &AppState,
    workspace: WorkspaceId,
    id: WorkflowId,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(StartRequest, OnConflict), ApiError> {
    let body: StartBody = if body.is_empty() {
        StartBody::default()
    } else {
        require_json(headers)?;
        read_object(body)?
    };
    if body.business_key.as_ref().is_some_and(|key| key.chars().count() > BUSINESS_KEY_CHARS_MAX || key.contains('\0')) {
        let detail = format!("`business_key` has {BUSINESS_KEY_CHARS_MAX} characters at most, and not U+0000");
        return Err(ApiError::new(&problem::INVALID_BODY, detail));
    }
    if body.business_key.is_none() && body.on_conflict != OnConflict::Allow {
        let detail = "`on_conflict` needs a `business_key`";
        let place = Problem::new("/on_conflict", "needs_business_key", detail);
        return Err(ApiError::new(&problem::INVALID_BODY, detail).with_errors(vec![place]));
    }
    let workflow = match body.version {
        Some(version) => app.workflows.compiled(workspace, id, version).await?,
        None => app.workflows.to_start(workspace, id).await?,
    };
    let request = StartRequest {
        workspace,
        workflow,
        trigger: TriggerKind::Manual,
        start_node: body.start_node,
        items: Item::list_from_value(body.input),
        business_key: body.business_key,
        idempotency: None,
        wait: None,
        trace: trace_of(headers),
    };
    Ok((request, body.on_conflict))
}

/// What is known of a start without a look at the store.
pub(super) struct Fresh {
    pub(super) workspace: WorkspaceId,
    pub(super) id: WorkflowId,
    pub(super) version: u32,
    pub(super) waited: bool,
}

/// Answers a start with its events, from the creation on.
pub(super) async fn stream_start(
    app: &AppState,
    workspace: WorkspaceId,
    started: &Started,
    slot: StreamSlot,
    stopping: Stopping,
) -> Result<Response, ApiError> {
    let source = Source { workspace, id: started.execution, from_seq: 0, with_data: false };
    let mut response = follow(app, source, slot, stopping).await?;
    response.headers_mut().extend(start_headers(started)?);
    Ok(response)
}

/// Where the execution is, and whether an earlier request has started it.
fn start_headers(started: &Started) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::from_iter([(header::LOCATION, location(started.execution)?)]);
    if started.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(headers)
}

/// Answers a start: with the end if it was waited for and came in time, else with the way to it.
pub(super) async fn answer_start(app: &AppState, fresh: &Fresh, started: Started) -> Result<Response, ApiError> {
    let headers = start_headers(&started)?;
    // A fresh execution that nobody waited for is queued, whatever has become of it since: that saves the look.
    let row =
        if fresh.waited || started.replayed { app.store.find_execution(fresh.workspace, started.execution).await? } else { None };
    match (row, started.answer) {
        (Some(row), Some(Ended::Finished(end))) => {
            Ok((StatusCode::OK, headers, Answer(ExecutionBody::from(row).with_end(end))).into_response())
        }
        (row, Some(Ended::Responded(_)) | None) | (row @ None, Some(Ended::Finished(_))) => {
            let (version, status) =
                row.map_or((fresh.version, ExecutionStatus::Queued), |row| (row.new.version, row.state.status));
            let body = StartedBody { id: started.execution, workflow_id: fresh.id, workflow_version: version, status };
            Ok((StatusCode::ACCEPTED, headers, Answer(body)).into_response())
        }
    }
}

/// Where an execution is.
pub(in crate::http) fn location(id: ExecutionId) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(format!("/api/v1/executions/{id}")).map_err(ApiError::internal)
}
