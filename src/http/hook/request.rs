//! Reads a request as the item `{ method, path, params, query, headers, body, raw }`. The media type alone says how the body is
//! read: there is no guessing.

use axum::http::{HeaderMap, Uri, header, request::Parts};
use form_urlencoded::parse as parse_form;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::{
    http::{
        error::ApiError,
        extract::{is_json, media_type, read_json},
        problem,
    },
    nodes::webhook::path::HookPath,
};

/// What every path of a webhook starts with.
const PREFIX: &str = "/hooks/";

/// The decoded segments of a webhook's path; `None` if they are not UTF-8.
pub(in crate::http) fn segments_of(uri: &Uri) -> Option<Vec<String>> {
    let path = uri.path().strip_prefix(PREFIX)?;
    // Split first: an encoded slash is a character of its segment.
    path.split('/').map(|segment| percent_decode_str(segment).decode_utf8().ok().map(String::from)).collect()
}

/// Makes the item's JSON. `raw` is the reference to the body's bytes, if they are kept.
///
/// Errors: `invalid_json`, `invalid_body`, `unsupported_media_type`.
pub(in crate::http) fn item_of(
    parts: &Parts,
    segments: &[String],
    path: &HookPath,
    body: &[u8],
    raw: Value,
) -> Result<Value, ApiError> {
    Ok(json!({
        "method": parts.method.as_str(),
        "path": segments.join("/"),
        "params": path.capture(segments.iter().map(String::as_str)).unwrap_or_default(),
        "query": pairs(parts.uri.query().unwrap_or_default().as_bytes()),
        "headers": headers_of(&parts.headers),
        "body": read_body(&parts.headers, body)?,
        "raw": raw,
    }))
}

/// Reads a body by its media type. Bytes of a type that is neither JSON, a form nor text are null: `raw` has them.
fn read_body(headers: &HeaderMap, body: &[u8]) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let Some(kind) = media_type(headers) else { return read_json(body) };
    if is_json(&kind) {
        return read_json(body);
    }
    match kind.as_str() {
        "application/x-www-form-urlencoded" => Ok(pairs(body)),
        "multipart/form-data" => Err(ApiError::new(&problem::UNSUPPORTED_MEDIA_TYPE, "send the parts as JSON or as a form")),
        kind if kind.starts_with("text/") || kind.ends_with("/xml") || kind.ends_with("+xml") => {
            match std::str::from_utf8(body) {
                Ok(text) => Ok(Value::from(text)),
                Err(_) => Err(ApiError::new(&problem::INVALID_BODY, "the text is not UTF-8")),
            }
        }
        _ => Ok(Value::Null),
    }
}

/// Names and values of a query or a form; a name that comes several times gets an array.
fn pairs(encoded: &[u8]) -> Value {
    let mut object = Map::new();
    for (name, value) in parse_form(encoded) {
        add(&mut object, name.into_owned(), Value::from(value));
    }
    Value::Object(object)
}

fn add(object: &mut Map<String, Value>, name: String, value: Value) {
    match object.get_mut(&name) {
        None => {
            object.insert(name, value);
        }
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

/// The headers, in lower case. Credentials are left out: they have done their work and must not get into the journal.
fn headers_of(headers: &HeaderMap) -> Value {
    let secret = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];
    let mut object = Map::new();
    for name in headers.keys().filter(|name| !secret.contains(name)) {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        object.insert(name.as_str().to_owned(), Value::from(values.collect::<Vec<_>>().join(", ")));
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn item(request: axum::http::request::Builder, path: &str, body: &str) -> Result<Value, ApiError> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let segments = segments_of(&parts.uri).unwrap();
        item_of(&parts, &segments, &path.parse().unwrap(), body.as_bytes(), Value::Null)
    }

    #[test]
    fn has_everything_of_the_request_but_credentials() {
        let request = Request::post("/hooks/orders/a%2Fb?x=1&y=2&x=3%204")
            .header("content-type", "application/json")
            .header("authorization", "Bearer hunter2")
            .header("X-Tag", "a")
            .header("x-tag", "b");
        let read = item(request, "orders/{id}", r#"{"total": 1.50}"#).unwrap();
        insta::assert_json_snapshot!(read);
    }

    #[track_caller]
    fn check_body(media_type: &str, body: &str, expected: Result<Value, &str>) {
        let read = item(Request::post("/hooks/a").header("content-type", media_type), "a", body);
        assert_eq!(read.map(|item| item["body"].clone()).map_err(|error| error.problem.code), expected);
    }

    #[test]
    fn reads_the_body_by_its_media_type_only() {
        check_body("application/json", "", Ok(Value::Null));
        check_body("application/cloudevents+json", "[1]", Ok(json!([1])));
        check_body("application/json", "{", Err("invalid_json"));
        check_body("application/x-www-form-urlencoded", "a=1&b=2&a=3", Ok(json!({ "a": ["1", "3"], "b": "2" })));
        check_body("text/plain; charset=utf-8", "{}", Ok(json!("{}")));
        check_body("application/atom+xml", "<a/>", Ok(json!("<a/>")));
        check_body("application/octet-stream", "{}", Ok(Value::Null));
        check_body("multipart/form-data; boundary=x", "--x", Err("unsupported_media_type"));
    }

    #[test]
    fn refuses_a_path_that_is_not_utf8() {
        assert_eq!(segments_of(&"/hooks/%ff".parse().unwrap()), None);
        assert_eq!(segments_of(&"/hooks/a/".parse().unwrap()), Some(vec!["a".to_owned(), String::new()]));
    }
}
