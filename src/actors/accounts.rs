//! Who may use the server: the first owner, logins, and whose token a request carries. Called by the HTTP extractors, the
//! login routes and the start of a server. Never keeps a secret: the store has hashes only.

mod login_delay;
mod token_cache;

use std::{net::IpAddr, sync::Arc};

use uuid::Uuid;

use self::{login_delay::LoginDelay, token_cache::TokenCache};
use crate::{
    auth::{
        password::{PasswordError, Passwords},
        permissions::PermissionSet,
        token::{Label, Token},
    },
    clock,
    config::Switch,
    model::ids::{TokenId, UserId, WorkspaceId},
    store::{Store, StoreError, TokenKind, TokenRow, UserRow},
};

/// Life of an access token, in milliseconds.
pub const ACCESS_MS: u64 = 10 * 60_000;
/// Life of a refresh token, in milliseconds.
const REFRESH_MS: u64 = 14 * 86_400_000;
/// Bytes of an e-mail address. Source: RFC 5321 section 4.5.3.1.3.
const EMAIL_BYTES_MAX: usize = 254;
/// The first owner token has a fixed id, so that of two servers that start at once one wins.
const FIRST_OWNER: TokenId = TokenId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002));

/// Accounts and tokens. Cheap to clone.
#[derive(Clone)]
pub struct AccountsService {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    passwords: Passwords,
    delay: LoginDelay,
    /// Whether rates are limited at all.
    limits: Switch,
    cache: TokenCache,
}

/// Whoever a valid token stands for: holding one proves the right to act in the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub workspace: WorkspaceId,
    /// `None` for a key that belongs to nobody in particular.
    pub user: Option<UserId>,
    pub token: TokenId,
    /// What it may do there.
    pub permissions: PermissionSet,
}

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Malformed, unknown, expired, or of the wrong kind: a caller is not told which.
    #[error("the token is not valid")]
    Invalid,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a login is refused.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Wrong password or no such account: a caller is not told which.
    #[error("the e-mail address or the password is wrong")]
    Wrong,
    #[error("too many failed logins")]
    TooMany { retry_after_ms: u64 },
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the first owner cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    #[error("the e-mail address of the first owner is not valid")]
    Email,
    #[error("cannot make the first owner")]
    Password(#[from] PasswordError),
    #[error("cannot keep the owner token")]
    Keep(#[source] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a login hands out.
pub struct TokenPair {
    pub access: Token,
    pub refresh: Token,
}

impl AccountsService {
    /// A service over a store; `limits` switches the delays after failed logins on and off.
    pub fn new(store: Arc<dyn Store>, limits: Switch) -> Self {
        let (passwords, cache) = (Passwords::default(), TokenCache::default());
        Self { inner: Arc::new(Inner { store, passwords, delay: LoginDelay::default(), limits, cache }) }
    }

    /// Makes the owner token of a new store. `keep` gets its text *before* it is valid, so that a crash cannot lose it.
    /// Answers the token if this call made it.
    ///
    /// Errors: `Keep`, `Store`.
    pub async fn ensure_owner_token(&self, keep: impl FnOnce(&str) -> std::io::Result<()>) -> Result<Option<Token>, OwnerError> {
        if self.inner.store.has_token(TokenKind::Owner).await? {
            return Ok(None);
        }
        let (token, mut row) = draw(Label::Live, TokenKind::Owner, WorkspaceId::DEFAULT, None, None);
        row.id = FIRST_OWNER;
        keep(token.expose()).map_err(OwnerError::Keep)?;
        match self.inner.store.insert_token(&row).await {
            Ok(()) => Ok(Some(token)),
            Err(StoreError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the first user of a new store. Answers whether this call made it.
    ///
    /// Errors: `Email`, `Password`, `Store`.
    pub async fn ensure_first_user(&self, email: &str, password: &str) -> Result<bool, OwnerError> {
        let email = normalize_email(email).ok_or(OwnerError::Email)?;
        if self.inner.store.find_user_by_email(&email).await?.is_some() {
            return Ok(false);
        }
        let mut salt = [0; 16];
        clock::fill_random(&mut salt);
        let user = UserRow {
            id: UserId::from_uuid(clock::new_uuid()),
            workspace: WorkspaceId::DEFAULT,
            email,
            password_hash: self.inner.passwords.hash(password, salt).await?,
            created_at: clock::now_ms(),
        };
        Ok(self.inner.store.insert_first_user(&user).await?)
    }

    /// Whose token it is. Refresh tokens open nothing but [`Self::refresh`].
    ///
    /// Errors: every variant.
    pub async fn authenticate(&self, text: &str) -> Result<Caller, TokenError> {
        let hash = Token::parse(text).map_err(|_| TokenError::Invalid)?.hash();
        let now_ms = clock::now_ms();
        if let Some(caller) = self.inner.cache.get(&hash, now_ms) {
            return Ok(caller);
        }
        let row = self.find_valid(&hash, &[TokenKind::Owner, TokenKind::Access], now_ms).await?;
        let caller = Caller { workspace: row.workspace, user: row.user, token: row.id, permissions: PermissionSet::ALL };
        self.inner.cache.put(hash, caller, row.expires_at, now_ms);
        Ok(caller)
    }

    /// Whose token it is, if that was looked up a moment ago: never waits for the store.
    pub fn recall(&self, text: &str) -> Option<Caller> {
        self.inner.cache.get(&Token::parse(text).ok()?.hash(), clock::now_ms())
    }

    /// Checks a password and hands out tokens.
    ///
    /// Errors: every variant.
    pub async fn login(&self, email: &str, password: &str, address: IpAddr) -> Result<TokenPair, LoginError> {
        let email = normalize_email(email).ok_or(LoginError::Wrong)?;
        let is_limited = self.inner.limits.is_on();
        let retry_after_ms = self.inner.delay.wait_ms(&email, address, clock::now_ms());
        if is_limited && retry_after_ms > 0 {
            return Err(LoginError::TooMany { retry_after_ms });
        }
        let user = self.inner.store.find_user_by_email(&email).await?;
        let right = self.inner.passwords.verify(password, user.as_ref().map(|user| user.password_hash.as_str())).await?;
        let Some(user) = user.filter(|_| right) else {
            if is_limited {
                self.inner.delay.record_failure(&email, address, clock::now_ms());
            }
            return Err(LoginError::Wrong);
        };
        self.inner.delay.record_success(&email, address);
        Ok(self.issue(user.workspace, Some(user.id)).await?)
    }

    /// Exchanges a refresh token for a new pair. A refresh token works once.
    ///
    /// Errors: every variant.
    pub async fn refresh(&self, text: &str) -> Result<TokenPair, TokenError> {
        let hash = Token::parse(text).map_err(|_| TokenError::Invalid)?.hash();
        let row = self.find_valid(&hash, &[TokenKind::Refresh], clock::now_ms()).await?;
        // Of two requests with the same token, the one that deletes it wins.
        if !self.inner.store.delete_token(row.id).await? {
            return Err(TokenError::Invalid);
        }
        Ok(self.issue(row.workspace, row.user).await?)
    }

    /// Revokes the access token and the refresh token of a session, as far as the caller has them.
    ///
    /// Errors: `Store`. An unknown token is revoked already.
    pub async fn logout(&self, access: Option<&str>, refresh: Option<&str>) -> Result<(), TokenError> {
        let tokens = [(access, TokenKind::Access), (refresh, TokenKind::Refresh)];
        for (text, kind) in tokens {
            let Some(Ok(token)) = text.map(Token::parse) else { continue };
            match self.find_valid(&token.hash(), &[kind], clock::now_ms()).await {
                Ok(row) => self.inner.store.delete_token(row.id).await?,
                Err(TokenError::Invalid) => false,
                Err(error @ TokenError::Store(_)) => return Err(error),
            };
            self.inner.cache.forget(&token.hash());
        }
        Ok(())
    }

    /// The person behind a caller, if there is one.
    ///
    /// Errors: those of the store.
    pub async fn find_user(&self, caller: &Caller) -> Result<Option<UserRow>, StoreError> {
        match caller.user {
            Some(id) => self.inner.store.find_user(id).await,
            None => Ok(None),
        }
    }

    /// Draws and stores a pair of tokens.
    async fn issue(&self, workspace: WorkspaceId, user: Option<UserId>) -> Result<TokenPair, StoreError> {
        let (access, access_row) = draw(Label::Access, TokenKind::Access, workspace, user, Some(ACCESS_MS));
        let (refresh, refresh_row) = draw(Label::Refresh, TokenKind::Refresh, workspace, user, Some(REFRESH_MS));
        self.inner.store.insert_token(&access_row).await?;
        self.inner.store.insert_token(&refresh_row).await?;
        Ok(TokenPair { access, refresh })
    }

    /// The stored token, if it is of one of these kinds and has not expired.
    async fn find_valid(&self, hash: &[u8; 32], kinds: &[TokenKind], now_ms: u64) -> Result<TokenRow, TokenError> {
        let row = self.inner.store.find_token(hash).await?;
        row.filter(|row| kinds.contains(&row.kind) && row.expires_at.is_none_or(|at| now_ms < at)).ok_or(TokenError::Invalid)
    }
}

/// Draws a token and the row that the store keeps of it.
fn draw(label: Label, kind: TokenKind, workspace: WorkspaceId, user: Option<UserId>, life_ms: Option<u64>) -> (Token, TokenRow) {
    let id = TokenId::from_uuid(clock::new_uuid());
    let mut secret = [0; 32];
    clock::fill_random(&mut secret);
    let token = Token::new(label, id, &secret);
    let created_at = clock::now_ms();
    let row =
        TokenRow { id, workspace, kind, user, hash: token.hash(), created_at, expires_at: life_ms.map(|life| created_at + life) };
    (token, row)
}

/// The form in which an address is stored and compared; `None` if it cannot be one.
fn normalize_email(email: &str) -> Option<String> {
    let email = email.trim().to_lowercase();
    let (name, domain) = email.split_once('@')?;
    let plausible = !name.is_empty() && !domain.is_empty() && !email.contains(char::is_whitespace);
    (plausible && email.len() <= EMAIL_BYTES_MAX).then_some(email)
}
