//! One connection for one run, inside a transaction or not. Implemented for SQLite and for PostgreSQL.

use async_trait::async_trait;
use serde_json::{Map, Value};
use sqlx::{Database, Error, Pool, SqlStr, Transaction, pool::PoolConnection};

use super::{bindings::Bound, budget::Budget};
use crate::model::error::NodeError;

/// What a run does with a database.
#[async_trait]
pub(super) trait Session: Send {
    /// Runs a statement and gives its rows.
    ///
    /// Errors: `sql_failed`, `timeout`, `invalid_parameter` if a value does not fit, the limits of the budget.
    async fn query(&mut self, statement: &Bound, budget: &mut Budget) -> Result<Vec<Map<String, Value>>, NodeError>;

    /// Runs a statement and gives the number of rows that it changed.
    ///
    /// Errors: as `query`.
    async fn execute(&mut self, statement: &Bound) -> Result<u64, NodeError>;

    /// Makes the changes of the transaction last, if there is one. A session that ends without this has changed nothing.
    async fn commit(self: Box<Self>) -> Result<(), NodeError>;
}

/// A connection from a pool.
pub(super) enum Handle<DB: Database> {
    Plain(PoolConnection<DB>),
    /// Rolled back when it is dropped.
    Transaction(Transaction<'static, DB>),
}

impl<DB: Database> Handle<DB> {
    /// Takes a connection, and begins a transaction if there is a statement for it.
    pub(super) async fn open(pool: &Pool<DB>, begin: Option<&'static str>) -> Result<Self, Error> {
        match begin {
            Some(statement) => pool.begin_with(statement).await.map(Self::Transaction),
            None => pool.acquire().await.map(Self::Plain),
        }
    }

    pub(super) fn connection(&mut self) -> &mut DB::Connection {
        match self {
            Self::Plain(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }

    pub(super) async fn commit(self) -> Result<(), Error> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Transaction(transaction) => transaction.commit().await,
        }
    }
}

/// The text of a statement. It is fixed in the workflow's definition; values are bound.
pub(super) fn text(statement: &Bound) -> SqlStr {
    sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(statement.sql.as_str()))
}

/// Puts a column into a row.
///
/// Errors: `sql_failed` if there is one of that name.
pub(super) fn insert_column(row: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), NodeError> {
    match row.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => {
            let message = format!("two columns are called `{name}`: name one of them differently with AS");
            Err(NodeError::permanent(crate::model::error::codes::SQL, message))
        }
    }
}
