//! Roles of a workspace, beside those that every workspace has.

use super::{PostgresStore, error::failed, members::lock_workspace};
use crate::{
    model::ids::WorkspaceId,
    store::{
        DeleteRole, InsertRole, NewRole, ROLES_MAX, Result, RoleChange, RoleRow, UpdateRole,
        columns::{self, RoleColumns, millis, number, texts},
    },
};

const READING: &str = "reading roles";
const WRITING: &str = "writing a role";

pub(super) async fn insert_role(store: &PostgresStore, new: &NewRole) -> Result<InsertRole> {
    const SQL: &str = "INSERT INTO roles (workspace_id, name, version, permissions, description, created_at, updated_at)
        SELECT $1::uuid, $2::text, 1, $3::text, $4::text, $5::bigint, $5::bigint
        WHERE (SELECT count(*) FROM roles WHERE workspace_id = $1) < $6
        ON CONFLICT (workspace_id, name) DO NOTHING
        RETURNING workspace_id, name, version, permissions, description, created_at, updated_at";
    let mut tx = store.begin(WRITING).await?;
    lock_workspace(&mut tx, new.workspace).await?;
    let row: Option<RoleColumns> = sqlx::query_as(SQL)
        .bind(new.workspace.uuid())
        .bind(new.name.clone())
        .bind(texts(&new.content.permissions))
        .bind(new.content.description.clone())
        .bind(millis(new.content.at))
        .bind(i64::from(ROLES_MAX))
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    let Some(row) = row else {
        let stored = find_within(&mut tx, new.workspace, &new.name).await?;
        return Ok(if stored.is_some() { InsertRole::Exists } else { InsertRole::Full });
    };
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(InsertRole::Inserted(row.try_into()?))
}

pub(super) async fn update_role(
    store: &PostgresStore,
    workspace: WorkspaceId,
    name: &str,
    expected_version: Option<u32>,
    change: &RoleChange,
) -> Result<UpdateRole> {
    const SQL: &str = "UPDATE roles SET version = version + 1, updated_at = $4, description = $5, permissions = $6
        WHERE workspace_id = $1 AND name = $2 AND version = COALESCE($3, version)
        RETURNING workspace_id, name, version, permissions, description, created_at, updated_at";
    let expected = expected_version.map(number).transpose()?;
    let mut tx = store.begin(WRITING).await?;
    let row: Option<RoleColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(name.to_owned())
        .bind(expected)
        .bind(millis(change.at))
        .bind(change.description.clone())
        .bind(texts(&change.permissions))
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    let Some(row) = row else {
        let stored = find_within(&mut tx, workspace, name).await?;
        return Ok(stored.map_or(UpdateRole::NotFound, |row| UpdateRole::Stale { version: row.version }));
    };
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(UpdateRole::Updated(row.try_into()?))
}

pub(super) async fn delete_role(
    store: &PostgresStore,
    workspace: WorkspaceId,
    name: &str,
    expected_version: Option<u32>,
) -> Result<DeleteRole> {
    const IN_USE: &str = "SELECT EXISTS (SELECT 1 FROM members WHERE workspace_id = $1 AND role = $2)
        OR EXISTS (SELECT 1 FROM invitations WHERE workspace_id = $1 AND role = $2) LIMIT 1";
    const SQL: &str = "DELETE FROM roles WHERE workspace_id = $1 AND name = $2";
    let mut tx = store.begin(WRITING).await?;
    lock_workspace(&mut tx, workspace).await?;
    let Some(stored) = find_within(&mut tx, workspace, name).await? else { return Ok(DeleteRole::NotFound) };
    if expected_version.is_some_and(|expected| expected != stored.version) {
        return Ok(DeleteRole::Stale { version: stored.version });
    }
    let query = sqlx::query_scalar(IN_USE).bind(workspace.uuid()).bind(name.to_owned());
    let is_in_use: bool = query.fetch_one(&mut *tx).await.map_err(failed(WRITING))?;
    if is_in_use {
        return Ok(DeleteRole::InUse);
    }
    let query = sqlx::query(SQL).bind(workspace.uuid()).bind(name.to_owned());
    query.execute(&mut *tx).await.map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(DeleteRole::Deleted)
}

pub(super) async fn find_role(store: &PostgresStore, workspace: WorkspaceId, name: &str) -> Result<Option<RoleRow>> {
    let mut connection = store.pool.acquire().await.map_err(failed(READING))?;
    find_within(&mut connection, workspace, name).await
}

pub(super) async fn list_roles(
    store: &PostgresStore,
    workspace: WorkspaceId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<RoleRow>> {
    const SQL: &str = "SELECT workspace_id, name, version, permissions, description, created_at, updated_at FROM roles
        WHERE workspace_id = $1 AND name > $2 ORDER BY name LIMIT $3";
    // No name is empty, so everything is above the empty one.
    let rows: Vec<RoleColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(after.unwrap_or_default().to_owned())
        .bind(i64::from(limit))
        .fetch_all(&store.pool)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

/// Reads a role on any connection.
async fn find_within(connection: &mut sqlx::PgConnection, workspace: WorkspaceId, name: &str) -> Result<Option<RoleRow>> {
    const SQL: &str = "SELECT workspace_id, name, version, permissions, description, created_at, updated_at FROM roles
        WHERE workspace_id = $1 AND name = $2 LIMIT 1";
    let query = sqlx::query_as(SQL).bind(workspace.uuid()).bind(name.to_owned());
    let row: Option<RoleColumns> = query.fetch_optional(connection).await.map_err(failed(READING))?;
    row.map(RoleRow::try_from).transpose()
}
