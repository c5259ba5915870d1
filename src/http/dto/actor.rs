//! Actors, as the tree that they are.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::actors::observatory::{ActorView, KindView, Snapshot};

/// The actors of this process. **Shape**: `{ actors_live, actors_shown, tree: [actor], kinds: [kind] }`, an actor with its
/// `children`.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ActorsBody {
    actors_live: usize,
    /// Fewer than live where there are too many: the kinds are complete.
    actors_shown: usize,
    tree: Vec<ActorBody>,
    kinds: Vec<KindView>,
}

/// An actor with those that it supervises.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ActorBody {
    #[serde(flatten)]
    actor: ActorView,
    #[schema(no_recursion)]
    children: Vec<ActorBody>,
}

impl From<Snapshot> for ActorsBody {
    fn from(snapshot: Snapshot) -> Self {
        let actors_shown = snapshot.actors.len();
        Self { actors_live: snapshot.actors_live, actors_shown, tree: tree_of(snapshot.actors), kinds: snapshot.kinds }
    }
}

impl ActorBody {
    pub(in crate::http) fn new(actor: ActorView, children: Vec<ActorView>) -> Self {
        let leaf = |actor| Self { actor, children: Vec::new() };
        Self { actor, children: children.into_iter().map(leaf).collect() }
    }
}

/// Nests actors by their parents. One whose parent is not among them stands at the top.
fn tree_of(actors: Vec<ActorView>) -> Vec<ActorBody> {
    let known: Vec<String> = actors.iter().map(|actor| actor.id.clone()).collect();
    let (mut tops, mut children): (Vec<ActorView>, BTreeMap<String, Vec<ActorView>>) = Default::default();
    for actor in actors {
        match actor.parent.clone().filter(|parent| known.contains(parent)) {
            Some(parent) => children.entry(parent).or_default().push(actor),
            None => tops.push(actor),
        }
    }
    tops.into_iter().map(|top| nest(top, &mut children)).collect()
}

/// Takes an actor's children out of the map, so that this ends whatever the parents say. As deep as the tree is.
fn nest(actor: ActorView, children: &mut BTreeMap<String, Vec<ActorView>>) -> ActorBody {
    let own = children.remove(&actor.id).unwrap_or_default();
    ActorBody { children: own.into_iter().map(|child| nest(child, children)).collect(), actor }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(id: &str, parent: Option<&str>) -> ActorView {
        ActorView {
            id: id.to_owned(),
            kind: "test",
            name: None,
            parent: parent.map(str::to_owned),
            status: "running",
            depth: 0,
            wait_p50_us: None,
            wait_p99_us: None,
            handled: 0,
            errors: 0,
            handle_p50_us: None,
            handle_p99_us: None,
            busy_for_ms: None,
            age_ms: 1,
            serves: None,
        }
    }

    fn outline(actors: &[ActorBody]) -> String {
        let line = |node: &ActorBody| format!("{}({})", node.actor.id, outline(&node.children));
        actors.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn check(actors: &[(&str, Option<&str>)], expected: &str) {
        let actors = actors.iter().map(|(id, parent)| actor(id, *parent)).collect();
        assert_eq!(outline(&tree_of(actors)), expected);
    }

    #[test]
    fn nests_children_under_their_parents() {
        check(&[("d", Some("b")), ("a", None), ("b", Some("a")), ("c", Some("a"))], "a(b(d()) c())");
        check(&[("b", Some("gone")), ("a", None)], "b() a()");
        check(&[], "");
    }

    #[test]
    fn ends_even_if_parents_go_round() {
        check(&[("a", Some("b")), ("b", Some("a"))], "");
    }
}
