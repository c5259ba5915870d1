//! Who may change something, by what browsers say about a request.

use axum::body::Body;

use super::*;

/// A request to `citadel.example` over plain HTTP with these headers.
fn request(headers: &[(&str, &str)]) -> Request {
    let mut builder = Request::post("/api/v1/workflows").header("host", "citadel.example:8080");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::empty()).unwrap()
}

#[track_caller]
fn check(headers: &[(&str, &str)], expected: bool) {
    assert_eq!(is_cross_site(&request(headers)), expected, "{headers:?}");
}

const COOKIE: (&str, &str) = ("cookie", "session=x");
const TOKEN: (&str, &str) = ("authorization", "Bearer x");

#[test]
fn believes_what_the_browser_says_about_the_page() {
    check(&[COOKIE, ("sec-fetch-site", "same-origin")], false);
    check(&[COOKIE, ("sec-fetch-site", "none")], false);
    check(&[COOKIE, ("sec-fetch-site", "same-site")], true);
    check(&[COOKIE, ("sec-fetch-site", "cross-site")], true);
    check(&[("sec-fetch-site", "cross-site")], true);
    check(&[COOKIE, ("sec-fetch-site", "cross-site"), ("origin", "http://citadel.example:8080")], true);
}

#[test]
fn compares_the_origin_where_the_browser_says_nothing_else() {
    check(&[COOKIE, ("origin", "http://citadel.example:8080")], false);
    check(&[COOKIE, ("origin", "https://CITADEL.example:8080")], false);
    check(&[COOKIE, ("origin", "http://citadel.example")], true);
    check(&[COOKIE, ("origin", "https://evil.example")], true);
    check(&[COOKIE, ("origin", "null")], true);
    check(&[("origin", "https://evil.example")], true);
    check(&[COOKIE], true);
}

#[test]
fn has_nothing_against_those_who_bring_a_token_or_come_without_a_browser() {
    check(&[], false);
    check(&[TOKEN], false);
    check(&[TOKEN, ("origin", "chrome-extension://abc"), ("sec-fetch-site", "cross-site")], false);
    check(&[TOKEN, COOKIE, ("sec-fetch-site", "cross-site")], true);
}

#[test]
fn a_page_without_tls_is_foreign_to_a_server_with_it() {
    let mut request = request(&[COOKIE, ("origin", "http://citadel.example:8080")]);
    request.extensions_mut().insert(OverTls);
    assert!(is_cross_site(&request));
}

#[test]
fn leaves_the_headers_of_an_answer_alone() {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    let place = Place::of(&request(&[]));
    place.protect(&mut headers);
    assert_eq!(headers[header::CONTENT_SECURITY_POLICY], "sandbox");
    assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY), "plain HTTP promises nothing");
}
