//! Credentials of the workspace: what nodes show to other services. Values come in and never go out.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    actors::{
        audit::AuditEvent,
        credentials::{Created, CredentialDraft},
    },
    auth::permissions::permit::{CredentialRead, CredentialWrite},
    http::{
        AppState,
        dto::{CredentialBody, CredentialTypeBody, CredentialUserBody, Items, Page, page_limit},
        error::ApiError,
        extract::{IdempotencyKey, IfMatch, Json, May, OptionalIfMatch, Path, Query, REPLAYED, etag},
        openapi::Problems,
        problem,
    },
    model::{
        change::Change,
        ids::{CredentialId, WorkflowId},
    },
    nodes::credential_types,
    store::CredentialRow,
};

/// A new credential.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCredential)]
pub(in crate::http) struct NewBody {
    /// What nodes call it; cannot be changed.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// One of `GET /credential-types`; cannot be changed.
    #[serde(rename = "type")]
    kind: String,
    #[schema(max_length = 20_000)]
    description: Option<String>,
    /// As the schema of the type says.
    #[schema(value_type = Object)]
    fields: Map<String, Value>,
}

/// What a credential becomes. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CredentialChange)]
pub(in crate::http) struct ChangeBody {
    /// Null is none; left out, it stays as it is.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 20_000)]
    description: Change<Option<String>>,
    /// All of its fields; left out, they stay as they are. New ones end an authorization by a person.
    #[schema(value_type = Option<Object>)]
    fields: Option<Map<String, Value>>,
}

/// Which credentials to show.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Of this type only.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Items of the page; 50 where it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Which part of a list to show.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UsersQuery {
    /// Items of the page; 50 where it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// How to delete.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct DeleteQuery {
    /// Whether to delete it also if active workflows name it: their nodes fail from then on.
    force: Option<bool>,
}

/// A credential with its `ETag`.
type Tagged = ([(HeaderName, HeaderValue); 1], Answer<CredentialBody>);

/// Lists the types of credentials.
#[utoipa::path(
    get, path = "/credential-types", tag = "credentials", security(("bearer" = ["credential:read"])),
    responses((status = 200, description = "All of them.", body = Items<CredentialTypeBody>)),
)]
pub(in crate::http) async fn list_credential_types(_caller: May<CredentialRead>) -> Answer<Items<CredentialTypeBody>> {
    Answer(Items { items: credential_types::all().iter().map(CredentialTypeBody::from).collect() })
}

/// Creates a credential.
///
/// Nodes name it as their `credential`. Its values are encrypted at once, and no answer ever shows them.
#[utoipa::path(
    post, path = "/credentials", tag = "credentials", security(("bearer" = ["credential:write"])), params(IdempotencyKey),
    responses(
        (status = 201, description = "The credential.", body = CredentialBody, headers(("ETag"), ("Location"))),
        Problems<(problem::CREDENTIAL_EXISTS, problem::CREDENTIALS_FULL, problem::INVALID_CREDENTIAL)>,
    ),
)]
pub(in crate::http) async fn create_credential(
    State(app): State<AppState>,
    caller: May<CredentialWrite>,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<NewBody>,
) -> Result<(StatusCode, HeaderMap, Answer<CredentialBody>), ApiError> {
    let NewBody { name, kind, description, fields } = body;
    let draft = CredentialDraft { name, kind, description, fields };
    let (row, is_replayed) = match app.credentials.create(caller.workspace(), draft, key.is_some()).await? {
        Created::New(row) => {
            app.audit.record(caller.origin(), AuditEvent::CredentialCreated(row.name.clone())).await;
            (row, false)
        }
        Created::Same(row) => (row, true),
    };
    let location = HeaderValue::try_from(format!("/api/v1/credentials/{}", row.id)).map_err(ApiError::internal)?;
    let mut headers = HeaderMap::from_iter([(header::ETAG, etag(row.version)), (header::LOCATION, location)]);
    if is_replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok((StatusCode::CREATED, headers, Answer(row.into())))
}

/// Lists the credentials by name.
#[utoipa::path(
    get, path = "/credentials", tag = "credentials", security(("bearer" = ["credential:read"])), params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<CredentialBody>)),
)]
pub(in crate::http) async fn list_credentials(
    State(app): State<AppState>,
    caller: May<CredentialRead>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<CredentialBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let rows = app.credentials.list(caller.workspace(), query.kind.as_deref(), query.cursor.as_deref(), limit + 1).await?;
    Ok(Answer(Page::new(rows, limit, |row| row.name.clone(), CredentialBody::from)))
}

/// Shows a credential, without its values.
#[utoipa::path(
    get, path = "/credentials/{id}", tag = "credentials", security(("bearer" = ["credential:read"])), params(CredentialId),
    responses(
        (status = 200, description = "The credential.", body = CredentialBody, headers(("ETag"))),
        Problems<problem::CREDENTIAL_NOT_FOUND>,
    ),
)]
pub(in crate::http) async fn get_credential(
    State(app): State<AppState>,
    caller: May<CredentialRead>,
    Path(id): Path<CredentialId>,
) -> Result<Tagged, ApiError> {
    Ok(tagged(app.credentials.find(caller.workspace(), id).await?))
}

/// Changes a credential.
#[utoipa::path(
    put, path = "/credentials/{id}", tag = "credentials", security(("bearer" = ["credential:write"])),
    params(CredentialId, IfMatch),
    responses(
        (status = 200, description = "The credential.", body = CredentialBody, headers(("ETag"))),
        Problems<(
            problem::CREDENTIAL_NOT_FOUND, problem::STALE, problem::IF_MATCH_REQUIRED, problem::INVALID_CREDENTIAL,
        )>,
    ),
)]
pub(in crate::http) async fn update_credential(
    State(app): State<AppState>,
    caller: May<CredentialWrite>,
    Path(id): Path<CredentialId>,
    if_match: IfMatch,
    Json(body): Json<ChangeBody>,
) -> Result<Tagged, ApiError> {
    let place = (caller.workspace(), id);
    let updated = app.credentials.update(place, if_match.version(), body.description, body.fields.as_ref()).await?;
    app.audit.record(caller.origin(), AuditEvent::CredentialUpdated(updated.name.clone())).await;
    Ok(tagged(updated))
}

/// Deletes a credential.
#[utoipa::path(
    delete, path = "/credentials/{id}", tag = "credentials", security(("bearer" = ["credential:write"])),
    params(CredentialId, OptionalIfMatch, DeleteQuery),
    responses(
        (status = 204, description = "It is gone."),
        Problems<(problem::CREDENTIAL_NOT_FOUND, problem::STALE, problem::CREDENTIAL_IN_USE)>,
    ),
)]
pub(in crate::http) async fn delete_credential(
    State(app): State<AppState>,
    caller: May<CredentialWrite>,
    Path(id): Path<CredentialId>,
    OptionalIfMatch(if_match): OptionalIfMatch,
    Query(query): Query<DeleteQuery>,
) -> Result<StatusCode, ApiError> {
    let version = if_match.and_then(IfMatch::version);
    let name = app.credentials.find(caller.workspace(), id).await?.name;
    app.credentials.delete((caller.workspace(), id), version, query.force.unwrap_or(false)).await?;
    app.audit.record(caller.origin(), AuditEvent::CredentialDeleted(name)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the workflows that name a credential.
///
/// Those whose latest or active version names it.
#[utoipa::path(
    get, path = "/credentials/{id}/workflows", tag = "credentials", security(("bearer" = ["credential:read"])),
    params(CredentialId, UsersQuery),
    responses(
        (status = 200, description = "A page.", body = Page<CredentialUserBody>),
        Problems<problem::CREDENTIAL_NOT_FOUND>,
    ),
)]
pub(in crate::http) async fn list_credential_workflows(
    State(app): State<AppState>,
    caller: May<CredentialRead>,
    Path(id): Path<CredentialId>,
    Query(query): Query<UsersQuery>,
) -> Result<Answer<Page<CredentialUserBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let invalid = |_| ApiError::new(&problem::INVALID_CURSOR, "take `next_cursor` of the page before");
    let after = query.cursor.map(|cursor| cursor.parse::<WorkflowId>().map_err(invalid)).transpose()?;
    let users = app.credentials.users((caller.workspace(), id), after, limit + 1).await?;
    Ok(Answer(Page::new(users, limit, |user| user.workflow.to_string(), CredentialUserBody::new)))
}

fn tagged(row: CredentialRow) -> Tagged {
    ([(header::ETAG, etag(row.version))], Answer(row.into()))
}
