//! Waits: for a time, for signals, for both.

use super::{check, play::BEGIN_MS};

const WAIT: &str = "hook -> w -> z; w: wait";

#[test]
fn waits_for_a_time() {
    check(WAIT, "start 1 => run w; wait w until=500; +499; +1 => resume w late[]; ok w => run z; ok z => finish succeeded");
    // A time that has passed already.
    check(WAIT, "start 1 => run w; wait w until=0; +0 => resume w late; ok w => run z; ok z => finish succeeded");
}

#[test]
fn waits_for_a_signal() {
    check(
        WAIT,
        "start 1 => run w; wait w for=go; +99999; signal go 7 => resume w[go=7]; ok w => run z; ok z => finish succeeded",
    );
}

#[test]
fn waits_for_a_signal_but_not_for_ever() {
    check(
        WAIT,
        "start 1 => run w; wait w until=500 for=go; +499; signal go => resume w[go=null]; ok w => run z; +1; cancel => abort z, finish cancelled",
    );
    check(
        WAIT,
        "start 1 => run w; wait w until=500 for=go; +500 => resume w late; signal go; ok w => run z; ok z => finish succeeded",
    );
}

#[test]
fn waits_for_every_signal_once() {
    check(
        WAIT,
        "start 1 => run w; wait w for=x,y; signal y 1; signal y 2; signal x 3 => resume w[y=1 x=3]; ok w => run z; ok z => finish succeeded",
    );
    // Those that came in time are handed over.
    check(
        WAIT,
        "start 1 => run w; wait w until=9 for=x,y; signal y 1; +9 => resume w late[y=1]; ok w => run z; ok z => finish succeeded",
    );
    // A name that is written twice is one signal.
    check(WAIT, "start 1 => run w; wait w for=x,x; signal x 1 => resume w[x=1]; ok w => run z; ok z => finish succeeded");
}

#[test]
fn does_not_wait_for_nothing() {
    check(WAIT, "start 1 => run w; wait w => resume w[]; ok w => run z; ok z => finish succeeded");
}

#[test]
fn gives_a_signal_to_one_run() {
    check(
        "hook -> v; hook -> w; v: wait; w: wait",
        "start 1 => run v, run w; wait w for=go; wait v for=go; signal go 1 => resume v[go=1]; signal go 2 => resume w[go=2]
         ok v; ok w => finish succeeded",
    );
}

#[test]
fn ignores_a_signal_that_nobody_waits_for() {
    check(
        WAIT,
        "signal go; start 1 => run w; signal go; wait w for=go; signal other; signal go => resume w; signal go; ok w => run z; signal go; ok z => finish succeeded",
    );
}

#[test]
fn knows_which_signals_are_wanted() {
    let mut play = check(WAIT, "start 1 => run w; wait w for=x,y");
    assert!(play.machine.waits_for_signals() && play.machine.wants_signal("x") && !play.machine.wants_signal("z"));
    super::script::run(&mut play, "signal x");
    assert!(!play.machine.wants_signal("x") && play.machine.wants_signal("y"));
    super::script::run(&mut play, "cancel => finish cancelled");
    assert!(!play.machine.waits_for_signals() && !play.machine.wants_signal("y"));
}

#[test]
fn is_waiting_where_only_time_or_a_signal_helps() {
    let is_waiting = |flow: &str, script: &str| check(flow, script).machine.is_waiting();
    let retried = r#"hook -> a; hook -> w; w: wait; a: effect retry={"max_attempts":2,"jitter":false}"#;
    assert!(!is_waiting(WAIT, ""));
    assert!(!is_waiting(WAIT, "start 1 => run w"));
    assert!(is_waiting(WAIT, "start 1 => run w; wait w for=x"));
    assert!(!is_waiting(WAIT, "start 1 => run w; wait w for=x; signal x => resume w"));
    assert!(!is_waiting(WAIT, "start 1 => run w; wait w for=x; cancel => finish cancelled"));
    assert!(!is_waiting(retried, "start 1 => run a, run w; wait w for=x"));
    assert!(is_waiting(retried, "start 1 => run a, run w; wait w for=x; fail a"));
}

#[test]
fn wakes_at_the_soonest_cause() {
    let flow = r#"hook -> a; hook -> v; hook -> w; v: wait; w: wait; a: effect retry={"max_attempts":2,"jitter":false}"#;
    let mut play = check(flow, "start 1 => run a, run v, run w; wait v until=3000; wait w until=2000; fail a");
    assert_eq!(play.machine.next_wake(), Some(BEGIN_MS + 1_000));
    // All at once, in the order of their times and not of the nodes.
    super::script::run(&mut play, "+3000 => run a/2, resume w late, resume v late");
    assert_eq!(play.machine.next_wake(), Some(BEGIN_MS + 30 * 24 * 3_600_000));
}

#[test]
fn fails_and_repeats_after_a_wait() {
    check(
        r#"hook -> w -> z; w: wait retry={"max_attempts":2,"jitter":false}"#,
        "start 1 => run w; wait w for=x; signal x => resume w; fail w; +1000 => run w/2; wait w/2 for=x; signal x => resume w/2
         ok w/2 => run z; ok z => finish succeeded",
    );
}

#[test]
fn waits_again_after_a_wait() {
    check(
        WAIT,
        "start 1 => run w; wait w until=5; +5 => resume w late; wait w for=x; elapsed w#1; signal x => resume w[x=null]; ok w 0 => finish succeeded",
    );
}
