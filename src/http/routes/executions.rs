//! Executions: what they did, and commands to them.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    actors::{
        audit::{AuditEntry, AuditEvent},
        executions::{CommandError, Found, Signal, SignalOutcome},
    },
    auth::permissions::permit::{ExecutionCancel, ExecutionDelete, ExecutionRead, ExecutionSignal},
    http::{
        AppState,
        cursor::Place,
        dto::{ExecutionBody, FilterBody, Items, NodeRunBody, Page, page_limit},
        error::ApiError,
        extract::{Body, IdempotencyKey, Json, May, Path, Query, REPLAYED, read_json, require_json},
        openapi::Problems,
        problem,
    },
    model::{
        execution::{ExecutionStatus, TriggerKind},
        history::node_runs,
        ids::{ExecutionId, WorkflowId, WorkspaceId},
    },
    store::{ExecutionCursor, ExecutionRow, PageRequest},
};

/// Characters of a signal's name.
const SIGNAL_NAME_CHARS_MAX: usize = 128;
/// Characters of the reason of a cancel.
const REASON_CHARS_MAX: usize = 1_000;

/// Which executions to list, and from where on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Items of the page; 50 where it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
    /// One status, or several with commas.
    #[param(value_type = Option<Vec<ExecutionStatus>>, style = Form, explode = false, min_items = 1)]
    status: Option<String>,
    workflow_id: Option<WorkflowId>,
    trigger: Option<TriggerKind>,
    #[param(format = DateTime)]
    started_after: Option<String>,
    #[param(format = DateTime)]
    started_before: Option<String>,
    error_code: Option<String>,
    retry_of: Option<ExecutionId>,
    business_key: Option<String>,
    /// In any case: the beginning of the id, or a part of the business key or of the error code.
    #[param(max_length = 255)]
    q: Option<String>,
}

/// How much to show of the node runs.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NodesQuery {
    #[param(inline)]
    include: Option<Include>,
}

/// What to show besides the runs themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Include {
    Data,
}

/// Why to stop.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CancelBody {
    reason: Option<String>,
}

/// The answer to a command: it is durable and will be acted upon.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct AcceptedBody {
    id: ExecutionId,
    status: &'static str,
}

/// Lists executions, newest first.
///
/// A text in `q` has no index: a page looks for it in the 10,000 newest executions that the other filters let through, and
/// `next_cursor` goes on behind them. Such a page can be short, or empty, and have a next one.
#[utoipa::path(
    get, path = "/executions", tag = "executions", security(("bearer" = ["execution:read"])), params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<ExecutionBody>)),
)]
pub(in crate::http) async fn list_executions(
    State(app): State<AppState>,
    caller: May<ExecutionRead>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<ExecutionBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let cursor = query.cursor.clone();
    let search = query.into_filter().into_search().map_err(|detail| ApiError::new(&problem::INVALID_QUERY, detail))?;
    let list = format!("{}/executions?{search:?}", caller.workspace());
    let after = cursor.map(|cursor| app.cursors.read(&list, &cursor)).transpose()?;
    let after = after.map(|place| ExecutionCursor { created_at: place.created_at, id: ExecutionId::from_uuid(place.id) });
    let Found { rows, next } = app.executions.search(caller.workspace(), &search, &PageRequest { after, limit }).await?;
    let next = next.map(|next| app.cursors.write(&list, Place { created_at: next.created_at, id: next.id.uuid() }));
    Ok(Answer(Page::of(rows.into_iter().map(ExecutionBody::from).collect(), next)))
}

/// Shows an execution, with its result once it has ended.
#[utoipa::path(
    get, path = "/executions/{id}", tag = "executions", security(("bearer" = ["execution:read"])), params(ExecutionId),
    responses((status = 200, description = "The execution.", body = ExecutionBody), Problems<problem::EXECUTION_NOT_FOUND>),
)]
pub(in crate::http) async fn get_execution(
    State(app): State<AppState>,
    caller: May<ExecutionRead>,
    Path(id): Path<ExecutionId>,
) -> Result<Answer<ExecutionBody>, ApiError> {
    let row = find_row(&app, caller.workspace(), id).await?;
    // The row decides: an end that is read after it would come without the row's part, such as when it was.
    let has_ended = row.state.status.is_terminal();
    let body = ExecutionBody::from(row);
    if !has_ended {
        return Ok(Answer(body));
    }
    Ok(Answer(match app.executions.finished(caller.workspace(), id).await? {
        Some(end) => body.with_end(end),
        None => body,
    }))
}

/// Lists the node runs of an execution, in the order of their start.
#[utoipa::path(
    get, path = "/executions/{id}/nodes", tag = "executions", security(("bearer" = ["execution:read"])), params(ExecutionId, NodesQuery),
    responses((status = 200, description = "All of them.", body = Items<NodeRunBody>), Problems<problem::EXECUTION_NOT_FOUND>),
)]
pub(in crate::http) async fn list_node_runs(
    State(app): State<AppState>,
    caller: May<ExecutionRead>,
    Path(id): Path<ExecutionId>,
    Query(query): Query<NodesQuery>,
) -> Result<Answer<Items<NodeRunBody>>, ApiError> {
    let history = app.executions.history(caller.workspace(), id).await?.ok_or_else(not_found)?;
    let new = &history.row.new;
    let compiled = app.workflows.compiled(new.workspace, new.workflow, new.version).await?;
    let runs = node_runs(&compiled.graph, &compiled.definition, &history.events);
    let with_data = query.include == Some(Include::Data);
    Ok(Answer(Items { items: runs.into_iter().map(|run| NodeRunBody::new(run, with_data)).collect() }))
}

/// Asks an execution to stop.
#[utoipa::path(
    post, path = "/executions/{id}/cancel", tag = "executions", security(("bearer" = ["execution:cancel"])), params(ExecutionId),
    responses(
        (status = 202, description = "The request is durable.", body = AcceptedBody),
        Problems<(problem::EXECUTION_NOT_FOUND, problem::EXECUTION_FINISHED, problem::INBOX_FULL)>,
    ),
)]
pub(in crate::http) async fn cancel_execution(
    State(app): State<AppState>,
    caller: May<ExecutionCancel>,
    Path(id): Path<ExecutionId>,
    Json(body): Json<CancelBody>,
) -> Result<(StatusCode, Answer<AcceptedBody>), ApiError> {
    let reason = body.reason.map(|reason| reason.chars().take(REASON_CHARS_MAX).collect());
    app.executions.cancel(caller.workspace(), id, reason).await?;
    app.audit.record(caller.origin(), AuditEvent::ExecutionCancelled(id)).await;
    Ok((StatusCode::ACCEPTED, Answer(AcceptedBody { id, status: "accepted" })))
}

/// Sends a signal to an execution; the body is its payload.
///
/// A node that waits for the signal goes on. One that comes early is kept for it. Slashes in the name are escaped, as in
/// `after_crash%2Fpay%2F0`, which decides about an attempt that a crash cut off.
#[utoipa::path(
    post, path = "/executions/{id}/signal/{name}", tag = "executions", security(("bearer" = ["execution:signal"])),
    params(("name" = String, Path, description = "What the node waits for.", max_length = 128), IdempotencyKey),
    request_body(content = Option<Value>, content_type = "application/json"),
    responses(
        (status = 202, description = "The signal is durable.", body = AcceptedBody),
        Problems<(problem::EXECUTION_NOT_FOUND, problem::EXECUTION_FINISHED, problem::INBOX_FULL)>,
    ),
)]
pub(in crate::http) async fn signal_execution(
    State(app): State<AppState>,
    caller: May<ExecutionSignal>,
    Path((id, name)): Path<(ExecutionId, String)>,
    IdempotencyKey(dedupe_key): IdempotencyKey,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<(StatusCode, HeaderMap, Answer<AcceptedBody>), ApiError> {
    if name.chars().count() > SIGNAL_NAME_CHARS_MAX {
        return Err(ApiError::new(
            &problem::NOT_FOUND,
            format!("a signal's name has {SIGNAL_NAME_CHARS_MAX} characters at most"),
        ));
    }
    let payload: Value = if body.is_empty() {
        Value::Null
    } else {
        require_json(&headers)?;
        read_json(&body)?
    };
    let entry = AuditEntry::from(AuditEvent::ExecutionSignalled(id)).with("signal", name.as_str());
    let answered = match app.executions.signal(caller.workspace(), id, Signal { name, payload, dedupe_key }).await? {
        SignalOutcome::Accepted => {
            app.audit.record(caller.origin(), entry).await;
            HeaderMap::new()
        }
        SignalOutcome::Duplicate => HeaderMap::from_iter([(REPLAYED, HeaderValue::from_static("true"))]),
    };
    Ok((StatusCode::ACCEPTED, answered, Answer(AcceptedBody { id, status: "accepted" })))
}

/// Deletes an execution that has ended.
#[utoipa::path(
    delete, path = "/executions/{id}", tag = "executions", security(("bearer" = ["execution:delete"])), params(ExecutionId),
    responses(
        (status = 204, description = "It is gone."),
        Problems<(problem::EXECUTION_NOT_FOUND, problem::EXECUTION_RUNNING)>,
    ),
)]
pub(in crate::http) async fn delete_execution(
    State(app): State<AppState>,
    caller: May<ExecutionDelete>,
    Path(id): Path<ExecutionId>,
) -> Result<StatusCode, ApiError> {
    app.executions.delete(caller.workspace(), id).await?;
    app.audit.record(caller.origin(), AuditEvent::ExecutionDeleted(id)).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn find_row(app: &AppState, workspace: WorkspaceId, id: ExecutionId) -> Result<ExecutionRow, ApiError> {
    app.store.find_execution(workspace, id).await?.ok_or_else(not_found)
}

fn not_found() -> ApiError {
    CommandError::NotFound.into()
}

impl ListQuery {
    fn into_filter(self) -> FilterBody {
        let status = self.status.map(|list| list.split(',').map(|status| status.trim().to_owned()).collect());
        FilterBody {
            status,
            workflow_id: self.workflow_id,
            trigger: self.trigger,
            started_after: self.started_after,
            started_before: self.started_before,
            error_code: self.error_code,
            retry_of: self.retry_of,
            business_key: self.business_key,
            q: self.q,
        }
    }
}
