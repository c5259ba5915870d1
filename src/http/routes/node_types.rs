//! Node types: what there is, and trying one.

use std::time::Duration;

use axum::{Json as Answer, extract::State};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    actors::trial::{TrialError, TrialRequest},
    auth::permissions::{Permission, permit::CodeExecute},
    http::{
        AppState,
        dto::{Items, NodeTypeBody, TrialBody},
        error::ApiError,
        extract::{Caller, Json, May, Path, PreferWait},
        openapi::Problems,
        problem,
    },
    model::{item::Item, problem::counted},
};

/// How long a trial may take where the client does not say.
const TRIAL_TIME: Duration = Duration::from_secs(30);

/// A node to try, and on what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct TrialInput {
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Map<String, Value>,
    /// The JSON of the items; what is not an object becomes `{ value }`.
    #[serde(default)]
    items: Vec<Value>,
    credential: Option<String>,
}

/// Lists the node types.
#[utoipa::path(
    get, path = "/node-types", tag = "node types",
    responses((status = 200, description = "All of them.", body = Items<NodeTypeBody>)),
)]
pub(in crate::http) async fn list_node_types(State(app): State<AppState>, _caller: Caller) -> Answer<Items<NodeTypeBody>> {
    let body = |description| NodeTypeBody::new(description, &app.registry);
    Answer(Items { items: app.registry.types().map(body).collect() })
}

/// Shows a node type.
#[utoipa::path(
    get, path = "/node-types/{type}", tag = "node types", params(("type" = String, Path, example = "http.request")),
    responses((status = 200, description = "The node type.", body = NodeTypeBody), Problems<problem::NODE_TYPE_NOT_FOUND>),
)]
pub(in crate::http) async fn get_node_type(
    State(app): State<AppState>,
    _caller: Caller,
    Path(name): Path<String>,
) -> Result<Answer<NodeTypeBody>, ApiError> {
    let found = app.registry.types().find(|description| description.type_name == name).ok_or_else(missing)?;
    Ok(Answer(NodeTypeBody::new(found, &app.registry)))
}

/// Runs one node on given items.
///
/// What the node does outside really happens. `Prefer: wait=N` sets its time. A node that fails is an answer, too.
#[utoipa::path(
    post, path = "/node-types/{type}/test", tag = "node types", security(("bearer" = ["code:execute"])),
    params(("type" = String, Path, example = "set"), PreferWait),
    responses(
        (status = 200, description = "What came out of it.", body = TrialBody),
        Problems<(problem::NODE_TYPE_NOT_FOUND, problem::INVALID_DEFINITION, problem::OVERLOADED, problem::DRAINING)>,
    ),
)]
pub(in crate::http) async fn test_node_type(
    State(app): State<AppState>,
    caller: May<CodeExecute>,
    Path(node_type): Path<String>,
    PreferWait(wait): PreferWait,
    Json(body): Json<TrialInput>,
) -> Result<Answer<TrialBody>, ApiError> {
    if body.credential.is_some() {
        caller.require(Permission::CredentialUse)?;
    }
    let request = TrialRequest {
        workspace: caller.workspace(),
        node_type,
        params: body.params,
        credential: body.credential,
        items: body.items.into_iter().map(Item::from_value).collect(),
        timeout: wait.unwrap_or(TRIAL_TIME),
    };
    Ok(Answer(app.trials.run(request).await?.into()))
}

impl From<TrialError> for ApiError {
    fn from(error: TrialError) -> Self {
        let retry_after_ms = 1_000;
        match error {
            TrialError::Overloaded => {
                Self::new(&problem::OVERLOADED, "too many nodes are being tried").with_retry_after_ms(retry_after_ms)
            }
            TrialError::Draining => Self::new(&problem::DRAINING, "send the request again: another server takes it")
                .with_retry_after_ms(retry_after_ms),
            TrialError::UnknownType => missing(),
            TrialError::Invalid(problems) => {
                let detail = format!("{}: see `errors`", counted(problems.len(), "problem"));
                Self::new(&problem::INVALID_DEFINITION, detail).with_errors(problems)
            }
            TrialError::Unavailable(source) => source.into(),
            TrialError::Interrupted => Self::internal(error),
        }
    }
}

fn missing() -> ApiError {
    ApiError::new(&problem::NODE_TYPE_NOT_FOUND, "GET /api/v1/node-types lists them")
}
