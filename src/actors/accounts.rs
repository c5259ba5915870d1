//! Who may use the server: the first owner, logins, sessions, and whose a request is. Called by the HTTP extractors, the login
//! routes, the start of a server, and the commands that look after people. Never keeps a secret: the store has hashes only.

mod access;
mod authenticate;
mod external;
mod invitations;
mod keys;
mod login;
mod login_delay;
mod password;
mod people;
mod people_error;
mod profile;
mod roles;
mod setup;
mod token_cache;
mod workspaces;

use std::{path::PathBuf, sync::Arc};

pub use self::{
    access::Access,
    authenticate::Presented,
    external::{ExternalLoginError, GroupRules, LoginProvider, LoginProviders},
    invitations::{Acceptance, INVITATION_MS_MAX, NewInvitation},
    keys::{GRACE_MS_MAX, KeyChange, KeyDraft},
    login::{CONSOLE_MS, ConsoleSession, TokenPair, Whose},
    password::{PasswordChange, PasswordChangeError},
    people::{ChangedUser, Enrolment, NewUser},
    people_error::{Made, PeopleError, Thing},
    profile::Profile,
    roles::{ROLE_NAME_CHARS_MAX, Role, RoleDraft},
    setup::{NewPerson, SetupClaim, SetupError, SetupToken},
};
use self::{login_delay::LoginDelay, token_cache::TokenCache};
use crate::{
    auth::{
        access_token::AccessTokens,
        keyring::Keyring,
        password::{PasswordError, Passwords},
        permissions::PermissionSet,
        refresh_token::RefreshTokens,
    },
    config::Switch,
    model::{
        ids::{SessionId, TokenId, UserId, WorkspaceId},
        limits::NAME_CHARS_MAX,
    },
    store::{Store, StoreError},
};

/// Bytes of an e-mail address. Source: RFC 5321 section 4.5.3.1.3.
const EMAIL_BYTES_MAX: usize = 254;

/// Accounts, sessions and tokens. Cheap to clone.
#[derive(Clone)]
pub struct AccountsService {
    inner: Arc<Inner>,
}

/// What the service works with.
pub struct AccountsParts<'a> {
    pub store: Arc<dyn Store>,
    /// Whether rates are limited at all: switches the delays after failed logins on and off.
    pub limits: Switch,
    /// What tokens are signed with.
    pub keyring: &'a Keyring,
    /// Where the setup token is kept for the person who starts the server.
    pub setup_file: PathBuf,
}

struct Inner {
    store: Arc<dyn Store>,
    passwords: Passwords,
    delay: LoginDelay,
    limits: Switch,
    cache: TokenCache,
    access_tokens: AccessTokens,
    refresh_tokens: RefreshTokens,
    setup_file: PathBuf,
}

/// Whoever a request comes from: holding one proves the right to act in the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub workspace: WorkspaceId,
    /// `None` for the setup token.
    pub user: Option<UserId>,
    /// What let it in: a key, a session, the setup token.
    pub token: TokenId,
    /// The session, if that is what let it in.
    pub session: Option<SessionId>,
    /// What it may do there.
    pub permissions: PermissionSet,
}

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Malformed, unknown, expired, or of the wrong kind: a caller is not told which.
    #[error("the token is not valid")]
    Invalid,
    /// A refresh token that has been used before: a caller is not told. Its session is over.
    #[error("the token has been used before")]
    Reused { user: UserId },
    /// It is not good for the wanted workspace, or its user belongs to none.
    #[error("the token is not good for this workspace")]
    Workspace,
    /// A key, whose owner is a member of the wanted workspace: it is good for its own only.
    #[error("the key is not good for this workspace")]
    KeyElsewhere,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a login is refused.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Wrong password, no such account, or a disabled one: a caller is not told which. Whose account it is, for the audit log.
    #[error("the e-mail address or the password is wrong")]
    Wrong(Option<UserId>),
    #[error("too many failed logins")]
    TooMany { retry_after_ms: u64 },
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccountsService {
    /// A service over a store.
    pub fn new(parts: AccountsParts<'_>) -> Self {
        let AccountsParts { store, limits, keyring, setup_file } = parts;
        let inner = Inner {
            store,
            passwords: Passwords::default(),
            delay: LoginDelay::default(),
            limits,
            cache: TokenCache::default(),
            access_tokens: AccessTokens::new(keyring),
            refresh_tokens: RefreshTokens::new(keyring),
            setup_file,
        };
        Self { inner: Arc::new(inner) }
    }
}

/// The form in which an address is stored and compared; `None` if it cannot be one.
pub fn normalize_email(email: &str) -> Option<String> {
    let email = email.trim().to_lowercase();
    let (name, domain) = email.split_once('@')?;
    let plausible = !name.is_empty() && !domain.is_empty() && !email.contains(|c: char| c.is_whitespace() || c.is_control());
    (plausible && email.len() <= EMAIL_BYTES_MAX).then_some(email)
}

/// A person's name as it is stored; `None` if it is too long, or has characters that are none of a name.
pub fn normalize_name(name: &str) -> Option<String> {
    let name = name.trim();
    (name.chars().count() <= NAME_CHARS_MAX && !name.contains(char::is_control)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_addresses_in_one_form() {
        assert_eq!(normalize_email("  Ada@Example.ORG ").as_deref(), Some("ada@example.org"));
        for wrong in ["", "ada", "@example.org", "ada@", "a da@example.org", "ada\u{0}@example.org"] {
            assert_eq!(normalize_email(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn email_and_name_lengths_obeyed_and_violated() {
        let domain = "@example.org";
        let longest = "a".repeat(EMAIL_BYTES_MAX - domain.len()) + domain;
        assert!(normalize_email(&longest).is_some() && normalize_email(&format!("a{longest}")).is_none());
        let longest = "\u{e9}".repeat(NAME_CHARS_MAX);
        assert!(normalize_name(&longest).is_some() && normalize_name(&format!("a{longest}")).is_none());
        assert_eq!(normalize_name("a\nb"), None);
    }
}
