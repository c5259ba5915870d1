//! Members of workspaces, their accounts, and what they may do.

use super::{SqliteStore, error::failed};
use crate::{
    model::{
        change::Change,
        ids::{UserId, WorkspaceId},
    },
    store::{
        AccessRow, ChangeMember, InsertMember, MEMBERS_MAX, MemberRow, OWNER_ROLE, Result, RoleGrant, UserChange, UserRow,
        columns::{self, AccessColumns, MemberColumns, millis},
    },
};

const READING: &str = "reading members";
const WRITING: &str = "writing a member";

pub(super) async fn find_access(store: &SqliteStore, user: UserId, wanted: Option<WorkspaceId>) -> Result<Option<AccessRow>> {
    const SQL: &str = "SELECT members.workspace_id, members.role, roles.permissions FROM members
        JOIN users ON users.id = members.user_id
        LEFT JOIN roles ON roles.workspace_id = members.workspace_id AND roles.name = members.role
        WHERE members.user_id = ?1 AND users.disabled_at IS NULL AND (?2 IS NULL OR members.workspace_id = ?2)
        ORDER BY (members.workspace_id = users.workspace_id) DESC, members.created_at, members.workspace_id LIMIT 1";
    let query = sqlx::query_as(SQL).bind(user.uuid()).bind(wanted.map(WorkspaceId::uuid));
    let row: Option<AccessColumns> = query.fetch_optional(&store.readers).await.map_err(failed(READING))?;
    row.map(AccessRow::try_from).transpose()
}

pub(super) async fn insert_user(store: &SqliteStore, user: &UserRow, role: &RoleGrant) -> Result<InsertMember> {
    let mut tx = store.begin(WRITING).await?;
    if let Some(refusal) = refusal(&mut tx, user.workspace, role).await? {
        return Ok(refusal);
    }
    if !insert_account(&mut tx, user).await? {
        return Ok(InsertMember::Exists);
    }
    insert(&mut tx, user.workspace, user.id, &role.name, user.created_at).await?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(InsertMember::Inserted)
}

pub(super) async fn insert_member(
    store: &SqliteStore,
    workspace: WorkspaceId,
    user: UserId,
    role: &RoleGrant,
    now_ms: u64,
) -> Result<InsertMember> {
    const FIND: &str = "SELECT 1 FROM users WHERE id = ?1 LIMIT 1";
    let mut tx = store.begin(WRITING).await?;
    let user_row: Option<i32> =
        sqlx::query_scalar(FIND).bind(user.uuid()).fetch_optional(&mut *tx).await.map_err(failed(WRITING))?;
    if user_row.is_none() {
        return Ok(InsertMember::NoUser);
    }
    if let Some(refusal) = refusal(&mut tx, workspace, role).await? {
        return Ok(refusal);
    }
    if !insert(&mut tx, workspace, user, &role.name, now_ms).await? {
        return Ok(InsertMember::Exists);
    }
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(InsertMember::Inserted)
}

pub(super) async fn find_member(store: &SqliteStore, workspace: WorkspaceId, user: UserId) -> Result<Option<MemberRow>> {
    const SQL: &str = "SELECT members.workspace_id, members.user_id, members.role, members.created_at, users.email, users.name,
            users.workspace_id AS home, users.disabled_at
        FROM members JOIN users ON users.id = members.user_id
        WHERE members.workspace_id = ?1 AND members.user_id = ?2 LIMIT 1";
    let query = sqlx::query_as(SQL).bind(workspace.uuid()).bind(user.uuid());
    let row: Option<MemberColumns> = query.fetch_optional(&store.readers).await.map_err(failed(READING))?;
    row.map(MemberRow::try_from).transpose()
}

pub(super) async fn list_members(
    store: &SqliteStore,
    workspace: WorkspaceId,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<MemberRow>> {
    const SQL: &str = "SELECT members.workspace_id, members.user_id, members.role, members.created_at, users.email, users.name,
            users.workspace_id AS home, users.disabled_at
        FROM members JOIN users ON users.id = members.user_id
        WHERE members.workspace_id = ?1 AND members.user_id > ?2 ORDER BY members.user_id LIMIT ?3";
    // No user has the nil id, so everybody is above it.
    let rows: Vec<MemberColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(after.map(UserId::uuid).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn set_member_role(
    store: &SqliteStore,
    workspace: WorkspaceId,
    user: UserId,
    role: &RoleGrant,
) -> Result<ChangeMember> {
    const SQL: &str = "UPDATE members SET role = ?3 WHERE workspace_id = ?1 AND user_id = ?2";
    let mut tx = store.begin(WRITING).await?;
    let Some(current) = role_of(&mut tx, workspace, user).await? else { return Ok(ChangeMember::NotFound) };
    if !has_role(&mut tx, workspace, role).await? {
        return Ok(ChangeMember::NoRole);
    }
    if current == OWNER_ROLE && role.name != OWNER_ROLE && !has_other_owner(&mut tx, workspace, user).await? {
        return Ok(ChangeMember::LastOwner);
    }
    let query = sqlx::query(SQL).bind(workspace.uuid()).bind(user.uuid()).bind(role.name.clone());
    query.execute(&mut *tx).await.map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(ChangeMember::Changed)
}

pub(super) async fn delete_member(store: &SqliteStore, workspace: WorkspaceId, user: UserId) -> Result<ChangeMember> {
    const STATEMENTS: [&str; 4] = [
        "DELETE FROM api_keys WHERE workspace_id = ?1 AND user_id = ?2",
        "DELETE FROM invitations WHERE workspace_id = ?1 AND invited_by = ?2",
        "DELETE FROM members WHERE workspace_id = ?1 AND user_id = ?2",
        "UPDATE users SET workspace_id = COALESCE(
            (SELECT members.workspace_id FROM members WHERE members.user_id = ?2
             ORDER BY members.created_at, members.workspace_id LIMIT 1), workspace_id)
         WHERE id = ?2 AND workspace_id = ?1",
    ];
    let mut tx = store.begin(WRITING).await?;
    let Some(current) = role_of(&mut tx, workspace, user).await? else { return Ok(ChangeMember::NotFound) };
    if current == OWNER_ROLE && !has_other_owner(&mut tx, workspace, user).await? {
        return Ok(ChangeMember::LastOwner);
    }
    for sql in STATEMENTS {
        let query = sqlx::query(sql).bind(workspace.uuid()).bind(user.uuid());
        query.execute(&mut *tx).await.map_err(failed(WRITING))?;
    }
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(ChangeMember::Changed)
}

pub(super) async fn update_user(store: &SqliteStore, id: UserId, change: &UserChange) -> Result<ChangeMember> {
    const SQL: &str = "UPDATE users SET name = ?2, disabled_at = CASE WHEN ?3 THEN ?4 ELSE disabled_at END WHERE id = ?1";
    const ENDED: [&str; 2] = ["DELETE FROM sessions WHERE user_id = ?1", "DELETE FROM invitations WHERE invited_by = ?1"];
    let mut tx = store.begin(WRITING).await?;
    let is_disabled = matches!(change.disabled_at, Change::To(Some(_)));
    if is_disabled && is_last_owner(&mut tx, id).await? {
        return Ok(ChangeMember::LastOwner);
    }
    let query = sqlx::query(SQL).bind(id.uuid()).bind(change.name.clone());
    let query = query.bind(change.disabled_at.to().is_some()).bind(change.disabled_at.to().copied().flatten().map(millis));
    let updated = query.execute(&mut *tx).await.map_err(failed(WRITING))?;
    for sql in ENDED.into_iter().filter(|_| is_disabled) {
        sqlx::query(sql).bind(id.uuid()).execute(&mut *tx).await.map_err(failed(WRITING))?;
    }
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(if updated.rows_affected() > 0 { ChangeMember::Changed } else { ChangeMember::NotFound })
}

pub(super) async fn delete_user(store: &SqliteStore, id: UserId) -> Result<ChangeMember> {
    const STATEMENTS: [&str; 2] = ["DELETE FROM invitations WHERE invited_by = ?1", "DELETE FROM users WHERE id = ?1"];
    let mut tx = store.begin(WRITING).await?;
    if is_last_owner(&mut tx, id).await? {
        return Ok(ChangeMember::LastOwner);
    }
    let mut deleted = 0;
    for sql in STATEMENTS {
        deleted = sqlx::query(sql).bind(id.uuid()).execute(&mut *tx).await.map_err(failed(WRITING))?.rows_affected();
    }
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(if deleted > 0 { ChangeMember::Changed } else { ChangeMember::NotFound })
}

/// Why the workspace takes no new member of this role, if it does not.
pub(super) async fn refusal(
    connection: &mut sqlx::SqliteConnection,
    workspace: WorkspaceId,
    role: &RoleGrant,
) -> Result<Option<InsertMember>> {
    const SQL: &str = "SELECT count(*) FROM members WHERE workspace_id = ?1 LIMIT 1";
    if !has_role(connection, workspace, role).await? {
        return Ok(Some(InsertMember::NoRole));
    }
    let members: i64 = sqlx::query_scalar(SQL).bind(workspace.uuid()).fetch_one(connection).await.map_err(failed(WRITING))?;
    Ok((members >= i64::from(MEMBERS_MAX)).then_some(InsertMember::Full))
}

/// `false` if the e-mail address is taken.
pub(super) async fn insert_account(connection: &mut sqlx::SqliteConnection, user: &UserRow) -> Result<bool> {
    const SQL: &str = "INSERT INTO users (id, workspace_id, email, name, password_hash, created_at, disabled_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (email) DO NOTHING";
    let inserted = sqlx::query(SQL)
        .bind(user.id.uuid())
        .bind(user.workspace.uuid())
        .bind(user.email.clone())
        .bind(user.name.clone())
        .bind(user.password_hash.clone())
        .bind(millis(user.created_at))
        .bind(user.disabled_at.map(millis))
        .execute(connection)
        .await
        .map_err(failed(WRITING))?;
    Ok(inserted.rows_affected() > 0)
}

/// `false` if it is a member already.
pub(super) async fn insert(
    connection: &mut sqlx::SqliteConnection,
    workspace: WorkspaceId,
    user: UserId,
    role: &str,
    now_ms: u64,
) -> Result<bool> {
    const SQL: &str = "INSERT INTO members (workspace_id, user_id, role, created_at) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (workspace_id, user_id) DO NOTHING";
    let query = sqlx::query(SQL).bind(workspace.uuid()).bind(user.uuid()).bind(role.to_owned()).bind(millis(now_ms));
    let inserted = query.execute(connection).await.map_err(failed(WRITING))?;
    Ok(inserted.rows_affected() > 0)
}

pub(super) async fn has_role(connection: &mut sqlx::SqliteConnection, workspace: WorkspaceId, role: &RoleGrant) -> Result<bool> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM roles WHERE workspace_id = ?1 AND name = ?2) LIMIT 1";
    if !role.is_custom {
        return Ok(true);
    }
    let query = sqlx::query_scalar(SQL).bind(workspace.uuid()).bind(role.name.clone());
    query.fetch_one(connection).await.map_err(failed(READING))
}

async fn role_of(connection: &mut sqlx::SqliteConnection, workspace: WorkspaceId, user: UserId) -> Result<Option<String>> {
    const SQL: &str = "SELECT role FROM members WHERE workspace_id = ?1 AND user_id = ?2 LIMIT 1";
    let query = sqlx::query_scalar(SQL).bind(workspace.uuid()).bind(user.uuid());
    query.fetch_optional(connection).await.map_err(failed(READING))
}

/// Whether the workspace has an owner beside this one that is not disabled.
async fn has_other_owner(connection: &mut sqlx::SqliteConnection, workspace: WorkspaceId, user: UserId) -> Result<bool> {
    const SQL: &str = "SELECT EXISTS (
            SELECT 1 FROM members JOIN users ON users.id = members.user_id
            WHERE members.workspace_id = ?1 AND members.user_id <> ?2 AND members.role = ?3 AND users.disabled_at IS NULL
        ) LIMIT 1";
    let query = sqlx::query_scalar(SQL).bind(workspace.uuid()).bind(user.uuid()).bind(OWNER_ROLE);
    query.fetch_one(connection).await.map_err(failed(READING))
}

/// Whether any workspace would have no owner without this one.
async fn is_last_owner(connection: &mut sqlx::SqliteConnection, user: UserId) -> Result<bool> {
    const SQL: &str = "SELECT EXISTS (
            SELECT 1 FROM members AS own WHERE own.user_id = ?1 AND own.role = ?2 AND NOT EXISTS (
                SELECT 1 FROM members AS other JOIN users ON users.id = other.user_id
                WHERE other.workspace_id = own.workspace_id AND other.user_id <> ?1 AND other.role = ?2
                AND users.disabled_at IS NULL
            )
        ) LIMIT 1";
    let query = sqlx::query_scalar(SQL).bind(user.uuid()).bind(OWNER_ROLE);
    query.fetch_one(connection).await.map_err(failed(READING))
}
