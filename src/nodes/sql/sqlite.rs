//! SQLite: values as its four types, rows by the type that each value has.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::TryStreamExt;
use serde_json::{Map, Number, Value};
use sqlx::{
    Arguments, Column, ConnectOptions, Either, Executor, Row, Sqlite, SqlitePool, Statement, TypeInfo, ValueRef,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqlitePoolOptions, SqliteRow, SqliteStatement},
};
use tokio::time::Instant;

use super::{
    ACQUIRE_MS_MAX, CONNECTIONS_MAX, IDLE_MS_MAX,
    bindings::{Bound, check_count},
    budget::Budget,
    failure::of_database,
    session::{Handle, Session, insert_column, text},
};
use crate::model::error::{NodeError, codes};

/// Instructions of SQLite's machine between two looks at the clock: well under a millisecond.
const INSTRUCTIONS_PER_LOOK: i32 = 10_000;
/// How long a statement waits for another writer, in milliseconds.
const BUSY_MS_MAX: u64 = 10_000;

/// A pool for a file. A read-only one never makes or changes it.
pub(super) fn pool(path: &Path, readonly: bool) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(readonly)
        .create_if_missing(!readonly)
        .busy_timeout(Duration::from_millis(BUSY_MS_MAX))
        .disable_statement_logging();
    SqlitePoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(Duration::from_millis(ACQUIRE_MS_MAX))
        .idle_timeout(Duration::from_millis(IDLE_MS_MAX))
        .connect_lazy_with(options)
}

/// A connection to a SQLite file.
pub(super) struct SqliteSession(Handle<Sqlite>);

impl SqliteSession {
    /// Takes a connection on which every statement ends at `timeout` from now.
    ///
    /// Errors: `sql_failed` if the file is no database, `overloaded`.
    pub(super) async fn open(pool: &SqlitePool, timeout: Duration, transaction: bool) -> Result<Self, NodeError> {
        // A transaction that begins by reading may fail when it comes to write: this one takes the lock at once.
        let begin = transaction.then_some("BEGIN IMMEDIATE");
        let mut handle = Handle::open(pool, begin).await.map_err(|error| of_database(&error))?;
        let deadline = Instant::now() + timeout;
        let mut locked = handle.connection().lock_handle().await.map_err(|error| of_database(&error))?;
        locked.set_progress_handler(INSTRUCTIONS_PER_LOOK, move || Instant::now() < deadline);
        drop(locked);
        Ok(Self(handle))
    }

    async fn prepare(&mut self, bound: &Bound) -> Result<(SqliteStatement, SqliteArguments), NodeError> {
        let statement = self.0.connection().prepare(text(bound)).await.map_err(|error| of_database(&error))?;
        let placeholders = match statement.parameters() {
            Some(Either::Right(count)) => count,
            Some(Either::Left(types)) => types.len(),
            None => bound.values.len(),
        };
        check_count(placeholders, bound.values.len())?;
        let mut arguments = SqliteArguments::default();
        for value in &bound.values {
            let added = match value {
                Value::Null => arguments.add(None::<String>),
                Value::Bool(flag) => arguments.add(*flag),
                Value::Number(number) => match number.as_i64() {
                    Some(whole) => arguments.add(whole),
                    None => arguments.add(number.as_f64()),
                },
                Value::String(text) => arguments.add(text.clone()),
                Value::Array(_) | Value::Object(_) => arguments.add(value.to_string()),
            };
            added.map_err(|error| NodeError::permanent(codes::INVALID_PARAMETER, format!("cannot bind a value: {error}")))?;
        }
        Ok((statement, arguments))
    }
}

#[async_trait]
impl Session for SqliteSession {
    async fn query(&mut self, bound: &Bound, budget: &mut Budget) -> Result<Vec<Map<String, Value>>, NodeError> {
        let (statement, arguments) = self.prepare(bound).await?;
        let mut stream = statement.query_with(arguments).fetch(self.0.connection());
        let mut rows = Vec::new();
        while let Some(row) = stream.try_next().await.map_err(|error| of_database(&error))? {
            let row = decode(&row)?;
            budget.take(&row)?;
            rows.push(row);
        }
        Ok(rows)
    }

    async fn execute(&mut self, bound: &Bound) -> Result<u64, NodeError> {
        let (statement, arguments) = self.prepare(bound).await?;
        let result = statement.query_with(arguments).execute(self.0.connection()).await.map_err(|error| of_database(&error))?;
        Ok(result.rows_affected())
    }

    async fn commit(self: Box<Self>) -> Result<(), NodeError> {
        self.0.commit().await.map_err(|error| of_database(&error))
    }
}

fn decode(row: &SqliteRow) -> Result<Map<String, Value>, NodeError> {
    let mut fields = Map::new();
    for (index, column) in row.columns().iter().enumerate() {
        let value = decode_value(row, index, column.type_info().name()).map_err(|error| of_database(&error))?;
        insert_column(&mut fields, column.name(), value)?;
    }
    Ok(fields)
}

/// A value by the type that it has, not the one that its column declares; but 0 and 1 of a boolean column are booleans.
fn decode_value(row: &SqliteRow, index: usize, declared: &str) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let found = raw.type_info().name().to_owned();
    Ok(match found.as_str() {
        "INTEGER" => match row.try_get_unchecked::<i64, _>(index)? {
            0 if declared == "BOOLEAN" => Value::Bool(false),
            1 if declared == "BOOLEAN" => Value::Bool(true),
            whole => Value::from(whole),
        },
        "REAL" => {
            let number: f64 = row.try_get_unchecked(index)?;
            // JSON has no infinity.
            Number::from_f64(number).map_or_else(|| Value::String(number.to_string()), Value::Number)
        }
        "BLOB" => Value::String(BASE64_STANDARD.encode(row.try_get_unchecked::<Vec<u8>, _>(index)?)),
        _ => Value::String(row.try_get_unchecked(index)?),
    })
}
