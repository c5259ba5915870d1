//! Published webhooks: whoever knows the path may call, unless the webhook verifies its callers.

use std::sync::Arc;

use axum::{
    body::{Body as HttpBody, Bytes},
    extract::{FromRequest, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    actors::{
        executions::{CommandError, Idempotency, StartRequest},
        workflows::{HookLookup, OpenHook, PublishedHook, WorkflowError},
    },
    clock,
    http::{
        AppState,
        error::ApiError,
        extract::{Body, IdempotencyKey, read_key, trace_of},
        hook::{
            answer::{answer, stream, wait_of},
            request::{item_of, segments_of},
        },
        openapi::Problems,
        problem,
        stream::{Stopping, Streamed},
    },
    model::{
        execution::TriggerKind,
        item::{BlobRef, Item},
    },
    nodes::webhook::RespondMode,
};

/// Starts an execution of the workflow that has published a webhook at this path.
///
/// The workflow decides who may call, and what the answer is: with `respond: stream` it is a stream of events, which tell that the
/// execution runs (`status`), what its `respond` nodes say (`response`), and its end (`end`).
#[utoipa::path(
    method(get, post, put, patch, delete, head, options), path = "/hooks/{*path}", tag = "hooks", security(()),
    params(("path" = String, Path, description = "May have several segments.", example = "orders/new"), IdempotencyKey),
    request_body(content(
        (Option<serde_json::Value> = "application/json"), (Option<serde_json::Value> = "application/x-www-form-urlencoded"),
        (Option<String> = "text/plain"), (Option<String> = "application/octet-stream"),
    )),
    responses(
        (status = 200, description = "As the workflow says; by default `{ execution_id, status }`."),
        (status = 202, description = "The execution takes longer than the webhook waits; it is at `Location`."),
        (status = "default", description = "As the workflow says."),
        Problems<(
            problem::HOOK_NOT_FOUND, problem::HOOK_UNVERIFIED, problem::METHOD_NOT_ALLOWED, problem::EXECUTION_FAILED,
            (problem::OVERLOADED, problem::RATE_LIMITED, problem::Quotas),
            (problem::TOO_MANY_STREAMS, problem::DRAINING, problem::UNAVAILABLE),
        )>,
    ),
)]
pub(in crate::http) async fn receive_hook(State(app): State<AppState>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let (hook, segments) = match find_hook(&app, &parts) {
        Ok(found) => found,
        Err(missing) => {
            // Whoever tries paths out is counted by the address.
            app.rates.check_address(parts.extensions.get()).await?;
            let is_question = parts.method == Method::OPTIONS && missing.problem.status == StatusCode::METHOD_NOT_ALLOWED;
            return if is_question { Ok((StatusCode::NO_CONTENT, missing.header_map()).into_response()) } else { Err(missing) };
        }
    };
    let allowance = app.rates.check_hook(&hook.path).await?;
    let mut response = deliver(&app, &hook, &segments, parts, body).await.into_response();
    allowance.write(response.headers_mut());
    Ok(response)
}

/// Starts the execution of a request and answers it.
async fn deliver(
    app: &AppState,
    hook: &PublishedHook,
    segments: &[String],
    parts: Parts,
    body: HttpBody,
) -> Result<Response, ApiError> {
    let (workflow, open) = app.workflows.open_hook(hook).await.map_err(cannot_open)?;
    let Body(body) = Body::from_request(Request::from_parts(parts.clone(), body), app).await?;
    let message_id = verify(&open, &parts.headers, &body)?;
    let idempotency = idempotency_of(hook, message_id, &parts, &body)?;
    let raw = keep_raw(app, &open, &body).await?;
    let mut item = Item::from_value(item_of(&parts, segments, &open.params.path, &body, json!(raw))?);
    item.binary = raw.map(|raw| [("raw".to_owned(), raw)].into());
    let request = StartRequest {
        workspace: hook.row.workspace,
        workflow,
        trigger: TriggerKind::Webhook,
        start_node: Some(hook.row.hook.node.clone()),
        items: vec![item],
        business_key: None,
        idempotency,
        wait: wait_of(&open.params),
        trace: trace_of(&parts.headers),
    };
    if open.params.respond != RespondMode::Stream {
        return answer(&open.params, app.executions.start(request).await?);
    }
    let (slot, stopping) = (app.streams.take()?, Stopping::of(&parts.extensions));
    let started = app.executions.start(request).await?;
    let execution = started.execution;
    let follower = app.executions.follow_events(hook.row.workspace, execution, 0).await?.ok_or(CommandError::NotFound)?;
    Ok(stream(&open.params, started.replayed, Streamed { execution, follower, _slot: slot, stopping }))
}

/// The webhook of a request, and the decoded segments of its path.
fn find_hook(app: &AppState, parts: &Parts) -> Result<(Arc<PublishedHook>, Vec<String>), ApiError> {
    let missing = || ApiError::new(&problem::HOOK_NOT_FOUND, "check the path, and that the workflow is active");
    let segments = segments_of(&parts.uri).ok_or_else(missing)?;
    match app.workflows.find_hook(parts.method.as_str(), &segments) {
        HookLookup::Found(hook) => Ok((hook, segments)),
        HookLookup::OtherMethods(methods) => {
            let allow = HeaderValue::try_from(methods.join(", ")).map_err(ApiError::internal)?;
            Err(ApiError::new(&problem::METHOD_NOT_ALLOWED, "the webhook takes another method").with_header(header::ALLOW, allow))
        }
        HookLookup::Nothing => Err(missing()),
    }
}

/// Lets the request pass if the webhook has no verification, or if the request passes it. Answers the message's id, if it has one.
fn verify(open: &OpenHook, headers: &HeaderMap, body: &[u8]) -> Result<Option<String>, ApiError> {
    let Some(verifier) = &open.verifier else { return Ok(None) };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match verifier.verify(header, body, clock::now_ms()) {
        Ok(verified) => Ok(verified.message_id),
        Err(refused) => Err(ApiError::new(&problem::HOOK_UNVERIFIED, refused.to_string())),
    }
}

/// The key under which a repeated delivery starts nothing: the message's id that was verified, or else the one that the caller
/// chose. Durable, so that a replay is known after a restart and on another node, too.
fn idempotency_of(
    hook: &PublishedHook,
    message_id: Option<String>,
    parts: &Parts,
    body: &[u8],
) -> Result<Option<Idempotency>, ApiError> {
    let (source, key) = match message_id {
        Some(id) => ("message", Some(id)),
        None => ("key", read_key(&parts.headers)?),
    };
    let hash = |text: &[u8]| <[u8; 32]>::from(Sha256::digest(text));
    Ok(key.map(|key| Idempotency {
        scope: format!("hook:{}:{}:{source}", hook.row.workflow, hook.row.hook.node),
        // A vendor's id has any length; its hash has one.
        key: hash(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect(),
        request_hash: hash(body),
    }))
}

/// Keeps the body's bytes, if the webhook wants them.
async fn keep_raw(app: &AppState, open: &OpenHook, body: &Bytes) -> Result<Option<BlobRef>, ApiError> {
    if !open.params.raw || body.is_empty() {
        return Ok(None);
    }
    Ok(Some(app.blobs.put(body.clone()).await.map_err(ApiError::internal)?))
}

/// A published webhook that cannot be opened is the server's fault, unless it has just been taken down.
fn cannot_open(error: WorkflowError) -> ApiError {
    match error {
        WorkflowError::NotFound | WorkflowError::VersionNotFound { .. } => {
            ApiError::new(&problem::HOOK_NOT_FOUND, "the workflow is not active any more")
        }
        WorkflowError::Store(source) => source.into(),
        WorkflowError::Invalid(_)
        | WorkflowError::Stale { .. }
        | WorkflowError::KeyMismatch
        | WorkflowError::HookTaken { .. }
        | WorkflowError::Unusable { .. }
        | WorkflowError::Secret(_)
        | WorkflowError::Interrupted(_) => ApiError::internal(error),
    }
}
