//! Templates, from compilation to result.

use serde_json::{Value, json};

use super::*;
use crate::{
    model::error::codes,
    runtimes::{javascript::JavaScript, testing::World},
};

fn world() -> World {
    World::new(
        json!({ "name": "zero" }),
        json!({ "name": "Ada", "n": 3, "big": 9_007_199_254_740_993_u64, "list": [1, "two", { "three": 3 }], "none": null, "emoji": "a😀", "1": "one" }),
    )
}

fn evaluate(template: &Value) -> Result<Value, ExpressionError> {
    let template = Template::compile(template).expect("the template compiles");
    template.evaluate(&world().scope(), &mut GuestSession::new(JavaScript::for_tests()))
}

#[track_caller]
fn check(template: Value, expected: Value) {
    assert_eq!(evaluate(&template), Ok(expected), "{template}");
}

/// An expression that is evaluated without the guest.
#[track_caller]
fn check_here(source: &str, expected: Value) {
    let template = json!(format!("{{{{ {source} }}}}"));
    assert!(!Template::compile(&template).unwrap().needs_guest(), "{source} needs the guest");
    check(template, expected);
}

/// An expression that only the guest can evaluate.
#[track_caller]
fn check_in_guest(source: &str, expected: Value) {
    let template = json!(format!("{{{{ {source} }}}}"));
    assert!(Template::compile(&template).unwrap().needs_guest(), "{source} does not need the guest");
    check(template, expected);
}

#[track_caller]
fn check_problem(template: Value, pointer: &str, detail: &str) {
    let problems = Template::compile(&template).expect_err("the template is wrong");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((problems[0].pointer.as_str(), problems[0].code.as_str()), (pointer, PROBLEM));
    assert!(problems[0].detail.contains(detail), "{}", problems[0].detail);
}

#[test]
fn a_whole_expression_keeps_its_type_and_others_become_text() {
    check(json!("{{ $json.n }}"), json!(3));
    check(json!("{{ $json.list }}"), json!([1, "two", { "three": 3 }]));
    check(json!("{{ $json.missing }}"), Value::Null);
    check(json!("n={{ $json.n }};{{ $json.none }}{{ $json.missing }}{{ $json.list }}"), json!(r#"n=3;[1,"two",{"three":3}]"#));
    check(json!("{{ $json.n }} "), json!("3 "));
    check(json!("{{ $json.n }}{{ $json.n + 1 }}"), json!("34"));
    check(json!(""), json!(""));
}

#[test]
fn templates_reach_into_arrays_and_objects() {
    let template = json!({ "a": ["{{ $json.n }}", { "b/c": "{{ $json.name }}!" }], "plain": [1, null] });
    check(template, json!({ "a": [3, { "b/c": "Ada!" }], "plain": [1, null] }));
    let literal = Template::compile(&json!({ "a": [1, "{ {x} }"] })).unwrap();
    assert!(literal.is_literal() && !literal.needs_guest());
    assert_eq!(literal.literal(), Some(&json!({ "a": [1, "{ {x} }"] })));
    assert!(!Template::compile(&json!(["{{ 1 }}"])).unwrap().is_literal());
}

#[test]
fn common_forms_need_no_guest() {
    check_here("$json.list[2].three", json!(3));
    check_here("$json['list'][1].length", json!(3));
    check_here("$json[1] + $json['1']", json!("oneone"));
    check_here("$json.missing?.deep.deeper ?? 'none'", json!("none"));
    check_here("$json.n > 2 && $json.name === 'Ada' ? 'yes' : 'no'", json!("yes"));
    check_here("`${$json.name} has ${$json.list}`", json!("Ada has 1,two,[object Object]"));
    check_here("0.1 + 0.2", json!(0.30000000000000004));
    check_here("'5' * '2' + -$json.n", json!(7));
    check_here("'b' + 'a' + +'a' + 'a'", json!("baNaNa"));
    check_here("null == undefined && null !== undefined && !('' == null)", json!(true));
    check_here(
        "[$json.big, $json.link, typeof $json.name.link, $json.name.link + '', !$json.list.map]",
        json!([9_007_199_254_740_993_u64, null, "function", "function link() {\n    [native code]\n}", false]),
    );
    check_here("typeof $json.n + typeof $json.list + typeof $json.x", json!("numberobjectundefined"));
    check_here("' Ada '.trim().toUpperCase().includes('DA')", json!(true));
    check_here("$json.list.includes('two') || $json.list.join('-')", json!(true));
    check_here(
        "{ total: $json.n * 2, nested: [$json.name, undefined], gone: undefined }",
        json!({ "total": 6, "nested": ["Ada", null] }),
    );
    check_here("$json.n ? { a: 1 } : []", json!({ "a": 1 }));
    check_here("JSON.stringify($json.list)", json!(r#"[1,"two",{"three":3}]"#));
    check_here("Math.round(-2.5) + Number('0x10') + String(1e21)", json!("141e+21"));
    check_here("$vars.limit + $env.REGION + $workflow.name + $execution.id", json!("10euTestexe_1"));
}

#[test]
fn the_scope_has_items_and_outputs() {
    check_here("$itemIndex + $runIndex", json!(1));
    check_here("$items().length + $input.all().length", json!(4));
    check_here(
        "$input.first().json.name + $input.last().json.name + $input.item.json.name + $items()[0].json.name",
        json!("zeroAdaAdazero"),
    );
    check_here("$item.json === $json", json!(true));
    check_here("$node('source').json.name", json!("c"));
    check_here("$node(\"source\").first().json.name + $node('source').all()[1].json.tags[0]", json!("ab"));
    check_here("$node('source').items.length", json!(3));
    check_in_guest("$node('source').all().map(item => item.json.name).join('')", json!("abc"));
    check_in_guest("$node(['source'][0]).last().json.name", json!("c"));
    check_in_guest("$items().map($each => $each.json.name)", json!(["zero", "Ada"]));
    check_in_guest("$items().map(item => item.json.name)", json!(["zero", "Ada"]));
    check_in_guest("$items()[1].json === $json && $item === $input.item", json!(true));
    check_in_guest("[$node('source').item].map(item => item.json.name)", json!(["c"]));
    check_in_guest(
        "(() => [$vars, $env, $workflow.name, $execution.id, $itemIndex, $binary])()",
        json!([{ "limit": 10 }, { "REGION": "eu" }, "Test", "exe_1", 1, null]),
    );
}

#[test]
fn now_is_text_with_the_offset_of_the_zone() {
    check_here("$now", json!("2026-07-02T00:30:00.250+02:00"));
    check_here("$today", json!("2026-07-02T00:00:00.000+02:00"));
    check(json!("at {{ $now }}"), json!("at 2026-07-02T00:30:00.250+02:00"));
    check_in_guest("`${$now}`", json!("2026-07-02T00:30:00.250+02:00"));
    check_in_guest(
        "[$now - $today, $now.hour, $now.zone, $now.toISOString()]",
        json!([1_800_250, 0, "Europe/Berlin", "2026-07-01T22:30:00.250Z"]),
    );
}

#[test]
fn numbers_that_are_passed_on_keep_their_digits() {
    check_here("$json.big", json!(9_007_199_254_740_993_u64));
    check(json!("id {{ $json.big }}"), json!("id 9007199254740993"));
    check_here("$json.big + 0", json!(9_007_199_254_740_992_u64));
}

#[test]
fn halves_of_surrogate_pairs_meet_again() {
    check_here("$json.emoji[1] + $json.emoji[2]", json!("😀"));
    check_here("$json.emoji[1]", json!("\u{fffd}"));
    check_here("JSON.stringify($json.emoji[1])", json!("\"\\ud83d\""));
    check_in_guest("$json.emoji.slice(1, 2)", json!("\u{fffd}"));
}

#[test]
fn errors_say_which_expression_failed_and_why() {
    let error = evaluate(&json!({ "deep": ["x", "line\n  {{ $json.none.name }}"] })).unwrap_err();
    assert_eq!(error.to_string(), "{{ $json.none.name }}: TypeError: cannot read property 'name' of null");
    let node_error = error.into_node_error(4);
    assert_eq!(node_error.code, codes::EXPRESSION);
    assert_eq!(node_error.details, Some(json!({ "item": 4, "pointer": "/deep/1", "line": 2, "column": 6 })));

    let error = evaluate(&json!("{{ $node('sauce').json.x }}")).unwrap_err();
    assert!(error.message.contains("node \"sauce\" has no output"), "{error}");
    let error = evaluate(&json!("{{ $node('sauce').all().map(x => x) }}")).unwrap_err();
    assert!(error.message.contains("node \"sauce\" has no output"), "{error}");
    let error = evaluate(&json!("{{ (() => { throw new RangeError('mine') })() }}")).unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ExpressionErrorKind::Exception, "RangeError: mine"));
}

#[test]
fn problems_are_found_before_anything_runs() {
    check_problem(json!({ "url": ["{{ $json. }}"] }), "/url/0", "line 1, column 11 (offset 10)");
    check_problem(json!("ü\n{{ 1 +* 2 }}"), "", "line 2, column 7");
    check_problem(json!("{{ }}"), "", "is empty");
    check_problem(json!("{{ 'x }"), "", "has no `}}`");
    check_problem(json!("a {{ 'x }}"), "", "line 1, column 6 (offset 5): Unterminated string");
    check_problem(json!("{{ 1; 2 }}"), "", "line 1");
    check_problem(json!("{{ 1), (2 }}"), "", "this is not one expression");
    check_problem(
        json!("{{ $json.a + $jsn.a }}"),
        "",
        "line 1, column 14 (offset 13): there is no variable $jsn: did you mean $json?",
    );
    check_problem(json!("{{ $secrets.token }}"), "", "$secrets is not available");
    check_problem(json!("{{ await 1 }}"), "", "line 1");
    check_problem(json!({ "a/b": "{{ /(/ }}" }), "/a~1b", "line 1");
    let problems = Template::compile(&json!(["{{ 1 + }} {{ ) }}", "{{ ok }}", "{{ , }}"])).unwrap_err();
    let pointers: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(pointers, ["/0", "/0", "/2"]);
}

#[test]
fn expression_length_obeyed_and_violated() {
    let of_bytes = |bytes: usize| json!(format!("{{{{'{}'}}}}", "x".repeat(bytes - 2)));
    assert!(Template::compile(&of_bytes(compile::EXPRESSION_BYTES_MAX)).is_ok());
    check_problem(of_bytes(compile::EXPRESSION_BYTES_MAX + 1), "", "more than 16384");
}

#[test]
fn the_deepest_sources_compile() {
    for (open, close) in
        [("!", ""), ("- ", ""), ("a=>", ""), ("a?a:", ""), ("a=", ""), ("a**", ""), ("new ", ""), ("typeof ", ""), ("a+", "")]
    {
        let count = (compile::EXPRESSION_BYTES_MAX - 10) / (open.len() + close.len());
        let template = json!(format!("{{{{ {}a{} }}}}", open.repeat(count), close.repeat(count)));
        assert!(Template::compile(&template).is_ok(), "{open}");
    }
}

#[test]
fn output_bytes_violated() {
    let world = World::new(json!({}), json!({ "text": "x".repeat(9 * 1024 * 1024) }));
    let mut guest = GuestSession::new(JavaScript::for_tests());
    let mut kind_of = |template: Value| {
        Template::compile(&template).unwrap().evaluate(&world.scope(), &mut guest).map(|_| ()).map_err(|error| error.kind)
    };
    assert_eq!(kind_of(json!(["{{ $json.text }}", "{{ $json.text }}", "{{ $json.text }}"])), Ok(()));
    assert_eq!(kind_of(json!(vec!["{{ $json.text }}"; 4])), Err(ExpressionErrorKind::OutputLimit));
    assert_eq!(
        kind_of(json!("{{ $json.text }}{{ $json.text }}{{ $json.text }}{{ $json.text }}")),
        Err(ExpressionErrorKind::OutputLimit)
    );
    let sum = vec!["$json.text"; 40].join("+");
    assert_eq!(kind_of(json!(format!("{{{{ ({sum}).length }}}}"))), Err(ExpressionErrorKind::Memory));
}

#[test]
fn time_and_memory_violated_leave_a_session_that_goes_on() {
    let world = world();
    let mut guest = GuestSession::new(JavaScript::for_tests());
    let mut run = |source: &str| {
        let template = Template::compile(&json!(format!("{{{{ {source} }}}}"))).unwrap();
        template.evaluate(&world.scope(), &mut guest).map_err(|error| error.kind)
    };
    for _ in 0..2 {
        assert_eq!(run("(() => { while (true) {} })()"), Err(ExpressionErrorKind::Timeout));
        assert_eq!(run("(() => { const a = []; while (true) a.push(new Uint8Array(1e7)) })()"), Err(ExpressionErrorKind::Memory));
        assert_eq!(run("(function f() { return f() + 1 })()"), Err(ExpressionErrorKind::Exception));
        assert_eq!(run("[1, 2].map(x => x + $json.n)"), Ok(json!([4, 5])));
    }
}

#[test]
fn expressions_cannot_change_what_others_see() {
    let world = world();
    let mut guest = GuestSession::new(JavaScript::for_tests());
    let mut run = |source: &str| {
        let template = Template::compile(&json!(format!("{{{{ {source} }}}}"))).unwrap();
        template.evaluate(&world.scope(), &mut guest)
    };
    for poison in [
        "globalThis.leak = 1",
        "leak = 1",
        "Array.prototype.map = () => 'poisoned'",
        "Object.prototype.leak = 1",
        "JSON.stringify = () => '0'",
        "Object.defineProperty(String.prototype, 'leak', { value: 1 })",
        "Math.max = () => 7",
        "Array.prototype.push.call(Array.prototype, 1)",
    ] {
        assert!(run(poison).is_err(), "{poison}");
    }
    run("[$json.list.push(4), $json.leak = 1]").unwrap();
    assert_eq!(
        run(
            "[typeof leak, [1].map(x => x), {}.leak, ''.leak, $json.leak, $json.list.length, Math.max(1, 2), [].length].map(x => x ?? null)"
        ),
        Ok(json!(["undefined", [1], null, null, null, 3, 2, 0]))
    );
}

#[test]
fn a_session_does_not_grow_with_its_evaluations() {
    let world = world();
    let mut guest = GuestSession::new(JavaScript::for_tests());
    let template = Template::compile(&json!("{{ $items().map(item => item.json.list ?? 'x'.repeat(1000)) }}")).unwrap();
    for _ in 0..100 {
        template.evaluate(&world.scope(), &mut guest).unwrap();
    }
    let after_100 = guest.memory_bytes();
    for _ in 0..5_000 {
        template.evaluate(&world.scope(), &mut guest).unwrap();
    }
    assert_eq!(guest.memory_bytes(), after_100);
}

#[test]
fn an_instance_that_has_grown_is_replaced() {
    let world = world();
    let mut guest = GuestSession::new(JavaScript::for_tests());
    let mut memory_after = |source: &str| {
        let template = Template::compile(&json!(format!("{{{{ {source} }}}}"))).unwrap();
        template.evaluate(&world.scope(), &mut guest).unwrap();
        guest.memory_bytes().unwrap()
    };
    let fresh = memory_after("[1].map(x => x)");
    assert!(memory_after("[new Uint8Array(40e6).length].map(x => x)") > 40_000_000);
    assert_eq!(memory_after("[1].map(x => x)"), fresh);
}
