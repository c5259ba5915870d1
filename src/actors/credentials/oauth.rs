//! Asks services for access tokens: OAuth 2 as a client (RFC 6749, sections 4.1.3, 4.4 and 6). Writes requests and reads answers; when
//! to ask, and what to keep, is decided in `grants`. Every request goes through the egress policy.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use super::sealing::{Fields, Tokens};
use crate::{
    auth::{
        egress::{
            EgressClient, EgressRequest, Method, StatusCode, Url,
            header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
        },
        redaction::Redactor,
    },
    model::error::{NodeError, codes},
    nodes::effects::of_egress,
};

/// Wall time of one request.
const REQUEST_MAX: Duration = Duration::from_secs(20);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Characters of what a service says about its refusal.
const REASON_CHARS_MAX: usize = 300;
/// Longest life of a token that is believed, in seconds (ten years).
const LIFE_S_MAX: u64 = 10 * 365 * 86_400;

/// How tokens are granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// To the client itself.
    ClientCredentials,
    /// By a person who has agreed.
    AuthorizationCode,
}

impl Flow {
    /// The flow of a type of credentials, if it has any.
    pub(super) fn of(kind: &str) -> Option<Self> {
        match kind {
            "oauth2_client_credentials" => Some(Self::ClientCredentials),
            "oauth2_authorization_code" => Some(Self::AuthorizationCode),
            _ => None,
        }
    }
}

/// What is shown to the service for a token.
pub(super) enum Proof<'a> {
    /// The client's secret alone.
    Client,
    /// What a person's agreement came with.
    Code { code: &'a str, verifier: &'a str, redirect_uri: &'a str },
    /// The token of an earlier grant.
    Refresh { token: &'a str },
}

/// What a service granted.
pub(super) struct Granted {
    pub(super) tokens: Tokens,
    /// How long the access token is good for, if the service says so.
    pub(super) life: Option<Duration>,
}

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The person has not agreed yet, or has to agree again.
    #[error("nobody has authorized it: POST /api/v1/credentials/ID/authorize tells the URL that a person opens")]
    NotAuthorized,
    /// The service says no.
    #[error("the service refuses a token: {reason}")]
    Refused { reason: String, is_transient: bool },
    #[error("the service's answer is no token: {0}")]
    NoToken(&'static str),
    /// There was no answer.
    #[error("the service that grants tokens cannot be reached: {}", .0.message)]
    Unreachable(NodeError),
    /// Another process has been asking for it for too long.
    #[error("another process is renewing its token and does not come to an end")]
    Busy,
}

impl TokenError {
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::NotAuthorized | Self::NoToken(_) => false,
            Self::Refused { is_transient, .. } => *is_transient,
            Self::Unreachable(error) => error.retryable,
            Self::Busy => true,
        }
    }

    pub(super) fn code(&self) -> &str {
        match self {
            Self::Unreachable(error) => &error.code,
            Self::NotAuthorized | Self::Refused { .. } | Self::NoToken(_) | Self::Busy => codes::CREDENTIAL,
        }
    }
}

/// Asks for a token.
///
/// Errors: `Refused`, `NoToken`, `Unreachable`.
pub(super) async fn request(egress: &EgressClient, fields: &Fields, proof: Proof<'_>) -> Result<Granted, TokenError> {
    let earlier = match proof {
        Proof::Refresh { token } => Some(token.to_owned()),
        Proof::Client | Proof::Code { .. } => None,
    };
    let secrets = Redactor::new(fields.values().map(|value| value.as_str()).chain(earlier.as_deref()));
    let response = egress.send(write(fields, proof)?).await.map_err(|error| TokenError::Unreachable(of_egress(&error)))?;
    let status = response.status();
    let body = response.read(ANSWER_BYTES_MAX).await.map_err(|error| TokenError::Unreachable(of_egress(&error)))?;
    read(status, &body, earlier, &secrets)
}

fn field<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    fields.get(name).map(|value| value.as_str())
}

fn write(fields: &Fields, proof: Proof<'_>) -> Result<EgressRequest, TokenError> {
    let url = field(fields, "token_url")
        .and_then(|url| Url::parse(url).ok())
        .ok_or(TokenError::NoToken("its `token_url` is no URL"))?;
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let mut form = form_urlencoded::Serializer::new(String::new());
    match proof {
        Proof::Client => {
            form.append_pair("grant_type", "client_credentials");
            for name in ["scope", "audience"] {
                if let Some(value) = field(fields, name) {
                    form.append_pair(name, value);
                }
            }
        }
        Proof::Code { code, verifier, redirect_uri } => {
            form.append_pair("grant_type", "authorization_code").append_pair("code", code);
            form.append_pair("redirect_uri", redirect_uri).append_pair("code_verifier", verifier);
        }
        Proof::Refresh { token } => {
            form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token);
        }
    }
    let id = field(fields, "client_id").unwrap_or_default();
    match (field(fields, "client_secret"), field(fields, "client_auth")) {
        (Some(secret), None | Some("basic")) => drop(headers.insert(AUTHORIZATION, basic(id, secret)?)),
        (Some(secret), Some(_)) => drop(form.append_pair("client_id", id).append_pair("client_secret", secret)),
        (None, _) => drop(form.append_pair("client_id", id)),
    }
    let body = Some(Bytes::from(form.finish()));
    // A redirect would carry the secret to somebody who was not named.
    Ok(EgressRequest { method: Method::POST, url, headers, body, timeout: REQUEST_MAX, follow_redirects: false })
}

/// Both parts are encoded before they are joined. Source: RFC 6749, section 2.3.1.
fn basic(id: &str, secret: &str) -> Result<HeaderValue, TokenError> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret)));
    let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text).map_err(|_| TokenError::NoToken("the client's secret cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads an answer. A service that sends no new refresh token means the `earlier` one.
fn read(status: StatusCode, body: &[u8], earlier: Option<String>, secrets: &Redactor) -> Result<Granted, TokenError> {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let text = |name: &str| answer.as_ref().and_then(|answer| answer[name].as_str());
    // Some services answer 200 with an error.
    if !status.is_success() || text("error").is_some() {
        let is_transient = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        let said = match (text("error"), text("error_description")) {
            (Some(error), Some(description)) => format!("{error}: {description}"),
            (Some(error), None) => error.to_owned(),
            (None, _) => format!("status {}", status.as_u16()),
        };
        let fit: String = secrets.text(&said).chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
        return Err(TokenError::Refused { reason: fit, is_transient });
    }
    let access_token = text("access_token").filter(|token| !token.is_empty());
    let access_token = access_token.ok_or(TokenError::NoToken("it has no `access_token`"))?.to_owned();
    if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(TokenError::NoToken("its `token_type` is not `bearer`"));
    }
    let refresh_token = text("refresh_token").map(str::to_owned).or(earlier);
    let tokens = Tokens { access_token, refresh_token, scope: text("scope").map(str::to_owned) };
    let life = answer.as_ref().and_then(|answer| seconds(&answer["expires_in"])).map(Duration::from_secs);
    if let Some(answer) = answer {
        wipe(answer);
    }
    Ok(Granted { tokens, life })
}

/// Some services send the number as a text.
fn seconds(value: &Value) -> Option<u64> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    Some(seconds.min(LIFE_S_MAX))
}

fn wipe(answer: Value) {
    if let Value::Object(fields) = answer {
        for (_, value) in fields {
            if let Value::String(mut text) = value {
                text.zeroize();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(more: &[(&str, &str)]) -> Fields {
        let all = [("token_url", "https://id.test/token"), ("client_id", "me"), ("client_secret", "s e+cret")];
        all.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into())).collect()
    }

    #[track_caller]
    fn check_request(fields: &Fields, proof: Proof<'_>, body: &str, authorization: Option<&str>) {
        let request = write(fields, proof).unwrap();
        assert_eq!(String::from_utf8(request.body.unwrap().to_vec()).unwrap(), body);
        assert_eq!(request.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap()), authorization);
        assert!(!request.follow_redirects);
    }

    #[test]
    fn writes_the_requests_of_every_flow() {
        let basic = "Basic bWU6cytlJTJCY3JldA==";
        let with = [("scope", "a b"), ("audience", "api")];
        let body = "grant_type=client_credentials&scope=a+b&audience=api";
        check_request(&fields(&with), Proof::Client, body, Some(basic));
        let in_body = fields(&[("client_auth", "body")]);
        check_request(&in_body, Proof::Client, "grant_type=client_credentials&client_id=me&client_secret=s+e%2Bcret", None);
        let code = Proof::Code { code: "c&d", verifier: "v", redirect_uri: "http://x/cb" };
        let body = "grant_type=authorization_code&code=c%26d&redirect_uri=http%3A%2F%2Fx%2Fcb&code_verifier=v";
        check_request(&fields(&[]), code, body, Some(basic));
        let mut public = fields(&[]);
        public.remove("client_secret");
        let refresh = Proof::Refresh { token: "r" };
        check_request(&public, refresh, "grant_type=refresh_token&refresh_token=r&client_id=me", None);
    }

    fn answered(status: u16, body: &Value) -> Result<Granted, TokenError> {
        let status = StatusCode::from_u16(status).unwrap();
        read(status, body.to_string().as_bytes(), Some("earlier".to_owned()), &Redactor::new(["s e+cret"]))
    }

    #[test]
    fn reads_tokens() {
        let body = json!({ "access_token": "a", "token_type": "Bearer", "expires_in": "60", "refresh_token": "r", "scope": "x" });
        let granted = answered(200, &body).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(granted.life, Some(Duration::from_secs(60)));
        assert_eq!((&*granted.tokens.access_token, granted.tokens.refresh_token.as_deref()), ("a", Some("r")));
        let granted =
            answered(200, &json!({ "access_token": "a", "expires_in": u64::MAX })).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(granted.tokens.refresh_token.as_deref(), Some("earlier"), "it stays good");
        assert_eq!(granted.life, Some(Duration::from_secs(LIFE_S_MAX)));
    }

    #[track_caller]
    fn check_refusal(status: u16, body: &Value, words: &str, is_transient: bool) {
        let Err(error) = answered(status, body) else { panic!("it is no token") };
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.is_transient(), is_transient, "{error}");
    }

    #[test]
    fn says_why_there_is_no_token() {
        check_refusal(
            400,
            &json!({ "error": "invalid_client", "error_description": "s e+cret is wrong\n" }),
            "invalid_client: [secret] is wrong",
            false,
        );
        check_refusal(200, &json!({ "error": "bad_verification_code" }), "bad_verification_code", false);
        check_refusal(503, &json!("later"), "status 503", true);
        check_refusal(429, &json!({}), "status 429", true);
        check_refusal(302, &json!({}), "status 302", false);
        check_refusal(200, &json!({ "token": "a" }), "no `access_token`", false);
        check_refusal(200, &json!({ "access_token": "a", "token_type": "mac" }), "token_type", false);
        let Err(long) = answered(400, &json!({ "error": "e".repeat(10_000) })) else { panic!() };
        assert!(long.to_string().len() < REASON_CHARS_MAX + 100);
    }
}
