//! Workflows: their definitions, versions, and what is published of them.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actors::audit::{AuditEntry, AuditEvent, digest},
    auth::permissions::{
        Permission,
        permit::{WorkflowRead, WorkflowWrite},
    },
    http::{
        AppState,
        cursor::Place,
        dto::{Page, VersionBody, WorkflowBody, page_limit},
        error::ApiError,
        extract::{
            Caller, Definition, IdempotencyKey, IfMatch, Json, May, MaybeDefinition, OptionalIfMatch, Path, Query, REPLAYED, etag,
        },
        openapi::Problems,
        problem,
    },
    model::{definition::WorkflowDefinition, ids::WorkflowId, limits::NAME_CHARS_MAX, problem::Problem},
    store::{PageRequest, WorkflowCursor, WorkflowFilter, WorkflowRow},
};

/// Which part of a list to show.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Items of the page; 50 where it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Which workflows to list, and from where on.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct WorkflowsQuery {
    /// Items of the page; 50 where it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Those with this tag only.
    tag: Option<String>,
    /// A part of the name.
    q: Option<String>,
    /// Those that are active, or not, only.
    active: Option<bool>,
}

/// What to publish.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ActivateBody {
    /// The latest one where none is given.
    version: Option<u32>,
}

/// What is wrong with a definition.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ValidationBody {
    valid: bool,
    errors: Vec<Problem>,
}

/// Creates a workflow.
///
/// It does nothing until it is activated or started.
#[utoipa::path(
    post, path = "/workflows", tag = "workflows", security(("bearer" = ["workflow:write"])), params(IdempotencyKey),
    request_body(content((WorkflowDefinition = "application/json"), (WorkflowDefinition = "application/yaml"))),
    responses(
        (status = 201, description = "The workflow.", body = WorkflowBody, headers(("ETag"), ("Location"))),
        Problems<(problem::INVALID_YAML, problem::INVALID_DEFINITION)>,
    ),
)]
pub(in crate::http) async fn create_workflow(
    State(app): State<AppState>,
    caller: May<WorkflowWrite>,
    IdempotencyKey(key): IdempotencyKey,
    Definition(definition): Definition,
) -> Result<(StatusCode, HeaderMap, Answer<WorkflowBody>), ApiError> {
    require_use(&caller, &definition)?;
    let created = app.workflows.create(caller.workspace(), definition, key.as_deref()).await?;
    let row = &created.workflow.row;
    let mut headers = HeaderMap::from_iter([(header::ETAG, etag(row.latest_version)), (header::LOCATION, location(row)?)]);
    if created.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    } else {
        let entry = AuditEntry::from(AuditEvent::WorkflowCreated(row.id));
        app.audit.record(caller.origin(), entry.changed(None, Some(digest(&created.workflow.definition)))).await;
    }
    Ok((StatusCode::CREATED, headers, Answer(created.workflow.try_into()?)))
}

/// Lists the workflows, newest first, without their definitions.
#[utoipa::path(
    get, path = "/workflows", tag = "workflows", security(("bearer" = ["workflow:read"])), params(WorkflowsQuery),
    responses((status = 200, description = "A page.", body = Page<WorkflowBody>)),
)]
pub(in crate::http) async fn list_workflows(
    State(app): State<AppState>,
    caller: May<WorkflowRead>,
    Query(query): Query<WorkflowsQuery>,
) -> Result<Answer<Page<WorkflowBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    if [&query.tag, &query.q].into_iter().flatten().any(|text| text.chars().count() > NAME_CHARS_MAX) {
        let detail = format!("`tag` and `q` have {NAME_CHARS_MAX} characters at most");
        return Err(ApiError::new(&problem::INVALID_QUERY, detail));
    }
    let filter = WorkflowFilter { tag: query.tag, name_part: query.q.filter(|part| !part.is_empty()), active: query.active };
    let list = format!("{}/workflows?{filter:?}", caller.workspace());
    let after = query.cursor.map(|cursor| app.cursors.read(&list, &cursor)).transpose()?;
    let after = after.map(|place| WorkflowCursor { created_at: place.created_at, id: WorkflowId::from_uuid(place.id) });
    let rows = app.workflows.list(caller.workspace(), &filter, &PageRequest { after, limit: limit + 1 }).await?;
    let cursor = |row: &WorkflowRow| app.cursors.write(&list, Place { created_at: row.created_at, id: row.id.uuid() });
    Ok(Answer(Page::new(rows, limit, cursor, WorkflowBody::from)))
}

/// Shows a workflow with its latest definition.
#[utoipa::path(
    get, path = "/workflows/{id}", tag = "workflows", security(("bearer" = ["workflow:read"])), params(WorkflowId),
    responses(
        (status = 200, description = "The workflow.", body = WorkflowBody, headers(("ETag"))),
        Problems<problem::WORKFLOW_NOT_FOUND>,
    ),
)]
pub(in crate::http) async fn get_workflow(
    State(app): State<AppState>,
    caller: May<WorkflowRead>,
    Path(id): Path<WorkflowId>,
) -> Result<([(header::HeaderName, HeaderValue); 1], Answer<WorkflowBody>), ApiError> {
    let workflow = app.workflows.get(caller.workspace(), id).await?;
    Ok(([(header::ETAG, etag(workflow.row.latest_version))], Answer(workflow.try_into()?)))
}

/// Gives a workflow a new version.
///
/// What is active stays active: activate the new version to publish it.
#[utoipa::path(
    put, path = "/workflows/{id}", tag = "workflows", security(("bearer" = ["workflow:write"])), params(WorkflowId, IfMatch),
    request_body(content((WorkflowDefinition = "application/json"), (WorkflowDefinition = "application/yaml"))),
    responses(
        (status = 200, description = "The workflow.", body = WorkflowBody, headers(("ETag"))),
        Problems<(
            problem::INVALID_YAML, problem::INVALID_DEFINITION, problem::WORKFLOW_NOT_FOUND, problem::WORKFLOW_STALE,
            problem::IF_MATCH_REQUIRED,
        )>,
    ),
)]
pub(in crate::http) async fn update_workflow(
    State(app): State<AppState>,
    caller: May<WorkflowWrite>,
    Path(id): Path<WorkflowId>,
    if_match: IfMatch,
    Definition(definition): Definition,
) -> Result<([(header::HeaderName, HeaderValue); 1], Answer<WorkflowBody>), ApiError> {
    require_use(&caller, &definition)?;
    let expected = match if_match {
        IfMatch::Version(version) => version,
        IfMatch::Any => app.workflows.get(caller.workspace(), id).await?.row.latest_version,
    };
    let workflow = app.workflows.update(caller.workspace(), id, expected, definition).await?;
    // Versions do not change: the one before is what it was.
    let before = app.workflows.get_version(caller.workspace(), id, expected).await.ok();
    let entry = AuditEntry::from(AuditEvent::WorkflowUpdated(id))
        .changed(before.map(|version| digest(&version.definition)), Some(digest(&workflow.definition)))
        .with("version", workflow.row.latest_version);
    app.audit.record(caller.origin(), entry).await;
    Ok(([(header::ETAG, etag(workflow.row.latest_version))], Answer(workflow.try_into()?)))
}

/// Deletes a workflow with its versions.
#[utoipa::path(
    delete, path = "/workflows/{id}", tag = "workflows", security(("bearer" = ["workflow:write"])), params(WorkflowId, OptionalIfMatch),
    responses(
        (status = 204, description = "It is gone."),
        Problems<(problem::WORKFLOW_NOT_FOUND, problem::WORKFLOW_STALE)>,
    ),
)]
pub(in crate::http) async fn delete_workflow(
    State(app): State<AppState>,
    caller: May<WorkflowWrite>,
    Path(id): Path<WorkflowId>,
    OptionalIfMatch(if_match): OptionalIfMatch,
) -> Result<StatusCode, ApiError> {
    let workflow = app.workflows.get(caller.workspace(), id).await?;
    let latest = workflow.row.latest_version;
    if matches!(if_match, Some(IfMatch::Version(version)) if version != latest) {
        return Err(ApiError::new(&problem::WORKFLOW_STALE, format!("its latest version is {latest}")));
    }
    app.workflows.delete(caller.workspace(), id).await?;
    let entry = AuditEntry::from(AuditEvent::WorkflowDeleted(id)).changed(Some(digest(&workflow.definition)), None);
    app.audit.record(caller.origin(), entry.with("version", latest)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Publishes a version: its triggers start executions from now on.
#[utoipa::path(
    post, path = "/workflows/{id}/activate", tag = "workflows", security(("bearer" = ["workflow:write"])), params(WorkflowId),
    responses(
        (status = 200, description = "The workflow.", body = WorkflowBody),
        Problems<(
            problem::WORKFLOW_NOT_FOUND, problem::VERSION_NOT_FOUND, problem::HOOK_TAKEN, problem::INVALID_DEFINITION,
        )>,
    ),
)]
pub(in crate::http) async fn activate_workflow(
    State(app): State<AppState>,
    caller: May<WorkflowWrite>,
    Path(id): Path<WorkflowId>,
    Json(body): Json<ActivateBody>,
) -> Result<Answer<WorkflowBody>, ApiError> {
    let row = app.workflows.activate(caller.workspace(), id, body.version).await?;
    let entry = AuditEntry::from(AuditEvent::WorkflowActivated(id)).with("version", row.active_version);
    app.audit.record(caller.origin(), entry).await;
    Ok(Answer(row.into()))
}

/// Takes a workflow's triggers back. What runs goes on.
#[utoipa::path(
    post, path = "/workflows/{id}/deactivate", tag = "workflows", security(("bearer" = ["workflow:write"])), params(WorkflowId),
    responses((status = 200, description = "The workflow.", body = WorkflowBody), Problems<problem::WORKFLOW_NOT_FOUND>),
)]
pub(in crate::http) async fn deactivate_workflow(
    State(app): State<AppState>,
    caller: May<WorkflowWrite>,
    Path(id): Path<WorkflowId>,
) -> Result<Answer<WorkflowBody>, ApiError> {
    let row = app.workflows.deactivate(caller.workspace(), id).await?;
    app.audit.record(caller.origin(), AuditEvent::WorkflowDeactivated(id)).await;
    Ok(Answer(row.into()))
}

/// Lists the versions of a workflow, newest first, without their definitions.
#[utoipa::path(
    get, path = "/workflows/{id}/versions", tag = "workflows", security(("bearer" = ["workflow:read"])), params(WorkflowId, ListQuery),
    responses((status = 200, description = "A page.", body = Page<VersionBody>), Problems<problem::WORKFLOW_NOT_FOUND>),
)]
pub(in crate::http) async fn list_versions(
    State(app): State<AppState>,
    caller: May<WorkflowRead>,
    Path(id): Path<WorkflowId>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<VersionBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let invalid = |_| ApiError::new(&problem::INVALID_CURSOR, "take `next_cursor` of the page before");
    let below = query.cursor.map(|cursor| cursor.parse()).transpose().map_err(invalid)?;
    let rows = app.workflows.list_versions(caller.workspace(), id, below, limit + 1).await?;
    Ok(Answer(Page::new(rows, limit, |row| row.version.to_string(), |row| VersionBody::summary(id, row))))
}

/// Shows a version with its definition.
#[utoipa::path(
    get, path = "/workflows/{id}/versions/{n}", tag = "workflows", security(("bearer" = ["workflow:read"])),
    responses(
        (status = 200, description = "The version.", body = VersionBody),
        Problems<(problem::WORKFLOW_NOT_FOUND, problem::VERSION_NOT_FOUND)>,
    ),
)]
pub(in crate::http) async fn get_version(
    State(app): State<AppState>,
    caller: May<WorkflowRead>,
    Path((id, version)): Path<(WorkflowId, u32)>,
) -> Result<Answer<VersionBody>, ApiError> {
    Ok(Answer(app.workflows.get_version(caller.workspace(), id, version).await?.try_into()?))
}

/// Checks a definition, and stores nothing.
#[utoipa::path(
    post, path = "/workflows/validate", tag = "workflows", security(("bearer" = ["workflow:read"])),
    request_body(
        description = "A definition, or what is to become one.",
        content((serde_json::Value = "application/json"), (serde_json::Value = "application/yaml")),
    ),
    responses((status = 200, description = "Everything that is wrong with it.", body = ValidationBody)),
)]
pub(in crate::http) async fn validate_workflow(
    State(app): State<AppState>,
    _caller: May<WorkflowRead>,
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

/// Whoever names credentials in a workflow uses them.
///
/// Errors: `permission_denied`.
fn require_use(caller: &Caller, definition: &WorkflowDefinition) -> Result<(), ApiError> {
    let names_one = definition.nodes.iter().any(|node| node.credential.is_some());
    if names_one { caller.require(Permission::CredentialUse) } else { Ok(()) }
}
