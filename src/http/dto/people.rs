//! People, workspaces, invitations, roles and API keys.

use serde::Serialize;
use utoipa::ToSchema;

use super::Time;
use crate::{
    actors::accounts::Role,
    auth::permissions::{BuiltInRole, Permission, PermissionSet},
    model::ids::{InvitationId, KeyId, UserId, WorkspaceId},
    store::{ApiKeyRow, InvitationRow, JoinedWorkspace, MemberRow, RoleRow, WorkspaceRow},
};

/// Somebody's account, and what they are in this workspace.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct AccountBody {
    id: UserId,
    email: String,
    name: String,
    role: String,
    /// The workspace that looks after the account.
    home_workspace_id: WorkspaceId,
    /// Since when nothing opens for them; null for somebody who is let in.
    disabled_at: Option<Time>,
    member_since: Time,
}

impl From<MemberRow> for AccountBody {
    fn from(row: MemberRow) -> Self {
        Self {
            id: row.user,
            email: row.email,
            name: row.name,
            role: row.role,
            home_workspace_id: row.home,
            disabled_at: row.disabled_at.map(Time),
            member_since: Time(row.created_at),
        }
    }
}

/// A member of a workspace.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct MemberBody {
    workspace_id: WorkspaceId,
    user_id: UserId,
    email: String,
    name: String,
    role: String,
    disabled: bool,
    member_since: Time,
}

impl From<MemberRow> for MemberBody {
    fn from(row: MemberRow) -> Self {
        Self {
            workspace_id: row.workspace,
            user_id: row.user,
            email: row.email,
            name: row.name,
            role: row.role,
            disabled: row.disabled_at.is_some(),
            member_since: Time(row.created_at),
        }
    }
}

/// A workspace.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct WorkspaceBody {
    id: WorkspaceId,
    name: String,
    created_at: Time,
}

impl From<WorkspaceRow> for WorkspaceBody {
    fn from(row: WorkspaceRow) -> Self {
        Self { id: row.id, name: row.name, created_at: Time(row.created_at) }
    }
}

/// A workspace that the caller may name in a request.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct JoinedWorkspaceBody {
    id: WorkspaceId,
    name: String,
    /// The caller's role there.
    role: String,
    created_at: Time,
}

impl From<JoinedWorkspace> for JoinedWorkspaceBody {
    fn from(JoinedWorkspace { workspace, role }: JoinedWorkspace) -> Self {
        Self { id: workspace.id, name: workspace.name, role, created_at: Time(workspace.created_at) }
    }
}

/// An open invitation.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct InvitationBody {
    id: InvitationId,
    workspace_id: WorkspaceId,
    email: String,
    role: String,
    /// Null once that account is gone.
    invited_by: Option<UserId>,
    created_at: Time,
    expires_at: Time,
}

impl From<InvitationRow> for InvitationBody {
    fn from(row: InvitationRow) -> Self {
        Self {
            id: row.id,
            workspace_id: row.workspace,
            email: row.email,
            role: row.role,
            invited_by: row.invited_by,
            created_at: Time(row.created_at),
            expires_at: Time(row.expires_at),
        }
    }
}

/// A role. Those that every workspace has are `built_in`: they never change, and have no version and no times.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct RoleBody {
    name: String,
    built_in: bool,
    #[schema(value_type = Vec<Permission>)]
    permissions: Vec<String>,
    description: Option<String>,
    version: Option<u32>,
    created_at: Option<Time>,
    updated_at: Option<Time>,
}

impl From<Role> for RoleBody {
    fn from(role: Role) -> Self {
        match role {
            Role::BuiltIn(role) => role.into(),
            Role::Custom(row) => row.into(),
        }
    }
}

impl From<BuiltInRole> for RoleBody {
    fn from(role: BuiltInRole) -> Self {
        Self {
            name: role.as_str().to_owned(),
            built_in: true,
            permissions: names(role.permissions()),
            description: None,
            version: None,
            created_at: None,
            updated_at: None,
        }
    }
}

impl From<RoleRow> for RoleBody {
    fn from(row: RoleRow) -> Self {
        Self {
            name: row.name,
            built_in: false,
            permissions: known(&row.permissions),
            description: row.description,
            version: Some(row.version),
            created_at: Some(Time(row.created_at)),
            updated_at: Some(Time(row.updated_at)),
        }
    }
}

/// An API key, never its text.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ApiKeyBody {
    id: KeyId,
    /// Whom it acts for: it may never do more than they.
    user_id: UserId,
    name: String,
    #[schema(value_type = Vec<Permission>)]
    permissions: Vec<String>,
    /// The end of its text.
    last_characters: String,
    /// Until when its earlier text works, too.
    previous_until: Option<Time>,
    created_at: Time,
    expires_at: Option<Time>,
    /// To a minute.
    used_at: Option<Time>,
}

impl From<ApiKeyRow> for ApiKeyBody {
    fn from(row: ApiKeyRow) -> Self {
        Self {
            id: row.id,
            user_id: row.user,
            name: row.name,
            permissions: known(&row.permissions),
            last_characters: row.secret.last_characters,
            previous_until: row.previous.map(|previous| Time(previous.until)),
            created_at: Time(row.created_at),
            expires_at: row.expires_at.map(Time),
            used_at: row.used_at.map(Time),
        }
    }
}

fn names(permissions: PermissionSet) -> Vec<String> {
    permissions.iter().map(|permission| permission.as_str().to_owned()).collect()
}

/// Those that this release knows: the others open nothing.
fn known(stored: &[String]) -> Vec<String> {
    names(stored.iter().filter_map(|name| name.parse().ok()).collect())
}
