//! Rows and requests about workspaces and invitations to them.

use super::UserRow;
use crate::model::ids::{InvitationId, UserId, WorkspaceId};

/// Workspaces of one server.
pub const WORKSPACES_MAX: u32 = 1_000;
/// Open invitations of one workspace.
pub const INVITATIONS_MAX: u32 = 1_000;

/// A workspace's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRow {
    pub id: WorkspaceId,
    pub name: String,
    pub created_at: u64,
}

/// A workspace that somebody is a member of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedWorkspace {
    pub workspace: WorkspaceRow,
    pub role: String,
}

/// What became of a new workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertWorkspace {
    Inserted,
    /// The server has [`WORKSPACES_MAX`].
    Full,
}

/// What became of a workspace's deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteWorkspace {
    Deleted,
    NotFound,
    /// There is something in it besides people, or it is the first one, which stays.
    InUse,
}

/// An invitation's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRow {
    pub id: InvitationId,
    pub workspace: WorkspaceId,
    /// In lower case.
    pub email: String,
    pub role: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// `None` once that account is gone.
    pub invited_by: Option<UserId>,
    pub created_at: u64,
    pub expires_at: u64,
}

/// What became of a new invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertInvitation {
    Inserted,
    /// Whoever has the address is a member already.
    Member,
    /// The workspace has no such role.
    NoRole,
    /// The workspace has [`INVITATIONS_MAX`].
    Full,
}

/// Who accepts an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invitee {
    /// Somebody without an account so far.
    New(UserRow),
    Known(UserId),
}

/// What became of an accepted invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptInvitation {
    Accepted,
    /// It is gone, replaced or expired.
    NotFound,
    /// The new account's address has become taken.
    Exists,
    /// The known one has become a member otherwise. The invitation is used up.
    Member,
    /// The workspace has [`MEMBERS_MAX`](super::MEMBERS_MAX).
    Full,
}
