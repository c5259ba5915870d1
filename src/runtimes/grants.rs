//! What code may reach outside of its sandbox: nothing but what it was granted, and that only through the host.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::model::ids::WorkspaceId;

/// All variables of one run together, names and values. **Units**: bytes. No system gives a process more than 128 KiB in one.
pub const ENV_BYTES_MAX: usize = 120 * 1024;

/// Why no process can have these variables, if that is so. Says names only: values may be secret.
pub fn env_complaint(env: &BTreeMap<String, String>) -> Option<String> {
    if let Some((name, _)) = env.iter().find(|(_, value)| value.contains('\0')) {
        return Some(format!("the variable {name} has the character U+0000 in it"));
    }
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    (bytes > ENV_BYTES_MAX).then(|| format!("the variables have {bytes} bytes together, more than {ENV_BYTES_MAX}"))
}

/// What one node run was granted, and who runs it. Empty by default.
#[derive(Clone, Default)]
pub struct Grants {
    /// Whose run it is: an interpreter that waits for work waits for one workspace. `None`: nothing that has waited serves it.
    pub workspace: Option<WorkspaceId>,
    /// Variables that the code finds in its environment. May be secret.
    pub env: BTreeMap<String, String>,
    /// The way to the network, if there is one.
    pub network: Option<Arc<dyn Fetch>>,
}

impl fmt::Debug for Grants {
    /// Names only: values may be secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.env.keys().collect();
        let mut shown = formatter.debug_struct("Grants");
        shown.field("workspace", &self.workspace).field("env", &names).field("network", &self.network.is_some()).finish()
    }
}

/// Sends HTTP requests for code, under the host's policy.
pub trait Fetch: Send + Sync {
    /// Blocks until the answer is there or the time is over.
    fn fetch(&self, request: FetchRequest, within: Duration) -> Result<FetchResponse, FetchError>;
}

/// Why there is no answer: a sentence for the code that asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The policy forbids it.
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Failed(String),
}

/// A request of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An answer for code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchResponse {
    /// What answered, after redirects.
    pub url: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_obeyed_and_violated() {
        let env = |value: String| BTreeMap::from([("A".to_owned(), value)]);
        assert_eq!(env_complaint(&env("x".repeat(ENV_BYTES_MAX - 1))), None);
        assert!(env_complaint(&env("x".repeat(ENV_BYTES_MAX))).is_some());
        let complaint = env_complaint(&env("secret\0".to_owned())).unwrap();
        assert!(complaint.contains("A has") && !complaint.contains("secret"), "{complaint}");
    }
}
