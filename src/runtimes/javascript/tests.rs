//! What code can and cannot do in the JavaScript sandbox.

mod json;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::{
    model::{error::codes, log::LogLevel},
    runtimes::{
        abuse::Abuse,
        code::{CODE_BYTES_MAX, CODE_WALL_MS_DEFAULT, Code, CodeErrorCode, CodeInput, CodeLimits, JAVASCRIPT},
        expression::{ExpressionErrorKind, Template},
        grants::Grants,
        languages::Language,
        syntax::SyntaxError,
        testing::{SLACK, Tested, World, shown},
    },
};

const TESTED: Tested = Tested(JAVASCRIPT);

fn parse(source: &str) -> Result<Code, SyntaxError> {
    Code::parse(JAVASCRIPT, source)
}

fn error_of(source: &str, limits: CodeLimits) -> CodeErrorCode {
    TESTED.run_with(source, &Value::Null, limits).expect_err(source).code
}

#[test]
fn code_returns_what_it_returns() {
    TESTED.check("return input.n + 1", json!(21));
    TESTED.check(
        "return { a: [1, undefined, () => 1], b: undefined, c: NaN, d: new Date(0) }",
        json!({ "a": [1, null, null], "c": null, "d": "1970-01-01T00:00:00.000Z" }),
    );
    TESTED.check("", Value::Null);
    TESTED.check("input.n + 1", Value::Null);
    TESTED.check("return function () {}", Value::Null);
    TESTED.check("return 'half \\ud83d of a pair, \\\\ud83d, 😀'", json!("half \u{fffd} of a pair, \\ud83d, 😀"));
    TESTED.check("return input.n // and no newline", json!(20));
}

#[test]
fn a_function_named_main_is_called() {
    TESTED.check("function main(given) { return given.n }", json!(20));
    TESTED.check("const main = async ({ n }) => n", json!(20));
    TESTED.check("function main() { return 1 }\nreturn 2", json!(2));
    TESTED.check("const main = 3", Value::Null);
}

#[test]
fn promises_are_awaited() {
    TESTED.check("return await Promise.all([1, Promise.resolve(2)])", json!([1, 2]));
    TESTED.check("return new Promise(resolve => Promise.resolve().then(() => resolve('later')))", json!("later"));
    TESTED.check_fails("await new Promise(() => {})", CodeErrorCode::Exception, "TypeError: the promise is never settled", None);
    TESTED.check_fails("return Promise.reject(new RangeError('no'))", CodeErrorCode::Exception, "RangeError: no", Some(1));
}

#[test]
fn names_of_the_scope_can_be_declared_again() {
    TESTED.check("const $el = 1; const f = ($x) => $x + $el; return f(2)", json!(3));
    TESTED.check("const items = [1]; const $json = 2; { const input = 3; return [items, $json, input] }", json!([[1], 2, 3]));
}

#[test]
fn errors_name_the_line_of_the_user() {
    TESTED.check_fails(
        "let a = 1;\n\n  null.x",
        CodeErrorCode::Exception,
        "TypeError: cannot read property 'x' of null",
        Some(3),
    );
    TESTED.check_fails("throw 'text'", CodeErrorCode::Exception, "text", None);
    TESTED.check_fails("throw { a: 1 }", CodeErrorCode::Exception, "{\"a\":1}", None);
    TESTED.check_fails("throw null", CodeErrorCode::Exception, "null", None);
    TESTED.check_fails("return 1n", CodeErrorCode::Exception, "TypeError: BigInt", None);
    TESTED.check_fails("const a = {}; a.a = a; return a", CodeErrorCode::Exception, "TypeError: circular reference", None);
    TESTED.check_fails("let a;\nlet a;", CodeErrorCode::Syntax, "SyntaxError", Some(2));

    let error = TESTED.run("const f = () => { throw new Error('in f') };\nconst g = () => f();\n  g()").unwrap_err();
    assert_eq!((error.line, error.column), (Some(1), Some(29)));
    assert_eq!(error.stack.as_deref(), Some("at f (code.js:1:29)\nat g (code.js:2:17)\nat <anonymous> (code.js:3:3)"));
    let node_error = error.into_node_error();
    assert_eq!((node_error.code.as_str(), node_error.retryable), (codes::CODE_EXCEPTION, false));
    assert_eq!(node_error.details.unwrap()["line"], json!(1));
}

#[test]
fn what_does_not_parse_is_refused_with_its_place() {
    let place_of = |source: &str| {
        let error = parse(source).expect_err(source);
        (error.position.line, error.position.column)
    };
    assert_eq!(place_of("let x = ;"), (1, 9));
    assert_eq!(place_of("const ä = 1;\nif (ä {\n}"), (2, 7));
    assert_eq!(place_of("}); (function () {"), (1, 4));
    assert_eq!(place_of("let a = 1;\nreturn $jsn.a"), (2, 8));
    assert!(parse(&"x".repeat(CODE_BYTES_MAX)).is_ok());
    assert_eq!(parse(&"x".repeat(CODE_BYTES_MAX + 1)).unwrap_err().position.offset, CODE_BYTES_MAX);
}

#[test]
fn code_of_a_node_sees_items_and_the_variables_of_expressions() {
    let world = World::new(json!({ "n": 1 }), json!({ "n": 2 }));
    let scope = world.scope();
    let run = |source: &str, input: CodeInput<'_>| TESTED.run_over(source, input).unwrap().output;
    assert_eq!(run("return input", CodeInput::Items(&scope)), json!([{ "n": 1 }, { "n": 2 }]));
    assert_eq!(run("function main(all) { return all.length }", CodeInput::Items(&scope)), json!(2));
    assert_eq!(run("return input", CodeInput::Item(&scope)), json!({ "n": 2 }));
    assert_eq!(run("return input === $json && $json === items[1].json", CodeInput::Item(&scope)), json!(true));
    let source = "const items = $input.all(); return [items.length, $node('source').json.name, $node('source').all().length, $vars.limit, $itemIndex]";
    assert_eq!(run(source, CodeInput::Items(&scope)), json!([2, "c", 3, 10, 1]));
    assert_eq!(run("return typeof $json + typeof items", CodeInput::Value(&json!(1))), json!("undefinedundefined"));
}

#[test]
fn console_output_is_kept_with_its_level() {
    let output = TESTED.run(
        "console.log('a', { b: 1 }, [undefined]); console.warn(null, 1n); console.debug(); console.error(new Error('x').message)",
    )
    .unwrap();
    assert_eq!(
        shown(&output.logs),
        [(LogLevel::Info, "a {\"b\":1} [null]"), (LogLevel::Warn, "null 1"), (LogLevel::Debug, ""), (LogLevel::Error, "x")]
    );
    assert!(!output.logs_truncated);
    let error = TESTED.run("console.log('before'); throw 1").unwrap_err();
    assert_eq!(error.logs.len(), 1);
}

#[test]
fn nothing_of_the_host_is_in_reach() {
    let names =
        ["std", "os", "require", "process", "eval", "XMLHttpRequest", "WebAssembly", "Deno", "native", "globalThis.native"];
    for name in names {
        TESTED.check(&format!("return typeof {name}"), json!("undefined"));
    }
    TESTED.check_fails("return await import('std')", CodeErrorCode::Exception, "", None);
}

#[test]
fn wall_time_obeyed_and_violated() {
    let limits = CodeLimits { wall_ms: 200, ..CodeLimits::default() };
    assert!(TESTED.run_with("let n = 0; while (n < 1000) n++; return n", &Value::Null, limits).is_ok());
    for source in [
        "while (true) {}",
        "for (;;) await null",
        "return /(a+)+$/.test('a'.repeat(40) + 'b')",
        "while (true) console.log('flood')",
    ] {
        let started = Instant::now();
        assert_eq!(error_of(source, limits), CodeErrorCode::Timeout, "{source}");
        let beyond = started.elapsed().saturating_sub(Duration::from_millis(200));
        assert!(beyond < SLACK, "{source} ended {beyond:?} too late");
    }
}

#[test]
fn cpu_time_violated() {
    let started = Instant::now();
    let error = TESTED.run_with("while (true) {}", &Value::Null, CodeLimits { cpu_ms: 50, ..CodeLimits::default() }).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (CodeErrorCode::Timeout, "the code used more than 50 ms of CPU time"));
    assert!(started.elapsed() < Duration::from_millis(CODE_WALL_MS_DEFAULT));
}

#[test]
fn memory_obeyed_and_violated() {
    let limits = CodeLimits { memory_bytes: 16 * 1024 * 1024, ..CodeLimits::default() };
    assert!(TESTED.run_with("return new Uint8Array(8e6).length", &Value::Null, limits).is_ok());
    for source in [
        "return new Uint8Array(32e6).length",
        "const a = []; while (true) a.push('x'.repeat(1e5))",
        "let o = {}; while (true) o = { o }",
    ] {
        assert_eq!(error_of(source, limits), CodeErrorCode::Memory, "{source}");
    }
    let huge = Value::String("x".repeat(32 * 1024 * 1024));
    let too_small = TESTED.run_with("return 1", &huge, limits).unwrap_err();
    assert_eq!(too_small.code, CodeErrorCode::Memory);
    assert_eq!(error_of("return 1", CodeLimits { memory_bytes: 1, ..limits }), CodeErrorCode::Memory);
}

#[test]
fn stack_violated() {
    TESTED.check_fails(
        "function f() { return f() + 1 }\nreturn f()",
        CodeErrorCode::Exception,
        "RangeError: Maximum call stack",
        Some(1),
    );
    TESTED.check(
        "let depth = 0; const f = () => { depth++; f() }; try { f() } catch (error) { return depth > 100 && error.name }",
        json!("RangeError"),
    );
    for source in [
        "return JSON.parse('['.repeat(1e5))",
        "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a",
        "return new RegExp('('.repeat(1e5))",
        "return new Function('!'.repeat(1e5) + '1')",
    ] {
        assert_eq!(error_of(source, CodeLimits::default()), CodeErrorCode::Exception, "{source}");
    }
}

#[test]
fn output_obeyed_and_violated() {
    let limits = CodeLimits { output_bytes: 1_000, ..CodeLimits::default() };
    assert!(TESTED.run_with("return 'x'.repeat(998)", &Value::Null, limits).is_ok());
    assert_eq!(error_of("return 'x'.repeat(999)", limits), CodeErrorCode::OutputLimit);
    // Deeper than the rest of the engine can take.
    assert_eq!(error_of("let a = []; for (let i = 0; i < 200; i++) a = [a]; return a", limits), CodeErrorCode::Exception);
}

#[test]
fn console_output_obeyed_and_violated() {
    let limits = CodeLimits { log_bytes: 100, ..CodeLimits::default() };
    let output = TESTED.run_with("console.log('x'.repeat(68))", &Value::Null, limits).unwrap();
    assert!(!output.logs_truncated);
    let output = TESTED.run_with("console.log('x'.repeat(60) + 'ääääää'); console.log('more')", &Value::Null, limits).unwrap();
    assert!(output.logs_truncated);
    assert_eq!(output.logs[0].text, format!("{}ääää", "x".repeat(60)));
    let output = TESTED.run_with("for (let i = 0; i < 1e5; i++) console.log('')", &Value::Null, limits).unwrap();
    assert!(output.logs_truncated && output.logs.len() <= 4, "{}", output.logs.len());
}

#[test]
fn a_run_leaves_nothing_to_the_next() {
    let poisons = [
        "globalThis.leak = 1; leak2 = 2; Array.prototype.map = () => 'poisoned'; JSON.stringify = () => 'x'; Object.prototype.leak = 1",
        "Math.random = () => 0; console.log = () => { throw 1 }; delete globalThis.Promise; Object.freeze(Array.prototype)",
        "while (true) {}",
        "const a = []; while (true) a.push(new Uint8Array(1e7))",
    ];
    let limits = CodeLimits { wall_ms: 300, ..CodeLimits::default() };
    for poison in poisons {
        let _ = TESTED.run_with(poison, &Value::Null, limits);
        let source = "console.log('fine'); return [typeof leak, typeof leak2, [1].map(x => x + 1), ({}).leak ?? null, typeof Promise, Object.isFrozen(Array.prototype)]";
        let output = TESTED.run(source).unwrap();
        assert_eq!(output.output, json!(["undefined", "undefined", [2], null, "function", false]));
        assert_eq!(output.logs.len(), 1);
    }
}

#[test]
fn randomness_and_clock_are_not_those_of_the_snapshot() {
    let draw = || TESTED.run("return [Math.random(), Math.random(), Date.now(), performance.now()]").unwrap().output;
    let (first, second) = (draw(), draw());
    assert_ne!(first[0], first[1]);
    assert_ne!(first[0], second[0]);
    let now_ms = crate::clock::now_ms();
    assert!(first[2].as_u64().is_some_and(|ms| now_ms.abs_diff(ms) < 60_000), "{first}");
    assert!(first[3].as_f64().is_some_and(|ms| (0.0..10_000.0).contains(&ms)), "{first}");
}

#[test]
fn a_session_reuses_one_sandbox_until_it_breaks() {
    TESTED.check_session(
        "if (input === 2) while (true) {}\nglobalThis.count = (globalThis.count ?? 0) + 1;\nif (input === 1) throw 1;\nreturn count",
    );
}

#[test]
fn limits_of_a_session_are_for_all_its_runs() {
    let code = parse("return 'x'.repeat(300)").unwrap();
    let (javascript, grants) = (JavaScript::for_tests(), Grants::default());
    let mut session = javascript.session(&code, CodeLimits { output_bytes: 1_000, ..CodeLimits::default() }, &grants);
    for _ in 0..3 {
        assert!(session.run(CodeInput::Value(&Value::Null)).is_ok());
    }
    assert_eq!(session.run(CodeInput::Value(&Value::Null)).unwrap_err().code, CodeErrorCode::OutputLimit);
}

#[test]
fn usage_is_measured() {
    let usage = TESTED
        .run("const end = Date.now() + 60; let sum = 0; while (Date.now() < end) sum++; return sum > new Uint8Array(4e6).length")
        .unwrap()
        .usage;
    assert!(usage.cold && usage.wall_ms >= 50.0 && usage.memory_peak_bytes > 4_000_000, "{usage:?}");
    assert!(usage.cpu_ms > 0.0 && usage.cpu_ms <= usage.wall_ms + 20.0, "{usage:?}");
}

#[test]
fn instances_obeyed_and_violated() {
    JavaScript::for_tests(); // Has compiled the guest.
    let javascript = Arc::new(JavaScript::new(Sandbox::with_instances(1)).unwrap());
    let (code, grants) = (parse("return 1").unwrap(), Grants::default());
    let world = World::new(json!({}), json!({}));
    let template = Template::compile(&json!("{{ [1].map(x => x)[0] }}")).unwrap();

    let mut session = GuestSession::new(Arc::clone(&javascript));
    assert_eq!(template.evaluate(&world.scope(), &mut session), Ok(json!(1)));
    let mut run = javascript.session(&code, CodeLimits::default(), &grants);
    assert_eq!(run.run(CodeInput::Value(&Value::Null)).unwrap_err().code, CodeErrorCode::Unavailable);
    session.release();
    assert!(run.run(CodeInput::Value(&Value::Null)).is_ok());
    assert_eq!(template.evaluate(&world.scope(), &mut session).unwrap_err().kind, ExpressionErrorKind::Unavailable);
    drop(run);
    assert_eq!(template.evaluate(&world.scope(), &mut session), Ok(json!(1)));
}

#[test]
fn abuse_ends_as_it_should() {
    ABUSE.check(&*JavaScript::for_tests());
}

#[test]
fn a_bad_run_never_affects_the_next() {
    ABUSE.check_sequences(&*JavaScript::for_tests());
}

const ABUSE: Abuse<'_> = Abuse {
    language: JAVASCRIPT,
    endless: "while (true) {}",
    memory: "const all = []; while (true) all.push(new Uint8Array(1e6))",
    recursion: "function f() { return f() + 1 }\nreturn f()",
    pattern: Some("return /(a+)+$/.test('a'.repeat(40) + 'b')"),
    sleep: None,
    output_flood: "return 'x'.repeat(100000)",
    log_flood: "while (true) console.log('flood')",
    huge_input: "return input.length",
    holds_input: true,
    syntax_error: ("const x = 1;\nconst y = = 2", Some(2)),
    no_json: Some("return 1n"),
    fetches: Some("while (true) await fetch('http://127.0.0.1/')"),
    throws: ("const f = () => {\n  throw new Error('no')\n}\nf()", "no", Some(2)),
    poisons: &[
        "globalThis.leak = 1; Array.prototype.map = () => 'poisoned'; JSON.stringify = () => 'x'; Object.prototype.leak = 1",
        "Math.random = () => 0; console.log = () => { throw 1 }; delete globalThis.Promise; Object.freeze(Array.prototype)",
        "for (const name of Object.getOwnPropertyNames(globalThis)) delete globalThis[name]",
    ],
    healthy: "console.log('fine'); const clean = typeof leak === 'undefined' && [1].map(n => n + 1)[0] === 2 && !Object.isFrozen(Array.prototype);
        return [input + 1, clean ? 'clean' : 'dirty']",
};

#[test]
fn a_thousand_instances_live_at_once() {
    JavaScript::for_tests(); // Has compiled the guest.
    let sandbox = Sandbox::with_instances(1_000);
    let javascript = JavaScript::new(Arc::clone(&sandbox)).unwrap();
    let (code, grants) = (parse("globalThis.held = input; return input * 2").unwrap(), Grants::default());
    let mut sessions: Vec<_> = (0..1_000).map(|_| javascript.session(&code, CodeLimits::default(), &grants)).collect();
    let mut peak_bytes = 0;
    for (index, session) in sessions.iter_mut().enumerate() {
        let output = session.run(CodeInput::Value(&json!(index))).unwrap();
        assert_eq!(output.output, json!(index * 2));
        peak_bytes += output.usage.memory_peak_bytes;
    }
    assert_eq!(sandbox.instances(), 1_000);
    // Most of it is the snapshot, which all of them share.
    assert!(peak_bytes < 2_000 * 1024 * 1024, "{peak_bytes} bytes");
    let mut beyond = javascript.session(&code, CodeLimits::default(), &grants);
    assert_eq!(beyond.run(CodeInput::Value(&json!(1))).unwrap_err().code, CodeErrorCode::Unavailable);
    drop(sessions.pop());
    assert!(beyond.run(CodeInput::Value(&json!(1))).is_ok());
}
