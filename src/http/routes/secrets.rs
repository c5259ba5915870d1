//! Master keys of the installation, and the rotation of what they seal. They belong to no workspace, so that only whoever owns the
//! first one may see to them.

use axum::{Json as Answer, extract::State};

use crate::{
    actors::audit::AuditEvent,
    auth::permissions::permit::WorkspaceWrite,
    http::{
        AppState,
        dto::{RotationBody, SecretsBody},
        error::ApiError,
        extract::May,
        openapi::Problems,
        problem,
    },
};

/// Shows the master keys.
///
/// Their ids, never the keys. Only for the installation's first workspace.
#[utoipa::path(
    get, path = "/secrets", tag = "credentials", security(("bearer" = ["workspace:write"])),
    responses((status = 200, description = "The keys.", body = SecretsBody), Problems<problem::WORKSPACE_DENIED>),
)]
pub(in crate::http) async fn get_secrets(
    State(app): State<AppState>,
    caller: May<WorkspaceWrite>,
) -> Result<Answer<SecretsBody>, ApiError> {
    caller.require_first()?;
    Ok(Answer(app.credentials.master_keys().await?.into()))
}

/// Seals everything with the current master key.
///
/// Works off a part of it: call again until it is `done`. Then older keys can be removed from the settings. Nothing has to stop for it,
/// and it can be broken off at any time. Only for the installation's first workspace.
#[utoipa::path(
    post, path = "/secrets/rotate", tag = "credentials", security(("bearer" = ["workspace:write"])),
    responses((status = 200, description = "What was done.", body = RotationBody), Problems<problem::WORKSPACE_DENIED>),
)]
pub(in crate::http) async fn rotate_secrets(
    State(app): State<AppState>,
    caller: May<WorkspaceWrite>,
) -> Result<Answer<RotationBody>, ApiError> {
    caller.require_first()?;
    let rotated = app.credentials.rotate().await?;
    if rotated.is_done {
        let entry = AuditEvent::SecretsRotated(rotated.current.to_string());
        app.audit.record(caller.origin(), entry).await;
    }
    tracing::info!(resealed = rotated.resealed, retired = rotated.retired, done = rotated.is_done, "secrets rotated");
    Ok(Answer(rotated.into()))
}
