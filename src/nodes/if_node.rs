//! `if`: sends each item to the port `true` or `false`.

use super::{Description, NodeType, Prepared, conditions::partition};
use crate::model::{definition::NodeDefinition, problem::Problem};

/// The node type `if`.
pub struct If;

impl NodeType for If {
    fn describe(&self) -> Description {
        Description {
            type_name: "if",
            summary: "Sends each item to `true` or `false`, by a condition.",
            params_schema: partition::params_schema(),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        partition::prepare(node, ["true", "false"])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::nodes::testing::{prepare, run};

    #[test]
    fn splits_by_what_javascript_takes_for_true() {
        assert_eq!(prepare("if", json!({ "condition": true })).shape.ports, ["true", "false"]);
        let items = json!([{ "a": 1 }, { "a": 0 }, { "a": "x" }, {}]);
        let expected = json!({ "true": [{ "a": 1 }, { "a": "x" }], "false": [{ "a": 0 }, {}] });
        assert_eq!(run("if", json!({ "condition": "{{ $json.a }}" }), items), Ok(expected));
    }
}
