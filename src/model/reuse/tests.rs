//! Tables of executions that ended and of what their retries take over; and properties of random ones.

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::model::{
    limits::EFFECTS_IN_FLIGHT_MAX,
    machine::{
        Effect,
        tests::{
            play::{Play, attempt_of, finished},
            property::{any_flow, any_schedule, take_step},
            script,
        },
    },
    testing::Flow,
};

/// An execution that a script brings to an end.
#[track_caller]
fn played(flow: &str, lines: &str) -> Play {
    let mut play = Play::new(&Flow::new(flow).graph);
    script::run(&mut play, lines);
    // Scripts write ends without their cause.
    let recorded = play.events.last_mut().map(|recorded| &mut recorded.event);
    if let (Some(Effect::Finish { error, .. }), Some(Event::Finished { error: written, .. })) = (&play.finish, recorded) {
        written.clone_from(error);
    }
    play
}

fn planned(original: &Play, graph: &Arc<Graph>, from: &RetryFrom) -> Result<Vec<Event>, ReuseError> {
    let is_same_version = Arc::ptr_eq(&original.graph, graph);
    plan(Original { graph: &original.graph, events: &original.events }, Target { graph, from, is_same_version })
}

/// A new execution with what is taken over.
fn begun(original: &Play, graph: &Arc<Graph>, events: &[Event]) -> Play {
    let mut play = Play::new(graph);
    play.apply(original.events[0].event.clone());
    for event in events {
        play.apply(event.clone());
    }
    play
}

fn name(node: &str, run: u32) -> String {
    if run == 0 { node.to_owned() } else { format!("{node}#{run}") }
}

fn names(events: &[Event]) -> String {
    let shown = events.iter().map(|event| match event {
        Event::NodeReused { node, run, .. } => name(node, *run),
        Event::NodeProgressed { attempt, done } => format!("{}+{}", name(&attempt.node, attempt.run), done.len()),
        other => panic!("not taken over: {other:?}"),
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn open(play: &Play) -> String {
    let runs = play.open.values().map(attempt_of).map(|attempt| name(&attempt.node, attempt.run));
    runs.collect::<Vec<_>>().join(" ")
}

/// Plays a script to its end, and compares what a retry takes over and what it then has to run.
#[track_caller]
fn check(flow: &str, lines: &str, from: RetryFrom, taken_over: &str, to_run: &str) -> Play {
    let original = played(flow, lines);
    let events = planned(&original, &original.graph, &from).unwrap();
    assert_eq!(names(&events), taken_over);
    let retry = begun(&original, &original.graph, &events);
    assert_eq!(open(&retry), to_run);
    retry
}

fn node(id: &str) -> RetryFrom {
    RetryFrom::Node(id.to_owned())
}

const CHAIN: &str = "hook -> a -> b -> c";
const CHAIN_FAILS: &str = "start 2 => run a; ok a => run b; ok b 1 => run c; fail! c => finish failed boom@c; finished failed";

#[test]
fn takes_over_a_chain_up_to_what_failed() {
    let mut retry = check(CHAIN, CHAIN_FAILS, RetryFrom::Failed, "a b", "c");
    script::run(&mut retry, "ok c => finish succeeded");
    check(CHAIN, CHAIN_FAILS, RetryFrom::Start, "", "a");
    check(CHAIN, CHAIN_FAILS, node("c"), "a b", "c");
    check(CHAIN, CHAIN_FAILS, node("b"), "a", "b");
    check(CHAIN, CHAIN_FAILS, node("hook"), "", "a");
}

#[test]
fn hands_the_same_items_on() {
    let mut retry = check(CHAIN, CHAIN_FAILS, node("c"), "a b", "c");
    assert_eq!(script::numbers(&retry.machine.outputs()["a"].ports[0].items), "0 1");
    assert_eq!(
        script::numbers(
            &retry.machine.current(attempt_of(&retry.open.values().next().unwrap().clone())).unwrap().inputs[0].items
        ),
        "0"
    );
    script::run(&mut retry, "ok c => finish succeeded");
}

#[test]
fn runs_again_what_was_cut_off_in_other_branches() {
    let flow = "hook -> a -> x; hook -> b -> y; hook -> c";
    let lines = "start 1 => run a, run b, run c; ok c; ok a => run x; fail! x => abort b, finish failed boom@x; finished failed";
    check(flow, lines, RetryFrom::Failed, "c a", "b x");
    check(flow, lines, node("b"), "c a", "b x");
    check(flow, lines, node("c"), "a", "b c x");
}

#[test]
fn fires_merges_as_they_did() {
    let flow = "hook -> a -> m.0; hook -> b -> m.1; m -> z";
    let lines = "start 1 => run a, run b; ok b; ok a => run m; ok m => run z; fail! z => finish failed boom@z; finished failed";
    check(flow, lines, RetryFrom::Failed, "b a m", "z");
    let mut half = check(flow, lines, node("a"), "b", "a");
    script::run(&mut half, "ok a => run m[0|0]; ok m => run z");
    let cut = "start 1 => run a, run b; ok a; fail! b => finish failed boom@b; finished failed";
    let mut retry = check(flow, cut, RetryFrom::Failed, "a", "b");
    script::run(&mut retry, "ok b => run m[0|0]");
}

#[test]
fn a_merge_with_a_dead_side_goes_on_as_it_did() {
    let flow = "hook -> f; f:true -> a -> m.0; f:false -> b -> m.1; m -> z";
    let lines = "start 1 => run f; ok f true=1 => run a; ok a => run m[0|]; ok m => run z; cancel => abort z, finish cancelled; finished cancelled";
    check(flow, lines, RetryFrom::Failed, "f a m", "z");
    // A node that never ran: there is nothing to do again.
    check(flow, lines, node("b"), "f a", "m");
}

const LOOP: &str = "hook -> l; l:loop -> b -> l; l:done -> z";
const LOOP_FAILS: &str =
    "start 3 => run b; ok b => run b#1; ok b#1 => run b#2; fail! b#2 => finish failed boom@b; finished failed";

#[test]
fn goes_on_in_the_middle_of_a_loop() {
    let mut retry = check(LOOP, LOOP_FAILS, RetryFrom::Failed, "b b#1", "b#2");
    script::run(&mut retry, "ok b#2 => run z[0 1 2]; ok z => finish succeeded");
}

#[test]
fn begins_a_loop_anew_from_a_node_of_its_body() {
    let mut retry = check(LOOP, LOOP_FAILS, node("b"), "", "b");
    script::run(&mut retry, "ok b => run b#1; ok b#1 => run b#2; ok b#2 => run z[0 1 2]");
    let done = "start 2 => run b; ok b => run b#1; ok b#1 => run z; fail! z => finish failed boom@z; finished failed";
    check(LOOP, done, node("z"), "b b#1", "z");
    check(LOOP, done, node("l"), "", "b");
    // Also where the body does not lead back: the next iteration waited for all of it.
    let body = "hook -> l; l:loop -> x; l:loop -> y; l:done -> z";
    let lines = "start 2 => run x, run y; ok x; ok y => run x#1, run y#1; ok y#1; ok x#1 => run z; fail! z => finish failed boom@z; finished failed";
    check(body, lines, node("x"), "", "x y");
    check(body, lines, RetryFrom::Failed, "x y y#1 x#1", "z");
}

#[test]
fn begins_every_loop_around_a_node_anew() {
    let flow = "hook -> o; o:loop -> i; i:loop -> b -> i; i:done -> o; o:done -> z; hook -> side";
    let lines =
        "start 2 => run side, run b; ok side; ok b => run b#1; ok b#1 => run z; fail! z => finish failed boom@z; finished failed";
    check(flow, lines, RetryFrom::Failed, "side b b#1", "z");
    check(flow, lines, node("b"), "side", "b");
    check(flow, lines, node("side"), "b b#1", "side z");
}

#[test]
fn knows_the_runs_of_one_node_apart() {
    let flow = "hook -> a -> c; hook -> b -> c";
    let lines = "start 1 => run a, run b; ok b 2 => run c[0 1]; ok a 1 => run c#1[0]; ok c#1; fail! c => finish failed boom@c; finished failed";
    let mut retry = check(flow, lines, RetryFrom::Failed, "b a c#1", "c");
    script::run(&mut retry, "ok c => finish succeeded");
    check(flow, lines, node("a"), "b", "a c");
}

#[test]
fn attempts_and_handled_failures_are_over() {
    let retried = r#"hook -> a -> z; a: effect retry={"max_attempts":3,"jitter":false}"#;
    let lines =
        "start 1 => run a; begun a; fail a; +1000 => run a/2; ok a/2 => run z; fail! z => finish failed boom@z; finished failed";
    check(retried, lines, RetryFrom::Failed, "a", "z");
    let handled = "hook -> a -> z; a:error -> x";
    let lines = "start 1 => run a; fail! a => run x[!0]; fail! x => finish failed boom@x; finished failed";
    check(handled, lines, RetryFrom::Failed, "a", "x");
    // Its attempts are granted anew.
    let lines = "start 1 => run a; begun a; fail a; +1000 => run a/2; fail! a/2 => finish failed boom@a; finished failed";
    let mut retry = check(retried, lines, RetryFrom::Failed, "", "a");
    script::run(&mut retry, "fail a; +1000 => run a/2; fail a/2; +2000 => run a/3");
}

#[test]
fn items_that_were_done_stay_done_in_the_same_version() {
    let flow = "hook -> a; a: effect";
    let lines = "start 3 => run a; done a 0 2; fail! a => finish failed boom@a; finished failed";
    let retry = check(flow, lines, RetryFrom::Failed, "a+2", "a");
    let run = retry.machine.current(attempt_of(retry.open.values().next().unwrap())).unwrap();
    assert_eq!(run.done.keys().copied().collect::<Vec<_>>(), [0, 2]);
    let original = played(flow, lines);
    let events = planned(&original, &Flow::new(flow).graph, &RetryFrom::Failed).unwrap();
    assert_eq!(names(&events), "", "another version may do them differently");
    check(flow, lines, node("a"), "", "a");
}

#[test]
fn waits_again_for_what_had_not_come() {
    let flow = "hook -> v -> w -> z; v: wait; w: wait";
    let lines = "start 1 => run v; wait v for=x; signal x => resume v; ok v => run w; wait w for=y; cancel => finish cancelled; finished cancelled";
    let mut retry = check(flow, lines, RetryFrom::Failed, "v", "w");
    script::run(&mut retry, "wait w for=y; signal y => resume w; ok w => run z");
}

#[test]
fn takes_over_more_than_may_be_in_flight_at_once() {
    let count = EFFECTS_IN_FLIGHT_MAX + 10;
    let flow: Vec<String> = (0..count).map(|n| format!("hook -> a{n}")).collect();
    let mut original = Play::new(&Flow::new(&flow.join("; ")).graph);
    script::run(
        &mut original,
        &format!("start 1 => {}", (0..EFFECTS_IN_FLIGHT_MAX).map(|n| format!("run a{n}")).collect::<Vec<_>>().join(", ")),
    );
    // The last ones first, as far as they are handed out.
    while original.open.len() > 1 {
        let attempt = attempt_of(original.open.values().next_back().unwrap()).clone();
        let started_at = original.now_ms;
        original.apply(Event::NodeSucceeded { attempt, started_at, outputs: Vec::new(), response: None, log: None });
    }
    original.apply(Event::CancelRequested { reason: None });
    original.apply(finished(ExecutionStatus::Cancelled));
    let events = planned(&original, &original.graph, &RetryFrom::Failed).unwrap();
    assert_eq!(events.len(), count - 1);
    assert_eq!(begun(&original, &original.graph, &events).open.len(), 1);
}

#[test]
fn a_retry_can_be_retried() {
    let original = played(CHAIN, CHAIN_FAILS);
    let first = planned(&original, &original.graph, &RetryFrom::Failed).unwrap();
    let mut retry = begun(&original, &original.graph, &first);
    script::run(&mut retry, "fail! c => finish failed boom@c; finished failed");
    let second = planned(&retry, &retry.graph, &RetryFrom::Failed).unwrap();
    assert_eq!(first, second);
}

#[test]
fn a_success_has_nothing_that_failed() {
    let original = played("hook -> a", "start 1 => run a; ok a => finish succeeded; finished succeeded");
    assert_eq!(planned(&original, &original.graph, &RetryFrom::Failed), Err(ReuseError::NothingFailed));
    assert_eq!(planned(&original, &original.graph, &node("a")), Ok(Vec::new()));
    assert_eq!(planned(&original, &original.graph, &RetryFrom::Start), Ok(Vec::new()));
}

/// Retries [`CHAIN_FAILS`] with another version; what is taken over, or the pointer and a part of the problem.
#[track_caller]
fn check_version(flow: &str, from: RetryFrom, expected: Result<&str, (&str, &str)>) {
    let original = played(CHAIN, CHAIN_FAILS);
    match (planned(&original, &Flow::new(flow).graph, &from), expected) {
        (Ok(events), Ok(taken_over)) => assert_eq!(names(&events), taken_over),
        (Err(ReuseError::Unfit(problem)), Err((pointer, part))) => {
            assert_eq!(problem.pointer, pointer);
            assert!(problem.detail.contains(part), "{}", problem.detail);
        }
        (planned, _) => panic!("{planned:?}"),
    }
}

#[test]
fn takes_over_what_a_newer_version_has_kept() {
    check_version("hook -> a -> b -> c; c: effect on_error=branch", RetryFrom::Failed, Ok("a b"));
    check_version("hook -> a -> b -> c -> d; b -> e; hook -> f", RetryFrom::Failed, Ok("a b"));
    check_version("hook -> a -> b -> x -> c", RetryFrom::Failed, Ok("a b"));
    check_version("hook -> a -> x -> b -> c", node("x"), Ok("a"));
    check_version("hook -> a -> b -> c; b: disabled", node("b"), Ok("a"));
}

#[test]
fn refuses_a_version_that_has_changed_above() {
    check_version("hook -> a -> c", RetryFrom::Failed, Err(("/version", "lacks the node `b`")));
    check_version("hook -> a -> b -> d", RetryFrom::Failed, Err(("/version", "lacks the node `c`, which failed")));
    check_version("hook -> a -> x -> b -> c", RetryFrom::Failed, Err(("/version", "other edges lead to `b`")));
    check_version("hook -> a -> b -> c; x -> b; hook -> x", RetryFrom::Failed, Err(("/version", "other edges lead to `b`")));
    check_version("hook -> a; a:true -> b -> c", RetryFrom::Failed, Err(("/version", "`a` has other ports")));
    check_version("hook -> a -> b -> c; a: disabled", RetryFrom::Failed, Err(("/version", "`a` is disabled")));
    check_version(
        "hook -> a; a -> b.0; hook -> b.1; b -> c",
        RetryFrom::Failed,
        Err(("/version", "`b` is another kind of node")),
    );
    check_version("hook2 -> a -> b -> c", RetryFrom::Start, Err(("/version", "began at `hook`")));
    check_version(CHAIN, node("d"), Err(("/from/node", "no node `d`")));
}

/// The runs that are handed out and not over.
fn open_runs(play: &Play) -> BTreeSet<(Arc<str>, u32)> {
    play.open.values().map(attempt_of).map(|attempt| (Arc::clone(&attempt.node), attempt.run)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The state after the seeds is that of the moment before the end, and what was done is not handed out again.
    #[test]
    fn a_retry_from_the_failure_has_the_same_work_left(flow in any_flow(), (items, steps) in any_schedule()) {
        let mut original = Play::new(&Flow::new(&flow).graph);
        original.apply(crate::model::machine::tests::play::created("n0", items));
        let (mut before, mut outputs) = (open_runs(&original), original.machine.outputs().clone());
        for step in &steps {
            if original.finish.is_some() {
                break;
            }
            (before, outputs) = (left(&original), original.machine.outputs().clone());
            take_step(&mut original, step);
        }
        if original.finish.is_none() {
            (before, outputs) = (left(&original), original.machine.outputs().clone());
            original.apply(Event::CancelRequested { reason: None });
        }
        let Some(Effect::Finish { status, .. }) = original.finish.clone() else { panic!("an end") };
        original.apply(finished(status));
        if status == ExecutionStatus::Succeeded {
            prop_assert_eq!(planned(&original, &original.graph, &RetryFrom::Failed), Err(ReuseError::NothingFailed));
            return Ok(());
        }
        let events = planned(&original, &original.graph, &RetryFrom::Failed).unwrap();
        let retry = begun(&original, &original.graph, &events);
        // A limit of the execution itself strikes again at once.
        if retry.finish.is_none() {
            prop_assert_eq!(left(&retry), before);
            prop_assert_eq!(retry.machine.outputs(), &outputs);
        }
    }

    /// Whatever the node: what it had no effect on is taken over or was not done, and is never handed out once it is taken over.
    #[test]
    fn a_retry_from_a_node_repeats_only_what_the_node_had_an_effect_on(
        flow in any_flow(),
        (items, steps) in any_schedule(),
        at in any::<Index>(),
    ) {
        let mut original = Play::new(&Flow::new(&flow).graph);
        original.apply(crate::model::machine::tests::play::created("n0", items));
        for step in &steps {
            take_step(&mut original, step);
        }
        let_run(&mut original, |_| {});
        original.apply(Event::CancelRequested { reason: None });
        let Some(Effect::Finish { status, .. }) = original.finish.clone() else { panic!("an end") };
        original.apply(finished(status));
        let graph = Arc::clone(&original.graph);
        let point = at.index(graph.nodes.len());
        let events = planned(&original, &graph, &RetryFrom::Node(graph.nodes[point].id.to_string())).unwrap();
        let again = affected_by(&graph, point);
        let done = Past::of(Original { graph: &graph, events: &original.events }).done;
        let kept: BTreeSet<(Arc<str>, u32)> = done
            .into_iter()
            .filter(|done| !again.contains(graph.position(&done.node).unwrap()))
            .map(|done| (done.node, done.run))
            .collect();
        let reused = events.iter().filter_map(|event| match event {
            Event::NodeReused { node, run, .. } => Some((Arc::clone(node), *run)),
            _ => None,
        });
        prop_assert_eq!(&reused.collect::<BTreeSet<_>>(), &kept);
        let mut retry = begun(&original, &graph, &events);
        let_run(&mut retry, |retry| assert!(open_runs(retry).is_disjoint(&kept), "done twice"));
    }
}

/// Lets every run succeed without items, and time pass, for a while or until the execution ends.
fn let_run(play: &mut Play, check: impl Fn(&Play)) {
    for _ in 0..100 {
        check(play);
        if play.finish.is_some() {
            return;
        }
        match play.open.values().next().map(|effect| attempt_of(effect).clone()) {
            Some(attempt) => {
                let started_at = play.now_ms;
                play.apply(Event::NodeSucceeded { attempt, started_at, outputs: Vec::new(), response: None, log: None });
            }
            None => drop(play.advance(play.machine.next_wake().unwrap().saturating_sub(play.now_ms))),
        }
    }
}

/// The runs that have begun and not ended: handed out, queued, waiting, or between two attempts.
fn left(play: &Play) -> BTreeSet<(Arc<str>, u32)> {
    let runs = (0..play.graph.nodes.len()).flat_map(|node| (0..200).map(move |run| (node, run)));
    let begun = runs.filter(|(node, run)| play.machine.current_attempt(&play.graph.nodes[*node].id, *run).is_some());
    begun.map(|(node, run)| (Arc::clone(&play.graph.nodes[node].id), run)).collect()
}
