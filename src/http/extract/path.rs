//! Parameters of the path. What cannot be an id names nothing: 404. So does U+0000, which no stored text has.

use axum::{
    extract::{FromRequestParts, Path as AxumPath},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use crate::http::{error::ApiError, problem};

/// One parameter of the path, or several as a tuple.
pub(in crate::http) struct Path<T>(pub(in crate::http) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if parts.uri.path().contains("%00") {
            return Err(ApiError::new(&problem::NOT_FOUND, "no name has the character U+0000"));
        }
        match AxumPath::<T>::from_request_parts(parts, state).await {
            Ok(AxumPath(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::new(&problem::NOT_FOUND, rejection.body_text())),
        }
    }
}
