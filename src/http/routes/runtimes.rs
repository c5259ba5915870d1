//! Languages: which are here, and running code in them without a workflow.

use std::collections::BTreeMap;

use axum::{Json as Answer, extract::State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    actors::code_runs::{CodeLimits, CodeRunError, CodeRunRequest, JAVASCRIPT},
    auth::permissions::permit::CodeExecute,
    http::{
        AppState,
        dto::{CodeRunBody, RuntimesBody},
        error::ApiError,
        extract::{Caller, Json, May},
        openapi::Problems,
        problem,
    },
    model::problem::counted,
};

/// Advice for a caller that found no place, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// Code to run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CodeRunInput {
    /// One of `GET /runtimes`.
    #[serde(default = "javascript")]
    #[schema(default = "javascript", example = "javascript")]
    language: String,
    /// A function body that may `return` at top level, or that defines `main(input)`.
    #[schema(example = "return input.a + 1;")]
    code: String,
    /// What the code finds as `input`.
    #[serde(default)]
    input: Value,
    #[serde(default)]
    limits: CodeLimits,
    /// Variables that the code finds in its environment, by names like `CITY_1`.
    #[serde(default)]
    env: BTreeMap<String, String>,
}

fn javascript() -> String {
    JAVASCRIPT.to_owned()
}

/// Lists the languages that code can be written in, with their versions and limits.
#[utoipa::path(
    get, path = "/runtimes", tag = "code",
    responses((status = 200, description = "All of them.", body = RuntimesBody)),
)]
pub(in crate::http) async fn list_runtimes(State(app): State<AppState>, _caller: Caller) -> Answer<RuntimesBody> {
    Answer(RuntimesBody::new(app.code_runs.languages()))
}

/// Runs code once, in a fresh sandbox.
///
/// It has no network and no files. Code that fails is an answer, too.
#[utoipa::path(
    post, path = "/runtimes/execute", tag = "code", security(("bearer" = ["code:execute"])),
    responses(
        (status = 200, description = "What came out of it.", body = CodeRunBody),
        Problems<(problem::INVALID_CODE_RUN, problem::CODE_QUOTA, problem::OVERLOADED, problem::DRAINING)>,
    ),
)]
pub(in crate::http) async fn execute_code(
    State(app): State<AppState>,
    caller: May<CodeExecute>,
    Json(body): Json<CodeRunInput>,
) -> Result<Answer<CodeRunBody>, ApiError> {
    let CodeRunInput { language, code, input, limits, env } = body;
    let request = CodeRunRequest { workspace: caller.workspace(), language, source: code, input, limits, env };
    Ok(Answer(app.code_runs.run(request).await?.into()))
}

impl From<CodeRunError> for ApiError {
    fn from(error: CodeRunError) -> Self {
        match error {
            CodeRunError::Overloaded => {
                Self::new(&problem::OVERLOADED, "too much code waits for a sandbox").with_retry_after_ms(RETRY_AFTER_MS)
            }
            CodeRunError::BudgetSpent(spent) => {
                Self::new(&problem::CODE_QUOTA, format!("{spent}")).with_retry_after_ms(spent.retry_after_ms)
            }
            CodeRunError::Draining => Self::new(&problem::DRAINING, "send the request again: another server takes it")
                .with_retry_after_ms(RETRY_AFTER_MS),
            CodeRunError::Invalid(problems) => {
                let detail = format!("{}: see `errors`", counted(problems.len(), "problem"));
                Self::new(&problem::INVALID_CODE_RUN, detail).with_errors(problems)
            }
            CodeRunError::Interrupted => Self::internal(error),
        }
    }
}
