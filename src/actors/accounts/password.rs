//! Changes of passwords: by their owner, who knows the present one, and by the operator of the server.

use std::net::IpAddr;

use super::{AccountsService, Caller, LoginError, Whose, login::salt, normalize_email};
use crate::{
    auth::password::PasswordError,
    store::{PasswordStep, StoreError},
};

/// Why a password is not changed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordChangeError {
    /// The caller is nobody who has a password.
    #[error("only people have passwords")]
    Nobody,
    #[error("the present password is wrong")]
    Wrong,
    #[error("too many wrong passwords")]
    TooMany { retry_after_ms: u64 },
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A change of one's own password. Has no `Debug`: it holds passwords.
pub struct PasswordChange<'a> {
    pub current: &'a str,
    pub new: &'a str,
    /// Where the request comes from.
    pub address: IpAddr,
}

impl AccountsService {
    /// Changes the caller's password, and ends every other session of theirs. Guesses at the present one are slowed down as at a login.
    ///
    /// Errors: every variant.
    pub async fn change_password(&self, caller: &Caller, change: &PasswordChange<'_>) -> Result<(), PasswordChangeError> {
        let id = caller.user.ok_or(PasswordChangeError::Nobody)?;
        let user = self.inner.store.find_user(id).await?.ok_or(PasswordChangeError::Nobody)?;
        let mut attempt = self.begin_attempt(&user.email, change.address)?;
        let hash = Some(user.password_hash.as_str()).filter(|hash| !hash.is_empty());
        let is_right = self.inner.passwords.verify(change.current, hash).await?;
        attempt.failed();
        if !is_right {
            return Err(PasswordChangeError::Wrong);
        }
        attempt.succeeded();
        let hash = self.inner.passwords.hash(change.new, salt()).await?;
        let step = PasswordStep { from: Some(&user.password_hash), keep: caller.session };
        // Somebody else has given the account another password meanwhile: that one stays.
        if !self.inner.store.set_password(id, &hash, step).await? {
            return Err(PasswordChangeError::Wrong);
        }
        self.inner.cache.forget_user(id, caller.session);
        Ok(())
    }

    /// Gives somebody another password, and ends all of their sessions. `None` if nobody has this address.
    ///
    /// Errors: `Password`, `Store`.
    pub async fn reset_password(&self, email: &str, password: &str) -> Result<Option<Whose>, PasswordChangeError> {
        let Some(email) = normalize_email(email) else { return Ok(None) };
        let Some(user) = self.inner.store.find_user_by_email(&email).await? else { return Ok(None) };
        let hash = self.inner.passwords.hash(password, salt()).await?;
        let is_changed = self.inner.store.set_password(user.id, &hash, PasswordStep::default()).await?;
        self.inner.cache.forget_user(user.id, None);
        Ok(is_changed.then(|| Whose::of(&user)))
    }
}

impl From<LoginError> for PasswordChangeError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong(_) => Self::Wrong,
            LoginError::TooMany { retry_after_ms } => Self::TooMany { retry_after_ms },
            LoginError::Password(source) => Self::Password(source),
            LoginError::Store(source) => Self::Store(source),
        }
    }
}
