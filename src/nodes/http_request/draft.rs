//! Makes the request of one item: evaluates the parameters, then fetches the binary data that the body needs.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{
    body::{BodyDraft, Content, OCTETS, append_query, check_size, draft_body, encode_multipart},
    credential,
    params::{BodyType, METHODS, Params, is_safe},
};
use crate::{
    auth::egress::{
        EgressRequest, Method, Url,
        header::{
            ACCEPT, ACCEPT_LANGUAGE, CONNECTION, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
            HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
        },
    },
    model::{
        error::{NodeError, codes},
        trace::{TRACEPARENT, TraceParent},
    },
    nodes::{
        context::{NodeContext, expect_string},
        params::wrong_type,
        services::{Blobs, Credential},
    },
};

/// Headers that frame the message or name the server: the client writes them.
const RESERVED: [HeaderName; 7] = [HOST, CONTENT_LENGTH, CONNECTION, TRANSFER_ENCODING, TE, TRAILER, UPGRADE];
/// Headers that never hold a secret, and so may follow a redirect to another origin.
const HARMLESS: [HeaderName; 5] = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, CONTENT_LANGUAGE, USER_AGENT];

/// An item's request before its binary data is there.
#[derive(Debug)]
pub(super) struct Draft {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<BodyDraft>,
    /// The key of the item's effect. It also names the boundary of a multipart body, so that all attempts send the same bytes.
    key: String,
}

/// Evaluates the parameters for the item at `index`.
///
/// Errors: `expression_failed`; `invalid_parameter` if a value does not fit.
pub(super) fn draft(
    params: &Params,
    ctx: &mut NodeContext<'_>,
    index: usize,
    key: String,
    credential: Option<&Credential>,
) -> Result<Draft, NodeError> {
    let method = expect_string(ctx.evaluate(&params.method, index)?, "method")?;
    let method = METHODS.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(method.trim()));
    let method = method.ok_or_else(|| invalid("`method` is GET, HEAD, OPTIONS, POST, PUT, PATCH or DELETE"))?;
    let url = expect_string(ctx.evaluate(&params.url, index)?, "url")?;
    let mut url = Url::parse(url.trim()).map_err(|error| invalid(&format!("`url` is not an absolute URL: {error}")))?;
    if let Some(query) = &params.query {
        append_query(&mut url, ctx.evaluate(query, index)?, "query")?;
    }
    if let Some(pagination) = &params.pagination {
        pagination.start(&mut url);
    }
    let mut headers = match &params.headers {
        Some(template) => headers_of(ctx.evaluate(template, index)?)?,
        None => HeaderMap::new(),
    };
    if let Some(name) = params.idempotency_header().filter(|_| !is_safe(&method)) {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("`idempotency_header` is no header name"))?;
        // A key of the user's own goes first.
        headers.entry(name).or_insert(HeaderValue::from_str(&key).expect("a key is hex digits"));
    }
    let value = params.body.as_ref().map_or(Ok(Value::Null), |template| ctx.evaluate(template, index))?;
    let body = match ctx.items().get(index) {
        Some(item) if params.body.is_some() || params.body_type == BodyType::Binary => draft_body(params.body_type, value, item)?,
        _ => None,
    };
    if let Some(credential) = credential {
        credential::apply(credential, &mut url, &mut headers)?;
    }
    Ok(Draft { method, url, headers, body, key })
}

impl Draft {
    /// Says which trace the request belongs to, unless the node says so itself.
    pub(super) fn in_trace(mut self, trace: Option<TraceParent>) -> Self {
        if let Some(trace) = trace {
            let value = HeaderValue::from_str(&trace.to_string()).expect("a traceparent is hex digits and dashes");
            self.headers.entry(HeaderName::from_static(TRACEPARENT)).or_insert(value);
        }
        self
    }

    /// The request, with its binary data fetched.
    ///
    /// Errors: `blob_missing`; `invalid_parameter` if the body is too large.
    pub(super) async fn finish(
        self,
        blobs: &dyn Blobs,
        timeout: Duration,
        follow_redirects: bool,
    ) -> Result<EgressRequest, NodeError> {
        let Self { method, url, mut headers, body, key } = self;
        let (body, media_type) = match body {
            None => (None, None),
            Some(BodyDraft::Bytes { bytes, media_type }) => (Some(Bytes::from(bytes)), Some(media_type)),
            Some(BodyDraft::Blob(blob)) => {
                check_size(usize::try_from(blob.size_bytes).unwrap_or(usize::MAX))?;
                let media_type = blob.media_type.clone().unwrap_or_else(|| OCTETS.to_owned());
                (Some(blobs.get(&blob).await?), Some(media_type))
            }
            Some(BodyDraft::Multipart(parts)) => {
                let mut contents = Vec::new();
                for part in &parts {
                    if let Content::File { blob, .. } = &part.content {
                        check_size(usize::try_from(blob.size_bytes).unwrap_or(usize::MAX))?;
                        contents.push(blobs.get(blob).await?);
                    }
                }
                let boundary = format!("citadel-{key}");
                let bytes = encode_multipart(&parts, &contents, &boundary)?;
                // The boundary is not the user's to choose.
                headers.remove(CONTENT_TYPE);
                (Some(bytes.into()), Some(format!("multipart/form-data; boundary={boundary}")))
            }
        };
        if let Some(media_type) = media_type {
            let value = HeaderValue::from_str(&media_type).map_err(|_| invalid("the media type of the body is none"))?;
            headers.entry(CONTENT_TYPE).or_insert(value);
        }
        check_size(body.as_ref().map_or(0, Bytes::len))?;
        Ok(EgressRequest { method, url, headers, body, timeout, follow_redirects })
    }
}

fn headers_of(value: Value) -> Result<HeaderMap, NodeError> {
    let fields = match value {
        Value::Object(fields) => fields,
        Value::Null => return Ok(HeaderMap::new()),
        other => return Err(wrong_type("headers", "an object", &other)),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        if value.is_null() {
            continue;
        }
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid(&format!("`{name}` is no header name")))?;
        if RESERVED.contains(&header) {
            return Err(invalid(&format!("the header `{header}` cannot be set")));
        }
        let text = match value {
            Value::Bool(flag) => flag.to_string(),
            other => expect_string(other, &format!("headers.{name}"))?,
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| invalid(&format!("the header `{header}` has characters that no header can carry")))?;
        value.set_sensitive(!HARMLESS.contains(&header));
        headers.insert(header, value);
    }
    Ok(headers)
}

fn invalid(message: &str) -> NodeError {
    NodeError::permanent(codes::INVALID_PARAMETER, message)
}
