//! Variables of a workspace.

use super::{PostgresStore, error::failed};
use crate::{
    model::ids::WorkspaceId,
    store::{
        DeleteVariable, InsertVariable, NewVariable, Result, UpdateVariable, VARIABLES_MAX, VariableChange, VariableRow,
        columns::{self, VariableColumns, millis, number},
    },
};

const READING: &str = "reading variables";
const WRITING: &str = "writing a variable";

pub(super) async fn insert_variable(store: &PostgresStore, new: &NewVariable) -> Result<InsertVariable> {
    const SQL: &str = "INSERT INTO variables (workspace_id, name, version, created_at, updated_at, description, value)
        SELECT $1::uuid, $2::text, 1, $3::bigint, $3::bigint, $4::text, $5::bytea
        WHERE (SELECT count(*) FROM variables WHERE workspace_id = $1) < $6
        ON CONFLICT (workspace_id, name) DO NOTHING
        RETURNING workspace_id, name, version, created_at, updated_at, description, value";
    let mut tx = store.begin(WRITING).await?;
    let row: Option<VariableColumns> = sqlx::query_as(SQL)
        .bind(new.workspace.uuid())
        .bind(new.name.clone())
        .bind(millis(new.content.at))
        .bind(new.content.description.clone())
        .bind(new.content.value.to_vec())
        .bind(i64::from(VARIABLES_MAX))
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    let Some(row) = row else {
        let stored = find_within(&mut tx, new.workspace, &new.name).await?;
        return Ok(if stored.is_some() { InsertVariable::Exists } else { InsertVariable::Full });
    };
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(InsertVariable::Inserted(row.try_into()?))
}

pub(super) async fn update_variable(
    store: &PostgresStore,
    workspace: WorkspaceId,
    name: &str,
    expected_version: Option<u32>,
    change: &VariableChange,
) -> Result<UpdateVariable> {
    const SQL: &str = "UPDATE variables SET version = version + 1, updated_at = $4, description = $5, value = $6
        WHERE workspace_id = $1 AND name = $2 AND version = COALESCE($3, version)
        RETURNING workspace_id, name, version, created_at, updated_at, description, value";
    let expected = expected_version.map(number).transpose()?;
    let mut tx = store.begin(WRITING).await?;
    let row: Option<VariableColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(name.to_owned())
        .bind(expected)
        .bind(millis(change.at))
        .bind(change.description.clone())
        .bind(change.value.to_vec())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    let Some(row) = row else {
        let stored = find_within(&mut tx, workspace, name).await?;
        return Ok(stored.map_or(UpdateVariable::NotFound, |row| UpdateVariable::Stale { version: row.version }));
    };
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(UpdateVariable::Updated(row.try_into()?))
}

pub(super) async fn delete_variable(
    store: &PostgresStore,
    workspace: WorkspaceId,
    name: &str,
    expected_version: Option<u32>,
) -> Result<DeleteVariable> {
    const SQL: &str = "DELETE FROM variables WHERE workspace_id = $1 AND name = $2 AND version = COALESCE($3, version)";
    let expected = expected_version.map(number).transpose()?;
    let mut tx = store.begin(WRITING).await?;
    let query = sqlx::query(SQL).bind(workspace.uuid()).bind(name.to_owned()).bind(expected);
    let deleted = query.execute(&mut *tx).await.map_err(failed(WRITING))?;
    if deleted.rows_affected() == 0 {
        let stored = find_within(&mut tx, workspace, name).await?;
        return Ok(stored.map_or(DeleteVariable::NotFound, |row| DeleteVariable::Stale { version: row.version }));
    }
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(DeleteVariable::Deleted)
}

pub(super) async fn find_variable(store: &PostgresStore, workspace: WorkspaceId, name: &str) -> Result<Option<VariableRow>> {
    let mut connection = store.pool.acquire().await.map_err(failed(READING))?;
    find_within(&mut connection, workspace, name).await
}

pub(super) async fn list_variables(
    store: &PostgresStore,
    workspace: WorkspaceId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<VariableRow>> {
    const SQL: &str = "SELECT workspace_id, name, version, created_at, updated_at, description, value FROM variables
        WHERE workspace_id = $1 AND name > $2 ORDER BY name LIMIT $3";
    // No name is empty, so everything is above the empty one.
    let rows: Vec<VariableColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(after.unwrap_or_default().to_owned())
        .bind(i64::from(limit))
        .fetch_all(&store.pool)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

/// Reads a variable on any connection.
async fn find_within(connection: &mut sqlx::PgConnection, workspace: WorkspaceId, name: &str) -> Result<Option<VariableRow>> {
    const SQL: &str = "SELECT workspace_id, name, version, created_at, updated_at, description, value FROM variables
        WHERE workspace_id = $1 AND name = $2 LIMIT 1";
    let query = sqlx::query_as(SQL).bind(workspace.uuid()).bind(name.to_owned());
    let row: Option<VariableColumns> = query.fetch_optional(connection).await.map_err(failed(READING))?;
    row.map(VariableRow::try_from).transpose()
}
