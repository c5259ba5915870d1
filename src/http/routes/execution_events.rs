//! The events of an execution as a stream.

use axum::{extract::State, response::Response};
use serde::Deserialize;

use crate::{
    actors::executions::{CommandError, Followed},
    auth::permissions::permit::ExecutionRead,
    http::{
        AppState,
        dto::{EndBody, EventBody},
        error::ApiError,
        extract::{LastEventId, May, Path, Query},
        openapi::{Problems, ServerSentEvent},
        problem,
        stream::{Line, Stopping, StreamSlot, Streamed, stream_execution},
    },
    model::ids::{ExecutionId, WorkspaceId},
};

/// Where to begin, and what to show.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct EventsQuery {
    /// The number of the last event that the client has.
    after: Option<u32>,
    #[param(inline)]
    include: Option<Include>,
}

/// What to show besides the events themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Include {
    Data,
}

/// Streams the events of an execution.
///
/// Every event of its journal, from the first one on or after the one that the client has, and then what happens. An event's `id` is its
/// number, its `event` the type. The stream ends with `event: end`; a server that stops sends `event: moved` first: resume with
/// `Last-Event-ID` at another one. A comment every 15 seconds says that the stream is alive.
#[utoipa::path(
    get, path = "/executions/{id}/events", tag = "executions", security(("bearer" = ["execution:read"])), params(ExecutionId, EventsQuery, LastEventId),
    responses(
        (status = 200, description = "The stream.", body = ServerSentEvent, content_type = "text/event-stream"),
        Problems<(problem::EXECUTION_NOT_FOUND, problem::INVALID_HEADER, problem::TOO_MANY_STREAMS)>,
    ),
)]
pub(in crate::http) async fn stream_events(
    State(app): State<AppState>,
    caller: May<ExecutionRead>,
    Path(id): Path<ExecutionId>,
    Query(query): Query<EventsQuery>,
    LastEventId(last): LastEventId,
    stopping: Stopping,
) -> Result<Response, ApiError> {
    let after = last.or(query.after);
    let from_seq = after.map_or(0, |seq| seq.saturating_add(1));
    let source = Source { workspace: caller.workspace(), id, from_seq, with_data: query.include == Some(Include::Data) };
    follow(&app, source, app.streams.take()?, stopping).await
}

/// Which events of which execution to stream.
pub(in crate::http) struct Source {
    pub(in crate::http) workspace: WorkspaceId,
    pub(in crate::http) id: ExecutionId,
    pub(in crate::http) from_seq: u32,
    pub(in crate::http) with_data: bool,
}

/// Streams an execution's events.
///
/// Errors: `execution_not_found`.
pub(in crate::http) async fn follow(
    app: &AppState,
    source: Source,
    slot: StreamSlot,
    stopping: Stopping,
) -> Result<Response, ApiError> {
    let Source { workspace, id, from_seq, with_data } = source;
    let follower = app.executions.follow_events(workspace, id, from_seq).await?.ok_or(CommandError::NotFound)?;
    let show = move |followed| {
        Some(match followed {
            Followed::Event { seq, recorded } => {
                let name = EventBody::type_name(&recorded.event);
                Line::new(name, &EventBody::new(recorded, with_data)).with_id(seq)
            }
            Followed::End(end) => Line::new("end", &EndBody::new(id, end)),
        })
    };
    Ok(stream_execution(Streamed { execution: id, follower, _slot: slot, stopping }, show))
}
