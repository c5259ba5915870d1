//! Activation: which version runs, and the webhooks and schedules that it publishes.

use sqlx::SqliteConnection;

use super::{
    SqliteStore,
    error::failed,
    schedules::{delete_published, publish},
    workflows::find_within,
};
use crate::{
    model::ids::{WorkflowId, WorkspaceId},
    store::{
        Activation, HookRow, NewHook, Publication, Result, StoreError,
        columns::{self, HookColumns, millis, number},
    },
};

const ACTIVATING: &str = "activating a workflow";

pub(super) async fn activate_workflow(
    store: &SqliteStore,
    workspace: WorkspaceId,
    id: WorkflowId,
    publication: &Publication,
) -> Result<Activation> {
    const ACTIVATE: &str = "UPDATE workflows SET active_version = ?3, updated_at = ?4 WHERE workspace_id = ?1 AND id = ?2
        AND EXISTS (SELECT 1 FROM workflow_versions WHERE workflow_id = ?2 AND version = ?3)";
    let version = number(publication.version)?;
    let mut tx = store.begin(ACTIVATING).await?;
    let activated = sqlx::query(ACTIVATE)
        .bind(workspace.uuid())
        .bind(id.uuid())
        .bind(version)
        .bind(millis(publication.now_ms))
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTIVATING))?;
    if activated.rows_affected() == 0 {
        return Ok(Activation::NotFound);
    }
    delete_hooks(&mut tx, id).await?;
    for hook in &publication.hooks {
        if let Some(holder) = find_holder(&mut tx, hook).await?.filter(|holder| *holder != id) {
            return Ok(Activation::HookTaken { hook: hook.clone(), workflow: holder });
        }
    }
    for hook in &publication.hooks {
        insert_hook(&mut tx, workspace, id, version, hook).await?;
    }
    publish(&mut tx, workspace, id, publication).await?;
    let row = find_within(&mut tx, workspace, id).await?;
    count_publication(&mut tx).await?;
    tx.commit().await.map_err(failed(ACTIVATING))?;
    row.map(Activation::Activated).ok_or(StoreError::Corrupt { what: "workflow", source: "it vanished while it was held".into() })
}

pub(super) async fn deactivate_workflow(
    store: &SqliteStore,
    workspace: WorkspaceId,
    id: WorkflowId,
    now_ms: u64,
) -> Result<bool> {
    const DEACTIVATE: &str = "UPDATE workflows SET active_version = NULL, updated_at = ?3 WHERE workspace_id = ?1 AND id = ?2";
    let mut tx = store.begin(ACTIVATING).await?;
    let deactivated = sqlx::query(DEACTIVATE)
        .bind(workspace.uuid())
        .bind(id.uuid())
        .bind(millis(now_ms))
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTIVATING))?;
    if deactivated.rows_affected() == 0 {
        return Ok(false);
    }
    delete_hooks(&mut tx, id).await?;
    delete_published(&mut tx, id).await?;
    count_publication(&mut tx).await?;
    tx.commit().await.map_err(failed(ACTIVATING))?;
    Ok(true)
}

pub(super) async fn publication_rev(store: &SqliteStore) -> Result<u64> {
    const SQL: &str = "SELECT rev FROM publications WHERE id = 1 LIMIT 1";
    let rev: i64 = sqlx::query_scalar(SQL).fetch_one(&store.readers).await.map_err(failed("reading what is published"))?;
    Ok(u64::try_from(rev).unwrap_or(0))
}

/// Tells that what is published has changed.
pub(super) async fn count_publication(connection: &mut SqliteConnection) -> Result<()> {
    const SQL: &str = "UPDATE publications SET rev = rev + 1 WHERE id = 1";
    sqlx::query(SQL).execute(connection).await.map(drop).map_err(failed(ACTIVATING))
}

pub(super) async fn list_hooks(store: &SqliteStore, limit: u32) -> Result<Vec<HookRow>> {
    const SQL: &str = "SELECT workspace_id, workflow_id, version, method, path, node FROM hooks ORDER BY path, method LIMIT ?1";
    let rows: Vec<HookColumns> =
        sqlx::query_as(SQL).bind(i64::from(limit)).fetch_all(&store.readers).await.map_err(failed("reading hooks"))?;
    columns::all(rows)
}

async fn delete_hooks(connection: &mut SqliteConnection, id: WorkflowId) -> Result<()> {
    const SQL: &str = "DELETE FROM hooks WHERE workflow_id = ?1";
    sqlx::query(SQL).bind(id.uuid()).execute(connection).await.map_err(failed(ACTIVATING))?;
    Ok(())
}

async fn find_holder(connection: &mut SqliteConnection, hook: &NewHook) -> Result<Option<WorkflowId>> {
    const SQL: &str = "SELECT workflow_id FROM hooks WHERE method = ?1 AND path = ?2 LIMIT 1";
    let holder = sqlx::query_scalar(SQL).bind(hook.method.clone()).bind(hook.path.clone()).fetch_optional(connection).await;
    Ok(holder.map_err(failed(ACTIVATING))?.map(WorkflowId::from_uuid))
}

async fn insert_hook(
    connection: &mut SqliteConnection,
    workspace: WorkspaceId,
    id: WorkflowId,
    version: i32,
    hook: &NewHook,
) -> Result<()> {
    const SQL: &str =
        "INSERT INTO hooks (method, path, workspace_id, workflow_id, version, node) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    sqlx::query(SQL)
        .bind(hook.method.clone())
        .bind(hook.path.clone())
        .bind(workspace.uuid())
        .bind(id.uuid())
        .bind(version)
        .bind(hook.node.clone())
        .execute(connection)
        .await
        .map_err(failed(ACTIVATING))?;
    Ok(())
}
