//! Members of workspaces, their accounts, and what they may do.

use super::{State, take};
use crate::{
    model::{
        change::Change,
        ids::{UserId, WorkspaceId},
    },
    store::{
        AccessRow, ChangeMember, InsertMember, MEMBERS_MAX, MemberRow, OWNER_ROLE, Result, RoleGrant, UserChange, UserRow,
        journal::conflict,
    },
};

/// What a membership says.
pub(super) struct Member {
    pub(super) role: String,
    created_at: u64,
}

impl State {
    pub(super) fn find_access(&self, user: UserId, wanted: Option<WorkspaceId>) -> Option<AccessRow> {
        let account = self.users.get(&user).filter(|account| account.disabled_at.is_none())?;
        let own = self
            .members
            .iter()
            .filter(|((workspace, member), _)| *member == user && wanted.is_none_or(|wanted| wanted == *workspace));
        let ((workspace, _), member) =
            own.min_by_key(|((workspace, _), member)| (*workspace != account.workspace, member.created_at, *workspace))?;
        let role = self.roles.get(&(*workspace, member.role.clone()));
        let permissions = role.map(|role| role.permissions.clone());
        Some(AccessRow { workspace: *workspace, role: member.role.clone(), permissions })
    }

    pub(super) fn insert_user(&mut self, user: &UserRow, role: &RoleGrant) -> Result<InsertMember> {
        if let Some(refusal) = self.refusal(user.workspace, role) {
            return Ok(refusal);
        }
        if !self.insert_account(user)? {
            return Ok(InsertMember::Exists);
        }
        self.put_member(user.workspace, user.id, &role.name, user.created_at);
        Ok(InsertMember::Inserted)
    }

    pub(super) fn insert_member(
        &mut self,
        workspace: WorkspaceId,
        user: UserId,
        role: &RoleGrant,
        now_ms: u64,
    ) -> Result<InsertMember> {
        if !self.users.contains_key(&user) {
            return Ok(InsertMember::NoUser);
        }
        if let Some(refusal) = self.refusal(workspace, role) {
            return Ok(refusal);
        }
        if !self.workspaces.contains(&workspace) {
            return Err(conflict("members_workspace"));
        }
        if self.members.contains_key(&(workspace, user)) {
            return Ok(InsertMember::Exists);
        }
        self.put_member(workspace, user, &role.name, now_ms);
        Ok(InsertMember::Inserted)
    }

    pub(super) fn find_member(&self, workspace: WorkspaceId, user: UserId) -> Option<MemberRow> {
        let (member, account) = (self.members.get(&(workspace, user))?, self.users.get(&user)?);
        Some(MemberRow {
            workspace,
            user,
            role: member.role.clone(),
            created_at: member.created_at,
            email: account.email.clone(),
            name: account.name.clone(),
            home: account.workspace,
            disabled_at: account.disabled_at,
        })
    }

    pub(super) fn list_members(&self, workspace: WorkspaceId, after: Option<UserId>, limit: u32) -> Vec<MemberRow> {
        let users = self.members.keys().filter(|(of, user)| *of == workspace && after.is_none_or(|after| *user > after));
        users.take(take(limit)).filter_map(|(_, user)| self.find_member(workspace, *user)).collect()
    }

    pub(super) fn set_member_role(&mut self, workspace: WorkspaceId, user: UserId, role: &RoleGrant) -> ChangeMember {
        let Some(member) = self.members.get(&(workspace, user)) else { return ChangeMember::NotFound };
        if !self.has_role(workspace, role) {
            return ChangeMember::NoRole;
        }
        if member.role == OWNER_ROLE && role.name != OWNER_ROLE && !self.has_other_owner(workspace, user) {
            return ChangeMember::LastOwner;
        }
        let created_at = member.created_at;
        self.put_member(workspace, user, &role.name, created_at);
        ChangeMember::Changed
    }

    pub(super) fn delete_member(&mut self, workspace: WorkspaceId, user: UserId) -> ChangeMember {
        let Some(member) = self.members.get(&(workspace, user)) else { return ChangeMember::NotFound };
        if member.role == OWNER_ROLE && !self.has_other_owner(workspace, user) {
            return ChangeMember::LastOwner;
        }
        self.api_keys.retain(|_, key| key.workspace != workspace || key.user != user);
        self.invitations.retain(|_, row| row.workspace != workspace || row.invited_by != Some(user));
        self.members.remove(&(workspace, user));
        let next = self.longest_joined(user);
        if let (Some(account), Some(next)) = (self.users.get_mut(&user), next)
            && account.workspace == workspace
        {
            account.workspace = next;
        }
        ChangeMember::Changed
    }

    /// The workspace that somebody has been a member of for longest.
    pub(super) fn longest_joined(&self, user: UserId) -> Option<WorkspaceId> {
        let own = self.members.iter().filter(|((_, member), _)| *member == user);
        own.min_by_key(|((workspace, _), member)| (member.created_at, *workspace)).map(|((workspace, _), _)| *workspace)
    }

    pub(super) fn update_user(&mut self, id: UserId, change: &UserChange) -> ChangeMember {
        let is_disabled = matches!(change.disabled_at, Change::To(Some(_)));
        if is_disabled && self.is_last_owner(id) {
            return ChangeMember::LastOwner;
        }
        let Some(account) = self.users.get_mut(&id) else { return ChangeMember::NotFound };
        account.name.clone_from(&change.name);
        account.disabled_at = change.disabled_at.over(account.disabled_at);
        if is_disabled {
            self.sessions.retain(|_, session| session.user != id);
            self.invitations.retain(|_, row| row.invited_by != Some(id));
        }
        ChangeMember::Changed
    }

    pub(super) fn delete_user(&mut self, id: UserId) -> ChangeMember {
        if self.is_last_owner(id) {
            return ChangeMember::LastOwner;
        }
        if self.users.remove(&id).is_none() {
            return ChangeMember::NotFound;
        }
        self.members.retain(|(_, user), _| *user != id);
        self.api_keys.retain(|_, key| key.user != id);
        self.sessions.retain(|_, session| session.user != id);
        self.identities.retain(|_, user| *user != id);
        self.invitations.retain(|_, row| row.invited_by != Some(id));
        ChangeMember::Changed
    }

    /// Why the workspace takes no new member of this role, if it does not.
    pub(super) fn refusal(&self, workspace: WorkspaceId, role: &RoleGrant) -> Option<InsertMember> {
        if !self.has_role(workspace, role) {
            return Some(InsertMember::NoRole);
        }
        let members = self.members.keys().filter(|(of, _)| *of == workspace).count();
        (members >= take(MEMBERS_MAX)).then_some(InsertMember::Full)
    }

    /// `false` if the e-mail address is taken.
    pub(super) fn insert_account(&mut self, user: &UserRow) -> Result<bool> {
        if self.find_user_by_email(&user.email).is_some() {
            return Ok(false);
        }
        if self.users.contains_key(&user.id) {
            return Err(conflict("users_key"));
        }
        if !self.workspaces.contains(&user.workspace) {
            return Err(conflict("users_workspace"));
        }
        self.users.insert(user.id, user.clone());
        Ok(true)
    }

    pub(super) fn has_role(&self, workspace: WorkspaceId, role: &RoleGrant) -> bool {
        !role.is_custom || self.roles.contains_key(&(workspace, role.name.clone()))
    }

    /// Whether anybody in the workspace has a role, or will have it.
    pub(super) fn is_role_used(&self, workspace: WorkspaceId, role: &str) -> bool {
        self.members.iter().any(|((of, _), member)| *of == workspace && member.role == role)
            || self.invitations.values().any(|invitation| invitation.workspace == workspace && invitation.role == role)
    }

    pub(super) fn put_member(&mut self, workspace: WorkspaceId, user: UserId, role: &str, created_at: u64) {
        self.members.insert((workspace, user), Member { role: role.to_owned(), created_at });
    }

    /// Whether the workspace has an owner beside this one that is not disabled.
    fn has_other_owner(&self, workspace: WorkspaceId, user: UserId) -> bool {
        let is_enabled = |user: &UserId| self.users.get(user).is_some_and(|account| account.disabled_at.is_none());
        self.members
            .iter()
            .any(|((of, other), member)| *of == workspace && *other != user && member.role == OWNER_ROLE && is_enabled(other))
    }

    /// Whether any workspace would have no owner without this one.
    fn is_last_owner(&self, user: UserId) -> bool {
        self.members.iter().any(|((workspace, owner), member)| {
            *owner == user && member.role == OWNER_ROLE && !self.has_other_owner(*workspace, user)
        })
    }
}
