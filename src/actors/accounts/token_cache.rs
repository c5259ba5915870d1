//! Remembers for a moment whose request it was, so that a busy client does not cost a look at the store per request.

use std::{collections::HashMap, sync::RwLock};

use super::Caller;
use crate::model::ids::{SessionId, UserId};

/// How long a token is believed without a look at the store: the delay of a revocation on another node.
const BELIEVED_MS: u64 = 5_000;
/// Tokens that are remembered. When there are more, all are forgotten: that costs one look per token.
const ENTRIES_MAX: usize = 10_000;

/// Callers by the SHA-256 of what they present and where they want to act.
#[derive(Default)]
pub(super) struct TokenCache {
    callers: RwLock<HashMap<[u8; 32], Believed>>,
}

/// A caller, and until when to believe it.
struct Believed {
    caller: Caller,
    until_ms: u64,
}

impl TokenCache {
    /// The caller, if it was looked up a moment ago.
    pub(super) fn get(&self, hash: &[u8; 32], now_ms: u64) -> Option<Caller> {
        let callers = self.callers.read().expect("nothing panics under this lock");
        callers.get(hash).filter(|believed| now_ms < believed.until_ms).map(|believed| believed.caller)
    }

    /// Remembers a caller, never beyond the expiry of its token.
    pub(super) fn put(&self, hash: [u8; 32], caller: Caller, expires_at: Option<u64>, now_ms: u64) {
        let until_ms = (now_ms + BELIEVED_MS).min(expires_at.unwrap_or(u64::MAX));
        let mut callers = self.callers.write().expect("nothing panics under this lock");
        if callers.len() >= ENTRIES_MAX {
            callers.clear();
        }
        callers.insert(hash, Believed { caller, until_ms });
    }

    /// Forgets whoever was let in by a session that has ended here.
    pub(super) fn forget_session(&self, session: SessionId) {
        self.forget_where(|caller| caller.session == Some(session));
    }

    /// Forgets a user, but not by the session to `keep`.
    pub(super) fn forget_user(&self, user: UserId, keep: Option<SessionId>) {
        self.forget_where(|caller| caller.user == Some(user) && (keep.is_none() || caller.session != keep));
    }

    /// Forgets everybody: what somebody may do has changed here.
    pub(super) fn clear(&self) {
        self.forget_where(|_| true);
    }

    /// Looks at all of them: that is rare, and there are not many.
    fn forget_where(&self, is_gone: impl Fn(&Caller) -> bool) {
        self.callers.write().expect("nothing panics under this lock").retain(|_, believed| !is_gone(&believed.caller));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        auth::permissions::PermissionSet,
        model::ids::{TokenId, WorkspaceId},
    };

    const USER: UserId = UserId::from_uuid(Uuid::from_u128(2));
    const SESSION: SessionId = SessionId::from_uuid(Uuid::from_u128(3));

    fn caller() -> Caller {
        let token = TokenId::from_uuid(Uuid::from_u128(1));
        Caller {
            workspace: WorkspaceId::DEFAULT,
            user: Some(USER),
            token,
            session: Some(SESSION),
            permissions: PermissionSet::NONE,
        }
    }

    #[test]
    fn believes_for_a_moment_and_never_past_the_expiry() {
        let cache = TokenCache::default();
        cache.put([1; 32], caller(), None, 1_000);
        cache.put([2; 32], caller(), Some(1_500), 1_000);
        assert!(cache.get(&[1; 32], 1_000 + BELIEVED_MS - 1).is_some());
        assert!(cache.get(&[1; 32], 1_000 + BELIEVED_MS).is_none());
        assert!(cache.get(&[2; 32], 1_500).is_none());
    }

    #[test]
    fn forgets_what_is_revoked_and_stays_bounded() {
        let cache = TokenCache::default();
        let other = SessionId::from_uuid(Uuid::from_u128(4));
        let forgotten = |forget: &dyn Fn()| {
            cache.put([1; 32], caller(), None, 0);
            forget();
            cache.get(&[1; 32], 0).is_none()
        };
        assert!(forgotten(&|| cache.forget_session(SESSION)) && !forgotten(&|| cache.forget_session(other)));
        assert!(forgotten(&|| cache.forget_user(USER, None)) && forgotten(&|| cache.forget_user(USER, Some(other))));
        assert!(!forgotten(&|| cache.forget_user(USER, Some(SESSION))) && forgotten(&|| cache.clear()));
        for n in 0..=u16::try_from(ENTRIES_MAX).unwrap() {
            let mut hash = [0; 32];
            hash[..2].copy_from_slice(&n.to_le_bytes());
            cache.put(hash, caller(), None, 0);
        }
        assert!(cache.callers.read().unwrap().len() <= ENTRIES_MAX);
    }
}
