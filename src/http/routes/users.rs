//! Accounts of the people in a workspace.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    actors::{
        accounts::{ChangedUser, NewUser},
        audit::{AuditEntry, AuditEvent},
    },
    auth::permissions::permit::{MemberRead, MemberWrite},
    http::{
        AppState,
        dto::{AccountBody, Page, page_limit},
        error::ApiError,
        extract::{IdempotencyKey, Json, May, Path, Query, REPLAYED},
        openapi::Problems,
        problem,
    },
    model::ids::UserId,
    store::MemberRow,
};

/// Which part of a list to show.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Items of the page; 50 where it is not given.
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

impl ListQuery {
    /// The id that the page begins above.
    ///
    /// Errors: `invalid_cursor`.
    pub(super) fn after<I: std::str::FromStr>(&self) -> Result<Option<I>, ApiError> {
        let invalid = |_| ApiError::new(&problem::INVALID_CURSOR, "take `next_cursor` of the page before");
        self.cursor.as_deref().map(|cursor| cursor.parse().map_err(invalid)).transpose()
    }
}

/// Somebody to make an account for. Has no `Debug`: it holds a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAccount)]
pub(in crate::http) struct NewBody {
    email: String,
    name: String,
    password: String,
    /// What they are in this workspace.
    role: String,
}

/// What an account becomes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountChange)]
pub(in crate::http) struct ChangeBody {
    name: String,
    /// Whether nothing opens for them: no login, no session, no key. Left out, it stays as it is.
    disabled: Option<bool>,
}

/// Makes an account for somebody, in the caller's workspace.
///
/// The role may not do more than the caller. Somebody who has an account already is invited instead.
#[utoipa::path(
    post, path = "/users", tag = "people", security(("bearer" = ["member:write"])), params(IdempotencyKey),
    responses(
        (status = 201, description = "The account.", body = AccountBody, headers(("Location"))),
        Problems<(problem::USER_EXISTS, problem::LIMIT_REACHED, problem::KEY_MISMATCH, problem::OVERLOADED)>,
    ),
)]
pub(in crate::http) async fn create_user(
    State(app): State<AppState>,
    caller: May<MemberWrite>,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<NewBody>,
) -> Result<(StatusCode, HeaderMap, Answer<AccountBody>), ApiError> {
    let NewBody { email, name, password, role } = &body;
    let new = NewUser { email, name, password, role, idempotency_key: key.as_deref() };
    let made = app.accounts.create_user(&caller.0, &new).await?;
    if !made.replayed {
        let entry = AuditEntry::from(AuditEvent::UserCreated(made.made.user)).with("role", made.made.role.as_str());
        app.audit.record(caller.origin(), entry).await;
    }
    let headers = created(format!("/api/v1/users/{}", made.made.user), made.replayed)?;
    Ok((StatusCode::CREATED, headers, Answer(made.made.into())))
}

/// Lists the accounts of the workspace's members, the oldest first.
#[utoipa::path(
    get, path = "/users", tag = "people", security(("bearer" = ["member:read"])), params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<AccountBody>)),
)]
pub(in crate::http) async fn list_users(
    State(app): State<AppState>,
    caller: May<MemberRead>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<AccountBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let rows = app.accounts.list_members(&caller.0, query.after()?, limit + 1).await?;
    Ok(Answer(Page::new(rows, limit, |row: &MemberRow| row.user.to_string(), AccountBody::from)))
}

/// Shows the account of a member.
#[utoipa::path(
    get, path = "/users/{id}", tag = "people", security(("bearer" = ["member:read"])), params(("id" = UserId, Path)),
    responses((status = 200, description = "The account.", body = AccountBody), Problems<problem::USER_NOT_FOUND>),
)]
pub(in crate::http) async fn get_user(
    State(app): State<AppState>,
    caller: May<MemberRead>,
    Path(id): Path<UserId>,
) -> Result<Answer<AccountBody>, ApiError> {
    Ok(Answer(app.accounts.find_member(&caller.0, id).await?.into()))
}

/// Renames, disables or enables an account.
///
/// Only the workspace that looks after it does that, and nobody whom the account outranks.
#[utoipa::path(
    put, path = "/users/{id}", tag = "people", security(("bearer" = ["member:write"])), params(("id" = UserId, Path)),
    responses(
        (status = 200, description = "The account.", body = AccountBody),
        Problems<(problem::USER_NOT_FOUND, problem::LAST_OWNER)>,
    ),
)]
pub(in crate::http) async fn update_user(
    State(app): State<AppState>,
    caller: May<MemberWrite>,
    Path(id): Path<UserId>,
    Json(body): Json<ChangeBody>,
) -> Result<Answer<AccountBody>, ApiError> {
    let changed = app.accounts.update_user(&caller.0, id, &body.name, body.disabled).await?;
    for event in events_of(&changed) {
        app.audit.record(caller.origin(), event).await;
    }
    Ok(Answer(changed.after.into()))
}

/// Deletes an account with its memberships, sessions and keys.
#[utoipa::path(
    delete, path = "/users/{id}", tag = "people", security(("bearer" = ["member:write"])), params(("id" = UserId, Path)),
    responses((status = 204, description = "It is gone."), Problems<(problem::USER_NOT_FOUND, problem::LAST_OWNER)>),
)]
pub(in crate::http) async fn delete_user(
    State(app): State<AppState>,
    caller: May<MemberWrite>,
    Path(id): Path<UserId>,
) -> Result<StatusCode, ApiError> {
    app.accounts.delete_user(&caller.0, id).await?;
    app.audit.record(caller.origin(), AuditEvent::UserDeleted(id)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// What the audit log says about a change: each thing that has become another one, and nothing about what has not.
fn events_of(ChangedUser { before, after }: &ChangedUser) -> impl Iterator<Item = AuditEvent> {
    let is_renamed = before.name != after.name;
    let switched = match (before.disabled_at, after.disabled_at) {
        (None, Some(_)) => Some(AuditEvent::UserDisabled(after.user)),
        (Some(_), None) => Some(AuditEvent::UserEnabled(after.user)),
        (None, None) | (Some(_), Some(_)) => None,
    };
    is_renamed.then_some(AuditEvent::UserUpdated(after.user)).into_iter().chain(switched)
}

/// The headers of something made at a path.
pub(super) fn created(location: String, replayed: bool) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::from_iter([(header::LOCATION, HeaderValue::try_from(location).map_err(ApiError::internal)?)]);
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(headers)
}
