//! Rows and requests about variables.

use bytes::Bytes;

use crate::model::ids::WorkspaceId;

/// Variables of one workspace.
pub const VARIABLES_MAX: u32 = 200;

/// A variable to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVariable {
    pub workspace: WorkspaceId,
    /// Never empty.
    pub name: String,
    pub content: VariableChange,
}

/// What a variable becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableChange {
    pub description: Option<String>,
    /// JSON text.
    pub value: Bytes,
    pub at: u64,
}

/// A variable's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableRow {
    pub workspace: WorkspaceId,
    pub name: String,
    /// Counts its writes, from 1 on.
    pub version: u32,
    pub created_at: u64,
    pub updated_at: u64,
    pub description: Option<String>,
    pub value: Bytes,
}

/// What became of a new variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InsertVariable {
    Inserted(VariableRow),
    /// There is one of that name.
    Exists,
    /// The workspace has [`VARIABLES_MAX`]. Callers that come at the same time may exceed that by their number.
    Full,
}

/// What became of a variable's update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateVariable {
    Updated(VariableRow),
    Stale { version: u32 },
    NotFound,
}

/// What became of a variable's deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteVariable {
    Deleted,
    Stale { version: u32 },
    NotFound,
}
