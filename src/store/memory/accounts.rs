//! People, and the token that makes the first of them.

use super::{State, take};
use crate::{
    model::ids::{UserId, WorkspaceId},
    store::{ClaimSetup, IdentityRow, OWNER_ROLE, PasswordStep, Result, SetupState, SetupTokenRow, UserRow, journal::conflict},
};

impl State {
    pub(super) fn insert_first_user(&mut self, user: &UserRow) -> Result<bool> {
        if self.has_owner() || self.find_user_by_email(&user.email).is_some() {
            return Ok(false);
        }
        self.insert_owner(user)?;
        Ok(true)
    }

    pub(super) fn setup_state(&self) -> SetupState {
        match (self.has_owner(), &self.setup_token) {
            (true, _) => SetupState::Done,
            (false, Some(_)) => SetupState::Waiting,
            (false, None) => SetupState::Fresh,
        }
    }

    pub(super) fn insert_setup_token(&mut self, token: &SetupTokenRow) -> bool {
        if self.setup_state() != SetupState::Fresh {
            return false;
        }
        self.setup_token = Some(token.clone());
        true
    }

    pub(super) fn find_setup_token(&self, hash: &[u8; 32]) -> Option<SetupTokenRow> {
        self.setup_token.clone().filter(|token| token.hash == *hash && !self.has_owner())
    }

    pub(super) fn claim_setup(&mut self, hash: &[u8; 32], user: &UserRow) -> Result<ClaimSetup> {
        if self.has_owner() {
            return Ok(ClaimSetup::Done);
        }
        if self.find_setup_token(hash).is_none() {
            return Ok(ClaimSetup::Unknown);
        }
        if self.find_user_by_email(&user.email).is_some() {
            return Ok(ClaimSetup::Taken);
        }
        self.insert_owner(user)?;
        Ok(ClaimSetup::Claimed)
    }

    fn has_owner(&self) -> bool {
        let mut here = self.members.iter().filter(|((workspace, _), _)| *workspace == WorkspaceId::DEFAULT);
        here.any(|(_, member)| member.role == OWNER_ROLE)
    }

    /// Whoever comes first needs no token any more.
    fn insert_owner(&mut self, user: &UserRow) -> Result<()> {
        if !self.workspaces.contains(&user.workspace) {
            return Err(conflict("users_workspace"));
        }
        self.users.insert(user.id, user.clone());
        self.put_member(user.workspace, user.id, OWNER_ROLE, user.created_at);
        self.setup_token = None;
        Ok(())
    }

    pub(super) fn find_user_by_email(&self, email: &str) -> Option<UserRow> {
        self.users.values().find(|user| user.email == email).cloned()
    }

    pub(super) fn find_user(&self, id: UserId) -> Option<UserRow> {
        self.users.get(&id).cloned()
    }

    pub(super) fn list_accounts(&self, after: Option<&str>, limit: u32) -> Vec<UserRow> {
        let mut users: Vec<&UserRow> =
            self.users.values().filter(|user| after.is_none_or(|after| user.email.as_str() > after)).collect();
        users.sort_by(|left, right| left.email.cmp(&right.email));
        users.into_iter().take(take(limit)).cloned().collect()
    }

    pub(super) fn set_password(&mut self, id: UserId, hash: &str, step: PasswordStep<'_>) -> bool {
        let is_the_one = |user: &&mut UserRow| step.from.is_none_or(|from| from == user.password_hash);
        let Some(user) = self.users.get_mut(&id).filter(is_the_one) else { return false };
        hash.clone_into(&mut user.password_hash);
        self.sessions.retain(|session, row| row.user != id || Some(*session) == step.keep);
        true
    }

    pub(super) fn find_identity(&self, issuer: &str, subject: &str) -> Option<UserId> {
        self.identities.get(&(issuer.to_owned(), subject.to_owned())).copied()
    }

    pub(super) fn insert_identity(&mut self, identity: &IdentityRow) -> Result<bool> {
        if self.find_identity(&identity.issuer, &identity.subject).is_some() {
            return Ok(false);
        }
        if !self.users.contains_key(&identity.user) {
            return Err(conflict("identities_user"));
        }
        self.identities.insert((identity.issuer.clone(), identity.subject.clone()), identity.user);
        Ok(true)
    }

    pub(super) fn rehash_password(&mut self, id: UserId, from: &str, to: &str) -> bool {
        let Some(user) = self.users.get_mut(&id).filter(|user| user.password_hash == from) else { return false };
        to.clone_into(&mut user.password_hash);
        true
    }
}
