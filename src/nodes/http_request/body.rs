//! Turns the evaluated `body` into bytes and their media type. Pure; binary data has been fetched by then.

use serde_json::{Map, Value};

use super::{REQUEST_BYTES_MAX, params::BodyType};
use crate::{
    auth::egress::Url,
    model::{
        error::{NodeError, codes},
        item::{BlobRef, Item},
    },
    nodes::{context::expect_string, params::wrong_type},
};

/// Name of an item's binary data where none is given.
const BINARY_DEFAULT: &str = "data";

/// A body whose binary data may still be in the blob store.
#[derive(Debug, PartialEq)]
pub(super) enum BodyDraft {
    Bytes { bytes: Vec<u8>, media_type: String },
    Blob(BlobRef),
    Multipart(Vec<Part>),
}

/// One field of a multipart body.
#[derive(Debug, PartialEq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) content: Content,
}

#[derive(Debug, PartialEq)]
pub(super) enum Content {
    Text(String),
    File { blob: BlobRef, file_name: String, media_type: String },
}

/// Reads the evaluated `body` of an item; `None` if there is none.
///
/// Errors: `invalid_parameter` if it does not fit the body type or names binary data that the item does not have.
pub(super) fn draft_body(body_type: BodyType, value: Value, item: &Item) -> Result<Option<BodyDraft>, NodeError> {
    if value.is_null() && body_type != BodyType::Binary {
        return Ok(None);
    }
    let bytes = |bytes: Vec<u8>, media_type: &str| BodyDraft::Bytes { bytes, media_type: media_type.to_owned() };
    let draft = match body_type {
        BodyType::Json => bytes(value.to_string().into_bytes(), "application/json"),
        BodyType::Form => bytes(form(value)?.into_bytes(), "application/x-www-form-urlencoded"),
        BodyType::Raw => bytes(expect_string(value, "body")?.into_bytes(), "text/plain; charset=utf-8"),
        BodyType::Multipart => BodyDraft::Multipart(parts(value, item)?),
        BodyType::Binary => BodyDraft::Blob(binary_of(item, value.as_str().unwrap_or(BINARY_DEFAULT))?),
    };
    Ok(Some(draft))
}

/// Adds fields to a URL's query. An array gives one parameter per element, null none.
///
/// Errors: `invalid_parameter` if the fields are no object, or a value is an object.
pub(super) fn append_query(url: &mut Url, fields: Value, parameter: &str) -> Result<(), NodeError> {
    let fields = expect_object(fields, parameter)?;
    let mut pairs = Vec::new();
    for (name, value) in fields {
        for single in one_or_many(value) {
            if let Some(text) = scalar(single, parameter)? {
                pairs.push((name.clone(), text));
            }
        }
    }
    // Without this, an empty list would still append a question mark.
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    Ok(())
}

/// The parts of a multipart body as bytes. `contents` are the bytes of the files, in order.
///
/// Errors: `invalid_parameter` if it is too large. Source: RFC 7578; names are escaped as browsers do.
pub(super) fn encode_multipart(parts: &[Part], contents: &[bytes::Bytes], boundary: &str) -> Result<Vec<u8>, NodeError> {
    let mut body = Vec::new();
    let mut files = contents.iter();
    for Part { name, content } in parts {
        let name = escape(name);
        let (head, bytes) = match content {
            Content::Text(text) => (format!("form-data; name=\"{name}\"\r\n"), text.as_bytes()),
            Content::File { file_name, media_type, .. } => (
                format!("form-data; name=\"{name}\"; filename=\"{}\"\r\nContent-Type: {media_type}\r\n", escape(file_name)),
                files.next().map_or(&[][..], |bytes| &**bytes),
            ),
        };
        body.extend_from_slice(format!("--{boundary}\r\nContent-Disposition: {head}\r\n").as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
        check_size(body.len())?;
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(body)
}

/// Errors: `invalid_parameter` over [`REQUEST_BYTES_MAX`].
pub(super) fn check_size(bytes: usize) -> Result<(), NodeError> {
    if bytes <= REQUEST_BYTES_MAX {
        return Ok(());
    }
    Err(NodeError::permanent(codes::INVALID_PARAMETER, format!("the body is larger than {REQUEST_BYTES_MAX} bytes")))
}

fn form(fields: Value) -> Result<String, NodeError> {
    // A query string is form-encoded by the same rules.
    let mut url = Url::parse("http://form/").expect("a constant URL parses");
    append_query(&mut url, fields, "body")?;
    Ok(url.query().unwrap_or_default().to_owned())
}

fn parts(fields: Value, item: &Item) -> Result<Vec<Part>, NodeError> {
    let mut parts = Vec::new();
    for (name, value) in expect_object(fields, "body")? {
        for single in one_or_many(value) {
            let content = match single {
                Value::Object(file) => Some(file_content(&file, item)?),
                other => scalar(other, "body")?.map(Content::Text),
            };
            parts.extend(content.map(|content| Part { name: name.clone(), content }));
        }
    }
    Ok(parts)
}

fn file_content(file: &Map<String, Value>, item: &Item) -> Result<Content, NodeError> {
    let text = |key: &str| file.get(key).and_then(Value::as_str).map(str::to_owned);
    let name = text("binary").ok_or_else(|| {
        NodeError::permanent(
            codes::INVALID_PARAMETER,
            "a field of a multipart body is a text or `{ binary, file_name?, media_type? }`",
        )
    })?;
    let blob = binary_of(item, &name)?;
    let media_type = text("media_type").or_else(|| blob.media_type.clone()).unwrap_or_else(|| OCTETS.to_owned());
    if media_type.contains(['\r', '\n']) {
        return Err(NodeError::permanent(codes::INVALID_PARAMETER, "a media type must be one line"));
    }
    let file_name = text("file_name").or_else(|| blob.file_name.clone()).unwrap_or(name);
    Ok(Content::File { blob, file_name, media_type })
}

/// Media type of bytes that nobody named.
pub(super) const OCTETS: &str = "application/octet-stream";

fn binary_of(item: &Item, name: &str) -> Result<BlobRef, NodeError> {
    item.binary
        .as_ref()
        .and_then(|binary| binary.get(name))
        .cloned()
        .ok_or_else(|| NodeError::permanent(codes::INVALID_PARAMETER, format!("the item has no binary data `{name}`")))
}

fn expect_object(value: Value, parameter: &str) -> Result<Map<String, Value>, NodeError> {
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        other => Err(wrong_type(parameter, "an object", &other)),
    }
}

fn one_or_many(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        single => vec![single],
    }
}

fn scalar(value: Value, parameter: &str) -> Result<Option<String>, NodeError> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(flag.to_string())),
        other => expect_string(other, parameter).map(Some),
    }
}

fn escape(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn item() -> Item {
        let blob = BlobRef { hash: "h".into(), size_bytes: 3, media_type: Some("image/png".into()), file_name: None };
        Item { binary: Some(BTreeMap::from([("data".to_owned(), blob)])), ..Item::from_value(json!({})) }
    }

    #[track_caller]
    fn check(body_type: BodyType, value: Value, expected: &str, media_type: &str) {
        let expected = BodyDraft::Bytes { bytes: expected.as_bytes().to_vec(), media_type: media_type.to_owned() };
        assert_eq!(draft_body(body_type, value, &item()), Ok(Some(expected)));
    }

    #[test]
    fn encodes_each_type() {
        check(BodyType::Json, json!({ "a": [1] }), r#"{"a":[1]}"#, "application/json");
        check(BodyType::Json, json!("text"), r#""text""#, "application/json");
        check(
            BodyType::Form,
            json!({ "a b": "c&d", "n": 1, "many": ["x", true], "none": null }),
            "a+b=c%26d&n=1&many=x&many=true",
            "application/x-www-form-urlencoded",
        );
        check(BodyType::Raw, json!("<x/>"), "<x/>", "text/plain; charset=utf-8");
    }

    #[test]
    fn has_no_body_for_null() {
        for body_type in [BodyType::Json, BodyType::Form, BodyType::Raw, BodyType::Multipart] {
            assert_eq!(draft_body(body_type, Value::Null, &item()), Ok(None));
        }
    }

    #[test]
    fn takes_binary_data_by_name() {
        assert!(
            matches!(draft_body(BodyType::Binary, Value::Null, &item()), Ok(Some(BodyDraft::Blob(blob))) if blob.hash == "h")
        );
        let error = draft_body(BodyType::Binary, json!("photo"), &item()).unwrap_err();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("invalid_parameter", "the item has no binary data `photo`"));
    }

    #[test]
    fn refuses_what_does_not_fit() {
        for (body_type, value) in [
            (BodyType::Form, json!("a=b")),
            (BodyType::Form, json!({ "a": { "b": 1 } })),
            (BodyType::Raw, json!({ "a": 1 })),
            (BodyType::Multipart, json!({ "a": { "file": "x" } })),
            (BodyType::Multipart, json!({ "a": { "binary": "data", "media_type": "a\r\nB: c" } })),
        ] {
            assert_eq!(draft_body(body_type, value.clone(), &item()).unwrap_err().code, "invalid_parameter", "{value}");
        }
    }

    #[test]
    fn writes_multipart_with_escaped_names() {
        let value = json!({ "a\"b": "text", "f": { "binary": "data", "file_name": "p\r\n.png" } });
        let Ok(Some(BodyDraft::Multipart(parts))) = draft_body(BodyType::Multipart, value, &item()) else { panic!("no parts") };
        let body = encode_multipart(&parts, &[bytes::Bytes::from_static(b"PNG")], "B").unwrap();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "--B\r\nContent-Disposition: form-data; name=\"a%22b\"\r\n\r\ntext\r\n\
             --B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"p%0D%0A.png\"\r\nContent-Type: image/png\r\n\r\nPNG\r\n\
             --B--\r\n"
        );
    }

    #[test]
    fn size_limit_obeyed_and_violated() {
        assert!(check_size(REQUEST_BYTES_MAX).is_ok());
        assert!(check_size(REQUEST_BYTES_MAX + 1).is_err());
    }
}
