//! Real processes that die in the middle of work: `citadel serve` is killed, aborted at fail points, or made to panic, and
//! started again on the same data. A server outside counts the effects, and the journal says which of them were recorded.
//! What must hold on every store: nothing acknowledged is missing, everything ends, no recorded effect is repeated.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod after_crash;
mod effects;
mod error_workflow;
mod family;
mod kill;
mod panics;
mod points;
mod processes;
mod schedules;
mod server;
mod store;
mod witness;
