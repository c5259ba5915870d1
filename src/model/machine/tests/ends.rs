//! How executions end, and that nothing happens after that.

use super::{check, play::Play, script};
use crate::model::{event::Event, execution::ExecutionStatus, machine::Effect, testing::Flow};

const PAIR: &str = r#"hook -> a -> z; hook -> b; b: wait; a: effect retry={"max_attempts":2,"jitter":false}"#;

#[test]
fn aborts_what_is_in_flight_when_it_is_cancelled() {
    check(PAIR, "start 1 => run a, run b; cancel => abort a, abort b, finish cancelled; finished cancelled");
    // What runs after a wait is in flight as well.
    check(PAIR, "start 1 => run a, run b; wait b for=x; signal x => resume b; cancel => abort a, abort b, finish cancelled");
}

#[test]
fn forgets_what_retries_or_waits_when_it_is_cancelled() {
    check(PAIR, "start 1 => run a, run b; wait b for=x; fail a; cancel => finish cancelled; +1000; signal x; retry a/2");
}

#[test]
fn has_no_success_after_a_cancel() {
    check(
        PAIR,
        "start 1 => run a, run b; cancel => abort a, abort b, finish cancelled; ok a; ok b; finished cancelled; ok a; ok b",
    );
    check("hook -> a", "start 1 => run a; ok a => finish succeeded; cancel; finished succeeded; cancel");
}

#[test]
fn a_failure_stops_everything_else() {
    check(PAIR, "start 1 => run a, run b; fail! a => abort b, finish failed boom@a; ok b; cancel; timeout");
    check(PAIR, "start 1 => run a, run b; wait b for=x; fail! a => finish failed boom@a; signal x");
}

#[test]
fn ends_when_its_time_is_up() {
    let flow = "hook -> a; hook -> b; b: wait; settings: timeout=1s";
    check(flow, "start 1 => run a, run b; wait b until=5000; +999; +1 => abort a, finish failed timeout; +5000");
    // Also where other times have come with it.
    check(flow, "start 1 => run a, run b; wait b until=500; +1000 => abort a, finish failed timeout");
    check(flow, "start 1 => run a, run b; ok a; ok b => finish succeeded; +1000");
}

#[test]
fn says_which_time_was_too_short() {
    let play = check("hook -> a; settings: timeout=1s", "start 1 => run a; +1000 => abort a, finish failed timeout");
    let Some(Effect::Finish { error: Some(error), .. }) = play.finish else { panic!("finished with an error") };
    assert_eq!(error.message, "the execution took longer than 1000 ms: raise `settings.timeout`");
    assert_eq!(error.node_id, None);
}

#[test]
fn gives_the_reason_of_a_cancel() {
    let mut play = Play::new(&Flow::new("hook -> a").graph);
    script::run(&mut play, "start 1 => run a");
    let reason = Some("not needed".to_owned());
    let effects = play.apply(Event::CancelRequested { reason });
    let Some(Effect::Finish { status: ExecutionStatus::Cancelled, error: Some(error) }) = effects.last() else {
        panic!("cancelled")
    };
    assert_eq!((&*error.code, &*error.message), ("cancelled", "not needed"));
}

#[test]
fn nothing_happens_before_the_creation() {
    check("hook -> a", "ok a; cancel; timeout; signal x; start 1 => run a; start 2; ok a => finish succeeded");
    let play = check("hook -> a", "");
    assert_eq!((play.machine.next_wake(), play.machine.due(u64::MAX), play.machine.ended()), (None, vec![], None));
}

#[test]
fn an_end_that_was_decided_but_not_recorded_is_outstanding() {
    let play = check("hook -> a", "start 1 => run a; fail! a => finish failed boom@a");
    assert_eq!(play.machine.ended(), None);
    assert_eq!(play.machine.outstanding(), [play.finish.unwrap()]);
    assert_eq!((play.machine.next_wake(), play.machine.due(u64::MAX)), (None, vec![]));
}

#[test]
fn keeps_its_end() {
    let play = check(
        PAIR,
        "start 1 => run a, run b; cancel => abort a, abort b, finish cancelled; finished cancelled; finished succeeded",
    );
    assert_eq!(play.machine.ended(), Some(ExecutionStatus::Cancelled));
    assert_eq!(play.machine.outstanding(), []);
}

#[test]
fn aborts_what_is_in_flight_when_its_end_is_recorded_by_others() {
    let play = check(PAIR, "start 1 => run a, run b; finished failed => abort a, abort b; ok a; fail! b");
    assert_eq!(play.machine.ended(), Some(ExecutionStatus::Failed));
}
