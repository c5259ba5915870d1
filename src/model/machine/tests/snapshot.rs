//! Snapshots. That each machine of every other test comes back from its own as it was, [`Play`](super::play::Play) checks.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{check, play::snapshot};
use crate::model::{
    item::Items,
    machine::{Machine, SNAPSHOT_VERSION, SnapshotError},
    testing::Flow,
};

/// The document of a machine as JSON.
fn document(machine: &Machine) -> Value {
    serde_json::from_slice(&machine.snapshot()).unwrap()
}

/// A machine with something everywhere: a loop with a backlog, a merge with a token, a run in every phase.
const FULL: &str = "hook -> l; hook -> g -> l; l:loop -> a -> l; l:done -> m.0; hook -> m.1; hook -> b; hook -> c; hook -> d
    hook -> e; b: effect retry={\"max_attempts\":2}; c: wait; d: effect; e: wait";
const FULL_SCRIPT: &str = "start 2 => run g, run b, run c, run d, run e, run a; begun d; done d 1; fail b
    wait c until=50 for=x,y; signal x 7; wait e for=z; signal z 8 => resume e; ok g; ok a => run a#1";

/// Refuses a document in which one place is changed.
#[track_caller]
fn refuses(pointer: &str, value: Value, expected: &str) {
    let play = check(FULL, FULL_SCRIPT);
    let mut changed = document(&play.machine);
    *changed.pointer_mut(pointer).unwrap() = value;
    let error = Machine::restore(play.graph, SNAPSHOT_VERSION, changed.to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn comes_back_as_it_was() {
    let play = check(FULL, FULL_SCRIPT);
    let machine = Machine::restore(Arc::clone(&play.graph), SNAPSHOT_VERSION, &play.machine.snapshot()).unwrap();
    assert_eq!(snapshot(&machine), snapshot(&play.machine));
    assert_eq!(machine.outstanding(), play.machine.outstanding());
    assert_eq!(machine.next_wake(), play.machine.next_wake());
}

#[test]
fn has_room_for_the_numbers_of_another_graph() {
    // The same nodes, in another order.
    let play = check("hook -> a -> b; a: effect; b: effect", "start 2 => run a; ok a => run b; begun b");
    let other = Arc::clone(&Flow::new("b: effect; a: effect; hook -> a -> b").graph);
    assert_ne!(other.position("b"), play.graph.position("b"));
    let machine = Machine::restore(other, SNAPSHOT_VERSION, &play.machine.snapshot()).unwrap();
    assert_eq!(machine.outstanding(), play.machine.outstanding());
    assert_eq!(machine.outputs(), play.machine.outputs());
}

#[test]
fn writes_a_shared_list_once_and_shares_it_again() {
    let play = check("hook -> a; hook -> b; a: effect; b: effect", "start 3 => run a, run b");
    assert_eq!(document(&play.machine)["lists"].as_array().unwrap().len(), 1);
    let machine = Machine::restore(Arc::clone(&play.graph), SNAPSHOT_VERSION, &play.machine.snapshot()).unwrap();
    let input = |node: &str| -> Items {
        let attempt = machine.current_attempt(node, 0).unwrap();
        Arc::clone(&machine.current(&attempt).unwrap().inputs[0].items)
    };
    assert!(Arc::ptr_eq(&input("a"), &input("b")));
    assert!(Arc::ptr_eq(&input("a"), &machine.outputs()["hook"].ports[0].items));
}

/// Stored documents have to be read as long as their version is: another form needs another version.
#[test]
fn the_form_of_version_2() {
    let play = check("hook -> a -> b; a: effect; b: effect", "start 1 => run a; done a 0; begun a");
    let expected = json!({
        "created_at": 1_000_000, "nesting": 0, "steps": 1, "end": "live",
        "nodes": [
            { "id": "hook", "runs_begun": 1, "output": { "run": 0, "ports": [["main", 0]] } },
            { "id": "a", "runs_begun": 1, "active": 1 },
            { "id": "b" }
        ],
        "last_node": 0,
        "runs": [{
            "node": 1, "run": 0, "attempt": 1,
            "inputs": [{ "items": 0, "origins": [[0, [0, 0, 1]]] }],
            "done": { "0": { "json": { "n": 10 } } },
            "phase": { "running": { "work": "begin", "recorded": true } }
        }],
        "lists": [[{ "json": { "n": 0 } }]]
    });
    assert_eq!((document(&play.machine), SNAPSHOT_VERSION), (expected, 2));
}

#[test]
fn refuses_another_version() {
    let play = check("hook -> a", "start 1 => run a");
    for found in [SNAPSHOT_VERSION - 1, SNAPSHOT_VERSION + 1] {
        let error = Machine::restore(Arc::clone(&play.graph), found, &play.machine.snapshot()).unwrap_err();
        assert!(matches!(error, SnapshotError::OtherVersion { found: told } if told == found), "{error}");
    }
}

#[test]
fn refuses_what_is_no_document() {
    let play = check("hook -> a", "start 1 => run a");
    let whole = play.machine.snapshot();
    for bytes in [&b""[..], b"no JSON", b"{}", b"[]", &whole[..whole.len() - 1]] {
        let error = Machine::restore(Arc::clone(&play.graph), SNAPSHOT_VERSION, bytes).unwrap_err();
        assert!(matches!(error, SnapshotError::Malformed(_)), "{error}");
    }
}

#[test]
fn refuses_other_nodes() {
    let play = check("hook -> a", "start 1 => run a");
    for (flow, expected) in [("hook -> b", "`a`"), ("hook -> a -> b", "`b`"), ("hook", "`a`")] {
        let graph = Arc::clone(&Flow::new(flow).graph);
        let error = Machine::restore(graph, SNAPSHOT_VERSION, &play.machine.snapshot()).unwrap_err();
        assert!(matches!(error, SnapshotError::OtherNodes { .. }) && error.to_string().contains(expected), "{error}");
    }
    refuses("/nodes/0/id", json!("l"), "other nodes");
}

#[test]
fn refuses_what_contradicts_itself() {
    refuses("/runs/0/node", json!(99), "the list of nodes");
    refuses("/runs/0/inputs/0/items", json!(99), "the lists of items");
    refuses("/runs/0/inputs/0/origins/0/0", json!(99), "the list of nodes");
    refuses("/nodes/1/session/position", json!(3), "the position of a loop");
    refuses("/nodes/5/active", json!(0), "the counts of runs");
    refuses("/nodes/4/tokens", json!([[]]), "the tokens of a merge");
    let play = check("hook -> a", "start 1 => run a");
    let mut queued = document(&play.machine);
    queued["queue"] = json!([[1, 7]]);
    let error = Machine::restore(play.graph, SNAPSHOT_VERSION, queued.to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().contains("the queue"), "{error}");
}
