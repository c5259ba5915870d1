//! That both databases have the same schema: tables, columns, keys and indexes, compared as text.

use std::collections::BTreeMap;

use citadel::store::open::migrate;
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::harness::with_postgres_database;

/// What PostgreSQL has beside SQLite: the journal's partition key.
const POSTGRES_ONLY: &str = "column day integer not null";

/// The lines of a table's description, by its name.
type Schema = BTreeMap<String, Vec<String>>;

#[tokio::test]
async fn both_databases_have_the_same_schema() {
    let sqlite = sqlite_schema().await;
    let mut postgres = Schema::new();
    with_postgres_database(async |url| postgres = postgres_schema(&url).await).await;

    let journal = postgres.get_mut("journal").unwrap();
    let lines = journal.len();
    journal.retain(|line| line != POSTGRES_ONLY);
    assert_eq!(journal.len(), lines - 1);
    let key = journal.iter_mut().find(|line| line.contains("journal_key")).unwrap();
    *key = key.replace("(day, ", "(");

    let names = |schema: &Schema| schema.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&sqlite), names(&postgres));
    assert_eq!(sqlite.len(), 29);
    for (table, lines) in &sqlite {
        assert_eq!(lines, &postgres[table], "table {table}: SQLite left, PostgreSQL right");
    }
}

async fn sqlite_schema() -> Schema {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("citadel.db").display());
    migrate(&url).await.unwrap();
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx_%'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut schema = Schema::new();
    for (table, sql) in tables {
        let columns: Vec<(String, String, bool, Option<String>)> =
            sqlx::query_as("SELECT name, lower(type), \"notnull\", dflt_value FROM pragma_table_info(?1) ORDER BY cid")
                .bind(&table)
                .fetch_all(&mut connection)
                .await
                .unwrap();
        let indexes: Vec<String> =
            sqlx::query_scalar("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL")
                .bind(&table)
                .fetch_all(&mut connection)
                .await
                .unwrap();
        let constraints = sql.lines().filter_map(|line| line.trim().strip_prefix("CONSTRAINT "));
        let constraints = constraints.map(|constraint| constraint.trim_end_matches(',').to_owned()).collect();
        schema.insert(table, describe(columns, constraints, indexes));
    }
    connection.close().await.unwrap();
    schema
}

async fn postgres_schema(url: &str) -> Schema {
    migrate(url).await.unwrap();
    let mut connection = PgConnection::connect(url).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND relname NOT LIKE '_sqlx_%'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut schema = Schema::new();
    for table in tables {
        let columns: Vec<(String, String, bool, Option<String>)> = sqlx::query_as(
            "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)
             FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
             WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        )
        .bind(&table)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let constraints: Vec<String> = sqlx::query_scalar(
            "SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::regclass",
        )
        .bind(&table)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let indexes: Vec<String> = sqlx::query_scalar(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = $1::regclass AND NOT indisprimary",
        )
        .bind(&table)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        schema.insert(table, describe(columns, constraints, indexes));
    }
    connection.close().await.unwrap();
    schema
}

/// Columns in their order, then constraints and indexes by name; without what only one of the databases writes down.
fn describe(columns: Vec<(String, String, bool, Option<String>)>, constraints: Vec<String>, indexes: Vec<String>) -> Vec<String> {
    let mut lines: Vec<String> = columns
        .into_iter()
        .map(|(name, kind, is_required, default)| {
            let kind = match kind.as_str() {
                "uuid" | "bytea" | "blob" => "blob",
                "smallint" | "integer" | "bigint" => "integer",
                other => other,
            };
            let required = if is_required { " not null" } else { "" };
            // PostgreSQL writes the type beside a text.
            let default = default.map(|value| format!(" default {}", value.replace("::text", ""))).unwrap_or_default();
            format!("column {name} {kind}{required}{default}")
        })
        .collect();
    let mut rest: Vec<String> = constraints.into_iter().map(|constraint| format!("constraint {constraint}")).collect();
    rest.extend(indexes);
    let mut rest: Vec<String> = rest.iter().map(|line| normal(line)).collect();
    rest.sort();
    lines.extend(rest);
    lines
}

/// One space between words, none before a bracket, no brackets around a predicate.
fn normal(definition: &str) -> String {
    let words = definition.replace("public.", "").replace("USING btree ", "").replace('(', " (");
    let spaced = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = spaced(&words);
    match line.split_once(" WHERE ") {
        Some((head, predicate)) => format!("{head} WHERE {}", spaced(&predicate.replace(['(', ')'], ""))),
        None => line,
    }
}
