//! Workflows: their definitions, versions, and what is published of them.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use serde::{Deserialize, Serialize};

use crate::{
    http::{
        AppState,
        cursor::Place,
        dto::{Page, VersionBody, WorkflowBody, page_limit},
        error::ApiError,
        extract::{
            Caller, Definition, IdempotencyKey, IfMatch, Json, MaybeDefinition, OptionalIfMatch, Path, Query, REPLAYED, etag,
        },
        problem,
    },
    model::{ids::WorkflowId, problem::Problem},
    store::{PageRequest, WorkflowCursor, WorkflowRow},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ActivateBody {
    /// The latest one where none is given.
    version: Option<u32>,
}

/// What is wrong with a definition.
#[derive(Serialize)]
pub(in crate::http) struct ValidationBody {
    valid: bool,
    errors: Vec<Problem>,
}

/// `POST /workflows`: 201 with `Location` and `ETag`; 422 `invalid_definition`, `idempotency_key_mismatch`.
pub(in crate::http) async fn create_workflow(
    State(app): State<AppState>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Definition(definition): Definition,
) -> Result<(StatusCode, HeaderMap, Answer<WorkflowBody>), ApiError> {
    let created = app.workflows.create(caller.workspace(), definition, key.as_deref()).await?;
    let row = &created.workflow.row;
    let mut headers = HeaderMap::from_iter([(header::ETAG, etag(row.latest_version)), (header::LOCATION, location(row)?)]);
    if created.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok((StatusCode::CREATED, headers, Answer(created.workflow.try_into()?)))
}

/// `GET /workflows`: 200, newest first; 400 `invalid_cursor`.
pub(in crate::http) async fn list_workflows(
    State(app): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<WorkflowBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let list = format!("{}/workflows", caller.workspace());
    let after = query.cursor.map(|cursor| app.cursors.read(&list, &cursor)).transpose()?;
    let after = after.map(|place| WorkflowCursor { created_at: place.created_at, id: WorkflowId::from_uuid(place.id) });
    let rows = app.workflows.list(caller.workspace(), &PageRequest { after, limit: limit + 1 }).await?;
    let cursor = |row: &WorkflowRow| app.cursors.write(&list, Place { created_at: row.created_at, id: row.id.uuid() });
    Ok(Answer(Page::new(rows, limit, cursor, WorkflowBody::from)))
}

/// `GET /workflows/{id}`: 200 with `ETag`; 404 `workflow_not_found`.
pub(in crate::http) async fn get_workflow(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
) -> Result<([(header::HeaderName, HeaderValue); 1], Answer<WorkflowBody>), ApiError> {
    let workflow = app.workflows.get(caller.workspace(), id).await?;
    Ok(([(header::ETAG, etag(workflow.row.latest_version))], Answer(workflow.try_into()?)))
}

/// `PUT /workflows/{id}`: 200 with the new `ETag`; 428 `if_match_required`; 412 `workflow_stale`; 422 `invalid_definition`.
pub(in crate::http) async fn update_workflow(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    if_match: IfMatch,
    Definition(definition): Definition,
) -> Result<([(header::HeaderName, HeaderValue); 1], Answer<WorkflowBody>), ApiError> {
    let expected = match if_match {
        IfMatch::Version(version) => version,
        IfMatch::Any => app.workflows.get(caller.workspace(), id).await?.row.latest_version,
    };
    let workflow = app.workflows.update(caller.workspace(), id, expected, definition).await?;
    Ok(([(header::ETAG, etag(workflow.row.latest_version))], Answer(workflow.try_into()?)))
}

/// `DELETE /workflows/{id}`: 204; 404 `workflow_not_found`; 412 `workflow_stale` if `If-Match` names another version.
pub(in crate::http) async fn delete_workflow(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    OptionalIfMatch(if_match): OptionalIfMatch,
) -> Result<StatusCode, ApiError> {
    if let Some(IfMatch::Version(version)) = if_match {
        let latest = app.workflows.get(caller.workspace(), id).await?.row.latest_version;
        if latest != version {
            return Err(ApiError::new(&problem::WORKFLOW_STALE, format!("its latest version is {latest}")));
        }
    }
    app.workflows.delete(caller.workspace(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /workflows/{id}/activate`: 200; 409 `hook_taken`; 404.
pub(in crate::http) async fn activate_workflow(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    Json(body): Json<ActivateBody>,
) -> Result<Answer<WorkflowBody>, ApiError> {
    Ok(Answer(app.workflows.activate(caller.workspace(), id, body.version).await?.into()))
}

/// `POST /workflows/{id}/deactivate`: 200; 404.
pub(in crate::http) async fn deactivate_workflow(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
) -> Result<Answer<WorkflowBody>, ApiError> {
    Ok(Answer(app.workflows.deactivate(caller.workspace(), id).await?.into()))
}

/// `GET /workflows/{id}/versions`: 200, newest first; the cursor is the number of the last version shown.
pub(in crate::http) async fn list_versions(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<WorkflowId>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<VersionBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let invalid = |_| ApiError::new(&problem::INVALID_CURSOR, "take `next_cursor` of the page before");
    let below = query.cursor.map(|cursor| cursor.parse()).transpose().map_err(invalid)?;
    let rows = app.workflows.list_versions(caller.workspace(), id, below, limit + 1).await?;
    Ok(Answer(Page::new(rows, limit, |row| row.version.to_string(), |row| VersionBody::summary(id, row))))
}

/// `GET /workflows/{id}/versions/{n}`: 200; 404 `workflow_not_found`, `version_not_found`.
pub(in crate::http) async fn get_version(
    State(app): State<AppState>,
    caller: Caller,
    Path((id, version)): Path<(WorkflowId, u32)>,
) -> Result<Answer<VersionBody>, ApiError> {
    Ok(Answer(app.workflows.get_version(caller.workspace(), id, version).await?.try_into()?))
}

/// `POST /workflows/validate`: 200 with everything that is wrong.
pub(in crate::http) async fn validate_workflow(
    State(app): State<AppState>,
    _caller: Caller,
    MaybeDefinition(read): MaybeDefinition,
) -> Result<Answer<ValidationBody>, ApiError> {
    let errors = match read {
        Ok(definition) => app.workflows.validate(definition).await?,
        Err(problems) => problems,
    };
    Ok(Answer(ValidationBody { valid: errors.is_empty(), errors }))
}

fn location(row: &WorkflowRow) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(format!("/api/v1/workflows/{}", row.id)).map_err(ApiError::internal)
}
