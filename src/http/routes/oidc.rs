//! Logins at OpenID providers, for browsers: there and back again.

use axum::{
    Json as Answer,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actors::{
        accounts::{ExternalLoginError, LoginProvider, Whose},
        audit::AuditEvent,
    },
    auth::oidc::{self, OidcError},
    http::{
        AppState,
        cookies::Way,
        dto::Items,
        error::ApiError,
        extract::{Path, Query, Unknown, Via},
        openapi::Problems,
        problem,
    },
};

/// Bytes of a path to return to.
const RETURN_BYTES_MAX: usize = 2_000;

/// A provider that people may log in with.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct LoginProviderBody {
    name: String,
    /// What people read on the button.
    label: String,
    /// Where the button leads.
    href: String,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct StartQuery {
    /// The path of this server to go to afterwards; `/` where it is not given.
    #[param(max_length = 2000, pattern = "^/([!-.0-\\[\\]-~][!-~]*)?$")]
    return_to: Option<String>,
}

/// Lists the OpenID providers that people may log in with.
#[utoipa::path(
    get, path = "/auth/oidc", tag = "auth", security(()),
    responses((status = 200, description = "All of them.", body = Items<LoginProviderBody>)),
)]
pub(in crate::http) async fn list_login_providers(State(app): State<AppState>) -> Answer<Items<LoginProviderBody>> {
    let shown = |(name, known): (&str, &LoginProvider)| LoginProviderBody {
        name: name.to_owned(),
        label: known.label.clone(),
        href: format!("/api/v1/auth/oidc/{name}/start"),
    };
    Answer(Items { items: app.login_providers.iter().map(shown).collect() })
}

/// Sends a browser to a provider.
#[utoipa::path(
    get, path = "/auth/oidc/{provider}/start", tag = "auth", security(()), params(("provider" = String, Path), StartQuery),
    responses(
        (status = 303, description = "To the provider.", headers(("Location"), ("Set-Cookie" = String, description = "The login."))),
        Problems<(
            problem::INVALID_HEADER,
            problem::LOGIN_PROVIDER_NOT_FOUND,
            problem::LOGIN_PROVIDER_FAILED,
            problem::UNAVAILABLE,
        )>,
    ),
)]
pub(in crate::http) async fn start_external_login(
    State(app): State<AppState>,
    Path(provider): Path<String>,
    Query(query): Query<StartQuery>,
    Via(way): Via,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let return_to = query.return_to.unwrap_or_else(|| "/".to_owned());
    if !is_own_path(&return_to) {
        return Err(ApiError::new(&problem::INVALID_QUERY, "`return_to` is a path of this server, such as `/workflows`"));
    }
    let redirect_uri = format!("{}/api/v1/auth/oidc/{provider}/callback", base_url(&app, way, &headers)?);
    let (url, kept) = app.login_providers.begin(&provider, redirect_uri, return_to).await?;
    Ok(see_other(&url, [way.set_login(&kept)]))
}

/// Takes a browser back from a provider, and logs its user in with a cookie.
#[utoipa::path(
    get, path = "/auth/oidc/{provider}/callback", tag = "auth", security(()), params(("provider" = String, Path)),
    responses(
        (status = 303, description = "To where the login began.", headers(("Location"), ("Set-Cookie" = String, description = "The session."))),
        Problems<(problem::LOGIN_PROVIDER_NOT_FOUND, problem::EXTERNAL_LOGIN_FAILED, problem::LOGIN_PROVIDER_FAILED, problem::UNAVAILABLE)>,
    ),
)]
pub(in crate::http) async fn finish_external_login(
    State(app): State<AppState>,
    Path(provider): Path<String>,
    Via(way): Via,
    Unknown(origin): Unknown,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    // Providers add what they like: only these are looked at.
    let query = query.unwrap_or_default();
    let find = |wanted: &str| form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted).map(|(_, value)| value);
    let not_pending = || ExternalLoginError::Oidc(OidcError::NotPending);
    let pending = app.login_providers.open(way.read_login(&headers).ok_or_else(not_pending)?)?;
    pending.check(&provider, &find("state").unwrap_or_default()).map_err(ExternalLoginError::from)?;
    if let Some(code) = find("error") {
        return Err(ExternalLoginError::Oidc(OidcError::refused(&code)).into());
    }
    let code = find("code").ok_or_else(not_pending)?;
    let issuer = find("iss");
    let came = oidc::Answer { code: &code, issuer: issuer.as_deref() };
    let mut changes = Vec::new();
    let login = app.accounts.login_external(&app.login_providers, &pending, &came, &mut changes).await;
    match &login {
        Ok(session) => changes.push(AuditEvent::LoggedIn(session.whose.user)),
        Err(ExternalLoginError::Denied(_)) => changes.push(AuditEvent::LoginFailed(None)),
        Err(ExternalLoginError::UnknownProvider | ExternalLoginError::Oidc(_) | ExternalLoginError::Store(_)) => {}
    }
    let origin = match login.as_ref().map(|session| session.whose) {
        Ok(Whose { user, home }) => origin.by_user(home, user),
        Err(_) => origin,
    };
    for change in changes {
        app.audit.record(origin.clone(), change).await;
    }
    let session = login?;
    Ok(see_other(&pending.return_to, [way.set(&session), way.unset_login()]))
}

fn see_other<const N: usize>(url: &str, cookies: [HeaderValue; N]) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    // What has been checked before, and URLs as the library writes them, are fit for a header.
    headers.insert(header::LOCATION, HeaderValue::try_from(url).unwrap_or(HeaderValue::from_static("/")));
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

/// The address of this server, as browsers see it.
///
/// Errors: `invalid_header` where nobody says it.
pub(in crate::http) fn base_url(app: &AppState, way: Way, headers: &HeaderMap) -> Result<String, ApiError> {
    if let Some(url) = &app.public_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host =
        host.ok_or_else(|| ApiError::new(&problem::INVALID_HEADER, "the header Host is missing: set `http.public_url`"))?;
    Ok(match way {
        Way::Secure => format!("https://{host}"),
        Way::PlainLoopback => format!("http://{host}"),
    })
}

impl From<ExternalLoginError> for ApiError {
    fn from(error: ExternalLoginError) -> Self {
        match error {
            ExternalLoginError::UnknownProvider => {
                Self::new(&problem::LOGIN_PROVIDER_NOT_FOUND, "GET /api/v1/auth/oidc lists them")
            }
            ExternalLoginError::Oidc(OidcError::NotPending | OidcError::Refused(_)) | ExternalLoginError::Denied(_) => {
                Self::new(&problem::EXTERNAL_LOGIN_FAILED, error.to_string())
            }
            ExternalLoginError::Oidc(OidcError::Egress { .. } | OidcError::Answer { .. }) => {
                let shown = Self::new(&problem::LOGIN_PROVIDER_FAILED, "the cause is in the server's log under the request's id");
                Self { source: Some(std::sync::Arc::new(error)), ..shown }
            }
            ExternalLoginError::Store(source) => source.into(),
        }
    }
}

/// Whether a browser that is sent there stays here. `//host` and `/\host` lead elsewhere.
fn is_own_path(path: &str) -> bool {
    let is_printable = path.bytes().all(|byte| byte.is_ascii_graphic());
    is_printable && path.len() <= RETURN_BYTES_MAX && path.starts_with('/') && !path[1..].starts_with(['/', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_to_paths_of_this_server_only() {
        for path in ["/", "/workflows?a=b#c", &format!("/{}", "x".repeat(RETURN_BYTES_MAX - 1))] {
            assert!(is_own_path(path), "{path}");
        }
        for path in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "/ä", &"/".repeat(RETURN_BYTES_MAX + 1)]
        {
            assert!(!is_own_path(path), "{path}");
        }
    }
}
