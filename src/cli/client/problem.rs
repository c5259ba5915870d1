//! The problems (RFC 9457) that a server answers with, as failures of a command.

use reqwest::{
    StatusCode,
    header::{HeaderMap, LOCATION, RETRY_AFTER},
};
use serde::Deserialize;

use super::{Authorization, Target};
use crate::{
    cli::{Failure, output::printable},
    model::problem::{self, counted},
};

/// A server's refusal.
#[derive(Debug)]
pub(in crate::cli) struct Problem {
    pub(in crate::cli) status: StatusCode,
    pub(in crate::cli) body: Body,
    /// Seconds, or a date.
    retry_after: Option<String>,
    location: Option<String>,
}

/// What is read of a problem; servers of other releases may say more.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct Body {
    pub(in crate::cli) code: String,
    title: String,
    detail: String,
    request_id: Option<String>,
    pub(in crate::cli) errors: Vec<problem::Problem>,
}

impl Problem {
    /// Reads a problem; something else than a problem becomes one without a code.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = serde_json::from_slice(body).unwrap_or_default();
        Self { status, body, retry_after: header(RETRY_AFTER), location: header(LOCATION) }
    }

    /// Whether the server does not know the path or the method: an older one.
    pub(in crate::cli) fn is_unknown_route(&self) -> bool {
        // A route that is there, with an id that is none, has the same code.
        let is_bad_id = self.body.detail.starts_with("Invalid URL");
        let missing = self.status == StatusCode::NOT_FOUND && matches!(&*self.body.code, "" | "not_found") && !is_bad_id;
        missing || self.status == StatusCode::METHOD_NOT_ALLOWED
    }

    /// The problem in a sentence.
    pub(in crate::cli) fn summary(&self) -> String {
        let Body { code, title, detail, .. } = &self.body;
        if code.is_empty() {
            return format!("the server answered with {}", self.status);
        }
        printable(&format!("{title}: {detail} ({code})"))
    }

    /// The failure of a command that cannot go on.
    pub(in crate::cli) fn into_failure(self, target: &Target) -> Failure {
        let lines: String = self.body.errors.iter().map(|error| format!("\n  {}", line(error))).collect();
        let message = format!("{}{lines}", self.summary());
        let failure = match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::auth(message),
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => Failure::timeout(message),
            _ => Failure::error(message),
        };
        match self.hint(target) {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }

    fn hint(&self, target: &Target) -> Option<String> {
        if let Some(location) = self.location.as_ref().filter(|_| self.status.is_redirection()) {
            return Some(format!("the server is at {}", printable(location)));
        }
        if self.is_unknown_route() {
            return Some(format!("the server at {} does not know this; it may be older than this command", target.url));
        }
        if let Some(after) = &self.retry_after {
            // A number of seconds, or a date.
            return Some(match after.parse() {
                Ok(seconds) => format!("try again in {}", counted(seconds, "second")),
                Err(_) => format!("try again after {}", printable(after)),
            });
        }
        match (self.status, &target.authorization) {
            (StatusCode::UNAUTHORIZED, Authorization::None) => {
                Some("log in with `citadel login`, or set CITADEL__CLIENT__TOKEN".to_owned())
            }
            (StatusCode::UNAUTHORIZED, Authorization::Token { origin, .. }) => {
                Some(format!("the token came from {origin}; `citadel login` gets another"))
            }
            (StatusCode::UNAUTHORIZED, Authorization::Session { context, .. }) => {
                Some(format!("the session of the context {context} is not good any more: `citadel login`"))
            }
            _ if self.status.is_server_error() => self
                .body
                .request_id
                .as_ref()
                .map(|id| format!("the server's log has more under the request id {}", printable(id))),
            _ => None,
        }
    }
}

/// One thing that is wrong with a document.
pub(in crate::cli) fn line(error: &problem::Problem) -> String {
    let pointer = if error.pointer.is_empty() { "/" } else { &error.pointer };
    printable(&format!("{pointer} {}: {}", error.code, error.detail))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target() -> Target {
        Target::anonymous(super::super::parse_url("http://127.0.0.1:1").unwrap())
    }

    fn failure(status: u16, body: &serde_json::Value) -> String {
        let problem = Problem::read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.to_string().as_bytes());
        format!("{:?}", problem.into_failure(&target()))
    }

    #[test]
    fn shows_code_detail_and_every_pointer() {
        let errors =
            json!([{ "pointer": "/nodes/0", "code": "x", "detail": "a" }, { "pointer": "", "code": "y", "detail": "b" }]);
        let shown = failure(422, &json!({ "code": "invalid_definition", "title": "T", "detail": "D", "errors": errors }));
        assert!(shown.contains("T: D (invalid_definition)"), "{shown}");
        assert!(shown.contains("  /nodes/0 x: a") && shown.contains("  / y: b"), "{shown}");
    }

    #[test]
    fn says_when_to_try_again() {
        let hint = |after: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, after.parse().unwrap())]);
            let problem = Problem::read(StatusCode::SERVICE_UNAVAILABLE, &headers, br#"{ "code": "overloaded" }"#);
            problem.hint(&target()).unwrap()
        };
        assert_eq!([hint("1"), hint("30")], ["try again in 1 second", "try again in 30 seconds"]);
        assert_eq!(hint("Wed, 21 Oct 2026 07:28:00 GMT"), "try again after Wed, 21 Oct 2026 07:28:00 GMT");
    }

    #[test]
    fn keeps_escape_sequences_out() {
        let shown = failure(500, &json!({ "code": "x", "title": "\u{1b}[2J", "detail": "" }));
        assert!(!shown.contains('\u{1b}') && !shown.contains("\\u{1b}"), "{shown}");
    }

    #[test]
    fn tells_an_unknown_route_from_a_missing_thing() {
        let read_with = |status: u16, code: &str, detail: &str| {
            let body = json!({ "code": code, "detail": detail }).to_string();
            Problem::read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
        };
        let read = |status: u16, code: &str| read_with(status, code, "");
        assert!(read(404, "not_found").is_unknown_route() && read(405, "method_not_allowed").is_unknown_route());
        assert!(!read(404, "execution_not_found").is_unknown_route());
        let bad_id = read_with(404, "not_found", "Invalid URL: expected an id that starts with `key_`");
        assert!(!bad_id.is_unknown_route() && bad_id.hint(&target()).is_none());
    }
}
