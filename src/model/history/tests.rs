//! What a history shows of each run, at the end and on the way.

use super::*;
use crate::model::{
    machine::tests::{
        play::{BEGIN_MS, Play},
        script,
    },
    testing::Flow,
};

fn history(flow: &str, script: &str) -> Vec<NodeRunView> {
    let flow = Flow::new(flow);
    let mut play = Play::new(&flow.graph);
    script::run(&mut play, script);
    node_runs(&flow.graph, &flow.definition, &play.events)
}

/// One run as `node#run status`, with its attempts beyond the first and its items by port.
fn show(run: &NodeRunView) -> String {
    let index = if run.run_index == 0 { String::new() } else { format!("#{}", run.run_index) };
    let attempts = if run.attempts > 1 { format!(" x{}", run.attempts) } else { String::new() };
    let status = serde_json::to_value(run.status).unwrap();
    let port = |output: &PortItems| format!(" {}=[{}]", output.port, script::numbers(&output.items));
    let outputs: String = run.outputs.iter().map(port).collect();
    format!("{}{index} {}{attempts}{outputs}", run.node_id, status.as_str().unwrap())
}

/// Expects these runs, in this order.
#[track_caller]
fn check(flow: &str, script: &str, expected: &[&str]) {
    let shown: Vec<String> = history(flow, script).iter().map(show).collect();
    assert_eq!(shown, expected);
}

#[test]
fn shows_runs_in_the_order_of_their_beginning() {
    let flow = "hook -> a -> c; hook -> b -> c";
    check(flow, "", &["hook pending", "a pending", "c pending", "b pending"]);
    check(flow, "start 1 => run a, run b", &["hook succeeded main=[0]", "a running", "b running", "c pending"]);
    check(
        flow,
        "start 1 => run a, run b; ok b 2 => run c; ok a 0; ok c => finish succeeded; finished succeeded",
        &["hook succeeded main=[0]", "a succeeded main=[]", "b succeeded main=[0 1]", "c succeeded main=[0 1]"],
    );
}

#[test]
fn shows_what_did_not_run_as_skipped_once_all_is_over() {
    let flow = "hook -> f; f:true -> a; f:false -> b";
    let script = "start 1 => run f; ok f true=1 => run a; ok a => finish succeeded";
    let ran = ["hook succeeded main=[0]", "f succeeded true=[0]", "a succeeded main=[0]"];
    check(flow, script, &[&ran[..], &["b pending"]].concat());
    check(flow, &format!("{script}; finished succeeded"), &[&ran[..], &["b skipped"]].concat());
}

#[test]
fn shows_what_an_interrupted_attempt_waits_for() {
    let flow = r#"hook -> a; a: effect retry={"after_crash":"ask"}"#;
    let cut = "start 1 => run a; begun a; cut a";
    let runs = history(flow, cut);
    assert_eq!(runs[1].status, NodeRunStatus::Waiting);
    assert_eq!(runs[1].wait.as_ref().unwrap().signals, ["after_crash/a/0"]);
    let retried = format!(r#"{cut}; signal after_crash/a/0 {{"decision":"retry"}} => run a"#);
    check(flow, &retried, &["hook succeeded main=[0]", "a running"]);
    assert_eq!(history(flow, &retried)[1].wait, None);
}

#[test]
fn shows_retries() {
    let flow = r#"hook -> a; a: effect retry={"max_attempts":2,"jitter":false}"#;
    let trigger = "hook succeeded main=[0]";
    check(flow, "start 1 => run a; begun a", &[trigger, "a running"]);
    check(flow, "start 1 => run a; fail a", &[trigger, "a retrying"]);
    check(flow, "start 1 => run a; fail a; +1000 => run a/2", &[trigger, "a running x2"]);
    let failed = "start 1 => run a; fail a; +1000 => run a/2; fail a/2 => finish failed boom@a";
    check(flow, failed, &[trigger, "a failed x2"]);
    // The last failure stays to be seen.
    let runs = history(flow, "start 1 => run a; fail a; +1000 => run a/2; +7; ok a/2 => finish succeeded");
    assert_eq!(show(&runs[1]), "a succeeded x2 main=[0]");
    assert_eq!(runs[1].error.as_ref().map(|error| &*error.code), Some("boom"));
    assert_eq!((runs[1].started_at, runs[1].finished_at), (Some(BEGIN_MS), Some(BEGIN_MS + 1_007)));
}

#[test]
fn a_run_that_is_not_over_has_no_end() {
    let flow = r#"hook -> a; a: effect retry={"max_attempts":2,"jitter":false}"#;
    for script in ["start 1 => run a", "start 1 => run a; fail a", "start 1 => run a; fail a; +1000 => run a/2"] {
        assert_eq!(history(flow, script)[1].finished_at, None, "{script}");
    }
    assert_eq!(history(flow, "start 1 => run a; +5; fail! a => finish failed boom@a")[1].finished_at, Some(BEGIN_MS + 5));
}

#[test]
fn begins_a_run_when_a_worker_took_it_up() {
    // The script's attempts are taken up when they end; until then it is the time at which they were handed out.
    assert_eq!(history("hook -> a", "start 1 => run a; +30")[1].started_at, Some(BEGIN_MS));
    let flow = r#"hook -> a; a: effect retry={"max_attempts":2,"jitter":false}"#;
    let runs = history(flow, "start 1 => run a; +30; fail a; +1000 => run a/2; +5; ok a/2 => finish succeeded");
    assert_eq!(runs[1].started_at, Some(BEGIN_MS + 30));
}

#[test]
fn shows_waits() {
    let flow = "hook -> w -> z; w: wait";
    let trigger = "hook succeeded main=[0]";
    let waiting = history(flow, "start 1 => run w; wait w until=50 for=x,y; signal x");
    assert_eq!(show(&waiting[1]), "w waiting");
    let wait = waiting[1].wait.clone().unwrap();
    assert_eq!((wait.until, wait.signals), (Some(BEGIN_MS + 50), vec!["x".to_owned(), "y".to_owned()]));
    for end in ["+50 => resume w late", "signal x; signal y => resume w"] {
        let resumed = history(flow, &format!("start 1 => run w; wait w until=50 for=x,y; {end}"));
        assert_eq!((show(&resumed[1]), &resumed[1].wait), ("w running".to_owned(), &None));
    }
    check(
        flow,
        "start 1 => run w; wait w for=x; signal x => resume w; ok w => run z",
        &[trigger, "w succeeded main=[0]", "z running"],
    );
}

#[test]
fn shows_what_a_cancel_cut_off() {
    let flow = r#"hook -> a; hook -> b; hook -> c -> d; hook -> w; w: wait; b: step retry={"max_attempts":2,"jitter":false}"#;
    let begin = "start 1 => run a, run b, run c, run w; fail b; wait w for=x; ok c => run d; ok d";
    let end = "cancel => abort a, finish cancelled; finished cancelled";
    let expected =
        ["hook succeeded main=[0]", "a cancelled", "b cancelled", "c succeeded main=[0]", "w cancelled", "d succeeded main=[0]"];
    check(flow, &format!("{begin}; {end}"), &expected);
    // A result that comes too late does not turn it into a success, wherever it is in the journal.
    check(flow, &format!("{begin}; cancel => abort a, finish cancelled; ok a; finished cancelled; ok b"), &expected);
    let runs = history(flow, &format!("{begin}; +9; {end}"));
    assert!(runs.iter().filter(|run| run.status == NodeRunStatus::Cancelled).all(|run| run.finished_at == Some(BEGIN_MS + 9)));
    assert!(runs.iter().all(|run| run.wait.is_none()));
}

#[test]
fn ignores_the_events_of_older_attempts() {
    let flow = r#"hook -> a; a: step retry={"max_attempts":2,"jitter":false}"#;
    check(flow, "start 1 => run a; fail a; ok a; ok a/2; begun a/2", &["hook succeeded main=[0]", "a retrying"]);
}

#[test]
fn shows_the_iterations_of_a_loop() {
    check(
        "hook -> l; l:loop -> a -> l; l:done -> z",
        "start 2 => run a; ok a 1 => run a#1; ok a#1 0 => run z; ok z => finish succeeded; finished succeeded",
        &[
            "hook succeeded main=[0 1]",
            "l succeeded loop=[0]",
            "a succeeded main=[0]",
            "l#1 succeeded loop=[1]",
            "a#1 succeeded main=[]",
            "l#2 succeeded done=[0]",
            "z succeeded main=[0]",
        ],
    );
}

#[test]
fn shows_disabled_nodes_with_what_passed_through() {
    let runs = history("hook -> a -> b; a: disabled", "start 2 => run b; ok b 1 => finish succeeded");
    let shown: Vec<String> = runs.iter().map(show).collect();
    assert_eq!(shown, ["hook succeeded main=[0 1]", "a skipped main=[0 1]", "b succeeded main=[0]"]);
    assert_eq!(runs.iter().map(|run| run.attempts).collect::<Vec<_>>(), [1, 0, 1]);
}

#[test]
fn shows_failures_that_the_execution_survives() {
    check(
        "hook -> a -> z; a: step on_error=continue",
        "start 1 => run a; fail a => run z",
        &["hook succeeded main=[0]", "a failed main=[0]", "z running"],
    );
    check(
        "hook -> a; a:error -> x",
        "start 2 => run a; done a 0; fail a => run x; ok x => finish succeeded",
        &["hook succeeded main=[0 1]", "a failed main=[10] error=[!1]", "x succeeded main=[!1]"],
    );
}

#[test]
fn shows_the_empty_item_of_always_output() {
    check(
        "hook -> a -> z; a: always_output",
        "start 1 => run a; ok a 0 => run z",
        &["hook succeeded main=[0]", "a succeeded main=[-]", "z running"],
    );
}

#[test]
fn shows_the_names_of_nodes() {
    let runs = history("hook -> a; a: step name=Ask", "");
    let names: Vec<Option<&str>> = runs.iter().map(|run| run.node_name.as_deref()).collect();
    assert_eq!(names, [None, Some("Ask")]);
}

#[test]
fn gives_the_result_of_a_journal() {
    let flow = Flow::new("hook -> a -> b; hook -> c");
    let mut play = Play::new(&flow.graph);
    script::run(&mut play, "start 1 => run a, run c; ok a 2 => run b; ok b 2; ok c 1 => finish succeeded; finished succeeded");
    assert_eq!(script::numbers(&result_items(&flow.graph, &play.events)), "0 1 0");
    assert_eq!(result_items(&flow.graph, &[]), []);
}
