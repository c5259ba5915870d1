//! Sends each item to one of two ports: what `if` and `filter` do.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Condition, ConditionParams, condition_schemas, operator::Rules, pattern::Patterns, rules_schemas};
use crate::{
    model::{
        catalog::{EffectClass, NodeShape},
        definition::NodeDefinition,
        error::NodeError,
        item::{Port, PortItems},
        problem::Problem,
    },
    nodes::{
        Outcome, Prepared, PureNode, Runner,
        context::NodeContext,
        params::{self, schema},
    },
};

#[derive(Deserialize)]
struct Params {
    #[serde(flatten)]
    condition: ConditionParams,
    #[serde(default = "yes")]
    case_sensitive: bool,
    #[serde(default)]
    loose: bool,
}

fn yes() -> bool {
    true
}

/// The schema of the parameters.
pub fn params_schema() -> Value {
    let properties: Map<String, Value> =
        condition_schemas().into_iter().chain(rules_schemas()).map(|(name, schema)| (name.to_owned(), schema)).collect();
    schema::object(&[], Value::Object(properties))
}

/// A node that sends items for which the condition holds to the first port, the others to the second.
///
/// Errors: as [`ConditionParams::compile`].
pub fn prepare(node: &NodeDefinition, ports: [&'static str; 2]) -> Result<Prepared, Vec<Problem>> {
    let Params { condition, case_sensitive, loose } = params::read(node)?;
    let condition = condition.compile(Rules { case_sensitive, loose }, "/params")?;
    let ports = ports.map(Port::Borrowed);
    let shape = NodeShape { ports: ports.to_vec(), ..NodeShape::step(EffectClass::Pure) };
    Ok(Prepared { shape, runner: Runner::Pure(Arc::new(Partition { condition, ports })) })
}

struct Partition {
    condition: Condition,
    ports: [Port; 2],
}

impl PureNode for Partition {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let (mut holding, mut others) = (Vec::new(), Vec::new());
        let mut patterns = Patterns::default();
        for index in 0..ctx.items().len() {
            let side = if self.condition.holds(ctx, index, &mut patterns)? { &mut holding } else { &mut others };
            side.push(ctx.pass(index));
        }
        let [first, second] = self.ports.clone();
        Ok(Outcome::Done(vec![PortItems::new(first, holding), PortItems::new(second, others)]))
    }

    fn needs_guest(&self) -> bool {
        self.condition.needs_guest()
    }
}
