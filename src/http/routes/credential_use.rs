//! Trying a credential, and the agreement of a person to one.

use std::time::{Duration, Instant};

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::Html,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{
    actors::{
        audit::{AuditEvent, Origin},
        credentials::{CredentialError, CredentialsHandle},
        trial::{TrialError, TrialRequest},
    },
    auth::permissions::{Permission, permit::CredentialWrite},
    http::{
        AppState,
        dto::{AuthorizationBody, CredentialTestBody, Time},
        error::ApiError,
        extract::{Json, May, Path, Query, Unknown, Via},
        openapi::Problems,
        problem,
        routes::oidc::base_url,
    },
    model::{
        ids::{CredentialId, WorkspaceId},
        item::Item,
        problem::Problem,
    },
    nodes::credential_types::{self, Probe},
    store::CredentialRow,
};

/// How long a test may take.
const TEST_MAX: Duration = Duration::from_secs(20);
/// Where a service sends a person back to, below `/api/v1`.
const CALLBACK: &str = "/credentials/oauth2/callback";
/// The page that a person sees who has agreed. It has no script and no style, so that no policy has to allow any.
const AGREED: &str =
    "<!doctype html><meta charset=utf-8><title>Citadel</title><p>The credential is connected. You may close this page.";
/// The page that a person sees who has not.
const REFUSED: &str =
    "<!doctype html><meta charset=utf-8><title>Citadel</title><p>The service did not agree. The credential is as it was before.";

/// What to try.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CredentialTestInput)]
pub(in crate::http) struct TestBody {
    /// For types that are sent with requests: a GET request goes there.
    url: Option<String>,
}

/// What a service sends a person back with.
#[derive(Deserialize, utoipa::IntoParams)]
pub(in crate::http) struct CallbackQuery {
    /// From the URL that the person opened.
    state: String,
    /// Proof of the agreement.
    code: Option<String>,
    /// Why there is none.
    error: Option<String>,
}

/// Tries a credential.
///
/// What is sent with requests is sent to `url`, which needs `credential:use`, too; a database is asked a question; an OAuth
/// credential gets a new token. All of it goes through the egress policy. A credential that does not work is an answer, too.
#[utoipa::path(
    post, path = "/credentials/{id}/test", tag = "credentials", security(("bearer" = ["credential:write"])),
    params(CredentialId),
    responses(
        (status = 200, description = "What came of it.", body = CredentialTestBody),
        Problems<(
            problem::CREDENTIAL_NOT_FOUND, problem::INVALID_CREDENTIAL, problem::OVERLOADED, problem::DRAINING,
        )>,
    ),
)]
pub(in crate::http) async fn test_credential(
    State(app): State<AppState>,
    caller: May<CredentialWrite>,
    Path(id): Path<CredentialId>,
    Json(body): Json<TestBody>,
) -> Result<Answer<CredentialTestBody>, ApiError> {
    if body.url.is_some() {
        caller.require(Permission::CredentialUse)?;
    }
    let row = app.credentials.find(caller.workspace(), id).await?;
    app.audit.record(caller.origin(), AuditEvent::CredentialTested(row.name.clone())).await;
    let probe = credential_types::find(&row.kind).map_or(Probe::None, |kind| kind.probe);
    let not_testable = |detail: String| ApiError::new(&problem::INVALID_CREDENTIAL, detail);
    match (probe, body.url) {
        (Probe::Token, None) => Ok(Answer(try_token(&app.credentials, caller.workspace(), id).await)),
        (Probe::Query, None) => try_node(&app, row, "sql", json!({ "query": "select 1 as one" })).await,
        (Probe::Request | Probe::Token, Some(url)) => {
            // A URL is no place for expressions here.
            if url.contains("{{") {
                return Err(not_testable("`url` takes no expression".to_owned()));
            }
            try_node(&app, row, "http.request", json!({ "url": url })).await
        }
        (Probe::Request, None) => Err(not_testable(format!("a credential of type {} is tested with a `url`", row.kind))),
        (Probe::Query, Some(_)) => Err(not_testable(format!("a credential of type {} is tested without a `url`", row.kind))),
        (Probe::None, _) => {
            Err(not_testable(format!("a credential of type {} cannot be tested: only its user knows how", row.kind)))
        }
    }
}

async fn try_token(credentials: &CredentialsHandle, workspace: WorkspaceId, id: CredentialId) -> CredentialTestBody {
    let began = Instant::now();
    let tried = credentials.try_token(workspace, id).await;
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match tried {
        Ok(()) => CredentialTestBody { ok: true, detail: "the service granted a token".to_owned(), code: None, duration_ms },
        Err(error) => {
            let error = error.into_node_error(&id.to_string());
            CredentialTestBody { ok: false, detail: error.message, code: Some(error.code), duration_ms }
        }
    }
}

/// Tries a credential with a node that uses it.
async fn try_node(
    app: &AppState,
    row: CredentialRow,
    node_type: &str,
    params: Value,
) -> Result<Answer<CredentialTestBody>, ApiError> {
    let Value::Object(params) = params else { return Err(ApiError::internal_without_source()) };
    let request = TrialRequest {
        workspace: row.workspace,
        node_type: node_type.to_owned(),
        params,
        credential: Some(row.name),
        items: vec![Item::from_value(Value::Object(Map::new()))],
        timeout: TEST_MAX,
    };
    let report = app.trials.run(request).await.map_err(refuse_trial)?;
    let duration_ms = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX);
    Ok(Answer(match report.result {
        Ok(_) => CredentialTestBody { ok: true, detail: format!("{node_type} succeeded with it"), code: None, duration_ms },
        Err(error) => CredentialTestBody { ok: false, detail: error.message, code: Some(error.code), duration_ms },
    }))
}

/// A trial that cannot even begin: the URL is none.
fn refuse_trial(error: TrialError) -> ApiError {
    let TrialError::Invalid(problems) = error else { return error.into() };
    let of_body = |problem: Problem| match problem.pointer.strip_prefix("/params") {
        Some(pointer) => Problem { pointer: pointer.to_owned(), ..problem },
        None => problem,
    };
    let errors = problems.into_iter().map(of_body).collect();
    ApiError::new(&problem::INVALID_CREDENTIAL, "it cannot be tried like this: see `errors`").with_errors(errors)
}

/// Begins the agreement of a person.
///
/// For credentials of the type `oauth2_authorization_code`. Open the URL within ten minutes; the service sends the browser back here, and
/// the credential has its tokens. The address of this server is the setting `http.public_url`, else the one that this request names.
#[utoipa::path(
    post, path = "/credentials/{id}/authorize", tag = "credentials", security(("bearer" = ["credential:write"])),
    params(CredentialId),
    responses(
        (status = 200, description = "Where the person agrees.", body = AuthorizationBody),
        Problems<(problem::CREDENTIAL_NOT_FOUND, problem::INVALID_CREDENTIAL)>,
    ),
)]
pub(in crate::http) async fn authorize_credential(
    State(app): State<AppState>,
    caller: May<CredentialWrite>,
    Path(id): Path<CredentialId>,
    Via(way): Via,
    headers: HeaderMap,
) -> Result<Answer<AuthorizationBody>, ApiError> {
    let redirect_uri = format!("{}/api/v1{CALLBACK}", base_url(&app, way, &headers)?);
    let authorization = app.credentials.authorize((caller.workspace(), id), redirect_uri.clone()).await?;
    Ok(Answer(AuthorizationBody { url: authorization.url, expires_at: Time(authorization.expires_at), redirect_uri }))
}

/// Takes a person's agreement.
///
/// Services send browsers here, which have no token: the `state` says what it belongs to, and is good once.
#[utoipa::path(
    get, path = "/credentials/oauth2/callback", tag = "credentials", security(()), params(CallbackQuery),
    responses(
        (status = 200, description = "A page that says what became of it.", body = String, content_type = "text/html"),
        Problems<(problem::INVALID_QUERY, problem::INVALID_AUTHORIZATION)>,
    ),
)]
pub(in crate::http) async fn complete_authorization(
    State(app): State<AppState>,
    Unknown(origin): Unknown,
    Query(query): Query<CallbackQuery>,
) -> Result<(StatusCode, Html<&'static str>), ApiError> {
    if let Some(code) = &query.code {
        let row = app.credentials.complete_authorization(&query.state, code).await?;
        let origin = Origin { workspace: row.workspace, ..origin };
        app.audit.record(origin, AuditEvent::CredentialAuthorized(row.name.clone())).await;
        tracing::info!(credential = %row.id, "a person has authorized a credential");
        return Ok((StatusCode::OK, Html(AGREED)));
    }
    app.credentials.check_authorization(&query.state)?;
    // What the service says comes from outside and goes nowhere but to the log, in part.
    let reason: String = query.error.unwrap_or_default().chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
    tracing::info!(reason, "a person has not authorized a credential");
    Ok((StatusCode::OK, Html(REFUSED)))
}

impl From<CredentialError> for ApiError {
    fn from(error: CredentialError) -> Self {
        let detail = error.to_string();
        match error {
            CredentialError::NotFound => Self::new(&problem::CREDENTIAL_NOT_FOUND, "check the id, or list the credentials"),
            CredentialError::Exists => Self::new(&problem::CREDENTIAL_EXISTS, "change it with PUT, or choose another name"),
            CredentialError::Full => Self::new(&problem::CREDENTIALS_FULL, detail),
            CredentialError::Stale { version } => {
                let detail = format!("it is at version {version}: read it, and apply your change to it");
                Self::new(&problem::STALE, detail).with_header(header::ETAG, crate::http::extract::etag(version))
            }
            CredentialError::Busy => Self::new(&problem::UNAVAILABLE, detail).with_retry_after_ms(1_000),
            CredentialError::InUse { .. } => {
                Self::new(&problem::CREDENTIAL_IN_USE, format!("{detail}: deactivate it, or delete with `force=true`"))
            }
            CredentialError::Invalid(problems) => {
                let detail = format!("{}: see `errors`", crate::model::problem::counted(problems.len(), "problem"));
                Self::new(&problem::INVALID_CREDENTIAL, detail).with_errors(problems)
            }
            CredentialError::TooLarge { .. } => Self::new(&problem::TOO_LARGE, detail),
            CredentialError::NoAuthorization { .. } => Self::new(&problem::INVALID_CREDENTIAL, detail),
            CredentialError::UnknownAuthorization(_) | CredentialError::Token(_) => {
                Self::new(&problem::INVALID_AUTHORIZATION, detail)
            }
            CredentialError::Unreadable { .. } => Self::internal(error),
            CredentialError::Store(source) => source.into(),
        }
    }
}
