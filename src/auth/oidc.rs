//! Logins at an OpenID provider: the code flow with PKCE, as a client with one redirect address. Says who somebody is there; what
//! that means here is decided by `actors::accounts`. Every request goes through the egress policy, and every key and every claim
//! of an ID token is checked. Sources: OpenID Connect Core 1.0, Discovery 1.0, RFC 7636 (PKCE), RFC 9700 (best practice).

mod exchange;
mod id_token;
mod metadata;

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use self::metadata::MetadataCache;
use super::egress::{EgressClient, EgressError, Url};
use crate::clock;

/// How long somebody may take at the provider, in milliseconds.
pub const PENDING_MS: u64 = 10 * 60_000;
/// Wall time of one request to a provider.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer of a provider.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// What an operator says about a provider.
#[derive(Clone)]
pub struct ProviderSettings {
    /// The URL that the provider has as its name, without a slash that it has not.
    pub issuer: String,
    pub client_id: String,
    /// `None` for a public client.
    pub client_secret: Option<Zeroizing<String>>,
    /// Beside `openid`.
    pub scopes: Vec<String>,
    /// The claim of the ID token that lists groups.
    pub groups_claim: String,
}

/// A provider. Cheap to clone.
#[derive(Clone)]
pub struct Provider {
    settings: Arc<ProviderSettings>,
    egress: EgressClient,
    metadata: Arc<MetadataCache>,
}

/// A login that waits for somebody to come back from the provider: kept by their browser, sealed.
#[derive(Serialize, Deserialize)]
pub struct Pending {
    /// The provider's name here.
    pub provider: String,
    state: String,
    nonce: String,
    verifier: String,
    /// The same when the code is exchanged.
    redirect_uri: String,
    /// Where to go afterwards: a path of this server.
    pub return_to: String,
    expires_at: u64,
}

/// What a browser brings back from a provider.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    pub code: &'a str,
    /// Which provider says so, if it says that.
    pub issuer: Option<&'a str>,
}

/// Who somebody is at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalIdentity {
    pub issuer: String,
    pub subject: String,
    /// An address that the provider has verified.
    pub email: Option<String>,
    pub name: Option<String>,
    pub groups: Vec<String>,
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The browser does not come from a login that began here, or took too long.
    #[error("the login did not begin here, or took too long")]
    NotPending,
    /// The provider says no: its code, such as `access_denied`.
    #[error("the provider refuses: {0}")]
    Refused(String),
    #[error("cannot ask the provider for {what}")]
    Egress {
        what: &'static str,
        #[source]
        source: EgressError,
    },
    /// The provider answers something else than the standard says.
    #[error("the provider's {what} is not as it should be: {reason}")]
    Answer { what: &'static str, reason: String },
}

impl Provider {
    pub fn new(settings: ProviderSettings, egress: EgressClient) -> Self {
        Self { settings: Arc::new(settings), egress, metadata: Arc::default() }
    }

    /// Where to send a browser, and what has to come back with it.
    ///
    /// Errors: `Egress`, `Answer`.
    pub async fn begin(&self, provider: &str, redirect_uri: String, return_to: String) -> Result<(Url, Pending), OidcError> {
        let metadata = self.metadata.get(self).await?;
        let pending = Pending {
            provider: provider.to_owned(),
            state: draw(),
            nonce: draw(),
            verifier: draw(),
            redirect_uri,
            return_to,
            expires_at: clock::now_ms() + PENDING_MS,
        };
        let mut url = read_url("configuration", &metadata.authorization_endpoint)?;
        let scopes: Vec<&str> = std::iter::once("openid").chain(self.settings.scopes.iter().map(String::as_str)).collect();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &pending.redirect_uri)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", &pending.state)
            .append_pair("nonce", &pending.nonce)
            .append_pair("code_challenge", &challenge(&pending.verifier))
            .append_pair("code_challenge_method", "S256");
        Ok((url, pending))
    }

    /// Exchanges the code that came back for who it is.
    ///
    /// Errors: every variant but `Refused`, unless the exchange is refused.
    pub async fn finish(&self, pending: &Pending, answer: &Answer<'_>) -> Result<ExternalIdentity, OidcError> {
        // Source: RFC 9207. Not every provider says it.
        if answer.issuer.is_some_and(|issuer| issuer != self.settings.issuer) {
            return Err(OidcError::NotPending);
        }
        let metadata = self.metadata.get(self).await?;
        let id_token = exchange::exchange(self, &metadata, pending, answer.code).await?;
        let claims = id_token::read(self, &metadata, &id_token, &pending.nonce).await?;
        Ok(claims.into_identity(&self.settings))
    }
}

impl OidcError {
    /// The provider sent a browser back with this error code.
    pub fn refused(code: &str) -> Self {
        Self::Refused(exchange::shown_code(code))
    }
}

impl Pending {
    /// Whether this is the login that a browser comes back for.
    ///
    /// Errors: `NotPending`.
    pub fn check(&self, provider: &str, state: &str) -> Result<(), OidcError> {
        let is_same = bool::from(self.state.as_bytes().ct_eq(state.as_bytes())) && self.provider == provider;
        if is_same && clock::now_ms() < self.expires_at { Ok(()) } else { Err(OidcError::NotPending) }
    }
}

/// 256 random bits.
fn draw() -> String {
    let mut bytes = [0; 32];
    clock::fill_random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Source: RFC 7636, section 4.2.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// An address that the provider says.
fn read_url(what: &'static str, text: &str) -> Result<Url, OidcError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| unexpected(what, "an address in it is none of HTTP"))
}

fn unexpected(what: &'static str, reason: impl Into<String>) -> OidcError {
    OidcError::Answer { what, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_as_the_standard_shows() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn knows_the_login_that_began_here() {
        let pending = |expires_at| Pending {
            provider: "corp".to_owned(),
            state: "s".to_owned(),
            nonce: String::new(),
            verifier: String::new(),
            redirect_uri: String::new(),
            return_to: "/".to_owned(),
            expires_at,
        };
        let ahead = clock::now_ms() + 60_000;
        assert!(pending(ahead).check("corp", "s").is_ok());
        assert!(pending(ahead).check("corp", "t").is_err() && pending(ahead).check("other", "s").is_err());
        assert!(pending(1).check("corp", "s").is_err());
    }
}
