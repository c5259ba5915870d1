//! How PostgreSQL finds executions while it appends. Plans are kept, so one that was made while the tables were empty has to be
//! right when they are large: every execution is looked up by its key.

use citadel::store::open::migrate;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::harness::with_postgres_database;

const APPEND: &str = include_str!("../../src/store/postgres/queries/journal/append.sql");
const PARAMETERS: usize = 51;

#[tokio::test]
async fn an_append_finds_executions_by_their_key_from_the_first_day_on() {
    with_postgres_database(async |url| {
        migrate(&url).await.unwrap();
        let mut connection = PgConnection::connect(&url).await.unwrap();
        // As the store's connections have it, and as PostgreSQL does by itself after a few executions.
        connection.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan").await.unwrap();
        connection.execute(AssertSqlSafe(format!("PREPARE append AS {APPEND}"))).await.unwrap();
        check(&mut connection).await;
        connection.execute("ANALYZE").await.unwrap(); // Says that the tables are empty, and has plans made again.
        check(&mut connection).await;
        connection.close().await.unwrap();
    })
    .await;
}

async fn check(connection: &mut PgConnection) {
    let nothing = vec!["'{}'"; PARAMETERS].join(", ");
    let explain = AssertSqlSafe(format!("EXPLAIN (COSTS OFF) EXECUTE append ({nothing})"));
    let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(connection).await.unwrap();
    let lookups: Vec<&String> = plan.iter().filter(|line| line.contains("Scan") && line.contains(" on executions")).collect();
    assert_eq!(lookups.len(), 3, "{plan:#?}");
    assert!(lookups.iter().all(|line| line.contains("using executions_key")), "{plan:#?}");
}
