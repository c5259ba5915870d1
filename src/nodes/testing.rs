//! Runs one node on given items, without an engine: what the tests of every node type stand on.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Outcome, Prepared, PureNode, Runner, Woken, context::NodeContext, registry::Registry};
use crate::{
    model::{
        definition::{NodeDefinition, OnError},
        error::NodeError,
        item::{Input, Item, Origin, Outputs, PortItems},
        problem::Problem,
    },
    runtimes::{
        javascript::{GuestSession, JavaScript},
        scope::RunData,
    },
};

/// The time of every test run: 2026-01-02T03:04:05Z.
pub const NOW_MS: u64 = 1_767_323_045_000;

/// A node called `n`.
pub fn node(node_type: &str, params: Value) -> NodeDefinition {
    let Value::Object(params) = params else { panic!("params are an object") };
    NodeDefinition {
        id: "n".into(),
        node_type: node_type.to_owned(),
        name: None,
        params,
        credential: None,
        disabled: false,
        retry: None,
        timeout: None,
        on_error: OnError::Stop,
        notes: None,
        position: None,
        execute_once: false,
        always_output: false,
    }
}

/// Makes a node ready.
#[track_caller]
pub fn prepare(node_type: &str, params: Value) -> Prepared {
    Registry::builtin().prepare(&node(node_type, params)).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The problems of a node's parameters, as `pointer code`.
#[track_caller]
pub fn problems(node_type: &str, params: Value) -> Vec<String> {
    let problems = match Registry::builtin().prepare(&node(node_type, params)) {
        Ok(_) => panic!("the node has no problem"),
        Err(problems) => problems,
    };
    problems.iter().map(|Problem { pointer, code, .. }| format!("{pointer} {code}")).collect()
}

/// The items of input number `number`, as if the node `in<number>` had put them out.
pub fn input(number: usize, items: Value) -> Input {
    let Value::Array(items) = items else { panic!("items are an array") };
    let items: Vec<Item> = items.into_iter().map(Item::from_value).collect();
    let count = u32::try_from(items.len()).unwrap();
    Input { items: Arc::new(items), origins: vec![Origin { node: format!("in{number}").into(), run: 0, first: 0, count }] }
}

/// Calls `action` with the node's runner and a context over `inputs`.
pub fn with_context<T>(runner: &Runner, inputs: &[Input], action: impl FnOnce(&dyn PureNode, &mut NodeContext<'_>) -> T) -> T {
    let Runner::Pure(node) = runner else { panic!("not a pure node") };
    let data = run_data();
    let outputs = Outputs::default();
    let mut guest = guest();
    let mut ctx = NodeContext { inputs, run_index: 0, outputs: &outputs, data: &data, now_ms: NOW_MS, guest: &mut guest };
    action(&**node, &mut ctx)
}

/// Data of a run whose environment has `SECRET`.
pub fn run_data() -> RunData {
    RunData {
        execution: json!({ "id": "exe_1" }),
        workflow: json!({ "name": "test" }),
        vars: json!({}),
        env: json!({ "SECRET": "s3cret" }),
        timezone: "Europe/Berlin".to_owned(),
    }
}

/// A guest that is made at first use.
pub fn guest() -> GuestSession {
    GuestSession::new(JavaScript::for_tests())
}

/// What a node with these parameters ends with.
#[track_caller]
pub fn outcome(node_type: &str, params: Value, inputs: &[Value]) -> Result<Outcome, NodeError> {
    let prepared = prepare(node_type, params);
    let inputs: Vec<Input> = inputs.iter().enumerate().map(|(number, items)| input(number, items.clone())).collect();
    with_context(&prepared.runner, &inputs, |node, ctx| node.run(ctx))
}

/// What a node puts out, as `{ port: [json] }`, ports without items left out.
#[track_caller]
pub fn run_inputs(node_type: &str, params: Value, inputs: &[Value]) -> Result<Value, NodeError> {
    outcome(node_type, params, inputs).map(|outcome| match outcome {
        Outcome::Done(ports) | Outcome::Respond(ports, _) => by_port(&ports),
        Outcome::Wait(wait) => panic!("the node waits: {wait:?}"),
    })
}

/// As [`run_inputs`], for a node with one input.
#[track_caller]
pub fn run(node_type: &str, params: Value, items: Value) -> Result<Value, NodeError> {
    run_inputs(node_type, params, &[items])
}

/// What a waiting node puts out when it is woken.
#[track_caller]
pub fn resume(node_type: &str, params: Value, items: Value, woken: &Woken) -> Result<Value, NodeError> {
    let prepared = prepare(node_type, params);
    with_context(&prepared.runner, &[input(0, items)], |node, ctx| node.resume(ctx, woken)).map(|ports| by_port(&ports))
}

/// The JSON of items by their port.
pub fn by_port(ports: &[PortItems]) -> Value {
    let mut shown = Map::new();
    for PortItems { port, items } in ports {
        if !items.is_empty() {
            shown.insert(port.to_string(), items.iter().map(|item| item.json.clone()).collect());
        }
    }
    Value::Object(shown)
}

/// The code of the failure that a run ends with.
#[track_caller]
pub fn failure(node_type: &str, params: Value, items: Value) -> String {
    match outcome(node_type, params, &[items]) {
        Ok(outcome) => panic!("the node did not fail: {outcome:?}"),
        Err(error) => error.code,
    }
}
