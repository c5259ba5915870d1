//! Batches: one action on many executions.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    actors::{
        audit::{AuditEntry, AuditEvent},
        executions::{BATCH_IDS_MAX, BatchError, BatchRequest, BatchTargets, CreatedBatch},
    },
    auth::permissions::{
        Permission,
        permit::{ExecutionCancel, ExecutionRead},
    },
    http::{
        AppState,
        cursor::Place,
        dto::{BatchBody, BatchSelectionBody, FilterBody, Page, page_limit},
        error::ApiError,
        extract::{Body, IdempotencyKey, May, Path, Query, REPLAYED, read_fields, require_json},
        openapi::Problems,
        problem,
    },
    model::{
        batch::BatchAction,
        ids::{BatchId, ExecutionId, WorkspaceId},
        reuse::{RetryFrom, RetryVersion},
    },
    store::{BatchCursor, BatchRow, PageRequest},
};

/// What to do, and to which executions: those of `filter` that the action is good for, or `ids`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateBatchBody {
    action: BatchAction,
    filter: Option<FilterBody>,
    #[schema(max_items = 1000)]
    ids: Option<Vec<ExecutionId>>,
    /// Whether only to say what would be done.
    #[serde(default)]
    dry_run: bool,
    /// As for one retry.
    #[serde(default)]
    from: RetryFrom,
    #[serde(default)]
    version: RetryVersion,
}

/// Which batches to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Items of the page; 50 where it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Retries, cancels or deletes many executions.
///
/// Which ones is settled now; the batch goes through them in the background, and on after a restart, without doing anything twice.
/// A filter takes only executions that the action is good for: failed ones to retry, live ones to cancel, ended ones to delete.
/// With `dry_run` nothing is done, and the answer says how many there are. The action needs its own permission, too:
/// `execution:retry`, `execution:cancel` or `execution:delete`.
#[utoipa::path(
    post, path = "/executions/batch", tag = "executions", security(("bearer" = ["execution:read"])), params(IdempotencyKey), request_body = CreateBatchBody,
    responses(
        (status = 200, description = "What would be done.", body = BatchSelectionBody),
        (status = 202, description = "The batch is durable.", body = BatchBody, headers(("Location"))),
        Problems<(problem::INVALID_BATCH, problem::BATCH_TOO_LARGE, problem::TOO_MANY_BATCHES)>,
    ),
)]
pub(in crate::http) async fn create_batch(
    State(app): State<AppState>,
    caller: May<ExecutionRead>,
    IdempotencyKey(key): IdempotencyKey,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let request_hash = Sha256::digest(&body).into();
    let body: CreateBatchBody = read_fields(require_json(&headers), &body)?;
    caller.require(permission_for(body.action))?;
    let is_dry = body.dry_run;
    let request = BatchRequest { key, request_hash, ..read_request(caller.workspace(), body)? };
    if is_dry {
        let selected = app.executions.select(&request).await?;
        return Ok(Answer(BatchSelectionBody::from(selected)).into_response());
    }
    let CreatedBatch { row, replayed } = app.executions.create_batch(request).await?;
    if !replayed {
        let entry = AuditEntry::from(AuditEvent::BatchCreated(row.id)).with("action", serde_json::json!(row.action));
        app.audit.record(caller.origin(), entry.with("executions", row.total)).await;
    }
    let location = HeaderValue::try_from(format!("/api/v1/executions/batch/{}", row.id)).map_err(ApiError::internal)?;
    let mut headers = HeaderMap::from_iter([(header::LOCATION, location)]);
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok((StatusCode::ACCEPTED, headers, Answer(BatchBody::from(row))).into_response())
}

/// Lists batches, newest first. Ended ones are kept for a week.
#[utoipa::path(
    get, path = "/executions/batch", tag = "executions", security(("bearer" = ["execution:read"])), params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<BatchBody>)),
)]
pub(in crate::http) async fn list_batches(
    State(app): State<AppState>,
    caller: May<ExecutionRead>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<BatchBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let list = format!("{}/executions/batch", caller.workspace());
    let after = query.cursor.map(|cursor| app.cursors.read(&list, &cursor)).transpose()?;
    let after = after.map(|place| BatchCursor { created_at: place.created_at, id: BatchId::from_uuid(place.id) });
    let rows = app.store.list_batches(caller.workspace(), &PageRequest { after, limit: limit + 1 }).await?;
    let cursor = |row: &BatchRow| app.cursors.write(&list, Place { created_at: row.created_at, id: row.id.uuid() });
    Ok(Answer(Page::new(rows, limit, cursor, BatchBody::from)))
}

/// Shows how far a batch is.
#[utoipa::path(
    get, path = "/executions/batch/{id}", tag = "executions", security(("bearer" = ["execution:read"])), params(BatchId),
    responses((status = 200, description = "The batch.", body = BatchBody), Problems<problem::BATCH_NOT_FOUND>),
)]
pub(in crate::http) async fn get_batch(
    State(app): State<AppState>,
    caller: May<ExecutionRead>,
    Path(id): Path<BatchId>,
) -> Result<Answer<BatchBody>, ApiError> {
    let row = app.store.find_batch(caller.workspace(), id).await?.ok_or(BatchError::NotFound)?;
    Ok(Answer(row.into()))
}

/// Stops a batch. What it has done stays done.
#[utoipa::path(
    delete, path = "/executions/batch/{id}", tag = "executions", security(("bearer" = ["execution:cancel"])), params(BatchId),
    responses(
        (status = 200, description = "The batch, which does nothing more.", body = BatchBody),
        Problems<(problem::BATCH_NOT_FOUND, problem::BATCH_ENDED)>,
    ),
)]
pub(in crate::http) async fn cancel_batch(
    State(app): State<AppState>,
    caller: May<ExecutionCancel>,
    Path(id): Path<BatchId>,
) -> Result<Answer<BatchBody>, ApiError> {
    let row = app.executions.cancel_batch(caller.workspace(), id).await?;
    app.audit.record(caller.origin(), AuditEvent::BatchCancelled(id)).await;
    Ok(Answer(row.into()))
}

/// Errors: `invalid_batch`.
fn read_request(workspace: WorkspaceId, body: CreateBatchBody) -> Result<BatchRequest, ApiError> {
    let invalid = |detail: String| ApiError::new(&problem::INVALID_BATCH, detail);
    let targets = match (body.filter, body.ids) {
        (None, Some(ids)) if ids.len() > BATCH_IDS_MAX => {
            return Err(invalid(format!("`ids` are {BATCH_IDS_MAX} at most: use a `filter`")));
        }
        (None, Some(ids)) => BatchTargets::Ids(ids),
        // An empty filter means everything there is: rather a slip than a wish.
        (Some(filter), None) if filter == FilterBody::default() => {
            return Err(invalid("`filter` has to name something".to_owned()));
        }
        (Some(filter), None) => BatchTargets::Matching(filter.into_search().map_err(invalid)?),
        (Some(_), Some(_)) | (None, None) => return Err(invalid("send either `filter` or `ids`".to_owned())),
    };
    let (action, from, version) = (body.action, body.from, body.version);
    if action != BatchAction::Retry && (from != RetryFrom::default() || version != RetryVersion::default()) {
        return Err(invalid("`from` and `version` are for the action `retry`".to_owned()));
    }
    Ok(BatchRequest { workspace, action, targets, from, version, key: None, request_hash: [0; 32] })
}

/// What the action needs beside the right to see executions.
const fn permission_for(action: BatchAction) -> Permission {
    match action {
        BatchAction::Retry => Permission::ExecutionRetry,
        BatchAction::Cancel => Permission::ExecutionCancel,
        BatchAction::Delete => Permission::ExecutionDelete,
    }
}
