//! API keys.

use super::{PostgresStore, error::failed, members::lock_workspace};
use crate::{
    model::ids::{KeyId, UserId, WorkspaceId},
    store::{
        API_KEYS_MAX, ApiKeyChange, ApiKeyCursor, ApiKeyRow, PageRequest, Result, RotateApiKey,
        columns::{self, ApiKeyColumns, millis, texts},
    },
};

const READING: &str = "reading API keys";
const WRITING: &str = "writing an API key";

pub(super) async fn insert_api_key(store: &PostgresStore, key: &ApiKeyRow) -> Result<bool> {
    const SQL: &str = "INSERT INTO api_keys (id, workspace_id, user_id, name, permissions, hash, last_characters, previous_hash,
            previous_until, created_at, expires_at, used_at)
        SELECT $1::uuid, $2::uuid, $3::uuid, $4::text, $5::text, $6::bytea, $7::text, $8::bytea, $9::bigint, $10::bigint, $11::bigint, $12::bigint
        WHERE (SELECT count(*) FROM api_keys WHERE workspace_id = $2) < $13";
    let mut tx = store.begin(WRITING).await?;
    lock_workspace(&mut tx, key.workspace).await?;
    let inserted = sqlx::query(SQL)
        .bind(key.id.uuid())
        .bind(key.workspace.uuid())
        .bind(key.user.uuid())
        .bind(key.name.clone())
        .bind(texts(&key.permissions))
        .bind(key.secret.hash.to_vec())
        .bind(key.secret.last_characters.clone())
        .bind(key.previous.map(|previous| previous.hash.to_vec()))
        .bind(key.previous.map(|previous| millis(previous.until)))
        .bind(millis(key.created_at))
        .bind(key.expires_at.map(millis))
        .bind(key.used_at.map(millis))
        .bind(i64::from(API_KEYS_MAX))
        .execute(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(inserted.rows_affected() > 0)
}

pub(super) async fn get_api_key(store: &PostgresStore, id: KeyId) -> Result<Option<ApiKeyRow>> {
    const SQL: &str = "SELECT id, workspace_id, user_id, name, permissions, hash, last_characters, previous_hash, previous_until,
            created_at, expires_at, used_at
        FROM api_keys WHERE id = $1 LIMIT 1";
    let query = sqlx::query_as(SQL).bind(id.uuid());
    let row: Option<ApiKeyColumns> = query.fetch_optional(&store.pool).await.map_err(failed(READING))?;
    row.map(ApiKeyRow::try_from).transpose()
}

pub(super) async fn find_api_key(store: &PostgresStore, workspace: WorkspaceId, id: KeyId) -> Result<Option<ApiKeyRow>> {
    const SQL: &str = "SELECT id, workspace_id, user_id, name, permissions, hash, last_characters, previous_hash, previous_until,
            created_at, expires_at, used_at
        FROM api_keys WHERE id = $1 AND workspace_id = $2 LIMIT 1";
    let query = sqlx::query_as(SQL).bind(id.uuid()).bind(workspace.uuid());
    let row: Option<ApiKeyColumns> = query.fetch_optional(&store.pool).await.map_err(failed(READING))?;
    row.map(ApiKeyRow::try_from).transpose()
}

pub(super) async fn list_api_keys(
    store: &PostgresStore,
    workspace: WorkspaceId,
    user: Option<UserId>,
    page: &PageRequest<ApiKeyCursor>,
) -> Result<Vec<ApiKeyRow>> {
    const SQL: &str = "SELECT id, workspace_id, user_id, name, permissions, hash, last_characters, previous_hash, previous_until,
            created_at, expires_at, used_at
        FROM api_keys
        WHERE workspace_id = $1 AND ($2::uuid IS NULL OR user_id = $2) AND ($3::bigint IS NULL OR (created_at, id) < ($3, $4::uuid))
        ORDER BY created_at DESC, id DESC LIMIT $5";
    let rows: Vec<ApiKeyColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(user.map(UserId::uuid))
        .bind(page.after.map(|after| millis(after.created_at)))
        .bind(page.after.map(|after| after.id.uuid()))
        .bind(i64::from(page.limit))
        .fetch_all(&store.pool)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn update_api_key(
    store: &PostgresStore,
    workspace: WorkspaceId,
    id: KeyId,
    change: &ApiKeyChange,
) -> Result<Option<ApiKeyRow>> {
    const SQL: &str = "UPDATE api_keys SET name = $3, permissions = COALESCE($4, permissions),
            expires_at = CASE WHEN $5 THEN $6 ELSE expires_at END
        WHERE id = $1 AND workspace_id = $2
        RETURNING id, workspace_id, user_id, name, permissions, hash, last_characters, previous_hash, previous_until,
            created_at, expires_at, used_at";
    let row: Option<ApiKeyColumns> = sqlx::query_as(SQL)
        .bind(id.uuid())
        .bind(workspace.uuid())
        .bind(change.name.clone())
        .bind(change.permissions.to().map(|permissions| texts(permissions)))
        .bind(change.expires_at.to().is_some())
        .bind(change.expires_at.to().copied().flatten().map(millis))
        .fetch_optional(&store.pool)
        .await
        .map_err(failed(WRITING))?;
    row.map(ApiKeyRow::try_from).transpose()
}

pub(super) async fn rotate_api_key(
    store: &PostgresStore,
    workspace: WorkspaceId,
    id: KeyId,
    rotation: &RotateApiKey,
) -> Result<Option<ApiKeyRow>> {
    const SQL: &str = "UPDATE api_keys SET hash = $4, last_characters = $5, previous_hash = $3, previous_until = $6
        WHERE id = $1 AND workspace_id = $2 AND hash = $3
        RETURNING id, workspace_id, user_id, name, permissions, hash, last_characters, previous_hash, previous_until,
            created_at, expires_at, used_at";
    let row: Option<ApiKeyColumns> = sqlx::query_as(SQL)
        .bind(id.uuid())
        .bind(workspace.uuid())
        .bind(rotation.from.to_vec())
        .bind(rotation.to.hash.to_vec())
        .bind(rotation.to.last_characters.clone())
        .bind(millis(rotation.previous_until))
        .fetch_optional(&store.pool)
        .await
        .map_err(failed(WRITING))?;
    row.map(ApiKeyRow::try_from).transpose()
}

pub(super) async fn delete_api_key(store: &PostgresStore, workspace: WorkspaceId, id: KeyId) -> Result<bool> {
    const SQL: &str = "DELETE FROM api_keys WHERE id = $1 AND workspace_id = $2";
    let query = sqlx::query(SQL).bind(id.uuid()).bind(workspace.uuid());
    let deleted = query.execute(&store.pool).await.map_err(failed(WRITING))?;
    Ok(deleted.rows_affected() > 0)
}

pub(super) async fn touch_api_key(store: &PostgresStore, id: KeyId, now_ms: u64, unless_after: u64) -> Result<bool> {
    const SQL: &str = "UPDATE api_keys SET used_at = $2 WHERE id = $1 AND (used_at IS NULL OR used_at < $3)";
    let query = sqlx::query(SQL).bind(id.uuid()).bind(millis(now_ms)).bind(millis(unless_after));
    let touched = query.execute(&store.pool).await.map_err(failed(WRITING))?;
    Ok(touched.rows_affected() > 0)
}
