//! The nodes on a real directory.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    model::{
        catalog::EffectClass,
        item::{Input, Item},
    },
    nodes::{
        Outcome,
        effect_testing::{Bench, runner},
        registry::Registry,
        services::Blobs,
        testing::node,
    },
};

async fn write_and_read(path: &str, items: Value) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new().with_files(directory.path());
    let written = bench.run_json(&node("file.write", json!({ "path": path })), items.clone()).await.unwrap();
    assert_eq!((&written[0]["path"], &written[0]["items"]), (&json!(path), &json!(items.as_array().unwrap().len())));
    assert_eq!(written[0]["size_bytes"], json!(std::fs::metadata(directory.path().join(path)).unwrap().len()));
    bench.run_json(&node("file.read", json!({ "path": path })), json!([{}])).await.unwrap()
}

#[tokio::test]
async fn reads_what_it_wrote_in_each_format() {
    for (path, items) in [
        ("a.json", json!([{ "a": 1 }, { "b": [2] }])),
        ("sub/dir/a.jsonl", json!([{ "a": 1 }, { "b": [2] }])),
        ("a.csv", json!([{ "a": "1", "b": "x" }, { "a": "2", "b": "" }])),
        ("a.txt", json!([{ "data": "hello" }])),
    ] {
        assert_eq!(write_and_read(path, items.clone()).await, items, "{path}");
    }
}

#[tokio::test]
async fn keeps_binary_data_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new().with_files(directory.path());
    let blob = bench.blobs.put(Bytes::from_static(b"\0\xff")).await.unwrap();
    let item = Item { binary: Some(BTreeMap::from([("data".to_owned(), blob)])), ..Item::from_value(json!({})) };
    let write = node("file.write", json!({ "path": "a.bin" }));
    let mut ctx = bench.context(&write, json!([]));
    ctx.inputs = vec![Input { items: Arc::new(vec![item]), origins: Vec::new() }];
    assert!(matches!(runner(&write).run(ctx).await, Ok(Outcome::Done(_))));
    let read = bench.run(&node("file.read", json!({ "path": "a.bin" })), json!([{}])).await.unwrap();
    let blob = &read[0].binary.as_ref().unwrap()["data"];
    assert_eq!(bench.blobs.get(blob).await.unwrap(), &b"\0\xff"[..]);
    assert_eq!(blob.file_name.as_deref(), Some("a.bin"));
}

#[tokio::test]
async fn groups_items_by_their_path() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new().with_files(directory.path());
    let write = node("file.write", json!({ "path": "{{ $json.to }}.jsonl" }));
    let items = json!([{ "to": "a", "n": 1 }, { "to": "b", "n": 2 }, { "to": "a", "n": 3 }]);
    let written = bench.run(&write, items).await.unwrap();
    let shown: Vec<_> =
        written.iter().map(|item| (item.json["path"].as_str().unwrap(), item.source.as_ref().unwrap().item)).collect();
    assert_eq!(shown, [("a.jsonl", 0), ("b.jsonl", 1)]);
    let read = bench.run_json(&node("file.read", json!({ "path": "a.jsonl" })), json!([{}])).await.unwrap();
    assert_eq!(read, json!([{ "to": "a", "n": 1 }, { "to": "a", "n": 3 }]));
}

#[tokio::test]
async fn refuses_to_leave_the_directory_or_to_work_without_one() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new().with_files(directory.path());
    for node_type in ["file.read", "file.write"] {
        let outside = node(node_type, json!({ "path": "../x.json" }));
        assert_eq!(bench.run(&outside, json!([{}])).await.unwrap_err().code, "file_denied");
        let inside = node(node_type, json!({ "path": "x.json" }));
        assert_eq!(Bench::new().run(&inside, json!([{}])).await.unwrap_err().code, "file_denied");
    }
}

#[tokio::test]
async fn says_what_is_wrong_with_the_content() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.json"), "{").unwrap();
    let bench = Bench::new().with_files(directory.path());
    let read = async |params: Value| bench.run(&node("file.read", params), json!([{}])).await.map_err(|error| error.code);
    assert_eq!(read(json!({ "path": "a.json" })).await, Err("invalid_input".to_owned()));
    assert_eq!(read(json!({ "path": "missing.json" })).await, Err("file_failed".to_owned()));
    assert!(read(json!({ "path": "a.json", "format": "text" })).await.is_ok());
}

#[test]
fn may_be_repeated() {
    for node_type in ["file.read", "file.write"] {
        let prepared = Registry::builtin().prepare(&node(node_type, json!({ "path": "a" }))).ok().unwrap();
        assert_eq!(prepared.shape.effect, EffectClass::Idempotent);
    }
}
