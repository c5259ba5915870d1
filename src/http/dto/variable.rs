//! Variables.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Time;
use crate::{http::error::ApiError, store::VariableRow};

/// A variable. **Shape**: `{ name, value, description, version, created_at, updated_at }`.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct VariableBody {
    name: String,
    #[schema(value_type = serde_json::Value)]
    value: Box<RawValue>,
    description: Option<String>,
    version: u32,
    created_at: Time,
    updated_at: Time,
}

impl VariableBody {
    pub(in crate::http) fn name(&self) -> &str {
        &self.name
    }
}

impl TryFrom<VariableRow> for VariableBody {
    type Error = ApiError;

    fn try_from(row: VariableRow) -> Result<Self, ApiError> {
        Ok(Self {
            name: row.name,
            value: serde_json::from_slice(&row.value).map_err(ApiError::internal)?,
            description: row.description,
            version: row.version,
            created_at: Time(row.created_at),
            updated_at: Time(row.updated_at),
        })
    }
}
