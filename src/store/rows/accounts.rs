//! Rows of people and their tokens.

use crate::model::ids::{TokenId, UserId, WorkspaceId};

/// A person's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    pub id: UserId,
    pub workspace: WorkspaceId,
    /// In lower case.
    pub email: String,
    /// A PHC string (argon2id).
    pub password_hash: String,
    pub created_at: u64,
}

/// A token's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    pub id: TokenId,
    pub workspace: WorkspaceId,
    pub kind: TokenKind,
    pub user: Option<UserId>,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    pub created_at: u64,
    pub expires_at: Option<u64>,
}

/// What a token is good for. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// The key that the first start prints.
    Owner,
    Access,
    Refresh,
}

impl TokenKind {
    pub const fn code(self) -> i16 {
        match self {
            Self::Owner => 0,
            Self::Access => 1,
            Self::Refresh => 2,
        }
    }

    pub fn from_code(code: i16) -> Option<Self> {
        [Self::Owner, Self::Access, Self::Refresh].into_iter().find(|kind| kind.code() == code)
    }
}
