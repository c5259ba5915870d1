//! The node in the real sandbox.

use serde_json::{Value, json};

use crate::{
    model::{catalog::EffectClass, definition::NodeDefinition, duration::DurationMs, error::NodeError},
    nodes::{
        Pool,
        effect_testing::{Bench, runner},
        registry::Registry,
        testing::{node, problems},
    },
};

async fn run(params: Value, items: Value) -> Result<Value, NodeError> {
    Bench::new().run_json(&node("code", params), items).await
}

#[tokio::test]
async fn turns_what_it_returns_into_items() {
    for (code, expected) in [
        ("return { sum: input[0].n + input[1].n }", json!([{ "sum": 3 }])),
        ("return input.map(({ n }) => ({ n: n * 10 }))", json!([{ "n": 10 }, { "n": 20 }])),
        ("return [1, { a: 2 }]", json!([{ "value": 1 }, { "a": 2 }])),
        ("return 'text'", json!([{ "value": "text" }])),
        ("return []", json!([])),
        ("const unused = 1", json!([])),
        ("function main(input) { return { count: input.length } }", json!([{ "count": 2 }])),
        ("return $input.all().map(item => item.json)", json!([{ "n": 1 }, { "n": 2 }])),
    ] {
        assert_eq!(run(json!({ "code": code }), json!([{ "n": 1 }, { "n": 2 }])).await, Ok(expected), "{code}");
    }
}

#[tokio::test]
async fn runs_once_per_item() {
    let code = "return input.n > 1 ? [{ n: input.n }, { index: $itemIndex }] : null";
    let output = run(json!({ "code": code, "mode": "each" }), json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }])).await;
    assert_eq!(output, Ok(json!([{ "n": 2 }, { "index": 1 }, { "n": 3 }, { "index": 2 }])));
}

#[tokio::test]
async fn pairs_items_with_those_they_came_from() {
    let sources = async |code: &str, mode: &str| {
        let node = node("code", json!({ "code": code, "mode": mode }));
        let items = Bench::new().run(&node, json!([{}, {}])).await.unwrap();
        items.into_iter().map(|item| item.source.map(|source| source.item)).collect::<Vec<_>>()
    };
    assert_eq!(sources("return [1, 2]", "all").await, [Some(0), Some(1)]);
    assert_eq!(sources("return [1, 2, 3]", "all").await, [None, None, None]);
    assert_eq!(sources("return [1, 2]", "each").await, [Some(0), Some(0), Some(1), Some(1)]);
}

#[tokio::test]
async fn says_where_the_code_failed() {
    let failed = run(json!({ "code": "const a = 1;\nthrow new Error('no')" }), json!([{}])).await.unwrap_err();
    assert_eq!((failed.code.as_str(), failed.retryable), ("code_exception", false));
    assert!(failed.message.contains("no"), "{}", failed.message);
    assert_eq!(failed.details.unwrap()["line"], json!(2));
    let each = run(json!({ "code": "if (input.n) null.x", "mode": "each" }), json!([{}, { "n": 1 }])).await.unwrap_err();
    assert!(each.message.starts_with("item 1: "), "{}", each.message);
    assert_eq!(each.details.unwrap()["item"], json!(1));
}

#[tokio::test]
async fn limits_obeyed_and_violated() {
    let within = json!({ "code": "return 1", "limits": { "wall_ms": 5_000, "cpu_ms": 5_000, "memory_bytes": 33_554_432 } });
    assert_eq!(run(within, json!([{}])).await, Ok(json!([{ "value": 1 }])));
    for (code, limits, expected) in [
        ("while (true);", json!({ "cpu_ms": 100 }), "sandbox_timeout"),
        ("const all = []; while (true) all.push('x'.repeat(1000))", json!({ "memory_bytes": 16_777_216 }), "sandbox_memory"),
        ("return 'x'.repeat(1000)", json!({ "output_bytes": 500 }), "output_limit"),
        ("return new Array(100001).fill(1)", json!({}), "item_limit"),
    ] {
        let error = run(json!({ "code": code, "limits": limits }), json!([{}])).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.retryable), (expected, false), "{code}");
    }
}

#[tokio::test]
async fn ends_with_the_timeout_of_the_node() {
    let node = NodeDefinition { timeout: Some(DurationMs(100)), ..node("code", json!({ "code": "while (true);" })) };
    assert_eq!(Bench::new().run(&node, json!([{}])).await.unwrap_err().code, "sandbox_timeout");
}

#[test]
fn may_be_repeated_and_takes_a_place_among_the_sandboxes() {
    let node = node("code", json!({ "code": "return 1" }));
    assert_eq!(Registry::builtin().prepare(&node).ok().unwrap().shape.effect, EffectClass::Idempotent);
    assert_eq!(runner(&node).pool(), Pool::Wasm);
}

#[test]
fn reports_every_problem_before_a_run() {
    let broken = node("code", json!({ "code": "return 1;\nreturn (" }));
    let Err(found) = Registry::builtin().prepare(&broken) else { panic!("accepted") };
    assert_eq!((found[0].pointer.as_str(), found[0].code.as_str()), ("/params/code", "code_syntax"));
    assert!(found[0].detail.starts_with("line 2, column "), "{}", found[0].detail);
    assert_eq!(problems("code", json!({ "code": "x", "language": "cobol" })), ["/params/language not_installed"]);
    let both = json!({ "code": "return (", "grants": { "network": true } });
    assert_eq!(problems("code", both), ["/params/grants invalid_parameter", "/params/code code_syntax"]);
    assert_eq!(problems("code", json!({ "code": "x", "limits": { "wall_ms": 0 } })).len(), 1);
}

#[tokio::test]
async fn keeps_what_the_code_writes_however_it_ends() {
    let written = async |params: Value| {
        let (bench, node) = (Bench::new(), node("code", params));
        let ctx = bench.context(&node, json!([{ "n": 1 }, { "n": 2 }]));
        let log = ctx.log.clone();
        // Failures are wanted, too: what was written before them counts.
        let _ = runner(&node).run(ctx).await;
        log.take().map(|log| (log.lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>(), log.truncated))
    };
    let text = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert_eq!(written(json!({ "code": "return 1" })).await, None);
    assert_eq!(written(json!({ "code": "console.log('a', 1)" })).await, Some((text(&["a 1"]), false)));
    let failing = json!({ "code": "console.warn('before'); throw new Error('no')" });
    assert_eq!(written(failing).await, Some((text(&["before"]), false)));
    let each = json!({ "code": "console.log(input.n); if (input.n > 1) throw 1", "mode": "each" });
    assert_eq!(written(each).await, Some((text(&["1", "2"]), false)));
    let small = json!({ "code": "for (const n of [1, 2, 3, 4]) console.log('line', n)", "limits": { "log_bytes": 80 } });
    assert_eq!(written(small).await, Some((text(&["line 1", "line 2", ""]), true)));
}
