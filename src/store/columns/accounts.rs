//! The rows of people and their sessions.

use uuid::Uuid;

use super::{hash, optional_time, rows, time, unknown};
use crate::{
    model::ids::{SessionId, TokenId, UserId, WorkspaceId},
    store::{Result, SessionKind, SessionRow, SetupTokenRow, StoreError, UserRow},
};

rows! {
    UserColumns {
        id: Uuid, workspace_id: Uuid, email: String, name: String, password_hash: String, created_at: i64,
        disabled_at: Option<i64>,
    }
    SetupTokenColumns { id: Uuid, hash: Vec<u8>, created_at: i64 }
    SessionColumns {
        id: Uuid, user_id: Uuid, kind: i16, hash: Vec<u8>, previous_hash: Option<Vec<u8>>, rotated_at: i64, created_at: i64,
        expires_at: i64, ends_at: i64,
    }
}

impl TryFrom<UserColumns> for UserRow {
    type Error = StoreError;

    fn try_from(columns: UserColumns) -> Result<Self> {
        Ok(Self {
            id: UserId::from_uuid(columns.id),
            workspace: WorkspaceId::from_uuid(columns.workspace_id),
            email: columns.email,
            name: columns.name,
            password_hash: columns.password_hash,
            created_at: time("user", "created_at", columns.created_at)?,
            disabled_at: optional_time("user", "disabled_at", columns.disabled_at)?,
        })
    }
}

impl TryFrom<SetupTokenColumns> for SetupTokenRow {
    type Error = StoreError;

    fn try_from(columns: SetupTokenColumns) -> Result<Self> {
        let what = "setup token";
        Ok(Self {
            id: TokenId::from_uuid(columns.id),
            hash: hash(what, "hash", &columns.hash)?,
            created_at: time(what, "created_at", columns.created_at)?,
        })
    }
}

impl TryFrom<SessionColumns> for SessionRow {
    type Error = StoreError;

    fn try_from(columns: SessionColumns) -> Result<Self> {
        let what = "session";
        let previous = columns.previous_hash.map(|previous| hash(what, "previous_hash", &previous));
        Ok(Self {
            id: SessionId::from_uuid(columns.id),
            user: UserId::from_uuid(columns.user_id),
            kind: SessionKind::from_code(columns.kind).ok_or_else(|| unknown(what, "kind", columns.kind))?,
            hash: hash(what, "hash", &columns.hash)?,
            previous_hash: previous.transpose()?,
            rotated_at: time(what, "rotated_at", columns.rotated_at)?,
            created_at: time(what, "created_at", columns.created_at)?,
            expires_at: time(what, "expires_at", columns.expires_at)?,
            ends_at: time(what, "ends_at", columns.ends_at)?,
        })
    }
}
