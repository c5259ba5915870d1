//! `set`: puts values into fields, keeps or removes others.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    budget::Budget,
    context::NodeContext,
    params::{
        self, Param,
        schema::{self, FORMAT_PATH, LITERAL, PATHS_MAX},
    },
    paths::{self, Path},
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::NodeError,
    item::{Item, PortItems},
    problem::{Problem, pointer_segment},
};

/// The node type `set`.
pub struct Set;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    #[serde(default)]
    fields: Map<String, Value>,
    #[serde(default)]
    keep: Keep,
    #[serde(default)]
    remove: Vec<Path>,
}

/// Which fields of the input item stay.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    #[default]
    All,
    None,
    #[serde(untagged)]
    Paths(Vec<Path>),
}

impl Keep {
    /// The schema of a parameter of this type.
    pub fn schema(description: &str, default: &str) -> Value {
        let paths = json!({ "type": "array", "items": { "type": "string", "format": FORMAT_PATH }, "maxItems": PATHS_MAX });
        json!({ "description": description, "anyOf": [{ "enum": ["all", "none"] }, paths], "default": default, (LITERAL): true })
    }

    /// The part of an item's JSON that stays.
    ///
    /// Errors: `invalid_input` where the paths contradict each other.
    pub fn apply(&self, json: &Value) -> Result<Value, NodeError> {
        match self {
            Self::All => Ok(json.clone()),
            Self::None => Ok(Value::Object(Map::new())),
            Self::Paths(kept) => paths::pick(json, kept),
        }
    }
}

impl NodeType for Set {
    fn describe(&self) -> Description {
        let fields = json!({
            "description": "Paths and the values to put there. Every expression sees the item as it came in.",
            "type": "object", "propertyNames": { "format": FORMAT_PATH }, "maxProperties": PATHS_MAX,
        });
        Description {
            type_name: "set",
            summary: "Sets, keeps and removes fields of each item.",
            params_schema: schema::object(
                &[],
                json!({
                    "fields": fields,
                    "keep": Keep::schema("What stays of the incoming item: `all`, `none`, or a list of paths.", "all"),
                    "remove": schema::paths("Paths to take out of what stays, before `fields` are set."),
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { fields, keep, remove } = params::read(node)?;
        let mut compiled = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let pointer = format!("/params/fields/{}", pointer_segment(&name));
            let path = name.parse().map_err(|error: paths::InvalidPath| vec![params::invalid(&pointer, error.to_string())])?;
            compiled.push((path, Param::compile(&value, &pointer)?));
        }
        let runner = SetNode { fields: compiled, keep, remove };
        Ok(Prepared { shape: NodeShape::step(EffectClass::Pure), runner: Runner::Pure(Arc::new(runner)) })
    }
}

struct SetNode {
    fields: Vec<(Path, Param)>,
    keep: Keep,
    remove: Vec<Path>,
}

impl SetNode {
    fn set_item(&self, ctx: &mut NodeContext<'_>, index: usize, item: &Item) -> Result<Item, NodeError> {
        let mut json = self.keep.apply(&item.json)?;
        for path in &self.remove {
            path.remove(&mut json);
        }
        for (path, value) in &self.fields {
            path.write(&mut json, ctx.evaluate(value, index)?)?;
        }
        // Binary data is part of what `all` keeps; the other choices name JSON fields only.
        Ok(match self.keep {
            Keep::All => ctx.edit(index, json),
            Keep::None | Keep::Paths(_) => ctx.derive(index, json),
        })
    }
}

impl PureNode for SetNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let items = ctx.items();
        let mut budget = Budget::default();
        let mut set = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let item = self.set_item(ctx, index, item)?;
            budget.spend_item(&item.json)?;
            set.push(item);
        }
        Ok(Outcome::Done(PortItems::main(set)))
    }

    fn needs_guest(&self) -> bool {
        params::any_needs_guest(self.fields.iter().map(|(_, value)| value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{error::codes, item::BlobRef},
        nodes::testing::{self, failure, prepare, problems, run},
    };

    #[track_caller]
    fn check(params: Value, item: Value, expected: Value) {
        assert_eq!(run("set", params, json!([item])), Ok(json!({ "main": [expected] })));
    }

    #[test]
    fn sets_paths_and_keeps_the_rest() {
        check(
            json!({ "fields": { "b.c": 2, "['x.y']": [3] } }),
            json!({ "a": 1 }),
            json!({ "a": 1, "b": { "c": 2 }, "x.y": [3] }),
        );
        check(json!({}), json!({ "a": 1 }), json!({ "a": 1 }));
    }

    #[test]
    fn evaluates_against_the_item_as_it_came_in() {
        let params = json!({ "fields": { "a": "{{ $json.b }}", "b": "{{ $json.a }}", "text": "a={{ $json.a }}" } });
        check(params, json!({ "a": 1, "b": 2 }), json!({ "a": 2, "b": 1, "text": "a=1" }));
    }

    #[test]
    fn keeps_and_removes() {
        let item = json!({ "a": 1, "b": { "c": 2, "d": 3 } });
        check(json!({ "keep": "none", "fields": { "n": null } }), item.clone(), json!({ "n": null }));
        check(json!({ "keep": ["b.c", "missing"] }), item.clone(), json!({ "b": { "c": 2 } }));
        check(json!({ "remove": ["b.d", "missing.x"] }), item.clone(), json!({ "a": 1, "b": { "c": 2 } }));
        check(json!({ "remove": ["b"], "fields": { "b": "{{ $json.b.c }}" } }), item, json!({ "a": 1, "b": 2 }));
    }

    #[test]
    fn keeps_binary_data_only_with_everything() {
        let blob = BlobRef { hash: "00".to_owned(), size_bytes: 1, media_type: None, file_name: None };
        let mut input = testing::input(0, json!([{}]));
        Arc::make_mut(&mut input.items)[0].binary = Some([("file".to_owned(), blob)].into());
        for (keep, kept) in [("all", true), ("none", false)] {
            let prepared = prepare("set", json!({ "keep": keep }));
            let outcome = testing::with_context(&prepared.runner, &[input.clone()], |node, ctx| node.run(ctx));
            let Ok(Outcome::Done(ports)) = outcome else { panic!("the node is done") };
            assert_eq!(ports[0].items[0].binary.is_some(), kept, "{keep}");
        }
    }

    #[test]
    fn stops_before_large_values_fill_the_memory() {
        let large = json!({ "fields": { "a": "x".repeat(1_000_000) } });
        assert!(run("set", large.clone(), json!(vec![json!({}); 10])).is_ok());
        assert_eq!(failure("set", large, json!(vec![json!({}); 40])), codes::OUTPUT_LIMIT);
    }

    #[test]
    fn fails_where_a_value_is_on_the_way() {
        assert_eq!(failure("set", json!({ "fields": { "a.b": 1 } }), json!([{ "a": "text" }])), codes::INVALID_INPUT);
    }

    #[test]
    fn refuses_what_is_no_path_and_what_takes_no_expression() {
        assert_eq!(problems("set", json!({ "fields": { "a..b": 1 } })), ["/params/fields invalid_format"]);
        assert_eq!(problems("set", json!({ "keep": ["a["] })), ["/params/keep/0 invalid_format"]);
        assert_eq!(problems("set", json!({ "keep": "some" })), ["/params/keep unknown_value"]);
        assert_eq!(problems("set", json!({ "keep": "{{ $json.k }}" })), ["/params/keep expression_not_allowed"]);
        assert_eq!(
            problems("set", json!({ "remove": 1, "field": {} })),
            ["/params/remove wrong_type", "/params/field unknown_field"]
        );
    }
}
