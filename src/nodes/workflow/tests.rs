//! The node with children that are only recorded.

use serde_json::{Value, json};

use crate::{
    model::{
        catalog::{AwaitedChildren, EffectClass},
        event::Wait,
        item::Item,
        limits::{CHILDREN_MAX, NESTING_MAX},
    },
    nodes::{
        Outcome, Woken,
        effect_testing::{Bench, runner},
        registry::Registry,
        testing::node,
    },
};

async fn wait_of(bench: &Bench, params: Value, items: Value) -> Wait {
    match bench.outcome(&node("workflow", params), items).await.unwrap() {
        Outcome::Wait(wait) => wait,
        other => panic!("it does not wait: {other:?}"),
    }
}

fn jsons(items: &[Item]) -> Vec<Value> {
    items.iter().map(|item| item.json.clone()).collect()
}

#[tokio::test]
async fn starts_one_child_with_all_items() {
    let bench = Bench::new();
    let wait = wait_of(&bench, json!({ "workflow": "billing" }), json!([{ "n": 1 }, { "n": 2 }])).await;
    assert_eq!((wait.until, wait.signals.as_slice()), (None, &["child:n/0/all".to_owned()][..]));
    let started = bench.children.started();
    let [child] = started.as_slice() else { panic!("{started:?}") };
    assert_eq!((child.workflow.as_str(), child.key.as_str(), child.nesting), ("billing", "n/0/all", 1));
    assert_eq!(child.notify.as_deref(), Some("child:n/0/all"));
    assert_eq!(jsons(&child.items), [json!({ "n": 1 }), json!({ "n": 2 })]);
    assert!(child.items.iter().all(|item| item.source.is_none()));
}

#[tokio::test]
async fn starts_a_child_per_item_with_its_own_input() {
    let bench = Bench::new();
    let params = json!({ "workflow": "{{ $json.to }}", "input": { "order": "{{ $json.id }}" }, "per_item": true });
    let wait = wait_of(&bench, params, json!([{ "to": "a", "id": 1 }, { "to": "b", "id": 2 }])).await;
    assert_eq!(wait.signals, ["child:n/0/0", "child:n/0/1"]);
    let started: Vec<_> =
        bench.children.started().into_iter().map(|child| (child.workflow, child.items[0].json.clone())).collect();
    assert_eq!(started, [("a".to_owned(), json!({ "order": 1 })), ("b".to_owned(), json!({ "order": 2 }))]);
}

#[tokio::test]
async fn puts_out_the_results_in_the_order_of_the_items() {
    let bench = Bench::new();
    let params = json!({ "workflow": "w", "per_item": true });
    let items = json!([{}, {}]);
    let wait = wait_of(&bench, params.clone(), items.clone()).await;
    let end = |value: u32| json!({ "status": "succeeded", "items": [{ "json": { "from": value }, "source": { "node": "x", "run": 0, "item": 9 } }] });
    let signals = vec![(wait.signals[1].clone(), end(1)), (wait.signals[0].clone(), end(0))];
    let woken = Woken { state: wait.state, signals, timed_out: false };
    let output = bench.resume(&node("workflow", params), items, &woken).unwrap();
    assert_eq!(jsons(&output), [json!({ "from": 0 }), json!({ "from": 1 })]);
    let sources: Vec<_> = output.iter().map(|item| item.source.as_ref().map(|source| (&*source.node, source.item))).collect();
    assert_eq!(sources, [Some(("in0", 0)), Some(("in0", 1))], "of this workflow, not of the child's");
}

#[tokio::test]
async fn fails_with_what_the_child_failed_with() {
    let bench = Bench::new();
    let params = json!({ "workflow": "w" });
    let wait = wait_of(&bench, params.clone(), json!([{}])).await;
    let payload = json!({ "status": "failed", "items": [], "error": { "code": "http_status", "message": "no" } });
    let woken = Woken { signals: vec![(wait.signals[0].clone(), payload)], state: wait.state, timed_out: false };
    let error = bench.resume(&node("workflow", params), json!([{}]), &woken).unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), ("child_failed", false));
    assert_eq!(error.details.unwrap()["error"]["code"], json!("http_status"));
}

#[tokio::test]
async fn does_not_wait_when_told_so_or_without_items() {
    let bench = Bench::new();
    let node = node("workflow", json!({ "workflow": "w", "wait": false }));
    let output = bench.run(&node, json!([{}])).await.unwrap();
    assert!(output[0].json["execution_id"].as_str().unwrap().starts_with("exe_"));
    assert_eq!(bench.children.started()[0].notify, None);
    assert_eq!(bench.run(&node, json!([])).await.unwrap(), []);
    assert_eq!(bench.children.started().len(), 1);
}

#[tokio::test]
async fn nesting_and_number_of_children_obeyed_and_violated() {
    let bench = Bench::new();
    let node = node("workflow", json!({ "workflow": "w", "wait": false, "per_item": true }));
    let nested = async |nesting: u32| {
        let mut ctx = bench.context(&node, json!([{}]));
        ctx.nesting = nesting;
        runner(&node).run(ctx).await.map(|_| ()).map_err(|error| error.code)
    };
    assert_eq!(nested(NESTING_MAX - 1).await, Ok(()));
    assert_eq!(nested(NESTING_MAX).await, Err("nesting_limit".to_owned()));
    let many = async |count: usize| bench.run(&node, Value::Array(vec![json!({}); count])).await.map(|items| items.len());
    assert_eq!(many(CHILDREN_MAX).await.unwrap(), CHILDREN_MAX);
    assert_eq!(many(CHILDREN_MAX + 1).await.unwrap_err().code, "item_limit");
}

#[test]
fn counts_as_an_effect() {
    let prepared = Registry::builtin().prepare(&node("workflow", json!({ "workflow": "w" }))).ok().unwrap();
    assert_eq!(prepared.shape.effect, EffectClass::Effect);
}

#[test]
fn says_which_children_it_waits_for() {
    let children = |params: Value| Registry::builtin().prepare(&node("workflow", params)).ok().unwrap().shape.children;
    assert_eq!(children(json!({ "workflow": "w" })), AwaitedChildren::OfAllItems);
    assert_eq!(children(json!({ "workflow": "w", "per_item": true })), AwaitedChildren::PerItem);
    assert_eq!(children(json!({ "workflow": "w", "per_item": true, "wait": false })), AwaitedChildren::None);
}
