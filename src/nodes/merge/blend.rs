//! Makes one item of several, one per input: all fields, and of a field that several have the value of the preferred input.

use serde_json::{Map, Value};

use crate::{
    model::{error::NodeError, item::Item},
    nodes::{budget::Budget, context::NodeContext},
};

/// The order in which inputs are laid over each other.
pub(super) struct Blend {
    /// The preferred input is last.
    order: Vec<usize>,
}

impl Blend {
    pub(super) fn new(inputs: usize, preferred: usize) -> Self {
        Self { order: (0..inputs).filter(|input| *input != preferred).chain([preferred]).collect() }
    }

    /// The item of the given items, by input; its source is the first of them.
    ///
    /// Errors: `item_limit`, `output_limit`.
    pub(super) fn item(&self, ctx: &NodeContext<'_>, parts: &[Option<usize>], budget: &mut Budget) -> Result<Item, NodeError> {
        let mut fields = Map::new();
        let mut binary = None;
        for input in &self.order {
            let Some(index) = parts.get(*input).copied().flatten() else { continue };
            let item = &ctx.inputs[*input].items[index];
            if let Value::Object(more) = &item.json {
                fields.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
            if let Some(more) = &item.binary {
                binary.get_or_insert_with(std::collections::BTreeMap::new).extend(more.clone());
            }
        }
        let json = Value::Object(fields);
        budget.spend_item(&json)?;
        let first = parts.iter().enumerate().find_map(|(input, index)| Some((input, (*index)?)));
        let (input, index) = first.unwrap_or_default();
        Ok(Item { binary, ..ctx.derive_from(input, index, json) })
    }
}
