//! Logins, and what follows from them: sessions of browsers, and families of refresh tokens with the access tokens that they give out.

use std::net::IpAddr;

use super::{AccountsService, LoginError, TokenError, normalize_email};
use crate::{
    auth::{
        password::{PasswordError, Passwords},
        token::{Label, Token},
    },
    clock,
    model::ids::{SessionId, TokenId, UserId, WorkspaceId},
    store::{RotateOutcome, RotateSession, SessionKind, SessionRow, StoreError, UserRow},
};

/// How long a console session lasts without being used, in milliseconds.
pub(super) const CONSOLE_IDLE_MS: u64 = 12 * 3_600_000;
/// How long a console session lasts, however it is used, in milliseconds.
pub const CONSOLE_MS: u64 = 14 * 86_400_000;
/// Life of a refresh token, in milliseconds.
const REFRESH_MS: u64 = 14 * 86_400_000;
/// How long a login can be refreshed, in milliseconds.
const FAMILY_MS: u64 = 90 * 86_400_000;
/// How long a used refresh token may be used again, in milliseconds: for lost answers, and for two tabs.
const GRACE_MS: u64 = 10_000;

/// Whose session something is, and where they are at home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whose {
    pub user: UserId,
    pub home: WorkspaceId,
}

/// What a login hands out to a program.
pub struct TokenPair {
    pub user: UserId,
    /// A JWT.
    pub access: String,
    pub refresh: Token,
}

/// What a login hands out to a browser.
pub struct ConsoleSession {
    pub whose: Whose,
    /// What the cookie holds.
    pub token: Token,
}

impl AccountsService {
    /// Checks a password and hands out tokens.
    ///
    /// Errors: every variant.
    pub async fn login(&self, email: &str, password: &str, address: IpAddr) -> Result<(Whose, TokenPair), LoginError> {
        let user = self.check_login(email, password, address).await?;
        let pair = self.begin_family(&user).await?.ok_or(LoginError::Wrong(Some(user.id)))?;
        Ok((Whose::of(&user), pair))
    }

    /// Checks a password and begins a session of a browser.
    ///
    /// Errors: every variant.
    pub async fn open_console(&self, email: &str, password: &str, address: IpAddr) -> Result<ConsoleSession, LoginError> {
        let user = self.check_login(email, password, address).await?;
        self.begin_console(&user).await?.ok_or(LoginError::Wrong(Some(user.id)))
    }

    /// Begins a family of tokens. `None` if the user has been disabled, or has another password by now.
    pub(super) async fn begin_family(&self, user: &UserRow) -> Result<Option<TokenPair>, StoreError> {
        let (id, now_ms) = (SessionId::from_uuid(clock::new_uuid()), clock::now_ms());
        let mut random = [0; 16];
        clock::fill_random(&mut random);
        let refresh = self.inner.refresh_tokens.issue(id, &random);
        let session = SessionRow {
            expires_at: now_ms + REFRESH_MS,
            ends_at: now_ms + FAMILY_MS,
            ..new_session(id, SessionKind::Refresh, user.id, &refresh, now_ms)
        };
        let is_stored = self.inner.store.insert_session(&session, Some(&user.password_hash)).await?;
        Ok(is_stored.then(|| TokenPair { user: user.id, access: self.issue_access(user.id, id, now_ms), refresh }))
    }

    /// Begins a session of a browser. `None` as in [`begin_family`](Self::begin_family).
    pub(super) async fn begin_console(&self, user: &UserRow) -> Result<Option<ConsoleSession>, StoreError> {
        let (id, now_ms) = (SessionId::from_uuid(clock::new_uuid()), clock::now_ms());
        let mut secret = [0; 32];
        clock::fill_random(&mut secret);
        let token = Token::new(Label::Session, TokenId::from_uuid(id.uuid()), &secret);
        let session = SessionRow {
            expires_at: now_ms + CONSOLE_IDLE_MS,
            ends_at: now_ms + CONSOLE_MS,
            ..new_session(id, SessionKind::Console, user.id, &token, now_ms)
        };
        let is_stored = self.inner.store.insert_session(&session, Some(&user.password_hash)).await?;
        Ok(is_stored.then_some(ConsoleSession { whose: Whose::of(user), token }))
    }

    /// Exchanges a refresh token for a new pair. A refresh token works once; within [`GRACE_MS`] it gives the same successor again.
    ///
    /// Errors: `Invalid`, `Reused`, `Store`.
    pub async fn refresh(&self, text: &str) -> Result<TokenPair, TokenError> {
        let (id, token) = self.inner.refresh_tokens.read(text).map_err(|_| TokenError::Invalid)?;
        let mut successors = self.inner.refresh_tokens.successors(id, &token);
        let now_ms = clock::now_ms();
        let step = RotateSession {
            id,
            from: token.hash(),
            to: successors[0].hash(),
            now_ms,
            expires_at: now_ms + REFRESH_MS,
            grace_ms: GRACE_MS,
        };
        let (user, hash) = match self.inner.store.rotate_session(&step).await? {
            RotateOutcome::Rotated { user } => (user, step.to),
            RotateOutcome::Repeated { user, hash } => (user, hash),
            RotateOutcome::Reused { user } => {
                tracing::warn!(user.id = %user, session.id = %id, "a refresh token was used again: its session has ended");
                self.inner.cache.forget_session(id);
                return Err(TokenError::Reused { user });
            }
            RotateOutcome::Gone => return Err(TokenError::Invalid),
        };
        // In a rotation of the master key another node may have derived it from another key.
        let at = successors.iter().position(|successor| successor.hash() == hash).ok_or(TokenError::Invalid)?;
        Ok(TokenPair { user, access: self.issue_access(user, id, now_ms), refresh: successors.swap_remove(at) })
    }

    /// Ends the sessions that an access token and a refresh token belong to, as far as the caller has them. Answers whose they were.
    ///
    /// Errors: those of the store. An unknown token belongs to no session.
    pub async fn logout(&self, access: Option<&str>, refresh: Option<&str>) -> Result<Option<Whose>, StoreError> {
        let by_access = access.and_then(|text| self.inner.access_tokens.read_expired(text).ok()).map(|access| access.session);
        let by_refresh = refresh.and_then(|text| self.inner.refresh_tokens.read(text).ok()).map(|(session, _)| session);
        let mut whose = None;
        for session in by_access.into_iter().chain(by_refresh) {
            whose = self.end_session(session).await?.or(whose);
        }
        Ok(whose)
    }

    /// Ends a session. Answers whose it was; `None` if there was none.
    ///
    /// Errors: those of the store.
    pub async fn end_session(&self, session: SessionId) -> Result<Option<Whose>, StoreError> {
        let Some(row) = self.inner.store.find_session(session).await? else { return Ok(None) };
        let is_deleted = self.inner.store.delete_session(session).await?;
        self.inner.cache.forget_session(session);
        let user = self.inner.store.find_user(row.user).await?.filter(|_| is_deleted);
        Ok(user.as_ref().map(Whose::of))
    }

    fn issue_access(&self, user: UserId, session: SessionId, now_ms: u64) -> String {
        self.inner.access_tokens.issue(user, session, clock::new_uuid(), now_ms)
    }

    /// Whoever has this address and password.
    ///
    /// Errors: every variant.
    pub(super) async fn check_login(&self, email: &str, password: &str, address: IpAddr) -> Result<UserRow, LoginError> {
        let email = normalize_email(email).ok_or(LoginError::Wrong(None))?;
        let mut attempt = self.begin_attempt(&email, address)?;
        let user = self.inner.store.find_user_by_email(&email).await?;
        let hash = user.as_ref().map(|user| user.password_hash.as_str()).filter(|hash| !hash.is_empty());
        let is_right = self.inner.passwords.verify(password, hash).await?;
        attempt.failed();
        let known = user.as_ref().map(|user| user.id);
        let user = user.filter(|user| is_right && user.disabled_at.is_none()).ok_or(LoginError::Wrong(known))?;
        attempt.succeeded();
        Ok(self.rehash(user, password).await)
    }

    /// Stores a hash as one is made today, if the user's is an older one. Whether that works or not, the user is let in.
    async fn rehash(&self, user: UserRow, password: &str) -> UserRow {
        if !Passwords::is_outdated(&user.password_hash) {
            return user;
        }
        match self.replace_hash(&user, password).await {
            Ok(password_hash) => UserRow { password_hash, ..user },
            Err(error) => {
                tracing::warn!(user.id = %user.id, cause = %error, "an old password hash could not be replaced");
                user
            }
        }
    }

    async fn replace_hash(&self, user: &UserRow, password: &str) -> Result<String, LoginError> {
        let hash = match self.inner.passwords.hash(password, salt()).await {
            // It was long enough when it was chosen.
            Err(PasswordError::Length) => return Ok(user.password_hash.clone()),
            hashed => hashed?,
        };
        let is_replaced = self.inner.store.rehash_password(user.id, &user.password_hash, &hash).await?;
        Ok(if is_replaced { hash } else { user.password_hash.clone() })
    }
}

impl Whose {
    pub(super) fn of(user: &UserRow) -> Self {
        Self { user: user.id, home: user.workspace }
    }
}

/// A random salt.
pub(super) fn salt() -> [u8; 16] {
    let mut salt = [0; 16];
    clock::fill_random(&mut salt);
    salt
}

fn new_session(id: SessionId, kind: SessionKind, user: UserId, token: &Token, now_ms: u64) -> SessionRow {
    SessionRow {
        id,
        user,
        kind,
        hash: token.hash(),
        previous_hash: None,
        rotated_at: now_ms,
        created_at: now_ms,
        expires_at: now_ms,
        ends_at: now_ms,
    }
}
