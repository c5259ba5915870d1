//! Turns database errors into node errors. Shows the database's own message, not its detail, which may hold values.

use serde_json::json;

use crate::model::error::{NodeError, codes};

/// The failure of a statement or a connection.
pub(super) fn of_database(error: &sqlx::Error) -> NodeError {
    match error {
        sqlx::Error::Database(found) => {
            let code = found.code().unwrap_or_default().into_owned();
            let failure = of_code(&code, found.message());
            failure.with_details(json!({ "sql_code": code }))
        }
        sqlx::Error::Io(cause) => NodeError::transient(codes::CONNECTION_FAILED, format!("the connection failed: {cause}")),
        sqlx::Error::PoolTimedOut => {
            NodeError::transient(codes::OVERLOADED, "no connection became free in time: lower the concurrency, or wait")
        }
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            NodeError::transient(codes::CONNECTION_FAILED, "the connection was closed")
        }
        sqlx::Error::Tls(cause) => {
            NodeError::permanent(codes::CONNECTION_FAILED, format!("cannot secure the connection: {cause}"))
        }
        other => NodeError::permanent(codes::SQL, other.to_string()),
    }
}

/// Sorts by SQLSTATE (PostgreSQL) or result code (SQLite).
/// Source: PostgreSQL documentation, appendix A; sqlite.org/rescode.html.
fn of_code(code: &str, message: &str) -> NodeError {
    // Canceled by `statement_timeout`; interrupted by the progress handler.
    if matches!(code, "57014" | "9") {
        return NodeError::transient(codes::TIMEOUT, "the statement took too long");
    }
    let class = code.get(..2).unwrap_or_default();
    // The low byte of an extended result code is the primary one: 5 is busy, 6 is locked.
    let is_busy = code.len() <= 4 && code.parse::<u32>().is_ok_and(|number| matches!(number & 0xff, 5 | 6));
    let passes = code.len() == 5 && matches!(class, "08" | "40" | "53" | "57" | "58") || is_busy;
    if passes { NodeError::transient(codes::SQL, message) } else { NodeError::permanent(codes::SQL, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &str, expected: &str, retryable: bool) {
        let error = of_code(code, "message");
        assert_eq!((error.code.as_str(), error.retryable), (expected, retryable), "{code}");
    }

    #[test]
    fn knows_what_may_pass() {
        check("57014", "timeout", true);
        check("9", "timeout", true);
        for code in ["40001", "40P01", "53300", "57P01", "08006", "5", "6", "517", "262"] {
            check(code, "sql_failed", true);
        }
        for code in ["23505", "42601", "22P02", "1", "19", "2067", ""] {
            check(code, "sql_failed", false);
        }
    }
}
