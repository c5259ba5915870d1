//! What a batch does to one execution. Each action can be done again: a retry has an id that follows from the batch and the
//! execution, a cancel request has a key, and what is deleted is gone.

use uuid::Uuid;

use crate::{
    actors::executions::{BatchBody, CommandError, ExecutionsHandle, RetryError, RetryRequest, StartError},
    model::{
        batch::BatchAction,
        execution::ExecutionStatus,
        ids::{BatchId, ExecutionId},
        reuse::ReuseError,
    },
    store::BatchRow,
};

/// Characters of a message that is kept.
const MESSAGE_CHARS_MAX: usize = 500;

/// What became of one execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Acted {
    Done,
    Failed {
        code: &'static str,
        message: String,
    },
    /// The process has no room for it, or stops: to be done again.
    Later,
}

/// Acts on one execution.
pub(super) async fn act(executions: &ExecutionsHandle, batch: &BatchRow, body: &BatchBody, id: ExecutionId) -> Acted {
    match batch.action {
        BatchAction::Retry => retry(executions, batch, body, id).await,
        BatchAction::Cancel => cancel(executions, batch, id).await,
        BatchAction::Delete => delete(executions, batch, id).await,
    }
}

/// The id of the execution that a batch retries another one with.
fn retry_id(batch: BatchId, original: ExecutionId) -> ExecutionId {
    ExecutionId::from_uuid(Uuid::new_v5(&batch.uuid(), original.uuid().as_bytes()))
}

async fn retry(executions: &ExecutionsHandle, batch: &BatchRow, body: &BatchBody, original: ExecutionId) -> Acted {
    let id = retry_id(batch.id, original);
    // Looked for first: one that is there is perhaps being brought back to life just now, and must not be started over.
    match executions.exists(id).await {
        Ok(true) => return Acted::Done,
        Ok(false) => {}
        Err(error) => return failed("unavailable", &error),
    }
    let request = RetryRequest {
        workspace: batch.workspace,
        original,
        from: body.from.clone(),
        version: body.version,
        id: Some(id),
        idempotency: None,
        wait: None,
    };
    match executions.retry(request).await {
        Ok(_) | Err(RetryError::Start(StartError::Exists { .. })) => Acted::Done,
        Err(RetryError::Start(
            StartError::Overloaded { .. } | StartError::Quota(_) | StartError::Unknown | StartError::Draining,
        )) => Acted::Later,
        Err(error) => failed(code_of(&error), &error),
    }
}

async fn cancel(executions: &ExecutionsHandle, batch: &BatchRow, id: ExecutionId) -> Acted {
    let reason = format!("cancelled by {}", batch.id);
    match executions.cancel(batch.workspace, id, Some(reason)).await {
        Ok(()) => Acted::Done,
        // Perhaps by this very batch, before a crash.
        Err(CommandError::Finished) => match executions.status(batch.workspace, id).await {
            Ok(Some(ExecutionStatus::Cancelled)) => Acted::Done,
            Ok(_) => failed("execution_finished", &CommandError::Finished),
            Err(error) => failed("unavailable", &error),
        },
        Err(error @ CommandError::NotFound) => failed("execution_not_found", &error),
        Err(error @ CommandError::InboxFull) => failed("inbox_full", &error),
        Err(error) => failed("unavailable", &error),
    }
}

async fn delete(executions: &ExecutionsHandle, batch: &BatchRow, id: ExecutionId) -> Acted {
    match executions.delete(batch.workspace, id).await {
        // One that is gone already is what was wanted.
        Ok(()) | Err(CommandError::NotFound) => Acted::Done,
        Err(error @ CommandError::Running) => failed("execution_running", &error),
        Err(error) => failed("unavailable", &error),
    }
}

/// The code of a refused retry: that of the problem which the API answers with.
fn code_of(error: &RetryError) -> &'static str {
    match error {
        RetryError::NotFound => "execution_not_found",
        RetryError::Running => "execution_running",
        RetryError::Refused(ReuseError::NothingFailed) => "nothing_to_retry",
        RetryError::Refused(ReuseError::Unfit(_)) | RetryError::TooLarge { .. } => "cannot_reuse",
        RetryError::Refused(ReuseError::NoCreation) | RetryError::Read(_) => "unavailable",
        RetryError::Version(_) => "version_not_found",
        RetryError::Start(_) => "unavailable",
    }
}

/// A failure with the first of its causes that says something about this execution.
fn failed(code: &'static str, error: &(dyn std::error::Error + 'static)) -> Acted {
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    Acted::Failed { code, message: cause.chars().take(MESSAGE_CHARS_MAX).collect() }
}
