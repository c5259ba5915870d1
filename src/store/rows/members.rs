//! Rows and requests about who may do what in a workspace: members and roles.

use crate::model::{
    change::Change,
    ids::{UserId, WorkspaceId},
};

/// The role that a workspace always has somebody in. The roles that every workspace has are not rows.
pub const OWNER_ROLE: &str = "owner";
/// Members of one workspace.
pub const MEMBERS_MAX: u32 = 10_000;
/// Roles of one workspace beside those that every workspace has.
pub const ROLES_MAX: u32 = 100;

/// A role as it is given to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleGrant {
    pub name: String,
    /// Whether it is a row of the workspace, which has to be there then.
    pub is_custom: bool,
}

/// What somebody may do in a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRow {
    pub workspace: WorkspaceId,
    pub role: String,
    /// Of a role that is a row; `None` for one that every workspace has.
    pub permissions: Option<Vec<String>>,
}

/// A member of a workspace, with what is shown of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    pub workspace: WorkspaceId,
    pub user: UserId,
    pub role: String,
    /// Since when it is a member.
    pub created_at: u64,
    pub email: String,
    pub name: String,
    /// The workspace whose administrators look after the account.
    pub home: WorkspaceId,
    pub disabled_at: Option<u64>,
}

/// What became of a new member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertMember {
    Inserted,
    /// The account has a taken e-mail address, or is a member already.
    Exists,
    /// There is no such account.
    NoUser,
    /// The workspace has no such role.
    NoRole,
    /// The workspace has [`MEMBERS_MAX`].
    Full,
}

/// What an account becomes. What is kept is what it has in that moment, whoever changes it at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserChange {
    pub name: String,
    pub disabled_at: Change<Option<u64>>,
}

/// What became of a change of a member or an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeMember {
    Changed,
    NotFound,
    /// The workspace has no such role.
    NoRole,
    /// A workspace would have no owner that is not disabled.
    LastOwner,
}

/// A role to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRole {
    pub workspace: WorkspaceId,
    /// Never empty, and none that every workspace has.
    pub name: String,
    pub content: RoleChange,
}

/// What a role becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleChange {
    pub permissions: Vec<String>,
    pub description: Option<String>,
    pub at: u64,
}

/// A role's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRow {
    pub workspace: WorkspaceId,
    pub name: String,
    /// Counts its writes, from 1 on.
    pub version: u32,
    pub permissions: Vec<String>,
    pub description: Option<String>,
    pub created_at: u64,
    pub updated_at: u64,
}

/// What became of a new role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InsertRole {
    Inserted(RoleRow),
    /// There is one of that name.
    Exists,
    /// The workspace has [`ROLES_MAX`].
    Full,
}

/// What became of a role's update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateRole {
    Updated(RoleRow),
    Stale { version: u32 },
    NotFound,
}

/// What became of a role's deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteRole {
    Deleted,
    Stale {
        version: u32,
    },
    NotFound,
    /// A member or an invitation has it.
    InUse,
}
