//! Every route of the server on one screen, and what surrounds them.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
    routing::{any, get, post},
};
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    AppState,
    envelope::{REQUEST_MAX, answer_panic, deadline, envelope},
    health,
    routes::{auth, executions, hooks, meta, start, workflows},
};
use crate::model::limits::{DEFINITION_BYTES_MAX, INPUT_BYTES_MAX};

/// Bytes of a body that is neither a definition nor an input.
const SMALL_BODY_BYTES_MAX: usize = 64 * 1024;

/// The whole service.
pub fn router(state: AppState) -> Router {
    Router::new()
        .nest("/api/v1", api().layer(from_fn_with_state(REQUEST_MAX, deadline)).merge(waiting_api()))
        .route("/hooks/{*path}", any(hooks::receive_hook).layer(DefaultBodyLimit::max(INPUT_BYTES_MAX)))
        .merge(public().layer(from_fn_with_state(REQUEST_MAX, deadline)))
        .fallback(meta::not_found)
        .method_not_allowed_fallback(meta::method_not_allowed)
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(from_fn(envelope))
        .with_state(state)
}

/// Without a token.
fn public() -> Router<AppState> {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/startupz", get(health::startupz))
        .route("/problems/{code}", get(meta::get_problem_type))
}

/// Requests that may wait for an execution, and so have a deadline of their own.
fn waiting_api() -> Router<AppState> {
    Router::new().route("/workflows/{id}/executions", post(start::start_execution)).layer(DefaultBodyLimit::max(INPUT_BYTES_MAX))
}

fn api() -> Router<AppState> {
    let definitions = Router::new()
        .route("/workflows", post(workflows::create_workflow).get(workflows::list_workflows))
        .route("/workflows/validate", post(workflows::validate_workflow))
        .route("/workflows/{id}", get(workflows::get_workflow).put(workflows::update_workflow).delete(workflows::delete_workflow))
        .layer(DefaultBodyLimit::max(DEFINITION_BYTES_MAX));
    let payloads = Router::new()
        .route("/executions/{id}/signal/{name}", post(executions::signal_execution))
        .layer(DefaultBodyLimit::max(INPUT_BYTES_MAX));
    let small = Router::new()
        .route("/auth/login", post(auth::login))
        .route("/auth/refresh", post(auth::refresh))
        .route("/auth/logout", post(auth::logout))
        .route("/auth/me", get(auth::me))
        .route("/workflows/{id}/activate", post(workflows::activate_workflow))
        .route("/workflows/{id}/deactivate", post(workflows::deactivate_workflow))
        .route("/workflows/{id}/versions", get(workflows::list_versions))
        .route("/workflows/{id}/versions/{n}", get(workflows::get_version))
        .route("/executions", get(executions::list_executions))
        .route("/executions/{id}", get(executions::get_execution).delete(executions::delete_execution))
        .route("/executions/{id}/nodes", get(executions::list_node_runs))
        .route("/executions/{id}/cancel", post(executions::cancel_execution))
        .route("/node-types", get(meta::list_node_types))
        .route("/node-types/{type}", get(meta::get_node_type))
        .route("/schemas/workflow.json", get(meta::get_workflow_schema))
        .layer(DefaultBodyLimit::max(SMALL_BODY_BYTES_MAX));
    definitions.merge(payloads).merge(small)
}
