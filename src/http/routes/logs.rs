//! What an execution's code wrote on its console.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    actors::executions::CommandError,
    auth::permissions::permit::ExecutionRead,
    http::{
        AppState,
        cursor::Place,
        dto::{Page, Time, page_limit},
        error::ApiError,
        extract::{May, Path, Query},
        openapi::Problems,
        problem,
    },
    model::{
        event::Attempt,
        ids::ExecutionId,
        log::{LogLevel, LogLine},
    },
};

/// Which lines to list, and from where on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LogsQuery {
    /// Items of the page; 50 where it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
    node_id: Option<String>,
}

/// One line. `truncated` marks the last one of an attempt that wrote more than is kept.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::http) struct LogBody {
    at: Time,
    #[schema(value_type = String)]
    node_id: Arc<str>,
    run_index: u32,
    attempt: u32,
    level: LogLevel,
    message: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// Lists what an execution's code wrote on its console.
///
/// In the order in which the attempts ended; the lines of an attempt are there once it has ended.
#[utoipa::path(
    get, path = "/executions/{id}/logs", tag = "executions", security(("bearer" = ["execution:read"])), params(ExecutionId, LogsQuery),
    responses((status = 200, description = "A page.", body = Page<LogBody>), Problems<problem::EXECUTION_NOT_FOUND>),
)]
pub(in crate::http) async fn list_logs(
    State(app): State<AppState>,
    caller: May<ExecutionRead>,
    Path(id): Path<ExecutionId>,
    Query(query): Query<LogsQuery>,
) -> Result<Answer<Page<LogBody>>, ApiError> {
    let limit = usize::try_from(page_limit(query.limit)?).unwrap_or(usize::MAX);
    let list = format!("{}/executions/{id}/logs?{:?}", caller.workspace(), query.node_id);
    let place = query.cursor.map(|cursor| app.cursors.read(&list, &cursor)).transpose()?.map_or((0, 0), line_of);
    let mut journal = app.executions.follow_events(caller.workspace(), id, place.0).await?.ok_or(CommandError::NotFound)?;
    let mut items = Vec::new();
    while let Some((seq, recorded)) = journal.next_stored().await? {
        let Some((attempt, log)) = recorded.event.log() else { continue };
        if query.node_id.as_ref().is_some_and(|wanted| **wanted != *attempt.node) {
            continue;
        }
        let first = if seq == place.0 { place.1 } else { 0 };
        for (index, line) in log.lines.iter().enumerate().skip(first) {
            if items.len() == limit {
                let next = app.cursors.write(&list, place_of(seq, index));
                return Ok(Answer(Page::of(items, Some(next))));
            }
            let is_cut = log.truncated && index + 1 == log.lines.len();
            items.push(LogBody::new(attempt, line, is_cut));
        }
    }
    Ok(Answer(Page::of(items, None)))
}

impl LogBody {
    fn new(attempt: &Attempt, line: &LogLine, truncated: bool) -> Self {
        Self {
            at: Time(line.at),
            node_id: Arc::clone(&attempt.node),
            run_index: attempt.run,
            attempt: attempt.attempt,
            level: line.level,
            message: line.text.clone(),
            truncated,
        }
    }
}

/// The place of a line: the number of its event, and its number there.
fn place_of(seq: u32, line: usize) -> Place {
    Place { created_at: u64::from(seq), id: Uuid::from_u128(line as u128) }
}

fn line_of(place: Place) -> (u32, usize) {
    // Only places that were written here come back.
    (u32::try_from(place.created_at).unwrap_or(u32::MAX), usize::try_from(place.id.as_u128()).unwrap_or(usize::MAX))
}
