//! `fetch` of code, in every language that has it: a request of a guest goes to whatever the run was granted, and the answer comes back.
//! Without a grant it is refused here.
//!
//! **Shape**: both have a head in JSON and a body of bytes. A request's head is `{ url, method?, headers? }`, an answer's
//! `{ url, status, ok, headers }` with the headers by their names in lower case, or `{ error }`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grants::{Fetch, FetchError, FetchRequest, FetchResponse};

/// Requests that one instance may send.
pub const FETCHES_MAX: u32 = 100;
/// Size of a request's head in bytes.
pub const FETCH_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Size of a request's body in bytes.
pub const FETCH_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The network as one instance has it.
#[derive(Clone, Default)]
pub(super) struct Network {
    granted: Option<Arc<dyn Fetch>>,
    sent: u32,
    /// What was refused last.
    denied: Option<String>,
}

/// What a guest is answered.
pub(super) struct Answer {
    /// JSON, in one line.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestHead {
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: Option<Headers>,
}

/// Headers by their names, or one after the other where a name may come twice.
#[derive(Deserialize)]
#[serde(untagged)]
enum Headers {
    ByName(BTreeMap<String, Value>),
    List(Vec<(String, Value)>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum AnswerHead {
    Response { url: String, status: u16, ok: bool, headers: BTreeMap<String, String> },
    Failure { error: String },
}

impl Network {
    pub(super) fn new(granted: Option<Arc<dyn Fetch>>) -> Self {
        Self { granted, ..Self::default() }
    }

    /// Sends a request and blocks until it is answered or the time is over.
    pub(super) fn fetch(&mut self, head: &[u8], body: &[u8], within: Duration) -> Answer {
        match self.send(head, body, within) {
            Ok(FetchResponse { url, status, headers, body }) => {
                let ok = (200..300).contains(&status);
                Answer::new(&AnswerHead::Response { url, status, ok, headers: joined(headers) }, body)
            }
            Err(error) => {
                let sentence = error.to_string();
                if let FetchError::Denied(_) = error {
                    self.denied = Some(sentence.clone());
                }
                Answer::new(&AnswerHead::Failure { error: sentence }, Vec::new())
            }
        }
    }

    /// Whether what code threw is a refusal that it did not catch.
    pub(super) fn has_denied(&self, message: &str) -> bool {
        self.denied.as_ref().is_some_and(|denied| message.ends_with(denied.as_str()))
    }

    fn send(&mut self, head: &[u8], body: &[u8], within: Duration) -> Result<FetchResponse, FetchError> {
        let Some(granted) = self.granted.clone() else {
            return Err(FetchError::Denied("the network was not granted".to_owned()));
        };
        let request = read(head, body).map_err(FetchError::Failed)?;
        if self.sent == FETCHES_MAX {
            return Err(FetchError::Failed(format!("more than {FETCHES_MAX} requests")));
        }
        self.sent += 1;
        granted.fetch(request, within)
    }
}

impl Answer {
    fn new(head: &AnswerHead, body: Vec<u8>) -> Self {
        Self { head: serde_json::to_string(head).expect("a head is text and numbers"), body }
    }
}

/// Errors: a sentence for the code.
fn read(head: &[u8], body: &[u8]) -> Result<FetchRequest, String> {
    for (what, size, max) in [("head", head.len(), FETCH_HEAD_BYTES_MAX), ("body", body.len(), FETCH_BODY_BYTES_MAX)] {
        if size > max {
            return Err(format!("the request's {what} has more than {max} bytes"));
        }
    }
    let RequestHead { url, method, headers } =
        serde_json::from_slice(head).map_err(|error| format!("the request cannot be read: {error}"))?;
    let method = method.map_or_else(|| "GET".to_owned(), |method| method.to_ascii_uppercase());
    let headers: Vec<(String, Value)> = match headers {
        Some(Headers::ByName(headers)) => headers.into_iter().collect(),
        Some(Headers::List(headers)) => headers,
        None => Vec::new(),
    };
    let headers = headers.into_iter().map(|(name, value)| text(value).map(|text| (name.clone(), text)).ok_or(name));
    let headers =
        headers.collect::<Result<_, String>>().map_err(|name| format!("the value of the header `{name}` is no text"))?;
    Ok(FetchRequest { method, url, headers, body: body.to_vec() })
}

/// The text of a header's value: code may give numbers, too.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is_on) => Some(is_on.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Headers by name. Those that come twice are one, as HTTP has it.
fn joined(headers: Vec<(String, String)>) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        joined.entry(name.to_ascii_lowercase()).and_modify(|known| *known = format!("{known}, {value}")).or_insert(value);
    }
    joined
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Answers with what it was asked.
    struct Echo;

    impl Fetch for Echo {
        fn fetch(&self, request: FetchRequest, _within: Duration) -> Result<FetchResponse, FetchError> {
            let headers = request.headers.into_iter().chain([("X-Method".to_owned(), request.method)]).collect();
            Ok(FetchResponse { url: request.url, status: 299, headers, body: request.body })
        }
    }

    fn fetch(head: &Value, body: &[u8]) -> (Value, Vec<u8>) {
        let mut network = Network::new(Some(Arc::new(Echo)));
        let Answer { head, body } = network.fetch(head.to_string().as_bytes(), body, Duration::ZERO);
        (serde_json::from_str(&head).unwrap(), body)
    }

    fn error_of(head: &Value, body: &[u8]) -> String {
        fetch(head, body).0["error"].as_str().expect("it fails").to_owned()
    }

    #[test]
    fn a_request_goes_out_and_its_answer_comes_back() {
        let head = json!({ "url": "u", "method": "put", "headers": { "a": 1, "b": true } });
        let expected = json!({ "url": "u", "status": 299, "ok": true, "headers": { "a": "1", "b": "true", "x-method": "PUT" } });
        assert_eq!(fetch(&head, b"\0\xff"), (expected, b"\0\xff".to_vec()));
        let list = json!({ "url": "u", "headers": [["A", "1"], ["a", "2"]] });
        assert_eq!(fetch(&list, b"").0["headers"], json!({ "a": "1, 2", "x-method": "GET" }));
        assert_eq!(error_of(&json!({ "url": "u", "headers": { "a": null } }), b""), "the value of the header `a` is no text");
        assert!(error_of(&json!({ "url": 1 }), b"").starts_with("the request cannot be read: "));
        assert!(error_of(&json!({ "url": "u", "credentials": "omit" }), b"").contains("unknown field `credentials`"));
    }

    #[test]
    fn nothing_goes_out_without_a_grant() {
        let mut network = Network::default();
        let answer = network.fetch(b"{\"url\":\"u\"}", b"", Duration::ZERO);
        assert_eq!(answer.head, "{\"error\":\"the network was not granted\"}");
        assert!(network.has_denied("fetch failed: the network was not granted"));
        assert!(!network.has_denied("something else"));
    }

    #[test]
    fn sizes_obeyed_and_violated() {
        let head = json!({ "url": "u" });
        assert_eq!(fetch(&head, &vec![0; FETCH_BODY_BYTES_MAX]).1.len(), FETCH_BODY_BYTES_MAX);
        assert!(error_of(&head, &vec![0; FETCH_BODY_BYTES_MAX + 1]).contains("body has more than"));
        let url = |bytes: usize| json!({ "url": "x".repeat(bytes - "{\"url\":\"\"}".len()) });
        assert!(fetch(&url(FETCH_HEAD_BYTES_MAX), b"").0["error"].is_null());
        assert!(error_of(&url(FETCH_HEAD_BYTES_MAX + 1), b"").contains("head has more than"));
    }

    #[test]
    fn requests_obeyed_and_violated() {
        let mut network = Network::new(Some(Arc::new(Echo)));
        let mut is_answered = || !network.fetch(b"{\"url\":\"u\"}", b"", Duration::ZERO).head.contains("error");
        assert!((0..FETCHES_MAX).all(|_| is_answered()));
        assert!(!is_answered());
    }
}
