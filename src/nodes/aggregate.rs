//! `aggregate`: makes one item of many, with lists of their values.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    budget::Budget,
    context::NodeContext,
    grouping,
    params::{self, schema},
    paths::{self, Path},
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::NodeError,
    item::{Item, PortItems},
    problem::Problem,
};

const INTO: &str = "data";

/// The node type `aggregate`.
pub struct Aggregate;

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    fields: Vec<Path>,
    into: Option<Path>,
    #[serde(default)]
    group_by: Vec<Path>,
    #[serde(default)]
    keep_missing: bool,
}

impl NodeType for Aggregate {
    fn describe(&self) -> Description {
        Description {
            type_name: "aggregate",
            summary: "Makes one item of many: a list of the items, or for each field a list of its values.",
            params_schema: schema::object(
                &[],
                json!({
                    "fields": schema::paths("Paths whose values are gathered, each into a list at its own path; none means whole items."),
                    "into": schema::path("Path of the list where whole items or a single field are gathered (`data` for whole items)."),
                    "group_by": schema::paths("Make an item for each combination of values at these paths, which it has too."),
                    "keep_missing": schema::flag("Put null into the list where an item has no value; otherwise it is left out."),
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { fields, into, group_by, keep_missing } = params::read(node)?;
        let gather = match (fields.as_slice(), into) {
            ([], into) => Gather::Items { into: into.unwrap_or_else(|| INTO.parse().expect("a constant path")) },
            ([field], Some(into)) => Gather::Fields(vec![(field.clone(), into)]),
            (_, Some(_)) => return Err(vec![params::invalid("/params/into", "several fields go to their own paths")]),
            (_, None) => Gather::Fields(fields.iter().map(|field| (field.clone(), field.clone())).collect()),
        };
        let runner = AggregateNode { gather, group_by, keep_missing };
        Ok(Prepared { shape: NodeShape::step(EffectClass::Pure), runner: Runner::Pure(Arc::new(runner)) })
    }
}

struct AggregateNode {
    gather: Gather,
    group_by: Vec<Path>,
    keep_missing: bool,
}

enum Gather {
    Items {
        into: Path,
    },
    /// Where a value comes from, and where the list goes.
    Fields(Vec<(Path, Path)>),
}

impl AggregateNode {
    fn gather(&self, items: &[Item], group: &[usize], budget: &mut Budget) -> Result<Value, NodeError> {
        let mut json = match group.first() {
            Some(first) => paths::pick(&items[*first].json, &self.group_by)?,
            None => json!({}),
        };
        match &self.gather {
            Gather::Items { into } => {
                let list = group.iter().map(|index| items[*index].json.clone()).collect();
                budget.spend_value(&list)?;
                into.write(&mut json, list)?;
            }
            Gather::Fields(fields) => {
                for (from, into) in fields {
                    let list = self.values_at(items, group, from);
                    budget.spend_value(&list)?;
                    into.write(&mut json, list)?;
                }
            }
        }
        Ok(json)
    }

    fn values_at(&self, items: &[Item], group: &[usize], path: &Path) -> Value {
        let values = group.iter().map(|index| path.read_present(&items[*index].json));
        values.filter(|value| self.keep_missing || value.is_some()).map(|value| value.cloned().unwrap_or(Value::Null)).collect()
    }
}

impl PureNode for AggregateNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let items = ctx.items();
        let mut budget = Budget::default();
        let mut gathered = Vec::new();
        for group in grouping::group_by(items, &self.group_by) {
            let json = self.gather(items, &group, &mut budget)?;
            gathered.push(ctx.derive(group.first().copied().unwrap_or(0), json));
        }
        Ok(Outcome::Done(PortItems::main(gathered)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::error::codes,
        nodes::testing::{failure, problems, run},
    };

    #[track_caller]
    fn check(params: Value, expected: Value) {
        let items = json!([{ "k": "a", "v": { "n": 1 } }, { "k": "b" }, { "k": "a", "v": { "n": 3 } }]);
        assert_eq!(run("aggregate", params, items), Ok(json!({ "main": expected })));
    }

    #[test]
    fn gathers_items_or_values() {
        check(json!({}), json!([{ "data": [{ "k": "a", "v": { "n": 1 } }, { "k": "b" }, { "k": "a", "v": { "n": 3 } }] }]));
        check(json!({ "fields": ["k", "v.n"] }), json!([{ "k": ["a", "b", "a"], "v": { "n": [1, 3] } }]));
        check(json!({ "fields": ["v.n"], "into": "numbers" }), json!([{ "numbers": [1, 3] }]));
        check(json!({ "fields": ["v.n"], "into": "numbers", "keep_missing": true }), json!([{ "numbers": [1, null, 3] }]));
    }

    #[test]
    fn makes_an_item_of_each_group() {
        check(
            json!({ "fields": ["v.n"], "into": "numbers", "group_by": ["k"] }),
            json!([
                { "k": "a", "numbers": [1, 3] }, { "k": "b", "numbers": [] }
            ]),
        );
    }

    #[test]
    fn makes_an_empty_list_of_nothing() {
        assert_eq!(run("aggregate", json!({}), json!([])), Ok(json!({ "main": [{ "data": [] }] })));
    }

    #[test]
    fn stops_before_copies_of_a_large_field_fill_the_memory() {
        let fields: Vec<String> = (0..20).map(|number| format!("f{number}")).collect();
        let large = "x".repeat(2_000_000);
        let item: serde_json::Map<String, Value> = fields.iter().map(|field| (field.clone(), json!(large))).collect();
        let items = json!([item]);
        assert_eq!(failure("aggregate", json!({ "fields": fields }), items), codes::OUTPUT_LIMIT);
    }

    #[test]
    fn one_path_holds_one_list() {
        assert_eq!(problems("aggregate", json!({ "fields": ["a", "b"], "into": "c" })), ["/params/into invalid_parameter"]);
    }
}
