//! Node types.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::nodes::{Description, docs::Docs, registry::Registry};

/// A node type. **Shape**: `{ type, summary, params_schema, verbatim, role, inputs, ports, ports_vary, effects, examples }`.
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
    #[serde(flatten)]
    #[schema(value_type = Docs)]
    docs: Option<Docs>,
}

impl NodeTypeBody {
    pub(in crate::http) fn new(description: &Description, registry: &Registry) -> Self {
        Self {
            type_name: description.type_name,
            summary: description.summary,
            params_schema: description.params_schema.clone(),
            verbatim: description.verbatim,
            docs: registry.docs(description.type_name).cloned(),
        }
    }
}
