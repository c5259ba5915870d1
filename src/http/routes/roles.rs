//! Roles of the workspace: those that every workspace has, and its own.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::users::created;
use crate::{
    actors::{
        accounts::{Role, RoleDraft},
        audit::AuditEvent,
    },
    auth::permissions::{
        Permission,
        permit::{RoleRead, RoleWrite},
    },
    http::{
        AppState,
        dto::{Items, RoleBody},
        error::ApiError,
        extract::{IdempotencyKey, IfMatch, Json, May, OptionalIfMatch, Path, etag},
        openapi::Problems,
        problem,
    },
};

/// A role to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRole)]
pub(in crate::http) struct NewBody {
    #[schema(max_length = 64, pattern = "^[a-z][a-z0-9_-]*$")]
    name: String,
    #[schema(value_type = Vec<Permission>)]
    permissions: Vec<String>,
    #[schema(max_length = 1000)]
    description: Option<String>,
}

/// What a role becomes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoleChange)]
pub(in crate::http) struct ChangeBody {
    #[schema(value_type = Vec<Permission>)]
    permissions: Vec<String>,
    #[schema(max_length = 1000)]
    description: Option<String>,
}

/// Makes a role. It may not do more than the caller.
#[utoipa::path(
    post, path = "/roles", tag = "people", security(("bearer" = ["role:write"])), params(IdempotencyKey),
    responses(
        (status = 201, description = "The role.", body = RoleBody, headers(("ETag"), ("Location"))),
        Problems<(problem::ROLE_EXISTS, problem::ROLE_BUILT_IN, problem::LIMIT_REACHED)>,
    ),
)]
pub(in crate::http) async fn create_role(
    State(app): State<AppState>,
    caller: May<RoleWrite>,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<NewBody>,
) -> Result<(StatusCode, HeaderMap, Answer<RoleBody>), ApiError> {
    let draft = RoleDraft { permissions: &body.permissions, description: body.description.as_deref() };
    let made = app.accounts.create_role(&caller.0, &body.name, &draft, key.as_deref()).await?;
    if !made.replayed {
        app.audit.record(caller.origin(), AuditEvent::RoleCreated(made.made.name.clone())).await;
    }
    let mut headers = created(format!("/api/v1/roles/{}", made.made.name), made.replayed)?;
    headers.insert(header::ETAG, etag(made.made.version));
    Ok((StatusCode::CREATED, headers, Answer(made.made.into())))
}

/// Lists the roles: those that every workspace has, then the workspace's own by name.
#[utoipa::path(
    get, path = "/roles", tag = "people", security(("bearer" = ["role:read"])),
    responses((status = 200, description = "All of them.", body = Items<RoleBody>)),
)]
pub(in crate::http) async fn list_roles(
    State(app): State<AppState>,
    caller: May<RoleRead>,
) -> Result<Answer<Items<RoleBody>>, ApiError> {
    let roles = app.accounts.list_roles(&caller.0).await?;
    Ok(Answer(Items { items: roles.into_iter().map(RoleBody::from).collect() }))
}

/// Shows a role. One of the workspace's own has an `ETag`.
#[utoipa::path(
    get, path = "/roles/{name}", tag = "people", security(("bearer" = ["role:read"])), params(("name" = String, Path)),
    responses((status = 200, description = "The role.", body = RoleBody, headers(("ETag"))), Problems<problem::ROLE_NOT_FOUND>),
)]
pub(in crate::http) async fn get_role(
    State(app): State<AppState>,
    caller: May<RoleRead>,
    Path(name): Path<String>,
) -> Result<(HeaderMap, Answer<RoleBody>), ApiError> {
    let role = app.accounts.find_role(&caller.0, &name).await?;
    let tag = match &role {
        Role::BuiltIn(_) => None,
        Role::Custom(row) => Some((header::ETAG, etag(row.version))),
    };
    Ok((tag.into_iter().collect(), Answer(role.into())))
}

/// Changes a role, for everybody who has it.
///
/// Neither what it may do now nor what it may do then may be more than the caller may do.
#[utoipa::path(
    put, path = "/roles/{name}", tag = "people", security(("bearer" = ["role:write"])), params(("name" = String, Path), IfMatch),
    responses(
        (status = 200, description = "The role.", body = RoleBody, headers(("ETag"))),
        Problems<(problem::ROLE_NOT_FOUND, problem::ROLE_BUILT_IN, problem::STALE, problem::IF_MATCH_REQUIRED)>,
    ),
)]
pub(in crate::http) async fn update_role(
    State(app): State<AppState>,
    caller: May<RoleWrite>,
    Path(name): Path<String>,
    if_match: IfMatch,
    Json(body): Json<ChangeBody>,
) -> Result<([(HeaderName, HeaderValue); 1], Answer<RoleBody>), ApiError> {
    let draft = RoleDraft { permissions: &body.permissions, description: body.description.as_deref() };
    let row = app.accounts.update_role(&caller.0, &name, if_match.version(), &draft).await?;
    app.audit.record(caller.origin(), AuditEvent::RoleUpdated(name)).await;
    Ok(([(header::ETAG, etag(row.version))], Answer(row.into())))
}

/// Deletes a role that nobody has.
#[utoipa::path(
    delete, path = "/roles/{name}", tag = "people", security(("bearer" = ["role:write"])),
    params(("name" = String, Path), OptionalIfMatch),
    responses(
        (status = 204, description = "It is gone."),
        Problems<(problem::ROLE_NOT_FOUND, problem::ROLE_BUILT_IN, problem::ROLE_IN_USE, problem::STALE)>,
    ),
)]
pub(in crate::http) async fn delete_role(
    State(app): State<AppState>,
    caller: May<RoleWrite>,
    Path(name): Path<String>,
    OptionalIfMatch(if_match): OptionalIfMatch,
) -> Result<StatusCode, ApiError> {
    app.accounts.delete_role(&caller.0, &name, if_match.and_then(IfMatch::version)).await?;
    app.audit.record(caller.origin(), AuditEvent::RoleDeleted(name)).await;
    Ok(StatusCode::NO_CONTENT)
}
