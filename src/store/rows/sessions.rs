//! Rows and requests about sessions: what a login leaves behind.

use crate::model::ids::{SessionId, UserId};

/// Sessions of one user. A new one takes the place of the oldest.
pub const SESSIONS_OF_USER_MAX: u32 = 100;

/// A session's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    pub id: SessionId,
    pub user: UserId,
    pub kind: SessionKind,
    /// SHA-256 of the present secret.
    pub hash: [u8; 32],
    /// SHA-256 of the secret before it.
    pub previous_hash: Option<[u8; 32]>,
    /// When the present secret took the place of the one before.
    pub rotated_at: u64,
    pub created_at: u64,
    /// When it ends unless it is used.
    pub expires_at: u64,
    /// When it ends, however it is used.
    pub ends_at: u64,
}

/// How a session is carried on. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// By a secret in a cookie of a browser.
    Console,
    /// By refresh tokens, each of which is good once.
    Refresh,
}

impl SessionKind {
    pub const fn code(self) -> i16 {
        match self {
            Self::Console => 0,
            Self::Refresh => 1,
        }
    }

    pub fn from_code(code: i16) -> Option<Self> {
        [Self::Console, Self::Refresh].into_iter().find(|kind| kind.code() == code)
    }
}

/// A use of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotateSession {
    pub id: SessionId,
    /// SHA-256 of the token that is used.
    pub from: [u8; 32],
    /// SHA-256 of its successor.
    pub to: [u8; 32],
    pub now_ms: u64,
    /// When the session ends unless it is used again; at its `ends_at` at the latest.
    pub expires_at: u64,
    /// How long after a use the same token may be used again, in milliseconds.
    pub grace_ms: u64,
}

/// What became of a use of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotateOutcome {
    Rotated {
        user: UserId,
    },
    /// It has been used a moment ago: the session's present secret has this SHA-256.
    Repeated {
        user: UserId,
        hash: [u8; 32],
    },
    /// It has been used before, by somebody: the session is over.
    Reused {
        user: UserId,
    },
    /// There is no such session, it has ended, or its user is disabled.
    Gone,
}
