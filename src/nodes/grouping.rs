//! Puts items with equal fields together. Pure; used by `aggregate`, `summarize`, `dedupe` and `merge`.

use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{paths::Path, values};
use crate::model::item::Item;

/// The indexes of the items of each group, groups in the order of their first item. Without paths all items are one group,
/// also if there are none.
pub fn group_by(items: &[Item], paths: &[Path]) -> Vec<Vec<usize>> {
    if paths.is_empty() {
        return vec![(0..items.len()).collect()];
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut by_key: HashMap<Key, usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let group = *by_key.entry(key_at(&item.json, paths)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(index);
    }
    groups
}

/// What equal values share: a SHA-256 hash, so that large values cost no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// The key of a whole value.
pub fn key_of(value: &Value) -> Key {
    let mut hash = Sha256::new();
    values::spell_key(value, &mut |part| hash.update(part));
    Key(hash.finalize().into())
}

/// The key of the values at some paths; a missing one equals null.
pub fn key_at(json: &Value, paths: &[Path]) -> Key {
    let mut hash = Sha256::new();
    for path in paths {
        values::spell_key(path.read(json).unwrap_or(&Value::Null), &mut |part| hash.update(part));
        hash.update(",");
    }
    Key(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_by_equal_values_in_order() {
        let items: Vec<Item> = [json!({ "a": 2 }), json!({ "a": "2" }), json!({ "a": 2.0 }), json!({}), json!({ "a": null })]
            .map(Item::from_value)
            .into();
        let path: Path = "a".parse().unwrap();
        assert_eq!(group_by(&items, std::slice::from_ref(&path)), [vec![0, 2], vec![1], vec![3, 4]]);
        assert_eq!(group_by(&items, &[]), [vec![0, 1, 2, 3, 4]]);
        assert!(group_by(&[], &[path]).is_empty());
    }
}
