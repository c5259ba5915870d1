//! Rows and requests about API keys.

use crate::model::{
    change::Change,
    ids::{KeyId, UserId, WorkspaceId},
};

/// API keys of one workspace.
pub const API_KEYS_MAX: u32 = 1_000;

/// An API key's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    pub id: KeyId,
    pub workspace: WorkspaceId,
    /// Whom it acts for.
    pub user: UserId,
    pub name: String,
    /// What it may do at most.
    pub permissions: Vec<String>,
    pub secret: KeySecret,
    /// What it was before, for a while.
    pub previous: Option<PreviousSecret>,
    pub created_at: u64,
    pub expires_at: Option<u64>,
    /// When it was used last, to a minute.
    pub used_at: Option<u64>,
}

/// What the store keeps of a key's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySecret {
    /// SHA-256 of the text.
    pub hash: [u8; 32],
    /// So that people can tell keys apart.
    pub last_characters: String,
}

/// A secret that has been replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousSecret {
    pub hash: [u8; 32],
    /// Until then it works.
    pub until: u64,
}

/// The place of a row in the list of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiKeyCursor {
    pub created_at: u64,
    pub id: KeyId,
}

/// What a key becomes. What is kept is what it has in that moment, whoever changes it at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyChange {
    pub name: String,
    pub permissions: Change<Vec<String>>,
    pub expires_at: Change<Option<u64>>,
}

/// A new secret for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotateApiKey {
    /// The hash that is replaced: of two rotations at once, one is the first.
    pub from: [u8; 32],
    pub to: KeySecret,
    /// Until when the earlier secret works, too.
    pub previous_until: u64,
}
