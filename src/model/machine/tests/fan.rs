//! How items spread and join: lines, branches, merges, and nodes that pass their items through.

use super::{check, check_result};

#[test]
fn runs_a_line_one_node_after_the_other() {
    check(
        "hook -> a -> b",
        "start 2 => run a[0 1]
         ok a 3 => run b[0 1 2]
         ok b => finish succeeded
         finished succeeded",
    );
}

#[test]
fn runs_branches_side_by_side() {
    check("hook -> a -> c; hook -> b", "start 1 => run a, run b; ok b; ok a => run c; ok c => finish succeeded");
}

#[test]
fn runs_a_node_without_merge_once_per_arrival() {
    check(
        "hook -> a -> c; hook -> b -> c",
        "start 1 => run a, run b
         ok b 2 => run c[0 1]
         ok a 1 => run c#1[0]
         ok c#1
         ok c => finish succeeded",
    );
}

#[test]
fn ends_a_branch_where_nothing_is_put_out() {
    check("hook -> a -> b", "start 1 => run a; ok a 0 => finish succeeded");
    check("hook -> a", "start 0 => finish succeeded");
    check("hook -> f; f:true -> a; f:false -> b", "start 3 => run f; ok f true=1 false=0 => run a[0]; ok a => finish succeeded");
}

#[test]
fn sends_nothing_over_ports_without_edges() {
    check("hook -> f; f:true -> a", "start 1 => run f; ok f false=1 => finish succeeded");
    check("hook -> a -> b", "start 1 => run a; ok a other=2 => finish succeeded");
}

#[test]
fn merges_when_every_input_is_there() {
    check(
        "hook -> a -> m.0; hook -> b -> m.1; m -> z",
        "start 1 => run a, run b
         ok b 2
         ok a 1 => run m[0|0 1]
         ok m 3 => run z[0 1 2]
         ok z => finish succeeded",
    );
}

#[test]
fn merges_without_a_side_as_soon_as_it_can_no_longer_arrive() {
    // The other side of an `if`, at once.
    check(
        "hook -> f; f:true -> m.0; f:false -> a -> m.1; m -> z",
        "start 1 => run f; ok f true=1 => run m[0|]; ok m => run z; ok z => finish succeeded",
    );
    // A branch that ends on its way, and not before it ends.
    check(
        "hook -> a -> b -> m.0; hook -> c -> m.1",
        "start 1 => run a, run c; ok c; ok a 1 => run b; ok b 0 => run m[|0]; ok m => finish succeeded",
    );
    check(
        "hook -> a -> b -> m.0; hook -> c -> m.1",
        "start 1 => run a, run c; ok c; ok a 0 => run m[|0]; ok m => finish succeeded",
    );
    // Where both sides end there is nothing to merge.
    check("hook -> a -> m.0; hook -> b -> m.1", "start 1 => run a, run b; ok a 0; ok b 0 => finish succeeded");
}

#[test]
fn merges_while_an_unrelated_branch_waits_for_days() {
    check(
        "hook -> f; f:true -> m.0; f:false -> a -> m.1; m -> z; hook -> w -> y; w: wait",
        "start 1 => run f, run w
         wait w until=172800000
         ok f true=1 => run m[0|]
         ok m => run z
         ok z
         +172800000 => resume w late
         ok w => run y
         ok y => finish succeeded",
    );
}

#[test]
fn does_not_merge_while_a_feeder_waits_or_retries() {
    check(
        "hook -> m.0; hook -> w -> x -> m.1; w: wait",
        "start 1 => run w; wait w for=go; signal go => resume w; ok w => run x; ok x => run m[0|0]; ok m => finish succeeded",
    );
    check(
        r#"hook -> m.0; hook -> x -> m.1; x: step retry={"max_attempts":2,"jitter":false} on_error=continue"#,
        "start 1 => run x; fail x; +1000 => run x/2; fail x/2 => run m[0|0]; ok m => finish succeeded",
    );
}

#[test]
fn merges_token_by_token_where_edges_bring_several() {
    check(
        "hook -> a -> c; hook -> b -> c; c -> m.0; hook -> d -> m.1",
        "start 1 => run a, run b, run d
         ok a 1 => run c
         ok b 2 => run c#1
         ok c => 
         ok c#1 =>
         ok d 3 => run m[0|0 1 2], run m#1[0 1|]
         ok m; ok m#1 => finish succeeded",
    );
}

#[test]
fn joins_edges_into_one_input_in_the_order_of_the_definition() {
    check(
        "hook -> a -> m; hook -> b -> m; m: merge(1)",
        "start 1 => run a, run b; ok b 1; ok a 2 => run m[0 1 0]; ok m => finish succeeded",
    );
    check(
        "hook -> f; f:true -> m; f:false -> b -> m; m: merge(1)",
        "start 3 => run f; ok f true=2 false=1 => run b; ok b 3 => run m[0 1 0 1 2]; ok m => finish succeeded",
    );
    check(
        "hook -> a -> m.1; hook -> b -> m.1; hook -> c -> m.0",
        "start 1 => run a, run b, run c; ok c 1; ok a 0; ok b 2 => run m[0|0 1]; ok m => finish succeeded",
    );
}

#[test]
fn merges_what_merges_feed() {
    check(
        "hook -> a -> m.0; hook -> b -> m.1; m -> n.0; hook -> c -> n.1; n -> z",
        "start 1 => run a, run b, run c
         ok c 2
         ok a 0
         ok b 1 => run m[|0]
         ok m => run n[0|0 1]
         ok n => run z
         ok z => finish succeeded",
    );
    // A merge whose sides are both dead keeps nobody waiting.
    check(
        "hook -> f; f:true -> m.0; f:true -> m.1; m -> n.0; f:false -> n.1",
        "start 1 => run f; ok f false=1 => run n[|0]; ok n => finish succeeded",
    );
}

#[test]
fn merges_the_starts_of_a_trigger() {
    check("hook -> m.0; hook -> m.1", "start 2 => run m[0 1|0 1]; ok m => finish succeeded");
    check("hook -> a -> m.0; hook2 -> b -> m.1", "start 1 @hook2 => run b; ok b => run m[|0]; ok m => finish succeeded");
}

#[test]
fn passes_items_through_disabled_nodes() {
    check("hook -> a -> b; a: disabled", "start 2 => run b[0 1]; ok b => finish succeeded");
    check("hook -> a; a: disabled", "start 2 => finish succeeded");
    // On the first port.
    check("hook -> f; f:true -> a; f:false -> b; f: if disabled", "start 2 => run a[0 1]; ok a => finish succeeded");
    // A merge still waits, and passes its first input on.
    check(
        "hook -> a -> m.0; hook -> b -> m.1; m -> z; m: merge disabled",
        "start 1 => run a, run b; ok a 2; ok b 1 => run z[0 1]; ok z => finish succeeded",
    );
    // All of them, also where the node would run once only.
    check("hook -> a -> b; a: step disabled execute_once", "start 2 => run b[0 1]; ok b => finish succeeded");
}

#[test]
fn runs_for_the_first_item_only_where_asked() {
    check("hook -> a -> b; a: execute_once", "start 3 => run a[0]; ok a 2 => run b[0 1]; ok b => finish succeeded");
    check("hook -> m.0; hook -> m.1; m: merge execute_once", "start 3 => run m[0|0]; ok m => finish succeeded");
}

#[test]
fn puts_out_an_empty_item_where_asked() {
    check("hook -> a -> b; a: always_output", "start 1 => run a; ok a 0 => run b[-]; ok b => finish succeeded");
    check("hook -> a -> b; a: always_output", "start 1 => run a; ok a 2 => run b[0 1]; ok b => finish succeeded");
    check(
        "hook -> f; f:true -> a; f:false -> b; f: if always_output",
        "start 1 => run f; ok f true=0 false=0 => run a[-]; ok a => finish succeeded",
    );
    check(
        "hook -> f; f:true -> a; f:false -> b; f: if always_output",
        "start 1 => run f; ok f true=0 false=1 => run b[0]; ok b => finish succeeded",
    );
}

#[test]
fn starts_at_any_node() {
    check("hook -> a -> b", "start 2 @b => run b[0 1]; ok b => finish succeeded");
    check("hook -> a -> m.0; hook -> b -> m.1", "start 2 @m => run m[0 1|]; ok m => finish succeeded");
    check("hook -> a", "start 0 @a => run a[]; ok a => finish succeeded");
    check("hook -> a -> b; a: disabled", "start 2 @a => run b[0 1]; ok b => finish succeeded");
    // A loop is run by the machine, also where it comes first.
    check(
        "hook -> l; l:loop -> a -> l; l:done -> z",
        "start 2 @l => run a[0]; ok a => run a#1[1]; ok a#1 => run z[0 1]; ok z => finish succeeded",
    );
    check("hook -> a", "start 1 @nowhere => finish failed invalid_definition@nowhere");
}

#[test]
fn gives_the_items_of_the_leaves_as_the_result() {
    check_result("hook -> a -> b", "start 1 => run a; ok a 1 => run b; ok b 3 => finish succeeded", "0 1 2");
    // All leaves that ran, by node id.
    let flow = "hook -> c; hook -> b; hook -> f; f:true -> a";
    check_result(flow, "start 1 => run c, run b, run f; ok c 1; ok b 2; ok f false=1 => finish succeeded", "0 1 0");
    // A leaf that ran and put nothing out is a result of nothing.
    check_result("hook -> a -> b", "start 1 => run a; ok a 1 => run b; ok b 0 => finish succeeded", "");
    // No leaf ran: the first port of the last node.
    check_result("hook -> a -> b; hook -> c -> b", "start 1 => run a, run c; ok c 0; ok a 0 => finish succeeded", "");
    check_result(
        "hook -> f; f:true -> a -> b; f:false -> a",
        "start 1 => run f; ok f => run a; fail! a => finish failed boom@a",
        "0",
    );
    // A node whose only edge is for errors is the last one that ran.
    check_result("hook -> a; a:error -> x", "start 1 => run a; ok a 2 => finish succeeded", "0 1");
    check_result("hook", "start 2 => finish succeeded", "0 1");
    check_result("hook -> l; l:loop -> a -> l", "start 2 => run a; ok a => run a#1; ok a#1 => finish succeeded", "0 1");
}
