//! Loops: batches, what comes back and what does not, loops in loops, merges in bodies.

use super::{
    check,
    play::{Play, created},
    property::drain,
};
use crate::model::{execution::ExecutionStatus, machine::Effect, testing::Flow};

/// A loop with one node in its body.
const SIMPLE: &str = "hook -> l; l:loop -> a -> l; l:done -> z";

#[test]
fn runs_its_body_once_per_batch_and_puts_out_what_came_back() {
    check(
        SIMPLE,
        "start 2 => run a[0]
         ok a 2 => run a#1[1]
         ok a#1 1 => run z[0 1 0]
         ok z => finish succeeded",
    );
    check(
        "hook -> l; l:loop -> a -> l; l:done -> z; l: loop(2)",
        "start 5 => run a[0 1]; ok a => run a#1[2 3]; ok a#1 => run a#2[4]; ok a#2 => run z[0 1 2 3 4]; ok z => finish succeeded",
    );
    check(
        "hook -> l; l:loop -> a -> l; l:done -> z; l: loop(9)",
        "start 2 => run a[0 1]; ok a => run z[0 1]; ok z => finish succeeded",
    );
}

#[test]
fn goes_on_where_the_body_drops_its_items() {
    check(
        SIMPLE,
        "start 3 => run a[0]; ok a 0 => run a#1[1]; ok a#1 1 => run a#2[2]; ok a#2 0 => run z[0]; ok z => finish succeeded",
    );
    check(SIMPLE, "start 2 => run a; ok a 0 => run a#1; ok a#1 0 => finish succeeded");
    // Something empty comes out where that is asked for.
    check(
        "hook -> l; l:loop -> a -> l; l:done -> z; l: loop always_output",
        "start 1 => run a; ok a 0 => run z[-]; ok z => finish succeeded",
    );
}

#[test]
fn puts_out_its_input_where_nothing_leads_back() {
    check(
        "hook -> l; l:loop -> a -> b; l:done -> z",
        "start 2 => run a[0]; ok a => run b; ok b => run a#1[1]; ok a#1 0 => run z[0 1]; ok z => finish succeeded",
    );
    check("hook -> l; l:done -> z", "start 2 => run z[0 1]; ok z => finish succeeded");
}

#[test]
fn takes_back_what_its_port_hands_straight_to_itself() {
    check("hook -> l; l:loop -> l; l:done -> z", "start 3 => run z[0 1 2]; ok z => finish succeeded");
    // Beside a way through a node.
    check(
        "hook -> l; l:loop -> l; l:loop -> a -> l; l:done -> z",
        "start 2 => run a[0]; ok a 1 => run a#1[1]; ok a#1 1 => run z[0 0 1 0]; ok z => finish succeeded",
    );
}

#[test]
fn waits_for_the_whole_body_before_the_next_batch() {
    // A side branch that does not lead back.
    check(
        "hook -> l; l:loop -> a -> l; l:loop -> s; l:done -> z",
        "start 2 => run a[0], run s[0]
         ok a
         ok s => run a#1[1], run s#1[1]
         ok s#1
         ok a#1 => run z[0 1]
         ok z => finish succeeded",
    );
    // A wait in the body, but not one behind `done` of another loop, nor an unrelated one.
    check(
        "hook -> w; w: wait; hook -> l; l:loop -> a -> l; l:done -> z",
        "start 2 => run w, run a; wait w for=x; ok a => run a#1; ok a#1 => run z; ok z; cancel => finish cancelled",
    );
}

#[test]
fn finishes_one_arrival_before_it_begins_the_next() {
    check(
        "hook -> b -> l; hook -> c -> l; l:loop -> a -> l; l:done -> z",
        "start 1 => run b, run c
         ok b 2 => run a[0]
         ok c 1
         ok a => run a#1[1]
         ok a#1 => run z[0 1], run a#2[0]
         ok z
         ok a#2 => run z#1[0]
         ok z#1 => finish succeeded",
    );
}

#[test]
fn fails_after_its_last_iteration_with_items_left() {
    let flow = "hook -> l; l:loop -> a -> l; l:done -> z; l: loop(2,2)";
    check(flow, "start 4 => run a; ok a => run a#1; ok a#1 => run z; ok z => finish succeeded");
    check(flow, "start 5 => run a; ok a => run a#1; ok a#1 => finish failed loop_limit@l");
    // The bound is that of one pass, not of all.
    check(
        "hook -> b -> l; hook -> c -> l; l:loop -> a -> l; l: loop(1,1)",
        "start 1 => run b, run c; ok b => run a; ok c; ok a => run a#1; ok a#1 => finish succeeded",
    );
}

#[test]
fn aborts_what_runs_beside_a_loop_that_fails() {
    check(
        "hook -> l; l:loop -> a -> l; hook -> b; l: loop(1,1)",
        "start 2 => run b, run a; ok a => abort b, finish failed loop_limit@l; ok b",
    );
}

#[test]
fn runs_loops_inside_loops() {
    check(
        "hook -> o; o:loop -> i; i:loop -> a -> i; i:done -> b -> o; o:done -> z; o: loop(2)",
        "start 3 => run a[0]
         ok a => run a#1[1]
         ok a#1 => run b[0 1]
         ok b => run a#2[2]
         ok a#2 => run b#1[2]
         ok b#1 => run z[0 1 2]
         ok z => finish succeeded",
    );
    // The inner loop leads straight back to the outer one.
    check(
        "hook -> o; o:loop -> i; i:loop -> a -> i; i:done -> o; o:done -> z",
        "start 2 => run a[0]; ok a 2 => run a#1[1]; ok a#1 1 => run z[0 1 0]; ok z => finish succeeded",
    );
    // Nothing comes out of the inner one: the outer one goes on.
    check(
        "hook -> o; o:loop -> i; i:loop -> a -> i; i:done -> o; o:done -> z",
        "start 2 => run a[0]; ok a 0 => run a#1[1]; ok a#1 1 => run z[0]; ok z => finish succeeded",
    );
}

#[test]
fn leaves_an_inner_body_for_the_outer_loop() {
    // `f` sends an item back to the inner loop, or out of it to the outer one: the rest of the inner batch still runs.
    check(
        "hook -> o; o:loop -> i; i:loop -> f; f:true -> i; f:false -> o; i:done -> o; o:done -> z; o: loop(2)",
        "start 3 => run f[0]
         ok f false=1 => run f#1[1]
         ok f#1 true=1 => run f#2[2]
         ok f#2 true=1 => run z[0 0 0]
         ok z => finish succeeded",
    );
    // The inner loop is written first.
    check(
        "i: loop; hook -> o; o:loop -> i; i:loop -> f; f:true -> i; f:false -> o; i:done -> o; o:done -> z; o: loop(2)",
        "start 3 => run f[0]; ok f false=1 => run f#1[1]; ok f#1 true=1 => run f#2[2]; ok f#2 false=1 => run z[0 0 0]
         ok z => finish succeeded",
    );
}

#[test]
fn runs_one_loop_after_the_other() {
    check(
        "hook -> k; k:loop -> a -> k; k:done -> l; l:loop -> b -> l; l:done -> z",
        "start 2 => run a; ok a => run a#1; ok a#1 => run b[0]; ok b => run b#1[1]; ok b#1 => run z[0 1]; ok z => finish succeeded",
    );
}

#[test]
fn merges_in_a_body_in_each_iteration() {
    let flow = "hook -> l; l:loop -> f; f:true -> m.0; f:false -> b -> m.1; m -> l; l:done -> z";
    // Each iteration takes another side.
    check(
        flow,
        "start 2 => run f[0]
         ok f true=1 => run m[0|]
         ok m => run f#1[1]
         ok f#1 false=1 => run b[0]
         ok b 2 => run m#1[|0 1]
         ok m#1 2 => run z[0 0 1]
         ok z => finish succeeded",
    );
    // Neither side of the first one brings anything.
    check(flow, "start 2 => run f; ok f => run m; ok m 0 => run f#1; ok f#1 false=1 => run b; ok b 0 => finish succeeded");
    // Both sides.
    check(
        "hook -> l; l:loop -> a -> m.0; l:loop -> b -> m.1; m -> l; l:done -> z",
        "start 2 => run a, run b; ok b; ok a => run m[0|0]; ok m => run a#1, run b#1
         ok a#1 0; ok b#1 => run m#1[|1]; ok m#1 => run z[0 0 1]; ok z => finish succeeded",
    );
}

#[test]
fn merges_in_a_body_behind_an_inner_loop() {
    check(
        "hook -> o; o:loop -> m.0; o:loop -> i; i:loop -> a -> i; i:done -> m.1; m -> o; o:done -> z; o: loop(2)",
        "start 3 => run a[0]; ok a => run a#1[1]; ok a#1 => run m[0 1|0 1]; ok m 1 => run a#2[2]; ok a#2 0 => run m#1[2|]
         ok m#1 => run z[0 2]; ok z => finish succeeded",
    );
}

#[test]
fn merges_behind_a_loop_when_it_is_done() {
    check(
        "hook -> l; l:loop -> a -> l; l:done -> m.0; hook -> m.1; m -> z",
        "start 2 => run a; ok a => run a#1; ok a#1 => run m[0 1|0 1]; ok m => run z; ok z => finish succeeded",
    );
    // A body that drops everything is a dead side.
    check(
        "hook -> l; l:loop -> a -> l; l:done -> m.0; hook -> m.1",
        "start 1 => run a; ok a 0 => run m[|0]; ok m => finish succeeded",
    );
    // A side branch of the body meets what is done.
    check(
        "hook -> l; l:loop -> a -> l; a -> m.0; l:done -> m.1",
        "start 2 => run a; ok a => run a#1; ok a#1 => run m[0|0 1], run m#1[1|]; ok m; ok m#1 => finish succeeded",
    );
}

#[test]
fn skips_the_body_of_a_disabled_loop() {
    check("hook -> l; l:loop -> a -> l; l:done -> z; l: loop disabled", "start 2 => run z[0 1]; ok z => finish succeeded");
}

#[test]
fn stops_where_a_body_node_fails() {
    check(SIMPLE, "start 2 => run a; fail! a => finish failed boom@a");
    check(
        "hook -> l; l:loop -> a -> l; a:error -> x -> l; l:done -> z",
        "start 2 => run a[0]; fail! a => run x[!0]; ok x => run a#1[1]; ok a#1 => run z[!0 1]; ok z => finish succeeded",
    );
}

#[test]
fn repeats_a_body_that_waits() {
    check(
        "hook -> l; l:loop -> w -> l; l:done -> z; w: wait",
        "start 2 => run w; wait w until=10; +10 => resume w late; ok w => run w#1; wait w#1 for=x; signal x => resume w#1
         ok w#1 => run z[0 1]; ok z => finish succeeded",
    );
}

#[test]
fn three_loops_that_hand_their_items_round_come_to_an_end() {
    // Each lies in the bodies of the others; found by the property that every execution ends.
    let flow =
        "hook -> l; l:loop -> m; l:done -> k; k:loop -> m; k:loop -> l; m:loop -> f; m:loop -> k; f:false -> m; f:true -> k
        l: loop(1,6); k: loop(1,6); m: loop(2,6)";
    for items in 1..=6 {
        let mut play = Play::new(&Flow::new(flow).graph);
        play.apply(created("hook", items));
        drain(&mut play);
        let end = play.finish.unwrap();
        assert!(matches!(end, Effect::Finish { status: ExecutionStatus::Succeeded, .. }), "{items}: {end:?}");
        assert!(play.machine.steps < 1_000, "{items}: {} steps", play.machine.steps);
    }
}

#[test]
fn takes_back_what_comes_round_by_the_loop_before() {
    // `k` is done before `l` begins; each item of `l` goes through `k` again, and is back then.
    check(
        "hook -> k; k:loop -> a -> k; k:done -> l; l:loop -> b -> k; l:done -> z",
        "start 2 => run a[0]; ok a => run a#1[1]
         ok a#1 => run b[0]; ok b => run a#2[0]; ok a#2 => run b#1[1]; ok b#1 => run a#3[1]
         ok a#3 => run z[0 1]; ok z => finish succeeded",
    );
}

#[test]
fn goes_on_where_two_loops_wait_for_each_other() {
    // Each is in the body of the other, so none is quiet before the other; neither has to wait for `w`.
    check(
        "hook -> w; hook -> k; hook -> l; k:loop -> l; l:loop -> k; k:done -> y; l:done -> z; w: wait",
        "start 1 => run w, run z[0 0]
         wait w for=x; ok z; signal x => resume w; ok w => finish succeeded",
    );
}
