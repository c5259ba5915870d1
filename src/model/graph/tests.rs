//! Bodies of loops and feeders of merges in flows that are easy to get wrong.

use super::*;
use crate::model::testing::Flow;

fn names(graph: &Graph, set: &NodeSet) -> String {
    let nodes = graph.nodes.iter().enumerate().filter(|(position, _)| set.contains(*position));
    nodes.map(|(_, node)| &*node.id).collect::<Vec<&str>>().join(" ")
}

/// Expects the nodes of a loop's body, in the order in which the flow names them.
#[track_caller]
fn check_body(flow: &str, id: &str, expected: &str) {
    let graph = Flow::new(flow).graph;
    assert_eq!(names(&graph, &graph.node(id).unwrap().body), expected);
}

/// Expects the feeders of each edge into a merge, in the order of the edges.
#[track_caller]
fn check_feeders(flow: &str, merge: &str, expected: &[&str]) {
    let graph = Flow::new(flow).graph;
    let feeders: Vec<String> = graph.node(merge).unwrap().incoming.iter().map(|edge| names(&graph, &edge.feeders)).collect();
    assert_eq!(feeders, expected);
}

#[test]
fn a_body_is_what_runs_in_an_iteration() {
    check_body("hook -> l; l:loop -> a -> b -> l; l:done -> z", "l", "a b");
    check_body("hook -> l; l:done -> z", "l", "");
    check_body("hook -> l; l:loop -> l; l:done -> z", "l", "");
    // Side branches, with and without a way back.
    check_body("hook -> l; l:loop -> f; f:true -> a -> l; f:false -> b; l:done -> z", "l", "f a b");
    // What follows `done` as well is not in the body.
    check_body("hook -> l; l:loop -> a -> l; a -> z; l:done -> z -> y", "l", "a");
    // What is before the loop can be in its body too.
    check_body("hook -> a -> l; l:loop -> b -> a; l:done -> z", "l", "a b");
    // What comes in from outside does not make its source a part.
    check_body("hook -> o -> a; hook -> l; l:loop -> a -> l", "l", "a");
    check_body("hook -> s; hook -> t", "s", "");
}

#[test]
fn a_body_holds_the_loops_inside_but_not_those_around() {
    let nested = "hook -> o; o:loop -> i; i:loop -> a -> i; i:done -> b -> o; o:done -> z";
    check_body(nested, "o", "i a b");
    check_body(nested, "i", "a");
    // A way out of the inner body to the outer loop, wherever the inner loop is written.
    for flow in [
        "hook -> o; o:loop -> i; i:loop -> a -> i; a -> o; i:done -> o",
        "i: loop; hook -> o; o:loop -> i; i:loop -> a -> i; a -> o; i:done -> o",
    ] {
        check_body(flow, "i", "a");
        check_body(flow, "o", "i a");
    }
    // Three deep, with a way from the innermost body to the outermost loop.
    let deep = "hook -> o; o:loop -> m; m:loop -> i; i:loop -> a -> i; a -> o; i:done -> m; m:done -> o";
    check_body(deep, "o", "m i a");
    check_body(deep, "m", "i a");
    check_body(deep, "i", "a");
    // What follows the inner loop belongs to the outer one, also if the inner body leads to it.
    check_body("hook -> o; o:loop -> i; i:loop -> a -> i; a -> b; i:done -> b -> o", "i", "a");
}

#[test]
fn a_body_does_not_hold_the_loop_behind() {
    let line = "hook -> k; k:loop -> a -> k; k:done -> l; l:loop -> b -> l; l:done -> z";
    check_body(line, "k", "a");
    check_body(line, "l", "b");
    // Both inside a third.
    let inside = "hook -> o; o:loop -> k; k:loop -> a -> k; k:done -> l; l:loop -> b -> l; l:done -> o";
    check_body(inside, "k", "a");
    check_body(inside, "l", "b");
    check_body(inside, "o", "k a l b");
}

#[test]
fn a_body_can_hold_the_loop_before() {
    // Items of `l` come back to it by way of `k`, which every way to `l` has passed.
    let back = "hook -> k; k:loop -> a -> k; k:done -> l; l:loop -> b -> k; l:done -> z";
    check_body(back, "k", "a");
    check_body(back, "l", "k a b");
    check_body("hook -> k; k:done -> l; l:loop -> m; m:done -> k; hook -> m", "l", "k m");
}

#[test]
fn loops_that_nothing_orders_hold_each_other() {
    let flow = "hook -> k; hook -> l; k:loop -> l; l:loop -> k; k:done -> y; l:done -> z";
    check_body(flow, "k", "l z");
    check_body(flow, "l", "k y");
}

#[test]
fn feeders_are_all_that_lies_above_an_edge() {
    check_feeders("hook -> a -> m.0; hook -> b -> c -> m.1; m -> z", "m", &["hook a", "hook b c"]);
    check_feeders("hook -> m.0; hook -> m.1", "m", &["hook", "hook"]);
    check_feeders("hook -> f; f:true -> m; f:false -> m; m: merge(1)", "m", &["hook f", "hook f"]);
    check_feeders("hook -> a -> m.0; hook2 -> b -> m.1", "m", &["hook a", "hook2 b"]);
    // Through other merges.
    check_feeders("hook -> a -> m.0; hook -> b -> m.1; m -> n.0; hook -> c -> n.1", "n", &["hook a m b", "hook c"]);
}

#[test]
fn a_loop_around_a_merge_does_not_feed_it() {
    check_feeders("hook -> l; l:loop -> a -> m.0; l:loop -> b -> m.1; m -> l; l:done -> z", "m", &["a", "b"]);
    check_feeders("hook -> l; l:loop -> m.0; l:loop -> b -> m.1; m -> l", "m", &["", "b"]);
    // Two loops around it, and one before it inside of another.
    check_feeders("hook -> o; o:loop -> i; i:loop -> m.0; i:loop -> b -> m.1; m -> i; i:done -> o", "m", &["", "b"]);
    check_feeders("hook -> o; o:loop -> m.0; o:loop -> i; i:loop -> a -> i; i:done -> m.1; m -> o", "m", &["", "i a"]);
    // Something from outside feeds it in any iteration.
    check_feeders("hook -> l; l:loop -> m.0; hook -> c -> m.1; m -> l", "m", &["", "hook c"]);
}

#[test]
fn a_loop_before_a_merge_feeds_it_with_its_body() {
    check_feeders("hook -> l; l:loop -> a -> l; l:done -> m.0; hook -> b -> m.1", "m", &["hook l a", "hook b"]);
    check_feeders("hook -> l; l:loop -> a -> l; a -> m.0; l:done -> m.1", "m", &["hook l a", "hook l a"]);
    // The merge ends the body of an outer loop.
    check_feeders("hook -> o; o:loop -> i; i:loop -> a -> i; a -> m.0; i:done -> m.1; m -> o", "m", &["i a", "i a"]);
}

#[test]
fn knows_its_leaves_and_its_first_trigger() {
    let flow = "hook: trigger disabled; hook -> a; hook2 -> a; a -> b; a:error -> c; hook2 -> d; d:error -> c";
    let graph = Flow::new(flow).graph;
    let leaves: NodeSet = (0..graph.nodes.len()).filter(|node| graph.is_leaf(*node)).collect();
    assert_eq!(names(&graph, &leaves), "b c");
    assert_eq!(graph.default_trigger().map(|node| &*node.id), Some("hook2"));
    assert!(Flow::new("hook: trigger disabled").graph.default_trigger().is_none());
}

#[test]
fn a_set_keeps_nodes_beyond_one_word() {
    let mut set: NodeSet = [0, 63, 64, 1_999].into_iter().collect();
    assert!(!set.insert(64) && set.insert(65));
    assert_eq!((0..2_000).filter(|node| set.contains(*node)).collect::<Vec<_>>(), [0, 63, 64, 65, 1_999]);
    assert!(set.meets(&[1_999].into_iter().collect()) && !set.meets(&[1, 1_998].into_iter().collect()));
    assert!(!set.contains(1_000_000) && !set.meets(&NodeSet::default()));
}
