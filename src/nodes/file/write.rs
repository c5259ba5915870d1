//! `file.write`: items into files. Items with one path go into one file, in their order.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use super::{Format, Params, blocking, formats::encode, schema};
use crate::{
    clock,
    model::{
        catalog::{EffectClass, NodeShape},
        definition::NodeDefinition,
        error::{NodeError, codes},
        item::{Item, PortItems},
        problem::Problem,
    },
    nodes::{
        Description, EffectNode, NodeType, Outcome, Prepared, Runner,
        context::{EffectContext, expect_string},
        files_root::FilesRoot,
        params::read,
    },
};

/// The node type.
pub struct FileWrite;

impl NodeType for FileWrite {
    fn describe(&self) -> Description {
        Description {
            type_name: "file.write",
            summary: "Writes items to a file",
            params_schema: schema(
                "How the items are written; by default the file's extension decides. `json`: one object, or an array of several. \
                 `jsonl`: a line per item. `csv`: a record per item. `text`: the texts in `data`, a line each. `binary`: the binary \
                 data `data` of one item.",
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let runner = Runner::Effect(Arc::new(Writer(read(node)?)));
        Ok(Prepared { shape: NodeShape::step(EffectClass::Idempotent), runner })
    }
}

struct Writer(Params);

#[async_trait]
impl EffectNode for Writer {
    async fn run(&self, mut ctx: EffectContext) -> Result<Outcome, NodeError> {
        let root = FilesRoot::open(ctx.services.files_root.as_deref())?;
        let mut output = Vec::new();
        for (path, indexes) in self.group(&mut ctx)? {
            let bytes = self.content(&ctx, &path, &indexes).await?;
            let size_bytes = bytes.len();
            let (root, target) = (root.clone(), path.clone());
            blocking(move || root.write(&target, &bytes, clock::new_uuid())).await?;
            let written = json!({ "path": path, "size_bytes": size_bytes, "items": indexes.len() });
            output.push(ctx.pure().derive(indexes[0], written));
        }
        Ok(Outcome::Done(PortItems::main(output)))
    }
}

impl Writer {
    /// The paths in the order in which they come up, each with the indexes of its items.
    fn group(&self, ctx: &mut EffectContext) -> Result<Vec<(String, Vec<usize>)>, NodeError> {
        let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for index in 0..ctx.pure().items().len() {
            let path = expect_string(ctx.pure().evaluate(&self.0.path, index)?, "path")?;
            let place = *places.entry(path.clone()).or_insert(groups.len());
            match groups.get_mut(place) {
                Some((_, indexes)) => indexes.push(index),
                None => groups.push((path, vec![index])),
            }
        }
        Ok(groups)
    }

    async fn content(&self, ctx: &EffectContext, path: &str, indexes: &[usize]) -> Result<Vec<u8>, NodeError> {
        let all = ctx.inputs.first().map_or(&[][..], |input| &input.items);
        let items: Vec<&Item> = indexes.iter().filter_map(|index| all.get(*index)).collect();
        let format = self.0.format.unwrap_or_else(|| Format::of_path(path));
        if format != Format::Binary {
            return encode(format, &items);
        }
        let [item] = items.as_slice() else {
            return Err(invalid(format!("`{path}`: a binary file takes one item, not {}", items.len())));
        };
        let blob = item.binary.as_ref().and_then(|binary| binary.get("data"));
        let blob = blob.ok_or_else(|| invalid(format!("`{path}`: the item has no binary data `data`")))?;
        Ok(ctx.services.blobs.get(blob).await?.to_vec())
    }
}

fn invalid(message: String) -> NodeError {
    NodeError::permanent(codes::INVALID_INPUT, message)
}
