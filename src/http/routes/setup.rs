//! The first owner.

use axum::{Json as Answer, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use super::auth::TokensBody;
use crate::{
    actors::{accounts::SetupClaim, audit::AuditEvent},
    http::{
        AppState,
        error::ApiError,
        extract::{Json, Unknown},
        openapi::Problems,
        problem,
    },
    model::ids::WorkspaceId,
};

/// The body of a claim. Has no `Debug`: it holds secrets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SetupBody {
    /// The setup token, which the first start has printed.
    token: String,
    email: String,
    /// 8 characters or more.
    password: String,
    #[serde(default)]
    name: String,
}

/// Makes the first owner.
///
/// It takes the setup token, which is good once: of several claims one wins. Answers as a login does.
#[utoipa::path(
    post, path = "/setup", tag = "auth", security(()),
    responses(
        (status = 201, description = "The owner is there, and logged in.", body = TokensBody),
        Problems<(problem::UNAUTHENTICATED, problem::SETUP_DONE, problem::OVERLOADED, problem::UNAVAILABLE)>,
    ),
)]
pub(in crate::http) async fn set_up(
    State(app): State<AppState>,
    Unknown(origin): Unknown,
    Json(body): Json<SetupBody>,
) -> Result<(StatusCode, Answer<TokensBody>), ApiError> {
    let claim = SetupClaim { token: &body.token, email: &body.email, name: &body.name, password: &body.password };
    let tokens = app.accounts.claim_setup(&claim).await?;
    app.audit.record(origin.by_user(WorkspaceId::DEFAULT, tokens.user), AuditEvent::SetupCompleted(tokens.user)).await;
    Ok((StatusCode::CREATED, Answer(tokens.into())))
}
