//! Invitations to the workspace. There is no mail: whoever invites hands the token over.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    auth::record_login,
    users::{ListQuery, created},
    workspaces::acts_in,
};
use crate::{
    actors::{
        accounts::{Acceptance, NewInvitation, PeopleError},
        audit::{AuditEntry, AuditEvent},
    },
    auth::permissions::permit::{MemberRead, MemberWrite},
    http::{
        AppState,
        dto::{InvitationBody, MemberBody, Page, page_limit},
        error::ApiError,
        extract::{ClientAddress, Json, May, MaybeCaller, Path, Query, Unknown},
        openapi::Problems,
        problem,
    },
    model::{
        duration::DurationMs,
        ids::{InvitationId, WorkspaceId},
        problem::Problem,
    },
    store::InvitationRow,
};

/// Whom to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InvitationDraft)]
pub(in crate::http) struct NewBody {
    email: String,
    role: String,
    /// How long it is open, such as `3d`: up to 30 days; a week where it is not given.
    expires_in: Option<String>,
}

/// An invitation with its secret, which is shown once.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct NewInvitationBody {
    invitation: InvitationBody,
    /// For whoever is invited: `POST /invitations/accept`.
    token: String,
}

/// The answer to an invitation. Has no `Debug`: it holds secrets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InvitationAnswer)]
pub(in crate::http) struct AcceptBody {
    token: String,
    /// Needed for a new account.
    name: Option<String>,
    /// Of the account, or for a new one. Not needed beside the token of a session.
    password: Option<String>,
}

/// Invites somebody to the workspace.
///
/// The role may not do more than the caller. Another invitation of the same address makes the earlier one worthless.
#[utoipa::path(
    post, path = "/workspaces/{id}/invitations", tag = "people", security(("bearer" = ["member:write"])),
    params(("id" = WorkspaceId, Path)),
    responses(
        (status = 201, description = "The invitation and its secret.", body = NewInvitationBody, headers(("Location"))),
        Problems<(problem::WORKSPACE_NOT_FOUND, problem::MEMBER_EXISTS, problem::LIMIT_REACHED)>,
    ),
)]
pub(in crate::http) async fn create_invitation(
    State(app): State<AppState>,
    caller: May<MemberWrite>,
    Path(id): Path<WorkspaceId>,
    Json(body): Json<NewBody>,
) -> Result<(StatusCode, HeaderMap, Answer<NewInvitationBody>), ApiError> {
    acts_in(&caller, id)?;
    let life_ms = read_duration(body.expires_in.as_deref(), "/expires_in")?;
    let new = NewInvitation { email: &body.email, role: &body.role, life_ms };
    let (row, token) = app.accounts.invite(&caller.0, &new).await?;
    let entry = AuditEntry::from(AuditEvent::InvitationCreated(row.id.to_string())).with("role", row.role.as_str());
    app.audit.record(caller.origin(), entry).await;
    let headers = created(format!("/api/v1/workspaces/{id}/invitations/{}", row.id), false)?;
    Ok((StatusCode::CREATED, headers, Answer(NewInvitationBody { invitation: row.into(), token: token.expose().to_owned() })))
}

/// Lists the workspace's invitations, the oldest first.
#[utoipa::path(
    get, path = "/workspaces/{id}/invitations", tag = "people", security(("bearer" = ["member:read"])),
    params(("id" = WorkspaceId, Path), ListQuery),
    responses((status = 200, description = "A page.", body = Page<InvitationBody>), Problems<problem::WORKSPACE_NOT_FOUND>),
)]
pub(in crate::http) async fn list_invitations(
    State(app): State<AppState>,
    caller: May<MemberRead>,
    Path(id): Path<WorkspaceId>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<InvitationBody>>, ApiError> {
    acts_in(&caller, id)?;
    let limit = page_limit(query.limit)?;
    let rows = app.accounts.list_invitations(&caller.0, query.after()?, limit + 1).await?;
    Ok(Answer(Page::new(rows, limit, |row: &InvitationRow| row.id.to_string(), InvitationBody::from)))
}

/// Takes an invitation back.
#[utoipa::path(
    delete, path = "/workspaces/{id}/invitations/{invitation_id}", tag = "people", security(("bearer" = ["member:write"])),
    params(("id" = WorkspaceId, Path), ("invitation_id" = InvitationId, Path)),
    responses(
        (status = 204, description = "It is worthless now."),
        Problems<(problem::WORKSPACE_NOT_FOUND, problem::INVITATION_NOT_FOUND)>,
    ),
)]
pub(in crate::http) async fn delete_invitation(
    State(app): State<AppState>,
    caller: May<MemberWrite>,
    Path((id, invitation)): Path<(WorkspaceId, InvitationId)>,
) -> Result<StatusCode, ApiError> {
    acts_in(&caller, id)?;
    app.accounts.delete_invitation(&caller.0, invitation).await?;
    app.audit.record(caller.origin(), AuditEvent::InvitationRevoked(invitation.to_string())).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Joins a workspace by an invitation.
///
/// Somebody new gets an account with the given name and password. Whoever has an account sends its password, or the token of their
/// session along.
#[utoipa::path(
    post, path = "/invitations/accept", tag = "people", security((), ("bearer" = [])),
    responses(
        (status = 200, description = "The new member.", body = MemberBody),
        Problems<(problem::UNAUTHENTICATED, problem::LOGIN_FAILED, problem::TOO_MANY_LOGINS, problem::PERMISSION_DENIED)>,
        Problems<(problem::INVITATION_NOT_FOUND, problem::USER_EXISTS, problem::MEMBER_EXISTS, problem::LIMIT_REACHED)>,
        Problems<(problem::OVERLOADED, problem::UNAVAILABLE)>,
    ),
)]
pub(in crate::http) async fn accept_invitation(
    State(app): State<AppState>,
    MaybeCaller(caller): MaybeCaller,
    ClientAddress(address): ClientAddress,
    Unknown(origin): Unknown,
    Json(body): Json<AcceptBody>,
) -> Result<Answer<MemberBody>, ApiError> {
    let acceptance = Acceptance {
        token: &body.token,
        caller: caller.as_ref().map(|caller| &caller.0),
        name: body.name.as_deref(),
        password: body.password.as_deref(),
        address,
    };
    let joined = app.accounts.accept_invitation(&acceptance).await;
    if let Err(PeopleError::Login(error)) = &joined {
        record_login(&app, origin.clone(), Err(error)).await;
    }
    let joined = joined?;
    let entry = AuditEntry::from(AuditEvent::MemberAdded(joined.user)).with("role", joined.role.as_str());
    app.audit.record(origin.by_user(joined.workspace, joined.user), entry).await;
    Ok(Answer(joined.into()))
}

/// A field with a duration, in milliseconds.
///
/// Errors: `invalid_body`.
pub(super) fn read_duration(text: Option<&str>, pointer: &str) -> Result<Option<u64>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(|DurationMs(ms)| Some(ms)).map_err(|error| {
        let wrong = Problem::new(pointer, "invalid_duration", error.to_string());
        ApiError::new(&problem::INVALID_BODY, wrong.detail.clone()).with_errors(vec![wrong])
    })
}
