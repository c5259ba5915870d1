//! What code can and cannot do in Lua.

use serde_json::json;

use super::*;
use crate::{
    model::log::LogLevel,
    runtimes::{
        abuse::Abuse,
        code::{stderr_of, stdout_of},
        languages::Languages,
        testing::{Tested, World, shown},
    },
};

const TESTED: Tested = Tested(LUA);

#[test]
fn abuse_ends_as_it_should() {
    ABUSE.check(Languages::for_tests().get(LUA).unwrap());
}

#[test]
fn a_bad_run_never_affects_the_next() {
    ABUSE.check_sequences(Languages::for_tests().get(LUA).unwrap());
}

const ABUSE: Abuse<'_> = Abuse {
    language: LUA,
    endless: "while true do end",
    memory: "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
    recursion: "local function f() return f() + 1 end return f()",
    pattern: Some("return ('a'):rep(60):find(('a?'):rep(60) .. ('a'):rep(60))"),
    sleep: None,
    output_flood: "return ('x'):rep(100000)",
    log_flood: "while true do print('flood') end",
    huge_input: "return #input",
    holds_input: true,
    syntax_error: ("local x = 1\nlocal y = = 2", Some(2)),
    no_json: Some("return print"),
    fetches: Some("while true do fetch('http://127.0.0.1/') end"),
    throws: ("local function f()\n  error('no')\nend\nf()", "no", Some(2)),
    poisons: &[
        "leak = 1; string.rep = nil; print = nil; json.encode = nil; math.random = function() return 4 end",
        "getmetatable('').__index = function() return 'poisoned' end",
        "for name in pairs(_G) do _G[name] = nil end",
        "collectgarbage('stop'); local co = coroutine.wrap(function() while true do coroutine.yield() end end) co()",
    ],
    healthy: "print('fine') return { input + 1, leak == nil and ('x'):rep(2) == 'xx' and json.encode(1) == '1' and 'clean' or 'dirty' }",
};

#[test]
fn code_returns_what_it_returns() {
    TESTED.check("return input.n + 1", json!(21));
    TESTED.check("return input", json!({ "n": 20, "list": [], "map": {}, "none": null, "text": "ä\n😀" }));
    TESTED.check("return { 1, 2, { a = 1.5, b = 10 / 2, c = 1e300 } }", json!([1, 2, { "a": 1.5, "b": 5, "c": 1e300 }]));
    TESTED.check("return { [1] = 'a', [3] = 'b' }", json!({ "1": "a", "3": "b" }));
    TESTED.check("return { nan = 0/0, inf = 1/0, max = math.maxinteger }", json!({ "nan": null, "inf": null, "max": i64::MAX }));
    TESTED.check("return {}, json.object({})", json!([]));
    TESTED.check("return json.object({})", json!({}));
    TESTED.check("return input.none == json.null and tostring(input.none)", json!("null"));
    TESTED.check("return '\\xff' .. input.text", json!("\u{fffd}ä\n😀"));
    TESTED.check("", Value::Null);
    TESTED.check("return", Value::Null);
    TESTED.check("return json.decode(json.encode({ a = { 'x', true } }))", json!({ "a": ["x", true] }));
}

#[test]
fn numbers_come_and_go_as_they_are() {
    let numbers = json!([
        0,
        1,
        -1,
        9.99,
        -29.97,
        0.1,
        1e-6,
        1e-7,
        123_456.789,
        1e15,
        1e21,
        5e-324,
        1.797e308,
        0.123_456_789_012_345_67,
        i64::MAX,
        i64::MIN,
        9_007_199_254_740_993_i64,
        1_234_567_890_123_456_789_i64
    ]);
    let output = TESTED.run_over("return input", CodeInput::Value(&numbers)).unwrap().output;
    assert_eq!(output.to_string(), numbers.to_string());
    let decoded =
        "local n = json.decode('[1, -2, 1.0, 1e2, 9223372036854775808, -0.5e-3]') return { n, math.type(n[1]), math.type(n[3]) }";
    TESTED.check(decoded, json!([[1, -2, 1, 100, 9_223_372_036_854_775_808.0, -0.0005], "integer", "float"]));
    for wrong in ["+1", "01", "1.", ".5", "-", "1e", "--1", "0x10", "Infinity"] {
        TESTED.check_fails(&format!("return json.decode('{wrong}')"), CodeErrorCode::Exception, "this is no JSON", Some(1));
    }
}

#[test]
fn a_function_named_main_is_called() {
    TESTED.check("function main(given) return given.n end", json!(20));
    TESTED.check("local function main(given) return given.n end", json!(20));
    TESTED.check("function main() return 1 end\nif input.n > 5 then return 2 end", json!(2));
    TESTED.check("main = 3", Value::Null);
}

#[test]
fn errors_name_the_line_of_the_user() {
    TESTED.check_fails(
        "local a = {}\n\nlocal b = a.x.y",
        CodeErrorCode::Exception,
        "attempt to index a nil value (field 'x')",
        Some(3),
    );
    TESTED.check_fails("error('no', 0)", CodeErrorCode::Exception, "no", Some(1));
    TESTED.check_fails("error({ code = 3 })", CodeErrorCode::Exception, "{\"code\":3}", Some(1));
    TESTED.check_fails("error()", CodeErrorCode::Exception, "nil", Some(1));
    TESTED.check_fails("return { [true] = 1 }", CodeErrorCode::Exception, "a key of an object must be a string", None);
    TESTED.check_fails("local t = {} t.t = t return t", CodeErrorCode::Exception, "the value is nested too deeply", None);
    TESTED.check_fails("local co = coroutine.wrap(function()\n error('in') end)\nco()", CodeErrorCode::Exception, "in", Some(2));
    TESTED.check_fails("x = 1\ny = ", CodeErrorCode::Syntax, "unexpected symbol near <eof>", Some(2));
    TESTED.check_fails("return json.decode('[1,')", CodeErrorCode::Exception, "this is no JSON", Some(1));
    let error = TESTED.run("local function f() error('in f') end\nlocal function g() f() end\ng()").unwrap_err();
    assert_eq!(error.stack.as_deref(), Some("at f (code.lua:1)\nat g (code.lua:2)\nat code.lua:3"));
    TESTED.check("return { pcall(function() error('caught', 0) end) }", json!([false, "caught"]));
}

#[test]
fn nothing_of_the_host_is_in_reach() {
    TESTED.check(
        "return { io == nil, require == nil, package == nil, debug == nil, dofile == nil, loadfile == nil }",
        json!([true, true, true, true, true, true]),
    );
    TESTED.check("return { os.execute == nil, os.remove == nil, os.getenv('PATH') == nil }", json!([true, true, true]));
    TESTED.check("return (load(string.dump(function() end)))", Value::Null);
    TESTED.check("return load('return 1 + 1')()", json!(2));
}

#[test]
fn console_output_is_kept_with_its_level() {
    let output = TESTED.run("print('a', 1, nil, json.null) warn('b', 'c')").unwrap();
    assert_eq!(shown(&output.logs), [(LogLevel::Info, "a\t1\tnil\tnull"), (LogLevel::Warn, "bc")]);
    assert_eq!((stdout_of(&output.logs), stderr_of(&output.logs)), ("a\t1\tnil\tnull\n".to_owned(), "bc\n".to_owned()));
}

#[test]
fn randomness_and_clock_are_not_those_of_the_snapshot() {
    let draw = || TESTED.run("return { math.random(), math.random(), os.time(), os.date('!%Y', 86400) }").unwrap().output;
    let (first, second) = (draw(), draw());
    assert_ne!(first[0], first[1]);
    assert_ne!(first[0], second[0]);
    assert!(first[2].as_u64().is_some_and(|seconds| crate::clock::now_ms().abs_diff(seconds * 1_000) < 60_000), "{first}");
    assert_eq!(first[3], json!("1970"));
    TESTED.check("return os.time({ year = 1970, month = 1, day = 2, hour = 0 })", json!(86400));
}

#[test]
fn code_of_a_node_sees_items_and_granted_variables() {
    let world = World::new(json!({ "n": 1 }), json!({ "n": 2 }));
    let scope = world.scope();
    let grants = Grants { env: [("KEY".to_owned(), "value".to_owned())].into(), ..Grants::default() };
    let run =
        |source: &str, input: CodeInput<'_>| TESTED.run_granted(source, input, CodeLimits::default(), &grants).unwrap().output;
    assert_eq!(run("return input", CodeInput::Items(&scope)), json!([{ "n": 1 }, { "n": 2 }]));
    assert_eq!(run("return { input.n, #items, items[1].json.n }", CodeInput::Item(&scope)), json!([2, 2, 1]));
    assert_eq!(run("return { os.getenv('KEY'), env.KEY }", CodeInput::Value(&json!(1))), json!(["value", "value"]));
}

#[test]
fn a_session_reuses_one_sandbox_until_it_breaks() {
    TESTED.check_session(
        "if input == 2 then while true do end end count = (count or 0) + 1 if input == 1 then error('no') end return count",
    );
}
