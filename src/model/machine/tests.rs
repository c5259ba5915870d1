//! Tables of flows, events and the effects that they must have; and properties of random ones. See [`script`] for the language
//! of the tables and [`play`] for what is checked after every event.

mod children;
mod ends;
mod fan;
mod limit;
mod loops;
pub(in crate::model) mod play;
pub(in crate::model) mod property;
mod retry;
pub(in crate::model) mod script;
mod snapshot;
mod wait;

use self::play::Play;
use crate::model::testing::Flow;

/// Plays a script of `event => effects` lines on a flow.
#[track_caller]
fn check(flow: &str, script: &str) -> Play {
    let mut play = Play::new(&Flow::new(flow).graph);
    script::run(&mut play, script);
    play
}

/// Plays a script, and compares the numbers of the items of the result.
#[track_caller]
fn check_result(flow: &str, script: &str, expected: &str) {
    assert_eq!(script::numbers(&check(flow, script).machine.result()), expected);
}
