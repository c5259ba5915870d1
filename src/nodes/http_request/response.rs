//! Reads an answer: by its media type into JSON, text or binary data, and from there into the JSON of an item.

use serde_json::{Map, Value, json};

use super::{RESPONSE_BINARY_BYTES_MAX, RESPONSE_BYTES_MAX, body::OCTETS, params::ResponseMode};
use crate::{
    auth::egress::{
        EgressResponse, Url,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap},
    },
    model::{
        error::{NodeError, codes},
        item::BlobRef,
    },
    nodes::{effects::of_egress, services::Blobs},
};

/// An answer that was read.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Map<String, Value>,
    /// JSON, or a string; null for an empty body and for binary data.
    pub(super) body: Value,
    pub(super) binary: Option<BlobRef>,
    /// What the answer weighs in memory.
    pub(super) bytes: usize,
}

/// How a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Text,
    Binary,
}

/// Reads the body.
///
/// Errors: `output_limit`, `timeout`, `connection_failed`; `invalid_response` if JSON is expected and none comes.
pub(super) async fn read(response: EgressResponse, mode: ResponseMode, blobs: &dyn Blobs) -> Result<Answer, NodeError> {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let media_type = header_text(&headers, &CONTENT_TYPE).unwrap_or_default();
    let file_name = file_name(&headers, response.url());
    let kind = match mode {
        ResponseMode::Json => Kind::Json,
        ResponseMode::Text => Kind::Text,
        ResponseMode::Binary => Kind::Binary,
        ResponseMode::Auto | ResponseMode::Full => kind_of_media(&media_type),
    };
    let limit_bytes = if kind == Kind::Binary { RESPONSE_BINARY_BYTES_MAX } else { RESPONSE_BYTES_MAX };
    let bytes = response.read(limit_bytes).await.map_err(|error| of_egress(&error))?;
    let shown = headers.keys().map(|name| (name.to_string(), Value::String(all_values(&headers, name.as_str())))).collect();
    let mut answer = Answer { status, headers: shown, body: Value::Null, binary: None, bytes: 0 };
    if bytes.is_empty() && kind != Kind::Binary {
        return Ok(answer);
    }
    match kind {
        Kind::Json => {
            answer.bytes = bytes.len();
            // The parser refuses nesting over 128 levels.
            answer.body = serde_json::from_slice(&bytes).map_err(|error| {
                NodeError::permanent(codes::INVALID_RESPONSE, format!("the answer is not JSON: {error}"))
                    .with_details(json!({ "status": status }))
            })?;
        }
        Kind::Text => {
            answer.bytes = bytes.len();
            answer.body = Value::String(decode(&bytes, &media_type));
        }
        Kind::Binary => {
            let blob = blobs.put(bytes).await?;
            let media_type = if media_type.is_empty() { OCTETS.to_owned() } else { media_type };
            answer.binary = Some(BlobRef { media_type: Some(media_type), file_name, ..blob });
        }
    }
    Ok(answer)
}

impl Answer {
    /// `{ status, headers, body }`.
    pub(super) fn full(&self) -> Value {
        json!({ "status": self.status, "headers": self.headers, "body": self.body })
    }

    /// The JSON of the item: all of it for `full`, else the body if it is an object, nothing if it is empty, `{ data }` otherwise.
    pub(super) fn into_json(self, mode: ResponseMode) -> Value {
        match (mode, self.body, self.binary) {
            (ResponseMode::Full, body, _) => json!({ "status": self.status, "headers": self.headers, "body": body }),
            (_, _, Some(blob)) => json!({ "data": blob }),
            (_, body @ Value::Object(_), None) => body,
            (_, Value::Null, None) if self.bytes == 0 => json!({}),
            (_, body, None) => json!({ "data": body }),
        }
    }
}

fn kind_of_media(media_type: &str) -> Kind {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_text = essence.is_empty()
        || essence.starts_with("text/")
        || essence.ends_with("+xml")
        || ["application/xml", "application/javascript", "application/x-www-form-urlencoded"].contains(&&*essence);
    if essence == "application/json" || essence.ends_with("+json") {
        Kind::Json
    } else if is_text {
        Kind::Text
    } else {
        Kind::Binary
    }
}

/// Text in UTF-8, or in Latin-1 if the media type says so. Bytes that are neither are replaced.
fn decode(bytes: &[u8], media_type: &str) -> String {
    let charset = parameter(media_type, "charset").unwrap_or_default().to_ascii_lowercase();
    if ["iso-8859-1", "latin1", "windows-1252"].contains(&&*charset) {
        return bytes.iter().map(|byte| char::from(*byte)).collect();
    }
    String::from_utf8_lossy(bytes).into_owned()
}

/// The name that the server gives to the data, or the last segment of the URL. Never a path.
fn file_name(headers: &HeaderMap, url: &Url) -> Option<String> {
    let given = header_text(headers, &CONTENT_DISPOSITION).and_then(|text| parameter(&text, "filename"));
    let name = given.or_else(|| url.path_segments()?.next_back().map(str::to_owned))?;
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    (!last.is_empty()).then(|| last.to_owned())
}

/// A parameter of a header value such as `text/plain; charset=utf-8`.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn header_text(headers: &HeaderMap, name: &crate::auth::egress::header::HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn all_values(headers: &HeaderMap, name: &str) -> String {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::egress::header::HeaderValue;

    #[test]
    fn goes_by_the_media_type() {
        for (media_type, kind) in [
            ("application/json; charset=utf-8", Kind::Json),
            ("application/problem+json", Kind::Json),
            ("text/html", Kind::Text),
            ("", Kind::Text),
            ("image/svg+xml", Kind::Text),
            ("image/png", Kind::Binary),
        ] {
            assert_eq!(kind_of_media(media_type), kind, "{media_type}");
        }
    }

    #[track_caller]
    fn check(mode: ResponseMode, body: Value, bytes: usize, expected: Value) {
        let headers = Map::from_iter([("a".to_owned(), json!("b"))]);
        assert_eq!(Answer { status: 200, headers, body, binary: None, bytes }.into_json(mode), expected);
    }

    #[test]
    fn makes_an_object_of_every_body() {
        check(ResponseMode::Auto, json!({ "x": 1 }), 7, json!({ "x": 1 }));
        check(ResponseMode::Json, json!([1]), 3, json!({ "data": [1] }));
        check(ResponseMode::Auto, json!(null), 4, json!({ "data": null }));
        check(ResponseMode::Auto, json!(null), 0, json!({}));
        check(ResponseMode::Full, json!("t"), 1, json!({ "status": 200, "headers": { "a": "b" }, "body": "t" }));
    }

    #[test]
    fn decodes_the_charset() {
        assert_eq!(decode(b"caf\xe9", "text/plain; charset=ISO-8859-1"), "café");
        assert_eq!(decode("café".as_bytes(), "text/plain; charset=\"utf-8\""), "café");
        assert_eq!(decode(b"\xff", "text/plain"), "\u{fffd}");
    }

    #[test]
    fn never_takes_a_path_for_a_file_name() {
        let url = Url::parse("https://a.test/files/report.pdf?x=1").unwrap();
        assert_eq!(file_name(&HeaderMap::new(), &url).as_deref(), Some("report.pdf"));
        let value = HeaderValue::from_static("attachment; filename=\"../../etc/passwd\"");
        let headers = HeaderMap::from_iter([(CONTENT_DISPOSITION, value)]);
        assert_eq!(file_name(&headers, &url).as_deref(), Some("passwd"));
    }
}
