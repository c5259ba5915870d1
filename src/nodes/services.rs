//! What effect nodes may use of the outside, each behind the narrowest interface that serves.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use zeroize::Zeroizing;

use super::sql::SqlPools;
use crate::{
    auth::egress::EgressClient,
    model::{
        error::NodeError,
        ids::ExecutionId,
        ids::WorkspaceId,
        item::{BlobRef, Items},
        trace::TraceParent,
    },
    runtimes::{javascript::JavaScript, languages::Languages},
};

/// Everything that an effect node can reach. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// The only way to make an HTTP request.
    pub egress: EgressClient,
    pub blobs: Arc<dyn Blobs>,
    /// The directory that file nodes may use; `None` switches them off.
    pub files_root: Option<PathBuf>,
    /// Open connections of SQL nodes.
    pub sql: Arc<SqlPools>,
    /// What evaluates expressions.
    pub javascript: Arc<JavaScript>,
    /// The languages of code.
    pub languages: Arc<Languages>,
    pub credentials: Arc<dyn Credentials>,
    pub children: Arc<dyn Children>,
}

/// The blob store, as nodes see it.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores bytes under their hash.
    async fn put(&self, bytes: Bytes) -> Result<BlobRef, NodeError>;

    /// Errors: `blob_missing`.
    async fn get(&self, blob: &BlobRef) -> Result<Bytes, NodeError>;
}

/// Credentials by name.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// Errors: `invalid_parameter` if there is none of that name.
    async fn get(&self, workspace: WorkspaceId, name: &str) -> Result<Credential, NodeError>;
}

/// A credential's type (`http_bearer`, `postgres`, ...) and its fields, some of them secret. Has no `Debug` on purpose.
#[derive(Clone)]
pub struct Credential {
    pub kind: String,
    /// Wiped from memory with the credential.
    pub fields: BTreeMap<String, Zeroizing<String>>,
}

/// Starts sub-workflows.
#[async_trait]
pub trait Children: Send + Sync {
    /// Starts a child execution, once however often it is asked: its id follows from the request.
    async fn start(&self, child: ChildRequest) -> Result<ExecutionId, NodeError>;
}

/// A child to start.
#[derive(Debug, Clone)]
pub struct ChildRequest {
    pub workspace: WorkspaceId,
    pub parent: ExecutionId,
    /// Nesting of the child: the parent's plus one.
    pub nesting: u32,
    /// The trace of the parent, which the child belongs to, too.
    pub trace: Option<TraceParent>,
    /// Names the child among all of its parent: node id, run, item index.
    pub key: String,
    /// A workflow's id, or the name of an active workflow of the workspace.
    pub workflow: String,
    pub items: Items,
    /// The signal that the child's end sends to its parent; `None` if nobody waits.
    pub notify: Option<String>,
}
