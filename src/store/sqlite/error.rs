//! What SQLite's errors mean for the caller.

use sqlx::error::ErrorKind;

use crate::store::{StoreError, journal::constraints};

/// Result codes that say "this row can never be stored", whoever asks again: `SQLITE_TOOBIG`, `SQLITE_MISMATCH`.
const REFUSED_CODES: [&str; 2] = ["18", "20"];

/// The domain's names of constraints. SQLite names the columns of a broken unique constraint, not the constraint.
/// Source: <https://www.sqlite.org/c3ref/c_abort.html>.
const CONSTRAINT_COLUMNS: &[(&str, &str)] = &[
    ("executions.id", constraints::EXECUTIONS_KEY),
    ("journal.execution_id, journal.seq", constraints::JOURNAL_KEY),
    ("workflows.id", "workflows_key"),
    ("workflow_versions.workflow_id, workflow_versions.version", "workflow_versions_key"),
    ("hooks.method, hooks.path", "hooks_key"),
    ("schedules.id", "schedules_key"),
    ("audit.workspace_id, audit.seq", "audit_key"),
    ("audit.id", "audit_id"),
    ("users.id", "users_key"),
    ("users.email", "users_email"),
    ("tokens.id", "tokens_key"),
    ("tokens.hash", "tokens_hash"),
    ("sessions.id", "sessions_key"),
    ("idempotency.workspace_id, idempotency.scope, idempotency.key", "idempotency_key"),
    ("workspaces.id", "workspaces_key"),
    ("variables.workspace_id, variables.name", "variables_key"),
    ("members.workspace_id, members.user_id", "members_key"),
    ("roles.workspace_id, roles.name", "roles_key"),
    ("api_keys.id", "api_keys_key"),
    ("invitations.id", "invitations_key"),
    ("invitations.hash", "invitations_hash"),
    ("credentials.id", "credentials_key"),
    ("credentials.workspace_id, credentials.name", "credentials_name"),
    ("master_keys.id", "master_keys_key"),
    (
        "workflow_credentials.workspace_id, workflow_credentials.credential, workflow_credentials.workflow_id, workflow_credentials.version",
        "workflow_credentials_key",
    ),
    ("workflow_tags.workspace_id, workflow_tags.tag, workflow_tags.workflow_id", "workflow_tags_key"),
];

/// Turns a failure while `doing` into the room's error.
pub(super) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| match &error {
        sqlx::Error::Database(refusal) if refusal.kind() != ErrorKind::Other => {
            StoreError::Conflict { constraint: constraint_name(refusal.message()).to_owned() }
        }
        sqlx::Error::Database(refusal) if refusal.code().is_some_and(|code| REFUSED_CODES.contains(&&*code)) => {
            StoreError::Conflict { constraint: "value_range".to_owned() }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
            StoreError::Corrupt { what: "row", source: Box::new(error) }
        }
        _ => StoreError::Unavailable { doing, source: Box::new(error) },
    }
}

/// The constraint that a message like `UNIQUE constraint failed: users.email` speaks of.
fn constraint_name(message: &str) -> &str {
    let columns = message.rsplit_once(": ").map_or(message, |(_, columns)| columns);
    CONSTRAINT_COLUMNS.iter().find(|(known, _)| *known == columns).map_or(columns, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_constraint_by_its_columns() {
        assert_eq!(constraint_name("UNIQUE constraint failed: users.email"), "users_email");
        assert_eq!(constraint_name("UNIQUE constraint failed: journal.execution_id, journal.seq"), "journal_key");
        assert_eq!(constraint_name("FOREIGN KEY constraint failed"), "FOREIGN KEY constraint failed");
    }
}
