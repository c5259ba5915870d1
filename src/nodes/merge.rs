//! `merge`: waits for its inputs and makes one list of items of them.

mod blend;
mod join;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use self::{
    blend::Blend,
    join::{Join, JoinKeys},
};
use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    budget::{self, Budget},
    context::NodeContext,
    params::{
        self,
        schema::{self, FORMAT_PATH, LITERAL},
    },
};
use crate::model::{
    catalog::{EffectClass, NodeShape, Role},
    definition::NodeDefinition,
    error::NodeError,
    item::{Item, PortItems},
    limits::ITEMS_MAX,
    problem::Problem,
};

const INPUTS_DEFAULT: u32 = 2;
const INPUTS_MAX: u32 = 16;
/// Pairs of fields that a join compares.
const KEYS_MAX: usize = 20;

/// The node type `merge`.
pub struct Merge;

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    mode: Mode,
    on: Option<join::OnParams>,
    join: Option<Join>,
    prefer: Option<Prefer>,
    #[serde(default = "inputs_default")]
    inputs: u32,
}

fn inputs_default() -> u32 {
    INPUTS_DEFAULT
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Append,
    Position,
    Fields,
    Multiplex,
    Choose,
}

const MODES: [&str; 5] = ["append", "position", "fields", "multiplex", "choose"];
const JOINS: [&str; 5] = ["inner", "left", "right", "outer", "anti"];

/// Which input counts more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Prefer {
    First,
    Last,
    #[serde(untagged)]
    Input(u32),
}

impl NodeType for Merge {
    fn describe(&self) -> Description {
        let path = json!({ "type": "string", "format": FORMAT_PATH });
        let pair = json!({
            "type": "object", "required": ["left", "right"], "additionalProperties": false,
            "properties": { "left": path, "right": path },
        });
        let keys = json!({ "type": "array", "items": { "anyOf": [path, pair] }, "minItems": 1, "maxItems": KEYS_MAX });
        Description {
            type_name: "merge",
            summary: "Waits for its inputs and makes one list of items of them.",
            params_schema: schema::object(
                &[],
                json!({
                    "mode": schema::choice(
                        "`append`: all items, input by input. `position`: the first items together, the second ones, and so on. \
                            `fields`: items of two inputs with equal fields together. `multiplex`: every item with every other. \
                            `choose`: the items of one input.",
                        &MODES,
                    ),
                    "on": {
                        "description": "For `fields`: a path, or a list of paths or of `{ left, right }` pairs. Null equals nothing.",
                        "anyOf": [path, keys], (LITERAL): true,
                    },
                    "join": schema::choice(
                        "For `fields` and `position`: what happens to an item without partner. `inner` drops it, `left` keeps those of \
                            input 0, `right` those of the last input, `outer` all; `anti` keeps only those of input 0.",
                        &JOINS,
                    ),
                    "prefer": {
                        "description": "The input whose value counts where several have a field (`last` where none is set); for \
                            `choose` the input that is taken (the first one with items where none is set).",
                        "anyOf": [{ "enum": ["first", "last"] }, { "type": "integer", "minimum": 0, "maximum": INPUTS_MAX - 1 }],
                        (LITERAL): true,
                    },
                    "inputs": schema::integer(
                        "Number of inputs; edges name them from 0 on.", 2, u64::from(INPUTS_MAX), u64::from(INPUTS_DEFAULT),
                    ),
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let params: Params = params::read(node)?;
        let problems = params.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let inputs = params.inputs;
        let preferred = params.prefer.map(|prefer| match prefer {
            Prefer::First => 0,
            Prefer::Last => index_of(inputs - 1),
            Prefer::Input(input) => index_of(input),
        });
        let blend = Blend::new(index_of(inputs), preferred.unwrap_or(index_of(inputs - 1)));
        let join = params.join.unwrap_or_default();
        let strategy = match (params.mode, params.on) {
            (Mode::Append, _) => Strategy::Append,
            (Mode::Position, _) => Strategy::Position { blend, join },
            (Mode::Fields, Some(on)) => Strategy::Fields { keys: JoinKeys::new(on), blend, join },
            (Mode::Fields, None) => return Err(vec![Problem::new("/params", "missing_field", "`fields` needs `on`")]),
            (Mode::Multiplex, _) => Strategy::Multiplex { blend },
            (Mode::Choose, _) => Strategy::Choose { input: preferred },
        };
        let shape = NodeShape { role: Role::Merge, inputs, ..NodeShape::step(EffectClass::Pure) };
        Ok(Prepared { shape, runner: Runner::Pure(Arc::new(MergeNode { strategy })) })
    }
}

/// An input's number as an index; at most [`INPUTS_MAX`].
fn index_of(input: u32) -> usize {
    usize::try_from(input).unwrap_or(usize::MAX)
}

impl Params {
    /// What the schema cannot say: which parameters belong to which mode.
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.on.is_some() && self.mode != Mode::Fields {
            problems.push(params::invalid("/params/on", "only `fields` compares fields"));
        }
        if self.join.is_some() && !matches!(self.mode, Mode::Fields | Mode::Position) {
            problems.push(params::invalid("/params/join", "only `fields` and `position` join"));
        }
        if self.join == Some(Join::Anti) && self.mode == Mode::Position {
            problems.push(params::invalid("/params/join", "`anti` needs the mode `fields`"));
        }
        if self.prefer.is_some() && self.mode == Mode::Append {
            problems.push(params::invalid("/params/prefer", "`append` takes every input as it is"));
        }
        if self.mode == Mode::Fields && self.inputs != 2 {
            problems.push(params::invalid("/params/inputs", "`fields` joins two inputs; join a third in a second node"));
        }
        if matches!(self.prefer, Some(Prefer::Input(input)) if input >= self.inputs) {
            problems.push(Problem::new(
                "/params/prefer",
                "out_of_range",
                format!("inputs are numbered 0 to {}", self.inputs - 1),
            ));
        }
        problems
    }
}

struct MergeNode {
    strategy: Strategy,
}

enum Strategy {
    Append,
    Position {
        blend: Blend,
        join: Join,
    },
    Fields {
        keys: JoinKeys,
        blend: Blend,
        join: Join,
    },
    Multiplex {
        blend: Blend,
    },
    /// `None`: the first input with items.
    Choose {
        input: Option<usize>,
    },
}

impl PureNode for MergeNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let merged = match &self.strategy {
            Strategy::Append => (0..ctx.inputs.len()).flat_map(|input| pass_input(ctx, input)).collect(),
            Strategy::Position { blend, join } => by_position(ctx, blend, *join)?,
            Strategy::Fields { keys, blend, join } => join::by_fields(ctx, keys, blend, *join)?,
            Strategy::Multiplex { blend } => multiplex(ctx, blend)?,
            Strategy::Choose { input } => {
                let with_items = || ctx.inputs.iter().position(|input| !input.items.is_empty());
                input.or_else(with_items).map_or_else(Vec::new, |input| pass_input(ctx, input))
            }
        };
        Ok(Outcome::Done(PortItems::main(merged)))
    }
}

fn pass_input(ctx: &NodeContext<'_>, input: usize) -> Vec<Item> {
    let count = ctx.inputs.get(input).map_or(0, |input| input.items.len());
    (0..count).map(|index| ctx.pass_from(input, index)).collect()
}

fn by_position(ctx: &NodeContext<'_>, blend: &Blend, join: Join) -> Result<Vec<Item>, NodeError> {
    let counts: Vec<usize> = ctx.inputs.iter().map(|input| input.items.len()).collect();
    let count = match join {
        Join::Inner | Join::Anti => counts.iter().min(),
        Join::Left => counts.first(),
        Join::Right => counts.last(),
        Join::Outer => counts.iter().max(),
    };
    let mut budget = Budget::default();
    let mut merged = Vec::new();
    for index in 0..count.copied().unwrap_or(0) {
        let parts: Vec<Option<usize>> = counts.iter().map(|count| Some(index).filter(|index| index < count)).collect();
        merged.push(blend.item(ctx, &parts, &mut budget)?);
    }
    Ok(merged)
}

/// Every combination of one item per input, the last input varying fastest.
fn multiplex(ctx: &NodeContext<'_>, blend: &Blend) -> Result<Vec<Item>, NodeError> {
    let counts: Vec<usize> = ctx.inputs.iter().map(|input| input.items.len()).collect();
    let total = counts.iter().try_fold(1_usize, |total, count| total.checked_mul(*count));
    let total = total.filter(|total| *total <= ITEMS_MAX).ok_or_else(budget::too_many_items)?;
    let mut budget = Budget::default();
    let mut merged = Vec::with_capacity(total);
    for number in 0..total {
        let mut rest = number;
        let mut parts = vec![None; counts.len()];
        for (part, count) in parts.iter_mut().zip(&counts).rev() {
            *part = Some(rest % count);
            rest /= count;
        }
        merged.push(blend.item(ctx, &parts, &mut budget)?);
    }
    Ok(merged)
}

#[cfg(test)]
mod tests;
