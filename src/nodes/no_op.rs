//! `no_op`: passes every item on.

use std::sync::Arc;

use super::{Description, NodeType, Outcome, Prepared, PureNode, Runner, context::NodeContext, params::schema};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::NodeError,
    item::PortItems,
    problem::Problem,
};

/// The node type `no_op`.
pub struct NoOp;

impl NodeType for NoOp {
    fn describe(&self) -> Description {
        Description {
            type_name: "no_op",
            summary: "Passes every item on; a place where branches meet.",
            params_schema: schema::nothing(),
            verbatim: &[],
        }
    }

    fn prepare(&self, _node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        Ok(Prepared { shape: NodeShape::step(EffectClass::Pure), runner: Runner::Pure(Arc::new(PassAll)) })
    }
}

struct PassAll;

impl PureNode for PassAll {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        Ok(Outcome::Done(PortItems::main(ctx.pass_all())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        model::item::ItemSource,
        nodes::testing::{outcome, run},
    };

    #[test]
    fn passes_items_with_themselves_as_the_source() {
        assert_eq!(run("no_op", json!({}), json!([{ "a": 1 }, { "a": 2 }])), Ok(json!({ "main": [{ "a": 1 }, { "a": 2 }] })));
        let Ok(Outcome::Done(ports)) = outcome("no_op", json!({}), &[json!([{}, {}])]) else { panic!("the node is done") };
        assert_eq!(ports[0].items[1].source, Some(ItemSource { node: "in0".into(), run: 0, item: 1 }));
    }
}
