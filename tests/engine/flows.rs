//! Flows of pure nodes.

use citadel::model::execution::ExecutionStatus;
use serde_json::json;

use crate::support::{Engine, json_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_pure_flow_runs_to_its_end() {
    let engine = Engine::start().await;
    let definition = json!({
        "name": "totals",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "add", "type": "set", "params": { "fields": { "total": "{{ $json.price * $json.count }}" } } },
            { "id": "big", "type": "if", "params": { "condition": "{{ $json.total > 10 }}" } },
            { "id": "mark", "type": "set", "params": { "fields": { "size": "big" } } }
        ],
        "edges": [
            { "from": "start", "to": "add" }, { "from": "add", "to": "big" }, { "from": "big", "port": "true", "to": "mark" }
        ]
    });
    let finished = engine.run(definition, json!([{ "price": 4, "count": 3 }, { "price": 1, "count": 2 }])).await;
    assert_eq!(finished.status, ExecutionStatus::Succeeded, "{:?}", finished.error);
    assert_eq!(json_of(&finished.result), [json!({ "price": 4, "count": 3, "total": 12, "size": "big" })]);
}
