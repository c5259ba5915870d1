//! The engine without HTTP: executions from start to end on a real store, with real actors.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod concurrency;
mod effects;
mod error_workflow;
mod family;
mod flows;
mod follow;
mod quotas;
mod replay;
mod snapshots;
mod support;
