//! `summarize`: counts, sums and other figures over items, for each group of them.

pub mod operation;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::operation::{Operation, SEPARATOR_CHARS_MAX};
use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    budget::Budget,
    context::NodeContext,
    grouping,
    params::{
        self,
        schema::{self, LITERAL},
    },
    paths::{self, Path},
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::NodeError,
    item::{Item, PortItems},
    problem::Problem,
};

/// Figures of one node.
const OPERATIONS_MAX: usize = 50;
const SEPARATOR: &str = ",";

/// The node type `summarize`.
pub struct Summarize;

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    group_by: Vec<Path>,
    operations: Vec<FigureParams>,
}

#[derive(Deserialize)]
struct FigureParams {
    operation: Operation,
    field: Option<Path>,
    into: Option<Path>,
    separator: Option<String>,
    #[serde(default)]
    include_empty: bool,
}

impl NodeType for Summarize {
    fn describe(&self) -> Description {
        let figure = json!({
            "type": "object", "required": ["operation"], "additionalProperties": false,
            "properties": {
                "operation": { "description": "What is computed.", "enum": Operation::NAMES, (LITERAL): true },
                "field": schema::path("Path of the values; `count` without it counts items."),
                "into": schema::path("Path of the figure (`sum_price` for the sum of `price`, `count` for a count of items)."),
                "separator": {
                    "description": "For `concat`: what stands between the texts.",
                    "type": "string", "maxLength": SEPARATOR_CHARS_MAX, "default": SEPARATOR, (LITERAL): true,
                },
                "include_empty": schema::flag("Take missing values, null and `\"\"` too; figures of numbers never do."),
            },
        });
        Description {
            type_name: "summarize",
            summary: "Counts, sums and other figures over all items, or for each group of them.",
            params_schema: schema::object(
                &["operations"],
                json!({
                    "group_by": schema::paths("Make an item for each combination of values at these paths, which it has too."),
                    "operations": {
                        "description": "The figures.", "type": "array", "items": figure, "minItems": 1, "maxItems": OPERATIONS_MAX,
                    },
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { group_by, operations } = params::read(node)?;
        let mut figures = Vec::with_capacity(operations.len());
        let mut problems = Vec::new();
        for (index, figure) in operations.into_iter().enumerate() {
            let pointer = format!("/params/operations/{index}");
            if figure.field.is_none() && figure.operation != Operation::Count {
                problems.push(Problem::new(pointer, "missing_field", "only `count` works without `field`"));
                continue;
            }
            if figure.separator.is_some() && figure.operation != Operation::Concat {
                problems.push(params::invalid(&format!("{pointer}/separator"), "only `concat` has a separator"));
                continue;
            }
            figures.push(Figure::new(figure));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let runner = SummarizeNode { group_by, figures };
        Ok(Prepared { shape: NodeShape::step(EffectClass::Pure), runner: Runner::Pure(Arc::new(runner)) })
    }
}

struct SummarizeNode {
    group_by: Vec<Path>,
    figures: Vec<Figure>,
}

struct Figure {
    operation: Operation,
    field: Option<Path>,
    into: Path,
    separator: String,
    include_empty: bool,
}

impl Figure {
    fn new(params: FigureParams) -> Self {
        let into = params.into.unwrap_or_else(|| default_name(params.operation, params.field.as_ref()));
        Self {
            operation: params.operation,
            field: params.field,
            into,
            separator: params.separator.unwrap_or_else(|| SEPARATOR.to_owned()),
            include_empty: params.include_empty,
        }
    }

    fn compute(&self, items: &[Item], group: &[usize]) -> Result<Value, NodeError> {
        let Some(field) = &self.field else { return Ok(json!(group.len())) };
        let all = group.iter().map(|index| (*index, field.read(&items[*index].json).unwrap_or(&Value::Null)));
        let taken: Vec<(usize, &Value)> = all.filter(|(_, value)| self.include_empty || !is_blank(value)).collect();
        self.operation.compute(&taken, &self.separator).map_err(|error| error.into_node_error(field))
    }
}

/// `sum_price` for the sum of `price`.
fn default_name(operation: Operation, field: Option<&Path>) -> Path {
    let name = match field {
        Some(field) => {
            let field: String = field.to_string().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
            format!("{}_{field}", operation.name())
        }
        None => operation.name().to_owned(),
    };
    name.parse().expect("letters, digits and `_` are one name")
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

impl PureNode for SummarizeNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let items = ctx.items();
        let mut budget = Budget::default();
        let mut summaries = Vec::new();
        for group in grouping::group_by(items, &self.group_by) {
            let mut json = match group.first() {
                Some(first) => paths::pick(&items[*first].json, &self.group_by)?,
                None => Value::Object(Map::new()),
            };
            for figure in &self.figures {
                let value = figure.compute(items, &group)?;
                budget.spend_value(&value)?;
                figure.into.write(&mut json, value)?;
            }
            summaries.push(ctx.derive(group.first().copied().unwrap_or(0), json));
        }
        Ok(Outcome::Done(PortItems::main(summaries)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::error::codes,
        nodes::testing::{failure, problems, run},
    };

    #[track_caller]
    fn check(operation: Value, items: Value, expected: Value) {
        let mut figure = operation;
        figure["into"] = json!("x");
        assert_eq!(run("summarize", json!({ "operations": [figure] }), items), Ok(json!({ "main": [{ "x": expected }] })));
    }

    fn over_n(operation: &str) -> Value {
        json!({ "operation": operation, "field": "n" })
    }

    #[test]
    fn computes_numbers() {
        let items = json!([{ "n": 1 }, { "n": 2.5 }, {}, { "n": null }, { "n": "" }, { "n": 1 }]);
        check(over_n("sum"), items.clone(), json!(4.5));
        check(over_n("average"), items.clone(), json!(1.5));
        check(over_n("min"), items.clone(), json!(1));
        check(over_n("max"), items.clone(), json!(2.5));
        check(over_n("count"), items.clone(), json!(3));
        check(over_n("count_unique"), items.clone(), json!(2));
        check(json!({ "operation": "count" }), items, json!(6));
    }

    #[test]
    fn sums_integers_exactly() {
        check(over_n("sum"), json!([{ "n": 9_007_199_254_740_993_i64 }, { "n": 2 }]), json!(9_007_199_254_740_995_i64));
        check(over_n("sum"), json!([{ "n": u64::MAX }, { "n": -1 }]), json!(u64::MAX - 1));
        check(over_n("sum"), json!([{ "n": u64::MAX }, { "n": u64::MAX }]), json!(36_893_488_147_419_103_230.0));
    }

    #[test]
    fn computes_nothing_of_nothing() {
        check(over_n("sum"), json!([{}]), json!(0));
        check(over_n("average"), json!([{}]), json!(null));
        check(over_n("max"), json!([{}]), json!(null));
        check(over_n("first"), json!([]), json!(null));
        check(over_n("append"), json!([]), json!([]));
    }

    #[test]
    fn gathers_values() {
        let items = json!([{ "n": "b" }, {}, { "n": 7 }, { "n": "" }, { "n": { "a": 1 } }]);
        check(over_n("first"), items.clone(), json!("b"));
        check(over_n("last"), items.clone(), json!({ "a": 1 }));
        check(over_n("append"), items.clone(), json!(["b", 7, { "a": 1 }]));
        check(over_n("concat"), items.clone(), json!(r#"b,7,{"a":1}"#));
        check(json!({ "operation": "concat", "field": "n", "separator": "; " }), json!([{ "n": 1 }, { "n": 2 }]), json!("1; 2"));
        check(
            json!({ "operation": "append", "field": "n", "include_empty": true }),
            items.clone(),
            json!([
                "b", null, 7, "", { "a": 1 }
            ]),
        );
        check(json!({ "operation": "count_unique", "field": "n", "include_empty": true }), items, json!(5));
    }

    #[test]
    fn computes_for_each_group_under_default_names() {
        let params = json!({
            "group_by": ["k.id"],
            "operations": [{ "operation": "count" }, { "operation": "sum", "field": "v.n" }],
        });
        let items = json!([{ "k": { "id": 2 }, "v": { "n": 1 } }, { "k": { "id": 1 } }, { "k": { "id": 2 }, "v": { "n": 3 } }]);
        let expected = json!([{ "k": { "id": 2 }, "count": 2, "sum_v_n": 4 }, { "k": { "id": 1 }, "count": 1, "sum_v_n": 0 }]);
        assert_eq!(run("summarize", params, items), Ok(json!({ "main": expected })));
    }

    #[test]
    fn says_which_value_is_no_number() {
        let params = json!({ "operations": [over_n("sum")] });
        let error = run("summarize", params, json!([{ "n": 1 }, { "n": "2" }])).unwrap_err();
        assert_eq!(error.code, codes::INVALID_INPUT);
        assert!(error.message.starts_with("item 1: `n` is a string, not a number"), "{}", error.message);
    }

    #[test]
    fn stops_before_copies_of_a_large_field_fill_the_memory() {
        let figures = vec![json!({ "operation": "append", "field": "n" }); OPERATIONS_MAX];
        let items = json!([{ "n": "x".repeat(1_000_000) }]);
        assert_eq!(failure("summarize", json!({ "operations": figures }), items), codes::OUTPUT_LIMIT);
    }

    #[test]
    fn reports_what_an_operation_lacks() {
        let operations = json!([{ "operation": "sum" }, { "operation": "count", "separator": ";" }]);
        assert_eq!(
            problems("summarize", json!({ "operations": operations })),
            ["/params/operations/0 missing_field", "/params/operations/1/separator invalid_parameter"]
        );
        assert_eq!(
            problems("summarize", json!({ "operations": [{ "operation": "median" }] })),
            ["/params/operations/0/operation unknown_value"]
        );
    }
}
