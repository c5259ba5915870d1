//! Bodies: whole, within the route's size, in time; JSON with bounded nesting, and mistakes by line and column.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use serde::de::DeserializeOwned;

use crate::{
    http::{error::ApiError, problem},
    model::{definition::parse::nesting_of_text, limits::JSON_DEPTH_MAX},
};

/// Time that a body may take to arrive.
const BODY_MAX: Duration = Duration::from_secs(30);

/// The bytes of the body. The route's `DefaultBodyLimit` bounds them.
pub(in crate::http) struct Body(pub(in crate::http) Bytes);

/// A body of `application/json`; an empty one counts as `{}`.
pub(in crate::http) struct Json<T>(pub(in crate::http) T);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match tokio::time::timeout(BODY_MAX, Bytes::from_request(request, state)).await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ApiError::new(&problem::TOO_LARGE, "send less, or pass a reference to where the data is"))
            }
            Ok(Err(rejection)) => Err(ApiError::new(&problem::INVALID_BODY, rejection.body_text())),
            Err(_) => Err(ApiError::new(&problem::BODY_TIMEOUT, "send the body faster")),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_json = media_type(request.headers()).is_none_or(|kind| is_json(&kind));
        let Body(bytes) = Body::from_request(request, state).await?;
        if bytes.is_empty() {
            return read_json(b"{}").map(Self);
        }
        if !is_json {
            return Err(ApiError::new(&problem::UNSUPPORTED_MEDIA_TYPE, "send `Content-Type: application/json`"));
        }
        read_json(&bytes).map(Self)
    }
}

/// Reads JSON.
///
/// Errors: `invalid_json` with line and column, or `invalid_body` where the JSON has another form than `T`.
pub(in crate::http) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if nesting_of_text(bytes) > JSON_DEPTH_MAX {
        let detail = format!("arrays and objects may be nested {JSON_DEPTH_MAX} levels deep");
        return Err(ApiError::new(&problem::INVALID_JSON, detail));
    }
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ApiError::new(&problem::INVALID_BODY, error.to_string()),
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof | serde_json::error::Category::Io => {
            ApiError::new(&problem::INVALID_JSON, error.to_string())
        }
    })
}

/// The media type in lower case and without its parameters; `None` if the header is missing or not readable.
pub(in crate::http) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Whether a media type is JSON or ends with `+json`.
pub(in crate::http) fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only its form matters")]
        count: u32,
    }

    #[track_caller]
    fn check_refused(text: &str, code: &str, detail: &str) {
        let error = read_json::<Sample>(text.as_bytes()).expect_err("should be refused");
        assert_eq!(error.problem.code, code);
        assert!(error.detail.contains(detail), "{}", error.detail);
    }

    #[test]
    fn says_where_the_mistake_is() {
        check_refused("{\n  \"count\": 1,\n}", "invalid_json", "line 3 column 1");
        check_refused("{\"count\":", "invalid_json", "line 1 column 9");
        check_refused("{\"count\": \"many\"}", "invalid_body", "expected u32 at line 1");
        check_refused("{\"count\": 1, \"cuont\": 2}", "invalid_body", "unknown field `cuont`, expected `count`");
    }

    #[test]
    fn json_depth_obeyed_and_violated() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(read_json::<serde_json::Value>(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
        assert!(read_json::<serde_json::Value>(nested(JSON_DEPTH_MAX + 1).as_bytes()).is_err());
    }

    #[test]
    fn knows_json_by_its_media_type() {
        let mut headers = HeaderMap::new();
        assert_eq!(media_type(&headers), None);
        headers.insert(header::CONTENT_TYPE, "Application/CloudEvents+JSON; charset=utf-8".parse().unwrap());
        assert!(is_json(&media_type(&headers).unwrap()));
        assert!(!is_json("text/json5"));
    }
}
