//! Sessions.

use super::{State, take};
use crate::{
    model::ids::{SessionId, UserId},
    store::{Result, RotateOutcome, RotateSession, SESSIONS_OF_USER_MAX, SessionRow, journal::conflict},
};

impl State {
    pub(super) fn insert_session(&mut self, session: &SessionRow, password_hash: Option<&str>) -> Result<bool> {
        let is_let_in = self
            .users
            .get(&session.user)
            .is_some_and(|user| user.disabled_at.is_none() && password_hash.is_none_or(|checked| checked == user.password_hash));
        if !is_let_in {
            return Ok(false);
        }
        if self.sessions.contains_key(&session.id) {
            return Err(conflict("sessions_key"));
        }
        self.sessions.insert(session.id, session.clone());
        let of_user = self.sessions.values().filter(|row| row.user == session.user);
        let mut newest: Vec<(u64, SessionId)> = of_user.map(|row| (row.created_at, row.id)).collect();
        newest.sort_unstable_by(|left, right| right.cmp(left));
        for (_, old) in newest.into_iter().skip(take(SESSIONS_OF_USER_MAX)) {
            self.sessions.remove(&old);
        }
        Ok(true)
    }

    pub(super) fn find_session(&self, id: SessionId) -> Option<SessionRow> {
        self.sessions.get(&id).filter(|session| self.is_enabled(session.user)).cloned()
    }

    pub(super) fn rotate_session(&mut self, step: &RotateSession) -> RotateOutcome {
        let Some(found) = self.find_session(step.id).filter(|found| step.now_ms < found.expires_at.min(found.ends_at)) else {
            return RotateOutcome::Gone;
        };
        let user = found.user;
        if found.hash != step.from {
            let is_fresh = step.now_ms < found.rotated_at.saturating_add(step.grace_ms);
            if found.previous_hash == Some(step.from) && is_fresh {
                return RotateOutcome::Repeated { user, hash: found.hash };
            }
            self.sessions.remove(&step.id);
            return RotateOutcome::Reused { user };
        }
        let rotated = SessionRow {
            hash: step.to,
            previous_hash: Some(step.from),
            rotated_at: step.now_ms,
            expires_at: step.expires_at.min(found.ends_at),
            ..found
        };
        self.sessions.insert(step.id, rotated);
        RotateOutcome::Rotated { user }
    }

    pub(super) fn touch_session(&mut self, id: SessionId, expires_at: u64) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        let until = expires_at.min(session.ends_at);
        let moves = until > session.expires_at;
        session.expires_at = session.expires_at.max(until);
        moves
    }

    pub(super) fn delete_session(&mut self, id: SessionId) -> bool {
        self.sessions.remove(&id).is_some()
    }

    fn is_enabled(&self, user: UserId) -> bool {
        self.users.get(&user).is_some_and(|user| user.disabled_at.is_none())
    }
}
