//! The children that an execution leaves behind when it ends.

use super::{
    check,
    play::{Play, created, numbered},
};
use crate::model::{
    event::{Attempt, Event, Wait},
    item::PortItems,
    limits::{CHILDREN_AWAITED_MAX, CHILDREN_MAX},
    machine::Effect,
    testing::Flow,
};

/// Plays a script and compares the keys of the children that are abandoned at its end.
#[track_caller]
fn check_abandoned(flow: &str, script: &str, expected: &[&str]) {
    assert_eq!(check(flow, script).machine.abandoned_children(), expected);
}

#[test]
fn a_cancel_abandons_the_children_of_runs_that_wait_for_them() {
    let flow = "hook -> c; c: call; hook -> p; p: calls";
    let wait = "start 2 => run c, run p; wait c for=child:c/0/all; wait p for=child:p/0/0,child:p/0/1";
    check_abandoned(flow, &format!("{wait}; cancel => finish cancelled"), &["c/0/all", "p/0/0", "p/0/1"]);
    // Those that have ended need no telling.
    let one = format!("{wait}; signal child:p/0/1; signal child:c/0/all => resume c");
    check_abandoned(flow, &format!("{one}; cancel => abort c, finish cancelled"), &["p/0/0"]);
}

#[test]
fn so_does_a_failure_or_the_end_of_the_time() {
    let flow = "settings: timeout=1m; hook -> c; c: call; hook -> a";
    let wait = "start 1 => run c, run a; wait c for=child:c/0/all";
    check_abandoned(flow, &format!("{wait}; fail! a => finish failed boom@a"), &["c/0/all"]);
    check_abandoned(flow, &format!("{wait}; +60000 => abort a, finish failed timeout"), &["c/0/all"]);
}

#[test]
fn a_success_abandons_nobody() {
    let script = "start 1 => run c; wait c for=child:c/0/all; signal child:c/0/all => resume c; ok c => finish succeeded";
    check_abandoned("hook -> c; c: call", script, &[]);
}

#[test]
fn an_attempt_that_begins_may_have_started_its_children() {
    let flow = r#"hook -> p; p: calls retry={"max_attempts":2,"jitter":false}; hook -> c; c: call"#;
    let all = &["p/0/0", "c/0/all"];
    check_abandoned(flow, "start 1 => run p, run c; cancel => abort p, abort c, finish cancelled", all);
    check_abandoned(flow, "start 1 => run p, run c; fail p; cancel => abort c, finish cancelled", all);
    // Its last failure is the execution's, and the children that it had started are nobody's.
    check_abandoned(flow, "start 1 => run p, run c; fail! p => abort c, finish failed boom@p", &["p/0/0", "c/0/all"]);
}

#[test]
fn what_has_not_begun_has_no_children() {
    let fan: Vec<String> = (0..64).map(|n| format!("hook -> x{n:02}")).collect();
    let mut play = Play::new(&Flow::new(&format!("{}; hook -> z; z: call", fan.join(";"))).graph);
    play.apply(created("hook", 1));
    play.apply(Event::CancelRequested { reason: None });
    assert_eq!(play.machine.abandoned_children(), [""; 0]);
}

/// The effects that hand out the last of `runs` runs with [`CHILDREN_MAX`] children each, after one with `rest`.
fn last_of(runs: usize, rest: usize) -> Vec<Effect> {
    let calls: Vec<String> = (0..runs).map(|n| format!("a -> c{n:02}; c{n:02}: calls")).collect();
    let mut play = Play::new(&Flow::new(&format!("hook -> first; first: calls; hook -> a; {}", calls.join(";"))).graph);
    play.apply(created("hook", rest));
    let signals = vec!["child:first/0/0".to_owned()];
    let attempt = |node: String| Attempt { node: node.into(), run: 0, attempt: 1 };
    let wait = Wait { signals, ..Wait::default() };
    play.apply(Event::WaitStarted { attempt: attempt("first".to_owned()), started_at: 0, wait });
    let outputs = PortItems::main(numbered(CHILDREN_MAX));
    play.apply(Event::NodeSucceeded { attempt: attempt("a".to_owned()), started_at: 0, outputs, response: None, log: None })
}

#[test]
fn children_awaited_obeyed_and_violated() {
    let runs = CHILDREN_AWAITED_MAX / CHILDREN_MAX - 1;
    let obeyed = last_of(runs, CHILDREN_MAX);
    assert_eq!(obeyed.iter().filter(|effect| matches!(effect, Effect::Run(_))).count(), runs);
    let violated = last_of(runs + 1, CHILDREN_MAX);
    let Some(Effect::Finish { error: Some(error), .. }) = violated.last() else { panic!("{violated:?}") };
    assert_eq!(error.code, "children_limit");
}
