//! Gives each test a fresh store of the backend that it asks for, and takes it away again, whatever the test did.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use citadel::{
    clock,
    store::{
        Store,
        memory::MemoryStore,
        open::{OpenOptions, open},
    },
};
use futures_util::FutureExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// The variable that names a PostgreSQL server on which the tests may create databases.
const POSTGRES_URL: &str = "CITADEL_TEST_POSTGRES_URL";

/// Makes one test per case and backend, so that a failure says where: `journal::postgres::refuses_a_second_writer`.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $case() { crate::harness::on_memory(super::$case).await; })*
        }
        mod sqlite {
            $(#[tokio::test] async fn $case() { crate::harness::on_sqlite(super::$case).await; })*
        }
        mod postgres {
            $(#[tokio::test] async fn $case() { crate::harness::on_postgres(super::$case).await; })*
        }
    };
}
pub(crate) use cases;

/// Runs a case on a store in memory.
pub(crate) async fn on_memory<F: Future<Output = ()>>(case: impl FnOnce(Arc<dyn Store>) -> F) {
    case(Arc::new(MemoryStore::new())).await;
}

/// Runs a case on its own SQLite file.
pub(crate) async fn on_sqlite<F: Future<Output = ()>>(case: impl FnOnce(Arc<dyn Store>) -> F) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("citadel.db").display());
    let store = open(&OpenOptions::new(url)).await.unwrap();
    case(Arc::clone(&store)).await;
    store.close().await;
}

/// Runs a case on its own PostgreSQL database.
pub(crate) async fn on_postgres<F: Future<Output = ()>>(case: impl FnOnce(Arc<dyn Store>) -> F) {
    with_postgres_database(async |url| {
        let store = open(&OpenOptions { connections_max: 4, ..OpenOptions::new(url) }).await.unwrap();
        case(Arc::clone(&store)).await;
        store.close().await;
    })
    .await;
}

/// Creates an empty database, hands its URL over, and drops it even if the test panics.
pub(crate) async fn with_postgres_database(test: impl AsyncFnOnce(String)) {
    let server = server_url();
    let name = format!("citadel_test_{}", clock::new_uuid().simple());
    administrate(&server, format!("CREATE DATABASE {name}")).await;
    let outcome = AssertUnwindSafe(test(database_url(&server, &name))).catch_unwind().await;
    administrate(&server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

#[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
fn server_url() -> String {
    std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
        panic!("{POSTGRES_URL} does not name a PostgreSQL server: run `make test`, or scripts/with-postgres.sh cargo test")
    })
}

/// The server's URL with another database.
fn database_url(server: &str, name: &str) -> String {
    let (base, options) = server.split_once('?').unwrap_or((server, ""));
    let (host, _) = base.rsplit_once('/').expect("the URL of the server ends with a database");
    if options.is_empty() { format!("{host}/{name}") } else { format!("{host}/{name}?{options}") }
}

async fn administrate(server: &str, sql: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
