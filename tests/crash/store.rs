//! The two stores that everything has to hold on. PostgreSQL must be there: `make test` starts one.

use citadel::clock;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// A store of its own for one test.
pub(crate) struct TestStore {
    pub(crate) url: String,
    pub(crate) directory: TempDir,
    /// The server and the database to drop at the end.
    postgres: Option<(String, String)>,
}

impl TestStore {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("citadel.db").display());
        Self { url, directory, postgres: None }
    }

    pub(crate) async fn postgres() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the test script says where PostgreSQL is")]
        let server = std::env::var("CITADEL_TEST_POSTGRES_URL").expect("no PostgreSQL to test with: run `make test`");
        let database = format!("crash_{}", clock::new_uuid().simple());
        let mut connection = PgConnection::connect(&server).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"))).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let (base, _) = server.rsplit_once('/').unwrap();
        let url = format!("{base}/{database}");
        Self { url, directory: tempfile::tempdir().unwrap(), postgres: Some((server, database)) }
    }

    /// Drops the database.
    pub(crate) async fn remove(self) {
        if let Some((server, database)) = self.postgres {
            let mut connection = PgConnection::connect(&server).await.unwrap();
            let sql = format!("DROP DATABASE {database} WITH (FORCE)");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}
