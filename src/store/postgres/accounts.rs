//! People and their tokens.

use super::{PostgresStore, error::failed};
use crate::{
    model::ids::{TokenId, UserId},
    store::{
        Result, TokenKind, TokenRow, UserRow,
        columns::{TokenColumns, UserColumns, millis},
    },
};

const READING: &str = "reading accounts";
const WRITING: &str = "writing an account";

pub(super) async fn insert_first_user(store: &PostgresStore, user: &UserRow) -> Result<bool> {
    const SQL: &str = "INSERT INTO users (id, workspace_id, email, password_hash, created_at)
        SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT FROM users)";
    let mut tx = store.begin(WRITING).await?;
    // Two first users would not see each other; the lock makes the second one wait for the first. Readers go on.
    sqlx::query("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE").execute(&mut *tx).await.map_err(failed(WRITING))?;
    let inserted = sqlx::query(SQL)
        .bind(user.id.uuid())
        .bind(user.workspace.uuid())
        .bind(&user.email)
        .bind(&user.password_hash)
        .bind(millis(user.created_at))
        .execute(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(inserted.rows_affected() > 0)
}

pub(super) async fn find_user_by_email(store: &PostgresStore, email: &str) -> Result<Option<UserRow>> {
    const SQL: &str = "SELECT id, workspace_id, email, password_hash, created_at FROM users WHERE email = $1 LIMIT 1";
    let row: Option<UserColumns> = sqlx::query_as(SQL).bind(email).fetch_optional(&store.pool).await.map_err(failed(READING))?;
    row.map(UserRow::try_from).transpose()
}

pub(super) async fn find_user(store: &PostgresStore, id: UserId) -> Result<Option<UserRow>> {
    const SQL: &str = "SELECT id, workspace_id, email, password_hash, created_at FROM users WHERE id = $1 LIMIT 1";
    let row: Option<UserColumns> =
        sqlx::query_as(SQL).bind(id.uuid()).fetch_optional(&store.pool).await.map_err(failed(READING))?;
    row.map(UserRow::try_from).transpose()
}

pub(super) async fn insert_token(store: &PostgresStore, token: &TokenRow) -> Result<()> {
    const SQL: &str = "INSERT INTO tokens (id, workspace_id, kind, user_id, hash, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(SQL)
        .bind(token.id.uuid())
        .bind(token.workspace.uuid())
        .bind(token.kind.code())
        .bind(token.user.map(UserId::uuid))
        .bind(&token.hash[..])
        .bind(millis(token.created_at))
        .bind(token.expires_at.map(millis))
        .execute(&store.pool)
        .await
        .map_err(failed(WRITING))?;
    Ok(())
}

pub(super) async fn find_token(store: &PostgresStore, hash: &[u8; 32]) -> Result<Option<TokenRow>> {
    const SQL: &str = "SELECT id, workspace_id, kind, user_id, hash, created_at, expires_at FROM tokens
        WHERE hash = $1 LIMIT 1";
    let row: Option<TokenColumns> =
        sqlx::query_as(SQL).bind(&hash[..]).fetch_optional(&store.pool).await.map_err(failed(READING))?;
    row.map(TokenRow::try_from).transpose()
}

pub(super) async fn has_token(store: &PostgresStore, kind: TokenKind) -> Result<bool> {
    const SQL: &str = "SELECT EXISTS (SELECT FROM tokens WHERE kind = $1) LIMIT 1";
    sqlx::query_scalar(SQL).bind(kind.code()).fetch_one(&store.pool).await.map_err(failed(READING))
}

pub(super) async fn delete_token(store: &PostgresStore, id: TokenId) -> Result<bool> {
    const SQL: &str = "DELETE FROM tokens WHERE id = $1";
    let deleted = sqlx::query(SQL).bind(id.uuid()).execute(&store.pool).await.map_err(failed(WRITING))?;
    Ok(deleted.rows_affected() > 0)
}
