//! Rows and requests about people, and about the token that makes the first of them.

use crate::model::ids::{SessionId, TokenId, UserId, WorkspaceId};

/// How a password changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct PasswordStep<'a> {
    /// The hash that it has now; any where it is not given.
    pub from: Option<&'a str>,
    /// The one session that goes on.
    pub keep: Option<SessionId>,
}

/// A person's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    pub id: UserId,
    /// Where a request acts that names no workspace.
    pub workspace: WorkspaceId,
    /// In lower case.
    pub email: String,
    /// What they are called; may be empty.
    pub name: String,
    /// A PHC string (argon2id); empty for somebody who has no password.
    pub password_hash: String,
    pub created_at: u64,
    /// Since when they are not let in.
    pub disabled_at: Option<u64>,
}

/// Who somebody is at an OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRow {
    pub issuer: String,
    pub subject: String,
    pub user: UserId,
    pub created_at: u64,
}

/// The token that makes the first owner, and stands for them until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupTokenRow {
    pub id: TokenId,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    pub created_at: u64,
}

/// Whether there is an owner yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupState {
    /// There is no owner, and no setup token.
    Fresh,
    /// There is a setup token.
    Waiting,
    /// There is an owner: nobody needs a setup token.
    Done,
}

/// What became of a claim to be the first owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimSetup {
    Claimed,
    /// The token is another one.
    Unknown,
    /// There is an owner already.
    Done,
    /// Somebody has the e-mail address.
    Taken,
}
