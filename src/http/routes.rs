//! The handlers, by resource. `router.rs` says which path leads to which.

pub(super) mod auth;
pub(super) mod executions;
pub(super) mod hooks;
pub(super) mod meta;
pub(super) mod start;
pub(super) mod workflows;
