//! Invitations to workspaces.

use super::{State, take};
use crate::{
    model::ids::{InvitationId, WorkspaceId},
    store::{
        AcceptInvitation, INVITATIONS_MAX, InsertInvitation, InsertMember, InvitationRow, Invitee, Result, RoleGrant,
        journal::conflict,
    },
};

impl State {
    pub(super) fn insert_invitation(&mut self, new: &InvitationRow, role: &RoleGrant) -> Result<InsertInvitation> {
        if !self.has_role(new.workspace, role) {
            return Ok(InsertInvitation::NoRole);
        }
        let account = self.find_user_by_email(&new.email);
        if account.is_some_and(|account| self.members.contains_key(&(new.workspace, account.id))) {
            return Ok(InsertInvitation::Member);
        }
        let is_replaced =
            |row: &InvitationRow| row.workspace == new.workspace && (row.email == new.email || row.expires_at <= new.created_at);
        self.invitations.retain(|_, row| !is_replaced(row));
        if self.invitations.values().filter(|row| row.workspace == new.workspace).count() >= take(INVITATIONS_MAX) {
            return Ok(InsertInvitation::Full);
        }
        if !self.workspaces.contains(&new.workspace) {
            return Err(conflict("invitations_workspace"));
        }
        if new.invited_by.is_some_and(|user| !self.users.contains_key(&user)) {
            return Err(conflict("invitations_by"));
        }
        if self.invitations.contains_key(&new.id) {
            return Err(conflict("invitations_key"));
        }
        if self.find_invitation(&new.hash).is_some() {
            return Err(conflict("invitations_hash"));
        }
        self.invitations.insert(new.id, InvitationRow { role: role.name.clone(), ..new.clone() });
        Ok(InsertInvitation::Inserted)
    }

    pub(super) fn find_invitation(&self, hash: &[u8; 32]) -> Option<InvitationRow> {
        self.invitations.values().find(|row| row.hash == *hash).cloned()
    }

    pub(super) fn list_invitations(&self, workspace: WorkspaceId, after: Option<InvitationId>, limit: u32) -> Vec<InvitationRow> {
        let is_listed = |row: &&InvitationRow| row.workspace == workspace && after.is_none_or(|after| row.id > after);
        self.invitations.values().filter(is_listed).take(take(limit)).cloned().collect()
    }

    pub(super) fn delete_invitation(&mut self, workspace: WorkspaceId, id: InvitationId) -> bool {
        let is_there = self.invitations.get(&id).is_some_and(|row| row.workspace == workspace);
        is_there && self.invitations.remove(&id).is_some()
    }

    pub(super) fn accept_invitation(
        &mut self,
        invitation: &InvitationRow,
        invitee: &Invitee,
        now_ms: u64,
    ) -> Result<AcceptInvitation> {
        let stored = self.invitations.get(&invitation.id);
        if stored.is_none_or(|row| row.hash != invitation.hash || row.expires_at <= now_ms) {
            return Ok(AcceptInvitation::NotFound);
        }
        let role = RoleGrant { name: invitation.role.clone(), is_custom: false };
        if self.refusal(invitation.workspace, &role) == Some(InsertMember::Full) {
            return Ok(AcceptInvitation::Full);
        }
        let user = match invitee {
            Invitee::New(user) if !self.insert_account(user)? => return Ok(AcceptInvitation::Exists),
            Invitee::New(user) => user.id,
            Invitee::Known(user) if !self.users.contains_key(user) => return Err(conflict("members_user")),
            Invitee::Known(user) => *user,
        };
        self.invitations.remove(&invitation.id);
        if self.members.contains_key(&(invitation.workspace, user)) {
            return Ok(AcceptInvitation::Member);
        }
        self.put_member(invitation.workspace, user, &role.name, now_ms);
        Ok(AcceptInvitation::Accepted)
    }
}
