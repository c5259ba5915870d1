//! `loop`: runs its body once per batch of items. The machine counts the iterations and collects the results.

use serde::Deserialize;
use serde_json::json;

use super::{
    Description, NodeType, Prepared, Runner,
    params::{self, schema},
};
use crate::model::{
    catalog::{EffectClass, NodeShape, Role},
    definition::NodeDefinition,
    item::Port,
    limits::{ITEMS_MAX, LOOP_ITERATIONS_MAX},
    problem::Problem,
};

const BATCH_SIZE_DEFAULT: u32 = 1;

/// The node type `loop`.
pub struct Loop;

#[derive(Deserialize)]
struct Params {
    #[serde(default = "batch_size_default")]
    batch_size: u32,
    #[serde(default = "iterations_default")]
    max_iterations: u32,
}

fn batch_size_default() -> u32 {
    BATCH_SIZE_DEFAULT
}

fn iterations_default() -> u32 {
    LOOP_ITERATIONS_MAX
}

impl NodeType for Loop {
    fn describe(&self) -> Description {
        let items_max = u64::try_from(ITEMS_MAX).unwrap_or(u64::MAX);
        let iterations_max = u64::from(LOOP_ITERATIONS_MAX);
        Description {
            type_name: "loop",
            summary: "Sends its items in batches to `loop`, whose path leads back here; at the end all results leave by `done`.",
            params_schema: schema::object(
                &[],
                json!({
                    "batch_size": schema::integer("Items of one batch.", 1, items_max, u64::from(BATCH_SIZE_DEFAULT)),
                    "max_iterations": schema::integer("Iterations after which the run fails.", 1, iterations_max, iterations_max),
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { batch_size, max_iterations } = params::read(node)?;
        let shape = NodeShape {
            role: Role::Loop { batch_size, iterations_max: max_iterations },
            ports: vec![Port::Borrowed("loop"), Port::Borrowed("done")],
            ..NodeShape::step(EffectClass::Pure)
        };
        Ok(Prepared { shape, runner: Runner::Engine })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::testing::{prepare, problems};

    #[test]
    fn tells_the_machine_its_numbers() {
        let shape = prepare("loop", json!({})).shape;
        assert_eq!(shape.role, Role::Loop { batch_size: 1, iterations_max: LOOP_ITERATIONS_MAX });
        assert_eq!(shape.ports, ["loop", "done"]);
        let shape = prepare("loop", json!({ "batch_size": 50, "max_iterations": 3 })).shape;
        assert_eq!(shape.role, Role::Loop { batch_size: 50, iterations_max: 3 });
    }

    #[test]
    fn numbers_are_fixed_and_in_range() {
        assert_eq!(
            problems("loop", json!({ "batch_size": 0, "max_iterations": "{{ $json.n }}" })),
            ["/params/batch_size out_of_range", "/params/max_iterations expression_not_allowed"]
        );
        assert_eq!(
            problems("loop", json!({ "max_iterations": LOOP_ITERATIONS_MAX + 1 })),
            ["/params/max_iterations out_of_range"]
        );
    }
}
