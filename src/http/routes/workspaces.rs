//! Workspaces, and the members of the one that the caller acts in.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::users::{ListQuery, created};
use crate::{
    actors::audit::{AuditEntry, AuditEvent, Origin},
    auth::permissions::permit::{MemberRead, MemberWrite, WorkspaceRead, WorkspaceWrite},
    http::{
        AppState,
        dto::{JoinedWorkspaceBody, MemberBody, Page, WorkspaceBody, page_limit},
        error::ApiError,
        extract::{Caller, IdempotencyKey, Json, May, Path, Query, no_workspace},
        openapi::Problems,
        problem,
    },
    model::ids::{UserId, WorkspaceId},
    store::{JoinedWorkspace, MemberRow},
};

/// A workspace to make, or its new name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkspaceDraft)]
pub(in crate::http) struct DraftBody {
    name: String,
}

/// What a member becomes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MemberChange)]
pub(in crate::http) struct RoleOfMemberBody {
    role: String,
}

/// Makes a workspace, whose owner the caller is.
#[utoipa::path(
    post, path = "/workspaces", tag = "people", security(("bearer" = ["workspace:write"])), params(IdempotencyKey),
    responses(
        (status = 201, description = "The workspace.", body = WorkspaceBody, headers(("Location"))),
        Problems<(problem::LIMIT_REACHED, problem::KEY_MISMATCH)>,
    ),
)]
pub(in crate::http) async fn create_workspace(
    State(app): State<AppState>,
    caller: May<WorkspaceWrite>,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<DraftBody>,
) -> Result<(StatusCode, HeaderMap, Answer<WorkspaceBody>), ApiError> {
    let made = app.accounts.create_workspace(&caller.0, &body.name, key.as_deref()).await?;
    if !made.replayed {
        app.audit.record(caller.origin(), AuditEvent::WorkspaceCreated(made.made.id)).await;
    }
    let headers = created(format!("/api/v1/workspaces/{}", made.made.id), made.replayed)?;
    Ok((StatusCode::CREATED, headers, Answer(made.made.into())))
}

/// Lists the workspaces that the caller may name in the header `Citadel-Workspace`, the oldest first.
#[utoipa::path(
    get, path = "/workspaces", tag = "people", params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<JoinedWorkspaceBody>)),
)]
pub(in crate::http) async fn list_workspaces(
    State(app): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<JoinedWorkspaceBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let rows = app.accounts.list_workspaces(&caller.0, query.after()?, limit + 1).await?;
    let cursor = |row: &JoinedWorkspace| row.workspace.id.to_string();
    Ok(Answer(Page::new(rows, limit, cursor, JoinedWorkspaceBody::from)))
}

/// Shows the workspace.
#[utoipa::path(
    get, path = "/workspaces/{id}", tag = "people", security(("bearer" = ["workspace:read"])), params(("id" = WorkspaceId, Path)),
    responses((status = 200, description = "The workspace.", body = WorkspaceBody), Problems<problem::WORKSPACE_NOT_FOUND>),
)]
pub(in crate::http) async fn get_workspace(
    State(app): State<AppState>,
    caller: May<WorkspaceRead>,
    Path(id): Path<WorkspaceId>,
) -> Result<Answer<WorkspaceBody>, ApiError> {
    acts_in(&caller, id)?;
    Ok(Answer(app.accounts.find_workspace(&caller.0).await?.into()))
}

/// Gives the workspace another name.
#[utoipa::path(
    put, path = "/workspaces/{id}", tag = "people", security(("bearer" = ["workspace:write"])), params(("id" = WorkspaceId, Path)),
    responses((status = 200, description = "The workspace.", body = WorkspaceBody), Problems<problem::WORKSPACE_NOT_FOUND>),
)]
pub(in crate::http) async fn update_workspace(
    State(app): State<AppState>,
    caller: May<WorkspaceWrite>,
    Path(id): Path<WorkspaceId>,
    Json(body): Json<DraftBody>,
) -> Result<Answer<WorkspaceBody>, ApiError> {
    acts_in(&caller, id)?;
    let renamed = app.accounts.rename_workspace(&caller.0, &body.name).await?;
    app.audit.record(caller.origin(), AuditEvent::WorkspaceUpdated(id)).await;
    Ok(Answer(renamed.into()))
}

/// Deletes the workspace.
///
/// Only people, roles, keys and invitations may be left in it. The accounts of its members stay.
#[utoipa::path(
    delete, path = "/workspaces/{id}", tag = "people", security(("bearer" = ["workspace:write"])),
    params(("id" = WorkspaceId, Path)),
    responses((status = 204, description = "It is gone."), Problems<(problem::WORKSPACE_NOT_FOUND, problem::WORKSPACE_IN_USE)>),
)]
pub(in crate::http) async fn delete_workspace(
    State(app): State<AppState>,
    caller: May<WorkspaceWrite>,
    Path(id): Path<WorkspaceId>,
) -> Result<StatusCode, ApiError> {
    acts_in(&caller, id)?;
    app.accounts.delete_workspace(&caller.0).await?;
    // Nobody can read the log of the deleted one any more.
    let origin = Origin { workspace: WorkspaceId::DEFAULT, ..caller.origin() };
    app.audit.record(origin, AuditEvent::WorkspaceDeleted(id)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the members of the workspace, the oldest account first.
#[utoipa::path(
    get, path = "/workspaces/{id}/members", tag = "people", security(("bearer" = ["member:read"])),
    params(("id" = WorkspaceId, Path), ListQuery),
    responses((status = 200, description = "A page.", body = Page<MemberBody>), Problems<problem::WORKSPACE_NOT_FOUND>),
)]
pub(in crate::http) async fn list_members(
    State(app): State<AppState>,
    caller: May<MemberRead>,
    Path(id): Path<WorkspaceId>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<MemberBody>>, ApiError> {
    acts_in(&caller, id)?;
    let limit = page_limit(query.limit)?;
    let rows = app.accounts.list_members(&caller.0, query.after()?, limit + 1).await?;
    Ok(Answer(Page::new(rows, limit, |row: &MemberRow| row.user.to_string(), MemberBody::from)))
}

/// Gives a member another role.
///
/// Neither the role that they have nor the one that they get may do more than the caller.
#[utoipa::path(
    put, path = "/workspaces/{id}/members/{user_id}", tag = "people", security(("bearer" = ["member:write"])),
    params(("id" = WorkspaceId, Path), ("user_id" = UserId, Path)),
    responses(
        (status = 200, description = "The member.", body = MemberBody),
        Problems<(problem::WORKSPACE_NOT_FOUND, problem::MEMBER_NOT_FOUND, problem::LAST_OWNER)>,
    ),
)]
pub(in crate::http) async fn update_member(
    State(app): State<AppState>,
    caller: May<MemberWrite>,
    Path((id, user)): Path<(WorkspaceId, UserId)>,
    Json(body): Json<RoleOfMemberBody>,
) -> Result<Answer<MemberBody>, ApiError> {
    acts_in(&caller, id)?;
    let changed = app.accounts.set_role(&caller.0, user, &body.role).await?;
    let entry = AuditEntry::from(AuditEvent::MemberUpdated(user)).with("role", body.role);
    app.audit.record(caller.origin(), entry).await;
    Ok(Answer(changed.into()))
}

/// Takes a member, and its API keys, out of the workspace. The account stays.
#[utoipa::path(
    delete, path = "/workspaces/{id}/members/{user_id}", tag = "people", security(("bearer" = ["member:write"])),
    params(("id" = WorkspaceId, Path), ("user_id" = UserId, Path)),
    responses(
        (status = 204, description = "They are no member any more."),
        Problems<(problem::WORKSPACE_NOT_FOUND, problem::MEMBER_NOT_FOUND, problem::LAST_OWNER)>,
    ),
)]
pub(in crate::http) async fn remove_member(
    State(app): State<AppState>,
    caller: May<MemberWrite>,
    Path((id, user)): Path<(WorkspaceId, UserId)>,
) -> Result<StatusCode, ApiError> {
    acts_in(&caller, id)?;
    app.accounts.remove_member(&caller.0, user).await?;
    app.audit.record(caller.origin(), AuditEvent::MemberRemoved(user)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The permissions are those of the workspace that the caller acts in: another one is not there for this request.
///
/// Errors: `workspace_not_found`.
pub(super) fn acts_in(caller: &Caller, id: WorkspaceId) -> Result<(), ApiError> {
    if caller.workspace() == id { Ok(()) } else { Err(no_workspace()) }
}
