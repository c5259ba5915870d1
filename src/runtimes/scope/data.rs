//! The part of a scope that is sent to the guest: JSON that `Scope` in `prelude.js` reads.

use std::collections::BTreeMap;

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::Value;

use super::{
    super::variables::{Extent, Variable, Variables},
    Scope,
    zoned::ZonedTime,
};
use crate::model::item::{Item, RunOutput};

/// A scope, cut down to what one source uses. **Shape**: `{ item?, items?, itemIndex, runIndex, nodes?, execution?, workflow?, vars?,
/// env?, now?,
/// today?, granted? }`, with `nodes` as `{ id: { item } | { items, index } }`.
pub(crate) struct ScopeData<'a> {
    scope: &'a Scope<'a>,
    variables: &'a Variables,
    input: Input,
    nodes: Vec<(&'a str, NodeData<'a>)>,
    now: Option<ZonedTime>,
    today: Option<ZonedTime>,
    granted: Option<&'a Env>,
}

/// Variables of the environment that code was granted.
type Env = BTreeMap<String, String>;

/// What the variable `input` needs of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// There is none: an expression.
    None,
    Item,
    Items,
}

enum NodeData<'a> {
    Current(Option<&'a Item>),
    All(AllItems<'a>, Option<&'a Item>),
}

impl<'a> ScopeData<'a> {
    /// Errors: a sentence: an unknown time zone. An unknown node is left to the guest, where the source may catch the error.
    pub(crate) fn new(scope: &'a Scope<'a>, variables: &'a Variables, input: Input) -> Result<Self, String> {
        let zone = &scope.data.timezone;
        let now = variables.has(Variable::Now).then(|| ZonedTime::now(scope.now_ms, zone)).transpose()?;
        let today = variables.has(Variable::Today).then(|| ZonedTime::today(scope.now_ms, zone)).transpose()?;
        Ok(Self { scope, variables, input, nodes: nodes_of(scope, variables), now, today, granted: None })
    }

    /// Adds `granted`, where the source uses it.
    pub(crate) fn with_granted(self, env: &'a Env) -> Self {
        Self { granted: granted(self.variables, env), ..self }
    }
}

fn nodes_of<'a>(scope: &'a Scope<'a>, variables: &'a Variables) -> Vec<(&'a str, NodeData<'a>)> {
    let data = |id: &'a str, output: &'a RunOutput, extent: Extent| {
        let item = scope.item_of(id, output);
        let data = match extent {
            Extent::Current => NodeData::Current(item),
            Extent::All => NodeData::All(AllItems(output), item),
        };
        (id, data)
    };
    match variables.nodes() {
        Some(nodes) => {
            let known = nodes.iter().filter_map(|(id, extent)| Some((&**id, scope.outputs.get(&**id)?, *extent)));
            known.map(|(id, output, extent)| data(id, output, extent)).collect()
        }
        None => scope.outputs.iter().map(|(id, output)| data(id, output, Extent::All)).collect(),
    }
}

impl Serialize for ScopeData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { scope, variables, .. } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("itemIndex", &scope.item_index)?;
        map.serialize_entry("runIndex", &scope.run_index)?;
        let is_listed = variables.has_all_items() || self.input == Input::Items;
        if is_listed {
            map.serialize_entry("items", scope.items)?;
        }
        // An item of the list must be the same object in both places, as it is here.
        let is_in_list = is_listed && scope.items.get(scope.item_index).is_some_and(|item| is_same(Some(item), scope.item));
        if (variables.has_item() || self.input == Input::Item) && !is_in_list {
            map.serialize_entry("item", &scope.item)?;
        }
        if variables.has(Variable::Node) {
            map.serialize_entry("nodes", &Nodes(&self.nodes))?;
        }
        let entries = [
            (Variable::Execution, "execution", &scope.data.execution),
            (Variable::Workflow, "workflow", &scope.data.workflow),
            (Variable::Vars, "vars", &scope.data.vars),
            (Variable::Env, "env", &scope.data.env),
        ];
        for (_, key, value) in entries.into_iter().filter(|(variable, _, _)| variables.has(*variable)) {
            map.serialize_entry(key, value)?;
        }
        for (key, time) in [("now", &self.now), ("today", &self.today)] {
            if let Some(time) = time {
                map.serialize_entry(key, time)?;
            }
        }
        if let Some(granted) = self.granted {
            map.serialize_entry("granted", granted)?;
        }
        map.end()
    }
}

struct Nodes<'a>(&'a [(&'a str, NodeData<'a>)]);

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(id, data)| (id, data)))
    }
}

impl Serialize for NodeData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Current(item) => map.serialize_entry("item", item)?,
            Self::All(items, current) => {
                map.serialize_entry("items", items)?;
                map.serialize_entry("index", &items.0.items().position(|item| is_same(Some(item), *current)))?;
            }
        }
        map.end()
    }
}

struct AllItems<'a>(&'a RunOutput);

impl Serialize for AllItems<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for item in self.0.items() {
            list.serialize_element(item)?;
        }
        list.end()
    }
}

/// What the code of a plain run gets: `input`, and what it was granted.
#[derive(Serialize)]
pub(crate) struct InputData<'a> {
    input: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted: Option<&'a Env>,
}

impl<'a> InputData<'a> {
    pub(crate) fn new(input: &'a Value, variables: &Variables, env: &'a Env) -> Self {
        Self { input, granted: granted(variables, env) }
    }
}

fn granted<'a>(variables: &Variables, env: &'a Env) -> Option<&'a Env> {
    if variables.has(Variable::PlainEnv) { Some(env) } else { None }
}

/// Whether both are the same object in memory, not just equal.
fn is_same(left: Option<&Item>, right: Option<&Item>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => std::ptr::eq(left, right),
        _ => false,
    }
}
