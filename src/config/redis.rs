//! Settings of the Redis that servers share.

use serde::{Deserialize, Serialize};

use super::Secret;

/// What the servers of a cluster count together. Unset: each counts for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RedisConfig {
    /// `redis://...`, or `rediss://...` with TLS. Secret, since it may hold a password.
    pub url: Option<Secret>,
    /// What every key begins with: clusters that share a Redis need different ones.
    pub prefix: String,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self { url: None, prefix: "citadel".to_owned() }
    }
}
