//! Exchanges a code for an ID token. Source: OpenID Connect Core 1.0, section 3.1.3; RFC 6749, section 2.3.1.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;

use super::{ANSWER_BYTES_MAX, OidcError, Pending, Provider, REQUEST_MAX, metadata::Metadata, read_url, unexpected};
use crate::auth::egress::{
    EgressRequest, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};

const WHAT: &str = "tokens";
/// Characters of a provider's error code that are shown.
const ERROR_CHARS_MAX: usize = 64;

/// What the provider answers. Its access token is of no use here.
#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Errors: `Egress`, `Answer`, `Refused`.
pub(super) async fn exchange(
    provider: &Provider,
    metadata: &Metadata,
    pending: &Pending,
    code: &str,
) -> Result<String, OidcError> {
    let (headers, body) = write(provider, metadata, pending, code);
    let request = EgressRequest {
        method: Method::POST,
        url: read_url(WHAT, &metadata.token_endpoint)?,
        headers,
        body: Some(body),
        timeout: REQUEST_MAX,
        // Whoever is redirected to would get the code and the secret.
        follow_redirects: false,
    };
    let failed = |source| OidcError::Egress { what: WHAT, source };
    let response = provider.egress.send(request).await.map_err(failed)?;
    let status = response.status();
    let body = response.read(ANSWER_BYTES_MAX).await.map_err(failed)?;
    if !status.is_success() {
        return Err(match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => OidcError::Refused(shown_code(&refusal.error)),
            Err(_) => unexpected(WHAT, format!("status {}", status.as_u16())),
        });
    }
    let tokens: Tokens = serde_json::from_slice(&body).map_err(|error| unexpected(WHAT, error.to_string()))?;
    tokens.id_token.ok_or_else(|| unexpected(WHAT, "there is no ID token"))
}

/// The headers and the body of the request.
fn write(provider: &Provider, metadata: &Metadata, pending: &Pending, code: &str) -> (HeaderMap, Bytes) {
    let settings = &provider.settings;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", &pending.redirect_uri)
        .append_pair("code_verifier", &pending.verifier);
    let mut headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
        (ACCEPT, HeaderValue::from_static("application/json")),
    ]);
    let methods = &metadata.token_endpoint_auth_methods_supported;
    let is_posted = !methods.is_empty() && !methods.iter().any(|method| method == "client_secret_basic");
    match &settings.client_secret {
        Some(secret) if !is_posted => {
            headers.insert(AUTHORIZATION, basic(&settings.client_id, secret));
        }
        Some(secret) => {
            form.append_pair("client_id", &settings.client_id).append_pair("client_secret", secret);
        }
        None => {
            form.append_pair("client_id", &settings.client_id);
        }
    }
    (headers, Bytes::from(form.finish()))
}

/// An error code of a provider, fit for people.
pub(super) fn shown_code(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_graphic()).take(ERROR_CHARS_MAX).collect()
}

/// Both parts are encoded as in a form before they are put together.
fn basic(id: &str, secret: &str) -> HeaderValue {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let text = format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret))));
    let mut value = HeaderValue::try_from(text).expect("Base64 is fit for a header");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_both_parts_of_the_credentials() {
        let value = basic("a:b", "c d&");
        assert_eq!(value.to_str().unwrap(), format!("Basic {}", STANDARD.encode("a%3Ab:c+d%26")));
        assert!(value.is_sensitive());
    }

    #[test]
    fn shows_no_more_of_an_error_than_its_code() {
        assert_eq!(shown_code("access_denied\n<script>"), "access_denied<script>");
        assert_eq!(shown_code(&"x".repeat(1_000)).len(), ERROR_CHARS_MAX);
    }
}
