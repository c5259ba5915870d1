//! Joins the items of two inputs over equal fields, as SQL joins rows: every pair of partners is an item, and null has no partner.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::blend::Blend;
use crate::{
    model::{error::NodeError, item::Item},
    nodes::{
        budget::Budget,
        context::NodeContext,
        grouping::{self, Key},
        paths::Path,
    },
};

/// What happens to items without a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Join {
    /// They are dropped.
    #[default]
    Inner,
    /// Those of the first input stay.
    Left,
    /// Those of the last input stay.
    Right,
    /// They stay.
    Outer,
    /// Only those of the first input stay, and nothing else.
    Anti,
}

/// `on` as it is written.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OnParams {
    One(Path),
    Several(Vec<KeyParams>),
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum KeyParams {
    Same(Path),
    Pair { left: Path, right: Path },
}

/// The paths that are compared, by side.
pub(super) struct JoinKeys {
    left: Vec<Path>,
    right: Vec<Path>,
}

impl JoinKeys {
    pub(super) fn new(on: OnParams) -> Self {
        let keys = match on {
            OnParams::One(path) => vec![KeyParams::Same(path)],
            OnParams::Several(keys) => keys,
        };
        let pairs = keys.into_iter().map(|key| match key {
            KeyParams::Same(path) => (path.clone(), path),
            KeyParams::Pair { left, right } => (left, right),
        });
        let (left, right) = pairs.unzip();
        Self { left, right }
    }
}

/// Joins the first two inputs: first the items of input 0 in order, each with its partners, then items of input 1 without one.
///
/// Errors: `item_limit`, `output_limit`.
pub(super) fn by_fields(ctx: &NodeContext<'_>, keys: &JoinKeys, blend: &Blend, join: Join) -> Result<Vec<Item>, NodeError> {
    let [left, right, ..] = ctx.inputs else { return Ok(Vec::new()) };
    let mut partners: HashMap<Key, Vec<usize>> = HashMap::new();
    for (index, item) in right.items.iter().enumerate() {
        if let Some(key) = key_of(&item.json, &keys.right) {
            partners.entry(key).or_default().push(index);
        }
    }
    let mut budget = Budget::default();
    let mut joined = Vec::new();
    let mut has_partner = vec![false; right.items.len()];
    for (index, item) in left.items.iter().enumerate() {
        let found = key_of(&item.json, &keys.left).and_then(|key| partners.get(&key)).map_or(&[][..], Vec::as_slice);
        match (found, join) {
            ([], Join::Left | Join::Outer | Join::Anti) => joined.push(blend.item(ctx, &[Some(index), None], &mut budget)?),
            ([], Join::Inner | Join::Right) | (_, Join::Anti) => {}
            (found, Join::Inner | Join::Left | Join::Right | Join::Outer) => {
                for partner in found {
                    has_partner[*partner] = true;
                    joined.push(blend.item(ctx, &[Some(index), Some(*partner)], &mut budget)?);
                }
            }
        }
    }
    if matches!(join, Join::Right | Join::Outer) {
        for (index, _) in has_partner.iter().enumerate().filter(|(_, has_partner)| !**has_partner) {
            joined.push(blend.item(ctx, &[None, Some(index)], &mut budget)?);
        }
    }
    Ok(joined)
}

/// `None` if one of the values is null or missing.
fn key_of(json: &Value, paths: &[Path]) -> Option<Key> {
    let is_whole = paths.iter().all(|path| path.read_present(json).is_some());
    if is_whole { Some(grouping::key_at(json, paths)) } else { None }
}
