//! `file.read`: the items in one file per input item.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde_json::json;

use super::{Format, Params, blocking, formats::decode, schema};
use crate::{
    model::{
        catalog::{EffectClass, NodeShape},
        definition::NodeDefinition,
        error::{NodeError, codes},
        item::{Item, PortItems},
        limits::{ITEMS_MAX, OUTPUT_BYTES_MAX},
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
pub struct FileRead;

impl NodeType for FileRead {
    fn describe(&self) -> Description {
        Description {
            type_name: "file.read",
            summary: "Reads items from a file",
            params_schema: schema(
                "What is in the file; by default its extension decides. `json`: an array gives an item per element. `jsonl`: an item \
                 per line. `csv`: an item per record, its values texts. `text`: one item `{ data }`. `binary`: one item with the \
                 binary data `data`.",
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let runner = Runner::Effect(Arc::new(Reader(read(node)?)));
        Ok(Prepared { shape: NodeShape::step(EffectClass::Idempotent), runner })
    }
}

struct Reader(Params);

#[async_trait]
impl EffectNode for Reader {
    async fn run(&self, mut ctx: EffectContext) -> Result<Outcome, NodeError> {
        let root = FilesRoot::open(ctx.services.files_root.as_deref())?;
        let mut output: Vec<Item> = Vec::new();
        let mut bytes_read = 0;
        for index in 0..ctx.pure().items().len() {
            let path = expect_string(ctx.pure().evaluate(&self.0.path, index)?, "path")?;
            let format = self.0.format.unwrap_or_else(|| Format::of_path(&path));
            let (root, source) = (root.clone(), path.clone());
            let (bytes, values) = blocking(move || {
                let bytes = root.read(&source)?;
                let values = decode(format, &bytes)?;
                Ok((bytes, values))
            })
            .await?;
            if format == Format::Binary {
                output.push(binary_item(&mut ctx, index, &path, bytes).await?);
                continue;
            }
            bytes_read += bytes.len();
            output.extend(values.into_iter().map(|value| ctx.pure().derive(index, value)));
            check_output(bytes_read, output.len())?;
        }
        Ok(Outcome::Done(PortItems::main(output)))
    }
}

async fn binary_item(ctx: &mut EffectContext, index: usize, path: &str, bytes: Vec<u8>) -> Result<Item, NodeError> {
    let mut blob = ctx.services.blobs.put(bytes.into()).await?;
    blob.file_name = path.rsplit('/').next().map(str::to_owned);
    let item = ctx.pure().derive(index, json!({ "data": blob }));
    Ok(Item { binary: Some(BTreeMap::from([("data".to_owned(), blob)])), ..item })
}

fn check_output(bytes: usize, items: usize) -> Result<(), NodeError> {
    if bytes > OUTPUT_BYTES_MAX {
        return Err(NodeError::permanent(codes::OUTPUT_LIMIT, format!("the files are larger than {OUTPUT_BYTES_MAX} bytes")));
    }
    if items > ITEMS_MAX {
        return Err(NodeError::permanent(codes::ITEM_LIMIT, format!("the files have more than {ITEMS_MAX} items")));
    }
    Ok(())
}
