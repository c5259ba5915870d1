//! Workflows and their versions.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{SqliteStore, credentials::insert_uses, error::failed, hooks::count_publication, tags::replace_tags};
use crate::{
    model::ids::{WorkflowId, WorkspaceId},
    store::{
        NewVersion, NewWorkflow, PageRequest, Result, UpdateWorkflow, VersionRow, VersionSummary, WorkflowCursor, WorkflowFilter,
        WorkflowRow,
        columns::{self, VersionColumns, VersionSummaryColumns, WorkflowColumns, millis, number},
        workflow_query::{self, NameHas},
    },
};

const READING: &str = "reading workflows";
const WRITING: &str = "writing a workflow";
/// Only `A` to `Z` have two cases for `lower`.
const NAME_HAS: NameHas = NameHas { before: " AND instr(lower(name), ", after: ") > 0" };

pub(super) async fn insert_workflow(store: &SqliteStore, workflow: &NewWorkflow) -> Result<WorkflowRow> {
    const SQL: &str = "INSERT INTO workflows (id, workspace_id, name, latest_version, created_at, updated_at)
        VALUES (?1, ?2, ?3, 1, ?4, ?4)
        RETURNING id, workspace_id, name, latest_version, active_version, created_at, updated_at";
    let mut tx = store.begin(WRITING).await?;
    let row: WorkflowColumns = sqlx::query_as(SQL)
        .bind(workflow.id.uuid())
        .bind(workflow.workspace.uuid())
        .bind(workflow.version.name.clone())
        .bind(millis(workflow.version.created_at))
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    let row = WorkflowRow::try_from(row)?;
    insert_version(&mut tx, &row, &workflow.version).await?;
    replace_tags(&mut tx, row.workspace, row.id, &workflow.version.tags).await?;
    insert_uses(&mut tx, (row.workspace, row.id, row.latest_version), &workflow.version.credentials).await?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(row)
}

pub(super) async fn update_workflow(
    store: &SqliteStore,
    workspace: WorkspaceId,
    id: WorkflowId,
    expected_version: u32,
    version: &NewVersion,
) -> Result<UpdateWorkflow> {
    const UPDATE: &str = "UPDATE workflows SET name = ?4, latest_version = latest_version + 1, updated_at = ?5
        WHERE workspace_id = ?1 AND id = ?2 AND latest_version = ?3
        RETURNING id, workspace_id, name, latest_version, active_version, created_at, updated_at";
    let mut tx = store.begin(WRITING).await?;
    let row: Option<WorkflowColumns> = sqlx::query_as(UPDATE)
        .bind(workspace.uuid())
        .bind(id.uuid())
        .bind(i64::from(expected_version))
        .bind(version.name.clone())
        .bind(millis(version.created_at))
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    let Some(row) = row else {
        let stored = find_within(&mut tx, workspace, id).await?;
        return Ok(stored.map_or(UpdateWorkflow::NotFound, |row| UpdateWorkflow::Stale { latest_version: row.latest_version }));
    };
    let row = WorkflowRow::try_from(row)?;
    insert_version(&mut tx, &row, version).await?;
    replace_tags(&mut tx, row.workspace, row.id, &version.tags).await?;
    insert_uses(&mut tx, (row.workspace, row.id, row.latest_version), &version.credentials).await?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(UpdateWorkflow::Updated(row))
}

pub(super) async fn find_workflow(store: &SqliteStore, workspace: WorkspaceId, id: WorkflowId) -> Result<Option<WorkflowRow>> {
    let mut connection = store.readers.acquire().await.map_err(failed(READING))?;
    find_within(&mut connection, workspace, id).await
}

pub(super) async fn list_workflows(
    store: &SqliteStore,
    workspace: WorkspaceId,
    filter: &WorkflowFilter,
    page: &PageRequest<WorkflowCursor>,
) -> Result<Vec<WorkflowRow>> {
    let mut query: QueryBuilder<Sqlite> = workflow_query::list(workspace, filter, page, NAME_HAS);
    let rows: Vec<WorkflowColumns> = query.build_query_as().fetch_all(&store.readers).await.map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn delete_workflow(store: &SqliteStore, workspace: WorkspaceId, id: WorkflowId) -> Result<bool> {
    // Versions, hooks and schedules go by their foreign keys.
    const SQL: &str = "DELETE FROM workflows WHERE workspace_id = ?1 AND id = ?2";
    let mut tx = store.begin(WRITING).await?;
    let deleted = sqlx::query(SQL).bind(workspace.uuid()).bind(id.uuid()).execute(&mut *tx).await.map_err(failed(WRITING))?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    count_publication(&mut tx).await?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(true)
}

pub(super) async fn find_workflow_version(
    store: &SqliteStore,
    workspace: WorkspaceId,
    id: WorkflowId,
    version: u32,
) -> Result<Option<VersionRow>> {
    const SQL: &str = "SELECT workflow_id, version, definition, created_at FROM workflow_versions
        WHERE workspace_id = ?1 AND workflow_id = ?2 AND version = ?3 LIMIT 1";
    let row: Option<VersionColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(id.uuid())
        .bind(i64::from(version))
        .fetch_optional(&store.readers)
        .await
        .map_err(failed(READING))?;
    row.map(VersionRow::try_from).transpose()
}

pub(super) async fn list_workflow_versions(
    store: &SqliteStore,
    workspace: WorkspaceId,
    id: WorkflowId,
    below: Option<u32>,
    limit: u32,
) -> Result<Vec<VersionSummary>> {
    const SQL: &str = "SELECT version, created_at FROM workflow_versions
        WHERE workspace_id = ?1 AND workflow_id = ?2 AND version < ?3 ORDER BY version DESC LIMIT ?4";
    let rows: Vec<VersionSummaryColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(id.uuid())
        .bind(i64::from(below.unwrap_or(u32::MAX)))
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

/// Stores the row's latest version.
async fn insert_version(connection: &mut SqliteConnection, row: &WorkflowRow, version: &NewVersion) -> Result<()> {
    const SQL: &str = "INSERT INTO workflow_versions (workflow_id, version, workspace_id, created_at, definition)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    sqlx::query(SQL)
        .bind(row.id.uuid())
        .bind(number(row.latest_version)?)
        .bind(row.workspace.uuid())
        .bind(millis(version.created_at))
        .bind(version.definition.to_vec())
        .execute(connection)
        .await
        .map_err(failed(WRITING))?;
    Ok(())
}

/// Reads a workflow's row on any connection.
pub(super) async fn find_within(
    connection: &mut SqliteConnection,
    workspace: WorkspaceId,
    id: WorkflowId,
) -> Result<Option<WorkflowRow>> {
    const SQL: &str = "SELECT id, workspace_id, name, latest_version, active_version, created_at, updated_at FROM workflows
        WHERE workspace_id = ?1 AND id = ?2 LIMIT 1";
    let row: Option<WorkflowColumns> =
        sqlx::query_as(SQL).bind(workspace.uuid()).bind(id.uuid()).fetch_optional(connection).await.map_err(failed(READING))?;
    row.map(WorkflowRow::try_from).transpose()
}
