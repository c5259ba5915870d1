//! Monitoring: figures for Prometheus, counters for dashboards, and the actors as they are at this moment.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json as Answer,
    extract::{FromRequestParts, Request, State},
    http::{header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response, Sse, sse},
};
use futures_util::{Stream, stream};

use crate::{
    actors::observatory,
    auth::permissions::permit::{ActorInspect, StatsRead},
    clock,
    http::{
        AppState,
        dto::{ActorBody, ActorsBody, StatsBody},
        error::ApiError,
        extract::{May, Path},
        health::Phase,
        monitor::{WATCHERS_MAX, Watcher},
        openapi::{Problems, ServerSentEvent},
        problem,
    },
};

/// Pause between two events of a stream.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Advice for a watcher that found no place, in milliseconds.
const RETRY_AFTER_MS: u64 = 5_000;
/// The text format of Prometheus.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Proves the right to read `/metrics`: everybody has it where the operator says so, else a permission is needed.
pub(in crate::http) struct MetricsReader;

impl FromRequestParts<AppState> for MetricsReader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        if app.monitor.is_public {
            return Ok(Self);
        }
        May::<StatsRead>::from_request_parts(parts, app).await.map(|_| Self)
    }
}

/// Shows the figures of this process in the text format of Prometheus.
///
/// Needs no token where `metrics.public` is set.
#[utoipa::path(get, path = "/metrics", tag = "monitoring", responses((status = 200, description = "The figures.", body = String, content_type = "text/plain")))]
pub(in crate::http) async fn get_metrics(State(app): State<AppState>, _reader: MetricsReader) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, EXPOSITION)], app.monitor.render(app.ready.phase()).await)
}

/// Shows counters for dashboards: what this process has done since its start, and what it is doing.
#[utoipa::path(get, path = "/stats", tag = "monitoring", security(("bearer" = ["stats:read"])), responses((status = 200, description = "The counters.", body = StatsBody)))]
pub(in crate::http) async fn get_stats(State(app): State<AppState>, _caller: May<StatsRead>) -> Answer<StatsBody> {
    let handle = &app.monitor.handle;
    Answer(StatsBody::new(handle.counts(), handle.gauges().await, handle.started_at(), clock::now_ms()))
}

/// Shows the tree of actors at this moment.
#[utoipa::path(get, path = "/actors", tag = "monitoring", security(("bearer" = ["actor:inspect"])), responses((status = 200, description = "The tree.", body = ActorsBody)))]
pub(in crate::http) async fn list_actors(caller: May<ActorInspect>) -> Result<Answer<ActorsBody>, ApiError> {
    caller.require_first()?;
    Ok(Answer(observatory::snapshot().into()))
}

/// Shows an actor with its children.
#[utoipa::path(
    get,
    path = "/actors/{id}",
    tag = "monitoring", security(("bearer" = ["actor:inspect"])),
    params(("id" = String, Path, description = "As in the tree; good as long as the actor lives")),
    responses((status = 200, description = "The actor.", body = ActorBody), Problems<problem::ACTOR_NOT_FOUND>)
)]
pub(in crate::http) async fn get_actor(caller: May<ActorInspect>, Path(id): Path<String>) -> Result<Answer<ActorBody>, ApiError> {
    let missing = || ApiError::new(&problem::ACTOR_NOT_FOUND, "it has ended, or never was: GET /api/v1/actors lists them");
    caller.require_first().map_err(|_| missing())?;
    let (actor, children) = observatory::view(&id).ok_or_else(missing)?;
    Ok(Answer(ActorBody::new(actor, children)))
}

/// Streams the tree of actors.
///
/// Server-sent events: `event: actors` every second with the data of `GET /actors`, `event: moved` when the server stops.
#[utoipa::path(
    get,
    path = "/actors/stream",
    tag = "monitoring", security(("bearer" = ["actor:inspect"])),
    responses(
        (status = 200, description = "The events.", body = ServerSentEvent, content_type = "text/event-stream"),
        Problems<problem::OVERLOADED>,
    )
)]
pub(in crate::http) async fn stream_actors(
    State(app): State<AppState>,
    caller: May<ActorInspect>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, ApiError> {
    caller.require_first()?;
    let full =
        || ApiError::new(&problem::OVERLOADED, format!("{WATCHERS_MAX} streams are open")).with_retry_after_ms(RETRY_AFTER_MS);
    let watcher = app.monitor.actors.join().ok_or_else(full)?;
    let events = stream::unfold(Some((app, watcher, Duration::ZERO)), next_event);
    Ok(Sse::new(events))
}

type Watching = Option<(AppState, Watcher, Duration)>;

/// The next event after a pause; the last one says that the server stops.
async fn next_event(watching: Watching) -> Option<(Result<sse::Event, Infallible>, Watching)> {
    let (app, watcher, pause) = watching?;
    tokio::time::sleep(pause).await;
    if app.ready.phase() == Phase::Draining || app.monitor.handle.is_draining() {
        return Some((Ok(sse::Event::default().event("moved").data("{}")), None));
    }
    let body = ActorsBody::from((*watcher.sample()).clone());
    let text = serde_json::to_string(&body).expect("numbers and texts can be written");
    Some((Ok(sse::Event::default().event("actors").data(text)), Some((app, watcher, SAMPLE_EVERY))))
}

/// Counts the answers to webhooks.
pub(in crate::http) async fn count_hooks(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let is_hook = request.uri().path().starts_with("/hooks/");
    let response = next.run(request).await;
    if is_hook {
        app.monitor.count_hook(response.status().as_u16());
    }
    response
}
