//! Workflows in a line or two of text, for the tests of this room.
//!
//! ```text
//! hook -> a; a:true -> m.0; a:false -> b -> m.1     edges, from a port to an input; both may be left out
//! a: effect retry={"max_attempts":3} disabled       a node's type with its options, each of them JSON or a flag
//! settings: timeout=1h                              the workflow's settings
//! ```
//!
//! What is not declared is guessed: `hook` is a trigger, ports tell an `if` and a loop, inputs a merge, the rest are pure steps.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value, json};

use super::{
    catalog::{AwaitedChildren, EffectClass, NodeCatalog, NodeShape, Role},
    definition::{NodeDefinition, WorkflowDefinition, parse},
    graph::Graph,
    limits::LOOP_ITERATIONS_MAX,
    problem::Problem,
    validation,
};

/// A valid workflow.
pub(in crate::model) struct Flow {
    pub(in crate::model) definition: WorkflowDefinition,
    pub(in crate::model) graph: Arc<Graph>,
}

impl Flow {
    /// Reads a workflow that has to be valid.
    #[track_caller]
    pub(in crate::model) fn new(text: &str) -> Self {
        Self::read(text).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"))
    }

    /// Errors: the problems that validation finds.
    pub(in crate::model) fn read(text: &str) -> Result<Self, Vec<Problem>> {
        let definition = parse::parse_value(Drawing::read(text).document())?;
        let shapes = validation::validate(&definition, &Catalog)?.shapes;
        let graph = Arc::new(Graph::new(&definition, &shapes));
        Ok(Self { definition, graph })
    }
}

/// Node types by role and effect class: `merge(inputs)`, `loop(batch_size, max_iterations)`, and types without parameters.
struct Catalog;

impl NodeCatalog for Catalog {
    fn shape(&self, node: &NodeDefinition) -> Result<Arc<NodeShape>, Vec<Problem>> {
        let param = |name: &str, default: u32| {
            node.params.get(name).and_then(Value::as_u64).map_or(default, |number| u32::try_from(number).unwrap())
        };
        let step = NodeShape::step(EffectClass::Pure);
        let shape = match node.node_type.as_str() {
            "trigger" => NodeShape::trigger(),
            "step" => step,
            "effect" => NodeShape::step(EffectClass::Effect),
            "wait" => NodeShape::step(EffectClass::Wait),
            "call" => NodeShape { children: AwaitedChildren::OfAllItems, ..NodeShape::step(EffectClass::Effect) },
            "calls" => NodeShape { children: AwaitedChildren::PerItem, ..NodeShape::step(EffectClass::Effect) },
            "if" => NodeShape { ports: vec!["true".into(), "false".into()], ..step },
            "merge" => NodeShape { role: Role::Merge, inputs: param("0", 2), ..step },
            "loop" => {
                let role = Role::Loop { batch_size: param("0", 1), iterations_max: param("1", LOOP_ITERATIONS_MAX) };
                NodeShape { role, ports: vec!["loop".into(), "done".into()], ..step }
            }
            other => return Err(vec![Problem::new("/type", "unknown_type", other)]),
        };
        Ok(Arc::new(shape))
    }
}

/// Nodes and edges as they were written; nodes in the order in which they are named first.
#[derive(Default)]
struct Drawing {
    nodes: Vec<String>,
    /// Fields of the nodes' definitions, by id.
    fields: BTreeMap<String, Map<String, Value>>,
    edges: Vec<Value>,
    settings: Map<String, Value>,
}

impl Drawing {
    fn read(text: &str) -> Self {
        let mut drawing = Self::default();
        for line in text.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
            if line.contains("->") {
                let stations: Vec<&str> = line.split("->").map(str::trim).collect();
                stations.windows(2).for_each(|pair| drawing.read_edge(pair[0], pair[1]));
            } else {
                let (id, words) = line.split_once(':').unwrap_or((line, ""));
                drawing.read_fields(id, words);
            }
        }
        drawing
    }

    /// `from` is `id`, `id:port` or `id.input:port`, `to` is `id`, `id.input` or `id.input:port`.
    fn read_edge(&mut self, from: &str, to: &str) {
        let (from, port) = from.split_once(':').unwrap_or((from, "main"));
        let from = from.split_once('.').map_or(from, |(id, _)| id);
        let to = to.split_once(':').map_or(to, |(target, _)| target);
        let (to, input) = to.split_once('.').map_or((to, None), |(id, input)| (id, Some(input.parse::<u32>().unwrap())));
        self.name(from);
        self.name(to);
        match port {
            "true" | "false" => self.guess(from, "type", json!("if")),
            "loop" | "done" => self.guess(from, "type", json!("loop")),
            "error" => self.guess(from, "on_error", json!("branch")),
            _ => {}
        }
        if input.is_some() {
            self.guess(to, "type", json!("merge"));
        }
        self.edges.push(json!({ "from": from, "port": port, "to": to, "input": input.unwrap_or(0) }));
    }

    /// `type(0, 1) option=json flag`.
    fn read_fields(&mut self, id: &str, words: &str) {
        let mut fields = Map::new();
        for word in words.split_whitespace() {
            if let Some((name, value)) = word.split_once('=') {
                let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
                fields.insert(name.to_owned(), value);
            } else if ["disabled", "execute_once", "always_output"].contains(&word) {
                fields.insert(word.to_owned(), json!(true));
            } else {
                let (node_type, arguments) = word.split_once('(').unwrap_or((word, ")"));
                let numbers = arguments.trim_end_matches(')').split(',').filter(|number| !number.is_empty());
                let params =
                    numbers.enumerate().map(|(place, number)| (place.to_string(), number.parse::<u32>().unwrap().into()));
                fields.insert("params".to_owned(), Value::Object(params.collect()));
                fields.insert("type".to_owned(), json!(node_type));
            }
        }
        if id == "settings" {
            self.settings = fields;
        } else {
            self.name(id);
            self.fields.entry(id.to_owned()).or_default().extend(fields);
        }
    }

    fn name(&mut self, id: &str) {
        if !self.nodes.iter().any(|known| known == id) {
            self.nodes.push(id.to_owned());
        }
    }

    fn guess(&mut self, id: &str, field: &str, value: Value) {
        self.fields.entry(id.to_owned()).or_default().entry(field).or_insert(value);
    }

    fn document(mut self) -> Value {
        for id in &self.nodes {
            let fields = self.fields.entry(id.clone()).or_default();
            fields.insert("id".to_owned(), json!(id));
            fields.entry("type").or_insert(json!(if id.starts_with("hook") { "trigger" } else { "step" }));
        }
        let nodes: Vec<Value> = self.nodes.iter().map(|id| Value::Object(self.fields[id].clone())).collect();
        json!({ "name": "w", "nodes": nodes, "edges": self.edges, "settings": self.settings })
    }
}
