//! Everything that the audit log has a word for. A new kind is a line here: its name, what it happened to, and the word, which is
//! stored and never changes.

use std::collections::BTreeSet;

use crate::model::ids::{BatchId, ExecutionId, ScheduleId, UserId, WorkflowId, WorkspaceId};

/// What something happened to, as rows say it.
pub trait Target {
    /// Its id or name; `None` if it is not known.
    fn text(&self) -> Option<String>;
}

macro_rules! shown_targets {
    ($($type:ty),*) => {$(
        impl Target for $type {
            fn text(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

shown_targets!(BatchId, ExecutionId, ScheduleId, UserId, WorkflowId, WorkspaceId, String, &'static str);

impl<T: Target> Target for Option<T> {
    fn text(&self) -> Option<String> {
        self.as_ref().and_then(Target::text)
    }
}

macro_rules! audit_events {
    ($($(#[$doc:meta])* $name:ident($target:ty) = $action:literal;)*) => {
        /// Something that happened, and what it happened to.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum AuditEvent {
            $($(#[$doc])* $name($target),)*
        }

        /// The words of all events, `thing.event` each.
        pub const ACTIONS: &[&str] = &[$($action),*];

        impl AuditEvent {
            /// The word of this event.
            pub const fn action(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $action,)*
                }
            }

            /// What it happened to.
            pub fn target(&self) -> Option<String> {
                match self {
                    $(Self::$name(target) => target.text(),)*
                }
            }
        }
    };
}

audit_events! {
    /// The first owner was made.
    SetupCompleted(UserId) = "setup.completed";

    LoggedIn(UserId) = "session.started";
    /// Of which user, if the account exists. What was typed instead of a name is not kept: it may be a password.
    LoginFailed(Option<UserId>) = "session.refused";
    LoggedOut(Option<UserId>) = "session.ended";
    /// A refresh token came a second time: every session of its family is over.
    TokenReused(UserId) = "session.reused";

    UserCreated(UserId) = "user.created";
    UserUpdated(UserId) = "user.updated";
    UserDisabled(UserId) = "user.disabled";
    UserEnabled(UserId) = "user.enabled";
    UserDeleted(UserId) = "user.deleted";
    PasswordChanged(UserId) = "user.password_changed";
    /// By the operator of the server.
    PasswordReset(UserId) = "user.password_reset";

    WorkspaceCreated(WorkspaceId) = "workspace.created";
    WorkspaceUpdated(WorkspaceId) = "workspace.updated";
    WorkspaceDeleted(WorkspaceId) = "workspace.deleted";

    MemberAdded(UserId) = "member.added";
    MemberUpdated(UserId) = "member.updated";
    MemberRemoved(UserId) = "member.removed";

    InvitationCreated(String) = "invitation.created";
    InvitationRevoked(String) = "invitation.revoked";

    RoleCreated(String) = "role.created";
    RoleUpdated(String) = "role.updated";
    RoleDeleted(String) = "role.deleted";

    KeyCreated(String) = "key.created";
    KeyUpdated(String) = "key.updated";
    KeyRotated(String) = "key.rotated";
    KeyDeleted(String) = "key.deleted";

    CredentialCreated(String) = "credential.created";
    CredentialUpdated(String) = "credential.updated";
    CredentialDeleted(String) = "credential.deleted";
    CredentialTested(String) = "credential.tested";
    /// The consent of the other side came (OAuth2).
    CredentialAuthorized(String) = "credential.authorized";
    /// The key that wraps the others is another one from now on: its id.
    SecretsRotated(String) = "secrets.rotated";

    WorkflowCreated(WorkflowId) = "workflow.created";
    WorkflowUpdated(WorkflowId) = "workflow.updated";
    WorkflowDeleted(WorkflowId) = "workflow.deleted";
    WorkflowActivated(WorkflowId) = "workflow.activated";
    WorkflowDeactivated(WorkflowId) = "workflow.deactivated";

    ScheduleCreated(ScheduleId) = "schedule.created";
    ScheduleUpdated(ScheduleId) = "schedule.updated";
    ScheduleDeleted(ScheduleId) = "schedule.deleted";
    SchedulePaused(ScheduleId) = "schedule.paused";
    ScheduleResumed(ScheduleId) = "schedule.resumed";
    ScheduleBackfilled(ScheduleId) = "schedule.backfilled";

    VariableCreated(String) = "variable.created";
    VariableUpdated(String) = "variable.updated";
    VariableDeleted(String) = "variable.deleted";

    ExecutionCancelled(ExecutionId) = "execution.cancelled";
    /// The execution that was repeated; `details` has the new one.
    ExecutionRetried(ExecutionId) = "execution.retried";
    ExecutionSignalled(ExecutionId) = "execution.signalled";
    ExecutionDeleted(ExecutionId) = "execution.deleted";
    BatchCreated(BatchId) = "batch.created";
    BatchCancelled(BatchId) = "batch.cancelled";

    /// Somebody lacked a permission: its name.
    PermissionDenied(String) = "permission.denied";
    /// The egress policy refused a connection to this host.
    EgressDenied(String) = "egress.denied";
    /// The lists of the egress policy are others from now on.
    EgressChanged(&'static str) = "egress.changed";
}

/// What something can happen to: the parts of the words before the dot, each once.
pub fn kinds() -> Vec<&'static str> {
    let kinds: BTreeSet<&str> = ACTIONS.iter().filter_map(|action| action.split_once('.')).map(|(kind, _)| kind).collect();
    kinds.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_word_of_its_own() {
        let words: BTreeSet<&str> = ACTIONS.iter().copied().collect();
        assert_eq!(words.len(), ACTIONS.len());
        for word in words {
            let (thing, event) = word.split_once('.').unwrap();
            let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(is_plain(thing) && is_plain(event), "{word}");
        }
    }

    #[test]
    fn an_unknown_user_is_no_target() {
        assert_eq!(AuditEvent::LoginFailed(None).target(), None);
        assert_eq!(AuditEvent::VariableDeleted("limit".to_owned()).target().as_deref(), Some("limit"));
    }
}
