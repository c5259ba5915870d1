//! PostgreSQL: values are encoded by the type that the server infers for each placeholder, so that a text fits a `uuid` and a number an
//! `int4` without casts.

mod decode;
mod encode;
mod numeric;
mod times;
mod types;

#[cfg(unix)]
use std::sync::Arc;
use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use serde_json::{Map, Value};
use sqlx::{
    Arguments, Column, ConnectOptions, Either, Executor, PgPool, Postgres, Row, Statement, ValueRef,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow, PgSslMode, PgStatement},
};

#[cfg(unix)]
use super::relay::Relay;
use super::{
    ACQUIRE_MS_MAX, CONNECTIONS_MAX, IDLE_MS_MAX,
    bindings::{Bound, check_count},
    budget::Budget,
    failure::of_database,
    session::{Handle, Session, insert_column, text},
    target::{Encryption, Server},
};
use crate::{
    auth::egress::CONNECT_MS_MAX,
    model::error::{NodeError, codes},
};

/// Prepared statements that a connection keeps.
const STATEMENTS_MAX: usize = 50;

/// Connections to a server, at an address that the egress policy has checked.
#[derive(Clone)]
pub(super) struct ServerPool {
    pool: PgPool,
    #[cfg(unix)]
    _relay: Option<Arc<Relay>>,
}

impl ServerPool {
    /// Opens no connection yet.
    ///
    /// Errors: `connection_failed` if there is no way to the address.
    pub(super) fn new(server: &Server, address: SocketAddr) -> Result<Self, NodeError> {
        let mode = match server.encryption {
            Encryption::Disable => PgSslMode::Disable,
            Encryption::Prefer => PgSslMode::Prefer,
            Encryption::Require => PgSslMode::Require,
            Encryption::VerifyFull => PgSslMode::VerifyFull,
        };
        let options = PgConnectOptions::new_without_pgpass()
            .host(&address.ip().to_string())
            .port(address.port())
            .username(&server.user)
            .password(&server.password)
            .database(&server.database)
            .ssl_mode(mode)
            .application_name("citadel")
            .statement_cache_capacity(STATEMENTS_MAX)
            .disable_statement_logging();
        if server.encryption == Encryption::VerifyFull { Self::by_name(server, address, options) } else { Ok(Self::of(options)) }
    }

    /// The driver checks the certificate against the host that it connects to, so it is given the name, and a way to the address.
    #[cfg(unix)]
    fn by_name(server: &Server, address: SocketAddr, options: PgConnectOptions) -> Result<Self, NodeError> {
        let relay = Relay::start(address)
            .map_err(|error| NodeError::transient(codes::CONNECTION_FAILED, format!("cannot open a local socket: {error}")))?;
        let options = options.host(&server.host).socket(relay.directory());
        Ok(Self { _relay: Some(Arc::new(relay)), ..Self::of(options) })
    }

    #[cfg(not(unix))]
    fn by_name(_: &Server, _: SocketAddr, _: PgConnectOptions) -> Result<Self, NodeError> {
        Err(NodeError::permanent(codes::CONNECTION_FAILED, "`verify-full` is not supported on this system"))
    }

    fn of(options: PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(Duration::from_millis(ACQUIRE_MS_MAX))
            .idle_timeout(Duration::from_millis(IDLE_MS_MAX))
            .connect_lazy_with(options);
        Self {
            pool,
            #[cfg(unix)]
            _relay: None,
        }
    }

    /// Whether there is no connection, so that nobody knows whether the server answers.
    pub(super) fn is_unused(&self) -> bool {
        self.pool.size() == 0
    }
}

/// Looks whether anybody answers at an address. A pool does not say: it tries again for as long as it may wait for a connection.
///
/// Errors: `connection_failed`.
pub(super) async fn probe(address: SocketAddr) -> Result<(), NodeError> {
    let failed = |why: &str| NodeError::transient(codes::CONNECTION_FAILED, format!("cannot connect to {address}: {why}"));
    let limit = Duration::from_millis(CONNECT_MS_MAX);
    match tokio::time::timeout(limit, tokio::net::TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(failed(&error.to_string())),
        Err(_) => Err(failed("nobody answered in time")),
    }
}

/// A connection to a server.
pub(super) struct PostgresSession {
    handle: Handle<Postgres>,
    /// Keeps the way of the connection open.
    _server: ServerPool,
}

impl PostgresSession {
    /// Takes a connection on which a statement may take `timeout`.
    ///
    /// Errors: `connection_failed`, `sql_failed` if the server refuses, `overloaded`.
    pub(super) async fn open(
        server: &ServerPool,
        timeout: Duration,
        transaction: bool,
        readonly: bool,
    ) -> Result<Self, NodeError> {
        let begin = match (transaction, readonly) {
            (_, true) => Some("BEGIN READ ONLY"),
            (true, false) => Some("BEGIN"),
            (false, false) => None,
        };
        let mut handle = Handle::open(&server.pool, begin).await.map_err(|error| of_database(&error))?;
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // For the session, not for the transaction: the next run sets its own.
        sqlx::query("SELECT set_config('statement_timeout', $1, false)")
            .bind(timeout_ms.to_string())
            .execute(handle.connection())
            .await
            .map_err(|error| of_database(&error))?;
        Ok(Self { handle, _server: server.clone() })
    }

    async fn prepare(&mut self, bound: &Bound) -> Result<(PgStatement, PgArguments), NodeError> {
        let statement = self.handle.connection().prepare(text(bound)).await.map_err(|error| of_database(&error))?;
        let Some(Either::Left(types)) = statement.parameters() else {
            return Err(NodeError::permanent(codes::SQL, "the server did not say which types the placeholders have"));
        };
        check_count(types.len(), bound.values.len())?;
        let mut arguments = PgArguments::default();
        for (index, (type_info, value)) in types.iter().zip(&bound.values).enumerate() {
            let encoded = encode::encode(type_info, value);
            let argument = encoded.map_err(|error| invalid_value(index, &error.to_string()))?;
            arguments.add(argument).map_err(|error| invalid_value(index, &error.to_string()))?;
        }
        Ok((statement, arguments))
    }
}

#[async_trait]
impl Session for PostgresSession {
    async fn query(&mut self, bound: &Bound, budget: &mut Budget) -> Result<Vec<Map<String, Value>>, NodeError> {
        let (statement, arguments) = self.prepare(bound).await?;
        let mut stream = statement.query_with(arguments).fetch(self.handle.connection());
        let mut rows = Vec::new();
        while let Some(row) = stream.try_next().await.map_err(|error| of_database(&error))? {
            let row = decode_row(&row)?;
            budget.take(&row)?;
            rows.push(row);
        }
        Ok(rows)
    }

    async fn execute(&mut self, bound: &Bound) -> Result<u64, NodeError> {
        let (statement, arguments) = self.prepare(bound).await?;
        let result =
            statement.query_with(arguments).execute(self.handle.connection()).await.map_err(|error| of_database(&error))?;
        Ok(result.rows_affected())
    }

    async fn commit(self: Box<Self>) -> Result<(), NodeError> {
        self.handle.commit().await.map_err(|error| of_database(&error))
    }
}

fn decode_row(row: &PgRow) -> Result<Map<String, Value>, NodeError> {
    let mut fields = Map::new();
    for (index, column) in row.columns().iter().enumerate() {
        let raw = row.try_get_raw(index).map_err(|error| of_database(&error))?;
        let value = if raw.is_null() {
            Value::Null
        } else {
            decode::decode(&raw)
                .map_err(|error| NodeError::permanent(codes::SQL, format!("column `{}`: {error}", column.name())))?
        };
        insert_column(&mut fields, column.name(), value)?;
    }
    Ok(fields)
}

fn invalid_value(index: usize, why: &str) -> NodeError {
    NodeError::permanent(codes::INVALID_PARAMETER, format!("value {} of `params`: {why}", index + 1))
}

#[cfg(all(test, unix))]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn full_verification_does_not_resolve_the_name_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server {
            // Nothing resolves it, so whoever reaches the listener was led by the address.
            host: "name.invalid".to_owned(),
            port: 5432,
            database: "d".to_owned(),
            user: "u".to_owned(),
            password: String::new(),
            encryption: Encryption::VerifyFull,
        };
        let pool = ServerPool::new(&server, listener.local_addr().unwrap()).unwrap();
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 8];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(b"N").await.unwrap();
            request
        };
        let opening = PostgresSession::open(&pool, Duration::from_secs(5), false, false);
        let (request, opened) = tokio::join!(answering, opening);
        // The request for TLS. Source: PostgreSQL documentation, section 54.7 (SSLRequest).
        assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47]);
        let Err(error) = opened else { panic!("without TLS there is no session") };
        assert_eq!(error.code, codes::CONNECTION_FAILED, "{error:?}");
    }
}
