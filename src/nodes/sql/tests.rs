//! The node on SQLite files.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    model::{catalog::EffectClass, definition::NodeDefinition, duration::DurationMs, error::NodeError},
    nodes::{
        effect_testing::Bench,
        registry::Registry,
        testing::{node, problems},
    },
};

/// A files directory with a table `t (id, name)` in `app.db`.
struct Place {
    directory: TempDir,
    bench: Bench,
}

async fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new().with_files(directory.path());
    let place = Place { bench, directory };
    place
        .run(json!({ "query": "create table t (id integer primary key, name text not null)", "mode": "execute" }))
        .await
        .unwrap();
    place
}

fn sql(params: Value) -> NodeDefinition {
    let mut node = node("sql", params);
    node.params.entry("url").or_insert(json!("sqlite://app.db"));
    node
}

impl Place {
    /// Runs with one empty item.
    async fn run(&self, params: Value) -> Result<Value, NodeError> {
        self.run_items(params, json!([{}])).await
    }

    async fn run_items(&self, params: Value, items: Value) -> Result<Value, NodeError> {
        self.bench.run_json(&sql(params), items).await
    }

    /// Reads by a bench of its own: this one's progress is that of the node under test.
    async fn names(&self) -> Value {
        let select = sql(json!({ "query": "select name from t order by id", "readonly": true }));
        let reader = Bench::new().with_files(self.directory.path());
        let rows = reader.run_json(&select, json!([{}])).await.unwrap();
        rows.as_array().unwrap().iter().map(|row| row["name"].clone()).collect()
    }
}

fn code(result: Result<Value, NodeError>) -> (String, bool) {
    let error = result.unwrap_err();
    (error.code, error.retryable)
}

#[tokio::test]
async fn binds_values_and_gives_an_item_per_row() {
    let place = place().await;
    let insert = json!({ "query": "insert into t (name) values (:name)", "mode": "execute", "params": "{{ $json }}" });
    let items = json!([{ "name": "a" }, { "name": "'); drop table t; --" }]);
    assert_eq!(place.run_items(insert, items).await.unwrap(), json!([{ "rows_affected": 1 }, { "rows_affected": 1 }]));
    let select = json!({ "query": "select id, name from t where id >= ? order by id", "params": [1] });
    let rows = place.run(select).await.unwrap();
    assert_eq!(rows, json!([{ "id": 1, "name": "a" }, { "id": 2, "name": "'); drop table t; --" }]));
}

#[tokio::test]
async fn keeps_the_types_of_values() {
    let place = place().await;
    place
        .run(json!({ "query": "create table v (b boolean, i int, r real, s text, x blob, n text)", "mode": "execute" }))
        .await
        .unwrap();
    let insert = json!({
        "query": "insert into v values (:b, :i, :r, :s, x'00ff', :n)", "mode": "execute",
        "params": { "b": true, "i": 9_007_199_254_740_993_i64, "r": 1.5, "s": { "a": [1] }, "n": null },
    });
    place.run(insert).await.unwrap();
    let rows = place.run(json!({ "query": "select * from v" })).await.unwrap();
    let expected = json!([{ "b": true, "i": 9_007_199_254_740_993_i64, "r": 1.5, "s": "{\"a\":[1]}", "x": "AP8=", "n": null }]);
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn runs_a_batch_of_parameter_sets() {
    let place = place().await;
    let batch = json!({ "query": "insert into t (name) values (?)", "mode": "batch", "params": [["a"], ["b"], ["c"]] });
    assert_eq!(place.run(batch).await.unwrap(), json!([{ "rows_affected": 3 }]));
    assert_eq!(place.names().await, json!(["a", "b", "c"]));
    let wrong = json!({ "query": "insert into t (name) values (?)", "mode": "batch", "params": {} });
    assert_eq!(code(place.run(wrong).await), ("invalid_parameter".to_owned(), false));
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let place = place().await;
    let insert = json!({ "query": "insert into t values (:id, :name)", "mode": "execute", "params": "{{ $json }}" });
    let items = json!([{ "id": 1, "name": "a" }, { "id": 1, "name": "again" }]);
    let error = place.run_items(insert, items).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), ("sql_failed", false));
    assert_eq!(error.details.unwrap()["item"], json!(1));
    assert_eq!(place.names().await, json!([]));
    assert!(place.bench.progress.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_transaction_a_later_attempt_goes_on_where_it_stopped() {
    let place = place().await;
    let insert = json!({
        "query": "insert into t values (:id, :name)", "mode": "execute", "params": "{{ $json }}", "transaction": false,
    });
    let items = json!([{ "id": 1, "name": "a" }, { "id": 2, "name": null }]);
    place.run_items(insert.clone(), items).await.unwrap_err();
    assert_eq!(place.names().await, json!(["a"]));
    let repaired = json!([{ "id": 1, "name": "a" }, { "id": 2, "name": "b" }]);
    assert_eq!(place.run_items(insert, repaired).await.unwrap(), json!([{ "rows_affected": 1 }, { "rows_affected": 1 }]));
    assert_eq!(place.names().await, json!(["a", "b"]));
}

#[tokio::test]
async fn holds_a_readonly_node_to_it() {
    let place = place().await;
    let insert = json!({ "query": "insert into t (name) values ('a')", "readonly": true });
    assert_eq!(code(place.run(insert).await).0, "sql_failed");
    let missing = json!({ "query": "select 1", "readonly": true, "url": "sqlite://missing.db" });
    assert_eq!(code(place.run(missing).await).0, "sql_failed");
    assert!(!place.directory.path().join("missing.db").exists());
}

#[tokio::test]
async fn stays_inside_the_files_directory() {
    let place = place().await;
    for url in ["sqlite:///etc/passwd", "../outside.db", "sqlite::memory:"] {
        let result = place.run(json!({ "query": "select 1", "url": url })).await;
        assert!(matches!(code(result).0.as_str(), "file_denied" | "invalid_parameter"), "{url}");
    }
    std::os::unix::fs::symlink("/etc/passwd", place.directory.path().join("link.db")).unwrap();
    assert_eq!(code(place.run(json!({ "query": "select 1", "url": "link.db" })).await).0, "file_denied");
}

#[tokio::test]
async fn ends_a_statement_that_takes_too_long() {
    let place = place().await;
    let endless = "with recursive n (i) as (select 1 union all select i + 1 from n) select count(*) as c from n";
    let node = NodeDefinition { timeout: Some(DurationMs(200)), ..sql(json!({ "query": endless, "readonly": true })) };
    let start = Instant::now();
    let error = place.bench.run(&node, json!([{}])).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), ("timeout", true));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // The connection is fit for the next run.
    assert_eq!(place.run(json!({ "query": "select 1 as one" })).await.unwrap(), json!([{ "one": 1 }]));
}

#[tokio::test]
async fn says_what_does_not_fit() {
    let place = place().await;
    for (params, part) in [
        (json!({ "query": "select ?, ?", "params": [1] }), "2 placeholders"),
        (json!({ "query": "select :a", "params": {} }), "has no `a`"),
        (json!({ "query": "select 1 as a, 2 as a" }), "two columns are called `a`"),
        (json!({ "query": "selec 1" }), "syntax error"),
    ] {
        let result = if params["query"] == json!("selec 1") {
            // Refused before it reaches the database.
            let Err(problems) = Registry::builtin().prepare(&sql(params)) else { panic!("accepted") };
            assert_eq!(problems[0].pointer, "/params/query");
            continue;
        } else {
            place.run(params).await
        };
        let message = result.unwrap_err().message;
        assert!(message.starts_with("item 0: ") && message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn finds_the_database_of_a_credential() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new().with_files(directory.path()).with_credential("sqlite", &[("url", "sqlite://app.db")]);
    let with_credential =
        |query: &str| NodeDefinition { credential: Some("secret".into()), ..node("sql", json!({ "query": query })) };
    assert_eq!(bench.run_json(&with_credential("select 2 as two"), json!([{}])).await.unwrap(), json!([{ "two": 2 }]));
    let attach = bench.run(&with_credential("attach '/etc/passwd' as p"), json!([{}])).await.unwrap_err();
    assert_eq!((attach.code.as_str(), attach.retryable), ("invalid_parameter", false));
}

#[tokio::test]
async fn asks_the_egress_policy_before_it_connects() {
    let fields = [("host", "10.0.0.1"), ("database", "d"), ("user", "u")];
    let bench = Bench::new().with_credential("postgres", &fields);
    let node = NodeDefinition { credential: Some("secret".into()), ..node("sql", json!({ "query": "select 1" })) };
    let error = bench.run(&node, json!([{}])).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), ("egress_denied", false));
    assert_eq!(error.details, Some(json!({ "reason": "private" })));
}

#[test]
fn counts_as_an_effect_unless_it_is_readonly() {
    for (readonly, effect) in [(true, EffectClass::Idempotent), (false, EffectClass::Effect)] {
        let prepared = Registry::builtin().prepare(&sql(json!({ "query": "select 1", "readonly": readonly }))).ok().unwrap();
        assert_eq!(prepared.shape.effect, effect);
    }
}

#[test]
fn refuses_queries_that_could_be_injected_into() {
    let url = "sqlite://app.db";
    assert_eq!(problems("sql", json!({ "query": "select {{ $json.x }}", "url": url })), ["/params/query invalid_parameter"]);
    assert_eq!(problems("sql", json!({ "query": "attach 'x' as y", "url": url })), ["/params/query invalid_parameter"]);
    assert_eq!(problems("sql", json!({ "query": "select 1; select 2", "url": url })), ["/params/query invalid_parameter"]);
    assert_eq!(problems("sql", json!({ "query": "select 1" })), ["/params invalid_parameter"]);
}
