//! Answers the caller of a webhook: at once, with the last node's items, with what a `respond` node said, or with a stream.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{self, Entry},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    actors::executions::{Answer, FinishedExecution, Followed, Started, Wait, WaitUntil},
    http::{
        envelope::AsItIs,
        error::ApiError,
        extract::REPLAYED,
        problem,
        routes::start::location,
        stream::{Line, Streamed, stream_execution},
    },
    model::{
        event::{self, Event},
        execution::ExecutionStatus,
        ids::ExecutionId,
        item::Item,
    },
    nodes::webhook::{RespondMode, WebhookParams},
};

/// What a page may do that runs scripts: not act as one of this origin.
const PAGE_OF_NOBODY: &str = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts";
/// What the names of the server's own cookies begin with.
const OWN_COOKIES: [&str; 3] = ["citadel_", "__Host-citadel_", "__Secure-citadel_"];

/// What the caller gets where the workflow says nothing.
#[derive(Debug, Serialize)]
struct StateBody {
    execution_id: ExecutionId,
    status: ExecutionStatus,
}

/// What a request has to wait for.
pub(in crate::http) fn wait_of(params: &WebhookParams) -> Option<Wait> {
    let timeout = Duration::from_millis(params.timeout_ms);
    match params.respond {
        RespondMode::Immediate | RespondMode::Stream => None,
        RespondMode::LastNode => Some(Wait { until: WaitUntil::Finished, timeout }),
        RespondMode::RespondNode => Some(Wait { until: WaitUntil::Responded, timeout }),
    }
}

/// Makes the answer.
///
/// Errors: `execution_failed` if the execution failed before there was an answer.
pub(in crate::http) fn answer(params: &WebhookParams, started: Started) -> Result<Response, ApiError> {
    let id = started.execution;
    let mut response = match (wait_of(params), started.answer) {
        (None, _) => state(params.status, id, ExecutionStatus::Queued),
        (Some(_), None) => accepted(id)?,
        (Some(_), Some(Answer::Responded(said))) => respond(said),
        (Some(wait), Some(Answer::Finished(end))) => finish(params, wait.until, id, end)?,
    };
    decorate(params, started.replayed, &mut response);
    Ok(response)
}

/// Answers with a stream of what an outsider may know: that the execution runs, what its `respond` nodes say, and its end.
pub(in crate::http) fn stream(params: &WebhookParams, replayed: bool, streamed: Streamed) -> Response {
    let execution_id = streamed.execution;
    let line = move |name, status| Some(Line::new(name, &StateBody { execution_id, status }));
    let show = move |followed| match followed {
        Followed::Event { recorded, .. } => match recorded.event {
            Event::Created { .. } => line("status", ExecutionStatus::Running),
            Event::NodeSucceeded { response: Some(said), .. } => Some(Line::new("response", &said.body)),
            Event::NodeSucceeded { response: None, .. }
            | Event::Admitted
            | Event::NodeStarted { .. }
            | Event::NodeProgressed { .. }
            | Event::NodeFailed { .. }
            | Event::AttemptInterrupted { .. }
            | Event::NodeReused { .. }
            | Event::RetryDue { .. }
            | Event::WaitStarted { .. }
            | Event::WaitElapsed { .. }
            | Event::SignalReceived { .. }
            | Event::CancelRequested { .. }
            | Event::TimedOut
            | Event::Finished { .. } => None,
        },
        // One that was deleted under the reader's eyes has ended, too.
        Followed::End(end) => line("end", end.status.unwrap_or(ExecutionStatus::Cancelled)),
    };
    let mut response = stream_execution(streamed, show);
    *response.status_mut() = status_of(params.status);
    decorate(params, replayed, &mut response);
    response
}

/// Adds what every answer of a webhook has.
fn decorate(params: &WebhookParams, replayed: bool, response: &mut Response) {
    // What a node said has its own headers; those of the webhook fill the gaps.
    add_missing(response.headers_mut(), &params.headers);
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    keep_apart(response.headers_mut());
    response.extensions_mut().insert(AsItIs);
}

/// Keeps what a workflow answers apart from the pages of the server, whose origin it shares: nothing in it runs, or, where the workflow
/// has a policy of its own, as a page of nobody, without the cookies of the console. Nor may it set those.
fn keep_apart(headers: &mut HeaderMap) {
    match headers.entry(header::CONTENT_SECURITY_POLICY) {
        // Of several policies all hold.
        Entry::Occupied(mut own) => {
            own.append(HeaderValue::from_static(PAGE_OF_NOBODY));
        }
        Entry::Vacant(none) => {
            none.insert(HeaderValue::from_static("sandbox"));
        }
    }
    add_static(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    let is_ours = |cookie: &HeaderValue| OWN_COOKIES.iter().any(|name| cookie.as_bytes().starts_with(name.as_bytes()));
    let cookies = headers.get_all(header::SET_COOKIE).iter();
    let kept: Vec<HeaderValue> = cookies.filter(|cookie| !is_ours(cookie)).cloned().collect();
    headers.remove(header::SET_COOKIE);
    for cookie in kept {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// The end of an execution that has not answered by itself.
fn finish(params: &WebhookParams, until: WaitUntil, id: ExecutionId, end: FinishedExecution) -> Result<Response, ApiError> {
    match (end.status, until) {
        (ExecutionStatus::Succeeded, WaitUntil::Finished) => {
            Ok((status_of(params.status), Json(items_body(end.result))).into_response())
        }
        (ExecutionStatus::Succeeded, WaitUntil::Responded) => Ok(state(params.status, id, end.status)),
        (
            ExecutionStatus::Failed
            | ExecutionStatus::Cancelled
            | ExecutionStatus::Queued
            | ExecutionStatus::Running
            | ExecutionStatus::Waiting,
            _,
        ) => Err(ApiError::new(&problem::EXECUTION_FAILED, "the execution says why").with_execution(id)),
    }
}

/// One item is an object, several are an array.
fn items_body(items: Vec<Item>) -> Value {
    let mut values: Vec<Value> = items.into_iter().map(|item| item.json).collect();
    if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
}

/// What a `respond` node said. A text is sent as it is, null as nothing, anything else as JSON.
fn respond(said: event::Response) -> Response {
    let status = status_of(Some(said.status));
    let mut headers = HeaderMap::new();
    add_missing(&mut headers, &said.headers);
    match said.body {
        Value::Null => (status, headers).into_response(),
        Value::String(text) => {
            add_static(&mut headers, header::CONTENT_TYPE, "text/plain; charset=utf-8");
            (status, headers, text.into_bytes()).into_response()
        }
        json => {
            add_static(&mut headers, header::CONTENT_TYPE, "application/json");
            (status, headers, json.to_string().into_bytes()).into_response()
        }
    }
}

/// The answer to a caller whose time was up first.
fn accepted(id: ExecutionId) -> Result<Response, ApiError> {
    let body = Json(StateBody { execution_id: id, status: ExecutionStatus::Running });
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location(id)?)], body).into_response())
}

fn state(status: Option<u16>, execution_id: ExecutionId, execution: ExecutionStatus) -> Response {
    (status_of(status), Json(StateBody { execution_id, status: execution })).into_response()
}

/// A status that the definition's check has let pass; 200 where none is set.
fn status_of(status: Option<u16>) -> StatusCode {
    status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK)
}

/// Adds the headers that are not there yet. One that is not fit for HTTP is left out, with a line in the log.
fn add_missing(headers: &mut HeaderMap, more: &BTreeMap<String, String>) {
    for (name, value) in more {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                headers.entry(name).or_insert(value);
            }
            (Err(_), _) | (_, Err(_)) => tracing::warn!(header = %name, "a workflow's header cannot be sent"),
        }
    }
}

fn add_static(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
