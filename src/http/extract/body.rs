//! Bodies: whole, within the route's size, in time; JSON with bounded nesting, and mistakes by line and column.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    http::{error::ApiError, problem},
    model::{
        definition::parse::nesting_of_text,
        error::codes,
        limits::JSON_DEPTH_MAX,
        problem::{Problem, pointer_segment},
    },
};

/// Time that a body may take to arrive where the server does not say.
const BODY_MAX: Duration = Duration::from_secs(30);

/// How JSON writes U+0000.
const NUL_ESCAPE: &[u8] = b"\\u0000";

/// The time of the server: an extension of every request.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct BodyTime(pub(in crate::http) Duration);

/// The bytes of the body. The route's `DefaultBodyLimit` bounds them.
pub(in crate::http) struct Body(pub(in crate::http) Bytes);

/// A body of `application/json`; an empty one counts as `{}`. Its texts are for storing and searching, so none may have U+0000,
/// which PostgreSQL does not take.
pub(in crate::http) struct Json<T>(pub(in crate::http) T);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let limit = request.extensions().get::<BodyTime>().map_or(BODY_MAX, |time| time.0);
        match tokio::time::timeout(limit, Bytes::from_request(request, state)).await {
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
        let is_json = require_json(request.headers());
        let Body(bytes) = Body::from_request(request, state).await?;
        read_fields(is_json, &bytes).map(Self)
    }
}

/// Reads what [`Json`] does, for handlers that want the bytes, too. `is_json` comes from [`require_json`].
///
/// Errors: `unsupported_media_type`, `invalid_json`, `invalid_body`.
pub(in crate::http) fn read_fields<T: DeserializeOwned>(is_json: Result<(), ApiError>, bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.is_empty() {
        return read_json(b"{}");
    }
    is_json?;
    if let Some(pointer) = nul_in(bytes) {
        let detail = "a text must not have the character U+0000";
        let placed = Problem::new(pointer, codes::INVALID_PARAMETER, detail);
        return Err(ApiError::new(&problem::INVALID_BODY, detail).with_errors(vec![placed]));
    }
    read_object(bytes)
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

/// Reads a JSON object with known fields. Serde alone would take an array of the fields' values for it, too, and no whole number
/// that is written `1.0`, which is an integer in JSON Schema.
///
/// Errors: as [`read_json`].
pub(in crate::http) fn read_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let refused = match read_json::<T>(bytes) {
        Ok(_) if bytes.trim_ascii_start().first() != Some(&b'{') => {
            ApiError::new(&problem::INVALID_BODY, "the body has to be an object")
        }
        Ok(read) => return Ok(read),
        Err(refused) => refused,
    };
    let mut fields = match read_json(bytes) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(refused),
        // What is no JSON at all has been given up at its first field.
        Err(broken) => return Err(broken),
    };
    fields.values_mut().for_each(write_whole_as_integer);
    T::deserialize(Value::Object(fields)).map_err(|_| refused)
}

/// Where the first text of this JSON with U+0000 is, or the object with such a name. JSON can only write it as an escape, for which
/// it is enough to look first.
fn nul_in(json: &[u8]) -> Option<String> {
    fn in_value(value: &Value) -> Option<String> {
        match value {
            Value::String(text) => text.contains('\0').then(String::new),
            Value::Array(values) => {
                (0..).zip(values).find_map(|(at, value): (usize, _)| Some(format!("/{at}{}", in_value(value)?)))
            }
            Value::Object(fields) if fields.keys().any(|name| name.contains('\0')) => Some(String::new()),
            Value::Object(fields) => {
                fields.iter().find_map(|(name, value)| Some(format!("/{}{}", pointer_segment(name), in_value(value)?)))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }
    let may_have_it = json.windows(NUL_ESCAPE.len()).any(|window| window == NUL_ESCAPE);
    if may_have_it { in_value(&read_json(json).ok()?) } else { None }
}

/// `1.0` becomes `1`, as far as floating point can tell whole numbers apart; also in fields of fields.
fn write_whole_as_integer(value: &mut Value) {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if let Value::Object(fields) = value {
        return fields.values_mut().for_each(write_whole_as_integer);
    }
    let whole = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= EXACT_MAX);
    if let Some(Ok(integer)) = whole.map(|number| format!("{number:.0}").parse::<i64>()) {
        *value = Value::from(integer);
    }
}

/// Lets JSON pass, and bodies that do not say what they are.
///
/// Errors: `unsupported_media_type`.
pub(in crate::http) fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    if media_type(headers).is_none_or(|kind| is_json(&kind)) {
        return Ok(());
    }
    Err(ApiError::new(&problem::UNSUPPORTED_MEDIA_TYPE, "send `Content-Type: application/json`"))
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
        count: u32,
    }

    #[track_caller]
    fn check_refused(text: &str, code: &str, detail: &str) {
        let error = read_object::<Sample>(text.as_bytes()).expect_err("should be refused");
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
    fn takes_an_object_for_an_object_only() {
        assert_eq!(read_object::<Sample>(b" {\"count\": 3}").unwrap().count, 3);
        assert_eq!(read_object::<Sample>(b"{\"count\": 3.0}").unwrap().count, 3);
        for text in ["[3]", "{\"count\": 3.5}", "{\"count\": -1.0}", "{\"count\": 1e300}", "{\"count\": [3.0]}", "null"] {
            assert_eq!(read_object::<Sample>(text.as_bytes()).unwrap_err().problem.code, "invalid_body", "{text}");
        }
        assert_eq!(read_object::<Sample>(b"{\"count\": 3.0").unwrap_err().problem.code, "invalid_json");
    }

    #[test]
    fn finds_the_one_character_that_cannot_be_stored() {
        for (text, pointer) in [(r#"{"a":"\u0000"}"#, "/a"), (r#"{"a/b":[1,{"b\u0000":1}]}"#, "/a~1b/1"), (r#"{"\u0000":1}"#, "")]
        {
            assert_eq!(nul_in(text.as_bytes()).as_deref(), Some(pointer), "{text}");
        }
        for text in [r#"{"a":"\\u0000"}"#, r#"{"a":"\u0001"}"#, "{}", r#"{"a":"\u0000""#] {
            assert_eq!(nul_in(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn json_depth_obeyed_and_violated() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(read_json::<Value>(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
        assert!(read_json::<Value>(nested(JSON_DEPTH_MAX + 1).as_bytes()).is_err());
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
