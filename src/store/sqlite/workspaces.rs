//! Workspaces.

use super::{SqliteStore, error::failed, members};
use crate::{
    model::ids::{UserId, WorkspaceId},
    store::{
        DeleteWorkspace, InsertWorkspace, JoinedWorkspace, OWNER_ROLE, Result, StoreError, WORKSPACES_MAX, WorkspaceRow,
        columns::{self, JoinedColumns, WorkspaceColumns, millis},
    },
};

const READING: &str = "reading workspaces";
const WRITING: &str = "writing a workspace";

pub(super) async fn insert_workspace(store: &SqliteStore, workspace: &WorkspaceRow, owner: UserId) -> Result<InsertWorkspace> {
    const COUNT: &str = "SELECT count(*) FROM workspaces LIMIT 1";
    const SQL: &str = "INSERT INTO workspaces (id, name, created_at) VALUES (?1, ?2, ?3)";
    let mut tx = store.begin(WRITING).await?;
    let count: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut *tx).await.map_err(failed(WRITING))?;
    if count >= i64::from(WORKSPACES_MAX) {
        return Ok(InsertWorkspace::Full);
    }
    let query = sqlx::query(SQL).bind(workspace.id.uuid()).bind(workspace.name.clone()).bind(millis(workspace.created_at));
    query.execute(&mut *tx).await.map_err(failed(WRITING))?;
    members::insert(&mut tx, workspace.id, owner, OWNER_ROLE, workspace.created_at).await?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(InsertWorkspace::Inserted)
}

pub(super) async fn find_workspace(store: &SqliteStore, id: WorkspaceId) -> Result<Option<WorkspaceRow>> {
    const SQL: &str = "SELECT id, name, created_at FROM workspaces WHERE id = ?1 LIMIT 1";
    let row: Option<WorkspaceColumns> =
        sqlx::query_as(SQL).bind(id.uuid()).fetch_optional(&store.readers).await.map_err(failed(READING))?;
    row.map(WorkspaceRow::try_from).transpose()
}

pub(super) async fn list_workspaces(
    store: &SqliteStore,
    user: UserId,
    after: Option<WorkspaceId>,
    limit: u32,
) -> Result<Vec<JoinedWorkspace>> {
    const SQL: &str = "SELECT workspaces.id, workspaces.name, workspaces.created_at, members.role
        FROM members JOIN workspaces ON workspaces.id = members.workspace_id
        WHERE members.user_id = ?1 AND members.workspace_id > ?2 ORDER BY members.workspace_id LIMIT ?3";
    // No workspace has the nil id, so every one is above it.
    let rows: Vec<JoinedColumns> = sqlx::query_as(SQL)
        .bind(user.uuid())
        .bind(after.map(WorkspaceId::uuid).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn rename_workspace(store: &SqliteStore, id: WorkspaceId, name: &str) -> Result<Option<WorkspaceRow>> {
    const SQL: &str = "UPDATE workspaces SET name = ?2 WHERE id = ?1 RETURNING id, name, created_at";
    let query = sqlx::query_as(SQL).bind(id.uuid()).bind(name.to_owned());
    let row: Option<WorkspaceColumns> = query.fetch_optional(&store.writer).await.map_err(failed(WRITING))?;
    row.map(WorkspaceRow::try_from).transpose()
}

pub(super) async fn delete_workspace(store: &SqliteStore, id: WorkspaceId) -> Result<DeleteWorkspace> {
    const FIND: &str = "SELECT 1 FROM workspaces WHERE id = ?1 LIMIT 1";
    const IS_USED: &str = "SELECT EXISTS (SELECT 1 FROM workflows WHERE workspace_id = ?1)
        OR EXISTS (SELECT 1 FROM executions WHERE workspace_id = ?1)
        OR EXISTS (SELECT 1 FROM variables WHERE workspace_id = ?1)
        OR EXISTS (SELECT 1 FROM credentials WHERE workspace_id = ?1) LIMIT 1";
    const MOVE: &str = "UPDATE users SET workspace_id = COALESCE(
            (SELECT members.workspace_id FROM members WHERE members.user_id = users.id AND members.workspace_id <> ?1
             ORDER BY members.created_at, members.workspace_id LIMIT 1), ?2)
        WHERE workspace_id = ?1";
    const BATCHES: &str = "DELETE FROM batches WHERE workspace_id = ?1";
    const SQL: &str = "DELETE FROM workspaces WHERE id = ?1";
    let mut tx = store.begin(WRITING).await?;
    let stored: Option<i32> = sqlx::query_scalar(FIND).bind(id.uuid()).fetch_optional(&mut *tx).await.map_err(failed(WRITING))?;
    if stored.is_none() {
        return Ok(DeleteWorkspace::NotFound);
    }
    let is_used: bool = sqlx::query_scalar(IS_USED).bind(id.uuid()).fetch_one(&mut *tx).await.map_err(failed(WRITING))?;
    if is_used || id == WorkspaceId::DEFAULT {
        return Ok(DeleteWorkspace::InUse);
    }
    let query = sqlx::query(MOVE).bind(id.uuid()).bind(WorkspaceId::DEFAULT.uuid());
    query.execute(&mut *tx).await.map_err(failed(WRITING))?;
    sqlx::query(BATCHES).bind(id.uuid()).execute(&mut *tx).await.map_err(failed(WRITING))?;
    // Whatever else is in it refers to it, and keeps it.
    match sqlx::query(SQL).bind(id.uuid()).execute(&mut *tx).await.map_err(failed(WRITING)) {
        Ok(_) => tx.commit().await.map_err(failed(WRITING))?,
        Err(StoreError::Conflict { .. }) => return Ok(DeleteWorkspace::InUse),
        Err(error) => return Err(error),
    }
    Ok(DeleteWorkspace::Deleted)
}
