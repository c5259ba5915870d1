//! The console's sessions: a cookie in the place of a token.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::auth::{LoginBody, record_login, record_logout};
use crate::http::{
    AppState,
    error::ApiError,
    extract::{ClientAddress, Json, Unknown, Via},
    openapi::Problems,
    problem,
};

/// Logs a user in with a cookie.
///
/// For browsers: the cookie is good wherever a token is, also for streams of events. Scripts cannot read it. The session ends after
/// 12 hours without a request, and after 14 days in any case.
#[utoipa::path(
    post, path = "/auth/session", tag = "auth", security(()),
    responses(
        (status = 204, description = "The cookie is set.", headers(("Set-Cookie" = String, description = "The session."))),
        Problems<(problem::LOGIN_FAILED, problem::TOO_MANY_LOGINS, problem::OVERLOADED, problem::UNAVAILABLE)>,
    ),
)]
pub(in crate::http) async fn open_session(
    State(app): State<AppState>,
    Via(way): Via,
    ClientAddress(address): ClientAddress,
    Unknown(origin): Unknown,
    Json(body): Json<LoginBody>,
) -> Result<Response, ApiError> {
    let outcome = app.accounts.open_console(&body.email, &body.password, address).await;
    record_login(&app, origin, outcome.as_ref().map(|session| session.whose)).await;
    Ok(with_cookie(way.set(&outcome?)))
}

/// Ends the session of the cookie. One that has ended already, or none, is no mistake.
#[utoipa::path(
    delete, path = "/auth/session", tag = "auth", security((), ("session" = [])),
    responses(
        (status = 204, description = "The cookie is taken away.", headers(("Set-Cookie" = String, description = "Nothing."))),
        Problems<problem::UNAVAILABLE>,
    ),
)]
pub(in crate::http) async fn close_session(
    State(app): State<AppState>,
    Via(way): Via,
    Unknown(origin): Unknown,
    request: Request,
) -> Result<Response, ApiError> {
    if let Some(secret) = way.read(request.headers()) {
        let whose = app.accounts.close_console(secret).await?;
        record_logout(&app, origin, whose).await;
    }
    Ok(with_cookie(way.unset()))
}

fn with_cookie(cookie: HeaderValue) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}
