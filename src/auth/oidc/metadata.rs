//! What a provider says about itself, and its keys: fetched when they are needed, and remembered for an hour.

use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::Mutex, time::Instant};

use super::{ANSWER_BYTES_MAX, OidcError, Provider, REQUEST_MAX, read_url, unexpected};
use crate::auth::egress::{EgressRequest, Method, header::HeaderMap};

/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_secs(3_600);
/// How long keys are believed at least, so that tokens with invented keys do not make the provider busy.
const KEYS_BELIEVED_MIN: Duration = Duration::from_secs(60);

/// The part of a provider's metadata that is used. Source: OpenID Connect Discovery 1.0, section 3.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) jwks_uri: String,
    #[serde(default)]
    pub(super) token_endpoint_auth_methods_supported: Vec<String>,
}

/// Remembers what a provider said.
#[derive(Default)]
pub(super) struct MetadataCache {
    metadata: Mutex<Option<(Instant, Metadata)>>,
    keys: Mutex<Option<(Instant, JwkSet)>>,
}

impl MetadataCache {
    /// Errors: `Egress`, `Answer`.
    pub(super) async fn get(&self, provider: &Provider) -> Result<Metadata, OidcError> {
        let what = "configuration";
        let mut known = self.metadata.lock().await;
        if let Some((at, metadata)) = &*known
            && at.elapsed() < BELIEVED
        {
            return Ok(metadata.clone());
        }
        let issuer = &provider.settings.issuer;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata: Metadata = fetch(provider, what, &address).await?;
        if metadata.issuer != *issuer {
            return Err(unexpected(what, format!("it is that of {}", metadata.issuer)));
        }
        *known = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }

    /// The key of a token. One that is not known may be new: then the provider is asked again.
    ///
    /// Errors: `Egress`, `Answer`.
    pub(super) async fn key(&self, provider: &Provider, metadata: &Metadata, id: Option<&str>) -> Result<Jwk, OidcError> {
        let what = "keys";
        let mut known = self.keys.lock().await;
        let age = known.as_ref().map(|(at, _)| at.elapsed());
        if let Some((_, keys)) = known.as_ref().filter(|_| age.is_some_and(|age| age < BELIEVED)) {
            match find(keys, id) {
                Some(key) => return Ok(key),
                None if age.is_some_and(|age| age < KEYS_BELIEVED_MIN) => {
                    return Err(unexpected(what, "none of them signed the ID token"));
                }
                None => {}
            }
        }
        let keys: JwkSet = fetch(provider, what, &metadata.jwks_uri).await?;
        let key = find(&keys, id);
        *known = Some((Instant::now(), keys));
        key.ok_or_else(|| unexpected(what, "none of them signed the ID token"))
    }
}

/// The key with this id; the only one there is, where the token names none.
fn find(keys: &JwkSet, id: Option<&str>) -> Option<Jwk> {
    match (id, keys.keys.as_slice()) {
        (Some(id), _) => keys.find(id).cloned(),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    }
}

/// Reads a document of the provider.
async fn fetch<T: DeserializeOwned>(provider: &Provider, what: &'static str, address: &str) -> Result<T, OidcError> {
    let request = EgressRequest {
        method: Method::GET,
        url: read_url(what, address)?,
        headers: HeaderMap::new(),
        body: None,
        timeout: REQUEST_MAX,
        follow_redirects: true,
    };
    let failed = |source| OidcError::Egress { what, source };
    let response = provider.egress.send(request).await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(unexpected(what, format!("status {}", response.status().as_u16())));
    }
    let body = response.read(ANSWER_BYTES_MAX).await.map_err(failed)?;
    serde_json::from_slice(&body).map_err(|error| unexpected(what, error.to_string()))
}
