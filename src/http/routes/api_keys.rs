//! API keys. A key's text is in the answer that makes it, and nowhere else.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    invitations::read_duration,
    users::{ListQuery, created},
};
use crate::{
    actors::{
        accounts::{KeyChange, KeyDraft},
        audit::{AuditEntry, AuditEvent},
    },
    auth::permissions::{Permission, permit::KeyWrite},
    clock,
    http::{
        AppState,
        cursor::Place,
        dto::{ApiKeyBody, Page, Time, page_limit, parse_time},
        error::ApiError,
        extract::{Caller, IdempotencyKey, Json, May, Path, Query},
        openapi::Problems,
        problem,
    },
    model::{change::Change, ids::KeyId, problem::Problem},
    store::{ApiKeyCursor, ApiKeyRow, PageRequest},
};

/// A key to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyDraft)]
pub(in crate::http) struct DraftBody {
    name: String,
    /// What it may do at most; everything that the caller may do, where it is not given.
    #[schema(value_type = Option<Vec<Permission>>)]
    permissions: Option<Vec<String>>,
    /// When it ends; never, where it is not given.
    #[schema(value_type = Option<Time>)]
    expires_at: Option<String>,
}

/// What a key becomes. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyChange)]
pub(in crate::http) struct ChangeBody {
    name: String,
    /// What it may do at most: null is everything that the caller may do; left out, it stays as it is.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Permission>>)]
    permissions: Change<Option<Vec<String>>>,
    /// When it ends: null is never; left out, it stays as it is.
    #[serde(default)]
    #[schema(value_type = Option<Time>)]
    expires_at: Change<Option<String>>,
}

/// How to rotate a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyRotation)]
pub(in crate::http) struct RotateBody {
    /// How long the earlier text works, too, such as `1h`: up to 7 days; an hour where it is not given.
    grace: Option<String>,
}

/// A key with its text.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct NewApiKeyBody {
    key: ApiKeyBody,
    /// Shown once: null in the answer to a repeated request.
    secret: Option<String>,
}

/// Makes a key that acts for the caller.
///
/// It may do what both its permissions and the caller's role allow, in this workspace only. Its text is shown once.
#[utoipa::path(
    post, path = "/api-keys", tag = "people", security(("bearer" = ["key:write"])), params(IdempotencyKey),
    responses(
        (status = 201, description = "The key and its text.", body = NewApiKeyBody, headers(("Location"))),
        Problems<(problem::LIMIT_REACHED, problem::KEY_MISMATCH)>,
    ),
)]
pub(in crate::http) async fn create_api_key(
    State(app): State<AppState>,
    caller: May<KeyWrite>,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<DraftBody>,
) -> Result<(StatusCode, HeaderMap, Answer<NewApiKeyBody>), ApiError> {
    let (made, token) = app.accounts.create_key(&caller.0, &body.draft()?, key.as_deref()).await?;
    if !made.replayed {
        app.audit.record(caller.origin(), AuditEvent::KeyCreated(made.made.id.to_string())).await;
    }
    let headers = created(format!("/api/v1/api-keys/{}", made.made.id), made.replayed)?;
    let secret = token.map(|token| token.expose().to_owned());
    Ok((StatusCode::CREATED, headers, Answer(NewApiKeyBody { key: made.made.into(), secret })))
}

/// Lists the keys of the workspace, newest first.
///
/// Without the permission `key:read` these are the caller's own.
#[utoipa::path(
    get, path = "/api-keys", tag = "people", params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<ApiKeyBody>)),
)]
pub(in crate::http) async fn list_api_keys(
    State(app): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<ApiKeyBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let list = format!("api-keys {}", caller.workspace());
    let after = query.cursor.map(|cursor| app.cursors.read(&list, &cursor)).transpose()?;
    let after = after.map(|place| ApiKeyCursor { created_at: place.created_at, id: KeyId::from_uuid(place.id) });
    let rows = app.accounts.list_keys(&caller.0, &PageRequest { after, limit: limit + 1 }).await?;
    let cursor = |row: &ApiKeyRow| app.cursors.write(&list, Place { created_at: row.created_at, id: row.id.uuid() });
    Ok(Answer(Page::new(rows, limit, cursor, ApiKeyBody::from)))
}

/// Shows a key: one's own, or any with the permission `key:read`.
#[utoipa::path(
    get, path = "/api-keys/{id}", tag = "people", params(("id" = KeyId, Path)),
    responses((status = 200, description = "The key.", body = ApiKeyBody), Problems<problem::API_KEY_NOT_FOUND>),
)]
pub(in crate::http) async fn get_api_key(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<KeyId>,
) -> Result<Answer<ApiKeyBody>, ApiError> {
    Ok(Answer(app.accounts.find_key(&caller.0, id).await?.into()))
}

/// Changes one of the caller's own keys.
///
/// Permissions and an end that are left out stay as they are; null is everything that the caller may do, and no end.
#[utoipa::path(
    put, path = "/api-keys/{id}", tag = "people", security(("bearer" = ["key:write"])), params(("id" = KeyId, Path)),
    responses((status = 200, description = "The key.", body = ApiKeyBody), Problems<problem::API_KEY_NOT_FOUND>),
)]
pub(in crate::http) async fn update_api_key(
    State(app): State<AppState>,
    caller: May<KeyWrite>,
    Path(id): Path<KeyId>,
    Json(body): Json<ChangeBody>,
) -> Result<Answer<ApiKeyBody>, ApiError> {
    let changed = app.accounts.update_key(&caller.0, id, &body.change()?).await?;
    let entry = AuditEntry::from(AuditEvent::KeyUpdated(id.to_string()))
        .with("permissions", changed.permissions.len())
        .with("expires_at", changed.expires_at.map(clock::rfc3339));
    app.audit.record(caller.origin(), entry).await;
    Ok(Answer(changed.into()))
}

/// Gives one of the caller's own keys another text. The earlier one works for a while.
#[utoipa::path(
    post, path = "/api-keys/{id}/rotate", tag = "people", security(("bearer" = ["key:write"])), params(("id" = KeyId, Path)),
    responses((status = 200, description = "The key and its text.", body = NewApiKeyBody), Problems<problem::API_KEY_NOT_FOUND>),
)]
pub(in crate::http) async fn rotate_api_key(
    State(app): State<AppState>,
    caller: May<KeyWrite>,
    Path(id): Path<KeyId>,
    Json(body): Json<RotateBody>,
) -> Result<Answer<NewApiKeyBody>, ApiError> {
    let grace_ms = read_duration(body.grace.as_deref(), "/grace")?;
    let (row, token) = app.accounts.rotate_key(&caller.0, id, grace_ms).await?;
    app.audit.record(caller.origin(), AuditEvent::KeyRotated(id.to_string())).await;
    Ok(Answer(NewApiKeyBody { key: row.into(), secret: Some(token.expose().to_owned()) }))
}

/// Deletes a key: it opens nothing any more, here at once and elsewhere within seconds.
#[utoipa::path(
    delete, path = "/api-keys/{id}", tag = "people", security(("bearer" = ["key:write"])), params(("id" = KeyId, Path)),
    responses((status = 204, description = "It is gone."), Problems<problem::API_KEY_NOT_FOUND>),
)]
pub(in crate::http) async fn delete_api_key(
    State(app): State<AppState>,
    caller: May<KeyWrite>,
    Path(id): Path<KeyId>,
) -> Result<StatusCode, ApiError> {
    app.accounts.delete_key(&caller.0, id).await?;
    app.audit.record(caller.origin(), AuditEvent::KeyDeleted(id.to_string())).await;
    Ok(StatusCode::NO_CONTENT)
}

impl DraftBody {
    fn draft(&self) -> Result<KeyDraft<'_>, ApiError> {
        let expires_at = read_end(self.expires_at.as_deref())?;
        Ok(KeyDraft { name: &self.name, permissions: self.permissions.as_deref(), expires_at })
    }
}

impl ChangeBody {
    fn change(self) -> Result<KeyChange, ApiError> {
        let expires_at = match self.expires_at {
            Change::Keep => Change::Keep,
            Change::To(text) => Change::To(read_end(text.as_deref())?),
        };
        Ok(KeyChange { name: self.name, permissions: self.permissions, expires_at })
    }
}

fn read_end(text: Option<&str>) -> Result<Option<u64>, ApiError> {
    let invalid = || {
        let wrong = Problem::new("/expires_at", "invalid_time", "a time is RFC 3339, such as 2030-01-31T12:00:00Z");
        ApiError::new(&problem::INVALID_BODY, wrong.detail.clone()).with_errors(vec![wrong])
    };
    text.map(|text| parse_time(text).ok_or_else(invalid)).transpose()
}
