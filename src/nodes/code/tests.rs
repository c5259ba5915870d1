//! The node in the real sandbox.

mod fetch;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    model::{catalog::EffectClass, definition::NodeDefinition, duration::DurationMs, error::NodeError},
    nodes::{
        Pool,
        effect_testing::{Bench, runner},
        registry::Registry,
        services::Blobs as _,
        testing::node,
    },
    runtimes::languages::Languages,
};

fn registry() -> Registry {
    Registry::with_languages(Languages::for_tests())
}

/// The problems of a node's parameters, as `pointer code`.
#[track_caller]
fn problems(params: Value) -> Vec<String> {
    let Err(problems) = registry().prepare(&node("code", params)) else { panic!("the node has no problem") };
    problems.iter().map(|problem| format!("{} {}", problem.pointer, problem.code)).collect()
}

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
async fn runs_installed_languages_like_the_others() {
    for (language, all, each) in [
        ("python", "return [{'n': item['n'] * 2} for item in input]", "return {'n': input['n'] * 2}"),
        ("ruby", "input.map { |item| { n: item['n'] * 2 } }", "{ n: input['n'] * 2 }"),
    ] {
        for (mode, code) in [("all", all), ("each", each)] {
            let params = json!({ "language": language, "mode": mode, "code": code });
            assert_eq!(
                run(params, json!([{ "n": 1 }, { "n": 2 }])).await,
                Ok(json!([{ "n": 2 }, { "n": 4 }])),
                "{language} {mode}"
            );
        }
    }
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
    assert_eq!(registry().prepare(&node).ok().unwrap().shape.effect, EffectClass::Idempotent);
    let granted = json!({ "code": "return 1", "grants": { "network": true } });
    assert_eq!(registry().prepare(&crate::nodes::testing::node("code", granted)).ok().unwrap().shape.effect, EffectClass::Effect);
    assert_eq!(runner(&node).pool(), Pool::Wasm);
}

#[test]
fn processes_do_not_take_the_places_of_sandboxes() {
    use crate::{nodes::code::pool_of, runtimes::languages::Isolation};
    assert_eq!(pool_of(Isolation::WebAssembly), Pool::Wasm);
    assert_eq!([Isolation::Process, Isolation::ProcessReduced].map(pool_of), [Pool::Native; 2]);
}

#[test]
fn reports_every_problem_before_a_run() {
    let broken = node("code", json!({ "code": "return 1;\nreturn (" }));
    let Err(found) = registry().prepare(&broken) else { panic!("accepted") };
    assert_eq!((found[0].pointer.as_str(), found[0].code.as_str()), ("/params/code", "code_syntax"));
    assert!(found[0].detail.starts_with("line 2, column "), "{}", found[0].detail);
    assert_eq!(problems(json!({ "code": "x", "language": "cobol" })), ["/params/language not_installed"]);
    let both = json!({ "code": "AAAA", "language": "wasm", "grants": { "network": true } });
    assert_eq!(problems(both), ["/params/grants/network invalid_parameter", "/params/code code_syntax"]);
    assert_eq!(problems(json!({ "code": "enum E {}", "language": "typescript" })), ["/params/code code_syntax"]);
    assert_eq!(problems(json!({ "code": "x", "grants": { "env": { "1": "b" } } })).len(), 1);
    assert_eq!(problems(json!({ "code": "x", "grants": { "files": true } })).len(), 1);
    assert!(Registry::builtin().prepare(&node("code", json!({ "code": "x", "language": "cobol" }))).is_ok());
    assert_eq!(problems(json!({ "code": "x", "limits": { "wall_ms": 0 } })).len(), 1);
    let hash = "0".repeat(64);
    assert_eq!(problems(json!({})), ["/params missing_field"]);
    assert_eq!(problems(json!({ "program": { "hash": hash } })), ["/params/program invalid_parameter"]);
    let both = json!({ "language": "wasm", "code": PROGRAM, "program": { "hash": hash } });
    assert_eq!(problems(both), ["/params/program invalid_parameter"]);
    assert_eq!(problems(json!({ "language": "wasm", "program": { "hash": "../x" } })).len(), 1);
}

/// A WASI module that writes `{"sum":3}`.
const PROGRAM: &str = "AGFzbQEAAAABDAJgBH9/f38Bf2AAAAIjARZ3YXNpX3NuYXBzaG90X3ByZXZpZXcxCGZkX3dyaXRlAAADAgEBBQMBAAEHEwIGbWVtb3J5AgAGX3N0YXJ0AAEKDwENAEEBQQBBAUEMEAAaCwscAgBBAAsIEAAAAAkAAAAAQRALCXsic3VtIjozfQ==";

#[tokio::test]
async fn runs_a_program_of_the_blob_store() {
    let bench = Bench::new();
    let binary = bytes::Bytes::from(BASE64_STANDARD.decode(PROGRAM).unwrap());
    let blob = bench.blobs.put(binary).await.unwrap();
    let text = bench.blobs.put(bytes::Bytes::from_static(b"hello")).await.unwrap();
    let run = async |program: Value, json: Value| {
        bench.run_json(&node("code", json!({ "language": "wasm", "program": program })), json!([json])).await
    };
    assert_eq!(run(json!({ "hash": blob.hash }), json!({})).await, Ok(json!([{ "sum": 3 }])));
    assert_eq!(run(json!("{{ $json.data }}"), json!({ "data": blob })).await, Ok(json!([{ "sum": 3 }])));
    for (program, expected) in [
        (json!({ "hash": "0".repeat(64) }), "blob_missing"),
        (json!({ "hash": text.hash }), "code_syntax"),
        (json!("{{ $json.none }}"), "invalid_parameter"),
    ] {
        let failed = run(program.clone(), json!({})).await.unwrap_err();
        assert_eq!((failed.code.as_str(), failed.retryable), (expected, false), "{program}: {failed:?}");
    }
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
    assert_eq!(written(json!({ "code": "return 1" })).await, Some((text(&[]), false)));
    assert_eq!(written(json!({ "code": "console.log('a', 1)" })).await, Some((text(&["a 1"]), false)));
    let failing = json!({ "code": "console.warn('before'); throw new Error('no')" });
    assert_eq!(written(failing).await, Some((text(&["before"]), false)));
    let each = json!({ "code": "console.log(input.n); if (input.n > 1) throw 1", "mode": "each" });
    assert_eq!(written(each).await, Some((text(&["1", "2"]), false)));
    let small = json!({ "code": "for (const n of [1, 2, 3, 4]) console.log('line', n)", "limits": { "log_bytes": 80 } });
    assert_eq!(written(small).await, Some((text(&["line 1", "line 2"]), true)));
}

#[tokio::test]
async fn runs_every_language_that_is_there() {
    let sums = [
        ("javascript", "return { sum: input[0].n + input[1].n, of: items.length }"),
        (
            "typescript",
            "const sum: number = (input as { n: number }[]).reduce((sum, { n }) => sum + n, 0); return { sum, of: $input.all().length }",
        ),
        ("lua", "local sum = 0 for _, item in ipairs(input) do sum = sum + item.n end return { sum = sum, of = #items }"),
    ];
    for (language, code) in sums {
        let params = json!({ "language": language, "code": code });
        assert_eq!(run(params, json!([{ "n": 1 }, { "n": 2 }])).await, Ok(json!([{ "sum": 3, "of": 2 }])), "{language}");
    }
    for (language, code) in [("javascript", "return { n: input.n + 1 }"), ("lua", "return { n = input.n + 1 }")] {
        let params = json!({ "language": language, "code": code, "mode": "each" });
        assert_eq!(run(params, json!([{ "n": 1 }, { "n": 2 }])).await, Ok(json!([{ "n": 2 }, { "n": 3 }])), "{language}");
    }
    let failed = run(json!({ "language": "lua", "code": "local a\nerror('no')" }), json!([{}])).await.unwrap_err();
    assert_eq!((failed.code.as_str(), failed.details.unwrap()["line"].clone()), ("code_exception", json!(2)));
}

#[tokio::test]
async fn a_language_that_was_removed_fails_for_good() {
    let failed = run(json!({ "language": "cobol", "code": "x" }), json!([{}])).await.unwrap_err();
    assert_eq!((failed.code.as_str(), failed.retryable), ("not_installed", false));
    assert!(failed.message.contains("the languages are javascript, lua, python, ruby, typescript, wasm"), "{}", failed.message);
}

#[tokio::test]
async fn code_sees_the_variables_that_it_was_granted() {
    let grants = json!({ "env": { "TEXT": "plain", "ITEM": "{{ $json.n }}", "SECRET": { "credential": "token" } } });
    for (language, code) in [("javascript", "return env"), ("typescript", "return env as object"), ("lua", "return env")] {
        let params = json!({ "language": language, "code": code, "grants": grants });
        let node = NodeDefinition { credential: Some("secret".to_owned()), ..node("code", params) };
        let bench = Bench::new().with_credential("http_bearer", &[("token", "s3cret")]);
        let expected = json!([{ "TEXT": "plain", "ITEM": "1", "SECRET": "s3cret" }]);
        assert_eq!(bench.run_json(&node, json!([{ "n": 1 }])).await, Ok(expected), "{language}");
    }
    assert_eq!(run(json!({ "code": "return env" }), json!([{}])).await, Ok(json!([{}])));
    let missing = json!({ "code": "return env", "grants": { "env": { "A": { "credential": "token" } } } });
    assert_eq!(run(missing, json!([{}])).await.unwrap_err().code, "invalid_parameter");
}

#[tokio::test]
async fn what_code_used_is_kept_however_it_ends() {
    for code in ["return new Uint8Array(4e6).length", "new Uint8Array(4e6); throw new Error('no')"] {
        let (bench, node) = (Bench::new(), node("code", json!({ "code": code })));
        let ctx = bench.context(&node, json!([{}]));
        let log = ctx.log.clone();
        let _ = runner(&node).run(ctx).await;
        let usage = log.take().and_then(|log| log.usage).unwrap();
        assert!(usage.cold && usage.wall_us > 0 && usage.memory_peak_bytes > 4_000_000, "{code}: {usage:?}");
    }
}
