//! Brings `params` and placeholders together: named ones become numbered ones. Pure.

use serde_json::Value;

use super::lexer::{Dialect, Scan};
use crate::{
    model::error::{NodeError, codes},
    nodes::params::wrong_type,
};

/// A query with the values of its placeholders, in their order.
#[derive(Debug, PartialEq)]
pub(super) struct Bound {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

/// Binds an object by name, an array by position. Names that the query does not have are ignored, so that a whole item can be given.
///
/// Errors: `invalid_parameter` if a name is missing, or `params` is something else.
pub(super) fn bind(sql: &str, scan: &Scan, dialect: Dialect, params: Value) -> Result<Bound, NodeError> {
    let fields = match params {
        Value::Null => return bind(sql, scan, dialect, Value::Array(Vec::new())),
        Value::Array(_) if !scan.names.is_empty() => {
            return Err(invalid("the query has named placeholders, so `params` has to be an object"));
        }
        Value::Array(values) => return Ok(Bound { sql: sql.to_owned(), values }),
        Value::Object(fields) => fields,
        other => return Err(wrong_type("params", "an object or an array", &other)),
    };
    let sigil = match dialect {
        Dialect::Sqlite => '?',
        Dialect::Postgres => '$',
    };
    let mut bound = Bound { sql: String::with_capacity(sql.len()), values: Vec::new() };
    let mut order: Vec<&str> = Vec::new();
    let mut copied = 0;
    for (place, name) in &scan.names {
        let position = match order.iter().position(|known| known == name) {
            Some(position) => position,
            None => {
                let value = fields.get(name).ok_or_else(|| invalid(&format!("`params` has no `{name}`")))?;
                bound.values.push(value.clone());
                order.push(name);
                order.len() - 1
            }
        };
        bound.sql.push_str(&sql[copied..place.start]);
        bound.sql.push_str(&format!("{sigil}{}", position + 1));
        copied = place.end;
    }
    bound.sql.push_str(&sql[copied..]);
    Ok(bound)
}

/// Checks that there are as many values as placeholders.
///
/// Errors: `invalid_parameter`.
pub(super) fn check_count(placeholders: usize, values: usize) -> Result<(), NodeError> {
    if placeholders == values {
        return Ok(());
    }
    Err(invalid(&format!("the query has {placeholders} placeholders, and `params` gives {values} values")))
}

fn invalid(message: &str) -> NodeError {
    NodeError::permanent(codes::INVALID_PARAMETER, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::nodes::sql::lexer::scan;

    #[track_caller]
    fn check(dialect: Dialect, sql: &str, params: Value, expected: Result<(&str, Value), &str>) {
        let found = bind(sql, &scan(sql, dialect), dialect, params);
        match (found, expected) {
            (Ok(bound), Ok((expected, values))) => {
                assert_eq!((bound.sql.as_str(), Value::Array(bound.values)), (expected, values))
            }
            (Err(error), Err(part)) => assert!(error.message.contains(part), "{}", error.message),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn numbers_names_and_keeps_positions() {
        let sql = "insert into t values (:a, :b, :a) -- :c";
        let params = json!({ "b": [2], "a": 1, "unused": 3 });
        check(Dialect::Sqlite, sql, params.clone(), Ok(("insert into t values (?1, ?2, ?1) -- :c", json!([1, [2]]))));
        check(Dialect::Postgres, sql, params, Ok(("insert into t values ($1, $2, $1) -- :c", json!([1, [2]]))));
        check(Dialect::Sqlite, "select ?, ?", json!([1, null]), Ok(("select ?, ?", json!([1, null]))));
        check(Dialect::Postgres, "select 1", Value::Null, Ok(("select 1", json!([]))));
    }

    #[test]
    fn says_what_does_not_fit() {
        check(Dialect::Sqlite, "select :a", json!({ "b": 1 }), Err("has no `a`"));
        check(Dialect::Sqlite, "select :a", json!([1]), Err("has to be an object"));
        check(Dialect::Sqlite, "select :a", Value::Null, Err("has to be an object"));
        check(Dialect::Sqlite, "select ?", json!("x"), Err("must be an object or an array"));
        assert!(check_count(2, 1).unwrap_err().message.contains("2 placeholders"));
    }
}
