//! Why an operation on a workflow fails.

use crate::{
    model::{
        error::NodeError,
        ids::WorkflowId,
        problem::{Problem, counted},
    },
    store::{NewHook, StoreError},
};

/// Why an operation on a workflow fails, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    #[error("there is no such workflow")]
    NotFound,
    #[error("the workflow has no version {version}")]
    VersionNotFound { version: u32 },
    /// The definition has problems, all of which are listed.
    #[error("the workflow definition has {}", counted(.0.len(), "problem"))]
    Invalid(Vec<Problem>),
    /// The latest version is another one.
    #[error("the latest version of the workflow is {latest_version}")]
    Stale { latest_version: u32 },
    #[error("the idempotency key was used with another definition")]
    KeyMismatch,
    #[error("another workflow has published {} {}", .hook.method, .hook.path)]
    HookTaken { hook: NewHook, workflow: WorkflowId },
    /// A stored version does not compile any more: it was stored by a release that knew other node types.
    #[error("version {version} of {workflow} cannot be run by this release: {}", summarize(.problems))]
    Unusable { workflow: WorkflowId, version: u32, problems: Vec<Problem> },
    /// A secret that a webhook's verification needs cannot be evaluated.
    #[error("a secret of the webhook's verification cannot be evaluated")]
    Secret(#[source] NodeError),
    /// The work was cut off: it panicked, or the server is stopping.
    #[error("the work was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first problem, and how many more there are.
fn summarize(problems: &[Problem]) -> String {
    match problems {
        [] => "no problem is known".to_owned(),
        [only] => format!("{} at `{}`", only.detail, only.pointer),
        [first, rest @ ..] => format!("{} at `{}`, and {} more", first.detail, first.pointer, rest.len()),
    }
}
