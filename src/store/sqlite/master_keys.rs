//! Master keys in use, and what they seal.

use super::{SqliteStore, error::failed};
use crate::{
    model::ids::CredentialId,
    store::{
        AdmitMasterKey, CredentialRow, MASTER_KEY_ID_BYTES, MasterKeyRow, Reseal, Result, SealedPart, StoreError,
        columns::{self, CredentialColumns, MasterKeyColumns, key_id, millis, with_credential_columns},
    },
};

const READING: &str = "reading master keys";
const WRITING: &str = "writing a master key";
/// More rows than there are keys in any keyring.
const KEYS_READ: i64 = 1_000;

pub(super) async fn list_master_keys(store: &SqliteStore) -> Result<Vec<MasterKeyRow>> {
    const SQL: &str = "SELECT id, check_value, created_at FROM master_keys ORDER BY created_at, id LIMIT ?1";
    let rows: Vec<MasterKeyColumns> =
        sqlx::query_as(SQL).bind(KEYS_READ).fetch_all(&store.readers).await.map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn admit_master_key(
    store: &SqliteStore,
    key: &MasterKeyRow,
    held: &[[u8; MASTER_KEY_ID_BYTES]],
) -> Result<AdmitMasterKey> {
    const IN_USE: &str = "SELECT id FROM master_keys ORDER BY created_at, id LIMIT ?1";
    const INSERT: &str = "INSERT INTO master_keys (id, check_value, created_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (id) DO NOTHING";
    let mut tx = store.begin(WRITING).await?;
    let in_use: Vec<Vec<u8>> = sqlx::query_scalar(IN_USE).bind(KEYS_READ).fetch_all(&mut *tx).await.map_err(failed(WRITING))?;
    if let Some(missing) = in_use.iter().find(|id| !held.iter().any(|held| held == id.as_slice())) {
        return Ok(AdmitMasterKey::Missing(key_id("master key", "id", missing)?));
    }
    let query = sqlx::query(INSERT).bind(key.id.to_vec()).bind(key.check_value.to_vec()).bind(millis(key.created_at));
    query.execute(&mut *tx).await.map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(AdmitMasterKey::Admitted)
}

pub(super) async fn retire_master_keys(store: &SqliteStore, keep: &[u8; MASTER_KEY_ID_BYTES]) -> Result<Option<u64>> {
    // A key that seals something stays by the foreign keys.
    const SQL: &str = "DELETE FROM master_keys WHERE id <> ?1";
    let deleted = sqlx::query(SQL).bind(keep.to_vec()).execute(&store.writer).await.map_err(failed(WRITING));
    match deleted {
        Ok(deleted) => Ok(Some(deleted.rows_affected())),
        Err(StoreError::Conflict { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn list_sealed_by_others(
    store: &SqliteStore,
    key: &[u8; MASTER_KEY_ID_BYTES],
    after: Option<CredentialId>,
    limit: u32,
) -> Result<Vec<CredentialRow>> {
    const SQL: &str = with_credential_columns!(
        "SELECT",
        "FROM credentials WHERE id > ?2 AND (value_key <> ?1 OR grant_key <> ?1) ORDER BY id LIMIT ?3"
    );
    let rows: Vec<CredentialColumns> = sqlx::query_as(SQL)
        .bind(key.to_vec())
        .bind(after.map_or(uuid::Uuid::nil(), CredentialId::uuid))
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn reseal(store: &SqliteStore, reseal: &Reseal) -> Result<bool> {
    const FIELDS: &str = "UPDATE credentials SET value_key = ?3, value = ?4 WHERE id = ?1 AND value = ?2";
    const GRANT: &str = "UPDATE credentials SET grant_key = ?3, grant_value = ?4 WHERE id = ?1 AND grant_value = ?2";
    let sql = match reseal.part {
        SealedPart::Fields => FIELDS,
        SealedPart::Grant => GRANT,
    };
    let query = sqlx::query(sql)
        .bind(reseal.credential.uuid())
        .bind(reseal.old.to_vec())
        .bind(reseal.new.key.to_vec())
        .bind(reseal.new.bytes.to_vec());
    Ok(query.execute(&store.writer).await.map_err(failed(WRITING))?.rows_affected() > 0)
}
