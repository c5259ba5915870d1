//! Logins at OpenID providers: whose account somebody's identity belongs to, and what their groups make of them here. The providers
//! are the operator's: what they say about an address that they have verified is believed.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{AccountsService, ConsoleSession, access::grant, normalize_email, people_error::check_name};
use crate::{
    auth::{
        keyring::Keyring,
        oidc::{Answer, ExternalIdentity, OidcError, Pending, Provider},
        permissions::BuiltInRole,
        sealed,
    },
    clock,
    model::{
        audit::AuditEvent,
        ids::{UserId, WorkspaceId},
    },
    store::{
        API_KEYS_MAX, ChangeMember, IdentityRow, InsertMember, PageRequest, PasswordStep, StoreError, UserRow, WORKSPACES_MAX,
    },
};

/// What sealed logins belong to.
const CONTEXT: &str = "login at an OpenID provider";
/// Bytes of a sealed login, as text.
const SEALED_BYTES_MAX: usize = 4_096;

/// A provider that people may log in with.
#[derive(Clone)]
pub struct LoginProvider {
    /// What people read on the button.
    pub label: String,
    pub provider: Provider,
    pub rules: GroupRules,
}

/// What groups make of somebody in the first workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupRules {
    /// Roles by groups, those that count most first.
    pub roles: Vec<(String, String)>,
    /// The role of somebody in none of these groups; nobody is let in without one.
    pub default_role: Option<String>,
}

/// The providers by their names. Cheap to clone.
#[derive(Clone)]
pub struct LoginProviders {
    providers: Arc<BTreeMap<String, LoginProvider>>,
    keys: Arc<Keyring>,
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum ExternalLoginError {
    #[error("there is no such provider")]
    UnknownProvider,
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// It is known who it is, and they are not let in.
    #[error("{0}")]
    Denied(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl GroupRules {
    /// Of several groups the one whose role may do most counts; roles of one's own come last, by their names.
    pub fn new(roles: BTreeMap<String, String>, default_role: Option<String>) -> Self {
        let mut roles: Vec<(String, String)> = roles.into_iter().collect();
        let rank =
            |role: &str| BuiltInRole::ALL.iter().position(|known| known.as_str() == role).unwrap_or(BuiltInRole::ALL.len());
        roles.sort_by(|(_, left), (_, right)| (rank(left), left).cmp(&(rank(right), right)));
        Self { roles, default_role }
    }

    /// The role of somebody in these groups.
    fn role_of(&self, groups: &[String]) -> Option<&str> {
        let mapped = self.roles.iter().find(|(group, _)| groups.contains(group)).map(|(_, role)| role.as_str());
        mapped.or(self.default_role.as_deref())
    }
}

impl LoginProviders {
    pub fn new(providers: BTreeMap<String, LoginProvider>, keys: Arc<Keyring>) -> Self {
        Self { providers: Arc::new(providers), keys }
    }

    /// Every provider with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &LoginProvider)> {
        self.providers.iter().map(|(name, provider)| (name.as_str(), provider))
    }

    fn find(&self, name: &str) -> Result<&LoginProvider, ExternalLoginError> {
        self.providers.get(name).ok_or(ExternalLoginError::UnknownProvider)
    }

    /// Where to send a browser, and what it has to keep until it comes back.
    ///
    /// Errors: `UnknownProvider`, `Oidc`.
    pub async fn begin(
        &self,
        name: &str,
        redirect_uri: String,
        return_to: String,
    ) -> Result<(String, String), ExternalLoginError> {
        let (url, pending) = self.find(name)?.provider.begin(name, redirect_uri, return_to).await?;
        let text = serde_json::to_vec(&pending).expect("a pending login is plain data");
        Ok((url.into(), URL_SAFE_NO_PAD.encode(sealed::seal(&self.keys, &text, CONTEXT))))
    }

    /// What a browser has kept, if this server sealed it.
    ///
    /// Errors: `Oidc` (`NotPending`).
    pub fn open(&self, kept: &str) -> Result<Pending, ExternalLoginError> {
        let bytes = Some(kept).filter(|kept| kept.len() <= SEALED_BYTES_MAX).and_then(|kept| URL_SAFE_NO_PAD.decode(kept).ok());
        let opened = bytes.and_then(|bytes| sealed::open(&self.keys, &bytes, CONTEXT).ok());
        let pending = opened.and_then(|text| serde_json::from_slice(&text).ok());
        pending.ok_or(ExternalLoginError::Oidc(OidcError::NotPending))
    }
}

impl AccountsService {
    /// Logs somebody in who comes back from a provider with a code. What that has changed comes to `changes`, also where the login
    /// fails in the end.
    ///
    /// Errors: every variant.
    pub async fn login_external(
        &self,
        providers: &LoginProviders,
        pending: &Pending,
        answer: &Answer<'_>,
        changes: &mut Vec<AuditEvent>,
    ) -> Result<ConsoleSession, ExternalLoginError> {
        let LoginProvider { provider, rules, .. } = providers.find(&pending.provider)?;
        let identity = provider.finish(pending, answer).await?;
        let role = rules.role_of(&identity.groups);
        // Before anything is changed for somebody who is not let in.
        if !rules.roles.is_empty() && role.is_none() {
            return Err(NO_GROUP);
        }
        let user = match self.inner.store.find_identity(&identity.issuer, &identity.subject).await? {
            Some(id) => self.inner.store.find_user(id).await?.ok_or(ExternalLoginError::Denied("the account is gone"))?,
            None => self.adopt(&identity, role, changes).await?,
        };
        if user.disabled_at.is_some() {
            return Err(DISABLED);
        }
        if let Some(role) = role.filter(|_| !rules.roles.is_empty()) {
            self.align(user.id, role, changes).await?;
        }
        self.begin_console(&user).await?.ok_or(ExternalLoginError::Denied("the account has just been changed"))
    }

    /// Finds or makes the account of somebody who comes for the first time, and remembers who they are at the provider.
    async fn adopt(
        &self,
        identity: &ExternalIdentity,
        role: Option<&str>,
        changes: &mut Vec<AuditEvent>,
    ) -> Result<UserRow, ExternalLoginError> {
        let no_address = ExternalLoginError::Denied("the provider says no e-mail address that it has verified");
        let email = identity.email.as_deref().and_then(normalize_email).ok_or(no_address)?;
        let user = match self.inner.store.find_user_by_email(&email).await? {
            Some(user) => self.take_over(user, changes).await?,
            None => {
                let user = self.make_external(identity, email, role).await?;
                changes.push(AuditEvent::UserCreated(user.id));
                user
            }
        };
        let ExternalIdentity { issuer, subject, .. } = identity.clone();
        let row = IdentityRow { issuer, subject, user: user.id, created_at: clock::now_ms() };
        // Two logins at once: the other one has remembered the same.
        self.inner.store.insert_identity(&row).await?;
        tracing::info!(user.id = %user.id, oidc.issuer = row.issuer, "somebody has logged in at an OpenID provider for the first time");
        Ok(user)
    }

    /// Gives an account to the person whose address the provider has verified. Whoever made it may have known its password: that, and
    /// what came of it, is worth nothing from now on.
    async fn take_over(&self, user: UserRow, changes: &mut Vec<AuditEvent>) -> Result<UserRow, ExternalLoginError> {
        if user.disabled_at.is_some() {
            return Err(DISABLED);
        }
        if user.workspace != WorkspaceId::DEFAULT {
            return Err(ExternalLoginError::Denied("another workspace has made an account with this address"));
        }
        let store = &self.inner.store;
        if !user.password_hash.is_empty() {
            store.set_password(user.id, "", PasswordStep::default()).await?;
            changes.push(AuditEvent::PasswordChanged(user.id));
        }
        let page = PageRequest { after: None, limit: API_KEYS_MAX };
        for joined in store.list_workspaces(user.id, None, WORKSPACES_MAX).await? {
            for key in store.list_api_keys(joined.workspace.id, Some(user.id), &page).await? {
                store.delete_api_key(joined.workspace.id, key.id).await?;
                changes.push(AuditEvent::KeyDeleted(key.id.to_string()));
            }
        }
        self.inner.cache.clear();
        Ok(UserRow { password_hash: String::new(), ..user })
    }

    /// Makes an account without a password.
    async fn make_external(
        &self,
        identity: &ExternalIdentity,
        email: String,
        role: Option<&str>,
    ) -> Result<UserRow, ExternalLoginError> {
        let role = role.ok_or(NO_GROUP)?;
        let user = UserRow {
            id: UserId::from_uuid(clock::new_uuid()),
            workspace: WorkspaceId::DEFAULT,
            // A name of the provider that is none here is worth no refusal.
            name: identity.name.as_deref().and_then(|name| check_name(name).ok()).unwrap_or_else(|| email.clone()),
            email,
            password_hash: String::new(),
            created_at: clock::now_ms(),
            disabled_at: None,
        };
        match self.inner.store.insert_user(&user, &grant(role)).await? {
            InsertMember::Inserted => Ok(user),
            // Somebody was faster with this address: the next login finds them.
            InsertMember::Exists | InsertMember::NoUser => {
                Err(ExternalLoginError::Denied("the account has just been made: try again"))
            }
            InsertMember::NoRole => Err(ExternalLoginError::Denied("the operator gives a role that the workspace does not have")),
            InsertMember::Full => Err(ExternalLoginError::Denied("the workspace takes no more members")),
        }
    }

    /// Gives somebody the role that their groups say, which may have changed since the last login.
    async fn align(&self, user: UserId, role: &str, changes: &mut Vec<AuditEvent>) -> Result<(), ExternalLoginError> {
        let workspace = WorkspaceId::DEFAULT;
        let store = &self.inner.store;
        let changed = match store.find_member(workspace, user).await? {
            Some(member) if member.role == role => return Ok(()),
            Some(_) => store.set_member_role(workspace, user, &grant(role)).await?,
            None => match store.insert_member(workspace, user, &grant(role), clock::now_ms()).await? {
                InsertMember::Inserted | InsertMember::Exists => ChangeMember::Changed,
                InsertMember::NoUser => ChangeMember::NotFound,
                InsertMember::NoRole => ChangeMember::NoRole,
                InsertMember::Full => return Err(ExternalLoginError::Denied("the workspace takes no more members")),
            },
        };
        self.inner.cache.forget_user(user, None);
        match changed {
            ChangeMember::Changed => {
                changes.push(AuditEvent::MemberUpdated(user));
                Ok(())
            }
            ChangeMember::LastOwner => {
                tracing::warn!(user.id = %user, role, "the last owner stays one, whatever the groups say");
                Ok(())
            }
            ChangeMember::NotFound => Err(ExternalLoginError::Denied("the account is gone")),
            ChangeMember::NoRole => Err(ExternalLoginError::Denied("the operator gives a role that the workspace does not have")),
        }
    }
}

const DISABLED: ExternalLoginError = ExternalLoginError::Denied("the account is disabled");
const NO_GROUP: ExternalLoginError = ExternalLoginError::Denied("none of your groups may use this server");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_that_may_do_most_counts() {
        let rule = |group: &str, role: &str| (group.to_owned(), role.to_owned());
        let rules = GroupRules::new([rule("all", "viewer"), rule("zz-admins", "admin"), rule("own", "deployer")].into(), None);
        let role_of = |rules: &GroupRules, groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            rules.role_of(&groups).map(str::to_owned)
        };
        assert_eq!(role_of(&rules, &["all", "own", "zz-admins"]).as_deref(), Some("admin"));
        assert_eq!(role_of(&rules, &["all"]).as_deref(), Some("viewer"));
        assert_eq!(role_of(&rules, &["others"]), None);
        let open = GroupRules { default_role: Some("viewer".to_owned()), ..GroupRules::default() };
        assert_eq!(role_of(&open, &[]).as_deref(), Some("viewer"));
    }
}
