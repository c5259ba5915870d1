//! What people and programs read about a node type beside its schema: examples, and what follows from them. The registry makes
//! these once; a test runs every example that needs nothing outside.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Prepared;
use crate::model::{
    catalog::{EffectClass, Role},
    definition::NodeDefinition,
    item::Port,
    problem::Problem,
};

/// Every example, by node type.
const EXAMPLES: &str = include_str!("examples.json");
/// The id of the node that an example is about.
pub const EXAMPLE_NODE: &str = "example";
/// The id of the trigger in front of it.
pub const START_NODE: &str = "start";

/// The documentation of one node type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Docs {
    /// `trigger`, `step`, `merge` or `loop`.
    pub role: &'static str,
    pub inputs: u32,
    /// Output ports, those of the first example. With `on_error: branch` a node has `error`, too.
    pub ports: Vec<Port>,
    /// Whether the parameters decide about the ports.
    pub ports_vary: bool,
    /// What it may do to the world, depending on its parameters: `pure`, `idempotent`, `effect`, `wait`.
    pub effects: Vec<&'static str>,
    pub examples: Vec<ExampleDocs>,
}

/// An example as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExampleDocs {
    pub title: String,
    /// Parameters and items for `POST /node-types/{type}/test`.
    pub params: Map<String, Value>,
    pub items: Vec<Value>,
    pub ports: Vec<Port>,
    pub effect: &'static str,
    /// A whole workflow that can be stored as it is.
    pub definition: Value,
}

/// An example as it is written down.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Example {
    title: String,
    params: Map<String, Value>,
    items: Vec<Value>,
    /// What a whole workflow needs beside the node and its trigger.
    #[serde(default)]
    nodes: Vec<Value>,
    #[serde(default)]
    edges: Vec<Value>,
}

/// Every example, by node type. Panics if the file cannot be read: a test does.
pub(super) fn examples() -> BTreeMap<String, Vec<Example>> {
    serde_json::from_str(EXAMPLES).expect("the examples are valid")
}

/// Makes the documentation of a node type. `prepare` says what a node with an example's parameters is.
///
/// Errors: the problems of an example.
pub(super) fn docs(
    node_type: &str,
    examples: &[Example],
    prepare: impl Fn(&NodeDefinition) -> Result<Prepared, Vec<Problem>>,
) -> Result<Docs, Vec<Problem>> {
    let mut docs =
        Docs { role: "step", inputs: 1, ports: Vec::new(), ports_vary: false, effects: Vec::new(), examples: Vec::new() };
    for example in examples {
        let node = node_of(node_type, example);
        let shape = prepare(&node)?.shape;
        let effect = effect_name(shape.effect);
        if docs.examples.is_empty() {
            (docs.role, docs.inputs, docs.ports) = (role_name(shape.role), shape.inputs, shape.ports.clone());
        }
        docs.ports_vary |= docs.ports != shape.ports;
        if !docs.effects.contains(&effect) {
            docs.effects.push(effect);
        }
        docs.examples.push(ExampleDocs {
            title: example.title.clone(),
            params: example.params.clone(),
            items: example.items.clone(),
            ports: shape.ports,
            effect,
            definition: definition(example, &node, shape.role == Role::Trigger, shape.inputs),
        });
    }
    Ok(docs)
}

fn node_of(node_type: &str, example: &Example) -> NodeDefinition {
    let node = json!({ "id": EXAMPLE_NODE, "type": node_type, "params": example.params });
    serde_json::from_value(node).expect("a node needs an id and a type")
}

/// A workflow around the node: a trigger in front of it, unless it is one.
fn definition(example: &Example, node: &NodeDefinition, is_trigger: bool, inputs: u32) -> Value {
    let mut nodes = Vec::new();
    let mut edges = Vec::new();
    if !is_trigger {
        nodes.push(json!({ "id": START_NODE, "type": "manual" }));
        edges.extend((0..inputs).map(|input| match input {
            0 => json!({ "from": START_NODE, "to": EXAMPLE_NODE }),
            _ => json!({ "from": START_NODE, "to": EXAMPLE_NODE, "input": input }),
        }));
    }
    nodes.push(json!(node));
    nodes.extend(example.nodes.iter().cloned());
    edges.extend(example.edges.iter().cloned());
    json!({ "name": example.title, "nodes": nodes, "edges": edges })
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Trigger => "trigger",
        Role::Step => "step",
        Role::Merge => "merge",
        Role::Loop { .. } => "loop",
    }
}

const fn effect_name(effect: EffectClass) -> &'static str {
    match effect {
        EffectClass::Pure => "pure",
        EffectClass::Idempotent => "idempotent",
        EffectClass::Effect => "effect",
        EffectClass::Wait => "wait",
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        model::{definition::parse::parse_value, ids::WorkflowId},
        nodes::{plan::compile, registry::Registry},
    };

    #[test]
    fn every_node_type_has_an_example_that_compiles() {
        let registry = Registry::builtin();
        let workflow = WorkflowId::from_uuid(Uuid::from_u128(1));
        for name in registry.types().map(|description| description.type_name) {
            let docs = registry.docs(name).unwrap();
            assert!(!docs.examples.is_empty(), "{name} needs an example in src/nodes/examples.json");
            for example in &docs.examples {
                let definition =
                    parse_value(example.definition.clone()).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
                if let Err(problems) = compile(&registry, definition, workflow, 1) {
                    panic!("{name}, {}: {problems:#?}", example.title);
                }
                assert!(!example.items.is_empty() && example.items.iter().all(Value::is_object), "{name}: {}", example.title);
            }
        }
    }

    #[test]
    fn tells_ports_and_effects_by_the_examples() {
        let registry = Registry::builtin();
        let docs = |name| registry.docs(name).unwrap();
        assert_eq!((docs("if").role, docs("if").ports.as_slice()), ("step", &["true".into(), "false".into()] as &[Port]));
        assert!(docs("switch").ports_vary && !docs("if").ports_vary);
        assert_eq!(docs("http.request").effects, ["idempotent", "effect"]);
        assert_eq!(docs("wait").effects, ["wait"]);
        assert_eq!((docs("webhook").role, docs("webhook").inputs), ("trigger", 0));
        assert_eq!((docs("merge").role, docs("merge").inputs), ("merge", 2));
        assert_eq!(docs("loop").role, "loop");
        assert!(registry.docs("no-such-type").is_none());
    }
}
