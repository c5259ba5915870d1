//! `filter`: keeps the items for which a condition holds, and drops the others to a port of their own.

use super::{Description, NodeType, Prepared, conditions::partition};
use crate::model::{definition::NodeDefinition, problem::Problem};

/// The node type `filter`.
pub struct Filter;

impl NodeType for Filter {
    fn describe(&self) -> Description {
        Description {
            type_name: "filter",
            summary: "Keeps the items for which a condition holds; the others leave by `dropped`.",
            params_schema: partition::params_schema(),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        partition::prepare(node, ["kept", "dropped"])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::nodes::testing::{prepare, run};

    #[test]
    fn splits_by_what_javascript_takes_for_true() {
        assert_eq!(prepare("filter", json!({ "condition": true })).shape.ports, ["kept", "dropped"]);
        let items = json!([{ "a": 1 }, { "a": 0 }, { "a": "x" }, {}]);
        let expected = json!({ "kept": [{ "a": 1 }, { "a": "x" }], "dropped": [{ "a": 0 }, {}] });
        assert_eq!(run("filter", json!({ "condition": "{{ $json.a }}" }), items), Ok(expected));
    }
}
