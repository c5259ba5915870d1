//! What surrounds every request: an id, a log span, a deadline where one is due, and problems in one form, whoever raised them.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use metrics::counter;
use tracing::Instrument;

use super::{
    error::ApiError,
    extract::{RequestId, trace_of},
    guard::Place,
    problem::{self, ProblemBody, ProblemType},
};
use crate::{clock, model::duration::DurationMs};

/// The header that carries the request's id both ways.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id that a client chooses; a longer one is replaced.
const REQUEST_ID_CHARS_MAX: usize = 128;
/// Bytes of all header names and values of a request. The connection's buffer holds twice as much; what does not fit there is
/// refused before it is a request.
const HEADERS_BYTES_MAX: usize = 32 * 1024;
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Marks a response that is sent as it is although its status is an error: a workflow made it, or it is a health report.
#[derive(Clone, Copy)]
pub(super) struct AsItIs;

/// Gives the request an id and a span, writes problems, and tells browsers what they may not do with the answer.
pub(super) async fn envelope(mut request: Request, next: Next) -> Response {
    let (request_id, place) = (request_id_of(&request), Place::of(&request));
    let span = tracing::info_span!(
        "request",
        request.id = %request_id,
        http.method = %request.method(),
        http.path = request.uri().path(),
        trace.id = tracing::field::Empty,
    );
    if let Some(trace) = trace_of(request.headers()) {
        span.record("trace.id", trace.trace_id());
    }
    request.extensions_mut().insert(RequestId(Arc::clone(&request_id)));
    let mut response = async move {
        let response = if headers_bytes(request.headers()) > HEADERS_BYTES_MAX {
            let detail = format!("names and values have {HEADERS_BYTES_MAX} bytes at most");
            ApiError::new(&problem::HEADERS_TOO_LARGE, detail).into_response()
        } else {
            next.run(request).await
        };
        tracing::debug!(http.status = response.status().as_u16(), "request answered");
        response
    }
    .instrument(span.clone())
    .await;
    if is_unwritten_problem(&response) {
        let _entered = span.enter();
        response = write_problem(response, &request_id);
    }
    place.protect(response.headers_mut());
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Ends requests that take longer than `limit`.
pub(super) async fn deadline(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            let detail = format!("a request like this may take {}", DurationMs(limit_ms));
            ApiError::new(&problem::REQUEST_TIMED_OUT, detail).into_response()
        }
    }
}

/// The answer to a request whose handler panicked.
pub(super) fn answer_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = message.unwrap_or("without a message"), "a request handler panicked");
    ApiError::internal_without_source().into_response()
}

/// The client's id if it is fit for a header and a log, else a new one.
fn request_id_of(request: &Request) -> Arc<str> {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let fit = |id: &&str| !id.is_empty() && id.len() <= REQUEST_ID_CHARS_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
    given.filter(fit).map_or_else(|| clock::new_uuid().simple().to_string().into(), Arc::from)
}

fn headers_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn is_unwritten_problem(response: &Response) -> bool {
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    is_error && response.extensions().get::<AsItIs>().is_none()
}

/// Writes the problem of a response: that of a handler, or one for a bare status of the framework.
fn write_problem(response: Response, request_id: &str) -> Response {
    let (mut parts, _) = response.into_parts();
    let error = parts.extensions.remove::<ApiError>().unwrap_or_else(|| framework_error(parts.status));
    if let Some(source) = &error.source {
        log_failure(&error, &**source);
    }
    if is_pushback(error.problem.status) {
        counter!("citadel_http_rejected_total", "code" => error.problem.code).increment(1);
    }
    let body = ProblemBody {
        problem_type: format!("/problems/{}", error.problem.code),
        title: error.problem.title,
        status: error.problem.status.as_u16(),
        detail: &error.detail,
        code: error.problem.code,
        request_id,
        execution_id: error.execution,
        errors: &error.errors,
    };
    let mut written = Json(body).into_response();
    *written.status_mut() = error.problem.status;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
    *written.headers_mut() = parts.headers;
    written
}

/// Whether a client is asked to come again later.
fn is_pushback(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// The problem of an error status that no handler of ours made.
fn framework_error(status: StatusCode) -> ApiError {
    let same_status = |known: &&ProblemType| known.status == status;
    match problem::ALL.iter().find(same_status) {
        Some(known) if !status.is_server_error() => ApiError::new(known, known.title),
        Some(_) | None => ApiError::internal_without_source(),
    }
}

/// Logs a cause with everything below it.
fn log_failure(error: &ApiError, source: &(dyn std::error::Error + 'static)) {
    let mut causes = vec![source.to_string()];
    let mut next = source.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    tracing::error!(code = error.problem.code, cause = causes.join(": "), "request failed");
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
