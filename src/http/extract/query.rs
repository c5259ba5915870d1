//! Parameters of the query. Unknown ones are refused: a misspelt filter would silently show too much.

use axum::{
    extract::{FromRequestParts, Query as AxumQuery},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use crate::http::{error::ApiError, problem};

/// The whole query.
pub(in crate::http) struct Query<T>(pub(in crate::http) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // No stored text has it, and PostgreSQL takes no text with it to search for.
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(ApiError::new(&problem::INVALID_QUERY, "a value must not have the character U+0000"));
        }
        match AxumQuery::<T>::from_request_parts(parts, state).await {
            Ok(AxumQuery(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::new(&problem::INVALID_QUERY, rejection.body_text())),
        }
    }
}
