//! The part of the store about people: who they are, what they may do, and what lets them in. A trait of its own for the length of the
//! file only: whoever has a [`Store`](super::Store) has this, too.

use async_trait::async_trait;

use super::{
    AcceptInvitation, AccessRow, ApiKeyChange, ApiKeyCursor, ApiKeyRow, ChangeMember, ClaimSetup, DeleteRole, DeleteWorkspace,
    IdentityRow, InsertInvitation, InsertMember, InsertRole, InsertWorkspace, InvitationRow, Invitee, JoinedWorkspace, MemberRow,
    NewRole, PageRequest, PasswordStep, Result, RoleChange, RoleGrant, RoleRow, RotateApiKey, RotateOutcome, RotateSession,
    SessionRow, SetupState, SetupTokenRow, UpdateRole, UserChange, UserRow, WorkspaceRow,
};
use crate::model::ids::{InvitationId, KeyId, SessionId, UserId, WorkspaceId};

/// People, sessions, roles, keys and workspaces. As for [`Store`](super::Store), each method is one atomic operation.
#[async_trait]
pub trait PeopleStore: Send + Sync + 'static {
    // ---- accounts (`accounts.rs`) ----

    /// Whether there is an owner yet.
    async fn setup_state(&self) -> Result<SetupState>;

    /// Stores the setup token. `false` if there is one, or an owner.
    ///
    /// Errors: `Conflict` if its id or hash is taken.
    async fn insert_setup_token(&self, token: &SetupTokenRow) -> Result<bool>;

    /// The setup token whose secret has this SHA-256, as long as there is no owner.
    async fn find_setup_token(&self, hash: &[u8; 32]) -> Result<Option<SetupTokenRow>>;

    /// Stores the first owner of a workspace for the setup token whose secret has this SHA-256. It is gone then.
    async fn claim_setup(&self, hash: &[u8; 32], user: &UserRow) -> Result<ClaimSetup>;

    /// Stores the first owner of a workspace. The setup token is gone then. `false` if there is an owner already, or somebody has the
    /// e-mail address.
    async fn insert_first_user(&self, user: &UserRow) -> Result<bool>;

    async fn find_user_by_email(&self, email: &str) -> Result<Option<UserRow>>;

    async fn find_user(&self, id: UserId) -> Result<Option<UserRow>>;

    /// The users of every workspace above `after`, by e-mail address.
    async fn list_accounts(&self, after: Option<&str>, limit: u32) -> Result<Vec<UserRow>>;

    /// Changes a password, and ends every session of the user but the one to keep. `false` if there is no such user, or one whose
    /// password has another hash than the step says.
    async fn set_password(&self, id: UserId, hash: &str, step: PasswordStep<'_>) -> Result<bool>;

    /// Whose account an identity at an OpenID provider belongs to.
    async fn find_identity(&self, issuer: &str, subject: &str) -> Result<Option<UserId>>;

    /// Remembers whose account an identity belongs to. `false` if it belongs to one already.
    ///
    /// Errors: `Conflict` if the user is not there.
    async fn insert_identity(&self, identity: &IdentityRow) -> Result<bool>;

    /// Puts another hash of the same password in the place of `from`. `false` if the password has changed since.
    async fn rehash_password(&self, id: UserId, from: &str, to: &str) -> Result<bool>;

    // ---- sessions (`sessions.rs`) ----

    /// Stores a session; the oldest of the user goes where there are more than [`SESSIONS_OF_USER_MAX`](super::SESSIONS_OF_USER_MAX). `false` if there is no such
    /// user, if it is disabled, or if its password has another hash than the one that was checked.
    ///
    /// Errors: `Conflict` (`sessions_key`) if its id is taken.
    async fn insert_session(&self, session: &SessionRow, password_hash: Option<&str>) -> Result<bool>;

    /// A session of a user who is not disabled, even an expired one.
    async fn find_session(&self, id: SessionId) -> Result<Option<SessionRow>>;

    /// Uses a refresh token: its successor takes its place. A token that was used before ends the session, unless it is the one
    /// before the present one and that was a moment ago: an answer may be lost, and two tabs may ask at once.
    async fn rotate_session(&self, step: &RotateSession) -> Result<RotateOutcome>;

    /// Lets a session live until `expires_at`, at most until its `ends_at`. `false` if it lives as long already, or is not there.
    async fn touch_session(&self, id: SessionId, expires_at: u64) -> Result<bool>;

    async fn delete_session(&self, id: SessionId) -> Result<bool>;

    // ---- members (`members.rs`) ----

    /// What a person may do in the wanted workspace; where none is wanted, in the home workspace, or else in the one that the
    /// person has been a member of for longest. `None` for somebody who is no member there, or disabled.
    async fn find_access(&self, user: UserId, wanted: Option<WorkspaceId>) -> Result<Option<AccessRow>>;

    /// Stores an account and makes it a member of its home workspace.
    ///
    /// Errors: `Conflict` if its id is taken or its workspace is not there.
    async fn insert_user(&self, user: &UserRow, role: &RoleGrant) -> Result<InsertMember>;

    /// Makes somebody who has an account a member.
    ///
    /// Errors: `Conflict` if the workspace is not there.
    async fn insert_member(&self, workspace: WorkspaceId, user: UserId, role: &RoleGrant, now_ms: u64) -> Result<InsertMember>;

    async fn find_member(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<MemberRow>>;

    /// Members of a workspace above `after`, by id: the oldest account first.
    async fn list_members(&self, workspace: WorkspaceId, after: Option<UserId>, limit: u32) -> Result<Vec<MemberRow>>;

    /// Gives a member another role.
    async fn set_member_role(&self, workspace: WorkspaceId, user: UserId, role: &RoleGrant) -> Result<ChangeMember>;

    /// Takes a member, and its API keys, out of a workspace. If that was its home, the next one is.
    async fn delete_member(&self, workspace: WorkspaceId, user: UserId) -> Result<ChangeMember>;

    /// Changes an account, whatever workspaces it is in. The sessions of one that is disabled end.
    async fn update_user(&self, id: UserId, change: &UserChange) -> Result<ChangeMember>;

    /// Deletes an account with everything that is its own: memberships, tokens, API keys.
    async fn delete_user(&self, id: UserId) -> Result<ChangeMember>;

    // ---- roles (`roles.rs`) ----

    /// Stores a role, at version 1.
    ///
    /// Errors: `Conflict` if its workspace is not there.
    async fn insert_role(&self, role: &NewRole) -> Result<InsertRole>;

    /// Changes a role, if it is at `expected_version`; whatever its version where none is given.
    async fn update_role(
        &self,
        workspace: WorkspaceId,
        name: &str,
        expected_version: Option<u32>,
        change: &RoleChange,
    ) -> Result<UpdateRole>;

    /// Deletes a role that nobody has, under the same condition as [`update_role`](Self::update_role).
    async fn delete_role(&self, workspace: WorkspaceId, name: &str, expected_version: Option<u32>) -> Result<DeleteRole>;

    async fn find_role(&self, workspace: WorkspaceId, name: &str) -> Result<Option<RoleRow>>;

    /// Roles of a workspace above `after`, by name, without those that every workspace has.
    async fn list_roles(&self, workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Result<Vec<RoleRow>>;

    // ---- API keys (`api_keys.rs`) ----

    /// Stores a key; `false` if its workspace has [`API_KEYS_MAX`](super::API_KEYS_MAX).
    ///
    /// Errors: `Conflict` if its id is taken, or its user or workspace is not there.
    async fn insert_api_key(&self, key: &ApiKeyRow) -> Result<bool>;

    /// A key, whatever its workspace, even an expired one: for whoever presents it.
    async fn get_api_key(&self, id: KeyId) -> Result<Option<ApiKeyRow>>;

    async fn find_api_key(&self, workspace: WorkspaceId, id: KeyId) -> Result<Option<ApiKeyRow>>;

    /// Keys of a workspace, or of one person in it, newest first.
    async fn list_api_keys(
        &self,
        workspace: WorkspaceId,
        user: Option<UserId>,
        page: &PageRequest<ApiKeyCursor>,
    ) -> Result<Vec<ApiKeyRow>>;

    /// Changes a key. `None` if it is not there.
    async fn update_api_key(&self, workspace: WorkspaceId, id: KeyId, change: &ApiKeyChange) -> Result<Option<ApiKeyRow>>;

    /// Gives a key another secret. `None` if it is not there, or has another one already.
    async fn rotate_api_key(&self, workspace: WorkspaceId, id: KeyId, rotation: &RotateApiKey) -> Result<Option<ApiKeyRow>>;

    async fn delete_api_key(&self, workspace: WorkspaceId, id: KeyId) -> Result<bool>;

    /// Records that a key was used at `now_ms`, unless that was recorded at `unless_after` or later.
    async fn touch_api_key(&self, id: KeyId, now_ms: u64, unless_after: u64) -> Result<bool>;

    // ---- workspaces (`workspaces.rs`) ----

    /// Stores a workspace with its owner.
    ///
    /// Errors: `Conflict` if its id is taken or the owner is not there.
    async fn insert_workspace(&self, workspace: &WorkspaceRow, owner: UserId) -> Result<InsertWorkspace>;

    async fn find_workspace(&self, id: WorkspaceId) -> Result<Option<WorkspaceRow>>;

    /// Workspaces above `after` that a person is a member of, by id: the oldest first.
    async fn list_workspaces(&self, user: UserId, after: Option<WorkspaceId>, limit: u32) -> Result<Vec<JoinedWorkspace>>;

    /// Gives a workspace another name. `None` if it is not there.
    async fn rename_workspace(&self, id: WorkspaceId, name: &str) -> Result<Option<WorkspaceRow>>;

    /// Deletes a workspace that has nothing but people, roles, keys and invitations in it. Its members stay as accounts; those that
    /// were at home there move to the workspace that they have been in for longest, or to the first one.
    async fn delete_workspace(&self, id: WorkspaceId) -> Result<DeleteWorkspace>;

    // ---- invitations (`invitations.rs`) ----

    /// Stores an invitation that gives this role. One of the same workspace and address is replaced, and expired ones go.
    ///
    /// Errors: `Conflict` if its id or hash is taken, or its workspace or inviter is not there.
    async fn insert_invitation(&self, invitation: &InvitationRow, role: &RoleGrant) -> Result<InsertInvitation>;

    /// The invitation whose secret has this SHA-256, even an expired one.
    async fn find_invitation(&self, hash: &[u8; 32]) -> Result<Option<InvitationRow>>;

    /// Invitations of a workspace above `after`, by id: the oldest first.
    async fn list_invitations(
        &self,
        workspace: WorkspaceId,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<InvitationRow>>;

    async fn delete_invitation(&self, workspace: WorkspaceId, id: InvitationId) -> Result<bool>;

    /// Uses an invitation up: makes the account, if it is a new one, and makes it a member.
    ///
    /// Errors: `Conflict` if the account's id is taken, or a known one is not there.
    async fn accept_invitation(&self, invitation: &InvitationRow, invitee: &Invitee, now_ms: u64) -> Result<AcceptInvitation>;
}
