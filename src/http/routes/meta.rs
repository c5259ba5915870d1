//! What the server can say about itself: schemas, kinds of problems.

use axum::{
    Json as Answer,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    http::{dto::Items, error::ApiError, extract::Path, problem},
    model::definition::parse::WORKFLOW_SCHEMA,
};

/// A kind of problem, as `type` of a problem refers to it.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ProblemTypeBody {
    code: &'static str,
    status: u16,
    title: &'static str,
}

/// Shows the JSON Schema of workflow definitions.
///
/// The same for everybody, so it needs no token.
#[utoipa::path(
    get, path = "/schemas/workflow.json", tag = "documentation", security(()),
    responses((status = 200, description = "JSON Schema 2020-12.", body = Object, content_type = "application/schema+json")),
)]
pub(in crate::http) async fn get_workflow_schema() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/schema+json")], WORKFLOW_SCHEMA)
}

/// Explains a kind of problem.
#[utoipa::path(
    get, path = "/problems/{code}", tag = "documentation", security(()), params(("code" = String, Path, example = "not_found")),
    responses((status = 200, description = "The kind.", body = ProblemTypeBody)),
)]
pub(in crate::http) async fn get_problem_type(Path(code): Path<String>) -> Result<Answer<ProblemTypeBody>, ApiError> {
    let found = problem::find(&code).ok_or_else(|| ApiError::new(&problem::NOT_FOUND, "there is no such kind of problem"))?;
    Ok(Answer(ProblemTypeBody { code: found.code, status: found.status.as_u16(), title: found.title }))
}

/// Lists every kind of problem.
#[utoipa::path(
    get, path = "/problems", tag = "documentation", security(()),
    responses((status = 200, description = "All of them.", body = Items<ProblemTypeBody>)),
)]
pub(in crate::http) async fn list_problem_types() -> Answer<Items<ProblemTypeBody>> {
    let body =
        |found: &problem::ProblemType| ProblemTypeBody { code: found.code, status: found.status.as_u16(), title: found.title };
    Answer(Items { items: problem::ALL.iter().map(body).collect() })
}

/// Any other path: 404.
pub(in crate::http) async fn not_found() -> ApiError {
    ApiError::new(&problem::NOT_FOUND, "check the path; the API is below /api/v1")
}

/// A known path with another method: 204 for OPTIONS, else 405, both with `Allow`, which the router adds.
pub(in crate::http) async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    ApiError::new(&problem::METHOD_NOT_ALLOWED, "the header Allow lists the methods of this path").into_response()
}
