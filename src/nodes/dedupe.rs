//! `dedupe`: keeps one of several equal items.

use std::{collections::HashSet, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    context::NodeContext,
    grouping::{self, Key},
    limit::Side,
    params::{self, schema},
    paths::Path,
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::NodeError,
    item::{Item, PortItems},
    problem::Problem,
};

/// The node type `dedupe`.
pub struct Dedupe;

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    fields: Vec<Path>,
    #[serde(default)]
    ignore: Vec<Path>,
    #[serde(default)]
    keep: Side,
}

impl NodeType for Dedupe {
    fn describe(&self) -> Description {
        Description {
            type_name: "dedupe",
            summary: "Keeps one of several items that are equal, as a whole or in some fields.",
            params_schema: schema::object(
                &[],
                json!({
                    "fields": schema::paths("Paths that are compared; the whole item where none are given. A missing value equals null."),
                    "ignore": schema::paths("Paths that are left out where the whole item is compared."),
                    "keep": schema::choice("Which of several equal items is kept.", &Side::NAMES),
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { fields, ignore, keep } = params::read(node)?;
        if !fields.is_empty() && !ignore.is_empty() {
            return Err(vec![params::invalid("/params/ignore", "`fields` and `ignore` exclude each other")]);
        }
        let runner = DedupeNode { fields, ignore, keep };
        Ok(Prepared { shape: NodeShape::step(EffectClass::Pure), runner: Runner::Pure(Arc::new(runner)) })
    }
}

struct DedupeNode {
    fields: Vec<Path>,
    ignore: Vec<Path>,
    keep: Side,
}

impl DedupeNode {
    fn key_of(&self, json: &Value) -> Key {
        if !self.fields.is_empty() {
            return grouping::key_at(json, &self.fields);
        }
        if self.ignore.is_empty() {
            return grouping::key_of(json);
        }
        let mut compared = json.clone();
        for path in &self.ignore {
            path.remove(&mut compared);
        }
        grouping::key_of(&compared)
    }

    fn distinct<'i>(&self, items: impl Iterator<Item = (usize, &'i Item)>) -> Vec<usize> {
        let mut seen = HashSet::new();
        items.filter(|(_, item)| seen.insert(self.key_of(&item.json))).map(|(index, _)| index).collect()
    }
}

impl PureNode for DedupeNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let items = ctx.items().iter().enumerate();
        let kept = match self.keep {
            Side::First => self.distinct(items),
            Side::Last => self.distinct(items.rev()).into_iter().rev().collect(),
        };
        Ok(Outcome::Done(PortItems::main(kept.into_iter().map(|index| ctx.pass(index)).collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::testing::{problems, run};

    #[track_caller]
    fn check(params: Value, items: Value, expected: Value) {
        assert_eq!(run("dedupe", params, items), Ok(json!({ "main": expected })));
    }

    #[test]
    fn compares_whole_items_or_fields() {
        let items = json!([{ "a": 1, "b": 1 }, { "b": 1.0, "a": 1 }, { "a": 1, "b": 2 }, { "a": "1", "b": 1 }]);
        check(json!({}), items.clone(), json!([{ "a": 1, "b": 1 }, { "a": 1, "b": 2 }, { "a": "1", "b": 1 }]));
        check(json!({ "fields": ["a"] }), items.clone(), json!([{ "a": 1, "b": 1 }, { "a": "1", "b": 1 }]));
        check(json!({ "ignore": ["b"] }), items.clone(), json!([{ "a": 1, "b": 1 }, { "a": "1", "b": 1 }]));
        check(json!({ "fields": ["a"], "keep": "last" }), items, json!([{ "a": 1, "b": 2 }, { "a": "1", "b": 1 }]));
    }

    #[test]
    fn takes_a_missing_value_for_null() {
        check(json!({ "fields": ["x"] }), json!([{ "n": 1 }, { "x": null }]), json!([{ "n": 1 }]));
    }

    #[test]
    fn refuses_two_ways_at_once() {
        assert_eq!(problems("dedupe", json!({ "fields": ["a"], "ignore": ["b"] })), ["/params/ignore invalid_parameter"]);
    }
}
