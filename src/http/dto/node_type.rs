//! Node types.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::nodes::Description;

/// A node type. **Shape**: `{ type, summary, params_schema, verbatim }`.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct NodeTypeBody {
    #[serde(rename = "type")]
    type_name: &'static str,
    summary: &'static str,
    /// JSON Schema (2020-12) of `params`.
    #[schema(value_type = Object)]
    params_schema: Value,
    /// Parameters that are program text, not templates.
    #[schema(value_type = Vec<String>)]
    verbatim: &'static [&'static str],
}

impl From<&Description> for NodeTypeBody {
    fn from(description: &Description) -> Self {
        Self {
            type_name: description.type_name,
            summary: description.summary,
            params_schema: description.params_schema.clone(),
            verbatim: description.verbatim,
        }
    }
}
