//! What keeps the web pages of others away, and what browsers are told about answers. Browsers send cookies along with requests
//! that any page makes: so a request that changes something has to come from the server's own pages, from an origin that the
//! operator lists, or from no browser at all. Webhooks are for everybody: a workflow decides about them.
//! Sources: the Fetch standard (CORS), Fetch Metadata, OWASP's cheat sheet on cross-site request forgery.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{AppState, error::ApiError, extract::OverTls, problem};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// Answers of the API are data: nothing in them may run, and no page may frame them.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// A browser that has come by TLS once comes that way for a year. Source: RFC 6797.
const TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");
const HOOKS: &str = "/hooks/";
const API: &str = "/api/";
const CORS_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// What a page may send beside what every page may.
const CORS_REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, if-match, last-event-id, prefer, citadel-workspace, x-request-id, traceparent",
);
/// What a page may read beside what every page may.
const CORS_RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "etag, location, retry-after, ratelimit, ratelimit-policy, x-request-id, idempotent-replayed, preference-applied",
);
/// Seconds for which a browser need not ask again.
const CORS_AGE_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// The origins of web pages that may call the API, beside the server's own. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Origins(Arc<BTreeSet<HeaderValue>>);

impl Origins {
    /// Those that the operator lists; what is fit for no header is no origin.
    pub fn new(listed: &[String]) -> Self {
        Self(Arc::new(listed.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect()))
    }

    /// The origin of a request's page, if it is a listed one.
    fn listed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        headers.get(header::ORIGIN).and_then(|origin| self.0.get(origin)).cloned()
    }
}

/// Refuses what pages of others must not do, and lets those of listed origins read the answers.
pub(super) async fn guard(State(app): State<AppState>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with(API) {
        return next.run(request).await;
    }
    let listed = app.origins.listed(request.headers());
    if let Some(origin) = &listed
        && is_preflight(&request)
    {
        return allow(StatusCode::NO_CONTENT.into_response(), origin, true);
    }
    let is_foreign =
        changes_something(request.method()) && is_cross_site(&request) && (listed.is_none() || acts_by_cookie(request.headers()));
    let response = if is_foreign { refuse(listed.is_some()).into_response() } else { next.run(request).await };
    match &listed {
        Some(origin) => allow(response, origin, false),
        None if !app.origins.0.is_empty() => varied(response),
        None => response,
    }
}

/// Whether a browser asks what it may do, before it does it.
fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// A page that is listed logs in, and brings its token: it does not act with the cookie of whoever looks at it.
fn acts_by_cookie(headers: &HeaderMap) -> bool {
    headers.contains_key(header::COOKIE) && !headers.contains_key(header::AUTHORIZATION)
}

fn changes_something(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a request comes from a page of somebody else, or from a browser that does not say which page it was. What carries no
/// cookie but a token of its own was not sent by a browser behind its user's back.
fn is_cross_site(request: &Request) -> bool {
    let headers = request.headers();
    let has_cookie = headers.contains_key(header::COOKIE);
    if headers.contains_key(header::AUTHORIZATION) && !has_cookie {
        return false;
    }
    match (headers.get(&FETCH_SITE).map(HeaderValue::as_bytes), headers.get(header::ORIGIN)) {
        (Some(b"same-origin" | b"none"), _) => false,
        (Some(_), _) => true,
        (None, Some(origin)) => !is_own(origin, headers.get(header::HOST), request.extensions()),
        (None, None) => has_cookie,
    }
}

/// Whether an origin is the one that the request went to. Without TLS here there may be a proxy that has it.
fn is_own(origin: &HeaderValue, host: Option<&HeaderValue>, extensions: &Extensions) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let of_http = || origin.strip_prefix("http://").filter(|_| extensions.get::<OverTls>().is_none());
    let named = origin.strip_prefix("https://").or_else(of_http);
    named.is_some_and(|named| host.is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(named.as_bytes())))
}

/// A page of a listed origin is refused for its cookie only.
fn refuse(is_listed: bool) -> ApiError {
    let detail = if is_listed {
        "a page of `http.cors_origins` sends a token as `Authorization`, no cookie"
    } else {
        "only the server's own pages and those of `http.cors_origins` may do this"
    };
    ApiError::new(&problem::CROSS_SITE, detail)
}

/// Lets a page read the answer.
fn allow(response: Response, origin: &HeaderValue, is_preflight: bool) -> Response {
    let mut response = varied(response);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    if is_preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, CORS_METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, CORS_REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, CORS_AGE_SECONDS);
    } else {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, CORS_RESPONSE_HEADERS);
    }
    response
}

/// Says that the answer is another one for another origin.
fn varied(mut response: Response) -> Response {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    response
}

/// What the headers of an answer depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    is_hook: bool,
    is_api: bool,
    is_over_tls: bool,
}

impl Place {
    pub(super) fn of(request: &Request) -> Self {
        let path = request.uri().path();
        let is_over_tls = request.extensions().get::<OverTls>().is_some();
        Self { is_hook: path.starts_with(HOOKS), is_api: path.starts_with(API), is_over_tls }
    }

    /// Adds the headers that keep browsers from doing too much with an answer, unless the answer has its own.
    pub(super) fn protect(self, headers: &mut HeaderMap) {
        let mut add = |name: HeaderName, value: HeaderValue| {
            headers.entry(name).or_insert(value);
        };
        add(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.is_over_tls {
            add(header::STRICT_TRANSPORT_SECURITY, TLS_ONLY);
        }
        // What a workflow answers may be framed and embedded: the form on a customer's page, say. It is sandboxed where it is made.
        if self.is_hook {
            return;
        }
        add(header::CONTENT_SECURITY_POLICY, NOTHING);
        add(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        add(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        add(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
        add(OPENER_POLICY, HeaderValue::from_static("same-origin"));
        if self.is_api {
            add(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
