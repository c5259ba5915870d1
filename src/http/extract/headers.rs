//! Headers that change what a request means: `Idempotency-Key`, `Prefer`, `If-Match`.

use std::time::Duration;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
};

use crate::http::{error::ApiError, problem};

/// The header of an answer that an earlier request was given, too.
pub(in crate::http) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Characters of an idempotency key.
pub(in crate::http) const KEY_CHARS_MAX: usize = 255;
/// Longest wait that `Prefer: wait` gets; a longer wish is cut down to it.
pub(in crate::http) const WAIT_MAX: Duration = Duration::from_secs(300);

/// The key under which a repeated request does nothing more; `None` if there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct IdempotencyKey(pub(in crate::http) Option<String>);

/// How long the client wants to wait for the result; `None`: not at all. Source: RFC 7240 section 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct PreferWait(pub(in crate::http) Option<Duration>);

/// The number of the last event that a client has which lost its stream. Source: WHATWG HTML, section "Server-sent events".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct LastEventId(pub(in crate::http) Option<u32>);

/// Which version the client means to change. 0 is none: it stands for a tag that no version has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum IfMatch {
    Any,
    Version(u32),
}

impl IfMatch {
    /// The version, if it has to be a certain one.
    pub(in crate::http) fn version(self) -> Option<u32> {
        match self {
            Self::Version(version) => Some(version),
            Self::Any => None,
        }
    }
}

/// As [`IfMatch`], but the header may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct OptionalIfMatch(pub(in crate::http) Option<IfMatch>);

/// The entity tag of a version.
pub(in crate::http) fn etag(version: u32) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits and quotes are fit for a header")
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        read_key(&parts.headers).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PreferWait {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Ok(Self(read_wait(&parts.headers)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get("last-event-id") else { return Ok(Self(None)) };
        let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        let invalid = || ApiError::new(&problem::INVALID_HEADER, "Last-Event-ID is the `id` of an event of this stream");
        number.map(|number| Self(Some(number))).ok_or_else(invalid)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OptionalIfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(header::IF_MATCH).into_iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let invalid = || ApiError::new(&problem::INVALID_HEADER, "If-Match is one ETag, with its quotes, or `*`");
        if values.next().is_some() {
            return Err(invalid());
        }
        let text = value.to_str().map_err(|_| invalid())?.trim();
        if text == "*" {
            return Ok(Self(Some(IfMatch::Any)));
        }
        // A proxy that compresses makes tags weak; the version in them is the same.
        let tag = text.strip_prefix("W/").unwrap_or(text);
        let quoted = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).filter(|tag| !tag.contains('"'));
        Ok(Self(Some(IfMatch::Version(version_of(quoted.ok_or_else(invalid)?)))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let OptionalIfMatch(given) = OptionalIfMatch::from_request_parts(parts, state).await?;
        let detail = "send the ETag of the version that you changed, or `*`";
        given.ok_or_else(|| ApiError::new(&problem::IF_MATCH_REQUIRED, detail))
    }
}

/// The version that a tag stands for; 0 for one that [`etag`] never made, such as `+1` or a number that no store keeps.
fn version_of(tag: &str) -> u32 {
    let version = tag.parse::<u32>().ok().filter(|version| i32::try_from(*version).is_ok() && version.to_string() == tag);
    version.unwrap_or(0)
}

/// Reads the idempotency key.
///
/// Errors: `invalid_header`.
pub(in crate::http) fn read_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let is_printable = |key: &str| key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_fit = |key: &&str| !key.is_empty() && key.len() <= KEY_CHARS_MAX && is_printable(key);
    match value.to_str().ok().filter(is_fit) {
        Some(key) => Ok(Some(key.to_owned())),
        None => {
            let detail = format!("Idempotency-Key has 1 to {KEY_CHARS_MAX} printable ASCII characters");
            Err(ApiError::new(&problem::INVALID_HEADER, detail))
        }
    }
}

/// Reads `wait=N` from all `Prefer` headers. A preference that makes no sense is not followed, as the RFC asks.
fn read_wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split([',', ';']));
    let seconds =
        preferences.find_map(|preference| preference.trim().strip_prefix("wait=")?.trim_matches('"').parse::<u64>().ok());
    seconds.map(|seconds| Duration::from_secs(seconds).min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(name: &str, value: &str) -> Parts {
        Request::get("/").header(name, value).body(()).unwrap().into_parts().0
    }

    #[tokio::test]
    async fn reads_if_match() {
        for (value, expected) in [("\"3\"", IfMatch::Version(3)), ("W/\"3\"", IfMatch::Version(3)), ("*", IfMatch::Any)] {
            assert_eq!(IfMatch::from_request_parts(&mut parts("if-match", value), &()).await.unwrap(), expected);
        }
        for no_version in ["\"x\"", "\"-1\"", "\"+3\"", "\"03\"", "\"\"", "\"2147483648\"", "\"4294967296\""] {
            let read = IfMatch::from_request_parts(&mut parts("if-match", no_version), &()).await.unwrap();
            assert_eq!(read, IfMatch::Version(0), "{no_version}");
        }
        for no_tag in ["3", "", "\"", "W/3", "w/\"3\"", "*, *", "\"1\", \"2\"", "\"1\"\"", "\"\u{e4}"] {
            let error = IfMatch::from_request_parts(&mut parts("if-match", no_tag), &()).await.unwrap_err();
            assert_eq!(error.problem.status, 400, "{no_tag}");
        }
        let mut twice = parts("if-match", "\"1\"");
        twice.headers.append("if-match", "\"2\"".parse().unwrap());
        assert_eq!(IfMatch::from_request_parts(&mut twice, &()).await.unwrap_err().problem.status, 400);
        let error = IfMatch::from_request_parts(&mut parts("x", "y"), &()).await.unwrap_err();
        assert_eq!(error.problem.status, 428);
    }

    #[test]
    fn reads_prefer_wait() {
        let wait = |value: &str| read_wait(&parts("prefer", value).headers).map(|wait| wait.as_secs());
        assert_eq!(wait("wait=10"), Some(10));
        assert_eq!(wait("respond-async, wait=10"), Some(10));
        assert_eq!(wait("wait=100000"), Some(WAIT_MAX.as_secs()));
        assert_eq!(wait("wait=soon"), None);
        assert_eq!(wait("return=minimal"), None);
    }

    #[test]
    fn key_length_obeyed_and_violated() {
        let key = |length: usize| read_key(&parts("idempotency-key", &"k".repeat(length)).headers);
        assert_eq!(key(KEY_CHARS_MAX).unwrap().unwrap().len(), KEY_CHARS_MAX);
        assert!(key(KEY_CHARS_MAX + 1).is_err() && key(0).is_err());
        assert!(read_key(&parts("idempotency-key", "a\tb").headers).is_err());
        assert_eq!(read_key(&HeaderMap::new()).unwrap(), None);
    }
}
