//! Which answers are compressed, for clients that ask for it: JSON that is worth it. A stream of events never is: a compressor
//! would keep events back until it has enough of them.

use axum::http::{Extensions, HeaderMap, StatusCode, Version, header};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer,
        predicate::{Predicate, SizeAbove},
    },
};

/// Bytes up to which an answer is sent as it is: it fits into a packet or two.
const SIZE_MIN: u64 = 1_024;

/// Compresses with gzip, as fast as it can: the answers are many and short-lived.
pub(super) fn compression() -> CompressionLayer<impl Predicate> {
    let is_json = |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| has_json(headers);
    CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(SIZE_MIN + 1).and(is_json))
}

fn has_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind == "application/json" || kind.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, http::Request, response::IntoResponse, routing::get};
    use tower::ServiceExt;

    use super::*;

    async fn encoding(kind: &'static str, size: u64, accepts: &str) -> Option<String> {
        let body = "x".repeat(usize::try_from(size).unwrap());
        let handler = move || async move { ([(header::CONTENT_TYPE, kind)], body).into_response() };
        let app = Router::new().route("/", get(handler)).layer(compression());
        let request = Request::get("/").header(header::ACCEPT_ENCODING, accepts).body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        response.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn compresses_json_from_a_size_on() {
        assert_eq!(encoding("application/json", SIZE_MIN + 1, "gzip").await.as_deref(), Some("gzip"));
        assert_eq!(encoding("application/problem+json", 9_000, "br, gzip").await.as_deref(), Some("gzip"));
        assert_eq!(encoding("application/json; charset=utf-8", 9_000, "gzip").await.as_deref(), Some("gzip"));
        assert_eq!(encoding("application/json", SIZE_MIN, "gzip").await, None);
        assert_eq!(encoding("application/json", 9_000, "identity").await, None);
    }

    #[tokio::test]
    async fn leaves_everything_else_as_it_is() {
        for kind in ["text/event-stream", "text/html", "image/png", "application/octet-stream", "text/plain; version=0.0.4"] {
            assert_eq!(encoding(kind, 9_000, "gzip").await, None, "{kind}");
        }
    }
}
