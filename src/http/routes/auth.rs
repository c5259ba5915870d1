//! Logins and what follows from them.

use axum::{Json as Answer, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actors::{
        accounts::{ACCESS_MS, LoginError, TokenPair},
        audit::AuditEvent,
    },
    http::{
        AppState,
        error::ApiError,
        extract::{Caller, ClientAddress, Json, OptionalBearer, Unknown, refuse_token},
        openapi::Problems,
        problem,
    },
    model::ids::{UserId, WorkspaceId},
};

/// The body of a login. Has no `Debug`: it holds a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LoginBody {
    email: String,
    password: String,
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

/// Who the caller is; `user` is null for a key that belongs to nobody in particular.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct MeBody {
    workspace_id: WorkspaceId,
    role: &'static str,
    user: Option<UserBody>,
}

#[derive(Serialize, ToSchema)]
struct UserBody {
    id: UserId,
    email: String,
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
    match &outcome {
        Ok(pair) => {
            let caller = app.accounts.authenticate(pair.access.expose()).await.map_err(refuse_token)?;
            if let Some(user) = caller.user {
                app.audit.record(origin.by_user(caller.workspace, user), AuditEvent::LoggedIn(user)).await;
            }
        }
        // Who comes too often is refused before anything is tried.
        Err(LoginError::Wrong) => app.audit.record(origin, AuditEvent::LoginFailed(None)).await,
        Err(LoginError::TooMany { .. } | LoginError::Password(_) | LoginError::Store(_)) => {}
    }
    Ok(Answer(outcome?.into()))
}

/// Takes new tokens for a refresh token, which is good once.
#[utoipa::path(
    post, path = "/auth/refresh", tag = "auth", security(()),
    responses(
        (status = 200, description = "Tokens.", body = TokensBody),
        Problems<(problem::UNAUTHENTICATED, problem::UNAVAILABLE)>,
    ),
)]
pub(in crate::http) async fn refresh(
    State(app): State<AppState>,
    Json(body): Json<RefreshBody>,
) -> Result<Answer<TokensBody>, ApiError> {
    Ok(Answer(app.accounts.refresh(&body.refresh_token).await.map_err(refuse_token)?.into()))
}

/// Makes the tokens of a session worthless. One that is worthless already, or missing, is no mistake.
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
    // Who it was: afterwards the token says nothing any more.
    let caller = match &access {
        Some(text) => app.accounts.authenticate(text).await.ok(),
        None => None,
    };
    app.accounts.logout(access.as_deref(), body.refresh_token.as_deref()).await.map_err(refuse_token)?;
    if let Some((caller, user)) = caller.and_then(|caller| Some((caller, caller.user?))) {
        app.audit.record(origin.by_user(caller.workspace, user), AuditEvent::LoggedOut(Some(user))).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Says who the caller is.
#[utoipa::path(get, path = "/auth/me", tag = "auth", responses((status = 200, description = "The caller.", body = MeBody)))]
pub(in crate::http) async fn me(State(app): State<AppState>, caller: Caller) -> Result<Answer<MeBody>, ApiError> {
    let user = app.accounts.find_user(&caller.0).await?.map(|user| UserBody { id: user.id, email: user.email });
    Ok(Answer(MeBody { workspace_id: caller.workspace(), role: "owner", user }))
}

impl From<TokenPair> for TokensBody {
    fn from(pair: TokenPair) -> Self {
        Self {
            access_token: pair.access.expose().to_owned(),
            refresh_token: pair.refresh.expose().to_owned(),
            token_type: "Bearer",
            expires_in: ACCESS_MS / 1_000,
        }
    }
}
