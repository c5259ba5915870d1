//! `manual`: starts an execution on request. The machine puts the start items out.

use super::{Description, NodeType, Prepared, Runner, params::schema};
use crate::model::{catalog::NodeShape, definition::NodeDefinition, problem::Problem};

/// The node type `manual`.
pub struct Manual;

impl NodeType for Manual {
    fn describe(&self) -> Description {
        Description {
            type_name: "manual",
            summary: "Starts an execution on request; an input object is one item, an array one item each.",
            params_schema: schema::nothing(),
            verbatim: &[],
        }
    }

    fn prepare(&self, _node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        Ok(Prepared { shape: NodeShape::trigger(), runner: Runner::Engine })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        model::catalog::Role,
        nodes::testing::{prepare, problems},
    };

    #[test]
    fn is_a_trigger_without_parameters() {
        let prepared = prepare("manual", json!({}));
        assert_eq!((prepared.shape.role, prepared.shape.inputs), (Role::Trigger, 0));
        assert!(matches!(prepared.runner, Runner::Engine));
        assert_eq!(problems("manual", json!({ "path": "x" })), ["/params/path unknown_field"]);
    }
}
