//! Thousands of random expressions over random data: what is evaluated here must be what the guest evaluates.

use std::cell::{Cell, RefCell};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};

use super::{
    Node, Template,
    compile::Expression,
    evaluate::{Evaluator, write_value},
    evaluation::in_guest,
    json_text,
};
use crate::runtimes::{
    javascript::{GuestSession, JavaScript},
    testing::World,
};

/// How many expressions are compared.
const CASES: u32 = 6_000;

/// Strings that conversions treat in different ways.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "", " ", "0", "-0", "1", "42", "1.5", "-3", "1e3", ".5", "5.", "0x1f", "0b11", "Infinity", "-Infinity", "NaN", "inf", "true", "null",
            "undefined", "abc", "ABC", "aBc", "ab", "b", "10", "9", "[object Object]", "1,2", "ß", "İ", "ΑΣ", "ǆ", "é", "😀", "\u{ff5e}", "\t12\n",
            "\u{feff}7\u{a0}", "\u{85}7", "a\"b\\c", "\u{1}", "\u{2028}", "123456789012345678901234567890", "1e-7", "1_000", "0x", "+5", "- 5",
        ]).prop_map(str::to_owned),
        1 => "[ a-zA-Z0-9äß😀.+-]{0,6}",
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3_i64..12).prop_map(Value::from),
        prop::sample::select(vec![
            0.1,
            0.2,
            -0.5,
            1.5,
            2.5,
            1e21,
            1e-7,
            123_456.789,
            5e-324,
            1.797e308,
            4_294_967_296.0,
            1e15,
            1e16
        ])
        .prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        prop::sample::select(vec![9_007_199_254_740_991_i64, -9_007_199_254_740_991, 4_294_967_295, 2_147_483_648])
            .prop_map(Value::from),
    ]
}

/// Names of members: plain ones, an index, and such that prototypes have too.
const KEYS: [&str; 10] = ["a", "b", "c", "list", "name", "0", "length", "link", "map", "toFixed"];

fn data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number(), text().prop_map(Value::from),];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key_of_data(), inner), 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn key_of_data() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["toString", "valueOf", "2", "01", "trim", "includes"]).prop_map(str::to_owned),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::vec((key_of_data(), data()), 0..8).prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("undefined".to_owned()),
        Just("null".to_owned()),
        Just("NaN".to_owned()),
        Just("Infinity".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        number().prop_map(|number| format!("({})", javascript_text(&number))),
        text().prop_map(|text| javascript_text(&Value::String(text))),
    ]
}

fn javascript_text(value: &Value) -> String {
    let mut text = String::new();
    json_text::write(&mut text, value);
    text.replace('\u{2028}', "\\u2028")
}

fn path() -> impl Strategy<Value = String> {
    let root = prop::sample::select(vec![
        "$json",
        "$json",
        "$json",
        "$json",
        "$item.json",
        "$input.first().json",
        "$items()[0].json",
        "$node('source').json",
        "$node('source').all()[2].json",
        "$vars",
        "$workflow",
        "$items()[7]?.json",
        "$input.last().json",
        "$json.a",
        "$json.name",
        "$json.list",
    ]);
    let root = prop_oneof![40 => root, 1 => Just("$node('gone').json")];
    let step = prop_oneof![
        2 => prop::sample::select(KEYS.to_vec()).prop_map(|key| if key == "0" { "[0]".to_owned() } else { format!(".{key}") }),
        9 => prop::sample::select(KEYS.to_vec()).prop_map(|key| if key == "0" { "?.[0]".to_owned() } else { format!("?.{key}") }),
        1 => prop::sample::select(KEYS.to_vec()).prop_map(|key| format!("?.['{key}']")),
        1 => (0_u8..4).prop_map(|index| format!("[{index}]")),
        2 => (0_u8..4).prop_map(|index| format!("?.[{index}]")),
        1 => Just("?.[$itemIndex]".to_owned()),
        1 => Just("?.[$itemIndex - 1.5]".to_owned()),
    ];
    (root, prop::collection::vec(step, 0..4)).prop_map(|(root, steps)| format!("{root}{}", steps.concat()))
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        2 => literal(),
        5 => path(),
        1 => prop::sample::select(vec!["$itemIndex", "$runIndex", "$items().length", "$node('source').items.length"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let binary = prop::sample::select(vec![
            "+", "+", "-", "*", "/", "%", "==", "==", "!=", "===", "!==", "<", "<=", ">", ">=", "&&", "||",
        ]);
        let unary = prop::sample::select(vec!["!", "-", "+", "typeof "]);
        let method = prop::sample::select(vec!["toUpperCase", "toLowerCase", "trim", "trimStart", "trimEnd", "join"]);
        let search = prop::sample::select(vec!["includes", "startsWith", "endsWith", "join"]);
        let function = prop::sample::select(vec![
            "String", "Number", "Boolean", "JSON.stringify", "Math.floor", "Math.ceil", "Math.round", "Math.abs",
        ]);
        prop_oneof![
            6 => (inner.clone(), binary, inner.clone()).prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} ?? {right})")),
            2 => (unary, inner.clone()).prop_map(|(operator, operand)| format!("{operator}({operand})")),
            2 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(test, yes, no)| format!("({test} ? {yes} : {no})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("`<${{{left}}}|${{{right}}}>`")),
            2 => (receiver(inner.clone()), method).prop_map(|(object, method)| format!("{object}.{method}()")),
            2 => (receiver(inner.clone()), search, inner.clone()).prop_map(|(object, method, part)| format!("{object}.{method}({part})")),
            2 => (function, inner.clone()).prop_map(|(function, argument)| format!("{function}({argument})")),
            1 => (inner.clone(), prop::sample::select(KEYS.to_vec())).prop_map(|(object, key)| format!("({object})?.['{key}']")),
            1 => (inner.clone(), inner.clone()).prop_map(|(first, second)| format!("{{ a: {first}, 0: [{second}], 'b c': {first} }}")),
        ]
    })
}

/// What a method is called on: mostly text, seldom whatever comes.
fn receiver(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (inner, prop::sample::select(vec!["String(", "String(", "String(", "("]))
        .prop_map(|(object, open)| format!("{open}{object})"))
}

/// The value with every number as JavaScript writes it: `3.0` and `3` are the same.
fn normalized(value: Value) -> Value {
    serde_json::from_str(&javascript_text(&value)).expect("JSON text is JSON")
}

fn compile(source: &str) -> Expression {
    let template =
        Template::compile(&json!(format!("{{{{ {source} }}}}"))).unwrap_or_else(|problems| panic!("{source}: {problems:?}"));
    match std::sync::Arc::into_inner(template.root) {
        Some(Node::Whole(expression)) => expression,
        other => panic!("{source} is {other:?}"),
    }
}

#[test]
fn agree_with_the_guest() {
    let guest = RefCell::new(GuestSession::new(JavaScript::for_tests()));
    let (compared, failed_in_both) = (Cell::new(0_u32), Cell::new(0_u32));
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let result = runner.run(&(expression(), object(), object()), |(source, first, current)| {
        let expression = compile(&source);
        let Some(program) = &expression.program else { return Ok(()) };
        let world = World::new(first, current);
        let scope = world.scope();
        let here = Evaluator::new(&scope).result(program).map(|value| normalized(value.unwrap_or(Value::Null)));
        let there = in_guest(&expression, &scope, &mut guest.borrow_mut()).map(normalized);
        compared.set(compared.get() + 1);
        failed_in_both.set(failed_in_both.get() + u32::from(here.is_err() && there.is_err()));
        match (&here, &there) {
            (Ok(here), Ok(there)) => {
                prop_assert_eq!(here, there);
                let (mut text_here, mut text_there) = (String::new(), String::new());
                Evaluator::new(&scope).write_result(&mut text_here, program).expect("it has a result");
                write_value(&mut text_there, there);
                prop_assert_eq!(text_here, text_there);
            }
            (Err(_), Err(_)) => {}
            _ => prop_assert!(false, "here: {:?}, in the guest: {:?}", here, there),
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    let (compared, failed_in_both) = (compared.get(), failed_in_both.get());
    println!("{compared} compared, {failed_in_both} of them failed in both");
    assert!(compared > CASES / 2, "only {compared} of {CASES} expressions were evaluated here");
    assert!(failed_in_both < compared / 3, "{failed_in_both} of {compared} are errors: they show little");
}
