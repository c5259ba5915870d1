//! How people log in beside passwords.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Secret;

/// Logins at OpenID providers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthConfig {
    /// Providers by name: letters, digits and `-`.
    #[serde(skip_serializing)]
    pub oidc: BTreeMap<String, OidcConfig>,
}

/// One provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// The URL that the provider has as its name.
    pub issuer: String,
    pub client_id: String,
    /// Unset: a public client.
    pub client_secret: Option<Secret>,
    /// What people read on the button; unset: the name.
    pub label: Option<String>,
    /// What is asked for beside `openid`.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// The claim of the ID token that lists groups.
    #[serde(default = "default_groups_claim")]
    pub groups_claim: String,
    /// Roles by groups. Of several the one that may do most counts.
    #[serde(default)]
    pub roles: BTreeMap<String, String>,
    /// The role of somebody in none of these groups; unset: they are not let in.
    pub default_role: Option<String>,
}

fn default_scopes() -> Vec<String> {
    vec!["email".to_owned(), "profile".to_owned()]
}

fn default_groups_claim() -> String {
    "groups".to_owned()
}
