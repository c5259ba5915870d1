//! People and their tokens.

use super::{SqliteStore, error::failed};
use crate::{
    model::ids::{TokenId, UserId},
    store::{
        Result, TokenKind, TokenRow, UserRow,
        columns::{TokenColumns, UserColumns, millis},
    },
};

const READING: &str = "reading accounts";
const WRITING: &str = "writing an account";

pub(super) async fn insert_first_user(store: &SqliteStore, user: &UserRow) -> Result<bool> {
    // Atomic because there is one connection that writes.
    const SQL: &str = "INSERT INTO users (id, workspace_id, email, password_hash, created_at)
        SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM users)";
    let inserted = sqlx::query(SQL)
        .bind(user.id.uuid())
        .bind(user.workspace.uuid())
        .bind(user.email.clone())
        .bind(user.password_hash.clone())
        .bind(millis(user.created_at))
        .execute(&store.writer)
        .await
        .map_err(failed(WRITING))?;
    Ok(inserted.rows_affected() > 0)
}

pub(super) async fn find_user_by_email(store: &SqliteStore, email: &str) -> Result<Option<UserRow>> {
    const SQL: &str = "SELECT id, workspace_id, email, password_hash, created_at FROM users WHERE email = ?1 LIMIT 1";
    let row: Option<UserColumns> =
        sqlx::query_as(SQL).bind(email.to_owned()).fetch_optional(&store.readers).await.map_err(failed(READING))?;
    row.map(UserRow::try_from).transpose()
}

pub(super) async fn find_user(store: &SqliteStore, id: UserId) -> Result<Option<UserRow>> {
    const SQL: &str = "SELECT id, workspace_id, email, password_hash, created_at FROM users WHERE id = ?1 LIMIT 1";
    let row: Option<UserColumns> =
        sqlx::query_as(SQL).bind(id.uuid()).fetch_optional(&store.readers).await.map_err(failed(READING))?;
    row.map(UserRow::try_from).transpose()
}

pub(super) async fn insert_token(store: &SqliteStore, token: &TokenRow) -> Result<()> {
    const SQL: &str = "INSERT INTO tokens (id, workspace_id, kind, user_id, hash, created_at, expires_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    sqlx::query(SQL)
        .bind(token.id.uuid())
        .bind(token.workspace.uuid())
        .bind(token.kind.code())
        .bind(token.user.map(UserId::uuid))
        .bind(token.hash.to_vec())
        .bind(millis(token.created_at))
        .bind(token.expires_at.map(millis))
        .execute(&store.writer)
        .await
        .map_err(failed(WRITING))?;
    Ok(())
}

pub(super) async fn find_token(store: &SqliteStore, hash: &[u8; 32]) -> Result<Option<TokenRow>> {
    const SQL: &str = "SELECT id, workspace_id, kind, user_id, hash, created_at, expires_at FROM tokens
        WHERE hash = ?1 LIMIT 1";
    let row: Option<TokenColumns> =
        sqlx::query_as(SQL).bind(hash.to_vec()).fetch_optional(&store.readers).await.map_err(failed(READING))?;
    row.map(TokenRow::try_from).transpose()
}

pub(super) async fn has_token(store: &SqliteStore, kind: TokenKind) -> Result<bool> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM tokens WHERE kind = ?1) LIMIT 1";
    sqlx::query_scalar(SQL).bind(kind.code()).fetch_one(&store.readers).await.map_err(failed(READING))
}

pub(super) async fn delete_token(store: &SqliteStore, id: TokenId) -> Result<bool> {
    const SQL: &str = "DELETE FROM tokens WHERE id = ?1";
    let deleted = sqlx::query(SQL).bind(id.uuid()).execute(&store.writer).await.map_err(failed(WRITING))?;
    Ok(deleted.rows_affected() > 0)
}
