//! Activation: which version runs, and the webhooks and schedules that it publishes.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    PostgresStore,
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

/// Tries of an activation: another one may publish the same hook between our look and our insert.
const TRIES_MAX: u32 = 3;

pub(super) async fn activate_workflow(
    store: &PostgresStore,
    workspace: WorkspaceId,
    id: WorkflowId,
    publication: &Publication,
) -> Result<Activation> {
    let new = NewActivation { workspace, id, version: number(publication.version)?, publication };
    for _ in 1..TRIES_MAX {
        match activate_once(store, &new).await {
            Err(StoreError::Conflict { constraint }) if constraint == "hooks_key" => {}
            outcome => return outcome,
        }
    }
    activate_once(store, &new).await
}

struct NewActivation<'a> {
    workspace: WorkspaceId,
    id: WorkflowId,
    version: i32,
    publication: &'a Publication,
}

async fn activate_once(store: &PostgresStore, new: &NewActivation<'_>) -> Result<Activation> {
    const ACTIVATE: &str = "UPDATE workflows SET active_version = $3, updated_at = $4 WHERE workspace_id = $1 AND id = $2
        AND EXISTS (SELECT FROM workflow_versions WHERE workflow_id = $2 AND version = $3)";
    let mut tx = store.begin(ACTIVATING).await?;
    let activated = sqlx::query(ACTIVATE)
        .bind(new.workspace.uuid())
        .bind(new.id.uuid())
        .bind(new.version)
        .bind(millis(new.publication.now_ms))
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTIVATING))?;
    if activated.rows_affected() == 0 {
        return Ok(Activation::NotFound);
    }
    delete_hooks(&mut tx, new.id).await?;
    if let Some((hook, workflow)) = find_taken(&mut tx, &new.publication.hooks).await? {
        return Ok(Activation::HookTaken { hook, workflow });
    }
    insert_hooks(&mut tx, new).await?;
    publish(&mut tx, new.workspace, new.id, new.publication).await?;
    let row = find_within(&mut tx, new.workspace, new.id).await?;
    count_publication(&mut tx).await?;
    tx.commit().await.map_err(failed(ACTIVATING))?;
    row.map(Activation::Activated).ok_or(StoreError::Corrupt { what: "workflow", source: "it vanished while it was held".into() })
}

pub(super) async fn deactivate_workflow(
    store: &PostgresStore,
    workspace: WorkspaceId,
    id: WorkflowId,
    now_ms: u64,
) -> Result<bool> {
    const DEACTIVATE: &str = "UPDATE workflows SET active_version = NULL, updated_at = $3 WHERE workspace_id = $1 AND id = $2";
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

pub(super) async fn publication_rev(store: &PostgresStore) -> Result<u64> {
    const SQL: &str = "SELECT rev FROM publications WHERE id = 1 LIMIT 1";
    let rev: i64 = sqlx::query_scalar(SQL).fetch_one(&store.pool).await.map_err(failed("reading what is published"))?;
    Ok(u64::try_from(rev).unwrap_or(0))
}

/// Tells other processes that what is published has changed. Last in its transaction: the row is one for all workflows.
pub(super) async fn count_publication(connection: &mut PgConnection) -> Result<()> {
    const SQL: &str = "UPDATE publications SET rev = rev + 1 WHERE id = 1";
    sqlx::query(SQL).execute(connection).await.map(drop).map_err(failed(ACTIVATING))
}

pub(super) async fn list_hooks(store: &PostgresStore, limit: u32) -> Result<Vec<HookRow>> {
    const SQL: &str = "SELECT workspace_id, workflow_id, version, method, path, node FROM hooks ORDER BY path COLLATE \"C\", method COLLATE \"C\" LIMIT $1";
    let rows: Vec<HookColumns> =
        sqlx::query_as(SQL).bind(i64::from(limit)).fetch_all(&store.pool).await.map_err(failed("reading hooks"))?;
    columns::all(rows)
}

async fn delete_hooks(connection: &mut PgConnection, id: WorkflowId) -> Result<()> {
    const SQL: &str = "DELETE FROM hooks WHERE workflow_id = $1";
    sqlx::query(SQL).bind(id.uuid()).execute(connection).await.map_err(failed(ACTIVATING))?;
    Ok(())
}

/// The first of the hooks that is published already, with its workflow.
async fn find_taken(connection: &mut PgConnection, hooks: &[NewHook]) -> Result<Option<(NewHook, WorkflowId)>> {
    const SQL: &str = "SELECT wanted.place, hooks.workflow_id
        FROM UNNEST($1::text[], $2::text[]) WITH ORDINALITY AS wanted (method, path, place)
        JOIN hooks ON hooks.method = wanted.method AND hooks.path = wanted.path
        ORDER BY wanted.place LIMIT 1";
    let methods: Vec<&str> = hooks.iter().map(|hook| hook.method.as_str()).collect();
    let paths: Vec<&str> = hooks.iter().map(|hook| hook.path.as_str()).collect();
    let taken: Option<(i64, Uuid)> =
        sqlx::query_as(SQL).bind(methods).bind(paths).fetch_optional(connection).await.map_err(failed(ACTIVATING))?;
    Ok(taken.and_then(|(place, holder)| {
        let hook = hooks.get(usize::try_from(place).ok()?.checked_sub(1)?)?;
        Some((hook.clone(), WorkflowId::from_uuid(holder)))
    }))
}

/// Inserts in the order of the key, so that two activations wait for each other in one order.
async fn insert_hooks(connection: &mut PgConnection, new: &NewActivation<'_>) -> Result<()> {
    const SQL: &str = "INSERT INTO hooks (method, path, workspace_id, workflow_id, version, node)
        SELECT new.method, new.path, $4, $5, $6, new.node FROM UNNEST($1::text[], $2::text[], $3::text[]) AS new (method, path, node)
        ORDER BY new.method, new.path";
    let methods: Vec<&str> = new.publication.hooks.iter().map(|hook| hook.method.as_str()).collect();
    let paths: Vec<&str> = new.publication.hooks.iter().map(|hook| hook.path.as_str()).collect();
    let nodes: Vec<&str> = new.publication.hooks.iter().map(|hook| hook.node.as_str()).collect();
    sqlx::query(SQL)
        .bind(methods)
        .bind(paths)
        .bind(nodes)
        .bind(new.workspace.uuid())
        .bind(new.id.uuid())
        .bind(new.version)
        .execute(connection)
        .await
        .map_err(failed(ACTIVATING))?;
    Ok(())
}
