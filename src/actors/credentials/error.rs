//! What can go wrong about credentials, for HTTP and for nodes. No text of it has a value in it.

use super::oauth::TokenError;
use crate::{
    auth::keyring::OpenError,
    model::{
        error::{NodeError, codes},
        ids::{CredentialId, WorkflowId},
        problem::Problem,
    },
    nodes::credential_types::FIELDS_BYTES_MAX,
    store::{CREDENTIALS_MAX, StoreError},
};

/// Why an operation on credentials failed.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("there is no such credential")]
    NotFound,
    #[error("there is a credential of this name")]
    Exists,
    #[error("a workspace has {CREDENTIALS_MAX} credentials at most")]
    Full,
    #[error("the credential is at version {version}")]
    Stale { version: u32 },
    /// Others change it again and again.
    #[error("others change the credential at the same time")]
    Busy,
    #[error("the active version of the workflow `{name}` ({workflow}) names the credential")]
    InUse { workflow: WorkflowId, name: String },
    #[error("the credential has problems")]
    Invalid(Vec<Problem>),
    #[error("the fields have {bytes} bytes, the limit is {FIELDS_BYTES_MAX}")]
    TooLarge { bytes: usize },
    /// The stored value cannot be read with the keys of this process.
    #[error("the credential {id} {source}")]
    Unreadable {
        id: CredentialId,
        #[source]
        source: OpenError,
    },
    /// Its type has nothing to do with OAuth.
    #[error("a credential of type {kind} is not authorized by a person")]
    NoAuthorization { kind: String },
    /// The answer of a person belongs to no request, or to one that is over.
    #[error("the authorization is unknown or over: {0}")]
    UnknownAuthorization(&'static str),
    /// The service that grants tokens did not.
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CredentialError {
    /// The failure of a node that names the credential.
    pub fn into_node_error(self, name: &str) -> NodeError {
        let message = format!("cannot use the credential `{name}`: {self}");
        match self {
            Self::Store(StoreError::Unavailable { .. }) | Self::Busy => NodeError::transient(codes::CREDENTIAL, message),
            Self::Token(error) => NodeError { retryable: error.is_transient(), ..NodeError::permanent(error.code(), message) },
            Self::NotFound
            | Self::Exists
            | Self::Full
            | Self::Stale { .. }
            | Self::InUse { .. }
            | Self::Invalid(_)
            | Self::TooLarge { .. }
            | Self::Unreadable { .. }
            | Self::NoAuthorization { .. }
            | Self::UnknownAuthorization(_)
            | Self::Store(_) => NodeError::permanent(codes::CREDENTIAL, message),
        }
    }
}
