//! Sessions.

use super::{PostgresStore, error::failed};
use crate::{
    model::ids::{SessionId, UserId},
    store::{
        Result, RotateOutcome, RotateSession, SESSIONS_OF_USER_MAX, SessionRow,
        columns::{SessionColumns, millis},
    },
};

const READING: &str = "reading a session";
const WRITING: &str = "writing a session";

pub(super) async fn insert_session(store: &PostgresStore, session: &SessionRow, password_hash: Option<&str>) -> Result<bool> {
    const USER: &str = "SELECT id FROM users WHERE id = $1 AND disabled_at IS NULL
        AND password_hash = COALESCE($2, password_hash) LIMIT 1 FOR UPDATE";
    const SQL: &str = "INSERT INTO sessions
        (id, user_id, kind, hash, previous_hash, rotated_at, created_at, expires_at, ends_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    const OLDEST: &str = "DELETE FROM sessions WHERE id IN
        (SELECT id FROM sessions WHERE user_id = $1 ORDER BY created_at DESC, id DESC OFFSET $2)";
    let mut tx = store.begin(WRITING).await?;
    // The row of the user is locked: a password that changes, or a user who is disabled, comes before or after this.
    let user: Option<uuid::Uuid> = sqlx::query_scalar(USER)
        .bind(session.user.uuid())
        .bind(password_hash)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    if user.is_none() {
        return Ok(false);
    }
    sqlx::query(SQL)
        .bind(session.id.uuid())
        .bind(session.user.uuid())
        .bind(session.kind.code())
        .bind(&session.hash[..])
        .bind(session.previous_hash.as_ref().map(|hash| &hash[..]))
        .bind(millis(session.rotated_at))
        .bind(millis(session.created_at))
        .bind(millis(session.expires_at))
        .bind(millis(session.ends_at))
        .execute(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    let oldest = sqlx::query(OLDEST).bind(session.user.uuid()).bind(i64::from(SESSIONS_OF_USER_MAX));
    oldest.execute(&mut *tx).await.map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(true)
}

pub(super) async fn find_session(store: &PostgresStore, id: SessionId) -> Result<Option<SessionRow>> {
    let mut connection = store.pool.acquire().await.map_err(failed(READING))?;
    find_within(&mut connection, id).await
}

pub(super) async fn rotate_session(store: &PostgresStore, step: &RotateSession) -> Result<RotateOutcome> {
    const ROTATE: &str = "UPDATE sessions SET hash = $3, previous_hash = $2, rotated_at = $4, expires_at = LEAST($5, ends_at)
        WHERE id = $1 AND hash = $2 AND expires_at > $4 AND ends_at > $4
        AND EXISTS (SELECT FROM users WHERE id = sessions.user_id AND disabled_at IS NULL)
        RETURNING user_id";
    // Only what is not there by the latest use: of two that come at once, the second one waits for the first and looks again.
    const END: &str = "DELETE FROM sessions WHERE id = $1 AND hash <> $2
        AND NOT (previous_hash IS NOT NULL AND previous_hash = $2 AND rotated_at > $3) RETURNING user_id";
    let mut tx = store.begin(WRITING).await?;
    let rotated: Option<uuid::Uuid> = sqlx::query_scalar(ROTATE)
        .bind(step.id.uuid())
        .bind(&step.from[..])
        .bind(&step.to[..])
        .bind(millis(step.now_ms))
        .bind(millis(step.expires_at))
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    if let Some(user) = rotated {
        tx.commit().await.map_err(failed(WRITING))?;
        return Ok(RotateOutcome::Rotated { user: UserId::from_uuid(user) });
    }
    let found = find_within(&mut tx, step.id).await?;
    let Some(found) = found.filter(|found| step.now_ms < found.expires_at.min(found.ends_at)) else {
        return Ok(RotateOutcome::Gone);
    };
    let ended: Option<uuid::Uuid> = sqlx::query_scalar(END)
        .bind(step.id.uuid())
        .bind(&step.from[..])
        .bind(millis(step.now_ms.saturating_sub(step.grace_ms)))
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(match ended {
        Some(user) => RotateOutcome::Reused { user: UserId::from_uuid(user) },
        None => RotateOutcome::Repeated { user: found.user, hash: found.hash },
    })
}

pub(super) async fn touch_session(store: &PostgresStore, id: SessionId, expires_at: u64) -> Result<bool> {
    const SQL: &str = "UPDATE sessions SET expires_at = LEAST($2, ends_at) WHERE id = $1 AND LEAST($2, ends_at) > expires_at";
    let query = sqlx::query(SQL).bind(id.uuid()).bind(millis(expires_at));
    Ok(query.execute(&store.pool).await.map_err(failed(WRITING))?.rows_affected() > 0)
}

pub(super) async fn delete_session(store: &PostgresStore, id: SessionId) -> Result<bool> {
    const SQL: &str = "DELETE FROM sessions WHERE id = $1";
    Ok(sqlx::query(SQL).bind(id.uuid()).execute(&store.pool).await.map_err(failed(WRITING))?.rows_affected() > 0)
}

/// Reads a session of somebody who is not disabled, on any connection.
async fn find_within(connection: &mut sqlx::PgConnection, id: SessionId) -> Result<Option<SessionRow>> {
    const SQL: &str =
        "SELECT sessions.id, user_id, kind, hash, previous_hash, rotated_at, sessions.created_at, expires_at, ends_at
        FROM sessions JOIN users ON users.id = sessions.user_id WHERE sessions.id = $1 AND disabled_at IS NULL LIMIT 1";
    let row: Option<SessionColumns> =
        sqlx::query_as(SQL).bind(id.uuid()).fetch_optional(connection).await.map_err(failed(READING))?;
    row.map(SessionRow::try_from).transpose()
}
