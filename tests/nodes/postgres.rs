//! The `sql` node on PostgreSQL.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use citadel::{
    clock,
    model::{definition::NodeDefinition, duration::DurationMs, error::NodeError},
    nodes::services::Credential,
};
use serde_json::{Value, json};

use crate::bench::{Bench, node};

const POSTGRES_URL: &str = "CITADEL_TEST_POSTGRES_URL";

#[expect(clippy::disallowed_methods, reason = "the environment says where the server of the tests is")]
fn url() -> String {
    std::env::var(POSTGRES_URL).unwrap_or_else(|_| panic!("{POSTGRES_URL} is not set: run the tests by `make test`"))
}

fn credential(url: &str) -> Credential {
    Credential { kind: "postgres".to_owned(), fields: BTreeMap::from([("url".to_owned(), url.to_owned().into())]) }
}

fn bench() -> Bench {
    Bench::new(credential(&url()), &["127.0.0.1", "localhost"])
}

/// A name that no other test uses.
fn unique() -> String {
    format!("n{}", clock::new_uuid().simple())
}

async fn run(bench: &Bench, params: Value) -> Result<Value, NodeError> {
    bench.run(&node("sql", params), json!([{}])).await
}

async fn execute(bench: &Bench, query: &str) {
    run(bench, json!({ "query": query, "mode": "execute" })).await.unwrap();
}

#[tokio::test]
async fn every_type_goes_in_and_comes_out() {
    let (bench, table) = (bench(), unique());
    execute(&bench, &format!("create type {table}_mood as enum ('happy', 'sad')")).await;
    execute(
        &bench,
        &format!(
            "create table {table} (b boolean, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric(20, 5), t text, v varchar(9), \
             u uuid, j json, jb jsonb, x bytea, tz timestamptz, ts timestamp, d date, ti time, mood {table}_mood, tags text[], \
             numbers int4[], nothing text)"
        ),
    )
    .await;
    let row = json!({
        "b": true, "i2": -3, "i4": 70_000, "i8": 9_007_199_254_740_993_i64, "f4": 0.1, "f8": 1.5e300, "n": "123456789.50000",
        "t": "it's {} ä", "v": "v", "u": "0190a0b0-0000-7000-8000-000000000001", "j": { "a": [1, null] }, "jb": [{ "b": 2 }],
        "x": "AP8=", "tz": "2024-05-06T07:08:09.5Z", "ts": "2024-05-06T07:08:09", "d": "1999-12-31", "ti": "23:59:59.000001",
        "mood": "sad", "tags": ["a", null, "c,d"], "numbers": [1, -2], "nothing": null,
    });
    let names: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
    let query = format!("insert into {table} ({}) values (:{}) returning *", names.join(", "), names.join(", :"));
    assert_eq!(run(&bench, json!({ "query": query, "params": row })).await, Ok(json!([row])));
    let found = format!("select count(*) as found from {table} where u = $1 and i4 = any($2) and d < $3 and jb @> $4");
    let params = json!([row["u"], [70_000, 5], "2000-01-01", [{ "b": 2 }]]);
    assert_eq!(run(&bench, json!({ "query": found, "params": params, "readonly": true })).await, Ok(json!([{ "found": 1 }])));
}

#[tokio::test]
async fn shows_numerics_as_the_server_does() {
    let query = "select v, v::text as t from unnest(array[0, 0.0, -0.00010, 1, 10000, 9999.9999, 12345678901234567890.12345, 1e-20, \
                 -1e30, 0.1, 100, 1000000, 'NaN']::numeric[]) v";
    let rows = run(&bench(), json!({ "query": query })).await.unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 13);
    for row in rows {
        assert_eq!(row["v"], row["t"]);
    }
    let echo = "select v::text as t from (select $1::numeric as v) x";
    for text in ["-12345.678900", "0", "1e10", "0.00001", "99999999999999999999999999"] {
        let shown = run(&bench(), json!({ "query": echo, "params": [text] })).await.unwrap();
        let direct = run(&bench(), json!({ "query": format!("select ('{text}'::numeric)::text as t") })).await.unwrap();
        assert_eq!(shown, direct);
    }
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing_and_alone_each_item_lasts() {
    let (bench, table) = (bench(), unique());
    execute(&bench, &format!("create table {table} (id int primary key)")).await;
    let count =
        async || run(&bench, json!({ "query": format!("select count(*) as n from {table}") })).await.unwrap()[0]["n"].clone();
    let insert = format!("insert into {table} values (:id)");
    let items = json!([{ "id": 1 }, { "id": 1 }]);
    for (transaction, expected) in [(true, 0), (false, 1)] {
        let params = json!({ "query": insert, "mode": "execute", "params": { "id": 1 }, "transaction": transaction });
        let error = bench.run(&node("sql", params), items.clone()).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.retryable), ("sql_failed", false));
        let details = error.details.unwrap();
        assert_eq!((&details["sql_code"], &details["item"]), (&json!("23505"), &json!(1)));
        assert_eq!(count().await, json!(expected));
    }
    let batch = json!({ "query": insert, "mode": "batch", "params": [{ "id": 2 }, { "id": 3 }] });
    assert_eq!(run(&bench, batch).await, Ok(json!([{ "rows_affected": 2 }])));
}

#[tokio::test]
async fn holds_a_readonly_node_to_it() {
    let (bench, table) = (bench(), unique());
    let error = run(&bench, json!({ "query": format!("create table {table} (x int)"), "readonly": true })).await.unwrap_err();
    assert_eq!((error.code.as_str(), &error.details.unwrap()["sql_code"]), ("sql_failed", &json!("25006")));
}

#[tokio::test]
async fn ends_a_statement_that_takes_too_long() {
    let bench = bench();
    let sleep = node("sql", json!({ "query": "select pg_sleep(30)" }));
    let node = NodeDefinition { timeout: Some(DurationMs(200)), ..sleep };
    let start = Instant::now();
    let error = bench.run(&node, json!([{}])).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), ("timeout", true));
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(run(&bench, json!({ "query": "select 1 as one" })).await, Ok(json!([{ "one": 1 }])));
}

#[tokio::test]
async fn says_what_does_not_fit() {
    let bench = bench();
    for (params, code, part) in [
        (
            json!({ "query": "select $1::int4", "params": ["x"] }),
            "invalid_parameter",
            "value 1 of `params`: expected a whole number",
        ),
        (json!({ "query": "select $1, $2", "params": ["x"] }), "invalid_parameter", "2 placeholders"),
        (json!({ "query": "select '10.0.0.1'::inet as a" }), "sql_failed", "column `a`: the type INET"),
        (json!({ "query": "selec 1" }), "sql_failed", "syntax error"),
        (json!({ "query": "select 1; select 2" }), "sql_failed", "multiple commands"),
    ] {
        let error = run(&bench, params).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.retryable), (code, false));
        assert!(error.message.contains(part), "{}", error.message);
    }
}

#[tokio::test]
async fn connects_only_where_it_may_and_with_the_right_password() {
    let query = json!({ "query": "select 1" });
    let denied = run(&Bench::new(credential(&url()), &[]), query.clone()).await.unwrap_err();
    assert_eq!(denied.code, "egress_denied");
    let (before, after) = url().split_once('@').map(|(before, after)| (before.to_owned(), after.to_owned())).unwrap();
    let wrong = format!("{}:wrong@{after}", before.rsplit_once(':').unwrap().0);
    let refused = run(&Bench::new(credential(&wrong), &["127.0.0.1"]), query.clone()).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable), ("sql_failed", false));
    assert!(!refused.message.contains("wrong"), "{}", refused.message);
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = Bench::new(credential(&format!("postgres://u:p@{unused}/d")), &["127.0.0.1"]);
    let failed = run(&closed, query).await.unwrap_err();
    assert_eq!((failed.code.as_str(), failed.retryable), ("connection_failed", true));
}
