//! Sub-workflows: how a child is named, and how its parent finds it again. A child's id follows from its parent and its key, so a
//! start that is repeated finds the child that is there, and an end that nobody prepared for reaches it all the same.

use uuid::Uuid;

use super::{catalog::AwaitedChildren, ids::ExecutionId, limits::CHILDREN_MAX};

/// Names a child among all children of its parent: the node, its run, and the item if the child is for one.
pub fn key(node: &str, run: u32, item: Option<usize>) -> String {
    match item {
        Some(index) => format!("{node}/{run}/{index}"),
        None => format!("{node}/{run}/all"),
    }
}

/// The signal that the end of the child with this key sends to its parent.
pub fn signal(key: &str) -> String {
    format!("child:{key}")
}

/// The id of the child with this key. Part of the stored data's meaning: it never changes.
pub fn id(parent: ExecutionId, key: &str) -> ExecutionId {
    ExecutionId::from_uuid(Uuid::new_v5(&parent.uuid(), key.as_bytes()))
}

/// The id of the execution that the failure of another one starts. As lasting as [`id`].
pub fn error_workflow_id(failed: ExecutionId) -> ExecutionId {
    ExecutionId::from_uuid(Uuid::new_v5(&failed.uuid(), b"error_workflow"))
}

/// How many children a run over so many items waits for.
pub fn count(children: AwaitedChildren, items: usize) -> usize {
    match children {
        AwaitedChildren::None => 0,
        AwaitedChildren::OfAllItems => items.min(1),
        // A run over more items fails before it starts one.
        AwaitedChildren::PerItem => items.min(CHILDREN_MAX),
    }
}

/// The keys of those children.
pub fn keys(children: AwaitedChildren, node: &str, run: u32, items: usize) -> impl Iterator<Item = String> {
    let is_per_item = children == AwaitedChildren::PerItem;
    (0..count(children, items)).map(move |index| key(node, run, is_per_item.then_some(index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(children: AwaitedChildren, items: usize, expected: &[&str]) {
        assert_eq!(keys(children, "call", 2, items).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn names_the_children_of_a_run() {
        check(AwaitedChildren::None, 3, &[]);
        check(AwaitedChildren::OfAllItems, 3, &["call/2/all"]);
        check(AwaitedChildren::OfAllItems, 0, &[]);
        check(AwaitedChildren::PerItem, 2, &["call/2/0", "call/2/1"]);
        assert_eq!(keys(AwaitedChildren::PerItem, "call", 0, CHILDREN_MAX + 1).count(), CHILDREN_MAX);
    }

    #[test]
    fn the_id_of_a_child_never_changes() {
        let parent = ExecutionId::from_uuid(Uuid::from_u128(7));
        assert_eq!(id(parent, "call/0/all").to_string(), "exe_b432e6e7ce945887b90f0962fb181024");
    }
}
