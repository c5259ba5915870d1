//! Streams of server-sent events: a bounded number of them, each a pull on the journal with a sign of life in its pauses.
//! A client that reads slowly slows its own stream only; one whose stream was cut goes on by the id of its last event.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::{
        IntoResponse, Response,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{error::ApiError, problem};
use crate::{
    actors::executions::{EventFollower, Followed, ReadError},
    model::ids::ExecutionId,
};

/// Pause after which an idle stream says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What a refused client should wait, in milliseconds.
const RETRY_AFTER_MS: u64 = 5_000;
/// Tells proxies to pass every event on at once.
const UNBUFFERED: (HeaderName, HeaderValue) = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// The streams that may be open at once in this process.
#[derive(Clone)]
pub struct StreamSlots(Arc<Semaphore>);

/// The right to one stream; given back when it is dropped.
pub(super) struct StreamSlot {
    _permit: OwnedSemaphorePermit,
}

/// Cancelled when the server stops serving: streams tell their clients to go elsewhere. Never, where no server is in front.
#[derive(Clone, Default)]
pub(super) struct Stopping(pub(super) CancellationToken);

/// Whether the client wants its answer as a stream, by `Accept: text/event-stream`, and how it learns that the server stops.
pub(super) struct StreamWish(pub(super) Option<Stopping>);

/// One line of a stream: its number, if it can be resumed after, the type and the data.
pub(super) struct Line {
    pub(super) id: Option<u32>,
    pub(super) name: &'static str,
    pub(super) data: serde_json::Value,
}

impl Line {
    pub(super) fn new(name: &'static str, data: &impl Serialize) -> Self {
        Self { id: None, name, data: serde_json::to_value(data).expect("a body is plain data") }
    }

    pub(super) fn with_id(self, id: u32) -> Self {
        Self { id: Some(id), ..self }
    }

    fn into_event(self) -> SseEvent {
        let event = SseEvent::default().event(self.name).data(self.data.to_string());
        match self.id {
            Some(id) => event.id(id.to_string()),
            None => event,
        }
    }
}

impl StreamSlots {
    pub fn new(streams_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(streams_max.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes a place.
    ///
    /// Errors: `too_many_streams`.
    pub(super) fn take(&self) -> Result<StreamSlot, ApiError> {
        let permit = Arc::clone(&self.0).try_acquire_owned();
        permit.map(|permit| StreamSlot { _permit: permit }).map_err(|_| {
            let detail = "close a stream, or try again later";
            ApiError::new(&problem::TOO_MANY_STREAMS, detail).with_retry_after_ms(RETRY_AFTER_MS)
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Stopping {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

impl Stopping {
    /// What the server has told a request about its own end.
    pub(super) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for StreamWish {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(wants_stream(&parts.headers).then(|| Stopping::of(&parts.extensions))))
    }
}

/// Whether `Accept` names the media type of streams.
fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut types = accepted.flat_map(|value| value.split(',')).map(|kind| kind.split(';').next().unwrap_or_default().trim());
    types.any(|kind| kind.eq_ignore_ascii_case("text/event-stream"))
}

/// An execution to stream.
pub(super) struct Streamed {
    pub(super) execution: ExecutionId,
    pub(super) follower: EventFollower,
    pub(super) _slot: StreamSlot,
    pub(super) stopping: Stopping,
}

/// Answers with what `show` makes of each thing that is followed, until it has shown the end. A store that fails ends the stream,
/// after a line that says so: the client comes back by itself.
pub(super) fn stream_execution(streamed: Streamed, show: impl FnMut(Followed) -> Option<Line> + Send + 'static) -> Response {
    let lines = stream::unfold(Some((streamed, show)), |open| async move {
        let (mut streamed, mut show) = open?;
        loop {
            let followed = tokio::select! {
                biased;
                () = streamed.stopping.0.cancelled() => return Some((moved(streamed.execution), None)),
                followed = streamed.follower.next() => followed,
            };
            match followed {
                Ok(Some(followed)) => {
                    let is_end = matches!(followed, Followed::End(_));
                    if let Some(line) = show(followed) {
                        return Some((line, (!is_end).then_some((streamed, show))));
                    }
                }
                Ok(None) => return None,
                Err(error) => return Some((broken(streamed.execution, &error), None)),
            }
        }
    });
    respond(lines)
}

/// Sends lines as they come, with a sign of life where none comes.
fn respond(lines: impl stream::Stream<Item = Line> + Send + 'static) -> Response {
    use futures_util::StreamExt;
    let events = lines.map(|line| Ok::<_, Infallible>(line.into_event()));
    let alive = KeepAlive::new().interval(HEARTBEAT).text("alive");
    ([UNBUFFERED], Sse::new(events).keep_alive(alive)).into_response()
}

/// The server stops: whoever follows goes on elsewhere.
fn moved(execution: ExecutionId) -> Line {
    Line::new("moved", &serde_json::json!({ "execution_id": execution }))
}

fn broken(execution: ExecutionId, error: &ReadError) -> Line {
    tracing::error!(execution.id = %execution, cause = %error, "a stream of events was cut short");
    Line::new("error", &serde_json::json!({ "execution_id": execution, "code": problem::UNAVAILABLE.code }))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn says_that_it_is_alive_every_15_seconds() {
        let began = tokio::time::Instant::now();
        let line = stream::once(async { Line::new("created", &1).with_id(0) });
        let mut body = respond(line.chain(stream::pending())).into_body().into_data_stream();
        let mut frame = async || String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap();
        assert_eq!(frame().await, "event: created\ndata: 1\nid: 0\n\n");
        for beat in 1..4 {
            assert_eq!(frame().await, ": alive\n\n");
            assert_eq!(began.elapsed().as_secs(), 15 * beat);
        }
    }

    #[test]
    fn streams_limit_obeyed_and_violated() {
        let slots = StreamSlots::new(2);
        let first = slots.take().unwrap();
        let _second = slots.take().unwrap();
        assert_eq!(slots.take().err().unwrap().problem.code, "too_many_streams");
        drop(first);
        assert!(slots.take().is_ok());
    }

    #[test]
    fn knows_who_wants_a_stream() {
        let wants = |value: &str| wants_stream(&HeaderMap::from_iter([(header::ACCEPT, value.parse().unwrap())]));
        assert!(wants("text/event-stream") && wants("application/json;q=0.5, Text/Event-Stream; q=1"));
        assert!(!wants("*/*") && !wants("application/json") && !wants_stream(&HeaderMap::new()));
    }
}
