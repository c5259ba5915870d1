//! Invitations to workspaces.

use super::{PostgresStore, error::failed, members};
use crate::{
    model::ids::{InvitationId, UserId, WorkspaceId},
    store::{
        AcceptInvitation, INVITATIONS_MAX, InsertInvitation, InsertMember, InvitationRow, Invitee, Result, RoleGrant,
        columns::{self, InvitationColumns, millis},
    },
};

const READING: &str = "reading invitations";
const WRITING: &str = "writing an invitation";

pub(super) async fn insert_invitation(
    store: &PostgresStore,
    invitation: &InvitationRow,
    role: &RoleGrant,
) -> Result<InsertInvitation> {
    const IS_MEMBER: &str = "SELECT EXISTS (
            SELECT 1 FROM users JOIN members ON members.user_id = users.id
            WHERE users.email = $2 AND members.workspace_id = $1
        ) LIMIT 1";
    const CLEAR: &str = "DELETE FROM invitations WHERE workspace_id = $1 AND (email = $2 OR expires_at <= $3)";
    const SQL: &str = "INSERT INTO invitations (id, workspace_id, email, role, hash, invited_by, created_at, expires_at)
        SELECT $1::uuid, $2::uuid, $3::text, $4::text, $5::bytea, $6::uuid, $7::bigint, $8::bigint
        WHERE (SELECT count(*) FROM invitations WHERE workspace_id = $2) < $9";
    let workspace = invitation.workspace.uuid();
    let mut tx = store.begin(WRITING).await?;
    members::lock_workspace(&mut tx, invitation.workspace).await?;
    if !members::has_role(&mut tx, invitation.workspace, role).await? {
        return Ok(InsertInvitation::NoRole);
    }
    let query = sqlx::query_scalar(IS_MEMBER).bind(workspace).bind(invitation.email.clone());
    let is_member: bool = query.fetch_one(&mut *tx).await.map_err(failed(WRITING))?;
    if is_member {
        return Ok(InsertInvitation::Member);
    }
    let query = sqlx::query(CLEAR).bind(workspace).bind(invitation.email.clone()).bind(millis(invitation.created_at));
    query.execute(&mut *tx).await.map_err(failed(WRITING))?;
    let inserted = sqlx::query(SQL)
        .bind(invitation.id.uuid())
        .bind(workspace)
        .bind(invitation.email.clone())
        .bind(role.name.clone())
        .bind(invitation.hash.to_vec())
        .bind(invitation.invited_by.map(UserId::uuid))
        .bind(millis(invitation.created_at))
        .bind(millis(invitation.expires_at))
        .bind(i64::from(INVITATIONS_MAX))
        .execute(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(if inserted.rows_affected() > 0 { InsertInvitation::Inserted } else { InsertInvitation::Full })
}

pub(super) async fn find_invitation(store: &PostgresStore, hash: &[u8; 32]) -> Result<Option<InvitationRow>> {
    const SQL: &str = "SELECT id, workspace_id, email, role, hash, invited_by, created_at, expires_at FROM invitations
        WHERE hash = $1 LIMIT 1";
    let query = sqlx::query_as(SQL).bind(hash.to_vec());
    let row: Option<InvitationColumns> = query.fetch_optional(&store.pool).await.map_err(failed(READING))?;
    row.map(InvitationRow::try_from).transpose()
}

pub(super) async fn list_invitations(
    store: &PostgresStore,
    workspace: WorkspaceId,
    after: Option<InvitationId>,
    limit: u32,
) -> Result<Vec<InvitationRow>> {
    const SQL: &str = "SELECT id, workspace_id, email, role, hash, invited_by, created_at, expires_at FROM invitations
        WHERE workspace_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    // No invitation has the nil id, so every one is above it.
    let rows: Vec<InvitationColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(after.map(InvitationId::uuid).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&store.pool)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn delete_invitation(store: &PostgresStore, workspace: WorkspaceId, id: InvitationId) -> Result<bool> {
    const SQL: &str = "DELETE FROM invitations WHERE id = $1 AND workspace_id = $2";
    let query = sqlx::query(SQL).bind(id.uuid()).bind(workspace.uuid());
    let deleted = query.execute(&store.pool).await.map_err(failed(WRITING))?;
    Ok(deleted.rows_affected() > 0)
}

pub(super) async fn accept_invitation(
    store: &PostgresStore,
    invitation: &InvitationRow,
    invitee: &Invitee,
    now_ms: u64,
) -> Result<AcceptInvitation> {
    const TAKE: &str = "DELETE FROM invitations WHERE id = $1 AND hash = $2 AND expires_at > $3";
    // Its role cannot have gone: a role that an invitation has stays.
    let role = RoleGrant { name: invitation.role.clone(), is_custom: false };
    let mut tx = store.begin(WRITING).await?;
    if let Invitee::Known(user) = invitee {
        members::lock_user(&mut tx, *user).await?;
    }
    members::lock_workspace(&mut tx, invitation.workspace).await?;
    let query = sqlx::query(TAKE).bind(invitation.id.uuid()).bind(invitation.hash.to_vec()).bind(millis(now_ms));
    let taken = query.execute(&mut *tx).await.map_err(failed(WRITING))?;
    if taken.rows_affected() == 0 {
        return Ok(AcceptInvitation::NotFound);
    }
    if let Some(InsertMember::Full) = members::refusal(&mut tx, invitation.workspace, &role).await? {
        return Ok(AcceptInvitation::Full);
    }
    let user = match invitee {
        Invitee::New(user) => {
            if !members::insert_account(&mut tx, user).await? {
                return Ok(AcceptInvitation::Exists);
            }
            user.id
        }
        Invitee::Known(user) => *user,
    };
    let is_new = members::insert(&mut tx, invitation.workspace, user, &role.name, now_ms).await?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(if is_new { AcceptInvitation::Accepted } else { AcceptInvitation::Member })
}
