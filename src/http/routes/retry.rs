//! Retrying executions.

use axum::{extract::State, http::HeaderMap, response::Response};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::start::{Fresh, answer_start, stream_start};
use crate::{
    actors::{
        audit::{AuditEntry, AuditEvent},
        executions::{Idempotency, RetryRequest, Wait, WaitUntil},
    },
    auth::permissions::permit::ExecutionRetry,
    http::{
        AppState,
        dto::{ExecutionBody, StartedBody},
        error::ApiError,
        extract::{Body, IdempotencyKey, May, Path, PreferWait, read_fields, read_key, require_json},
        openapi::{Problems, ServerSentEvent},
        problem,
        stream::StreamWish,
    },
    model::{
        ids::ExecutionId,
        reuse::{RetryFrom, RetryVersion},
    },
};

/// How to retry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::http) struct RetryBody {
    /// `start`, `failed` or `{ "node": "id" }`.
    pub(in crate::http) from: RetryFrom,
    /// `original`, `latest` or a number.
    pub(in crate::http) version: RetryVersion,
}

/// Repeats an execution that has ended, in a new one.
///
/// What was done before `from` is taken over and shows as `reused` among the node runs: it does not happen again. A retry from what
/// failed goes on where the execution stopped, in the middle of a loop, too; from a node, all that follows it is done again, and
/// loops around it from their beginning. Answered as a start is.
#[utoipa::path(
    post, path = "/executions/{id}/retry", tag = "executions", security(("bearer" = ["execution:retry"])), params(ExecutionId, IdempotencyKey, PreferWait),
    request_body = RetryBody,
    responses(
        (
            status = 200, description = "The new execution has ended, or its events follow.",
            content((ExecutionBody = "application/json"), (ServerSentEvent = "text/event-stream")), headers(("Location")),
        ),
        (status = 202, description = "The new execution is durable and goes on.", body = StartedBody, headers(("Location"))),
        Problems<(
            (problem::EXECUTION_NOT_FOUND, problem::EXECUTION_RUNNING), (problem::NOTHING_TO_RETRY, problem::CANNOT_REUSE),
            (problem::WORKFLOW_NOT_FOUND, problem::VERSION_NOT_FOUND), problem::INVALID_DEFINITION,
            (problem::OVERLOADED, problem::TOO_MANY_STREAMS, problem::Quotas), problem::DRAINING,
        )>,
    ),
)]
pub(in crate::http) async fn retry_execution(
    State(app): State<AppState>,
    caller: May<ExecutionRetry>,
    Path(original): Path<ExecutionId>,
    PreferWait(wait): PreferWait,
    StreamWish(stream): StreamWish,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let RetryBody { from, version } = read_fields(require_json(&headers), &body)?;
    let idempotency = read_key(&headers)?.map(|key| Idempotency {
        scope: format!("retry:{original}"),
        key,
        request_hash: Sha256::digest(&body).into(),
    });
    let slot = stream.as_ref().map(|_| app.streams.take()).transpose()?;
    let wait = wait.filter(|_| stream.is_none()).map(|timeout| Wait { until: WaitUntil::Finished, timeout });
    let workspace = caller.workspace();
    let request = RetryRequest { workspace, original, from, version, id: None, idempotency, wait };
    let (started, workflow, version) = app.executions.retry(request).await?;
    if !started.replayed {
        let entry = AuditEntry::from(AuditEvent::ExecutionRetried(original));
        app.audit.record(caller.origin(), entry.with("execution_id", started.execution.to_string())).await;
    }
    match (slot, stream) {
        (Some(slot), Some(stopping)) => stream_start(&app, workspace, &started, slot, stopping).await,
        _ => answer_start(&app, &Fresh { workspace, id: workflow, version, waited: wait.is_some() }, started).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, from: RetryFrom, version: RetryVersion) {
        assert_eq!(read_fields::<RetryBody>(Ok(()), text.as_bytes()).unwrap(), RetryBody { from, version });
    }

    #[test]
    fn reads_every_form() {
        check("", RetryFrom::Failed, RetryVersion::Original);
        check("{}", RetryFrom::Failed, RetryVersion::Original);
        check(r#"{"from":"start","version":"latest"}"#, RetryFrom::Start, RetryVersion::Latest);
        check(r#"{"from":{"node":"a"},"version":3}"#, RetryFrom::Node("a".to_owned()), RetryVersion::Number(3));
        check(r#"{"from":"failed","version":"original"}"#, RetryFrom::Failed, RetryVersion::Original);
    }

    #[test]
    fn says_what_it_takes() {
        let refused = |text: &str| read_fields::<RetryBody>(Ok(()), text.as_bytes()).unwrap_err().detail;
        assert!(
            refused(r#"{"version":"newest"}"#).contains("`original`, `latest` or the number"),
            "{}",
            refused(r#"{"version":"newest"}"#)
        );
        assert!(refused(r#"{"from":"middle"}"#).contains("expected one of `start`, `failed`, `node`"));
    }
}
