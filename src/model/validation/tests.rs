//! Tables of definitions against a small catalog, and properties of random ones.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::{
    catalog::EffectClass,
    definition::{EdgeDefinition, NodeDefinition, parse},
    limits::{ATTEMPTS_MAX, LOOP_ITERATIONS_MAX},
};

/// Five node types; the parameter `bad` is a problem of any of them.
struct FakeCatalog;

impl NodeCatalog for FakeCatalog {
    fn shape(&self, node: &NodeDefinition) -> Result<Arc<NodeShape>, Vec<Problem>> {
        if node.params.contains_key("bad") {
            return Err(vec![Problem::new("/params/bad", "unknown_parameter", "it is bad")]);
        }
        let step = NodeShape::step(EffectClass::Pure);
        let shape = match node.node_type.as_str() {
            "manual" | "webhook" => NodeShape::trigger(),
            "step" => step,
            "if" => NodeShape { ports: vec!["true".into(), "false".into()], ..step },
            "merge" => NodeShape { role: Role::Merge, inputs: 2, ..step },
            "loop" => NodeShape {
                role: Role::Loop { batch_size: 1, iterations_max: LOOP_ITERATIONS_MAX },
                ports: vec!["loop".into(), "done".into()],
                ..step
            },
            _ => return Err(vec![Problem::new("/type", "unknown_type", "no such type")]),
        };
        Ok(Arc::new(shape))
    }
}

fn definition(document: Value) -> WorkflowDefinition {
    parse::parse_value(document).unwrap()
}

/// A workflow of `id:type` words and `from[.port]>to[.input]` words.
fn workflow(nodes: &str, edges: &str) -> Value {
    let nodes: Vec<Value> = nodes
        .split_whitespace()
        .map(|word| {
            let (id, node_type) = word.split_once(':').unwrap();
            json!({ "id": id, "type": node_type })
        })
        .collect();
    let edges: Vec<Value> = edges
        .split_whitespace()
        .map(|word| {
            let (source, target) = word.split_once('>').unwrap();
            let (from, port) = source.split_once('.').unwrap_or((source, "main"));
            let (to, input) = target.split_once('.').unwrap_or((target, "0"));
            json!({ "from": from, "port": port, "to": to, "input": input.parse::<u32>().unwrap() })
        })
        .collect();
    json!({ "name": "w", "nodes": nodes, "edges": edges })
}

/// Expects exactly these problems, as `pointer code`, in this order.
#[track_caller]
fn check_document(document: Value, expected: &[&str]) {
    let problems = validate(&definition(document), &FakeCatalog).err().unwrap_or_default();
    let found: Vec<String> = problems.iter().map(|problem| format!("{} {}", problem.pointer, problem.code)).collect();
    assert_eq!(found, expected, "{problems:#?}");
}

#[track_caller]
fn check(nodes: &str, edges: &str, expected: &[&str]) {
    check_document(workflow(nodes, edges), expected);
}

/// Expects the first problem's sentence to hold `words`.
#[track_caller]
fn check_detail(nodes: &str, edges: &str, words: &str) {
    let problems = validate(&definition(workflow(nodes, edges)), &FakeCatalog).unwrap_err();
    assert!(problems[0].detail.contains(words), "{}", problems[0].detail);
}

#[test]
fn gives_the_shapes_in_the_order_of_the_nodes() {
    let validated = validate(&definition(workflow("m:merge a:manual b:if", "a>b b.true>m b.false>m.1")), &FakeCatalog).unwrap();
    let roles: Vec<Role> = validated.shapes.iter().map(|shape| shape.role).collect();
    assert_eq!(roles, [Role::Merge, Role::Trigger, Role::Step]);
}

#[test]
fn wants_one_node_per_id_and_known_types() {
    check("a:manual b:step b:if", "a>b", &["/nodes/2/id duplicate_id"]);
    check("a:manual b:stepp", "a>b", &["/nodes/1/type unknown_type"]);
    let mut document = workflow("a:manual b:step c:step", "a>b a>c");
    document["nodes"][1]["params"] = json!({ "bad": 1 });
    document["nodes"][2]["params"] = json!({ "bad": 1 });
    check_document(document, &["/nodes/1/params/bad unknown_parameter", "/nodes/2/params/bad unknown_parameter"]);
}

#[test]
fn wants_a_trigger_and_reachable_nodes() {
    check("", "", &["/nodes no_trigger"]);
    check("a:step b:step", "a>b", &["/nodes no_trigger"]);
    check("a:manual b:step c:step d:step", "a>b c>d", &["/nodes/2 unreachable_node", "/nodes/3 unreachable_node"]);
    check("a:manual b:manual c:step", "a>c b>c", &[]);
    // A node of an unknown type may be a trigger.
    check("a:unknown b:step", "a>b", &["/nodes/0/type unknown_type"]);
    // A misspelt edge does not make its target unreachable as well.
    check("a:manual bee:step", "a>be", &["/edges/0/to dangling_edge"]);
}

#[test]
fn wants_edges_between_things_that_exist() {
    check("a:manual b:step", "a>b x>b a>y", &["/edges/1/from dangling_edge", "/edges/2/to dangling_edge"]);
    check("a:manual b:if c:step", "a>b b.main>c", &["/edges/1/port unknown_port"]);
    check("a:manual b:step", "a>b a>b a.main>b", &["/edges/1 duplicate_edge", "/edges/2 duplicate_edge"]);
    check("a:manual b:step", "a>b a>b.1", &["/edges/1/input unknown_input"]);
    check("a:manual b:manual c:step", "a>b a>c", &["/edges/0/to edge_into_trigger"]);
    check_detail("hook:manual b:step", "hok>b", "did you mean `hook`?");
    check_detail("a:manual b:if c:step", "a>b b.ture>c", "did you mean `true`?");
    check_detail("a:manual b:if c:step", "a>b b.main>c", "there are `true`, `false`");
}

#[test]
fn knows_the_error_port_with_on_error_branch_only() {
    let mut document = workflow("a:manual b:step c:step", "a>b b.error>c");
    check_document(document.clone(), &["/edges/1/port unknown_port"]);
    check_detail("a:manual b:step c:step", "a>b b.error>c", "on_error: branch");
    document["nodes"][1]["on_error"] = json!("branch");
    check_document(document.clone(), &[]);
    document["edges"][1]["port"] = json!("eror");
    let problems = validate(&definition(document), &FakeCatalog).unwrap_err();
    assert!(problems[0].detail.contains("did you mean `error`?"));
}

#[test]
fn wants_an_edge_to_each_input_of_a_merge() {
    check("a:manual b:step m:merge", "a>b a>m b>m.1", &[]);
    check("a:manual b:step m:merge", "a>b a>m b>m", &["/nodes/2 input_not_connected"]);
    check("a:manual m:merge", "a>m a>m.2", &["/edges/1/input unknown_input", "/nodes/1 input_not_connected"]);
}

#[test]
fn allows_cycles_through_the_body_of_a_loop() {
    check("a:manual l:loop b:step c:step", "a>l l.loop>b b>l l.done>c", &[]);
    check("a:manual l:loop", "a>l l.loop>l", &[]);
    // One loop inside another.
    check("a:manual o:loop i:loop b:step", "a>o o.loop>i i.loop>b b>i i.done>o", &[]);
    // A branch of the body that ends there.
    check("a:manual l:loop b:if c:step", "a>l l.loop>b b.true>l b.false>c", &[]);
}

#[test]
fn refuses_cycles_that_no_loop_bounds() {
    check("a:manual b:step c:step", "a>b b>c c>b", &["/edges/2 illegal_cycle"]);
    check("a:manual b:step", "a>b b>b", &["/edges/1 illegal_cycle"]);
    check("a:manual l:loop b:step", "a>l l.done>b b>l", &["/edges/2 illegal_cycle"]);
    check("a:manual l:loop b:step c:step", "a>l l.loop>b b>l b>c c>b", &["/edges/4 illegal_cycle"]);
    // Two cycles are two findings, a chord of a reported one is none.
    check("a:manual b:step c:step d:step", "a>b b>c c>b c>d d>c", &["/edges/2 illegal_cycle", "/edges/4 illegal_cycle"]);
    check("a:manual b:if c:step d:step", "a>b b.true>c c>d d>b c>b", &["/edges/3 illegal_cycle"]);
    // An unknown type may be a loop.
    check("a:manual b:unknown c:step", "a>b b>c c>b", &["/nodes/1/type unknown_type"]);
    check_detail("a:manual b:step c:step", "a>b b>c c>b", "`b` -> `c` -> `b`");
}

#[test]
fn shows_the_beginning_of_a_long_cycle() {
    let nodes: String = (0..1_999).map(|n| format!(" n{n}:step")).collect();
    let edges: String = (0..1_999).map(|n| format!(" n{n}>n{}", (n + 1) % 1_999)).collect();
    check(&format!("a:manual{nodes}"), &format!("a>n0{edges}"), &["/edges/1999 illegal_cycle"]);
    check_detail(&format!("a:manual{nodes}"), &format!("a>n0{edges}"), "`n11` -> `...` -> `n0`");
}

#[test]
fn refuses_two_webhooks_for_the_same_requests() {
    let workflow = |left: Value, right: Value| {
        let nodes = json!([{ "id": "a", "type": "webhook", "params": left }, { "id": "b", "type": "webhook", "params": right }]);
        json!({ "name": "w", "nodes": nodes })
    };
    let duplicate: &[&str] = &["/nodes/1/params/path duplicate_webhook"];
    check_document(workflow(json!({ "path": "orders" }), json!({ "path": "/orders", "method": "POST" })), duplicate);
    check_document(workflow(json!({ "path": "o", "method": "GET" }), json!({ "path": "o", "method": "ANY" })), duplicate);
    check_document(workflow(json!({ "path": "o/{id}" }), json!({ "path": "o/{order}" })), duplicate);
    check_document(workflow(json!({ "path": "o", "method": "GET" }), json!({ "path": "o" })), &[]);
    check_document(workflow(json!({ "path": "o" }), json!({ "path": "O" })), &[]);
    check_document(workflow(json!({}), json!({})), &[]);
}

#[test]
fn bounds_obeyed_and_violated() {
    let node = |node: Value| {
        let mut document = workflow("a:manual b:step", "a>b");
        document["nodes"][1].as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
        document
    };
    check_document(
        node(json!({ "retry": { "max_attempts": ATTEMPTS_MAX, "initial": "1m", "max": "3650d" }, "timeout": "1ms" })),
        &[],
    );
    check_document(node(json!({ "retry": { "max_attempts": 0 } })), &["/nodes/1/retry/max_attempts out_of_range"]);
    check_document(node(json!({ "retry": { "max_attempts": ATTEMPTS_MAX + 1 } })), &["/nodes/1/retry/max_attempts out_of_range"]);
    check_document(node(json!({ "retry": { "initial": "61s" } })), &["/nodes/1/retry/initial out_of_range"]);
    check_document(node(json!({ "retry": { "max": "3651d" } })), &["/nodes/1/retry/max out_of_range"]);
    check_document(node(json!({ "timeout": "0s" })), &["/nodes/1/timeout out_of_range"]);
    check_document(node(json!({ "timeout": "3651d" })), &["/nodes/1/timeout out_of_range"]);

    let settings = |settings: Value| {
        let mut document = workflow("a:manual", "");
        document["settings"] = settings;
        document
    };
    check_document(
        settings(json!({ "concurrency": 1, "timezone": "UTC", "retention": { "success": "0s", "failure": "3650d" } })),
        &[],
    );
    check_document(
        settings(json!({ "concurrency": 0, "timezone": "Berlin time", "timeout": "0s", "retention": { "failure": "3651d" } })),
        &[
            "/settings/timeout out_of_range",
            "/settings/retention/failure out_of_range",
            "/settings/concurrency out_of_range",
            "/settings/timezone invalid_timezone",
        ],
    );
}

#[test]
fn stays_quick_where_everything_is_wrong() {
    let nodes: String = (0..2_000).map(|n| format!(" {}{n}:step", "x".repeat(58))).collect();
    let edges: String = (0..10_000).map(|n| format!(" {}{n}>nowhere", "y".repeat(58))).collect();
    let problems = validate(&definition(workflow(&nodes, &edges)), &FakeCatalog).unwrap_err();
    assert_eq!(problems.len(), crate::model::limits::PROBLEMS_MAX);
}

/// Ports of the types of [`FakeCatalog`].
fn ports_of(node_type: &str) -> &'static [&'static str] {
    match node_type {
        "if" => &["true", "false"],
        "loop" => &["loop", "done"],
        _ => &["main"],
    }
}

/// A tree of up to six nodes under a trigger, with up to two more edges between any of them: many are valid.
fn any_document() -> impl Strategy<Value = Value> {
    let node_type = prop::sample::select(vec!["step", "step", "step", "if", "merge", "loop", "manual", "unknown"]);
    let node = (node_type, any::<prop::sample::Index>(), any::<prop::sample::Index>());
    let extra = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>());
    (prop::collection::vec(node, 0..6), prop::collection::vec(extra, 0..3)).prop_map(|(drawn, extras)| {
        let types: Vec<&str> = std::iter::once("manual").chain(drawn.iter().map(|(node_type, ..)| *node_type)).collect();
        let source = |from: usize, port: &prop::sample::Index| format!("n{from}.{}", port.get(ports_of(types[from])));
        let mut edges = Vec::new();
        for (position, (node_type, parent, port)) in (1..).zip(&drawn).filter(|(_, (node_type, ..))| *node_type != "manual") {
            let inputs = if *node_type == "merge" { 2 } else { 1 };
            edges.extend((0..inputs).map(|input| format!("{}>n{position}.{input}", source(parent.index(position), port))));
        }
        for (from, port, to) in extras {
            edges.push(format!("{}>n{}", source(from.index(types.len()), &port), to.index(types.len())));
        }
        let nodes: Vec<String> =
            (0..).zip(&types).map(|(position, node_type): (usize, _)| format!("n{position}:{node_type}")).collect();
        workflow(&nodes.join(" "), &edges.join(" "))
    })
}

/// Whether the nodes can be put in order along the edges that must not close a cycle: an independent look at cycles.
fn can_be_ordered(definition: &WorkflowDefinition) -> bool {
    let type_of = |id: &str| definition.nodes.iter().find(|node| &*node.id == id).map(|node| node.node_type.as_str());
    let counts =
        |edge: &&EdgeDefinition| !matches!((type_of(&edge.from), &*edge.port), (Some("loop"), "loop") | (Some("unknown"), _));
    let edges: Vec<&EdgeDefinition> = definition.edges.iter().filter(counts).collect();
    let mut left: Vec<&str> = definition.nodes.iter().map(|node| &*node.id).collect();
    loop {
        let is_blocked = |id: &&str| edges.iter().any(|edge| &*edge.to == *id && left.contains(&&*edge.from));
        let blocked: Vec<&str> = left.iter().copied().filter(is_blocked).collect();
        if blocked.len() == left.len() {
            return left.is_empty();
        }
        left = blocked;
    }
}

proptest! {
    #[test]
    fn what_is_valid_can_be_run_and_written(document in any_document()) {
        let definition = definition(document);
        match validate(&definition, &FakeCatalog) {
            Ok(validated) => {
                prop_assert_eq!(validated.shapes.len(), definition.nodes.len());
                prop_assert!(can_be_ordered(&definition));
                let written = serde_json::to_vec(&definition).unwrap();
                prop_assert_eq!(parse::parse_json(&written).unwrap(), definition);
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                let has_cycle = problems.iter().any(|problem| problem.code == "illegal_cycle");
                prop_assert_eq!(has_cycle, !can_be_ordered(&definition), "{:?}", problems);
            }
        }
    }
}
