//! The rows of who may do what: members, roles, API keys.

use uuid::Uuid;

use super::{count, hash, optional_time, rows, time};
use crate::{
    model::ids::{InvitationId, KeyId, UserId, WorkspaceId},
    store::{
        AccessRow, ApiKeyRow, InvitationRow, JoinedWorkspace, KeySecret, MemberRow, PreviousSecret, Result, RoleRow, StoreError,
        WorkspaceRow,
    },
};

rows! {
    /// What somebody may do; the permissions are those of a role that is a row.
    AccessColumns { workspace_id: Uuid, role: String, permissions: Option<String> }
    MemberColumns {
        workspace_id: Uuid, user_id: Uuid, role: String, created_at: i64, email: String, name: String, home: Uuid,
        disabled_at: Option<i64>,
    }
    RoleColumns {
        workspace_id: Uuid, name: String, version: i32, permissions: String, description: Option<String>, created_at: i64,
        updated_at: i64,
    }
    ApiKeyColumns {
        id: Uuid, workspace_id: Uuid, user_id: Uuid, name: String, permissions: String, hash: Vec<u8>, last_characters: String,
        previous_hash: Option<Vec<u8>>, previous_until: Option<i64>, created_at: i64, expires_at: Option<i64>,
        used_at: Option<i64>,
    }
    WorkspaceColumns { id: Uuid, name: String, created_at: i64 }
    /// A workspace with somebody's role in it.
    JoinedColumns { id: Uuid, name: String, created_at: i64, role: String }
    InvitationColumns {
        id: Uuid, workspace_id: Uuid, email: String, role: String, hash: Vec<u8>, invited_by: Option<Uuid>, created_at: i64,
        expires_at: i64,
    }
}

/// Texts as the databases keep them: a JSON array.
pub(in crate::store) fn texts(texts: &[String]) -> String {
    serde_json::to_string(texts).expect("texts are JSON")
}

fn read_texts(what: &'static str, text: &str) -> Result<Vec<String>> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt { what, source: Box::new(error) })
}

impl TryFrom<AccessColumns> for AccessRow {
    type Error = StoreError;

    fn try_from(columns: AccessColumns) -> Result<Self> {
        Ok(Self {
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            role: columns.role,
            permissions: columns.permissions.map(|text| read_texts("role", &text)).transpose()?,
        })
    }
}

impl TryFrom<MemberColumns> for MemberRow {
    type Error = StoreError;

    fn try_from(columns: MemberColumns) -> Result<Self> {
        let what = "member";
        Ok(Self {
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            user: UserId::from_uuid(columns.user_id),
            role: columns.role,
            created_at: time(what, "created_at", columns.created_at)?,
            email: columns.email,
            name: columns.name,
            home: WorkspaceId::from_uuid(columns.home),
            disabled_at: optional_time(what, "disabled_at", columns.disabled_at)?,
        })
    }
}

impl TryFrom<RoleColumns> for RoleRow {
    type Error = StoreError;

    fn try_from(columns: RoleColumns) -> Result<Self> {
        let what = "role";
        Ok(Self {
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            name: columns.name,
            version: count(what, "version", columns.version)?,
            permissions: read_texts(what, &columns.permissions)?,
            description: columns.description,
            created_at: time(what, "created_at", columns.created_at)?,
            updated_at: time(what, "updated_at", columns.updated_at)?,
        })
    }
}

impl TryFrom<ApiKeyColumns> for ApiKeyRow {
    type Error = StoreError;

    fn try_from(columns: ApiKeyColumns) -> Result<Self> {
        let what = "API key";
        let previous = match (columns.previous_hash, columns.previous_until) {
            (Some(bytes), Some(until)) => {
                Some(PreviousSecret { hash: hash(what, "previous_hash", &bytes)?, until: time(what, "previous_until", until)? })
            }
            (None, _) | (_, None) => None,
        };
        Ok(Self {
            id: KeyId::from_uuid(columns.id),
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            user: UserId::from_uuid(columns.user_id),
            name: columns.name,
            permissions: read_texts(what, &columns.permissions)?,
            secret: KeySecret { hash: hash(what, "hash", &columns.hash)?, last_characters: columns.last_characters },
            previous,
            created_at: time(what, "created_at", columns.created_at)?,
            expires_at: optional_time(what, "expires_at", columns.expires_at)?,
            used_at: optional_time(what, "used_at", columns.used_at)?,
        })
    }
}

impl TryFrom<WorkspaceColumns> for WorkspaceRow {
    type Error = StoreError;

    fn try_from(columns: WorkspaceColumns) -> Result<Self> {
        let created_at = time("workspace", "created_at", columns.created_at)?;
        Ok(Self { id: WorkspaceId::from_uuid(columns.id), name: columns.name, created_at })
    }
}

impl TryFrom<JoinedColumns> for JoinedWorkspace {
    type Error = StoreError;

    fn try_from(columns: JoinedColumns) -> Result<Self> {
        let JoinedColumns { id, name, created_at, role } = columns;
        Ok(Self { workspace: WorkspaceColumns { id, name, created_at }.try_into()?, role })
    }
}

impl TryFrom<InvitationColumns> for InvitationRow {
    type Error = StoreError;

    fn try_from(columns: InvitationColumns) -> Result<Self> {
        let what = "invitation";
        Ok(Self {
            id: InvitationId::from_uuid(columns.id),
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            email: columns.email,
            role: columns.role,
            hash: hash(what, "hash", &columns.hash)?,
            invited_by: columns.invited_by.map(UserId::from_uuid),
            created_at: time(what, "created_at", columns.created_at)?,
            expires_at: time(what, "expires_at", columns.expires_at)?,
        })
    }
}
