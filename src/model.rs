//! The pure part of Citadel: what a workflow is, what an execution is, and what happens next.
//! No async, no I/O, no clock, no randomness: time, ids and chance come in as arguments.

pub mod after_crash;
pub mod audit;
pub mod batch;
pub mod catalog;
pub mod change;
pub mod children;
pub mod definition;
pub mod duration;
pub mod error;
pub mod event;
pub mod execution;
pub mod graph;
pub mod history;
pub mod ids;
pub mod item;
pub mod limits;
pub mod log;
pub mod machine;
pub mod native_language;
pub mod problem;
pub mod reuse;
pub mod schedule;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod validation;
