//! `sort`: puts items in order, stable and the same in every run.

pub mod natural;

use std::{cmp::Ordering, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    budget::Budget,
    context::NodeContext,
    params::{
        self, Param,
        schema::{self, LITERAL},
    },
    paths::Path,
    values,
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::NodeError,
    item::PortItems,
    problem::Problem,
};

/// Keys of one node.
const KEYS_MAX: usize = 20;

/// The node type `sort`.
pub struct Sort;

#[derive(Deserialize)]
struct Params {
    order: Vec<KeyParams>,
}

#[derive(Deserialize)]
struct KeyParams {
    field: Option<Path>,
    value: Option<Param>,
    #[serde(default)]
    direction: Direction,
    #[serde(default)]
    natural: bool,
    #[serde(default = "yes")]
    case_sensitive: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Direction {
    #[default]
    Asc,
    Desc,
}

impl NodeType for Sort {
    fn describe(&self) -> Description {
        let key = json!({
            "type": "object", "additionalProperties": false,
            "properties": {
                "field": schema::path("Path of the values."),
                "value": schema::any("An expression for the values, instead of `field`."),
                "direction": { "description": "`asc` or `desc`.", "enum": ["asc", "desc"], "default": "asc", (LITERAL): true },
                "natural": schema::flag("Compare numbers inside texts as numbers: `item 9` before `item 10`."),
                "case_sensitive": schema::flag_with_default("Whether upper and lower case of texts differ.", true),
            },
        });
        Description {
            type_name: "sort",
            summary: "Puts items in order: numbers, then texts, then booleans, then lists and objects; null and missing values last.",
            params_schema: schema::object(
                &["order"],
                json!({
                    "order": {
                        "description": "Keys; a later one decides where the earlier ones are equal. Items that are equal in all stay \
                            in their order.",
                        "type": "array", "items": key, "minItems": 1, "maxItems": KEYS_MAX,
                    },
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { order } = params::read(node)?;
        let mut keys = Vec::with_capacity(order.len());
        let mut problems = Vec::new();
        for (index, key) in order.into_iter().enumerate() {
            let of = match (key.field, key.value) {
                (Some(field), None) => KeyOf::Field(field),
                (None, Some(value)) => KeyOf::Value(value),
                (Some(_), Some(_)) | (None, None) => {
                    problems.push(params::invalid(&format!("/params/order/{index}"), "one of `field` and `value` is needed"));
                    continue;
                }
            };
            keys.push(Key { of, direction: key.direction, natural: key.natural, case_sensitive: key.case_sensitive });
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Prepared { shape: NodeShape::step(EffectClass::Pure), runner: Runner::Pure(Arc::new(SortNode { keys })) })
    }
}

struct SortNode {
    keys: Vec<Key>,
}

struct Key {
    of: KeyOf,
    direction: Direction,
    natural: bool,
    case_sensitive: bool,
}

enum KeyOf {
    Field(Path),
    Value(Param),
}

impl Key {
    fn value_of(&self, ctx: &mut NodeContext<'_>, index: usize) -> Result<Value, NodeError> {
        let value = match &self.of {
            KeyOf::Field(field) => field.read(&ctx.items()[index].json).cloned().unwrap_or(Value::Null),
            KeyOf::Value(value) => ctx.evaluate(value, index)?,
        };
        Ok(match value {
            Value::String(text) if !self.case_sensitive => Value::String(text.to_lowercase()),
            other => other,
        })
    }

    fn compare(&self, left: &Value, right: &Value) -> Ordering {
        // Null is last in both directions: it is the absence of a value, not the largest one.
        let order = match (left, right) {
            (Value::Null, _) | (_, Value::Null) => return left.is_null().cmp(&right.is_null()),
            (Value::String(left), Value::String(right)) if self.natural => natural::compare(left, right),
            _ => values::compare(left, right),
        };
        match self.direction {
            Direction::Asc => order,
            Direction::Desc => order.reverse(),
        }
    }
}

impl PureNode for SortNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let mut budget = Budget::default();
        let mut rows: Vec<(usize, Vec<Value>)> = Vec::with_capacity(ctx.items().len());
        for index in 0..ctx.items().len() {
            let mut row = Vec::with_capacity(self.keys.len());
            for key in &self.keys {
                let value = key.value_of(ctx, index)?;
                budget.spend_value(&value)?;
                row.push(value);
            }
            rows.push((index, row));
        }
        rows.sort_by(|(_, left), (_, right)| {
            let orders = self.keys.iter().zip(left.iter().zip(right)).map(|(key, (left, right))| key.compare(left, right));
            orders.fold(Ordering::Equal, Ordering::then)
        });
        Ok(Outcome::Done(PortItems::main(rows.into_iter().map(|(index, _)| ctx.pass(index)).collect())))
    }

    fn needs_guest(&self) -> bool {
        self.keys.iter().any(|key| match &key.of {
            KeyOf::Field(_) => false,
            KeyOf::Value(value) => value.needs_guest(),
        })
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
    fn check(order: Value, values: Value, expected: Value) {
        let items = |values: Value| -> Value { values.as_array().unwrap().iter().map(|value| json!({ "v": value })).collect() };
        assert_eq!(run("sort", json!({ "order": order }), items(values)), Ok(json!({ "main": items(expected) })));
    }

    #[test]
    fn orders_by_type_and_value_with_null_last() {
        let values = json!([true, "b", null, 10, "a", 9.5, [1], false]);
        check(json!([{ "field": "v" }]), values.clone(), json!([9.5, 10, "a", "b", false, true, [1], null]));
        check(json!([{ "field": "v", "direction": "desc" }]), values, json!([[1], true, false, "b", "a", 10, 9.5, null]));
    }

    #[test]
    fn is_stable_and_takes_later_keys_where_earlier_are_equal() {
        let values = json!([{ "a": 2, "b": 1 }, { "a": 1, "b": 1 }, { "a": 1, "b": 2 }, { "a": 1.0, "b": 2, "c": 1 }]);
        check(
            json!([{ "field": "v.a" }, { "field": "v.b", "direction": "desc" }]),
            values,
            json!([
                { "a": 1, "b": 2 }, { "a": 1.0, "b": 2, "c": 1 }, { "a": 1, "b": 1 }, { "a": 2, "b": 1 }
            ]),
        );
    }

    #[test]
    fn orders_by_an_expression_and_by_texts_as_people_do() {
        check(json!([{ "value": "{{ -$json.v }}" }]), json!([1, 3, 2]), json!([3, 2, 1]));
        check(json!([{ "field": "v", "case_sensitive": false }]), json!(["b", "A", "a", "B"]), json!(["A", "a", "b", "B"]));
        check(json!([{ "field": "v", "natural": true }]), json!(["item 10", "item 9"]), json!(["item 9", "item 10"]));
    }

    #[test]
    fn stops_before_copies_of_large_keys_fill_the_memory() {
        let order = json!([{ "field": "v" }, { "value": "{{ $json.v }}" }]);
        let items = json!(vec![json!({ "v": "x".repeat(1_000_000) }); 20]);
        assert_eq!(failure("sort", json!({ "order": order }), items), codes::OUTPUT_LIMIT);
    }

    #[test]
    fn a_key_is_a_field_or_an_expression() {
        assert_eq!(
            problems("sort", json!({ "order": [{}, { "field": "a", "value": 1 }, { "field": "b" }] })),
            ["/params/order/0 invalid_parameter", "/params/order/1 invalid_parameter"]
        );
        assert_eq!(problems("sort", json!({ "order": [] })), ["/params/order too_few"]);
    }
}
