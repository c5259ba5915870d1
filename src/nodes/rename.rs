//! `rename`: moves values to other paths of the same item.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    context::NodeContext,
    params::{
        self,
        schema::{self, FORMAT_PATH, LITERAL, PATHS_MAX},
    },
    paths::Path,
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::NodeError,
    item::PortItems,
    problem::{Problem, pointer_segment},
};

/// The node type `rename`.
pub struct Rename;

#[derive(Deserialize)]
struct Params {
    fields: Map<String, Value>,
}

impl NodeType for Rename {
    fn describe(&self) -> Description {
        let fields = json!({
            "description": "Old paths and their new ones. All values are taken out before one is put back, so names can be swapped.",
            "type": "object", "propertyNames": { "format": FORMAT_PATH }, "minProperties": 1, "maxProperties": PATHS_MAX,
            "additionalProperties": { "type": "string", "format": FORMAT_PATH }, (LITERAL): true,
        });
        Description {
            type_name: "rename",
            summary: "Renames fields of each item; what is missing is left alone.",
            params_schema: schema::object(&["fields"], json!({ "fields": fields })),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { fields } = params::read(node)?;
        let mut renames = Vec::with_capacity(fields.len());
        for (old, new) in &fields {
            match (old.parse::<Path>(), serde_json::from_value::<Path>(new.clone())) {
                (Ok(old), Ok(new)) => renames.push((old, new)),
                (Err(_), _) | (_, Err(_)) => {
                    return Err(vec![params::invalid(&format!("/params/fields/{}", pointer_segment(old)), "is not a path")]);
                }
            }
        }
        Ok(Prepared { shape: NodeShape::step(EffectClass::Pure), runner: Runner::Pure(Arc::new(RenameNode { renames })) })
    }
}

struct RenameNode {
    renames: Vec<(Path, Path)>,
}

impl RenameNode {
    fn rename(&self, mut json: Value) -> Result<Value, NodeError> {
        let mut moved = Vec::with_capacity(self.renames.len());
        for (old, new) in &self.renames {
            if let Some(value) = old.remove(&mut json) {
                moved.push((new, value));
            }
        }
        for (new, value) in moved {
            new.write(&mut json, value)?;
        }
        Ok(json)
    }
}

impl PureNode for RenameNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let mut renamed = Vec::with_capacity(ctx.items().len());
        for (index, item) in ctx.items().iter().enumerate() {
            renamed.push(ctx.edit(index, self.rename(item.json.clone())?));
        }
        Ok(Outcome::Done(PortItems::main(renamed)))
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
    fn check(fields: Value, item: Value, expected: Value) {
        assert_eq!(run("rename", json!({ "fields": fields }), json!([item])), Ok(json!({ "main": [expected] })));
    }

    #[test]
    fn moves_and_swaps() {
        check(json!({ "a": "b.c", "missing": "d" }), json!({ "a": 1, "e": 2 }), json!({ "b": { "c": 1 }, "e": 2 }));
        check(json!({ "a": "b", "b": "a" }), json!({ "a": 1, "b": 2 }), json!({ "a": 2, "b": 1 }));
    }

    #[test]
    fn fails_where_a_value_is_on_the_way() {
        assert_eq!(failure("rename", json!({ "fields": { "a": "b.c" } }), json!([{ "a": 1, "b": 2 }])), codes::INVALID_INPUT);
    }

    #[test]
    fn refuses_what_is_no_path() {
        assert_eq!(problems("rename", json!({ "fields": { "a..b": "c" } })), ["/params/fields invalid_format"]);
        assert_eq!(problems("rename", json!({ "fields": { "a": "b." } })), ["/params/fields/a invalid_format"]);
        assert_eq!(problems("rename", json!({ "fields": {} })), ["/params/fields too_few"]);
    }
}
