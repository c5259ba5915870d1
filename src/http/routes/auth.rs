//! Logins and what follows from them.

use axum::{Json as Answer, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actors::{
        accounts::{LoginError, PasswordChange, PasswordChangeError, TokenError, TokenPair, Whose},
        audit::{AuditEvent, Origin},
    },
    auth::{access_token::ACCESS_MS, permissions::Permission},
    http::{
        AppState,
        error::ApiError,
        extract::{Caller, ClientAddress, Json, OptionalBearer, Unknown, refuse_token},
        openapi::Problems,
        problem,
    },
    model::ids::{UserId, WorkspaceId},
    store::JoinedWorkspace,
};

/// The body of a login. Has no `Debug`: it holds a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LoginBody {
    pub(super) email: String,
    pub(super) password: String,
}

/// The body of a refresh.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RefreshBody {
    refresh_token: String,
}

/// The body of a logout.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LogoutBody {
    refresh_token: Option<String>,
}

/// What a login hands out.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct TokensBody {
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
}

/// The body of a change of one's password. Has no `Debug`: it holds passwords.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PasswordBody {
    current_password: String,
    /// 8 characters or more.
    new_password: String,
}

/// Who the caller is; `user` is null for the setup token.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct MeBody {
    /// Where the caller acts: what the header `Citadel-Workspace` says, or else home.
    workspace_id: WorkspaceId,
    /// What the caller's user is there.
    role: String,
    /// What the caller may do there.
    permissions: Vec<&'static str>,
    user: Option<UserBody>,
    /// The workspaces of the user, the oldest first.
    workspaces: Vec<MembershipBody>,
}

#[derive(Serialize, ToSchema)]
struct UserBody {
    id: UserId,
    email: String,
    name: String,
}

#[derive(Serialize, ToSchema)]
struct MembershipBody {
    id: WorkspaceId,
    name: String,
    role: String,
}

/// Logs a user in.
#[utoipa::path(
    post, path = "/auth/login", tag = "auth", security(()),
    responses(
        (status = 200, description = "Tokens.", body = TokensBody),
        Problems<(problem::LOGIN_FAILED, problem::TOO_MANY_LOGINS, problem::OVERLOADED, problem::UNAVAILABLE)>,
    ),
)]
pub(in crate::http) async fn login(
    State(app): State<AppState>,
    ClientAddress(address): ClientAddress,
    Unknown(origin): Unknown,
    Json(body): Json<LoginBody>,
) -> Result<Answer<TokensBody>, ApiError> {
    let outcome = app.accounts.login(&body.email, &body.password, address).await;
    record_login(&app, origin, outcome.as_ref().map(|(whose, _)| *whose)).await;
    Ok(Answer(outcome?.1.into()))
}

/// Writes a login, or its failure, to the audit log.
pub(super) async fn record_login(app: &AppState, origin: Origin, outcome: Result<Whose, &LoginError>) {
    match outcome {
        Ok(Whose { user, home }) => app.audit.record(origin.by_user(home, user), AuditEvent::LoggedIn(user)).await,
        // Who comes too often is refused before anything is tried.
        Err(LoginError::Wrong(user)) => app.audit.record(origin, AuditEvent::LoginFailed(*user)).await,
        Err(LoginError::TooMany { .. } | LoginError::Password(_) | LoginError::Store(_)) => {}
    }
}

/// Takes new tokens for a refresh token, which is good once.
///
/// A second use within ten seconds gets the same refresh token again, in case that the first answer was lost. A later one ends the
/// session: somebody else may have the token.
#[utoipa::path(
    post, path = "/auth/refresh", tag = "auth", security(()),
    responses(
        (status = 200, description = "Tokens.", body = TokensBody),
        Problems<(problem::UNAUTHENTICATED, problem::UNAVAILABLE)>,
    ),
)]
pub(in crate::http) async fn refresh(
    State(app): State<AppState>,
    Unknown(origin): Unknown,
    Json(body): Json<RefreshBody>,
) -> Result<Answer<TokensBody>, ApiError> {
    let outcome = app.accounts.refresh(&body.refresh_token).await;
    if let Err(TokenError::Reused { user }) = outcome {
        app.audit.record(origin, AuditEvent::TokenReused(user)).await;
    }
    Ok(Answer(outcome.map_err(refuse_token)?.into()))
}

/// Ends the sessions that the tokens belong to. One that is worthless already, or missing, is no mistake.
#[utoipa::path(
    post, path = "/auth/logout", tag = "auth", security((), ("bearer" = [])),
    responses((status = 204, description = "They are gone."), Problems<(problem::UNAUTHENTICATED, problem::UNAVAILABLE)>),
)]
pub(in crate::http) async fn logout(
    State(app): State<AppState>,
    OptionalBearer(access): OptionalBearer,
    Unknown(origin): Unknown,
    Json(body): Json<LogoutBody>,
) -> Result<StatusCode, ApiError> {
    let whose = app.accounts.logout(access.as_deref(), body.refresh_token.as_deref()).await?;
    record_logout(&app, origin, whose).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Writes the end of a session to the audit log, if there was one.
pub(super) async fn record_logout(app: &AppState, origin: Origin, whose: Option<Whose>) {
    if let Some(Whose { user, home }) = whose {
        app.audit.record(origin.by_user(home, user), AuditEvent::LoggedOut(Some(user))).await;
    }
}

/// Says who the caller is, and what it may do.
#[utoipa::path(get, path = "/auth/me", tag = "auth", responses((status = 200, description = "The caller.", body = MeBody)))]
pub(in crate::http) async fn me(State(app): State<AppState>, caller: Caller) -> Result<Answer<MeBody>, ApiError> {
    let profile = app.accounts.find_profile(&caller.0).await?;
    Ok(Answer(MeBody {
        workspace_id: caller.workspace(),
        role: profile.role,
        permissions: caller.0.permissions.iter().map(Permission::as_str).collect(),
        user: profile.user.map(|user| UserBody { id: user.id, email: user.email, name: user.name }),
        workspaces: profile.workspaces.into_iter().map(MembershipBody::from).collect(),
    }))
}

/// Changes one's own password.
///
/// Every other session of the user ends; the one that this request belongs to goes on.
#[utoipa::path(
    put, path = "/auth/password", tag = "auth",
    responses(
        (status = 204, description = "The new password is good, the old one is not."),
        Problems<(problem::PERMISSION_DENIED, problem::PASSWORD_WRONG, problem::TOO_MANY_LOGINS, problem::OVERLOADED)>,
    ),
)]
pub(in crate::http) async fn change_password(
    State(app): State<AppState>,
    caller: Caller,
    ClientAddress(address): ClientAddress,
    Json(body): Json<PasswordBody>,
) -> Result<StatusCode, ApiError> {
    let change = PasswordChange { current: &body.current_password, new: &body.new_password, address };
    let outcome = app.accounts.change_password(&caller.0, &change).await;
    match (&outcome, caller.0.user) {
        (Ok(()), Some(user)) => app.audit.record(caller.origin(), AuditEvent::PasswordChanged(user)).await,
        (Err(PasswordChangeError::Wrong), user) => app.audit.record(caller.origin(), AuditEvent::LoginFailed(user)).await,
        (Ok(()), None) | (Err(_), _) => {}
    }
    outcome?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<JoinedWorkspace> for MembershipBody {
    fn from(joined: JoinedWorkspace) -> Self {
        Self { id: joined.workspace.id, name: joined.workspace.name, role: joined.role }
    }
}

impl From<TokenPair> for TokensBody {
    fn from(pair: TokenPair) -> Self {
        Self {
            access_token: pair.access,
            refresh_token: pair.refresh.expose().to_owned(),
            token_type: "Bearer",
            expires_in: ACCESS_MS / 1_000,
        }
    }
}
