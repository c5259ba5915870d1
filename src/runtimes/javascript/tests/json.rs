//! What goes into the sandbox and what comes out is JSON as JavaScript has it, whichever way the guest reads and writes it.

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use super::TESTED;
use crate::runtimes::code::{CodeErrorCode, CodeLimits};

/// Random inputs that are compared.
const CASES: u32 = 200;

fn output_of(source: &str, input: &Value) -> Value {
    TESTED.run_with(source, input, CodeLimits::default()).unwrap_or_else(|error| panic!("{source}: {error}")).output
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-1_000_i64..1_000).prop_map(Value::from),
        // Prices and shares: few digits behind the point, or all that a double has.
        (-10_000_000_i64..10_000_000, 0..7_i32).prop_map(|(digits, scale)| Value::from(digits as f64 / 10_f64.powi(scale))),
        (-1.0_f64..1.0).prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        prop::num::f64::SUBNORMAL.prop_map(Value::from),
        prop::sample::select(vec![
            0.1,
            1e-5,
            1e-6,
            1e-7,
            9.99,
            999_999_999.999_999,
            1e9,
            123_456_789.125,
            4_294_967_296.5,
            1e15,
            1e20,
            1e21,
            1.797e308,
            5e-324
        ])
        .prop_map(Value::from),
        prop::sample::select(vec![i64::from(i32::MAX), i64::from(i32::MIN), 4_294_967_295, 9_007_199_254_740_991])
            .prop_map(Value::from),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ a-z\"\\\\/\n\t\u{1}\u{7f}]{0,12}",
        2 => "[a-zäöß\u{ff}é]{0,8}",
        1 => "[a-z\u{100}\u{2028}\u{ffff}😀\u{10ffff}]{0,8}",
    ]
}

/// Names that siblings share or do not, some of which are no plain text, or numbers, which come first in an object.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec!["id", "name", "ide", "total", "x", "", "__proto__", "constructor", "length"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["0", "7", "01", "4294967295", "2nd", "a\"b", "a\\", "é", "Ã©", "\u{1}", "😀"]).prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number(), text().prop_map(Value::from)];
    leaf.prop_recursive(4, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same value, as JavaScript has it: a whole number has no point, and numbers come first in an object.
fn as_javascript_has_it(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(as_javascript_has_it).collect(),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(key, value)| (key.clone(), as_javascript_has_it(value))).collect();
            // A stable sort: what is no index keeps its order.
            members.sort_by_key(|(key, _)| index_of(key).unwrap_or(u32::MAX));
            Value::Object(members.into_iter().collect())
        }
        Value::Number(number) => match number.as_f64() {
            Some(whole) if whole.fract() == 0.0 && whole.abs() < 1e21 => {
                // All digits, of which those beyond the shortest are zeros.
                let digits = if whole == 0.0 { "0".to_owned() } else { whole.to_string() };
                serde_json::from_str(&digits).unwrap()
            }
            _ => value.clone(),
        },
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// The index that a name stands for, if it is one.
fn index_of(key: &str) -> Option<u32> {
    key.parse().ok().filter(|index: &u32| *index < u32::MAX && index.to_string() == key)
}

#[test]
fn what_comes_in_goes_out() {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(value(), 1..6), |values| {
            let input = Value::from(values);
            let expected = as_javascript_has_it(&input);
            // Read here and written here; and both as QuickJS does, which the text of the input shows.
            let source = "const text = JSON.stringify(input); return [input, JSON.parse(text), text]";
            let output = output_of(source, &input);
            prop_assert_eq!(output[0].to_string(), output[1].to_string());
            prop_assert_eq!(output[0].to_string(), expected.to_string());
            let text: Value = serde_json::from_str(output[2].as_str().unwrap_or_default()).unwrap();
            prop_assert_eq!(text.to_string(), expected.to_string());
            Ok(())
        })
        .unwrap();
}

#[test]
fn numbers_are_written_as_javascript_writes_them() {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(number(), 50), |numbers| {
            let input = Value::from(numbers);
            let output = output_of("return input.map((number) => [number, String(number), JSON.stringify([number])])", &input);
            for (pair, number) in output.as_array().unwrap().iter().zip(input.as_array().unwrap()) {
                prop_assert_eq!(pair[0].as_f64(), number.as_f64());
                let written = format!("[{}]", pair[1].as_str().unwrap());
                prop_assert_eq!(pair[2].as_str().unwrap(), &written);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_is_no_plain_data_is_written_as_javascript_writes_it() {
    TESTED.check("return { b: 1, 2: 2, a: 3, 1: 4, '01': 5 }", json!({ "1": 4, "2": 2, "b": 1, "a": 3, "01": 5 }));
    TESTED.check("return { get a() { return this.b * 2 }, b: 2 }", json!({ "a": 4, "b": 2 }));
    TESTED.check("return [{ toJSON: () => 'own' }, new Date(0)]", json!(["own", "1970-01-01T00:00:00.000Z"]));
    TESTED.check("return new (class { a = 1; #b = 2; get c() { return 3 } })()", json!({ "a": 1 }));
    TESTED.check("return Object.assign(Object.create(null), { a: 1 })", json!({ "a": 1 }));
    TESTED.check("const o = { a: 1, b: 2, c: 3 }; delete o.b; return o", json!({ "a": 1, "c": 3 }));
    TESTED.check("return Object.defineProperty({ a: 1 }, 'b', { value: 2 })", json!({ "a": 1 }));
    TESTED.check("return { [Symbol('s')]: 1, a: Symbol('s'), b: undefined, c: () => 1 }", json!({}));
    TESTED
        .check("return [undefined, , Symbol('s'), () => 1, NaN, -Infinity, -0]", json!([null, null, null, null, null, null, 0]));
    TESTED.check("const a = [1]; a.name = 'a'; a[3] = 4; return a", json!([1, null, null, 4]));
    TESTED.check("const a = [1, 2, 3]; a.length = 1; return a", json!([1]));
    TESTED.check("return new Proxy({ a: 1 }, { get: () => 2 })", json!({ "a": 2 }));
    TESTED
        .check("return [new String('s'), new Number(1.5), new Boolean(false), new Map([[1, 2]])]", json!(["s", 1.5, false, {}]));
    TESTED.check("return new Uint8Array([1, 2])", json!({ "0": 1, "1": 2 }));
    TESTED.check(
        "return Array.from({ length: 3 }, (_, i) => 'ab'.repeat(2000) + i).map((s) => s.length)",
        json!([4001, 4001, 4001]),
    );
    TESTED.check("let s = ''; for (let i = 0; i < 3000; i++) s += i % 10; return [s, s.slice(1000, 1020)]", {
        let digits = "0123456789".repeat(300);
        json!([digits, &digits[1000..1020]])
    });
    TESTED.check("return '\\ud83d' + 'x'.repeat(1022) + '😀'", json!(format!("\u{fffd}{}😀", "x".repeat(1022))));
}

#[test]
fn prototypes_with_to_json_are_heeded() {
    TESTED.check("Object.prototype.toJSON = function () { return 'all' }; return [{}]", json!("all"));
    TESTED.check("Array.prototype.toJSON = function () { return this.length }; return { a: [1, 2] }", json!({ "a": 2 }));
    TESTED.check("String.prototype.toJSON = () => 'no'; return ['a']", json!(["a"]));
    TESTED.check(
        "const proto = { toJSON: () => 'inherited' }; Object.setPrototypeOf(Array.prototype, proto); return [1]",
        json!("inherited"),
    );
    TESTED.check("return Object.setPrototypeOf({ a: 1 }, { toJSON: () => 'inherited' })", json!("inherited"));
    TESTED.check("return Object.setPrototypeOf([1], { toJSON: () => 'inherited' })", json!("inherited"));
}

#[test]
fn deep_values_come_and_go_and_cycles_are_refused() {
    let deep = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(output_of("return input", &deep(120)), deep(120));
    TESTED.check_fails("const a = []; a[0] = { a }; return a", CodeErrorCode::Exception, "TypeError: circular reference", None);
    TESTED.check_fails("return { a: [1, 2n] }", CodeErrorCode::Exception, "TypeError: BigInt", None);
    TESTED.check("const a = { n: 1 }; return [a, a]", json!([{ "n": 1 }, { "n": 1 }]));
}

#[test]
fn what_was_read_is_like_what_was_made() {
    let changes = "input.extra = 1; const keys = Object.keys(input); delete input.n;
        return [keys, input, Object.getPrototypeOf(input) === Object.prototype]";
    assert_eq!(output_of(changes, &json!({ "n": 1 })), json!([["n", "extra"], { "extra": 1 }, true]));
    let rows = json!([{ "a": 1, "b": 2 }, { "a": 3, "b": 4 }, { "a": 5 }, { "a": 6, "b": 7, "c": 8 }, { "b": 9, "a": 0 }]);
    let source = "input[0].c = 3; input[1].a = 'x'; delete input[2].a; input[4].b = input[3]; return input";
    let expected = json!([{ "a": 1, "b": 2, "c": 3 }, { "a": "x", "b": 4 }, {}, { "a": 6, "b": 7, "c": 8 },
        { "b": { "a": 6, "b": 7, "c": 8 }, "a": 0 }]);
    assert_eq!(output_of(source, &rows), expected);
    let grown = "for (let i = 0; i < 100; i++) input.push(i); input.shift(); return [input.length, input[2], input.at(-1)]";
    assert_eq!(output_of(grown, &json!([1, 2, 3])), json!([102, 0, 99]));
}
