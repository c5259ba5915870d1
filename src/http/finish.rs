//! Lets changes run to their end, whatever becomes of the client. A handler lives as long as the connection: a client that hangs up
//! in the right moment would leave a change behind that was never written to the audit log.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument;

use super::error::ApiError;

/// Runs a request that may change something in a task of its own, which nobody cuts off. The deadline has to be inside of it.
pub(super) async fn finish_changes(request: Request, next: Next) -> Response {
    if request.method().is_safe() { next.run(request).await } else { finish(request, next).await }
}

/// As [`finish_changes`], for a request that changes something whatever its method says.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    #[expect(clippy::disallowed_methods, reason = "the task is bounded by the request's deadline, and has to outlive its client")]
    let running = tokio::spawn(next.run(request).in_current_span());
    match running.await {
        Ok(response) => response,
        // The layer for panics answers it.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => ApiError::internal_without_source().into_response(),
        },
    }
}

#[cfg(test)]
#[path = "finish_tests.rs"]
mod tests;
