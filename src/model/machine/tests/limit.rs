//! The machine's own limits, obeyed and violated.

use super::{
    play::{Play, attempt_of, created, numbered},
    script,
};
use crate::model::{
    event::{Attempt, Event},
    item::PortItems,
    limits::{EFFECTS_IN_FLIGHT_MAX, ITEMS_MAX, STEPS_MAX},
    machine::{Effect, Machine},
    testing::Flow,
};

/// A trigger that leads to this many nodes of a type.
fn fan(count: usize, node_type: &str) -> String {
    let branches = (0..count).map(|n| format!("hook -> x{n:03}; x{n:03}: {node_type}"));
    branches.collect::<Vec<String>>().join(";")
}

#[test]
fn effects_in_flight_obeyed() {
    let mut play = Play::new(&Flow::new(&fan(EFFECTS_IN_FLIGHT_MAX, "step")).graph);
    assert_eq!(play.apply(created("hook", 1)).len(), EFFECTS_IN_FLIGHT_MAX);
}

#[test]
fn effects_in_flight_violated() {
    let mut play = Play::new(&Flow::new(&fan(EFFECTS_IN_FLIGHT_MAX + 2, "step")).graph);
    let started = play.apply(created("hook", 1));
    assert_eq!(started.len(), EFFECTS_IN_FLIGHT_MAX);
    // Each result makes room for one more, in the order of arrival; nothing is lost.
    script::run(&mut play, "ok x005 => run x064; ok x064 => run x065; ok x000; ok x001");
    assert!(!play.machine.is_waiting());
    let open: Vec<Effect> = play.open.values().cloned().collect();
    for id in open.iter().map(|effect| &attempt_of(effect).node) {
        let end = if play.open.len() == 1 { "finish succeeded" } else { "" };
        script::run(&mut play, &format!("ok {id} => {end}"));
    }
    assert!(play.finish.is_some());
}

#[test]
fn what_waits_or_retries_takes_no_place_but_needs_one_to_go_on() {
    let mut play = Play::new(&Flow::new(&fan(EFFECTS_IN_FLIGHT_MAX + 2, "wait")).graph);
    play.apply(created("hook", 1));
    script::run(
        &mut play,
        "wait x000 for=go => run x064
         wait x001 until=5 => run x065
         signal go
         +5
         ok x002 => resume x000[go=null]
         ok x003 => resume x001 late
         ok x004",
    );
}

#[test]
fn a_cancel_forgets_what_has_no_place_yet() {
    let mut play = Play::new(&Flow::new(&fan(EFFECTS_IN_FLIGHT_MAX + 2, "step")).graph);
    play.apply(created("hook", 1));
    let effects = play.apply(Event::CancelRequested { reason: None });
    assert_eq!(effects.len(), EFFECTS_IN_FLIGHT_MAX + 1);
}

/// Nodes of which each doubles what goes through it, without anybody's help: `count` of them make `4 * 2^count - 3` steps.
fn doubling(count: usize) -> String {
    let stage = |n: usize| {
        format!("n{n} -> a{n} -> n{next}; n{n} -> b{n} -> n{next}; n{n}: disabled; a{n}: disabled; b{n}: disabled", next = n + 1)
    };
    let stages: Vec<String> = (0..count).map(stage).collect();
    format!("hook -> n0; n{count}: disabled; {}", stages.join(";"))
}

/// The status or the failure of an execution that ends with its first event.
#[track_caller]
fn check_end(flow: &str, items: usize, expected: &str) {
    let effects = Machine::new(Flow::new(flow).graph).apply(&created("hook", items), 0);
    let [Effect::Finish { status, error }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(error.as_ref().map_or(status.as_str(), |error| &error.code), expected);
}

#[test]
fn steps_obeyed_and_violated() {
    const { assert!((4 << 14) - 3 < STEPS_MAX && (4 << 15) - 3 > STEPS_MAX) };
    check_end(&doubling(14), 1, "succeeded");
    check_end(&doubling(15), 1, "step_limit");
    // What waits for a turn does not go on after that.
    check_end(&format!("hook -> l; l:loop -> a -> l; {}", doubling(15)), 1, "step_limit");
}

#[test]
fn iterations_are_steps() {
    // Loops without anything in their bodies: no event would ever come between their iterations.
    let flow = "hook -> o; o:loop -> i; i:loop -> i; i:done -> o; o: loop(10000); i: loop(1,10000)";
    check_end(flow, 20_000, "succeeded");
    check_end(flow, 100_000, "step_limit");
}

#[test]
fn items_of_a_loop_obeyed_and_violated() {
    let batch = |run: u32, count: usize| {
        let attempt = Attempt { node: "a".into(), run, attempt: 1 };
        Event::NodeSucceeded { attempt, started_at: 0, outputs: PortItems::main(numbered(count)), response: None, log: None }
    };
    let decide = |first: usize, second: usize| {
        let mut machine = Machine::new(Flow::new("hook -> l; l:loop -> a -> l; l:done -> z").graph);
        machine.apply(&created("hook", 2), 0);
        machine.apply(&batch(0, first), 0);
        machine.apply(&batch(1, second), 0)
    };
    assert!(matches!(decide(ITEMS_MAX - 1, 1)[..], [Effect::Run(_)]));
    let violated = decide(ITEMS_MAX, 1);
    let [Effect::Finish { error: Some(error), .. }] = &violated[..] else { panic!("{violated:?}") };
    assert_eq!(error.code, "item_limit");
}
