//! Checks an ID token: its signature by a key of the provider, and every claim that says for whom and for which login it is.
//! Source: OpenID Connect Core 1.0, section 3.1.3.7.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::{ExternalIdentity, OidcError, Provider, ProviderSettings, metadata::Metadata, unexpected};

const WHAT: &str = "ID token";
/// Longest ID token, in bytes.
const TEXT_BYTES_MAX: usize = 32 * 1024;
/// Characters of a subject. Source: OpenID Connect Core 1.0, section 2.
const SUBJECT_CHARS_MAX: usize = 255;
/// Groups of one person that count.
const GROUPS_MAX: usize = 1_000;
/// How far the clocks of the provider and of this machine may be apart, in seconds.
const LEEWAY_SECONDS: u64 = 60;
/// Signatures that only the provider can make. A secret that both sides have is none of that kind.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The claims that are used.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    iss: String,
    sub: String,
    aud: Value,
    azp: Option<String>,
    nonce: Option<String>,
    email: Option<String>,
    #[serde(default)]
    email_verified: Value,
    name: Option<String>,
    preferred_username: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// Errors: `Egress`, `Answer`.
pub(super) async fn read(provider: &Provider, metadata: &Metadata, text: &str, nonce: &str) -> Result<Claims, OidcError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(unexpected(WHAT, "it is too long"));
    }
    let header = decode_header(text).map_err(|error| unexpected(WHAT, error.to_string()))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(unexpected(WHAT, "it is signed in a way that is not accepted"));
    }
    let key = provider.metadata.key(provider, metadata, header.kid.as_deref()).await?;
    let key = DecodingKey::from_jwk(&key).map_err(|error| unexpected("keys", error.to_string()))?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[&metadata.issuer]);
    validation.set_audience(&[&provider.settings.client_id]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY_SECONDS;
    let claims = decode::<Claims>(text, &key, &validation).map_err(|error| unexpected(WHAT, error.to_string()))?.claims;
    check(&claims, &provider.settings.client_id, nonce)?;
    Ok(claims)
}

/// What the library does not check.
fn check(claims: &Claims, client_id: &str, nonce: &str) -> Result<(), OidcError> {
    let is_this_login = claims.nonce.as_ref().is_some_and(|found| found.as_bytes().ct_eq(nonce.as_bytes()).into());
    if !is_this_login {
        return Err(unexpected(WHAT, "it belongs to another login"));
    }
    let has_more = claims.aud.as_array().is_some_and(|audience| audience.len() > 1);
    let is_for_another = claims.azp.as_ref().is_some_and(|party| party != client_id);
    if is_for_another || (has_more && claims.azp.is_none()) {
        return Err(unexpected(WHAT, "it was made for another client"));
    }
    if claims.sub.is_empty() || claims.sub.chars().count() > SUBJECT_CHARS_MAX {
        return Err(unexpected(WHAT, "its subject is empty or too long"));
    }
    Ok(())
}

impl Claims {
    pub(super) fn into_identity(self, settings: &ProviderSettings) -> ExternalIdentity {
        let is_verified = match &self.email_verified {
            Value::Bool(is_verified) => *is_verified,
            // Some providers write it as a text.
            Value::String(text) => text == "true",
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
        };
        let groups = match self.others.get(&settings.groups_claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).take(GROUPS_MAX).map(str::to_owned).collect(),
            Some(Value::String(group)) => vec![group.clone()],
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
        };
        ExternalIdentity {
            issuer: self.iss,
            subject: self.sub,
            email: self.email.filter(|_| is_verified),
            name: self.name.or(self.preferred_username),
            groups,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(change: &Value) -> Claims {
        let mut all = json!({ "iss": "https://id.example", "sub": "7", "aud": "here", "nonce": "n" });
        all.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn identity(change: &Value) -> ExternalIdentity {
        let settings = ProviderSettings {
            issuer: "https://id.example".to_owned(),
            client_id: "here".to_owned(),
            client_secret: None,
            scopes: Vec::new(),
            groups_claim: "groups".to_owned(),
        };
        claims(change).into_identity(&settings)
    }

    #[test]
    fn belongs_to_one_login_of_one_client() {
        let is_good = |change: &Value| check(&claims(change), "here", "n").is_ok();
        assert!(is_good(&json!({})) && is_good(&json!({ "aud": ["here"], "azp": "here" })));
        assert!(is_good(&json!({ "aud": ["here", "there"], "azp": "here" })));
        for wrong in [
            json!({ "nonce": "m" }),
            json!({ "nonce": null }),
            json!({ "azp": "there" }),
            json!({ "aud": ["here", "there"] }),
            json!({ "sub": "" }),
            json!({ "sub": "x".repeat(256) }),
        ] {
            assert!(!is_good(&wrong), "{wrong}");
        }
    }

    #[test]
    fn has_an_address_only_if_it_is_verified() {
        let email = |verified: Value| identity(&json!({ "email": "a@example.org", "email_verified": verified })).email;
        assert!(email(json!(true)).is_some() && email(json!("true")).is_some());
        assert!(email(json!(false)).is_none() && email(json!(null)).is_none() && email(json!(1)).is_none());
        assert_eq!(identity(&json!({ "email": "a@example.org" })).email, None);
    }

    #[test]
    fn has_groups_as_a_list_or_as_one() {
        assert_eq!(identity(&json!({ "groups": ["a", 1, "b"] })).groups, ["a", "b"]);
        assert_eq!(identity(&json!({ "groups": "a" })).groups, ["a"]);
        assert!(identity(&json!({})).groups.is_empty());
        assert_eq!(identity(&json!({ "preferred_username": "ada" })).name.as_deref(), Some("ada"));
    }
}
