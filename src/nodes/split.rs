//! `split`: makes an item of each element of an array.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    budget::Budget,
    context::NodeContext,
    params::{self, schema},
    paths::Path,
    set::Keep,
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::NodeError,
    item::PortItems,
    problem::Problem,
};

/// The node type `split`.
pub struct Split;

#[derive(Deserialize)]
struct Params {
    field: Path,
    into: Option<Path>,
    #[serde(default = "keep_none")]
    keep: Keep,
}

fn keep_none() -> Keep {
    Keep::None
}

impl NodeType for Split {
    fn describe(&self) -> Description {
        Description {
            type_name: "split",
            summary: "Makes an item of each element of an array.",
            params_schema: schema::object(
                &["field"],
                json!({
                    "field": schema::path(
                        "Path of the array. Of an object each value is an element; a missing value or null gives no item, \
                            anything else is the only element.",
                    ),
                    "into": schema::path(
                        "Path of the element in its item. Where none is set, an object becomes the item, and anything else goes \
                            under the last name of `field`.",
                    ),
                    "keep": Keep::schema("What each item takes over from the one that is split.", "none"),
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { field, into, keep } = params::read(node)?;
        let runner = SplitNode { field, into, keep };
        Ok(Prepared { shape: NodeShape::step(EffectClass::Pure), runner: Runner::Pure(Arc::new(runner)) })
    }
}

struct SplitNode {
    field: Path,
    into: Option<Path>,
    keep: Keep,
}

impl SplitNode {
    /// The JSON of the item of one element.
    fn item_of(&self, kept: &Value, element: &Value) -> Result<Value, NodeError> {
        let mut json = kept.clone();
        match (&self.into, element) {
            (Some(into), _) => into.write(&mut json, element.clone())?,
            (None, Value::Object(fields)) => {
                for (name, value) in fields {
                    json[name.as_str()] = value.clone();
                }
            }
            (None, _) => json[self.field.last_name()] = element.clone(),
        }
        Ok(json)
    }
}

impl PureNode for SplitNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let mut budget = Budget::default();
        let mut split = Vec::new();
        for (index, item) in ctx.items().iter().enumerate() {
            let elements: Vec<&Value> = match self.field.read_present(&item.json) {
                Some(Value::Array(elements)) => elements.iter().collect(),
                Some(Value::Object(fields)) => fields.values().collect(),
                Some(single) => vec![single],
                None => continue,
            };
            let mut kept = self.keep.apply(&item.json)?;
            self.field.remove(&mut kept);
            for element in elements {
                let json = self.item_of(&kept, element)?;
                budget.spend_item(&json)?;
                split.push(ctx.derive(index, json));
            }
        }
        Ok(Outcome::Done(PortItems::main(split)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{error::codes, limits::ITEMS_MAX},
        nodes::testing::{failure, outcome, problems, run},
    };

    #[track_caller]
    fn check(params: Value, item: Value, expected: Value) {
        assert_eq!(run("split", params, json!([item])), Ok(json!({ "main": expected })));
    }

    #[test]
    fn makes_items_of_elements() {
        check(json!({ "field": "l" }), json!({ "l": [{ "a": 1 }, { "a": 2 }], "x": 9 }), json!([{ "a": 1 }, { "a": 2 }]));
        check(json!({ "field": "o.l" }), json!({ "o": { "l": [1, null] } }), json!([{ "l": 1 }, { "l": null }]));
        check(json!({ "field": "l" }), json!({ "l": { "p": 1, "q": { "a": 2 } } }), json!([{ "l": 1 }, { "a": 2 }]));
        check(json!({ "field": "l" }), json!({ "l": "only" }), json!([{ "l": "only" }]));
        assert_eq!(run("split", json!({ "field": "l" }), json!([{}, { "l": null }, { "l": [] }])), Ok(json!({})));
    }

    #[test]
    fn keeps_the_rest_where_asked() {
        let item = json!({ "l": [{ "a": 1 }, 2], "x": 9, "y": 8 });
        check(
            json!({ "field": "l", "keep": "all" }),
            item.clone(),
            json!([
                { "x": 9, "y": 8, "a": 1 }, { "x": 9, "y": 8, "l": 2 }
            ]),
        );
        check(
            json!({ "field": "l", "keep": ["x"], "into": "line.value" }),
            item,
            json!([
                { "x": 9, "line": { "value": { "a": 1 } } }, { "x": 9, "line": { "value": 2 } }
            ]),
        );
    }

    #[test]
    fn knows_the_source_of_each_element() {
        let Ok(Outcome::Done(ports)) = outcome("split", json!({ "field": "l" }), &[json!([{ "l": [1] }, { "l": [2, 3] }])])
        else {
            panic!("the node is done")
        };
        let sources: Vec<u32> = ports[0].items.iter().map(|item| item.source.as_ref().unwrap().item).collect();
        assert_eq!(sources, [0, 1, 1]);
    }

    #[test]
    fn item_limit_obeyed_and_violated() {
        let list = |count: usize| json!([{ "l": vec![0; count] }]);
        assert!(outcome("split", json!({ "field": "l" }), &[list(ITEMS_MAX)]).is_ok());
        assert_eq!(failure("split", json!({ "field": "l" }), list(ITEMS_MAX + 1)), codes::ITEM_LIMIT);
    }

    #[test]
    fn stops_before_copies_of_a_large_item_fill_the_memory() {
        let item = json!({ "l": vec![0; ITEMS_MAX], "large": "x".repeat(1_000_000) });
        assert_eq!(failure("split", json!({ "field": "l", "keep": "all" }), json!([item])), codes::OUTPUT_LIMIT);
    }

    #[test]
    fn needs_a_path() {
        assert_eq!(problems("split", json!({ "field": "{{ $json.l }}" })), ["/params/field expression_not_allowed"]);
        assert_eq!(problems("split", json!({ "keep": 1 })), ["/params/keep invalid_parameter", "/params missing_field"]);
    }
}
