//! What PostgreSQL's errors mean for the caller.

use sqlx::error::DatabaseError;

use crate::store::{StoreError, journal::constraints};

/// Classes of SQLSTATE that say "this row can never be stored", whoever asks again: 22 data exception, 23 integrity constraint
/// violation, 54 program limit exceeded (an indexed text of kilobytes).
/// Source: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const REFUSED_CLASSES: [&str; 3] = ["22", "23", "54"];
const CHECK_VIOLATION: &str = "23514";
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Turns a failure while `doing` into the room's error.
pub(super) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| match &error {
        sqlx::Error::Database(refusal) if is_refused(&**refusal) => {
            StoreError::Conflict { constraint: constraint_name(refusal.constraint()).to_owned() }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
            StoreError::Corrupt { what: "row", source: Box::new(error) }
        }
        _ => StoreError::Unavailable { doing, source: Box::new(error) },
    }
}

/// Whether a row found no partition for its day. Such an error names no constraint; the schema has no checks.
pub(super) fn is_missing_partition(error: &sqlx::Error) -> bool {
    has_code(error, CHECK_VIOLATION)
}

/// Whether a lock was not free within `lock_timeout`.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    has_code(error, LOCK_NOT_AVAILABLE)
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|found| found == code)
}

fn is_refused(refusal: &dyn DatabaseError) -> bool {
    refusal.code().is_some_and(|code| REFUSED_CLASSES.iter().any(|class| code.starts_with(class)))
}

/// The domain's name of a constraint: its own, but a partition has its own name for the journal's key.
fn constraint_name(name: Option<&str>) -> &str {
    match name {
        Some(name) if name.starts_with("journal_") => constraints::JOURNAL_KEY,
        Some(name) => name,
        None => "value_range",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_constraints_as_the_schema_does() {
        assert_eq!(constraint_name(Some("users_email")), "users_email");
        assert_eq!(constraint_name(Some("journal_day_20780_pkey")), "journal_key");
        assert_eq!(constraint_name(None), "value_range");
    }
}
