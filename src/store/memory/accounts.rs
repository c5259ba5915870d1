//! People and their tokens.

use super::State;
use crate::{
    model::ids::{TokenId, UserId},
    store::{Result, TokenKind, TokenRow, UserRow, journal::conflict},
};

impl State {
    pub(super) fn insert_first_user(&mut self, user: &UserRow) -> Result<bool> {
        if !self.users.is_empty() {
            return Ok(false);
        }
        if !self.workspaces.contains(&user.workspace) {
            return Err(conflict("users_workspace"));
        }
        self.users.insert(user.id, user.clone());
        Ok(true)
    }

    pub(super) fn find_user_by_email(&self, email: &str) -> Option<UserRow> {
        self.users.values().find(|user| user.email == email).cloned()
    }

    pub(super) fn find_user(&self, id: UserId) -> Option<UserRow> {
        self.users.get(&id).cloned()
    }

    pub(super) fn insert_token(&mut self, token: &TokenRow) -> Result<()> {
        if !self.workspaces.contains(&token.workspace) {
            return Err(conflict("tokens_workspace"));
        }
        if token.user.is_some_and(|user| !self.users.contains_key(&user)) {
            return Err(conflict("tokens_user"));
        }
        if self.tokens.contains_key(&token.id) {
            return Err(conflict("tokens_key"));
        }
        if self.find_token(&token.hash).is_some() {
            return Err(conflict("tokens_hash"));
        }
        self.tokens.insert(token.id, token.clone());
        Ok(())
    }

    pub(super) fn find_token(&self, hash: &[u8; 32]) -> Option<TokenRow> {
        self.tokens.values().find(|token| token.hash == *hash).cloned()
    }

    pub(super) fn has_token(&self, kind: TokenKind) -> bool {
        self.tokens.values().any(|token| token.kind == kind)
    }

    pub(super) fn delete_token(&mut self, id: TokenId) -> bool {
        self.tokens.remove(&id).is_some()
    }
}
