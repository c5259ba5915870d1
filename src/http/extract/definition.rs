//! A workflow definition as the body: JSON, or YAML by its media type.

use axum::{
    extract::{FromRequest, Request},
    http::HeaderMap,
};

use super::body::{Body, is_json, media_type};
use crate::{
    actors::workflows::{Format, INVALID_JSON, INVALID_YAML, read_definition},
    http::{error::ApiError, problem},
    model::{
        definition::WorkflowDefinition,
        problem::{Problem, counted},
    },
};

/// Media types of YAML. Source: RFC 9512, and what is used in the wild.
const YAML_TYPES: [&str; 4] = ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"];

/// A definition whose form is right.
pub(in crate::http) struct Definition(pub(in crate::http) WorkflowDefinition);

/// A definition, or everything that is wrong with its form.
pub(in crate::http) struct MaybeDefinition(pub(in crate::http) Result<WorkflowDefinition, Vec<Problem>>);

impl<S: Send + Sync> FromRequest<S> for Definition {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let MaybeDefinition(read) = MaybeDefinition::from_request(request, state).await?;
        read.map(Self).map_err(refuse)
    }
}

impl<S: Send + Sync> FromRequest<S> for MaybeDefinition {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let format = format_of(request.headers())?;
        let Body(text) = Body::from_request(request, state).await?;
        if text.is_empty() {
            return Err(ApiError::new(&problem::INVALID_BODY, "send a definition as the body"));
        }
        Ok(Self(read_definition(&text, format)))
    }
}

/// The notation that the media type names; JSON where there is none.
fn format_of(headers: &HeaderMap) -> Result<Format, ApiError> {
    match media_type(headers) {
        None => Ok(Format::Json),
        Some(kind) if is_json(&kind) => Ok(Format::Json),
        Some(kind) if YAML_TYPES.contains(&kind.as_str()) => Ok(Format::Yaml),
        Some(_) => Err(ApiError::new(&problem::UNSUPPORTED_MEDIA_TYPE, "send application/json or application/yaml")),
    }
}

/// The problem of a definition that cannot be read.
fn refuse(problems: Vec<Problem>) -> ApiError {
    let first = problems.first().map_or("", |first| first.code.as_str());
    let kind = match first {
        INVALID_JSON => &problem::INVALID_JSON,
        INVALID_YAML => &problem::INVALID_YAML,
        _ => &problem::INVALID_DEFINITION,
    };
    let detail = match problems.as_slice() {
        [only] => only.detail.clone(),
        several => format!("{}: see `errors`", counted(several.len(), "problem")),
    };
    ApiError::new(kind, detail).with_errors(problems)
}

#[cfg(test)]
mod tests {
    use axum::body::Body as HttpBody;

    use super::*;

    async fn read(media_type: &str, text: &str) -> Result<WorkflowDefinition, ApiError> {
        let request = Request::post("/").header("content-type", media_type).body(HttpBody::from(text.to_owned())).unwrap();
        Definition::from_request(request, &()).await.map(|Definition(definition)| definition)
    }

    #[track_caller]
    fn check_refused(read: Result<WorkflowDefinition, ApiError>, status: u16, code: &str) {
        let error = read.expect_err("should be refused");
        assert_eq!((error.problem.status.as_u16(), error.problem.code), (status, code), "{error:?}");
    }

    #[tokio::test]
    async fn reads_both_notations() {
        let yaml = read("application/yaml; charset=utf-8", "name: a\nnodes: [{ id: m, type: manual }]").await.unwrap();
        let json = read("application/json", r#"{"name":"a","nodes":[{"id":"m","type":"manual"}]}"#).await.unwrap();
        assert_eq!(yaml, json);
    }

    #[tokio::test]
    async fn tells_syntax_from_form() {
        check_refused(read("application/json", "{").await, 400, "invalid_json");
        check_refused(read("text/yaml", "a: [").await, 400, "invalid_yaml");
        check_refused(read("application/json", "{}").await, 422, "invalid_definition");
        check_refused(read("text/plain", "{}").await, 415, "unsupported_media_type");
        check_refused(read("application/json", "").await, 422, "invalid_body");
    }
}
