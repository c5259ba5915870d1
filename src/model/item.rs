//! What flows between nodes: items with JSON data, references to binary data, and where they came from.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A port's name. Ports of built-in node types are static; a switch names its own.
pub type Port = Cow<'static, str>;

/// The port that most node types have.
pub const MAIN: Port = Cow::Borrowed("main");

/// Items as they are passed on: shared, never changed in place.
pub type Items = Arc<Vec<Item>>;

/// One item. **Shape**: `{ json: object, binary?: { name: BlobRef }, source?: { node, run, item } }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Always an object: [`Item::from_value`] wraps anything else.
    pub json: Value,
    /// Binary data by name; the bytes are in the blob store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<BTreeMap<String, BlobRef>>,
    /// The item that this one was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ItemSource>,
}

/// A reference to bytes in the blob store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// SHA-256 of the content, in lowercase hex.
    pub hash: String,
    pub size_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
}

/// Names one output item of one node run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemSource {
    /// The id of the node that put the item out.
    pub node: Arc<str>,
    pub run: u32,
    /// Index over the outputs of that run, its ports one after the other.
    pub item: u32,
}

impl Item {
    /// An item without source. An object is taken as it is, anything else becomes `{ "value": .. }`.
    pub fn from_value(value: Value) -> Self {
        let json = match value {
            Value::Object(_) => value,
            other => Value::Object(Map::from_iter([("value".to_owned(), other)])),
        };
        Self { json, binary: None, source: None }
    }

    /// Items of a start input: an array gives one item each, null none but an empty one, anything else one.
    pub fn list_from_value(value: Value) -> Vec<Self> {
        match value {
            Value::Array(values) => values.into_iter().map(Self::from_value).collect(),
            Value::Null => vec![Self::from_value(Value::Object(Map::new()))],
            other => vec![Self::from_value(other)],
        }
    }
}

/// What a node put out on one port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PortItems {
    pub port: Port,
    pub items: Items,
}

impl PortItems {
    /// The output of a node type with the single port `main`.
    pub fn main(items: Vec<Item>) -> Vec<Self> {
        vec![Self::new(MAIN, items)]
    }

    pub fn new(port: Port, items: Vec<Item>) -> Self {
        Self { port, items: Arc::new(items) }
    }
}

/// The items that wait at one input of a node run, and which outputs they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Input {
    pub items: Items,
    /// Runs of consecutive items with one origin, in the order of `items`.
    pub origins: Vec<Origin>,
}

/// `count` consecutive outputs of one node run, from index `first` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub node: Arc<str>,
    pub run: u32,
    pub first: u32,
    pub count: u32,
}

/// What one run of a node put out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOutput {
    pub run: u32,
    pub ports: Vec<PortItems>,
}

/// The latest output of every node that has one, by node id: what `$node("id")` sees.
pub type Outputs = Arc<BTreeMap<Arc<str>, RunOutput>>;

impl RunOutput {
    /// Every item, the ports one after the other: the order that [`ItemSource::item`] counts in.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.ports.iter().flat_map(|port| port.items.iter())
    }
}

/// Finds the item that `item` came from in the latest output of `node`, by following sources.
pub fn paired<'a>(outputs: &'a Outputs, item: &Item, node: &str) -> Option<&'a Item> {
    let mut source = item.source.as_ref();
    // A chain visits a node at most once per loop iteration; the bound stops a damaged one.
    for _ in 0..super::limits::NODES_MAX {
        let step = source?;
        let output = outputs.get(&step.node)?;
        let found = output.items().nth(usize::try_from(step.item).ok()?)?;
        if &*step.node == node {
            return Some(found);
        }
        source = found.source.as_ref();
    }
    None
}

impl Input {
    /// Says which output the item at `index` of this input is: the `source` of whatever is made from it.
    pub fn source_of(&self, index: usize) -> Option<ItemSource> {
        let mut rest = u32::try_from(index).ok()?;
        for origin in &self.origins {
            if rest < origin.count {
                return Some(ItemSource { node: Arc::clone(&origin.node), run: origin.run, item: origin.first + rest });
            }
            rest -= origin.count;
        }
        None
    }

    /// What [`Input::source_of`] says of every item in turn, in one pass: an input can have as many origins as items.
    pub fn sources(&self) -> impl Iterator<Item = Option<ItemSource>> {
        let outputs = |origin: &Origin| {
            let (node, run, first) = (Arc::clone(&origin.node), origin.run, origin.first);
            (0..origin.count).map(move |offset| Some(ItemSource { node: Arc::clone(&node), run, item: first + offset }))
        };
        self.origins.iter().flat_map(outputs).chain(std::iter::repeat(None))
    }

    /// Adds another token's items behind these.
    pub fn append(&mut self, other: Self) {
        if self.items.is_empty() {
            *self = other;
            return;
        }
        Arc::make_mut(&mut self.items).extend(other.items.iter().cloned());
        self.origins.extend(other.origins);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wraps_what_is_not_an_object() {
        assert_eq!(Item::from_value(json!(3)).json, json!({ "value": 3 }));
        assert_eq!(Item::list_from_value(json!([1, {"a": 2}])).len(), 2);
        assert_eq!(Item::list_from_value(Value::Null), vec![Item::from_value(json!({}))]);
    }

    #[test]
    fn finds_the_source_across_joined_tokens() {
        let token = |node: &str, first, count: u32| Input {
            items: Arc::new((0..count).map(|n| Item::from_value(json!(n))).collect()),
            origins: vec![Origin { node: node.into(), run: 1, first, count }],
        };
        let mut input = token("a", 4, 2);
        input.append(token("b", 0, 1));
        assert_eq!(input.source_of(1), Some(ItemSource { node: "a".into(), run: 1, item: 5 }));
        assert_eq!(input.source_of(2), Some(ItemSource { node: "b".into(), run: 1, item: 0 }));
        assert_eq!(input.source_of(3), None);
        let one_by_one: Vec<_> = (0..4).map(|index| input.source_of(index)).collect();
        assert_eq!(input.sources().take(4).collect::<Vec<_>>(), one_by_one);
    }
}
