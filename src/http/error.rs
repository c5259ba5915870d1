//! The one error type of the handlers. What the client sees and what the log sees are two things: a cause goes to the log only,
//! and a 500 says the same whatever happened.

mod convert;
mod people;

use std::{error::Error, sync::Arc};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::problem::{self, ProblemType};
use crate::model::{ids::ExecutionId, problem::Problem};

/// What every internal failure says to the client.
const INTERNAL_DETAIL: &str = "the cause is in the server's log under the request's id";

/// A failed request. Turned into `application/problem+json` by `envelope`, which knows the request's id.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    pub(super) problem: &'static ProblemType,
    pub(super) detail: String,
    pub(super) errors: Vec<Problem>,
    pub(super) execution: Option<ExecutionId>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ApiError {
    /// A problem that the client can do something about.
    pub(super) fn new(problem: &'static ProblemType, detail: impl Into<String>) -> Self {
        Self { problem, detail: detail.into(), errors: Vec::new(), execution: None, headers: Vec::new(), source: None }
    }

    /// A failure of the server: 500 with a constant body; `source` is logged.
    pub(super) fn internal(source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..Self::new(&problem::INTERNAL, INTERNAL_DETAIL) }
    }

    /// The same for a failure that has no error value, such as a panic.
    pub(super) fn internal_without_source() -> Self {
        Self::new(&problem::INTERNAL, INTERNAL_DETAIL)
    }

    /// The store cannot be reached: 503; `source` is logged.
    pub(super) fn unavailable(source: impl Error + Send + Sync + 'static) -> Self {
        let error = Self::new(&problem::UNAVAILABLE, "the database cannot be reached: try again");
        Self { source: Some(Arc::new(source)), ..error }.with_retry_after_ms(1_000)
    }

    /// Adds what is wrong, place by place.
    #[must_use]
    pub(super) fn with_errors(mut self, errors: Vec<Problem>) -> Self {
        self.errors = errors;
        self
    }

    /// Adds the execution that the problem is about.
    #[must_use]
    pub(super) fn with_execution(mut self, execution: ExecutionId) -> Self {
        self.execution = Some(execution);
        self
    }

    /// Adds `Retry-After`, in whole seconds, rounded up.
    #[must_use]
    pub(super) fn with_retry_after_ms(self, retry_after_ms: u64) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_ms.div_ceil(1_000).max(1)))
    }

    /// Its headers, for an answer that is none of an error after all.
    pub(super) fn header_map(&self) -> HeaderMap {
        self.headers.iter().cloned().collect()
    }

    #[must_use]
    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.problem.status.into_response();
        response.headers_mut().extend(self.headers.iter().cloned());
        response.extensions_mut().insert(self);
        response
    }
}
