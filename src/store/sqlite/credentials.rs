//! Credentials of a workspace: sealed values, which nothing here can read.

use super::{SqliteStore, error::failed};
use crate::{
    model::ids::{CredentialId, WorkflowId, WorkspaceId},
    store::{
        CREDENTIALS_MAX, CredentialChange, CredentialRow, CredentialUser, DeleteCredential, Grant, InsertCredential,
        NewCredential, Result, UpdateCredential,
        columns::{self, CredentialColumns, CredentialUserColumns, field_names, lease, millis, number, with_credential_columns},
    },
};

const READING: &str = "reading credentials";
const WRITING: &str = "writing a credential";

pub(super) async fn insert_credential(store: &SqliteStore, new: &NewCredential) -> Result<InsertCredential> {
    const SQL: &str = with_credential_columns!(
        "INSERT INTO credentials (id, workspace_id, name, kind, description, version, created_at, updated_at, fields, value_version,
            value_key, value, grant_rev)
        SELECT ?1, ?2, ?3, ?4, ?5, 1, ?6, ?6, ?7, 1, ?8, ?9, 0
        WHERE (SELECT count(*) FROM credentials WHERE workspace_id = ?2) < ?10
        ON CONFLICT (workspace_id, name) DO NOTHING
        RETURNING",
        ""
    );
    let mut tx = store.begin(WRITING).await?;
    let row: Option<CredentialColumns> = sqlx::query_as(SQL)
        .bind(new.id.uuid())
        .bind(new.workspace.uuid())
        .bind(new.name.clone())
        .bind(new.kind.clone())
        .bind(new.description.clone())
        .bind(millis(new.at))
        .bind(field_names(&new.fields.names))
        .bind(new.fields.value.key.to_vec())
        .bind(new.fields.value.bytes.to_vec())
        .bind(i64::from(CREDENTIALS_MAX))
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    let Some(row) = row else {
        let stored = find_named(&mut tx, new.workspace, &new.name).await?;
        return Ok(if stored.is_some() { InsertCredential::Exists } else { InsertCredential::Full });
    };
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(InsertCredential::Inserted(row.try_into()?))
}

pub(super) async fn update_credential(
    store: &SqliteStore,
    workspace: WorkspaceId,
    id: CredentialId,
    expected_version: u32,
    change: &CredentialChange,
) -> Result<UpdateCredential> {
    const KEEP: &str = with_credential_columns!(
        "UPDATE credentials SET version = version + 1, updated_at = ?4, description = ?5
        WHERE workspace_id = ?1 AND id = ?2 AND version = ?3 RETURNING",
        ""
    );
    const REPLACE: &str = with_credential_columns!(
        "UPDATE credentials SET version = version + 1, updated_at = ?4, description = ?5, fields = ?6,
            value_version = version + 1, value_key = ?7, value = ?8, grant_rev = grant_rev + 1, grant_key = NULL,
            grant_value = NULL, grant_expires_at = NULL, refreshing_until = NULL
        WHERE workspace_id = ?1 AND id = ?2 AND version = ?3 RETURNING",
        ""
    );
    let mut tx = store.begin(WRITING).await?;
    let mut query = sqlx::query_as(if change.fields.is_some() { REPLACE } else { KEEP })
        .bind(workspace.uuid())
        .bind(id.uuid())
        .bind(number(expected_version)?)
        .bind(millis(change.at))
        .bind(change.description.clone());
    if let Some(fields) = &change.fields {
        query = query.bind(field_names(&fields.names)).bind(fields.value.key.to_vec()).bind(fields.value.bytes.to_vec());
    }
    let row: Option<CredentialColumns> = query.fetch_optional(&mut *tx).await.map_err(failed(WRITING))?;
    let Some(row) = row else {
        let stored = find_within(&mut tx, workspace, id).await?;
        return Ok(stored.map_or(UpdateCredential::NotFound, |row| UpdateCredential::Stale { version: row.version }));
    };
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(UpdateCredential::Updated(row.try_into()?))
}

pub(super) async fn delete_credential(
    store: &SqliteStore,
    workspace: WorkspaceId,
    id: CredentialId,
    expected_version: Option<u32>,
) -> Result<DeleteCredential> {
    const SQL: &str = "DELETE FROM credentials WHERE workspace_id = ?1 AND id = ?2 AND version = COALESCE(?3, version)";
    let expected = expected_version.map(number).transpose()?;
    let mut tx = store.begin(WRITING).await?;
    let query = sqlx::query(SQL).bind(workspace.uuid()).bind(id.uuid()).bind(expected);
    let deleted = query.execute(&mut *tx).await.map_err(failed(WRITING))?;
    if deleted.rows_affected() == 0 {
        let stored = find_within(&mut tx, workspace, id).await?;
        return Ok(stored.map_or(DeleteCredential::NotFound, |row| DeleteCredential::Stale { version: row.version }));
    }
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(DeleteCredential::Deleted)
}

pub(super) async fn find_credential(
    store: &SqliteStore,
    workspace: WorkspaceId,
    id: CredentialId,
) -> Result<Option<CredentialRow>> {
    let mut connection = store.readers.acquire().await.map_err(failed(READING))?;
    find_within(&mut connection, workspace, id).await
}

pub(super) async fn find_credential_by_name(
    store: &SqliteStore,
    workspace: WorkspaceId,
    name: &str,
) -> Result<Option<CredentialRow>> {
    let mut connection = store.readers.acquire().await.map_err(failed(READING))?;
    find_named(&mut connection, workspace, name).await
}

pub(super) async fn list_credentials(
    store: &SqliteStore,
    workspace: WorkspaceId,
    kind: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<CredentialRow>> {
    const SQL: &str = with_credential_columns!(
        "SELECT",
        "FROM credentials WHERE workspace_id = ?1 AND name > ?2 AND kind = COALESCE(?3, kind) ORDER BY name LIMIT ?4"
    );
    // No name is empty, so everything is above the empty one.
    let rows: Vec<CredentialColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(after.unwrap_or_default().to_owned())
        .bind(kind.map(str::to_owned))
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn list_credential_users(
    store: &SqliteStore,
    workspace: WorkspaceId,
    name: &str,
    after: Option<WorkflowId>,
    limit: u32,
) -> Result<Vec<CredentialUser>> {
    const SQL: &str = "SELECT workflows.id AS workflow_id, workflows.name,
            max(uses.version = workflows.latest_version) AS in_latest,
            max(COALESCE(uses.version = workflows.active_version, 0)) AS in_active
        FROM workflow_credentials AS uses
        JOIN workflows ON workflows.id = uses.workflow_id AND uses.version IN (workflows.latest_version, workflows.active_version)
        WHERE uses.workspace_id = ?1 AND uses.credential = ?2 AND uses.workflow_id > ?3
        GROUP BY workflows.id, workflows.name ORDER BY workflows.id LIMIT ?4";
    let rows: Vec<CredentialUserColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(name.to_owned())
        .bind(after.map_or(uuid::Uuid::nil(), WorkflowId::uuid))
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn use_credential(store: &SqliteStore, id: CredentialId, at: u64) -> Result<bool> {
    const SQL: &str = "UPDATE credentials SET used_at = ?2 WHERE id = ?1 AND COALESCE(used_at, 0) < ?2";
    let query = sqlx::query(SQL).bind(id.uuid()).bind(millis(at));
    Ok(query.execute(&store.writer).await.map_err(failed(WRITING))?.rows_affected() > 0)
}

pub(super) async fn begin_grant(store: &SqliteStore, id: CredentialId, rev: u32, lease_ms: u64) -> Result<bool> {
    const SQL: &str = "UPDATE credentials SET refreshing_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?3
        WHERE id = ?1 AND grant_rev = ?2 AND COALESCE(refreshing_until, 0) < CAST(unixepoch('subsec') * 1000 AS INTEGER)";
    let query = sqlx::query(SQL).bind(id.uuid()).bind(number(rev)?).bind(lease(lease_ms));
    Ok(query.execute(&store.writer).await.map_err(failed(WRITING))?.rows_affected() > 0)
}

pub(super) async fn end_grant(store: &SqliteStore, id: CredentialId, rev: u32) -> Result<bool> {
    const SQL: &str = "UPDATE credentials SET refreshing_until = NULL
        WHERE id = ?1 AND grant_rev = ?2 AND refreshing_until IS NOT NULL";
    let query = sqlx::query(SQL).bind(id.uuid()).bind(number(rev)?);
    Ok(query.execute(&store.writer).await.map_err(failed(WRITING))?.rows_affected() > 0)
}

pub(super) async fn put_grant(store: &SqliteStore, id: CredentialId, rev: u32, grant: &Grant) -> Result<bool> {
    const SQL: &str = "UPDATE credentials SET grant_rev = grant_rev + 1, grant_key = ?3, grant_value = ?4, grant_expires_at = ?5,
            refreshing_until = NULL
        WHERE id = ?1 AND grant_rev = ?2";
    let query = sqlx::query(SQL)
        .bind(id.uuid())
        .bind(number(rev)?)
        .bind(grant.value.key.to_vec())
        .bind(grant.value.bytes.to_vec())
        .bind(grant.expires_at.map(millis));
    Ok(query.execute(&store.writer).await.map_err(failed(WRITING))?.rows_affected() > 0)
}

/// Says which credentials a version names, within the transaction that stores it.
pub(super) async fn insert_uses(
    connection: &mut sqlx::SqliteConnection,
    (workspace, workflow, version): (WorkspaceId, WorkflowId, u32),
    credentials: &[String],
) -> Result<()> {
    const SQL: &str = "INSERT INTO workflow_credentials (workspace_id, credential, workflow_id, version) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (workspace_id, credential, workflow_id, version) DO NOTHING";
    for credential in credentials {
        let query = sqlx::query(SQL).bind(workspace.uuid()).bind(credential.clone()).bind(workflow.uuid()).bind(number(version)?);
        query.execute(&mut *connection).await.map_err(failed(WRITING))?;
    }
    Ok(())
}

/// Reads a credential on any connection.
async fn find_within(
    connection: &mut sqlx::SqliteConnection,
    workspace: WorkspaceId,
    id: CredentialId,
) -> Result<Option<CredentialRow>> {
    const SQL: &str = with_credential_columns!("SELECT", "FROM credentials WHERE workspace_id = ?1 AND id = ?2 LIMIT 1");
    let query = sqlx::query_as(SQL).bind(workspace.uuid()).bind(id.uuid());
    let row: Option<CredentialColumns> = query.fetch_optional(connection).await.map_err(failed(READING))?;
    row.map(CredentialRow::try_from).transpose()
}

async fn find_named(
    connection: &mut sqlx::SqliteConnection,
    workspace: WorkspaceId,
    name: &str,
) -> Result<Option<CredentialRow>> {
    const SQL: &str = with_credential_columns!("SELECT", "FROM credentials WHERE workspace_id = ?1 AND name = ?2 LIMIT 1");
    let query = sqlx::query_as(SQL).bind(workspace.uuid()).bind(name.to_owned());
    let row: Option<CredentialColumns> = query.fetch_optional(connection).await.map_err(failed(READING))?;
    row.map(CredentialRow::try_from).transpose()
}
