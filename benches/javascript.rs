//! Times fresh runs of code and expressions: `cargo bench --bench javascript`.
//!
//! Prints percentiles of two 10-item transforms in each language that the binary brings, each run in a fresh sandbox, beside an empty
//! WebAssembly call and a process of Node.js; how many of them all cores do in a second; and how many expressions a second one thread
//! evaluates here and in a reused guest.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and ends when something is wrong")]

#[path = "common/timing.rs"]
mod timing;

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use citadel::{
    model::item::{Item, Outputs},
    runtimes::{
        code::{JAVASCRIPT, TYPESCRIPT},
        expression::Template,
        javascript::{GuestSession, JavaScript},
        languages::Languages,
        lua::LUA,
        sandbox::{Sandbox, SandboxConfig},
        scope::{RunData, Scope},
    },
};
use serde_json::{Value, json};
use wasmtime::{Engine, Instance, Module, Store};

use self::timing::{fresh_runs, percentiles, processes, throughput};

/// `(module (func (export "run")))`
const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x07\x01\x03run\0\0\x0a\x04\x01\x02\0\x0b";
const RUNS: usize = 2_000;
/// How long each expression is evaluated for.
const EXPRESSION_TIME: Duration = Duration::from_secs(1);

/// Two values of each small item.
const SMALL: [(&str, &str); 3] = [
    (JAVASCRIPT, "return input.map((item) => ({ id: item.id, total: item.price * item.count }))"),
    (TYPESCRIPT, "return input.map((item: any) => ({ id: item.id, total: item.price * item.count }))"),
    (
        LUA,
        "local out = {} for i, item in ipairs(input) do out[i] = { id = item.id, total = item.price * item.count } end return out",
    ),
];

/// A little work on each nested item, and all of it returned.
const TRANSFORM: &str = "
    const gold = input.filter((order) => order.customer.tier === 'gold');
    const total = gold.reduce((sum, order) => sum + order.lines.reduce((part, line) => part + line.price * line.count, 0), 0);
    return input.map((order, index) => ({ ...order, index, name: order.customer.name.toUpperCase(), share: order.total / total }));
";

const TRANSFORM_IN_LUA: &str = "
    local total, out = 0, {}
    for _, order in ipairs(input) do
      if order.customer.tier == 'gold' then for _, line in ipairs(order.lines) do total = total + line.price * line.count end end
    end
    for index, order in ipairs(input) do
      order.index, order.name, order.share = index - 1, order.customer.name:upper(), order.total / total
      out[index] = order
    end
    return out
";

fn main() {
    let started = Instant::now();
    let cache_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("javascript-bench");
    let sandbox = Sandbox::new(&SandboxConfig { cache_dir, instances_max: 16 }).unwrap();
    let javascript = Arc::new(JavaScript::new(Arc::clone(&sandbox)).unwrap());
    let languages = Languages::new(Languages::embedded(&sandbox, &javascript).unwrap());
    println!("engine ready after {:.1} ms", started.elapsed().as_secs_f64() * 1e3);

    empty_calls();
    processes("node", &["-e", "process.stdout.write(JSON.stringify([1, 2, 3].map((n) => n * 2)))"]);
    fresh_runs(&languages, (JAVASCRIPT, "nothing"), "", &Value::Null, RUNS);
    let small: Vec<Value> = (0..10).map(|id| json!({ "id": id, "price": 1.5 * f64::from(id), "count": id + 1 })).collect();
    let (small, orders) = (Value::from(small), (0..10).map(order).collect::<Vec<Value>>());
    let input = Value::from(orders.clone());
    for (language, source) in SMALL {
        fresh_runs(&languages, (language, "10 small items"), source, &small, RUNS);
    }
    for (language, source) in [(JAVASCRIPT, TRANSFORM), (TYPESCRIPT, TRANSFORM), (LUA, TRANSFORM_IN_LUA)] {
        fresh_runs(&languages, (language, "10 orders"), source, &input, RUNS);
    }
    for (language, source) in SMALL {
        throughput(&languages, language, source, &small);
    }
    for (language, source) in [(JAVASCRIPT, TRANSFORM), (LUA, TRANSFORM_IN_LUA)] {
        throughput(&languages, language, source, &input);
    }

    first_expression(&javascript);
    let items: Vec<Item> = orders.into_iter().map(Item::from_value).collect();
    for source in [
        "{{ $json.customer.name }}",
        "{{ $json.total > 100 && $json.customer.tier === 'gold' }}",
        "Order {{ $json.id }} of {{ $json.customer.name }}: {{ $json.total * 1.19 }}",
    ] {
        expressions(&javascript, &items, source);
    }
    expressions(&javascript, &items, "{{ $json.lines.map((line) => line.price * line.count) }}");
}

fn order(number: u32) -> Value {
    let tier = if number.is_multiple_of(2) { "gold" } else { "plain" };
    let lines: Vec<Value> =
        (1..4).map(|line| json!({ "sku": format!("sku-{line}"), "price": 9.99 * f64::from(line), "count": line })).collect();
    json!({ "id": number, "total": 100.5 + f64::from(number), "customer": { "name": format!("Customer {number}"), "tier": tier }, "lines": lines })
}

/// What the first expression of an execution costs that only the guest can evaluate.
fn first_expression(javascript: &Arc<JavaScript>) {
    let template = Template::compile(&json!("{{ [1].map((one) => one) }}")).unwrap();
    let data = no_data();
    percentiles("first guest expression", RUNS, || {
        let mut session = GuestSession::new(Arc::clone(javascript));
        let outputs = Outputs::default();
        let scope = Scope { item: None, item_index: 0, items: &[], run_index: 0, outputs: &outputs, data: &data, now_ms: 0 };
        black_box(template.evaluate(&scope, &mut session).unwrap());
    });
}

fn no_data() -> RunData {
    let null = Value::Null;
    RunData { execution: null.clone(), workflow: null.clone(), vars: null.clone(), env: null, timezone: "UTC".to_owned() }
}

/// What wasmtime alone takes: a new store and instance, one call.
fn empty_calls() {
    let engine = Engine::default();
    let module = Module::new(&engine, EMPTY_MODULE).unwrap();
    percentiles("empty wasm call", RUNS, || {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        instance.get_typed_func::<(), ()>(&mut store, "run").unwrap().call(&mut store, ()).unwrap();
    });
}

fn expressions(javascript: &Arc<JavaScript>, items: &[Item], source: &str) {
    let template = Template::compile(&json!(source)).unwrap();
    let data = no_data();
    let outputs = Outputs::default();
    let mut session = GuestSession::new(Arc::clone(javascript));
    let started = Instant::now();
    let mut count = 0_u32;
    while started.elapsed() < EXPRESSION_TIME {
        for (item_index, item) in items.iter().enumerate() {
            let scope = Scope { item: Some(item), item_index, items, run_index: 0, outputs: &outputs, data: &data, now_ms: 0 };
            black_box(template.evaluate(&scope, &mut session).unwrap());
            count += 1;
        }
    }
    let place = if template.needs_guest() { "in the guest" } else { "here" };
    println!("{:>10.0} expressions/s {place}: {source}", f64::from(count) / started.elapsed().as_secs_f64());
}
