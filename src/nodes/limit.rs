//! `limit`: keeps the first or the last items.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    context::NodeContext,
    params::{self, Param, schema},
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::NodeError,
    item::PortItems,
    problem::Problem,
};

/// The node type `limit`.
pub struct Limit;

#[derive(Deserialize)]
struct Params {
    max: Param,
    #[serde(default)]
    keep: Side,
}

/// Which of several items are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    #[default]
    First,
    Last,
}

impl Side {
    pub const NAMES: [&str; 2] = ["first", "last"];
}

impl NodeType for Limit {
    fn describe(&self) -> Description {
        Description {
            type_name: "limit",
            summary: "Keeps the first or the last items.",
            params_schema: schema::object(
                &["max"],
                json!({
                    "max": {
                        "description": "Number of items to keep; an expression is evaluated for the first item.",
                        "type": "integer", "minimum": 0,
                    },
                    "keep": schema::choice("Which end is kept.", &Side::NAMES),
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { max, keep } = params::read(node)?;
        let runner = LimitNode { max, keep };
        Ok(Prepared { shape: NodeShape::step(EffectClass::Pure), runner: Runner::Pure(Arc::new(runner)) })
    }
}

struct LimitNode {
    max: Param,
    keep: Side,
}

impl PureNode for LimitNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let count = ctx.items().len();
        let max = params::expect_count(&params::evaluate_once(ctx, &self.max)?, "max")?;
        let kept = usize::try_from(max).map_or(count, |max| max.min(count));
        let range = match self.keep {
            Side::First => 0..kept,
            Side::Last => count - kept..count,
        };
        Ok(Outcome::Done(PortItems::main(range.map(|index| ctx.pass(index)).collect())))
    }

    fn needs_guest(&self) -> bool {
        self.max.needs_guest()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        model::error::codes,
        nodes::testing::{failure, problems, run},
    };

    #[track_caller]
    fn check(params: Value, expected: Value) {
        assert_eq!(run("limit", params, json!([{ "n": 2 }, { "n": 1 }, { "n": 0 }])), Ok(json!({ "main": expected })));
    }

    #[test]
    fn keeps_one_end() {
        check(json!({ "max": 2 }), json!([{ "n": 2 }, { "n": 1 }]));
        check(json!({ "max": 2, "keep": "last" }), json!([{ "n": 1 }, { "n": 0 }]));
        check(json!({ "max": 9, "keep": "last" }), json!([{ "n": 2 }, { "n": 1 }, { "n": 0 }]));
        check(json!({ "max": "{{ $json.n }}" }), json!([{ "n": 2 }, { "n": 1 }]));
        assert_eq!(run("limit", json!({ "max": 0 }), json!([{}])), Ok(json!({})));
    }

    #[test]
    fn refuses_what_is_no_number_of_items() {
        assert_eq!(problems("limit", json!({})), ["/params missing_field"]);
        assert_eq!(
            problems("limit", json!({ "max": -1, "keep": "middle" })),
            ["/params/max out_of_range", "/params/keep unknown_value"]
        );
        assert_eq!(failure("limit", json!({ "max": "{{ 'many' }}" }), json!([{}])), codes::INVALID_PARAMETER);
    }
}
