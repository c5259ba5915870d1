//! People, and the token that makes the first of them.

use sqlx::SqliteConnection;

use super::{SqliteStore, error::failed};
use crate::{
    model::ids::{SessionId, UserId, WorkspaceId},
    store::{
        ClaimSetup, IdentityRow, OWNER_ROLE, PasswordStep, Result, SetupState, SetupTokenRow, UserRow,
        columns::{self, SetupTokenColumns, UserColumns, millis},
    },
};

const READING: &str = "reading accounts";
const WRITING: &str = "writing an account";

pub(super) async fn insert_first_user(store: &SqliteStore, user: &UserRow) -> Result<bool> {
    let mut tx = store.begin(WRITING).await?;
    if read_state(&mut tx).await? == SetupState::Done || is_taken(&mut tx, &user.email).await? {
        return Ok(false);
    }
    insert_member(&mut tx, user, OWNER_ROLE).await?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(true)
}

pub(super) async fn setup_state(store: &SqliteStore) -> Result<SetupState> {
    let mut connection = store.readers.acquire().await.map_err(failed(READING))?;
    read_state(&mut connection).await
}

pub(super) async fn insert_setup_token(store: &SqliteStore, token: &SetupTokenRow) -> Result<bool> {
    const SQL: &str = "INSERT INTO tokens (id, workspace_id, kind, hash, created_at) VALUES (?1, ?2, 0, ?3, ?4)";
    let mut tx = store.begin(WRITING).await?;
    if read_state(&mut tx).await? != SetupState::Fresh {
        return Ok(false);
    }
    let query = sqlx::query(SQL).bind(token.id.uuid()).bind(WorkspaceId::DEFAULT.uuid()).bind(token.hash.to_vec());
    query.bind(millis(token.created_at)).execute(&mut *tx).await.map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(true)
}

pub(super) async fn find_setup_token(store: &SqliteStore, hash: &[u8; 32]) -> Result<Option<SetupTokenRow>> {
    const SQL: &str = "SELECT id, hash, created_at FROM tokens WHERE hash = ?1 AND kind = 0
        AND NOT EXISTS (SELECT 1 FROM members WHERE workspace_id = ?2 AND role = ?3) LIMIT 1";
    let query = sqlx::query_as(SQL).bind(hash.to_vec()).bind(WorkspaceId::DEFAULT.uuid()).bind(OWNER_ROLE);
    let row: Option<SetupTokenColumns> = query.fetch_optional(&store.readers).await.map_err(failed(READING))?;
    row.map(SetupTokenRow::try_from).transpose()
}

pub(super) async fn claim_setup(store: &SqliteStore, hash: &[u8; 32], user: &UserRow) -> Result<ClaimSetup> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM tokens WHERE hash = ?1 AND kind = 0) LIMIT 1";
    let mut tx = store.begin(WRITING).await?;
    if read_state(&mut tx).await? == SetupState::Done {
        return Ok(ClaimSetup::Done);
    }
    let is_known: bool = sqlx::query_scalar(SQL).bind(hash.to_vec()).fetch_one(&mut *tx).await.map_err(failed(READING))?;
    if !is_known {
        return Ok(ClaimSetup::Unknown);
    }
    if is_taken(&mut tx, &user.email).await? {
        return Ok(ClaimSetup::Taken);
    }
    insert_member(&mut tx, user, OWNER_ROLE).await?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(ClaimSetup::Claimed)
}

async fn read_state(connection: &mut SqliteConnection) -> Result<SetupState> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM members WHERE workspace_id = ?1 AND role = ?2),
        EXISTS (SELECT 1 FROM tokens WHERE kind = 0) LIMIT 1";
    let query = sqlx::query_as(SQL).bind(WorkspaceId::DEFAULT.uuid()).bind(OWNER_ROLE);
    let (has_owner, has_token): (bool, bool) = query.fetch_one(connection).await.map_err(failed(READING))?;
    Ok(match (has_owner, has_token) {
        (true, _) => SetupState::Done,
        (false, true) => SetupState::Waiting,
        (false, false) => SetupState::Fresh,
    })
}

async fn is_taken(connection: &mut SqliteConnection, email: &str) -> Result<bool> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE email = ?1) LIMIT 1";
    sqlx::query_scalar(SQL).bind(email.to_owned()).fetch_one(connection).await.map_err(failed(READING))
}

/// Inserts somebody and their place in their workspace. From now on nobody needs the setup token.
async fn insert_member(connection: &mut SqliteConnection, user: &UserRow, role: &str) -> Result<()> {
    const USER: &str = "INSERT INTO users (id, workspace_id, email, name, password_hash, created_at, disabled_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    const MEMBER: &str = "INSERT INTO members (workspace_id, user_id, role, created_at) VALUES (?1, ?2, ?3, ?4)";
    const TOKEN: &str = "DELETE FROM tokens WHERE kind = 0";
    sqlx::query(USER)
        .bind(user.id.uuid())
        .bind(user.workspace.uuid())
        .bind(user.email.clone())
        .bind(user.name.clone())
        .bind(user.password_hash.clone())
        .bind(millis(user.created_at))
        .bind(user.disabled_at.map(millis))
        .execute(&mut *connection)
        .await
        .map_err(failed(WRITING))?;
    let member =
        sqlx::query(MEMBER).bind(user.workspace.uuid()).bind(user.id.uuid()).bind(role.to_owned()).bind(millis(user.created_at));
    member.execute(&mut *connection).await.map_err(failed(WRITING))?;
    sqlx::query(TOKEN).execute(connection).await.map_err(failed(WRITING))?;
    Ok(())
}

pub(super) async fn find_user_by_email(store: &SqliteStore, email: &str) -> Result<Option<UserRow>> {
    const SQL: &str = "SELECT id, workspace_id, email, name, password_hash, created_at, disabled_at FROM users
        WHERE email = ?1 LIMIT 1";
    let row: Option<UserColumns> =
        sqlx::query_as(SQL).bind(email.to_owned()).fetch_optional(&store.readers).await.map_err(failed(READING))?;
    row.map(UserRow::try_from).transpose()
}

pub(super) async fn find_user(store: &SqliteStore, id: UserId) -> Result<Option<UserRow>> {
    const SQL: &str = "SELECT id, workspace_id, email, name, password_hash, created_at, disabled_at FROM users
        WHERE id = ?1 LIMIT 1";
    let row: Option<UserColumns> =
        sqlx::query_as(SQL).bind(id.uuid()).fetch_optional(&store.readers).await.map_err(failed(READING))?;
    row.map(UserRow::try_from).transpose()
}

pub(super) async fn list_accounts(store: &SqliteStore, after: Option<&str>, limit: u32) -> Result<Vec<UserRow>> {
    const SQL: &str = "SELECT id, workspace_id, email, name, password_hash, created_at, disabled_at FROM users
        WHERE email > ?1 ORDER BY email LIMIT ?2";
    // No address is empty, so everything is above the empty one.
    let query = sqlx::query_as(SQL).bind(after.unwrap_or_default().to_owned()).bind(i64::from(limit));
    let rows: Vec<UserColumns> = query.fetch_all(&store.readers).await.map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn set_password(store: &SqliteStore, id: UserId, hash: &str, step: PasswordStep<'_>) -> Result<bool> {
    const PASSWORD: &str = "UPDATE users SET password_hash = ?2 WHERE id = ?1 AND (?3 IS NULL OR password_hash = ?3)";
    const SESSIONS: &str = "DELETE FROM sessions WHERE user_id = ?1 AND (?2 IS NULL OR id <> ?2)";
    let mut tx = store.begin(WRITING).await?;
    let password = sqlx::query(PASSWORD).bind(id.uuid()).bind(hash.to_owned()).bind(step.from.map(str::to_owned));
    if password.execute(&mut *tx).await.map_err(failed(WRITING))?.rows_affected() == 0 {
        return Ok(false);
    }
    let sessions = sqlx::query(SESSIONS).bind(id.uuid()).bind(step.keep.map(SessionId::uuid));
    sessions.execute(&mut *tx).await.map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(true)
}

pub(super) async fn find_identity(store: &SqliteStore, issuer: &str, subject: &str) -> Result<Option<UserId>> {
    const SQL: &str = "SELECT user_id FROM identities WHERE issuer = ?1 AND subject = ?2 LIMIT 1";
    let query = sqlx::query_scalar(SQL).bind(issuer.to_owned()).bind(subject.to_owned());
    let user: Option<uuid::Uuid> = query.fetch_optional(&store.readers).await.map_err(failed(READING))?;
    Ok(user.map(UserId::from_uuid))
}

pub(super) async fn insert_identity(store: &SqliteStore, identity: &IdentityRow) -> Result<bool> {
    const SQL: &str = "INSERT INTO identities (issuer, subject, user_id, created_at) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (issuer, subject) DO NOTHING";
    let query = sqlx::query(SQL).bind(identity.issuer.clone()).bind(identity.subject.clone()).bind(identity.user.uuid());
    let inserted = query.bind(millis(identity.created_at)).execute(&store.writer).await.map_err(failed(WRITING))?;
    Ok(inserted.rows_affected() > 0)
}

pub(super) async fn rehash_password(store: &SqliteStore, id: UserId, from: &str, to: &str) -> Result<bool> {
    const SQL: &str = "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2";
    let query = sqlx::query(SQL).bind(id.uuid()).bind(from.to_owned()).bind(to.to_owned());
    let changed = query.execute(&store.writer).await.map_err(failed(WRITING))?;
    Ok(changed.rows_affected() > 0)
}
