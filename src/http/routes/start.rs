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
    http::{
        AppState,
        dto::{ExecutionBody, StartedBody},
        error::ApiError,
        extract::{Body, Caller, IdempotencyKey, Path, PreferWait, REPLAYED, read_object, require_json, trace_of},
        openapi::Problems,
        problem,
    },
    model::{
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, WorkflowId, WorkspaceId},
        item::Item,
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
    /// The trigger to start at; the workflow's first one where none is given.
    start_node: Option<String>,
    /// The active version where none is given, or the latest if none is active.
    version: Option<u32>,
}

/// Characters of a business key.
const BUSINESS_KEY_CHARS_MAX: usize = 255;

/// Starts an execution.
///
/// Answers at once; with `Prefer: wait=N` it waits for the result, if it comes in time.
#[utoipa::path(
    post, path = "/workflows/{id}/executions", tag = "executions", params(WorkflowId, IdempotencyKey, PreferWait),
    request_body = StartBody,
    responses(
        (status = 200, description = "The execution has ended.", body = ExecutionBody, headers(("Location"))),
        (status = 202, description = "The execution is durable and goes on.", body = StartedBody, headers(("Location"))),
        Problems<(
            problem::WORKFLOW_NOT_FOUND, problem::VERSION_NOT_FOUND, problem::UNKNOWN_START_NODE, problem::INVALID_DEFINITION,
            problem::OVERLOADED, problem::DRAINING,
        )>,
    ),
)]
pub(in crate::http) async fn start_execution(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    IdempotencyKey(key): IdempotencyKey,
    PreferWait(wait): PreferWait,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let idempotency =
        key.map(|key| Idempotency { scope: format!("start:{id}"), key, request_hash: Sha256::digest(&body).into() });
    let wait = wait.map(|timeout| Wait { until: WaitUntil::Finished, timeout });
    let request = read_start(&app, caller.workspace(), id, &headers, &body).await?;
    let fresh = Fresh { workspace: caller.workspace(), id, version: request.workflow.version, waited: wait.is_some() };
    let started = app.executions.start(StartRequest { idempotency, wait, trace: trace_of(&headers), ..request }).await?;
    answer_start(&app, &fresh, started).await
}

/// Reads the body of a start and finds what it starts.
async fn read_start(
    app: &AppState,
    workspace: WorkspaceId,
    id: WorkflowId,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<StartRequest, ApiError> {
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
    let workflow = match body.version {
        Some(version) => app.workflows.compiled(workspace, id, version).await?,
        None => app.workflows.to_start(workspace, id).await?,
    };
    Ok(StartRequest {
        workspace,
        workflow,
        trigger: TriggerKind::Manual,
        start_node: body.start_node,
        items: Item::list_from_value(body.input),
        business_key: body.business_key,
        idempotency: None,
        wait: None,
        trace: None,
    })
}

/// What is known of a start without a look at the store.
struct Fresh {
    workspace: WorkspaceId,
    id: WorkflowId,
    version: u32,
    waited: bool,
}

/// Answers a start: with the end if it was waited for and came in time, else with the way to it.
async fn answer_start(app: &AppState, fresh: &Fresh, started: Started) -> Result<Response, ApiError> {
    let mut headers = HeaderMap::from_iter([(header::LOCATION, location(started.execution)?)]);
    if started.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    // A fresh execution that nobody waited for is queued, whatever has become of it since: that saves the look.
    let row =
        if fresh.waited || started.replayed { app.store.find_execution(fresh.workspace, started.execution).await? } else { None };
    match (row, started.answer) {
        (Some(row), Some(Ended::Finished(end))) => {
            Ok((StatusCode::OK, headers, Answer(ExecutionBody::from(row).with_end(end))).into_response())
        }
        (row, Some(Ended::Responded(_)) | None) | (row @ None, Some(Ended::Finished(_))) => {
            let status = row.map_or(ExecutionStatus::Queued, |row| row.state.status);
            let body = StartedBody { id: started.execution, workflow_id: fresh.id, workflow_version: fresh.version, status };
            Ok((StatusCode::ACCEPTED, headers, Answer(body)).into_response())
        }
    }
}

/// Where an execution is.
pub(in crate::http) fn location(id: ExecutionId) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(format!("/api/v1/executions/{id}")).map_err(ApiError::internal)
}
