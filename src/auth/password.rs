//! Password hashes: Argon2id on the blocking pool, a bounded number at a time, since each takes 19 MiB and a core.

use std::{sync::Arc, time::Duration};

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

/// Shortest password, in characters. Source: NIST SP 800-63B section 3.1.1.2.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// Hashes that wait for their turn; more are refused at once. Arbitrary: a second of them on one core.
const WAITING_MAX: usize = 64;
/// Longest wait for a turn.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The hash of a password that nobody has: verified where there is no account, so that both cases take the same time.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y2l0YWRlbC1ub2JvZHktMQ$3Sxx06SvuAm1r6Xd7+NCoGRMhqGmJMQWyKFNF0UmHjE";

/// Why a password cannot be hashed or verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Outside the documented lengths.
    #[error("a password has {PASSWORD_CHARS_MIN} characters or more, and {PASSWORD_BYTES_MAX} bytes at most")]
    Length,
    /// Too many passwords are being verified: try again later.
    #[error("too many passwords are being verified at once")]
    Busy,
    /// The stored hash is damaged, or the system is out of memory.
    #[error("cannot compute a password hash")]
    Hash(#[source] argon2::password_hash::Error),
}

/// Hashes and verifies passwords. Cheap to clone: clones share the limit.
#[derive(Clone)]
pub struct Passwords {
    slots: Arc<Semaphore>,
    /// One each for those that compute or wait.
    places: Arc<Semaphore>,
}

impl Default for Passwords {
    /// Half of the cores at most, so that a flood of logins leaves the other half to everything else.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let at_once = (cores / 2).max(1);
        Self { slots: Arc::new(Semaphore::new(at_once)), places: Arc::new(Semaphore::new(at_once + WAITING_MAX)) }
    }
}

impl Passwords {
    /// Hashes a new password with a random salt. Answers a PHC string.
    ///
    /// Errors: every variant.
    pub async fn hash(&self, password: &str, salt: [u8; 16]) -> Result<String, PasswordError> {
        if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::Length);
        }
        let password = password.to_owned();
        self.compute(move || {
            let hash: PasswordHash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether the password has this hash. Without a hash it takes the same time and answers no.
    ///
    /// Errors: `Busy`, `Hash`.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, PasswordError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let password = password.to_owned();
        let known = hash.is_some();
        let hash = hash.unwrap_or(NOBODY).to_owned();
        self.compute(move || {
            let parsed = PasswordHash::new(&hash).map_err(|_| argon2::password_hash::Error::EncodingInvalid)?;
            match Argon2::default().verify_password(password.as_bytes(), &parsed) {
                Ok(()) => Ok(known),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Whether a hash was made in another way than [`hash`](Self::hash) makes one today.
    pub fn is_outdated(hash: &str) -> bool {
        let Ok(parsed) = PasswordHash::new(hash) else { return false };
        let today = Params::default();
        let is_today = Params::try_from(&parsed).is_ok_and(|params| {
            (params.m_cost(), params.t_cost(), params.p_cost()) == (today.m_cost(), today.t_cost(), today.p_cost())
        });
        parsed.algorithm.as_str() != "argon2id" || !is_today
    }

    /// Waits for a turn and computes on the blocking pool.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self.places.try_acquire().map_err(|_| PasswordError::Busy)?;
        let turn = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.slots).acquire_owned()).await;
        let permit = turn.map_err(|_| PasswordError::Busy)?.map_err(|_| PasswordError::Busy)?;
        // The permit moves into the closure: a caller that goes away does not free the slot while the hash is still computed.
        let computed = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        match computed.await {
            Ok(result) => result.map_err(PasswordError::Hash),
            Err(_) => Err(PasswordError::Busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepts_the_right_password_only() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse", [7; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("correct house", Some(&hash)).await.unwrap());
    }

    #[tokio::test]
    async fn has_a_hash_that_parses_for_nobody() {
        assert!(!Passwords::default().verify("anything", None).await.unwrap());
    }

    #[tokio::test]
    async fn refuses_passwords_outside_the_lengths() {
        let passwords = Passwords::default();
        assert!(matches!(passwords.hash("short", [0; 16]).await, Err(PasswordError::Length)));
        assert!(matches!(passwords.hash(&"x".repeat(PASSWORD_BYTES_MAX + 1), [0; 16]).await, Err(PasswordError::Length)));
        assert!(!passwords.verify(&"x".repeat(PASSWORD_BYTES_MAX + 1), None).await.unwrap());
    }

    #[test]
    fn tells_hashes_of_earlier_settings() {
        assert!(!Passwords::is_outdated(NOBODY) && !Passwords::is_outdated(""));
        for old in ["argon2id$v=19$m=4096,t=3,p=1", "argon2id$v=19$m=19456,t=1,p=1", "argon2i$v=19$m=19456,t=2,p=1"] {
            assert!(Passwords::is_outdated(&format!(
                "${old}$Y2l0YWRlbC1ub2JvZHktMQ$3Sxx06SvuAm1r6Xd7+NCoGRMhqGmJMQWyKFNF0UmHjE"
            )));
        }
    }

    #[tokio::test]
    async fn waiting_limit_obeyed_and_violated() {
        let passwords = Passwords::default();
        let taken = passwords.places.clone().acquire_many_owned(u32::try_from(passwords.places.available_permits() - 1).unwrap());
        let taken = taken.await.unwrap();
        assert!(!passwords.verify("anything", None).await.unwrap());
        let last = passwords.places.clone().acquire_owned().await.unwrap();
        assert!(matches!(passwords.verify("anything", None).await, Err(PasswordError::Busy)));
        drop((taken, last));
    }
}
