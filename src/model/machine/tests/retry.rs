//! Failures: retries with their delays, and what `on_error` makes of the last one.

use super::{check, play::BEGIN_MS};
use crate::model::definition::AfterCrash;

const THRICE: &str = r#"hook -> a -> z; a: effect retry={"max_attempts":3,"jitter":false}"#;

#[test]
fn repeats_an_attempt_after_a_growing_delay() {
    check(
        THRICE,
        "start 1 => run a[0]
         begun a
         fail a
         +999
         +1 => run a/2[0]
         fail a/2
         +1999
         +1 => run a/3[0]
         ok a/3 => run z
         ok z => finish succeeded",
    );
}

#[test]
fn gives_up_after_the_last_attempt() {
    check(THRICE, "start 1 => run a; fail a; +1000 => run a/2; fail a/2; +2000 => run a/3; fail a/3 => finish failed boom@a");
    check("hook -> a", "start 1 => run a; fail a => finish failed boom@a");
}

#[test]
fn does_not_repeat_what_cannot_pass() {
    check(THRICE, "start 1 => run a; fail! a => finish failed boom@a");
    check(THRICE, "start 1 => run a; fail a; +1000 => run a/2; fail! a/2 => finish failed boom@a");
}

/// Expects the next wake this long after a failure of the first attempt.
#[track_caller]
fn check_delay(retry: &str, fail: &str, expected_ms: u64) {
    let play = check(&format!("hook -> a; a: effect retry={retry}"), &format!("start 1 => run a; {fail}"));
    assert_eq!(play.machine.next_wake(), Some(BEGIN_MS + expected_ms));
}

#[test]
fn draws_jitter_from_the_upper_half_of_the_delay() {
    let retry = r#"{"max_attempts":2,"initial":"8s"}"#;
    check_delay(retry, "fail a chance=0", 4_000);
    check_delay(retry, "fail a chance=4000", 8_000);
    check_delay(retry, "fail a chance=4001", 4_000);
    for chance in [1, 77, u64::MAX] {
        let play = check(&format!("hook -> a; a: effect retry={retry}"), &format!("start 1 => run a; fail a chance={chance}"));
        assert!((4_000..=8_000).contains(&(play.machine.next_wake().unwrap() - BEGIN_MS)), "{chance}");
    }
}

#[test]
fn waits_as_long_as_the_other_side_asks() {
    let retry = r#"{"max_attempts":2,"jitter":false}"#;
    check_delay(retry, "fail a after=30000", 30_000);
    check_delay(retry, "fail a after=1", 1_000);
    // A delay beyond the end of time is none that overflows: the execution's own time is up first.
    check_delay(retry, "fail a after=18446744073709551615", 30 * 24 * 3_600_000);
}

#[test]
fn ignores_the_events_of_older_attempts() {
    check(
        THRICE,
        "start 1 => run a
         fail a
         retry a; retry a/3; ok a; fail a; begun a
         +1000 => run a/2
         ok a; fail! a; wait a for=x; elapsed a; done a 0; begun a; retry a/2; ok a#1; ok nobody
         ok a/2 => run z[0]
         ok a/2; fail! a/2
         ok z => finish succeeded",
    );
}

#[test]
fn ignores_results_of_what_is_not_handed_out() {
    // Neither an attempt before its time nor a waiting one has anything to report.
    check(
        THRICE,
        "start 1 => run a; fail a; ok a/2; fail! a/2; wait a/2 for=x; +1000 => run a/2; ok a/2 => run z; ok z => finish succeeded",
    );
    check(
        "hook -> w; w: wait",
        "start 1 => run w; wait w for=x; ok w; fail! w; wait w until=1; signal x => resume w; ok w => finish succeeded",
    );
}

#[test]
fn goes_on_with_the_input_where_errors_are_passed_over() {
    check("hook -> a -> z; a: step on_error=continue", "start 2 => run a; fail! a => run z[0 1]; ok z => finish succeeded");
    // What is done is done.
    check(
        "hook -> a -> z; a: step on_error=continue",
        "start 3 => run a; done a 1; fail a => run z[0 11 2]; ok z => finish succeeded",
    );
    // On the first port, whatever its name.
    check(
        "hook -> f; f:true -> a; f:false -> b; f: if on_error=continue",
        "start 2 => run f; fail! f => run a[0 1]; ok a => finish succeeded",
    );
}

#[test]
fn branches_with_what_is_not_done() {
    check(
        "hook -> a -> z; a:error -> x",
        "start 3 => run a; done a 2 0; fail! a => run z[10 12], run x[!1]; ok x; ok z => finish succeeded",
    );
    check("hook -> a -> z; a:error -> x", "start 2 => run a; fail! a => run x[!0 !1]; ok x => finish succeeded");
    check("hook -> a; a: step on_error=branch", "start 2 => run a; fail! a => finish succeeded");
}

#[test]
fn keeps_the_progress_of_earlier_attempts() {
    check(
        r#"hook -> a -> z; a:error -> x; a: effect retry={"max_attempts":2,"jitter":false}"#,
        "start 3 => run a; done a 0; fail a; +1000 => run a/2; done a/2 1; done a 2; fail a/2 => run z[10 11], run x[!2]
         ok z; ok x => finish succeeded",
    );
}

#[test]
fn never_loses_an_error_on_its_branch() {
    // A failure after the last item, one without any item, and one of a merge whose first side is dead.
    check(
        "hook -> a -> z; a:error -> x",
        "start 1 => run a; done a 0; fail! a => run z[10], run x[!-]; ok x; ok z => finish succeeded",
    );
    check("hook -> a -> z; a:error -> x", "start 0 @a => run a; fail! a => run x[!-]; ok x => finish succeeded");
    check(
        "hook -> f; f:true -> m.0; f:false -> m.1; m:error -> x",
        "start 2 => run f; ok f false=2 => run m[|0 1]; fail! m => run x[!0 !1]; ok x => finish succeeded",
    );
}

#[test]
fn describes_the_failure_on_its_branch() {
    let play = check(
        r#"hook -> a; a:error -> x; a: effect retry={"max_attempts":2,"jitter":false}"#,
        "start 1 => run a; fail a; +1000 => run a/2; fail a/2 => run x",
    );
    let item = &play.machine.outputs()["a"].ports[1].items[0];
    let error = serde_json::json!({ "code": "boom", "message": "it went wrong", "node_id": "a", "attempt": 2 });
    assert_eq!(item.json, serde_json::json!({ "json": { "n": 0 }, "error": error }));
    assert_eq!(item.source.as_ref().map(|source| &*source.node), Some("hook"));
}

#[test]
fn knows_an_attempt_that_a_crash_cut_off() {
    let policy = |flow: &str, script: &str| {
        let play = check(flow, script);
        play.machine.after_crash(super::play::attempt_of(play.open.values().next().unwrap()))
    };
    let fail = r#"hook -> a; a: effect retry={"after_crash":"fail"}"#;
    assert_eq!(policy(fail, "start 1 => run a; begun a"), Some(AfterCrash::Fail));
    assert_eq!(policy(fail, "start 1 => run a"), None);
    assert_eq!(policy("hook -> a; a: effect", "start 1 => run a; begun a"), Some(AfterCrash::Retry));
}

const ASKS: &str = r#"hook -> a -> z; a: effect retry={"after_crash":"ask"}"#;

#[test]
fn waits_for_a_decision_about_an_attempt_that_a_crash_cut_off() {
    let cut = "start 1 => run a; begun a; cut a; ok a";
    check(ASKS, &format!(r#"{cut}; signal after_crash/a/0 {{"decision":"retry"}} => run a; begun a; ok a => run z"#));
    let fail = r#"signal after_crash/a/0 {"decision":"fail"} => resume a; fail! a => finish failed boom@a"#;
    check(ASKS, &format!("{cut}; {fail}"));
    // Whatever else comes leaves it waiting, and a cancel ends it.
    let other = r#"signal after_crash/a/0 {"decision":"later"}; signal after_crash/a/1 {"decision":"retry"}; signal a"#;
    let play = check(ASKS, &format!("{cut}; {other}"));
    assert!(play.machine.is_waiting() && play.machine.waits_for_signals());
    check(ASKS, &format!("{cut}; {other}; cancel => finish cancelled"));
    // It may be cut off again.
    check(ASKS, &format!(r#"{cut}; signal after_crash/a/0 {{"decision":"retry"}} => run a; begun a; cut a; +1"#));
}
