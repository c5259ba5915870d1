//! Databases for a while: `citadel bench` works in one of its own, so that it neither measures nor leaves behind anybody's data.

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqliteConnection, postgres::PgConnectOptions,
    sqlite::SqliteConnectOptions,
};
use uuid::Uuid;

use super::{
    Result, StoreError,
    open::{Target, without_password},
};

/// What the names of such databases start with.
const NAME_PREFIX: &str = "citadel_bench_";

/// A PostgreSQL database that [`remove`](Self::remove) takes away again; dropping the value does not.
#[derive(Debug)]
pub struct ScratchDatabase {
    server: PgConnectOptions,
    name: String,
}

impl ScratchDatabase {
    /// Creates an empty database, named after `id`, on the server of a PostgreSQL URL.
    ///
    /// Errors: `InvalidUrl` if the URL names something else; `Unavailable` if the server cannot be reached or its user may not
    /// create databases.
    pub async fn create(server_url: &str, id: Uuid) -> Result<Self> {
        let Target::Postgres(server) = Target::parse(server_url)? else {
            return Err(StoreError::InvalidUrl { url: without_password(server_url) });
        };
        let database = Self { server: *server, name: format!("{NAME_PREFIX}{}", id.simple()) };
        database.administrate("creating a database", format!("CREATE DATABASE {}", database.name)).await?;
        Ok(database)
    }

    /// The URL that opens the database. Secret, since it may hold a password.
    pub fn url(&self) -> String {
        self.server.clone().database(&self.name).to_url_lossy().to_string()
    }

    /// Drops the database, whoever is still connected to it.
    ///
    /// Errors: `Unavailable`.
    pub async fn remove(self) -> Result<()> {
        self.administrate("dropping a database", format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await
    }

    /// Runs a statement whose only variable part is our own name: it cannot be bound.
    async fn administrate(&self, doing: &'static str, sql: String) -> Result<()> {
        let failed = |source: sqlx::Error| StoreError::Unavailable { doing, source: Box::new(source) };
        let mut connection = PgConnection::connect_with(&self.server).await.map_err(failed)?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)
    }
}

/// The version of the database software behind a store's URL, such as `SQLite 3.50.2` or `PostgreSQL 17.5`.
///
/// Errors: `InvalidUrl`; `Unavailable`.
pub async fn database_version(url: &str) -> Result<String> {
    let failed = |source: sqlx::Error| StoreError::Unavailable { doing: "asking for the version", source: Box::new(source) };
    match Target::parse(url)? {
        Target::Memory | Target::Sqlite(_) => {
            let options = SqliteConnectOptions::new().in_memory(true);
            let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
            let version: String =
                sqlx::query_scalar("SELECT sqlite_version() LIMIT 1").fetch_one(&mut connection).await.map_err(failed)?;
            connection.close().await.map_err(failed)?;
            Ok(format!("SQLite {version}"))
        }
        Target::Postgres(options) => {
            let mut connection = PgConnection::connect_with(&options).await.map_err(failed)?;
            let version: String = sqlx::query_scalar("SELECT current_setting('server_version') LIMIT 1")
                .fetch_one(&mut connection)
                .await
                .map_err(failed)?;
            connection.close().await.map_err(failed)?;
            Ok(format!("PostgreSQL {version}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn knows_the_version_of_the_embedded_database() {
        let version = database_version("sqlite://nowhere.db").await.unwrap();
        assert!(version.starts_with("SQLite 3."), "{version}");
        assert!(!std::path::Path::new("nowhere.db").exists());
    }

    #[tokio::test]
    async fn makes_databases_on_postgresql_only() {
        let refused = ScratchDatabase::create("sqlite://x.db", Uuid::nil()).await;
        assert!(matches!(refused, Err(StoreError::InvalidUrl { .. })), "{refused:?}");
    }
}
